//! Deliveries of KUHR: contacts with primary health care, and the diagnoses and takster of each.

use std::collections::hash_map::Entry;
use std::thread;

use super::delivery::Layout;
use super::fault::FaultKind;
use super::field::{Text, code, date_within, day, digits, hundredths, maybe, split, time, whole, within};
use super::ingest::IngestError;
use super::reading::{Days, Job, Made, read};
use super::record::{Cell, Column, Left, NO_PERSON, Record, Traits, nonzero, person_column, record};
use super::serials::BySerial;
use chrono::Datelike;

/// Stands for "no time of day".
const NO_TIME: u16 = u16::MAX;
/// Stands for "no amount".
const NO_AMOUNT: u32 = u32::MAX;
/// The largest amount of one contact, in øre: a million kroner.
const MOST_ORE: u32 = 100_000_000;
/// Stands for the date of a contact whose own line was not accepted.
const REJECTED: i32 = i32::MIN;

record! {
    /// A row of `kuhr_contact`. Amounts are in øre.
    Contact {
        person: u32, date: i32, time: u16, contact: u64, sex: u8, birth_year: u16, municipality: Text<4>,
        district: Text<8>, service: u8, kind: u8, exemption: Text<4>, fee: u32, refund: u32, unknown: u8,
        objected: u8,
    }
}

impl Record for Contact {
    const ORDERED_BY: &'static str = "dato";

    fn person(&self) -> u32 {
        self.person
    }
    fn day(&self) -> i32 {
        self.date
    }
    /// Contacts with the serial number of another are found when they are read.
    fn repeats(&self, _: &Self) -> bool {
        false
    }
    fn unknown_person(&self) -> bool {
        self.unknown != 0
    }
    fn left(&self) -> Left {
        if self.objected == 0 { Left::All } else { Left::Reduced }
    }
    fn traits(&self) -> Traits {
        Traits {
            sex: self.sex,
            birth_year: self.birth_year,
            municipality: self.municipality,
            resident_until: None,
        }
    }
    fn columns() -> Vec<Column<Self>> {
        vec![
            person_column(true),
            Column::full("dato", Cell::Date(|r| Some(r.date))),
            Column::maybe("klokkeslett", Cell::U16(|r| (r.time != NO_TIME).then_some(r.time))),
            Column::full("contact_no", Cell::U64(|r| Some(r.contact))),
            Column::maybe("kjonn", Cell::U8(|r| nonzero(r.sex))),
            Column::maybe("fodselsar", Cell::U16(|r| nonzero(r.birth_year))),
            Column::maybe("kommunenr", Cell::Text(|r| &r.municipality)),
            Column::maybe("bydel", Cell::Text(|r| &r.district)),
            Column::full("tjenestetype", Cell::U8(|r| Some(r.service))),
            Column::full("kontakttype", Cell::U8(|r| Some(r.kind))),
            Column::maybe("fritakskode", Cell::Text(|r| &r.exemption)),
            Column::maybe("egenandel_ore", Cell::I64(|r| amount(r.fee))),
            Column::maybe("refusjon_ore", Cell::I64(|r| amount(r.refund))),
        ]
    }
}

fn amount(ore: u32) -> Option<i64> {
    (ore != NO_AMOUNT).then_some(i64::from(ore))
}

record! {
    /// A row of `kuhr_diagnosis`.
    Diagnosis {
        person: u32, date: i32, contact: u64, number: u8, code: Text<8>, table: Text<12>, main: u8,
        objected: u8,
    }
}

impl Record for Diagnosis {
    const ORDERED_BY: &'static str = "dato";

    fn person(&self) -> u32 {
        self.person
    }
    fn day(&self) -> i32 {
        self.date
    }
    fn left(&self) -> Left {
        if self.objected == 0 { Left::All } else { Left::Nothing }
    }
    fn traits(&self) -> Traits {
        Traits::default()
    }
    fn columns() -> Vec<Column<Self>> {
        vec![
            person_column(true),
            Column::full("dato", Cell::Date(|r| Some(r.date))),
            Column::full("contact_no", Cell::U64(|r| Some(r.contact))),
            Column::full("diagnosekode", Cell::Text(|r| &r.code)),
            Column::full("diagnosetabell", Cell::Text(|r| &r.table)),
            Column::full("er_hoveddiagnose", Cell::Bool(|r| r.main == 1)),
            Column::full("kode_nr", Cell::U8(|r| Some(r.number))),
        ]
    }
}

