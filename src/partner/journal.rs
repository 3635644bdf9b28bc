//! The partner's own record of the orders it saw: one JSON object a line, never an identity number.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::domain::canonical::{Canonical, Digest};
use crate::domain::ids::{DatasetId, OrderId, ProjectId, RunId, VariableId};
use crate::domain::order::LinkageOrder;
use crate::domain::period::Period;
use crate::domain::query::Condition;

/// The journal cannot be written; the node then answers nothing.
#[derive(Debug, thiserror::Error)]
#[error("the journal {path} cannot be written: {kind}")]
pub struct JournalError {
    path: PathBuf,
    kind: std::io::ErrorKind,
}

/// What became of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It came in; nothing has been read for it yet.
    Received {
        /// The columns it asks for.
        columns: Vec<VariableId>,
        /// Its conditions.
        conditions: Vec<Condition>,
        /// Its period.
        period: Period,
    },
    /// All rows were sent.
    Sent {
        /// How many.
        rows: u64,
        /// Left out: not an identity number.
        invalid_rows: u64,
        /// Left out: the date is none.
        undated_rows: u64,
    },
    /// It was refused.
    Declined {
        /// `policy`, `approval`, `source` or `key`.
        reason: &'static str,
        /// The code given.
        code: String,
    },
    /// The gateway took no more of it.
    Failed {
        /// The gateway's code.
        code: String,
    },
}

impl Outcome {
    /// The name it has in logs.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Received { .. } => "received",
            Self::Sent { .. } => "sent",
            Self::Declined { .. } => "declined",
            Self::Failed { .. } => "failed",
        }
    }
}

#[derive(Serialize)]
struct Line<'a> {
    at: DateTime<Utc>,
    order: &'a OrderId,
    run: &'a RunId,
    project: &'a ProjectId,
    approval: Option<Digest>,
    dataset: &'a DatasetId,
    #[serde(flatten)]
    outcome: &'a Outcome,
}

/// The journal, appended to.
pub struct Journal {
    path: PathBuf,
    file: Mutex<File>,
}

impl Journal {
    /// Opens the journal, or begins it.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        let file = file.map_err(|e| JournalError { path: path.to_owned(), kind: e.kind() })?;
        Ok(Self { path: path.to_owned(), file: Mutex::new(file) })
    }

    /// Writes a line and waits until it is on disk.
    ///
    /// # Errors
    /// [`JournalError`].
    pub(super) fn write(
        &self,
        at: DateTime<Utc>,
        order: &LinkageOrder,
        outcome: &Outcome,
    ) -> Result<(), JournalError> {
        let failed = |kind| JournalError { path: self.path.clone(), kind };
        let approval = &order.approval.approval;
        let line = Line {
            at,
            order: &order.id,
            run: &order.run,
            project: &approval.project,
            approval: approval.digest().ok(),
            dataset: &order.dataset,
            outcome,
        };
        let mut text = serde_json::to_vec(&line).map_err(|_| failed(std::io::ErrorKind::InvalidData))?;
        text.push(b'\n');
        let mut file = self.file.lock().map_err(|_| failed(std::io::ErrorKind::Other))?;
        file.write_all(&text).and_then(|()| file.sync_data()).map_err(|e| failed(e.kind()))
    }
}
