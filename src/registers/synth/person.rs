//! One synthetic person: birth, numbers, homes, death. Everything from the person's index and the seed.

use super::calendar::Day;
use super::calibration;
use super::cohort::{Birth, Cohorts};
use super::draw::{Draw, Purpose, Streams};
use super::geography::Regions;
use super::number::{self, Number};

/// A home for some time; `to` is the last day there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stay {
    pub(super) municipality: u16,
    pub(super) from: Day,
    pub(super) to: Option<Day>,
}

/// A number for some time; `to` is its last day.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    pub(super) number: Number,
    pub(super) d_number: bool,
    pub(super) new_rule: bool,
    pub(super) from: Day,
    pub(super) to: Option<Day>,
}

/// A person of the population register.
#[derive(Debug, Clone)]
pub(super) struct Person {
    pub(super) index: u32,
    /// 1 man, 2 woman.
    pub(super) sex: u8,
    pub(super) birth: Day,
    pub(super) death: Option<Day>,
    /// The first day abroad.
    pub(super) emigrated: Option<Day>,
    pub(super) stays: Vec<Stay>,
    pub(super) numbers: Vec<Held>,
    /// The class of [`calibration::FRAILTY`].
    pub(super) frailty: usize,
    /// Never uses what KUHR pays for.
    pub(super) never: bool,
    /// Gets care services in the years when the share for the age is above this.
    pub(super) care: f64,
    /// First and last day in the country.
    present: (Day, Option<Day>),
}

impl Person {
    /// The age reached in a year.
    pub(super) fn age_in(&self, year: i32) -> i32 {
        year - self.birth.year()
    }

    /// The days of a year on which the person is alive and in the country.
    pub(super) fn present_in(&self, year: i32) -> Option<(Day, Day)> {
        let from = self.present.0.max(Day::first_of(year));
        let to = self.present.1.map_or(Day::last_of(year), |to| to.min(Day::last_of(year)));
        (from <= to).then_some((from, to))
    }

    /// The municipality of residence on a day.
    pub(super) fn home(&self, day: Day) -> Option<u16> {
        let stay = self.stays.iter().rfind(|stay| stay.from <= day)?;
        stay.to.is_none_or(|to| day <= to).then_some(stay.municipality)
    }

    /// Which of the numbers a register notes on a day.
    pub(super) fn slot(&self, day: Day) -> usize {
        self.numbers.iter().rposition(|held| held.from <= day).unwrap_or_default()
    }
}

/// What persons are made from.
pub(super) struct Population {
    pub(super) streams: Streams,
    pub(super) regions: Regions,
    pub(super) cohorts: Cohorts,
    /// The first and last year delivered.
    pub(super) years: (i32, i32),
    pub(super) messy: bool,
}

/// How a person came to be in the register.
enum Kind {
    /// Here for some months with a D-number only.
    Temporary,
    /// Came within the last years.
    Immigrant,
    /// Left before the first year.
    Gone,
    /// Has long lived here.
    Settled,
}

/// Shares of persons, invented.
const TEMPORARY: f64 = 0.012;
const IMMIGRANT: f64 = 0.022;
const GONE: f64 = 0.008;
/// Of immigrants, those who first had a D-number.
const FIRST_D_NUMBER: f64 = 0.7;
/// Persons whose fnr was replaced by another within the years delivered or the two before.
const REPLACED: f64 = 0.004;
/// Yearly chance that a resident of 18 to 60 emigrates.
const EMIGRATES: f64 = 0.006;
/// Of every so many ranks of a day, one can have a replaced number, so that those kept are enough.
const REPLACED_EVERY: u32 = 8;

impl Population {
    /// The person with this index. None when the day of birth has no number left, which
    /// [`super::options::MAX_PERSONS`] rules out.
    pub(super) fn person(&self, index: u32) -> Option<Person> {
        let birth = self.cohorts.birth(index);
        let mut draw = self.streams.of(Purpose::Life, index);
        let (first, last) = self.years;
        let age = first - birth.day.year();
        let frailty = draw.below(calibration::FRAILTY.len() as u32) as usize;
        let (never, care) = (draw.chance(calibration::NEVER), draw.share());
        let mut person = Person {
            index,
            sex: birth.sex,
            birth: birth.day,
            death: None,
            emigrated: None,
            stays: Vec::new(),
            numbers: Vec::with_capacity(2),
            frailty,
            never,
            care,
            present: (birth.day, None),
        };
        let window = Day::last_of(last).since(Day::first_of(first));
        let start = match kind(draw.share(), age) {
            Kind::Temporary => {
                let arrival = Day::first_of(first).plus(draw.between(-200, window));
                person.present = (arrival, Some(arrival.plus(draw.between(60, 700))));
                let number = number::d_number(birth.day, birth.sex, birth.rank)?;
                person.numbers.push(held(number, true, arrival));
                return Some(person);
            }
            Kind::Immigrant => {
                let settled = Day::first_of(first).plus(draw.between(-1095, window)).max(birth.day.plus(1));
                self.arrive(&mut person, birth, settled, &mut draw)?;
                settled
            }
            Kind::Gone => {
                person.emigrated =
                    Some(Day::first_of(first).plus(-draw.between(0, 3650)).max(birth.day.plus(1)));
                birth.day
            }
            Kind::Settled => birth.day,
        };
        if start == birth.day {
            self.number_from_birth(&mut person, birth, &mut draw)?;
        }
        self.live(&mut person, start, &mut draw);
        self.renumber(&mut person);
        Some(person)
    }

