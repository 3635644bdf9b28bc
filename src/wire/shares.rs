//! What one caller may take of a server: so many calls a minute with a reserve for bursts, and so many at once.
//!
//! The rate is kept by the generic cell rate algorithm, a token bucket that needs one instant a caller: when its bucket
//! will be full again. The clock is the caller's of [`Shares::enter`].

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::authorise::{Caller, Role};
use crate::config::CallLimit;

/// Callers remembered at a time. One is forgotten once its bucket is full and it has no call.
const MOST_CALLERS: usize = 4096;

/// Limits that cannot be kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadLimit {
    /// No role has this name.
    #[error("limits: {0:?} is no role")]
    Role(String),
    /// A number that lets nobody in, or more than can be counted.
    #[error("limits.{0}: per_minute, burst and at_once must each be from 1 to 1000000")]
    Number(Role),
}

/// Why a caller has to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Its calls come too fast: the next one is taken after this time.
    For(Duration),
    /// It has as many calls in progress as it may have.
    UntilOneEnds,
    /// More callers than are remembered.
    Crowd,
}

/// The shares of all callers of a server.
#[derive(Debug)]
pub struct Shares {
    limits: BTreeMap<Role, CallLimit>,
    callers: Mutex<HashMap<Caller, Share>>,
}

#[derive(Debug)]
struct Share {
    full_at: Instant,
    calls: u32,
}

/// A call's place in its caller's share, given back when dropped.
#[derive(Debug)]
pub struct Place {
    shares: Arc<Shares>,
    caller: Caller,
}

impl Default for Shares {
    fn default() -> Self {
        let limits = Role::ALL.into_iter().map(|role| (role, default_limit(role))).collect();
        Self { limits, callers: Mutex::default() }
    }
}

/// People work by hand or by script; the parties of the installation talk to each other all the time.
const fn default_limit(role: Role) -> CallLimit {
    match role {
        Role::Steward | Role::Researcher | Role::Consumer | Role::Auditor | Role::Sender => {
            CallLimit { per_minute: 3000, burst: 300, at_once: 48 }
        }
        Role::Partner | Role::Ingest | Role::Gateway | Role::Identity | Role::Witness | Role::Portal => {
            CallLimit { per_minute: 12_000, burst: 1200, at_once: 128 }
        }
    }
}

impl Shares {
    /// The limits of a configuration by the name of the role; a role that is not named has a default.
    ///
    /// # Errors
    /// [`BadLimit`].
    pub fn new(limits: &BTreeMap<String, CallLimit>) -> Result<Self, BadLimit> {
        let mut shares = Self::default();
        for (name, limit) in limits {
            let role: Role = name.parse().map_err(|_| BadLimit::Role(name.clone()))?;
            let good = |number| (1..=1_000_000).contains(&number);
            if ![limit.per_minute, limit.burst, limit.at_once].into_iter().all(good) {
                return Err(BadLimit::Number(role));
            }
            shares.limits.insert(role, *limit);
        }
        Ok(shares)
    }

