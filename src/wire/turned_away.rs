//! Calls that were turned away before they reached a service, counted for the audit log.
//!
//! A caller's first such call is told at once. More of the same caller, method and code are counted for a minute and told
//! together, and what is remembered is bounded, so that nobody can flood the log.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::authorise::{Caller, Role};

/// How long more of the same are gathered.
const MINUTE: Duration = Duration::from_secs(60);
/// Different ones remembered at a time; more are counted together.
const MOST: usize = 256;
/// The code of those that are counted together.
const OTHERS: &str = "access.others";

/// Calls of one kind that were turned away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turned {
    /// Who called; none if that is not known.
    pub caller: Option<Caller>,
    /// The path of the method, `*` for one that is in no table.
    pub method: &'static str,
    /// The code of the refusal.
    pub code: String,
    /// How many there were.
    pub calls: u64,
}

type Key = (Option<(String, Role, String)>, &'static str, String);

/// What was turned away and is not told yet.
#[derive(Debug, Default)]
pub struct TurnedAway {
    kinds: Mutex<BTreeMap<Key, Kind>>,
}

#[derive(Debug)]
struct Kind {
    caller: Option<Caller>,
    calls: u64,
    told: Option<Instant>,
}

impl TurnedAway {
    /// Counts a call.
    pub(super) fn add(&self, caller: Option<&Caller>, method: &'static str, code: &str) {
        let mut kinds = self.lock();
        let who = caller.map(|c| (c.organisation().to_string(), c.role(), c.name().to_owned()));
        let mut key = (who, method, code.to_owned());
        let mut caller = caller;
        if kinds.len() >= MOST && !kinds.contains_key(&key) {
            (key, caller) = ((None, "*", OTHERS.to_owned()), None);
        }
        let new = Kind { caller: caller.cloned(), calls: 0, told: None };
        kinds.entry(key).or_insert(new).calls += 1;
    }

    /// What is to be told `now`.
    pub fn due(&self, now: Instant) -> Vec<Turned> {
        let mut kinds = self.lock();
        kinds.retain(|_, kind| kind.calls > 0 || kind.told.is_some_and(|told| now < told + MINUTE));
        kinds
            .iter_mut()
            .filter_map(|(key, kind)| {
                let wait = kind.told.is_some_and(|told| now < told + MINUTE);
                (kind.calls > 0 && !wait).then(|| {
                    kind.told = Some(now);
                    take(key, kind)
                })
            })
            .collect()
    }

    /// All that is not told yet.
    pub fn rest(&self) -> Vec<Turned> {
        let mut kinds = self.lock();
        kinds.iter_mut().filter(|(_, kind)| kind.calls > 0).map(|(key, kind)| take(key, kind)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Kind>> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn take((_, method, code): &Key, kind: &mut Kind) -> Turned {
    let calls = std::mem::take(&mut kind.calls);
    Turned { caller: kind.caller.clone(), method, code: code.clone(), calls }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::OrganisationId;

    fn caller(name: &str) -> Caller {
        let organisation = OrganisationId::new("NTRNO-310000035").unwrap();
        Caller::from_certificate(organisation, Role::Researcher, name.to_owned())
    }

    #[test]
    fn the_first_is_told_at_once_and_more_of_the_same_a_minute_later() {
        let (turned, start) = (TurnedAway::default(), Instant::now());
        let (kari, ola) = (caller("kari"), caller("ola"));
        turned.add(Some(&kari), "/a/B", "access.role");
        assert_eq!(turned.due(start)[0].calls, 1);
        for _ in 0..1000 {
            turned.add(Some(&kari), "/a/B", "access.role");
        }
        turned.add(Some(&ola), "/a/B", "access.role");
        turned.add(None, "/a/B", "access.token");
        let told: Vec<_> =
            turned.due(start + Duration::from_secs(59)).into_iter().map(|t| t.caller).collect();
        assert_eq!(told, [None, Some(ola)]);
        let later = turned.due(start + MINUTE);
        assert_eq!((later.len(), later[0].calls, later[0].caller.as_ref()), (1, 1000, Some(&kari)));
        assert!(turned.due(start + 2 * MINUTE).is_empty());
        assert!(turned.rest().is_empty() && turned.due(start + 3 * MINUTE).is_empty());
        assert!(turned.lock().is_empty(), "what was told is forgotten");
    }

    #[test]
    fn a_flood_of_different_callers_is_bounded() {
        let (turned, now) = (TurnedAway::default(), Instant::now());
        for number in 0..10_000 {
            turned.add(Some(&caller(&format!("c{number}"))), "/a/B", "access.role");
        }
        let told = turned.due(now);
        assert_eq!(told.len(), MOST + 1);
        assert_eq!(told.iter().map(|t| t.calls).sum::<u64>(), 10_000);
        assert!(turned.due(now).is_empty());
    }
}
