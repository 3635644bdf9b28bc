//! Who may call what, over real sockets and TLS: every method of every service in the descriptors, for
//! every role and for every certificate that must not be accepted.

mod enterprise;
mod limits;
mod methods;
mod revoked;
pub mod setup;
mod tls;

pub use setup::described;
