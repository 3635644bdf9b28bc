//! Tickets: what a citizen portal gets for a person it has authenticated, in place of a person number.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest as _, Sha256};

use super::error::IdentityError;
use crate::domain::clock::Entropy;
use crate::domain::ids::PersonNo;
use crate::domain::person::{Portal, Ticket};

/// How long a ticket is good for.
const LIFETIME: TimeDelta = TimeDelta::seconds(120);
/// The most tickets at a time.
const MOST: usize = 10_000;

/// A ticket that has not been used.
struct Open {
    person: Option<PersonNo>,
    portal: Portal,
    expires: DateTime<Utc>,
}

/// The tickets that have not been used, by their hashes. They live in memory: after a restart portals ask for new ones.
#[derive(Default)]
pub(super) struct Tickets(HashMap<[u8; 32], Open>);

fn hash(ticket: &Ticket) -> [u8; 32] {
    Sha256::digest(ticket.as_bytes()).into()
}

impl Tickets {
    /// A ticket for a person, or for somebody whom the vault does not know: the portal cannot tell which.
    pub(super) fn open(
        &mut self,
        person: Option<PersonNo>,
        portal: Portal,
        now: DateTime<Utc>,
        entropy: &dyn Entropy,
    ) -> Result<Ticket, IdentityError> {
        if self.0.len() >= MOST {
            self.0.retain(|_, open| open.expires > now);
        }
        if self.0.len() >= MOST {
            return Err(IdentityError::TooManyTickets);
        }
        let ticket = Ticket::random(entropy)?;
        self.0.insert(hash(&ticket), Open { person, portal, expires: now + LIFETIME });
        Ok(ticket)
    }

    /// Whom a ticket stands for. It is used up, also if it is another portal's or too old.
    pub(super) fn redeem(
        &mut self,
        ticket: &Ticket,
        portal: &Portal,
        now: DateTime<Utc>,
    ) -> Result<Option<PersonNo>, IdentityError> {
        match self.0.remove(&hash(ticket)) {
            Some(open) if open.portal == *portal && now < open.expires => Ok(open.person),
            _ => Err(IdentityError::Ticket),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::domain::clock::EntropyError;
    use crate::domain::ids::OrganisationId;

    struct Counting(AtomicU64);

    impl Entropy for Counting {
        fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
            let next = self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes();
            bytes.iter_mut().zip(next.iter().cycle()).for_each(|(byte, next)| *byte = *next);
            Ok(())
        }
    }

    fn portal(organisation: &str, name: &str) -> Portal {
        Portal { organisation: OrganisationId::new(organisation).unwrap(), name: name.to_owned() }
    }

    fn now() -> DateTime<Utc> {
        "2026-03-01T12:00:00Z".parse().unwrap()
    }

    fn refused(answer: Result<Option<PersonNo>, IdentityError>) -> bool {
        matches!(answer, Err(IdentityError::Ticket))
    }

    #[test]
    fn a_ticket_is_good_once_for_its_own_portal_and_for_two_minutes() {
        let entropy = Counting(AtomicU64::new(1));
        let (mut tickets, helsenorge) = (Tickets::default(), portal("NTRNO-310000051", "portal"));
        let open = |tickets: &mut Tickets, person| {
            tickets.open(person, helsenorge.clone(), now(), &entropy).unwrap()
        };
        let ticket = open(&mut tickets, Some(PersonNo(7)));
        let late = now() + LIFETIME;
        assert_eq!(tickets.redeem(&ticket, &helsenorge, now()).unwrap(), Some(PersonNo(7)));
        assert!(refused(tickets.redeem(&ticket, &helsenorge, now())));
        let ticket = open(&mut tickets, Some(PersonNo(7)));
        assert!(refused(tickets.redeem(&ticket, &helsenorge, late)));
        for other in [portal("NTRNO-310000078", "portal"), portal("NTRNO-310000051", "another")] {
            let ticket = open(&mut tickets, Some(PersonNo(7)));
            assert!(refused(tickets.redeem(&ticket, &other, now())));
            // Somebody has tried it elsewhere, so it is good nowhere.
            assert!(refused(tickets.redeem(&ticket, &helsenorge, now())));
        }
        let nobody = open(&mut tickets, None);
        assert_eq!(tickets.redeem(&nobody, &helsenorge, now()).unwrap(), None);
        assert!(refused(tickets.redeem(&Ticket::from_bytes([9; 32]), &helsenorge, now())));
    }

    #[test]
    fn there_are_so_many_at_a_time_and_old_ones_make_room() {
        let entropy = Counting(AtomicU64::new(1));
        let (mut tickets, portal) = (Tickets::default(), portal("NTRNO-310000051", "portal"));
        for _ in 0..MOST {
            tickets.open(None, portal.clone(), now(), &entropy).unwrap();
        }
        let full = tickets.open(None, portal.clone(), now(), &entropy);
        assert!(matches!(full, Err(IdentityError::TooManyTickets)));
        assert!(tickets.open(None, portal, now() + LIFETIME, &entropy).is_ok());
    }
}
