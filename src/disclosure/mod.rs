//! Statistical disclosure control: the only way from a protected table, or from protected rows, to what may
//! be released.

#[cfg(test)]
mod attacker;
pub mod cellkey;
mod changes;
mod cycle;
mod draft;
mod feed;
mod field;
pub mod file;
pub mod fold;
mod held;
mod inspection;
mod junction;
mod kernel;
mod lattice;
pub mod ledger;
pub mod microdata;
mod nested;
mod pattern;
pub mod persons;
pub mod primary;
pub mod privacy;
mod proposed;
mod protect;
mod proved;
mod range;
mod receivable;
mod released;
mod report;
mod subspace;
mod suppress;
mod task;
mod tree;
mod warrant;

pub use feed::{DisclosedFeed, disclose_feed};
#[cfg(test)]
pub(crate) use held::tests::held_records;
pub use held::{Held, hold, release_held};
pub use inspection::{Range, Stopped};
pub use ledger::{Recalled, Recollection};
pub use microdata::serial_person;
pub use pattern::PatternKey;
pub use proposed::{Earlier, Judged, Proposed, Remembered, may_publish};
pub use protect::{DisclosureError, TooLittleLoss, protect, recall, recall_again, suffices};
pub use receivable::{NotAccepted, Receivable};
pub use released::{Disclosed, ReleaseError, Released};
pub use report::open_report;
pub use warrant::Warrant;