    /// D-number, then fnr and residence.
    fn arrive(&self, person: &mut Person, birth: Birth, settled: Day, draw: &mut Draw) -> Option<()> {
        person.present.0 = settled;
        let fnr = number::fnr(birth.day, birth.sex, birth.rank)?;
        if draw.chance(FIRST_D_NUMBER) {
            let arrival = settled.plus(-draw.between(30, 500)).max(birth.day);
            if arrival < settled {
                let mut first = held(number::d_number(birth.day, birth.sex, birth.rank)?, true, arrival);
                first.to = Some(settled.plus(-1));
                person.numbers.push(first);
                person.present.0 = arrival;
            }
        }
        person.numbers.push(held(fnr, false, settled));
        Some(())
    }

    /// The fnr from birth, for a few replaced by another later.
    fn number_from_birth(&self, person: &mut Person, birth: Birth, draw: &mut Draw) -> Option<()> {
        let fnr = number::fnr(birth.day, birth.sex, birth.rank)?;
        let (first, last) = self.years;
        let shifted = birth.rank + birth.day.since(Day::first_of(1900)).unsigned_abs() % REPLACED_EVERY;
        let eligible = shifted.is_multiple_of(REPLACED_EVERY) && shifted / REPLACED_EVERY < number::RESERVED;
        if draw.chance(REPLACED * f64::from(REPLACED_EVERY)) && eligible {
            let window = Day::last_of(last).since(Day::first_of(first - 2));
            let change = Day::first_of(first - 2).plus(draw.between(0, window));
            if change > birth.day {
                let number = number::former_fnr(birth.day, birth.sex, shifted / REPLACED_EVERY)?;
                let mut former = held(number, false, birth.day);
                former.to = Some(change.plus(-1));
                person.numbers.push(former);
                person.numbers.push(held(fnr, false, change));
                return Some(());
            }
        }
        person.numbers.push(held(fnr, false, birth.day));
        Some(())
    }

    /// Moves, death or emigration, from the first day of residence on.
    fn live(&self, person: &mut Person, start: Day, draw: &mut Draw) {
        let (first, last) = self.years;
        let age = person.age_in(first);
        let mut moves = Vec::new();
        if age >= 18 {
            let earlier = [0.5, 0.25].into_iter().filter(|p| draw.chance(*p)).count();
            let days = Day::first_of(first).since(start).clamp(0, 20 * 365);
            for _ in 0..earlier {
                moves.push(Day::first_of(first).plus(-draw.between(0, days)));
            }
        }
        for year in first..=last {
            let of_year = draw.between(0, 364);
            let restless = if (19..35).contains(&person.age_in(year)) { 0.09 } else { 0.027 };
            if draw.chance(restless) {
                moves.push(Day::first_of(year).plus(of_year));
            }
            let (day, fate) = (Day::first_of(year).plus(draw.between(0, 364)), draw.share());
            if person.death.is_some() || person.emigrated.is_some() || day <= start {
                continue;
            }
            let death = calibration::death_rate(person.age_in(year));
            if fate < death {
                person.death = Some(day);
            } else if fate < death + EMIGRATES && (18..=60).contains(&person.age_in(year)) {
                person.emigrated = Some(day);
            }
        }
        let end = person.death.or(person.emigrated.map(|day| day.plus(-1)));
        person.present.1 = end;
        moves.sort_unstable();
        moves.retain(|day| *day > start && end.is_none_or(|end| *day <= end));
        let mut stay = Stay { municipality: self.regions.home(draw), from: start, to: None };
        for day in moves {
            let municipality = self.regions.destination(stay.municipality, draw);
            if municipality != stay.municipality && day > stay.from {
                person.stays.push(Stay { to: Some(day.plus(-1)), ..stay });
                stay = Stay { municipality, from: day, to: None };
            }
        }
        person.stays.push(Stay { to: end, ..stay });
    }

    /// Gives a few persons, where faults are asked for, a number by the rule from 2032.
    fn renumber(&self, person: &mut Person) {
        if !self.messy {
            return;
        }
        let mut draw = self.streams.of(Purpose::NewRule, person.index);
        if let Some(held) = person.numbers.last_mut()
            && draw.chance(super::faults::NEW_RULE_SHARE)
            && let Some(number) = number::by_2032_rule(held.number)
        {
            held.number = number;
            held.new_rule = true;
        }
    }
}

fn kind(at: f64, age: i32) -> Kind {
    match at {
        _ if age < 1 => Kind::Settled,
        at if at < TEMPORARY && (18..=60).contains(&age) => Kind::Temporary,
        at if at < TEMPORARY => Kind::Settled,
        at if at < TEMPORARY + IMMIGRANT => Kind::Immigrant,
        at if at < TEMPORARY + IMMIGRANT + GONE => Kind::Gone,
        _ => Kind::Settled,
    }
}

const fn held(number: Number, d_number: bool, from: Day) -> Held {
    Held { number, d_number, new_rule: false, from, to: None }
}
