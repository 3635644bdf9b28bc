//! The identity service: identifiers, vault, key hierarchy, codes, resolution. It holds no health variable.

mod fnr;
mod keys;
mod siv;

pub use fnr::{Fnr, Kind, NotAnFnr, Series};
pub use keys::{BadKeyRing, Coder, KeyRing, LinkageKey, ROOT_LENGTH, RootKey};
