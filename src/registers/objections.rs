//! Objections to the registration of health data from dental care and from school and health station services
//! (2-2, first limb). They come as a delivery of their own, which holds every objection ever made, the ended ones too.
//!
//! What an objection covers is left out when a delivery is taken in: while the objection stands, whatever day the
//! contact is of; and for contacts of days on which it stood, also when it has ended. What was taken in before stays: an objection is one to
//! registration, and what is registered goes by erasure, or with the next delivery that corrects the same period. The
//! administrative part of a contact (2-1 a-c) is kept.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use arrow::array::AsArray;
use arrow::datatypes::{Date32Type, UInt32Type};
use chrono::NaiveDate;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::delivery::Layout;
use super::fault::FaultKind;
use super::field::{date_within, days, maybe, split};
use super::ingest::IngestError;
use super::part::Written;
use super::reading::{Job, Made, read};
use super::record::{Cell, Column, NO_DAY, Record, Traits, person_column, record, some_day};
use super::snapshot::{Manifest, part_path};

/// The dataset of objections. No register of the catalogue has it, so no query can name it.
pub(super) const DATASET: &str = "objection";

/// The services whose health data one may object to: dentist, orthodontist, dental hygienist; health station, which
/// school health services report as.
pub const COVERED_SERVICES: [u8; 4] = [6, 7, 8, 9];

/// 1 January 2000, before which nobody objected, as days since 1970-01-01.
const EARLIEST: i32 = 10_957;

record! {
    /// A row of `objection`.
    Objection { person: u32, from: i32, to: i32 }
}

impl Record for Objection {
    const ORDERED_BY: &'static str = "from_date";

    fn person(&self) -> u32 {
        self.person
    }
    fn day(&self) -> i32 {
        self.from
    }
    fn traits(&self) -> Traits {
        Traits { resident_until: None, ..Traits::default() }
    }
    fn columns() -> Vec<Column<Self>> {
        vec![
            person_column(false),
            Column::full("from_date", Cell::Date(|r| Some(r.from))),
            Column::maybe("to_date", Cell::Date(|r| some_day(r.to))),
        ]
    }
}

/// Reads and writes the content file of a delivery of objections.
pub(super) fn take_in(job: &Job<'_>) -> Result<Vec<Made>, IngestError> {
    let [objections] = Layout::Reservasjon.content() else { return Ok(Vec::new()) };
    let last = job.days().created;
    let made = read(job, *objections, |line, number, _| {
        let [lnr, from, to] = split(line)?;
        let from = date_within(from, EARLIEST, last)?;
        let to = maybe(to, |to| date_within(to, EARLIEST, last))?.unwrap_or(NO_DAY);
        if to < from {
            return Err(FaultKind::Backward);
        }
        Ok(Objection { person: job.known_person(lnr)?, from, to, line: number })
    })?
    .write(job)?;
    Ok(vec![made])
}

/// Who objects, and since when. It has no Debug form.
#[derive(Default)]
pub(super) struct Objections {
    /// For each person the first and last day of each objection, [`NO_DAY`] where it stands.
    persons: BTreeMap<u32, BTreeMap<i32, i32>>,
    today: i32,
}

impl Objections {
    /// The objections that a snapshot of the register in `register_dir` holds, as they are on `today`.
    ///
    /// # Errors
    /// [`IngestError`] if they cannot be read: nothing is taken in without them.
    pub(super) fn of(register_dir: &Path, held: &Manifest, today: NaiveDate) -> Result<Self, IngestError> {
        let mut all = Self { today: days(today), ..Self::default() };
        for part in held.datasets.get(DATASET).into_iter().flatten() {
            all.add(&part_path(register_dir, part.file))?;
        }
        Ok(all)
    }

