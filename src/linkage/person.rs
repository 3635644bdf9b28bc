//! A registered person at the gateway: a person number that the identity service has given for a portal's ticket.

use futures::future::BoxFuture;

use crate::domain::ids::PersonNo;
use crate::domain::person::{Portal, Ticket};
use crate::domain::refusal::Refusal;

/// A person for whom a portal acts, who has a number. What is kept about one person is shown for nothing less, and nobody
/// makes one but the identity service, for a ticket:
///
/// ```compile_fail,E0624
/// let anyone = kpr::linkage::RegisteredPerson::redeemed(kpr::domain::ids::PersonNo(7));
/// ```
///
/// ```compile_fail,E0423
/// let anyone = kpr::linkage::RegisteredPerson(kpr::domain::ids::PersonNo(7));
/// ```
///
/// ```compile_fail,E0599
/// fn another(person: &kpr::linkage::RegisteredPerson) -> kpr::linkage::RegisteredPerson {
///     person.clone()
/// }
/// ```
#[derive(Debug)]
pub struct RegisteredPerson(PersonNo);

impl RegisteredPerson {
    /// The person that the identity service has named for a ticket. For `wire` alone.
    pub(crate) const fn redeemed(person: PersonNo) -> Self {
        Self(person)
    }

    /// The person's number.
    #[must_use]
    pub const fn number(&self) -> PersonNo {
        self.0
    }
}

/// Asks the identity service whom a ticket stands for.
pub trait TicketDesk: Send + Sync {
    /// The person, or `None` for somebody whom the identity service does not know. The ticket is used up. A refusal
    /// does not tell what is wrong with a ticket.
    fn redeem<'a>(
        &'a self,
        portal: &'a Portal,
        ticket: &'a Ticket,
    ) -> BoxFuture<'a, Result<Option<RegisteredPerson>, Refusal>>;
}
