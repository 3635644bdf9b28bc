//! Statistical disclosure control: the only way from a protected table to one that may be released.

mod released;
mod warrant;

pub use released::{Disclosed, ReleaseError, Released};
pub use warrant::Warrant;
