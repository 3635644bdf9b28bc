//! How much of the machine each run takes.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::cost::Work;
use crate::domain::ids::RunId;
use crate::store::Phase;

/// Measures the work of runs. Each moment is shared equally among the runs that work in it, so that all of them together
/// take no more than the time that passed.
#[derive(Debug)]
pub struct Meter {
    began: Instant,
    shares: Mutex<Shares>,
}

impl Default for Meter {
    fn default() -> Self {
        Self { began: Instant::now(), shares: Mutex::default() }
    }
}

impl Meter {
    /// A run has come to a phase. Work is counted while it executes and protects.
    pub(super) fn enter(&self, run: &RunId, phase: Phase) {
        self.with(|shares, now| shares.enter(run, phase, now));
    }

    /// A run has ended, whatever way. What it took; nothing if it never worked.
    pub(super) fn leave(&self, run: &RunId) -> Option<Work> {
        self.with(|shares, now| shares.leave(run, now))
    }

    fn with<T>(&self, act: impl FnOnce(&mut Shares, Duration) -> T) -> T {
        // Nothing panics while it is held; if something did, no share is larger for it.
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        act(&mut shares, self.began.elapsed())
    }
}

/// What each run that works has taken so far, in nanoseconds.
#[derive(Debug, Default)]
struct Shares {
    until: Duration,
    working: HashMap<RunId, Share>,
}

#[derive(Debug, Default)]
struct Share {
    protecting: bool,
    executed: u128,
    protected: u128,
}

impl Shares {
    /// Shares the time since the last change among those that worked in it.
    fn advance(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.until);
        self.until = self.until.max(now);
        let each = passed.as_nanos().checked_div(self.working.len() as u128).unwrap_or(0);
        for share in self.working.values_mut() {
            let part = if share.protecting { &mut share.protected } else { &mut share.executed };
            *part += each;
        }
    }

    fn enter(&mut self, run: &RunId, phase: Phase, now: Duration) {
        self.advance(now);
        match phase {
            Phase::Executing => drop(self.working.insert(run.clone(), Share::default())),
            Phase::Protecting => self.working.entry(run.clone()).or_default().protecting = true,
            Phase::Authorised
            | Phase::Linking
            | Phase::Held
            | Phase::Released
            | Phase::Refused
            | Phase::Failed => {}
        }
    }

    fn leave(&mut self, run: &RunId, now: Duration) -> Option<Work> {
        self.advance(now);
        let share = self.working.remove(run)?;
        let microseconds = |nanoseconds: u128| u64::try_from(nanoseconds / 1000).unwrap_or(u64::MAX);
        Some(Work {
            executing_us: microseconds(share.executed),
            protecting_us: microseconds(share.protected),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(number: u8) -> RunId {
        RunId::new(format!("r-{number:032x}")).unwrap()
    }

    #[test]
    fn a_run_alone_takes_all_of_the_time_it_works_and_two_half_each() {
        let mut shares = Shares::default();
        let at = Duration::from_secs;
        shares.enter(&run(1), Phase::Linking, at(10));
        shares.enter(&run(1), Phase::Executing, at(20));
        shares.enter(&run(1), Phase::Protecting, at(26));
        shares.enter(&run(2), Phase::Executing, at(30));
        assert_eq!(
            shares.leave(&run(1), at(40)),
            Some(Work { executing_us: 6_000_000, protecting_us: 9_000_000 })
        );
        assert_eq!(shares.leave(&run(2), at(41)), Some(Work { executing_us: 6_000_000, protecting_us: 0 }));
        assert_eq!(shares.leave(&run(2), at(42)), None);
        // Nobody works, and a run that never came so far took nothing.
        shares.enter(&run(3), Phase::Linking, at(50));
        assert_eq!(shares.leave(&run(3), at(60)), None);
    }

    proptest! {
        #[test]
        fn all_runs_together_take_no_more_than_the_time_that_passed(
            acts in proptest::collection::vec((0_u8..5, 0_u8..3, 0_u64..10_000_000), 0..60),
        ) {
            let (mut shares, mut now, mut taken) = (Shares::default(), Duration::ZERO, 0);
            for (number, act, passed) in acts {
                now += Duration::from_nanos(passed);
                match act {
                    0 => shares.enter(&run(number), Phase::Executing, now),
                    1 => shares.enter(&run(number), Phase::Protecting, now),
                    _ => taken += shares.leave(&run(number), now).map_or(0, Work::microseconds),
                }
            }
            for number in 0..5 {
                taken += shares.leave(&run(number), now).map_or(0, Work::microseconds);
            }
            prop_assert!(u128::from(taken) * 1000 <= now.as_nanos());
        }
    }
}
