//! What can go wrong with the log.

use crate::domain::canonical::CanonicalError;
use crate::domain::clock::EntropyError;
use crate::domain::ids::RunId;
use crate::domain::refusal::{Refusal, RefusalKind};
use crate::store::StoreError;

use super::export::ExportError;

/// Why the log is not written or read. Whatever was to be recorded then does not happen.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No salt.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// An event that cannot be encoded.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
    /// An event too large for an entry: 65535 bytes is the most the export format holds.
    #[error("an event is too large for the log")]
    TooLarge,
    /// The log in the database is not the one that was signed.
    #[error("the audit log in the database does not hold: {0}")]
    Broken(&'static str),
    /// The database was put back from a copy.
    #[error(
        "the database was put back from a copy: the checkpoint kept outside of it is of {kept} entries, which the {size} \
         entries that are compared with it are not; see docs/backup.md"
    )]
    PutBack {
        /// How many entries the checkpoint is of.
        kept: u64,
        /// How many the log has, of those at most.
        size: u64,
    },
    /// Too few witnesses have cosigned any checkpoint.
    #[error(
        "no checkpoint has the cosignatures of {0} witnesses yet; ask for fewer, or later: the gateway's log \
         says which witness it cannot reach"
    )]
    NotWitnessed(u32),
    /// The intent has been closed before.
    #[error("the intent of run {0} is closed")]
    IntentClosed(RunId),
    /// The result is of another run than the intent.
    #[error("the result is not one of run {0}")]
    OtherRun(RunId),
    /// The result has no receipt in the log that stands for it.
    #[error("the result of run {0} has no receipt that stands for it")]
    NoReceipt(RunId),
    /// What is kept of who is in released records is not what the log commits to.
    #[error("what is kept of the persons in the records of run {0} is not what the log says of them")]
    OtherPersons(RunId),
    /// The overview of disclosures is not what the log says was entered.
    #[error(
        "the overview of disclosures in the database is not what the audit log says was entered: the release of run {run} \
         {what}; see docs/trust-model.md"
    )]
    Overview {
        /// The run.
        run: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The records of the run have been erased: their time is up.
    #[error(
        "the records are no longer kept: linked sets live as long as their approval says, ten years at most"
    )]
    Expired,
    /// A result with true counts came without its entry for the release ledger, or one with noise with an entry.
    #[error("the result of run {0} has not the entry in the release ledger that it needs")]
    NoLedger(RunId),
    /// The export cannot be written.
    #[error(transparent)]
    Export(#[from] ExportError),
}

impl From<AuditError> for Refusal {
    fn from(error: AuditError) -> Self {
        match error {
            AuditError::Store(error) => error.into(),
            AuditError::IntentClosed(_) => {
                Self::new(RefusalKind::Precondition, "audit.intent_closed", error.to_string())
            }
            AuditError::OtherPersons(_) => Self::new(
                RefusalKind::Internal,
                "disclosures.changed",
                "what is kept of who is in released records is not what the audit log says of them, so nothing is \
                 shown; the register keeper finds out who has changed the database",
            ),
            AuditError::Expired => Self::new(RefusalKind::Precondition, "result.expired", error.to_string()),
            AuditError::NotWitnessed(_) => {
                Self::new(RefusalKind::Precondition, "audit.not_witnessed", error.to_string())
            }
            _ => Self::new(
                RefusalKind::Internal,
                "audit.unavailable",
                "the audit log could not be written or read, so nothing was done",
            ),
        }
    }
}
