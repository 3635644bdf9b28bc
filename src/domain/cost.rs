//! What a project has cost the register keeper: measured machine work and registered hours at configured rates, in whole
//! øre, never above what was measured and registered (KPR regulation 4-9).

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use super::canonical::Canonical;
use super::ids::{ProjectId, RequestId, RunId, StewardId};
use super::refusal::{Refusal, RefusalKind};
use super::words::Words;

/// What an hour costs, in øre.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rates {
    /// An hour that a steward has worked.
    pub ore_an_hour: u32,
    /// An hour of the gateway's machine.
    pub ore_a_machine_hour: u32,
}

/// A run's share of the machine, in microseconds. While several runs work, each moment is shared equally among them, so
/// that no moment is counted twice. Waiting for a partner or for a turn is no work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// While the engine counted.
    pub executing_us: u64,
    /// In disclosure control, until the result was recorded.
    pub protecting_us: u64,
}

impl Work {
    /// All of it.
    #[must_use]
    pub const fn microseconds(self) -> u64 {
        self.executing_us.saturating_add(self.protecting_us)
    }
}

/// The machine work of a run of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunWork {
    /// The run.
    pub run: RunId,
    /// When it was asked.
    pub asked: DateTime<Utc>,
    /// What it took.
    pub work: Work,
    /// Whether a fault ended it. Such work is not the project's to pay.
    pub failed: bool,
}

/// Hours that a steward has worked on a project. One who has registered too much registers the difference as less than
/// nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hours {
    /// What the steward names the entry by: the same entry again is not registered twice.
    pub entry: RequestId,
    /// The project.
    pub project: ProjectId,
    /// Who worked.
    pub steward: StewardId,
    /// On which day.
    pub day: NaiveDate,
    /// How many minutes; less than nothing takes back what was registered.
    pub minutes: i32,
    /// At what.
    pub what: Words,
}

/// The most minutes that a day has.
pub const DAY: i64 = 24 * 60;

/// Why hours are not registered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HoursError {
    /// No minutes, or more than a day has.
    #[error("an entry has 1 to {DAY} minutes, or as many less than nothing to take some back")]
    Minutes,
    /// More than a day has in all, or more is taken back than was registered.
    #[error(
        "a steward's minutes of a day, {on_day} with these, must be at most {DAY} over all projects, and those of one \
         project, {on_project} with these, not less than nothing"
    )]
    Sum {
        /// The steward's minutes of the day, over all projects.
        on_day: i64,
        /// Those on the project.
        on_project: i64,
    },
    /// A day that is yet to come.
    #[error("hours are registered for today or an earlier day")]
    Day,
    /// The entry's name stands for other hours.
    #[error("entry {0} is used for other hours; give these a name of their own")]
    EntryTaken(RequestId),
}

impl From<HoursError> for Refusal {
    fn from(error: HoursError) -> Self {
        let (kind, code) = match &error {
            HoursError::Minutes => (RefusalKind::Invalid, "hours.minutes"),
            HoursError::Sum { .. } => (RefusalKind::Precondition, "hours.sum"),
            HoursError::Day => (RefusalKind::Invalid, "hours.day"),
            HoursError::EntryTaken(_) => (RefusalKind::Conflict, "hours.entry_taken"),
        };
        Self::new(kind, code, error.to_string())
    }
}

impl Hours {
    /// Checks them against what is registered already: the steward's minutes of that day, over all projects and on this
    /// one.
    ///
    /// # Errors
    /// [`HoursError`].
    pub fn check(&self, today: NaiveDate, on_day: i64, on_project: i64) -> Result<(), HoursError> {
        let minutes = i64::from(self.minutes);
        if minutes == 0 || minutes.abs() > DAY {
            return Err(HoursError::Minutes);
        }
        if self.day > today {
            return Err(HoursError::Day);
        }
        let (on_day, on_project) = (on_day.saturating_add(minutes), on_project.saturating_add(minutes));
        if on_day > DAY || on_project < 0 {
            return Err(HoursError::Sum { on_day, on_project });
        }
        Ok(())
    }
}

/// A line of a statement for a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MachineLine {
    /// The run.
    pub run: RunId,
    /// The day it was asked.
    pub day: NaiveDate,
    /// What it took.
    pub work: Work,
    /// Whether it is charged: a run that failed is not.
    pub charged: bool,
    /// What it costs, in øre.
    pub ore: u64,
}

