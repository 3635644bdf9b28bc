//! Control data in SQLite or PostgreSQL: projects and their life, runs, results, what waits for stewards, publications, the audit log's rows, the
//! release ledger.
//!
//! Reads are methods of [`Store`]. Everything that changes something is a method of [`Write`], one
//! transaction that nothing of is kept unless it is committed.

mod audit_rows;
mod backup;
mod budget;
mod cost;
mod disclosures;
mod error;
mod feeds;
#[cfg(test)]
pub(crate) mod fixtures;
mod held;
mod ledger;
mod life;
mod linked_sets;
mod methods;
mod migrate;
mod open;
mod persons;
mod phase;
mod projects;
mod publications;
mod resolutions;
mod results;
mod rows;
mod runs;

pub use audit_rows::{AuditDetail, AuditHead, OpenIntent};
pub use budget::BudgetLease;
pub use disclosures::{ChunkOf, EnteredRow, NewDisclosure, PersonChunk};
pub use error::StoreError;
pub use held::HeldRow;
pub use ledger::{LedgerEntry, LedgerRefusal, LedgerRelease};
pub use linked_sets::{KeptRows, NewKeptRows};
pub use open::{Store, Write};
pub use persons::{DueErasure, StoredCorrection};
pub use phase::Phase;
pub use projects::StoredApproval;
pub use publications::Publication;
pub use resolutions::ResolutionRow;
pub use results::StoredResult;
pub use runs::{Run, Submission, Submitted};
