//! Who is born when: the population sorted by birth date is cut into days, so that each person has a
//! place of its own on a day, and with it an identity number of its own, without a list of persons.

use super::calendar::{Day, days_in};
use super::calibration;
use super::permutation::Permutation;

/// Where a person stands among those born on the same day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Birth {
    pub(super) day: Day,
    /// 1 man, 2 woman.
    pub(super) sex: u8,
    /// From 0, among persons of the same day and sex.
    pub(super) rank: u32,
}

/// The birth years, with how many persons each has.
pub(super) struct Cohorts {
    /// First place of each year, in order.
    years: Vec<(u32, i32)>,
    persons: u32,
    order: Permutation,
    sexes: Permutation,
}

impl Cohorts {
    /// Spreads persons over the birth years up to `last`, by their age at the start of `first`. Years
    /// after that have as many births as the year before it.
    pub(super) fn new(persons: u32, first: i32, last: i32, keys: [u64; 4]) -> Self {
        let ages = calibration::age_weights();
        let youngest = ages.first().copied().unwrap_or_default();
        let weight = |year: i32| {
            let age = first - 1 - year;
            usize::try_from(age).ok().and_then(|age| ages.get(age)).copied().unwrap_or(youngest)
        };
        let years = first - 1 - calibration::MAX_AGE..=last;
        let total: f64 = years.clone().map(weight).sum();
        let mut sum = 0.0;
        let years = years
            .map(|year| {
                let start = (sum / total * f64::from(persons)).round() as u32;
                sum += weight(year);
                (start, year)
            })
            .collect();
        let order = Permutation::new(keys, u64::from(persons));
        Self { years, persons, order, sexes: Permutation::new(keys, 1 << 20) }
    }

    /// The birth of the person with this index.
    pub(super) fn birth(&self, person: u32) -> Birth {
        let place = self.order.apply(u64::from(person)) as u32;
        let at = self.years.partition_point(|(start, _)| *start <= place);
        let (start, year) = self.years.get(at.wrapping_sub(1)).copied().unwrap_or_default();
        let end = self.years.get(at).map_or(self.persons, |(start, _)| *start);
        let (place, count) = (u64::from(place - start), u64::from(end - start).max(1));
        let days = days_in(year) as u64;
        let of_year = place * days / count;
        let rank = (place - (of_year * count).div_ceil(days)) as u32;
        let day = Day::first_of(year).plus(of_year as i32);
        // Which sex comes first differs by day, or a small population would have one sex only.
        let from_1900 = day.since(Day::first_of(1900)).unsigned_abs();
        let first = self.sexes.apply(u64::from(from_1900)) as u32;
        Birth { day, sex: 1 + ((rank + first) % 2) as u8, rank: rank / 2 }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::registers::synth::{number::tests::ROOM, options::MAX_PERSONS};

    #[test]
    fn each_person_has_a_place_of_its_own() {
        let cohorts = Cohorts::new(60_000, 2024, 2025, [1, 2, 3, 4]);
        let births: Vec<_> = (0..60_000).map(|p| cohorts.birth(p)).collect();
        let places: HashSet<_> = births.iter().map(|b| (b.day, b.sex, b.rank)).collect();
        assert_eq!(places.len(), births.len());
        let men = births.iter().filter(|b| b.sex == 1).count();
        assert!((29_000..31_000).contains(&men), "{men}");
        let old = births.iter().filter(|b| b.day < Day::first_of(1957)).count() as f64 / 60_000.0;
        assert!((0.155..0.18).contains(&old), "{old}");
        assert!(births.iter().all(|b| (1919..=2025).contains(&b.day.year())));
        assert!(births.iter().any(|b| b.day.year() == 2025));
    }

    #[test]
    fn the_largest_population_fits_its_days() {
        let cohorts = Cohorts::new(MAX_PERSONS, 2017, 2017, [1, 2, 3, 4]);
        let most = (0..MAX_PERSONS).step_by(5).map(|p| cohorts.birth(p).rank).max().unwrap();
        assert!((100..ROOM).contains(&most), "{most}");
    }
}