record! {
    /// A row of `kuhr_takst`.
    Takst { person: u32, date: i32, contact: u64, code: Text<8>, count: u16, objected: u8 }
}

impl Record for Takst {
    const ORDERED_BY: &'static str = "dato";

    fn person(&self) -> u32 {
        self.person
    }
    fn day(&self) -> i32 {
        self.date
    }
    fn left(&self) -> Left {
        if self.objected == 0 { Left::All } else { Left::Nothing }
    }
    fn traits(&self) -> Traits {
        Traits::default()
    }
    fn columns() -> Vec<Column<Self>> {
        vec![
            person_column(true),
            Column::full("dato", Cell::Date(|r| Some(r.date))),
            Column::full("contact_no", Cell::U64(|r| Some(r.contact))),
            Column::full("takstkode", Cell::Text(|r| &r.code)),
            Column::full("antall", Cell::U16(|r| Some(r.count))),
        ]
    }
}

/// A contact that a diagnosis or a takst belongs to.
#[derive(Clone, Copy)]
struct Found {
    contact: u64,
    person: u32,
    date: i32,
    objected: u8,
}

/// The contacts of a delivery: 16 bytes each, so that a national year fits in little over a gigabyte; and which of them
/// their persons object to.
#[derive(Default)]
struct Contacts {
    all: BySerial<(u32, i32)>,
    objected: BySerial<()>,
}

impl Contacts {
    /// Notes the contact of an accepted line.
    fn add(&mut self, contact: &Contact) -> Result<(), FaultKind> {
        match self.all.entry(contact.contact) {
            Entry::Vacant(free) => {
                free.insert((contact.person, contact.date));
            }
            // An accepted line after a rejected one of the same number is the one that holds.
            Entry::Occupied(mut taken) if taken.get().1 == REJECTED => {
                taken.insert((contact.person, contact.date));
            }
            Entry::Occupied(_) => return Err(FaultKind::Duplicate),
        }
        if contact.objected != 0 {
            self.objected.insert(contact.contact, ());
        }
        Ok(())
    }

    /// Notes that the line of this contact was not accepted.
    fn reject(&mut self, number: u64) {
        self.all.entry(number).or_insert((NO_PERSON, REJECTED));
    }

    /// The person and date of a contact. Lines of one contact tend to follow each other, so `last` is
    /// kept for the next.
    fn find(&self, field: &[u8], last: &mut Option<Found>) -> Result<Found, FaultKind> {
        let contact = whole(field)?;
        if let Some(found) = last.filter(|found| found.contact == contact) {
            return Ok(found);
        }
        let found = match self.all.get(&contact) {
            None => return Err(FaultKind::UnknownContact),
            Some((_, REJECTED)) => return Err(FaultKind::RejectedContact),
            Some((person, date)) => {
                let objected = u8::from(self.objected.contains_key(&contact));
                Found { contact, person: *person, date: *date, objected }
            }
        };
        *last = Some(found);
        Ok(found)
    }
}

/// An amount in kroner, in øre.
fn kroner(field: &[u8]) -> Result<u32, FaultKind> {
    Ok(maybe(field, |field| hundredths(field, MOST_ORE))?.unwrap_or(NO_AMOUNT))
}

