//! Statistical disclosure control: the only way from a protected table to one that may be released.

#[cfg(test)]
mod attacker;
mod changes;
mod cycle;
mod draft;
mod field;
pub mod file;
mod junction;
mod kernel;
mod lattice;
mod pattern;
pub mod primary;
mod protect;
mod released;
mod subspace;
mod suppress;
mod task;
mod tree;
mod warrant;

pub use pattern::PatternKey;
pub use protect::{DisclosureError, protect};
pub use released::{Disclosed, ReleaseError, Released};
pub use warrant::Warrant;
