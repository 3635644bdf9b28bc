//! What the identity service refuses, and in which words.

use super::fnr::NotAnFnr;
use super::lines::Layout;
use super::vault::VaultError;
use crate::domain::approval::ApprovalError;
use crate::domain::canonical::CanonicalError;
use crate::domain::clock::EntropyError;
use crate::domain::order::OrderError;
use crate::domain::refusal::{Refusal, RefusalKind};

/// Why the identity service does not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The vault does not answer.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The first line is not the header of this layout.
    #[error("the first line of the identity file is not its header; one of {:?} is expected", .0.headers())]
    Header(Layout),
    /// Another identity file is being read.
    #[error("another identity file is being read; send this one when that is done")]
    Busy,
    /// There is no person number left below those that stand for unknown identifiers.
    #[error("there are more persons than person numbers")]
    TooManyPersons,
    /// The order's approval does not hold.
    #[error(transparent)]
    Approval(#[from] ApprovalError),
    /// The order does not stand on its approval.
    #[error(transparent)]
    Order(#[from] OrderError),
    /// The order's approval has been replaced.
    #[error(
        "the order stands on version {version} of its project's approval; version {highest} has been seen"
    )]
    Superseded {
        /// The order's.
        version: u32,
        /// The highest one seen.
        highest: u32,
    },
    /// The order is for another register than the caller's.
    #[error("the order is for another register than that of the caller's certificate")]
    OtherRegister,
    /// Another order was presented before for the same project, run and register.
    #[error("another order has been presented for this project, run and register")]
    Forged,
    /// The codes of the order have been mapped: its run is over for this register.
    #[error("the order is stale: its codes have been mapped, and its key is no longer given")]
    Closed,
    /// No partner has fetched the key of the order.
    #[error("no register node has fetched the key of this order")]
    NotFetched,
    /// More codes than the order allows rows.
    #[error("there are more linkage codes than the order allows rows")]
    TooManyCodes,
    /// The version of the root secret that the run's key came from has been destroyed.
    #[error("the root secret that the run's key came from is no longer held; start a new run")]
    RootDestroyed,
    /// The order cannot be encoded.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
    /// What a portal presents is no identity number.
    #[error(transparent)]
    NotAnFnr(#[from] NotAnFnr),
    /// A ticket that is unknown, used, too old, or another portal's: which of these is not told.
    #[error(
        "the ticket is not good: each is for one call of the portal that it was given to, within two minutes"
    )]
    Ticket,
    /// Too many tickets are open.
    #[error("too many tickets are open; try again in two minutes")]
    TooManyTickets,
    /// There is no randomness for a ticket.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// A resolution that is not there, not for this steward, collected or too old: which of these is not told.
    #[error(
        "there is nothing to collect: a resolution is given once, within a day, to the steward who signed it last"
    )]
    Resolution,
    /// A statement that was handed in before.
    #[error("this resolution was handed in before; each statement is good once")]
    ResolutionUsed,
    /// A statement whose time is up, or that is dated in the future.
    #[error("a resolution is signed and carried out within 14 days of when it was asked for")]
    ResolutionStale,
    /// The work was stopped in the middle.
    #[error("the identity service is shutting down")]
    Stopped,
}

impl From<IdentityError> for Refusal {
    fn from(error: IdentityError) -> Self {
        use IdentityError as E;
        use RefusalKind as K;
        let (kind, code) = match &error {
            E::Vault(_) => {
                tracing::error!(%error, "the vault does not answer");
                let hint = "the identity service has a fault of its own; its log says which";
                return Self::new(K::Internal, "identity.vault", hint);
            }
            E::Header(_) => (K::Invalid, "identity.header"),
            E::Busy => (K::Unavailable, "identity.busy"),
            E::TooManyPersons => (K::Limit, "identity.too_many_persons"),
            E::Approval(_) => (K::Denied, "identity.approval"),
            E::Order(OrderError::Stale) => (K::Precondition, "identity.stale_order"),
            E::Order(_) => (K::Denied, "identity.order"),
            E::Superseded { .. } => (K::Denied, "identity.superseded_approval"),
            E::OtherRegister => (K::Denied, "identity.other_register"),
            E::Forged => (K::Denied, "identity.forged_order"),
            E::Closed => (K::Precondition, "identity.stale_order"),
            E::NotFetched => (K::Precondition, "identity.key_not_fetched"),
            E::TooManyCodes => (K::Limit, "identity.too_many_codes"),
            E::RootDestroyed => (K::Precondition, "identity.root_destroyed"),
            E::Canonical(_) => (K::Invalid, "identity.encoding"),
            E::NotAnFnr(_) => (K::Invalid, "identity.not_a_number"),
            E::Ticket => (K::Denied, "identity.ticket"),
            E::TooManyTickets => (K::Limit, "identity.too_many_tickets"),
            E::Entropy(_) => (K::Internal, "identity.entropy"),
            E::Resolution => (K::Denied, "identity.resolution"),
            E::ResolutionUsed => (K::Precondition, "identity.resolution_used"),
            E::ResolutionStale => (K::Precondition, "identity.resolution_stale"),
            E::Stopped => (K::Unavailable, "identity.stopped"),
        };
        Self::new(kind, code, error.to_string())
    }
}