/// A line of a statement for a steward's day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoursLine {
    /// Who worked.
    pub steward: StewardId,
    /// On which day.
    pub day: NaiveDate,
    /// How many minutes, what was taken back left out.
    pub minutes: u32,
    /// At what.
    pub what: Vec<Words>,
    /// What it costs, in øre.
    pub ore: u64,
}

/// What a project has cost so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// The project.
    pub project: ProjectId,
    /// When it was made.
    pub made: DateTime<Utc>,
    /// The rates.
    pub rates: Rates,
    /// A line for each run whose work was measured.
    pub machine: Vec<MachineLine>,
    /// A line for each day that a steward has worked.
    pub hours: Vec<HoursLine>,
    /// What all of it costs, in øre: the sum of the lines, each rounded down.
    pub ore: u64,
}

impl Canonical for Statement {
    const LABEL: &'static str = "kpr/cost-statement/v1";
}

/// `amount` units at so many øre for `unit` of them, rounded down.
fn price(amount: u64, ore: u32, unit: u64) -> u64 {
    let exact = u128::from(amount) * u128::from(ore) / u128::from(unit.max(1));
    u64::try_from(exact).unwrap_or(u64::MAX)
}

const MICROSECONDS_AN_HOUR: u64 = 3_600_000_000;
const MINUTES_AN_HOUR: u64 = 60;

