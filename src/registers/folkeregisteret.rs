//! Deliveries of Folkeregisteret: who there is, and where they have lived. Persons must be known here,
//! for a row without a person says nothing.

use super::delivery::Layout;
use super::fault::FaultKind;
use super::field::{Text, date_within, digits, maybe, split, within};
use super::ingest::IngestError;
use super::reading::{Job, Made, read};
use super::record::{Cell, Column, NO_DAY, Record, Traits, person_column, record, some_day};

/// 1 January 1850, before which no date of the register lies, as days since 1970-01-01.
const EARLIEST: i32 = -43_829;

record! {
    /// A row of `population`.
    Person { person: u32, birth: i32, sex: u8, death: i32, emigrated: i32 }
}

impl Record for Person {
    const ORDERED_BY: &'static str = "birth_date";

    fn person(&self) -> u32 {
        self.person
    }
    fn day(&self) -> i32 {
        self.birth
    }
    /// A person has one row. Which of two is right is not for ingest to guess: the one that sorts first
    /// holds, so that the order of the lines makes no difference.
    fn repeats(&self, other: &Self) -> bool {
        self.person == other.person
    }
    fn traits(&self) -> Traits {
        Traits::default()
    }
    fn columns() -> Vec<Column<Self>> {
        vec![
            person_column(false),
            Column::full("sex", Cell::U8(|r| Some(r.sex))),
            Column::full("birth_date", Cell::Date(|r| Some(r.birth))),
            Column::maybe("death_date", Cell::Date(|r| some_day(r.death))),
            Column::maybe("emigrated", Cell::Date(|r| some_day(r.emigrated))),
        ]
    }
}

record! {
    /// A row of `residence`.
    Residence { person: u32, from: i32, municipality: Text<4>, to: i32 }
}

impl Record for Residence {
    const ORDERED_BY: &'static str = "from_date";

    fn person(&self) -> u32 {
        self.person
    }
    fn day(&self) -> i32 {
        self.from
    }
    fn traits(&self) -> Traits {
        Traits { municipality: self.municipality, resident_until: Some(self.to), ..Traits::default() }
    }
    fn columns() -> Vec<Column<Self>> {
        vec![
            person_column(false),
            Column::full("municipality", Cell::Text(|r| &r.municipality)),
            Column::full("from_date", Cell::Date(|r| Some(r.from))),
            Column::maybe("to_date", Cell::Date(|r| some_day(r.to))),
        ]
    }
}

/// Reads and writes the content files of the delivery.
pub(super) fn take_in(job: &Job<'_>) -> Result<Vec<Made>, IngestError> {
    let [person, residence] = Layout::Folkeregisteret.content() else { return Ok(Vec::new()) };
    let last = job.days().created;
    let persons = read(job, *person, |line, number, _| {
        let [lnr, sex, birth, death, emigrated] = split(line)?;
        let birth = date_within(birth, EARLIEST, last)?;
        let after_birth = |field| {
            let day = maybe(field, |field| date_within(field, EARLIEST, last))?.unwrap_or(NO_DAY);
            if day < birth { Err(FaultKind::Backward) } else { Ok(day) }
        };
        Ok(Person {
            person: job.known_person(lnr)?,
            birth,
            sex: within(sex, 1, 2, FaultKind::Code)?,
            death: after_birth(death)?,
            emigrated: after_birth(emigrated)?,
            line: number,
        })
    })?
    .write(job)?;
    let residences = read(job, *residence, |line, number, _| {
        let [lnr, municipality, from, to] = split(line)?;
        let from = date_within(from, EARLIEST, last)?;
        let to = maybe(to, |to| date_within(to, EARLIEST, last))?.unwrap_or(NO_DAY);
        if to < from {
            return Err(FaultKind::Backward);
        }
        Ok(Residence {
            person: job.known_person(lnr)?,
            from,
            municipality: digits(municipality)?,
            to,
            line: number,
        })
    })?
    .write(job)?;
    Ok(vec![persons, residences])
}
