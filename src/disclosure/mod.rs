//! Statistical disclosure control: the only way from a protected table to one that may be released.

#[cfg(test)]
mod attacker;
pub mod cellkey;
mod cycle;
mod field;
pub mod fold;
mod kernel;
mod lattice;
mod pattern;
pub mod privacy;
mod protect;
mod released;
mod subspace;
mod suppress;
mod warrant;

pub use pattern::PatternKey;
pub use protect::{DisclosureError, protect};
pub use released::{Disclosed, ReleaseError, Released};
pub use warrant::Warrant;
