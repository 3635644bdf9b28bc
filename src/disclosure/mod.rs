//! Statistical disclosure control: the only way from a protected table to one that may be released.

#[cfg(test)]
mod attacker;
mod cycle;
mod field;
mod kernel;
mod lattice;
pub mod ledger;
mod pattern;
mod protect;
mod released;
mod subspace;
mod suppress;
mod warrant;

pub use pattern::PatternKey;
pub use protect::{DisclosureError, protect};
pub use released::{Disclosed, ReleaseError, Released};
pub use warrant::Warrant;
