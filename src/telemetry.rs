//! Tracing, and the marker for what may be logged.
//!
//! A log line is JSON. Its message is a fixed string; what varies goes into fields through [`logged`],
//! which takes only types that are marked [`Loggable`]: ids, digests, phases, counts of things that are
//! not persons. No type with a value of data in it, no free text and no identity number is marked.

use std::fmt;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use crate::domain::canonical::Digest;
use crate::domain::ids::{
    DatasetId, DomainId, OrderId, OrganisationId, ProjectId, RegisterId, RequestId, RuleId, RunId, StewardId,
    TableId,
};

/// What may be logged.
pub trait Loggable {
    /// Writes it as it stands in the log.
    ///
    /// # Errors
    /// The formatter's.
    fn log(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

/// A field of a log line: `tracing::info!(run = %logged(&run), "a run has begun")`.
///
/// ```
/// use kpr::domain::ids::ProjectId;
/// use kpr::telemetry::logged;
/// let project = ProjectId::new("P-2026-0001").unwrap();
/// assert_eq!(logged(&project).to_string(), "P-2026-0001");
/// ```
///
/// Text from anywhere is not taken:
///
/// ```compile_fail,E0277
/// let text = String::from("anything");
/// let _ = kpr::telemetry::logged(&text);
/// ```
#[must_use]
pub const fn logged<T: Loggable>(value: &T) -> Logged<'_, T> {
    Logged(value)
}

/// A value on its way into a log line; see [`logged`].
#[derive(Clone, Copy)]
pub struct Logged<'a, T>(&'a T);

impl<T: Loggable> fmt::Display for Logged<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.log(f)
    }
}

macro_rules! loggable {
    ($($name:ty),* $(,)?) => {
        $(impl Loggable for $name {
            fn log(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        })*
    };
}

loggable!(
    DatasetId,
    Digest,
    DomainId,
    OrderId,
    OrganisationId,
    ProjectId,
    RegisterId,
    RequestId,
    RuleId,
    RunId,
    StewardId,
    TableId,
);

impl<T: Loggable> Loggable for Option<T> {
    fn log(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Some(value) => value.log(f),
            None => f.write_str("-"),
        }
    }
}

/// A fixed text: part of the program, so nothing of a person.
impl Loggable for &'static str {
    fn log(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

/// Why logging cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The log file cannot be opened.
    #[error("cannot write the log file {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// `KPR_LOG` is not a level.
    #[error("KPR_LOG must be a level: off, error, warn, info, debug or trace")]
    Level,
    /// It has been set up before.
    #[error("logging is already set up in this process")]
    Twice,
}

/// Sets up logging for this process: JSON lines to a file, appended, or to the standard error. The level
/// of the gateway's own events is `info`, unless `KPR_LOG` names another. Libraries log from `warn` on
/// only, whatever it says: below that they write out plans, statements and rows.
///
/// # Errors
/// [`TelemetryError`].
pub fn init(file: Option<&Path>) -> Result<(), TelemetryError> {
    let level = match std::env::var("KPR_LOG") {
        Ok(text) => text.parse().map_err(|_| TelemetryError::Level)?,
        Err(_) => LevelFilter::INFO,
    };
    let filter = EnvFilter::new(format!("warn,kpr={level}"));
    let writer = match file {
        None => BoxMakeWriter::new(std::io::stderr),
        Some(path) => {
            let open = OpenOptions::new().create(true).append(true).open(path);
            let file = open.map_err(|source| TelemetryError::File { path: path.to_owned(), source })?;
            BoxMakeWriter::new(Arc::new(file))
        }
    };
    tracing_subscriber::fmt()
        .json()
        .with_env_filter(filter)
        .with_writer(writer)
        .try_init()
        .map_err(|_| TelemetryError::Twice)
}