    /// A place for a call that comes `now`.
    ///
    /// # Errors
    /// [`Wait`].
    pub fn enter(self: &Arc<Self>, caller: &Caller, now: Instant) -> Result<Place, Wait> {
        let limit = self.limits.get(&caller.role()).copied().unwrap_or(default_limit(caller.role()));
        let mut callers = self.lock();
        if callers.len() >= MOST_CALLERS && !callers.contains_key(caller) {
            callers.retain(|_, share| share.calls > 0 || share.full_at > now);
            if callers.len() >= MOST_CALLERS {
                return Err(Wait::Crowd);
            }
        }
        let share = callers.entry(caller.clone()).or_insert(Share { full_at: now, calls: 0 });
        let one = Duration::from_secs(60) / limit.per_minute;
        let full_at = share.full_at.max(now) + one;
        let early = (full_at - now).saturating_sub(one * limit.burst);
        if !early.is_zero() {
            return Err(Wait::For(early));
        }
        if share.calls >= limit.at_once {
            return Err(Wait::UntilOneEnds);
        }
        share.full_at = full_at;
        share.calls += 1;
        Ok(Place { shares: Arc::clone(self), caller: caller.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Caller, Share>> {
        self.callers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(share) = self.shares.lock().get_mut(&self.caller) {
            share.calls = share.calls.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::OrganisationId;

    fn caller(name: &str) -> Caller {
        let organisation = OrganisationId::new("NTRNO-310000035").unwrap();
        Caller::from_certificate(organisation, Role::Researcher, name.to_owned())
    }

    fn shares(per_minute: u32, burst: u32, at_once: u32) -> Arc<Shares> {
        let limit = CallLimit { per_minute, burst, at_once };
        Arc::new(Shares::new(&[("researcher".to_owned(), limit)].into()).unwrap())
    }

    #[test]
    fn a_burst_is_taken_then_calls_at_the_rate_and_others_are_not_held_up() {
        let (shares, start) = (shares(60, 5, 100), Instant::now());
        let after = |seconds| start + Duration::from_secs_f64(seconds);
        for _ in 0..5 {
            assert!(shares.enter(&caller("a"), start).is_ok());
        }
        assert_eq!(shares.enter(&caller("a"), start).unwrap_err(), Wait::For(Duration::from_secs(1)));
        assert_eq!(
            shares.enter(&caller("a"), after(0.75)).unwrap_err(),
            Wait::For(Duration::from_millis(250))
        );
        assert!(shares.enter(&caller("b"), start).is_ok());
        assert!(shares.enter(&caller("a"), after(1.0)).is_ok());
        assert!(shares.enter(&caller("a"), after(1.0)).is_err(), "what was refused has cost nothing");
        // An hour's rest fills the bucket once, not more.
        let taken = (0..20).filter(|_| shares.enter(&caller("a"), after(3600.0)).is_ok()).count();
        assert_eq!(taken, 5);
    }

    #[test]
    fn so_many_calls_at_once_and_a_place_comes_back() {
        let (shares, now) = (shares(60_000, 1000, 2), Instant::now());
        let first = shares.enter(&caller("a"), now).unwrap();
        let _second = shares.enter(&caller("a"), now).unwrap();
        assert_eq!(shares.enter(&caller("a"), now).unwrap_err(), Wait::UntilOneEnds);
        assert!(shares.enter(&caller("b"), now).is_ok());
        drop(first);
        assert!(shares.enter(&caller("a"), now).is_ok());
    }

    #[test]
    fn callers_are_forgotten_once_they_have_rested_and_a_crowd_is_refused() {
        let (shares, now) = (shares(60, 5, 2), Instant::now());
        for number in 0..MOST_CALLERS {
            shares.enter(&caller(&format!("c{number}")), now).unwrap();
        }
        assert_eq!(shares.enter(&caller("new"), now).unwrap_err(), Wait::Crowd);
        assert!(shares.enter(&caller("c7"), now).is_ok(), "one that is known goes on");
        assert!(shares.enter(&caller("new"), now + Duration::from_secs(10)).is_ok());
        assert!(shares.lock().len() < 3);
    }

    #[test]
    fn limits_that_let_nobody_in_are_refused() {
        let limit = CallLimit { per_minute: 60, burst: 5, at_once: 2 };
        let new = |name: &str, limit| Shares::new(&[(name.to_owned(), limit)].into()).unwrap_err();
        assert_eq!(new("boss", limit), BadLimit::Role("boss".to_owned()));
        for bad in [CallLimit { per_minute: 0, ..limit }, CallLimit { burst: 0, ..limit }] {
            assert_eq!(new("partner", bad), BadLimit::Number(Role::Partner));
        }
        assert!(new("partner", CallLimit { at_once: 0, ..limit }).to_string().contains("limits.partner"));
    }
}
