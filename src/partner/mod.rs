//! The register node that a partner runs beside its own database.
//!
//! ```text
//! gateway --order--> Node -- approval, order, PartnerPolicy --> Extract --> Source (SQL)
//! identity service --linkage key--> Coder                                     | rows with fnr
//! gateway <--Arrow batches with linkage codes-- BatchWriter <-----------------+
//! ```
//!
//! It only dials out. It verifies the stewards' signatures itself, follows its own policy file, and keeps
//! its own journal of the orders it saw. Identity numbers do not leave this process.

mod delivery;
mod faults;
mod journal;
mod links;
mod load;
mod node;
mod policy;
mod rows;
mod source;
mod tables;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use faults::{Fault, FaultKind, Faults};
pub use journal::{Journal, JournalError, Outcome};
pub use links::{GatewayLink, KeySource, OrderStream, PeerFault, RowsPart};
pub use load::{LoadError, LoadOptions, LoadReport, load};
pub use node::Node;
pub use policy::{Extract, NotAllowed, PartnerPolicy, PolicyError};
pub use source::{Source, SourceError, SourceRow};
