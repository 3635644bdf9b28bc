//! The overview of disclosures held against the log at start: each leaf that has entered a release has its row, which says
//! the same, and each row its leaf.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use chrono::NaiveDate;

use super::error::AuditError;
use super::event::{DisclosureEntered, DisclosuresDeleted, Kind, ResultReceived};
use super::leaf::Leaf;
use crate::domain::canonical::{Canonical, Digest};
use crate::domain::ids::{ProjectId, RunId};
use crate::domain::overview::{DisclosureFacts, Retention};
use crate::domain::query::Answer;
use crate::store::{EnteredRow, Store};

/// Why the overview does not hold.
const MISSING: &str = "is missing";
const OTHER: &str = "is not the one that was entered";
const ERASED: &str = "is there, but what its entry in the log commits to is not";
const UNKNOWN: &str = "was never entered";

/// What is known of the overview after a part of the log.
#[derive(Default)]
pub(super) struct EnteredCheck {
    /// Facts that have been found under their digests: of what kind of result, and of which project.
    facts: HashMap<Digest, (Answer, ProjectId)>,
    /// The run of the leaf before, if that is a receipt.
    received: Option<RunId>,
    /// The youngest release that is not there.
    gone: Option<(NaiveDate, Option<RunId>)>,
    /// The day before which the log says that releases were deleted.
    deleted: Option<NaiveDate>,
}

impl EnteredCheck {
    /// Holds what these leaves have entered, the first of them with the index `from`, against the overview.
    ///
    /// # Errors
    /// [`AuditError::Overview`]; [`AuditError::Store`], [`AuditError::Canonical`].
    pub(super) async fn page(
        &mut self,
        store: &Store,
        from: u64,
        leaves: &[Vec<u8>],
    ) -> Result<(), AuditError> {
        let rows = store.entered(from, from + leaves.len() as u64).await?;
        let mut rows = rows.into_iter().peekable();
        for (index, bytes) in (from..).zip(leaves) {
            let leaf = Leaf::from_canonical(bytes)?;
            let row = rows.next_if(|row| row.entered == index);
            match (leaf.kind, row) {
                (DisclosureEntered::NUMBER, Some(row)) => self.compare(index, &leaf, &row)?,
                (DisclosureEntered::NUMBER, None) => {
                    let day = leaf.time.date_naive();
                    if self.gone.as_ref().is_none_or(|(youngest, _)| *youngest <= day) {
                        self.gone = Some((day, leaf.run.clone()));
                    }
                }
                (DisclosuresDeleted::NUMBER, None) => {
                    // Where it is erased what was deleted, nothing says that anything was.
                    let detail = store.audit_detail(index).await?;
                    let deleted: Option<DisclosuresDeleted> = detail.and_then(|detail| leaf.fields(&detail));
                    self.deleted = self.deleted.max(deleted.map(|deleted| deleted.before));
                }
                (_, Some(row)) => return Err(wrong(row.run, UNKNOWN)),
                (_, None) => {}
            }
            self.received = leaf.run.filter(|_| leaf.kind == ResultReceived::NUMBER);
        }
        // One more for the same leaf.
        rows.next().map_or(Ok(()), |row| Err(wrong(row.run, UNKNOWN)))
    }

    /// Ends the check of a log of this size: what is not there must be older than the law lets anybody delete, and the log
    /// must say that it was deleted.
    ///
    /// # Errors
    /// [`AuditError::Overview`], [`AuditError::Store`].
    pub(super) async fn end(self, store: &Store, size: u64, today: NaiveDate) -> Result<(), AuditError> {
        if let Some(run) = store.entered_outside(size).await? {
            return Err(wrong(run, UNKNOWN));
        }
        let Some((day, run)) = self.gone else { return Ok(()) };
        let young = Retention::SHORTEST.before(today).is_none_or(|least| day >= least);
        if young || self.deleted.is_none_or(|before| day >= before) {
            return Err(wrong(run.map(|run| run.to_string()).unwrap_or_default(), MISSING));
        }
        Ok(())
    }

    /// Holds a row against the leaf with this index, which has entered a release.
    fn compare(&mut self, index: u64, leaf: &Leaf, row: &EnteredRow) -> Result<(), AuditError> {
        let fail = |what| wrong(row.run.clone(), what);
        let detail = row.detail.as_ref().ok_or_else(|| fail(ERASED))?;
        let entered: DisclosureEntered = leaf.fields(detail).ok_or_else(|| fail(OTHER))?;
        let run = leaf.run.as_ref().ok_or_else(|| fail(OTHER))?;
        let (result, project) = self.facts(row).ok_or_else(|| fail(OTHER))?;
        let persons = entered.persons.map(|digest| digest.to_string());
        let same = row.run == run.as_str()
            && row.receipt.map(|receipt| receipt + 1) == Some(index)
            && row.facts == Some(entered.facts.to_string())
            && row.result.as_deref() == Some(result.as_str())
            && row.day == Some(leaf.time.date_naive().to_string())
            && row.persons == persons
            && row.set.is_some() == persons.is_some()
            && result.is_table() == persons.is_none()
            && leaf.project.as_ref() == Some(project)
            && self.received.as_ref() == Some(run);
        if same { Ok(()) } else { Err(fail(OTHER)) }
    }

    /// What the facts of a row say, if they are those of their digest.
    fn facts(&mut self, row: &EnteredRow) -> Option<&(Answer, ProjectId)> {
        let digest: Digest = row.facts.as_ref()?.parse().ok()?;
        match self.facts.entry(digest) {
            Entry::Occupied(known) => Some(known.into_mut()),
            Entry::Vacant(new) => {
                let canonical = row.canonical.as_ref()?;
                if Digest::of_bytes(DisclosureFacts::LABEL, canonical) != digest {
                    return None;
                }
                let facts = DisclosureFacts::from_canonical(canonical).ok()?;
                Some(new.insert((facts.result, facts.project)))
            }
        }
    }
}

const fn wrong(run: String, what: &'static str) -> AuditError {
    AuditError::Overview { run, what }
}
