//! The register node that a partner runs beside its own database.
//!
//! ```text
//! gateway --order--> Node -- approval, order, PartnerPolicy --> Extract --> Source (SQL)
//! identity service --linkage key--> Coder                                     | rows with fnr
//! gateway <--Arrow batches with linkage codes-- BatchWriter <-----------------+
//! ```
//!
//! It only dials out. It verifies the stewards' signatures itself, follows its own policy file, asks for the partner's
//! own approval before each batch, leaves out the persons that the partner's lists say, and keeps its own journal of
//! the orders it saw. Identity numbers do not leave this process.

mod approvals;
mod codes;
mod delivery;
mod faults;
mod feed;
mod feed_error;
mod feed_files;
mod feed_table;
mod journal;
mod links;
mod list_files;
mod lists;
mod load;
mod node;
mod policy;
mod rows;
mod source;
mod standing;
mod tables;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use approvals::{Act, Approvals, ApprovalsError};
pub use faults::{Fault, FaultKind, Faults};
pub use feed::{FeedProgress, FeedReport, FeedTaker};
pub use feed_error::FeedError;
pub use feed_table::FeedTable;
pub use journal::{Journal, JournalEntry, JournalError, Outcome, VerifiedJournal};
pub use links::{
    FeedDesk, FeedKeySource, FeedSession, GatewayLink, KeySource, OrderStream, PeerFault, RowsPart,
};
pub use list_files::{ListFileError, ListKind, load_list};
pub use lists::{ListTable, NumbersTable, Persons};
pub use load::{LoadError, LoadOptions, LoadReport, load};
pub use node::Node;
pub use policy::{Extract, NotAllowed, PartnerPolicy, PolicyError};
pub use source::{Source, SourceError, SourceRow};
