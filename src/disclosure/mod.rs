//! Statistical disclosure control: the only way from a protected table, or from protected rows, to what may
//! be released.

#[cfg(test)]
mod attacker;
mod changes;
mod cycle;
mod draft;
mod field;
pub mod file;
mod inspection;
mod junction;
mod kernel;
mod lattice;
pub mod microdata;
mod pattern;
pub mod primary;
mod protect;
mod range;
mod released;
mod subspace;
mod suppress;
mod task;
mod tree;
mod warrant;

pub use inspection::{Range, Stopped};
pub use pattern::PatternKey;
pub use protect::{DisclosureError, protect};
pub use released::{Disclosed, ReleaseError, Released};
pub use warrant::Warrant;
