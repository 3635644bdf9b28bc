//! The identity service: identifiers, vault, key hierarchy, codes, resolution. It holds no health variable.

mod codes;
mod error;
mod fnr;
mod index;
mod intake;
mod keys;
mod lines;
mod population;
mod record_keys;
mod resolution;
mod rotation;
mod runs;
mod schema;
mod service;
mod siv;
#[cfg(test)]
mod tests;
mod tickets;
mod uses;
mod vault;

pub use codes::Mapped;
pub use error::IdentityError;
pub use fnr::{Fnr, Kind, NotAnFnr, Series};
pub use intake::{Answers, Finished, Intake, Totals};
pub use keys::{BadKeyRing, Coder, KeyRing, LinkageKey, ROOT_LENGTH, RootKey};
pub use lines::{Fault, FaultKind, Layout};
pub use record_keys::RecordKeys;
pub use rotation::{KeyEvent, Need};
pub use service::{AcceptedOrder, IdentityService};
pub use vault::VaultError;
