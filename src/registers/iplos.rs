//! Deliveries of IPLOS: municipal care services, and scores of how persons manage.

use super::delivery::Layout;
use super::fault::FaultKind;
use super::field::{Text, date_within, day, days, digits, hundredths, maybe, split, within};
use super::ingest::IngestError;
use super::reading::{Job, Made, Sender, read};
use super::record::{
    Cell, Column, Lined, NO_DAY, NO_PERSON, Record, Traits, person_column, record, some_day,
};
use chrono::{Datelike, NaiveDate};

/// 1 January 1980, before which no service begins, as days since 1970-01-01.
const EARLIEST: i32 = 3652;
/// The hours of a week, in hundredths.
const WEEK: u32 = 16_800;
/// Stands for "no hours".
const NO_HOURS: u32 = u32::MAX;

record! {
    /// A row of `iplos_service`. Hours are in hundredths.
    Service { person: u32, from: i32, to: i32, service: u8, municipality: Text<4>, hours: u32, unknown: u8 }
}

impl Record for Service {
    const ORDERED_BY: &'static str = "fra";

    fn person(&self) -> u32 {
        self.person
    }
    fn day(&self) -> i32 {
        self.from
    }
    /// Rows without a person may be alike and yet be of different persons.
    fn repeats(&self, other: &Self) -> bool {
        self.person != NO_PERSON && self.same(other)
    }
    fn unknown_person(&self) -> bool {
        self.unknown != 0
    }
    fn traits(&self) -> Traits {
        Traits { municipality: self.municipality, ..Traits::default() }
    }
    fn columns() -> Vec<Column<Self>> {
        vec![
            person_column(true),
            Column::full("fra", Cell::Date(|r| Some(r.from))),
            Column::maybe("til", Cell::Date(|r| some_day(r.to))),
            Column::full("tjeneste", Cell::U8(|r| Some(r.service))),
            Column::full("kommunenr", Cell::Text(|r| &r.municipality)),
            Column::maybe("timer", Cell::F32(|r| hours(r.hours))),
        ]
    }
}

#[allow(clippy::cast_precision_loss, reason = "at most 16,800, far below 2^24")]
fn hours(hundredths: u32) -> Option<f32> {
    (hundredths != NO_HOURS).then(|| hundredths as f32 / 100.0)
}

record! {
    /// A row of `iplos_function`.
    Function { person: u32, date: i32, municipality: Text<4>, scores: [u8; 20], unknown: u8 }
}

macro_rules! score {
    ($name:literal, $index:literal) => {
        Column::full($name, Cell::U8(|r: &Self| r.scores.get($index).copied()))
    };
}

impl Record for Function {
    const ORDERED_BY: &'static str = "dato";

    fn person(&self) -> u32 {
        self.person
    }
    fn day(&self) -> i32 {
        self.date
    }
    fn repeats(&self, other: &Self) -> bool {
        self.person != NO_PERSON && self.same(other)
    }
    fn unknown_person(&self) -> bool {
        self.unknown != 0
    }
    fn traits(&self) -> Traits {
        Traits { municipality: self.municipality, ..Traits::default() }
    }
    #[rustfmt::skip]
    fn columns() -> Vec<Column<Self>> {
        vec![
            person_column(true),
            Column::full("dato", Cell::Date(|r| Some(r.date))),
            Column::full("kommunenr", Cell::Text(|r| &r.municipality)),
            score!("f01", 0), score!("f02", 1), score!("f03", 2), score!("f04", 3), score!("f05", 4),
            score!("f06", 5), score!("f07", 6), score!("f08", 7), score!("f09", 8), score!("f10", 9),
            score!("f11", 10), score!("f12", 11), score!("f13", 12), score!("f14", 13), score!("f15", 14),
            score!("f16", 15), score!("f17", 16), score!("f18", 17), score!("f19", 18), score!("f20", 19),
        ]
    }
}

/// The services of IPLOS: practical help, day centre, food, alarm, relief, support contact, care
/// allowance, health care at home, day, short and long stays, emergency bed, welfare technology, housing.
fn service(field: &[u8]) -> Result<u8, FaultKind> {
    match within(field, 1, 29, FaultKind::Code)? {
        10 | 12..=14 | 16 | 22..=24 => Err(FaultKind::Code),
        code => Ok(code),
    }
}

/// A score of 1 to 5, or 9 where it is not relevant.
fn score(field: &[u8]) -> Result<u8, FaultKind> {
    match within(field, 1, 9, FaultKind::Code)? {
        6..=8 => Err(FaultKind::Code),
        score => Ok(score),
    }
}

/// The municipality of a line, which is also its sender.
fn municipality(field: &[u8], sender: &mut Sender) -> Result<Text<4>, FaultKind> {
    let number = digits(field)?;
    *sender = Some(number);
    Ok(number)
}

/// Reads and writes the content files of the delivery.
pub(super) fn take_in(job: &Job<'_>) -> Result<Vec<Made>, IngestError> {
    let [services, functions] = Layout::Iplos.content() else { return Ok(Vec::new()) };
    let bounds = job.days();
    let year = day(bounds.to).and_then(|last| NaiveDate::from_ymd_opt(last.year(), 1, 1)).map_or(0, days);
    let services = read(job, *services, |line, number, sender| {
        let [lnr, kommune, kind, from, to, hours] = split(line)?;
        let municipality = municipality(kommune, sender)?;
        let from = date_within(from, EARLIEST, bounds.to)?;
        // A service that ended before the reporting year does not belong in it; one that runs may have
        // an end that is planned.
        let to = maybe(to, |to| date_within(to, year, NO_DAY))?.unwrap_or(NO_DAY);
        if to < from {
            return Err(FaultKind::Backward);
        }
        let (person, unknown) = job.person(lnr)?;
        let hours = maybe(hours, |hours| hundredths(hours, WEEK))?.unwrap_or(NO_HOURS);
        Ok(Service { person, from, to, service: service(kind)?, municipality, hours, unknown, line: number })
    })?
    .write(job)?;
    let functions = read(job, *functions, |line, number, sender| {
        let [lnr, kommune, date, fields @ ..] = split::<23>(line)?;
        let municipality = municipality(kommune, sender)?;
        let date = date_within(date, EARLIEST, bounds.to)?;
        let (person, unknown) = job.person(lnr)?;
        let mut scores = [0; 20];
        for (slot, field) in scores.iter_mut().zip(fields) {
            *slot = score(field)?;
        }
        Ok(Function { person, date, municipality, scores, unknown, line: number })
    })?
    .write(job)?;
    Ok(vec![services, functions])
}