    /// Adds those in a Parquet file.
    fn add(&mut self, path: &Path) -> Result<(), IngestError> {
        let unreadable = || IngestError::Parquet;
        let file = File::open(path).map_err(|e| IngestError::io("the objections", &e))?;
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|_| unreadable())?;
        for batch in reader.build().map_err(|_| unreadable())? {
            let batch = batch.map_err(|_| unreadable())?;
            let column = |name| batch.column_by_name(name).ok_or_else(unreadable);
            let persons = column("person_no")?.as_primitive_opt::<UInt32Type>().ok_or_else(unreadable)?;
            let from = column("from_date")?.as_primitive_opt::<Date32Type>().ok_or_else(unreadable)?;
            let to = column("to_date")?.as_primitive_opt::<Date32Type>().ok_or_else(unreadable)?;
            for ((person, from), to) in persons.iter().zip(from).zip(to) {
                let (person, from) = person.zip(from).ok_or_else(unreadable)?;
                let until = self.persons.entry(person).or_default().entry(from).or_insert(i32::MIN);
                *until = (*until).max(to.unwrap_or(NO_DAY));
            }
        }
        Ok(())
    }

    /// Whether the health content of a contact is left out. An objection that begins after today (by a clock that is
    /// ahead of this one) stands already.
    pub(super) fn cover(&self, person: u32, service: u8, date: i32) -> bool {
        COVERED_SERVICES.contains(&service)
            && self.persons.get(&person).is_some_and(|periods| {
                periods.iter().any(|(from, to)| self.today <= *to || (*from <= date && date <= *to))
            })
    }

    /// Checks that what was made of a later delivery holds them all.
    ///
    /// # Errors
    /// [`IngestError::Forgotten`], or why it cannot be read.
    pub(super) fn all_in(&self, parts: &[Written]) -> Result<(), IngestError> {
        let mut later = Self::default();
        for part in parts {
            later.add(&part.path)?;
        }
        match self.lacking_in(&later) {
            0 => Ok(()),
            lacking => Err(IngestError::Forgotten(lacking)),
        }
    }

    /// How many of these objections `later` has not, or has with another last day than the one they ended by.
    fn lacking_in(&self, later: &Self) -> u64 {
        let kept =
            |person: &u32, from: &i32, to: &i32| match later.persons.get(person).and_then(|p| p.get(from)) {
                None => false,
                Some(until) => *to == NO_DAY || until == to,
            };
        let all = self.persons.iter().flat_map(|(person, periods)| periods.iter().map(move |p| (person, p)));
        all.filter(|(person, (from, to))| !kept(person, from, to)).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objections(today: i32, all: &[(u32, i32, i32)]) -> Objections {
        let mut objections = Objections { today, ..Objections::default() };
        for (person, from, to) in all {
            objections.persons.entry(*person).or_default().insert(*from, *to);
        }
        objections
    }

    #[test]
    fn a_standing_objection_covers_every_day_and_an_ended_one_its_own() {
        let held = objections(100, &[(1, 50, NO_DAY), (2, 50, 60), (3, 101, NO_DAY), (4, 50, 100)]);
        let cases = [
            (1, 10, true),
            (1, 99, true),
            (2, 49, false),
            (2, 50, true),
            (2, 60, true),
            (2, 61, false),
            (3, 10, true),
            (4, 10, true),
            (5, 55, false),
        ];
        for (person, date, covered) in cases {
            assert_eq!(held.cover(person, 9, date), covered, "{person} {date}");
        }
        for service in 1..=14 {
            assert_eq!(held.cover(1, service, 70), (6..=9).contains(&service), "service {service}");
        }
        assert!(!held.cover(super::super::record::NO_PERSON, 9, 70));
    }

    #[test]
    fn an_objection_is_ended_but_never_forgotten() {
        let held = objections(100, &[(1, 50, NO_DAY), (2, 50, 60)]);
        let lacking = |later: &[(u32, i32, i32)]| held.lacking_in(&objections(100, later));
        assert_eq!(lacking(&[(1, 50, NO_DAY), (2, 50, 60), (9, 1, 2)]), 0);
        assert_eq!(lacking(&[(1, 50, 90), (2, 50, 60)]), 0);
        assert_eq!(lacking(&[(1, 50, NO_DAY)]), 1);
        assert_eq!(lacking(&[(1, 51, NO_DAY), (2, 50, NO_DAY)]), 2);
        assert_eq!(lacking(&[]), 2);
    }
}
