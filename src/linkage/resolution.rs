//! Resolution of serial numbers and of the list of reservations, as the gateway asks the identity service for it.

use futures::future::BoxFuture;

use crate::domain::approval::StewardSignature;
use crate::domain::ids::PersonNo;
use crate::domain::refusal::Refusal;
use crate::domain::resolution::ResolutionStatement;

/// Tells the identity service which persons two stewards have asked to be named, with their signatures. What it tells the
/// second of them, the gateway does not see.
pub trait ResolutionDesk: Send + Sync {
    /// Leaves a resolution for the second steward. The same one again, before it is collected, changes nothing.
    fn deposit<'a>(
        &'a self,
        statement: &'a ResolutionStatement,
        signatures: &'a [StewardSignature],
        persons: &'a [PersonNo],
    ) -> BoxFuture<'a, Result<(), Refusal>>;
}
