//! Which feeds are under way. A register names up to eight million persons by codes, which the gateway holds in memory: so an
//! organisation has one feed under way at a time, and all together have few.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::ids::OrganisationId;
use crate::domain::refusal::{Refusal, RefusalKind};

/// The most feeds under way at the same time, each with at most 128 MB of codes.
const MOST_FEEDS: usize = 4;

/// The organisations whose feeds are under way.
#[derive(Debug, Clone, Default)]
pub struct FeedTurns {
    taking: Arc<Mutex<BTreeSet<OrganisationId>>>,
}

/// An organisation's turn, from before its order is given until its feed has ended. Given back when dropped.
#[derive(Debug)]
pub(super) struct FeedTurn {
    organisation: OrganisationId,
    turns: FeedTurns,
}

impl FeedTurns {
    /// The turn of an organisation, if it is free.
    ///
    /// # Errors
    /// A [`Refusal`]: nobody waits in line, since a call that waits takes something too.
    pub(super) fn begin(&self, organisation: &OrganisationId) -> Result<FeedTurn, Refusal> {
        let mut taking = self.lock();
        if taking.contains(organisation) {
            let hint = "a feed of this organisation is under way; take this one when that has ended: when it is released or \
                        refused, its call is dropped, or its order expires without the codes";
            return Err(Refusal::new(RefusalKind::Unavailable, "feed.one_at_a_time", hint));
        }
        if taking.len() >= MOST_FEEDS {
            let hint = "as many feeds as the gateway makes at the same time are under way; take this one in some minutes";
            return Err(Refusal::new(RefusalKind::Unavailable, "feed.too_many", hint));
        }
        taking.insert(organisation.clone());
        Ok(FeedTurn { organisation: organisation.clone(), turns: self.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<OrganisationId>> {
        self.taking.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for FeedTurn {
    fn drop(&mut self) {
        self.turns.lock().remove(&self.organisation);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBERS: [&str; MOST_FEEDS + 1] = ["310000000", "310000019", "310000027", "310000035", "310000043"];

    fn organisation(number: usize) -> OrganisationId {
        OrganisationId::new(format!("NTRNO-{}", NUMBERS[number])).unwrap()
    }

    #[test]
    fn an_organisation_has_one_turn_and_all_together_few() {
        let turns = FeedTurns::default();
        let code = |number| turns.begin(&organisation(number)).map(drop).map_err(|r| (r.kind, r.code));
        let mut held: Vec<FeedTurn> =
            (0..MOST_FEEDS).map(|number| turns.begin(&organisation(number)).unwrap()).collect();
        assert_eq!(code(0), Err((RefusalKind::Unavailable, "feed.one_at_a_time")));
        assert_eq!(code(MOST_FEEDS), Err((RefusalKind::Unavailable, "feed.too_many")));
        // Each gives its own back, and a refusal takes nobody's.
        held.remove(0);
        assert_eq!(code(1), Err((RefusalKind::Unavailable, "feed.one_at_a_time")));
        assert_eq!(code(0), Ok(()));
        assert_eq!(code(MOST_FEEDS), Ok(()));
        drop(held);
        assert!(turns.lock().is_empty());
    }
}