fn contact(
    job: &Job<'_>,
    days: Days,
    years: (u64, u64),
    line: &[u8],
    number: u32,
) -> Result<Contact, FaultKind> {
    let [lnr, kpr_lnr, date, clock, sex, year, kommune, bydel, service, kind, exemption, fee, refund] =
        split(line)?;
    let (person, unknown) = job.person(kpr_lnr)?;
    let mut row = Contact {
        person,
        date: date_within(date, days.from, days.to)?,
        time: maybe(clock, time)?.unwrap_or(NO_TIME),
        contact: whole(lnr)?,
        sex: maybe(sex, |sex| within(sex, 1, 2, FaultKind::Code))?.unwrap_or(0),
        birth_year: maybe(year, |year| within(year, years.0, years.1, FaultKind::DateOutside))?.unwrap_or(0),
        municipality: maybe(kommune, digits)?.unwrap_or_default(),
        district: maybe(bydel, code)?.unwrap_or_default(),
        service: within(service, 1, 14, FaultKind::Code)?,
        kind: within(kind, 0, 6, FaultKind::Code)?,
        exemption: maybe(exemption, code)?.unwrap_or_default(),
        fee: kroner(fee)?,
        refund: kroner(refund)?,
        unknown,
        objected: 0,
        line: number,
    };
    if job.objections.cover(person, row.service, row.date) {
        row.exemption = Text::default();
        row.objected = 1;
    }
    Ok(row)
}

/// A diagnosis code of its table.
fn diagnosis(table: &[u8], field: &[u8]) -> Result<Text<8>, FaultKind> {
    let text = code(field)?;
    let rest = |chapters: &[u8]| match field {
        [chapter, a, b, rest @ ..]
            if chapters.contains(chapter) && a.is_ascii_digit() && b.is_ascii_digit() =>
        {
            Some(rest)
        }
        _ => None,
    };
    const ICPC: &[u8] = b"ABDFHKLNPRSTUWXYZ";
    const ICD: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let fits = match table {
        b"ICPC-2" => rest(ICPC).is_some_and(<[u8]>::is_empty),
        b"ICPC-2B" => rest(ICPC).is_some(),
        b"ICD-10" => rest(ICD).is_some(),
        b"ICD-DA-3" => true,
        [b'B', b'U', b'P', ..] => true,
        _ => false,
    };
    if fits { Ok(text) } else { Err(FaultKind::Code) }
}

/// Reads and writes the content files of the delivery. The contacts are read first; while they are
/// sorted and written, diagnoses and takster are read, each in its own thread.
pub(super) fn take_in(job: &Job<'_>) -> Result<Vec<Made>, IngestError> {
    let [enkeltregning, diagnose, takst] = Layout::Kuhr.content() else { return Ok(Vec::new()) };
    let days = job.days();
    let years = (1850, day(days.to).map_or(0, |last| u64::from(last.year().unsigned_abs())));
    let mut known = Contacts::default();
    let contacts = read(job, *enkeltregning, |line, number, _| {
        let row = contact(job, days, years, line, number);
        match &row {
            Ok(row) => known.add(row)?,
            Err(_) => {
                let first = line.split(|b| *b == b';').next().unwrap_or_default();
                whole(first).map(|lnr| known.reject(lnr)).unwrap_or_default();
            }
        }
        row
    })?;

    let known = &known;
    thread::scope(|scope| {
        let contacts = scope.spawn(|| contacts.write(job));
        let diagnoses = scope.spawn(|| {
            let mut last = None;
            read(job, *diagnose, |line, number, _| {
                let [lnr, text, table, main, order] = split(line)?;
                let Found { contact, person, date, objected } = known.find(lnr, &mut last)?;
                Ok(Diagnosis {
                    person,
                    date,
                    contact,
                    number: within(order, 0, 255, FaultKind::Number)?,
                    code: diagnosis(table, text)?,
                    table: code(table)?,
                    main: within(main, 0, 1, FaultKind::Code)?,
                    objected,
                    line: number,
                })
            })?
            .write(job)
        });
        let mut last = None;
        let takster = read(job, *takst, |line, number, _| {
            let [lnr, text, count] = split(line)?;
            let Found { contact, person, date, objected } = known.find(lnr, &mut last)?;
            let count = within(count, 1, 9999, FaultKind::Number)?;
            Ok(Takst { person, date, contact, code: code(text)?, count, objected, line: number })
        })?
        .write(job)?;
        let join = |made: thread::ScopedJoinHandle<'_, _>| made.join().unwrap_or(Err(IngestError::Stopped));
        Ok(vec![join(contacts)?, join(diagnoses)?, takster])
    })
}