impl Statement {
    /// The statement of a project.
    #[must_use]
    pub fn new(
        project: ProjectId,
        made: DateTime<Utc>,
        rates: Rates,
        runs: &[RunWork],
        hours: &[Hours],
    ) -> Self {
        let machine: Vec<MachineLine> = runs
            .iter()
            .map(|run| {
                let worth = price(run.work.microseconds(), rates.ore_a_machine_hour, MICROSECONDS_AN_HOUR);
                MachineLine {
                    run: run.run.clone(),
                    day: run.asked.date_naive(),
                    work: run.work,
                    charged: !run.failed,
                    ore: if run.failed { 0 } else { worth },
                }
            })
            .collect();
        let mut days: Vec<(&StewardId, NaiveDate)> = hours.iter().map(|h| (&h.steward, h.day)).collect();
        days.sort_by_key(|(steward, day)| (*day, *steward));
        days.dedup();
        let hours: Vec<HoursLine> = days
            .into_iter()
            .map(|(steward, day)| {
                let of = || hours.iter().filter(move |h| h.steward == *steward && h.day == day);
                let minutes = of().map(|h| i64::from(h.minutes)).sum::<i64>();
                let minutes = u32::try_from(minutes).unwrap_or(0);
                HoursLine {
                    steward: steward.clone(),
                    day,
                    minutes,
                    what: of().map(|h| h.what.clone()).collect(),
                    ore: price(minutes.into(), rates.ore_an_hour, MINUTES_AN_HOUR),
                }
            })
            .collect();
        let lines = machine.iter().map(|line| line.ore).chain(hours.iter().map(|line| line.ore));
        let ore = lines.fold(0_u64, u64::saturating_add);
        Self { project, made, rates, machine, hours, ore }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hours(steward: &str, day: u32, minutes: i32) -> Hours {
        Hours {
            entry: RequestId::new("e-1").unwrap(),
            project: ProjectId::new("P-2026-0001").unwrap(),
            steward: StewardId::new(steward).unwrap(),
            day: NaiveDate::from_ymd_opt(2026, 3, day).unwrap(),
            minutes,
            what: Words::new("reading").unwrap(),
        }
    }

    fn run(number: usize, work: Work, failed: bool) -> RunWork {
        let run = RunId::new(format!("r-{number:032x}")).unwrap();
        RunWork { run, asked: "2026-03-02T10:00:00Z".parse().unwrap(), work, failed }
    }

    fn statement(rates: Rates, runs: &[RunWork], hours: &[Hours]) -> Statement {
        let project = ProjectId::new("P-2026-0001").unwrap();
        Statement::new(project, "2026-04-01T00:00:00Z".parse().unwrap(), rates, runs, hours)
    }

    #[test]
    fn a_statement_adds_up_line_by_line() {
        let rates = Rates { ore_an_hour: 90_001, ore_a_machine_hour: 5_000 };
        let work = Work { executing_us: 1_800_000_000, protecting_us: 899_999_999 };
        let runs = [run(1, work, false), run(2, work, true)];
        let entries =
            [hours("bjorn", 2, 10), hours("anna", 3, 90), hours("anna", 2, 60), hours("anna", 3, -30)];
        let made = statement(rates, &runs, &entries);
        // Three quarters of an hour less a microsecond; a run that failed costs nothing.
        assert_eq!(made.machine.iter().map(|line| line.ore).collect::<Vec<_>>(), [3749, 0]);
        let lines: Vec<_> =
            made.hours.iter().map(|l| (l.steward.as_str(), l.minutes, l.what.len(), l.ore)).collect();
        assert_eq!(lines, [("anna", 60, 1, 90_001), ("bjorn", 10, 1, 15_000), ("anna", 60, 2, 90_001)]);
        assert_eq!(made.ore, 3749 + 90_001 + 15_000 + 90_001);
        let back = Statement::from_canonical(&made.canonical().unwrap()).unwrap();
        assert_eq!(back, made);
    }

    #[test]
    fn hours_are_within_a_day_and_taken_back_no_further_than_nothing() {
        let today = NaiveDate::from_ymd_opt(2026, 3, 5).unwrap();
        assert_eq!(hours("anna", 5, 1440).check(today, 0, 0), Ok(()));
        assert_eq!(hours("anna", 5, -60).check(today, 90, 60), Ok(()));
        for minutes in [0, 1441, -1441] {
            assert_eq!(hours("anna", 5, minutes).check(today, 0, 2000), Err(HoursError::Minutes));
        }
        assert_eq!(hours("anna", 6, 60).check(today, 0, 0), Err(HoursError::Day));
        assert!(matches!(
            hours("anna", 5, 61).check(today, 1380, 0),
            Err(HoursError::Sum { on_day: 1441, .. })
        ));
        assert!(matches!(
            hours("anna", 5, -61).check(today, 90, 60),
            Err(HoursError::Sum { on_project: -1, .. })
        ));
    }

    proptest! {
        /// The exact cost, as a fraction, is never exceeded, and less than an øre a line is lost.
        #[test]
        fn a_statement_is_never_above_actual_cost(
            ore_an_hour in 0_u32..10_000_000,
            ore_a_machine_hour in 0_u32..10_000_000,
            works in proptest::collection::vec((0_u64..1 << 40, 0_u64..1 << 40, any::<bool>()), 0..20),
            entries in proptest::collection::vec((0_usize..3, 1_u32..5, -200_i32..200), 0..40),
        ) {
            let rates = Rates { ore_an_hour, ore_a_machine_hour };
            let runs: Vec<RunWork> = works
                .iter()
                .enumerate()
                .map(|(n, (executing_us, protecting_us, failed))| {
                    run(n, Work { executing_us: *executing_us, protecting_us: *protecting_us }, *failed)
                })
                .collect();
            // Only what is accepted is registered.
            let today = NaiveDate::from_ymd_opt(2026, 3, 31).unwrap();
            let mut registered: Vec<Hours> = Vec::new();
            for (who, day, minutes) in entries {
                let new = hours(["anna", "bjorn", "carl"][who], day, minutes);
                let before: i64 = registered
                    .iter()
                    .filter(|h| h.steward == new.steward && h.day == new.day)
                    .map(|h| i64::from(h.minutes))
                    .sum();
                if new.check(today, before, before).is_ok() {
                    registered.push(new);
                }
            }
            let made = statement(rates, &runs, &registered);
            // In 3,600,000,000ths of an øre.
            let machine: u128 = runs.iter().filter(|r| !r.failed).map(|r| u128::from(r.work.microseconds())).sum();
            let minutes: i128 = registered.iter().map(|h| i128::from(h.minutes)).sum();
            let exact = machine * u128::from(ore_a_machine_hour)
                + minutes.unsigned_abs() * 60_000_000 * u128::from(ore_an_hour);
            prop_assert!(minutes >= 0);
            let stated = u128::from(made.ore) * 3_600_000_000;
            let lines = (made.machine.len() + made.hours.len()) as u128;
            prop_assert!(stated <= exact);
            prop_assert!(exact <= stated + lines * 3_600_000_000);
            let sum: u64 = made.machine.iter().map(|l| l.ore).chain(made.hours.iter().map(|l| l.ore)).sum();
            prop_assert_eq!(sum, made.ore);
        }
    }
}
