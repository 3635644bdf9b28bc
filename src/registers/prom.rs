//! Deliveries of patient-reported outcomes and experiences (3-4, PROM and PREM): answers to questionnaires.

use super::delivery::Layout;
use super::fault::FaultKind;
use super::field::{Text, code, date_within, digits, maybe, split, whole, within};
use super::ingest::IngestError;
use super::reading::{Job, Made, read};
use super::record::{Cell, Column, Left, Lined, NO_PERSON, Record, Traits, person_column, record};

/// The highest score that an answer may have.
const MOST_SCORE: u64 = 1000;

record! {
    /// A row of `prom_answer`: one answer to one question.
    Answer {
        person: u32, date: i32, answer: u64, kind: Text<4>, form: Text<10>, question: Text<10>, score: u16,
        service: u8, municipality: Text<4>, unknown: u8, objected: u8,
    }
}

impl Record for Answer {
    const ORDERED_BY: &'static str = "dato";

    fn person(&self) -> u32 {
        self.person
    }
    fn day(&self) -> i32 {
        self.date
    }
    /// Rows without a person may be alike and yet be of different persons.
    fn repeats(&self, other: &Self) -> bool {
        self.person != NO_PERSON && self.same(other)
    }
    fn unknown_person(&self) -> bool {
        self.unknown != 0
    }
    /// An answer is health content as a whole.
    fn left(&self) -> Left {
        if self.objected == 0 { Left::All } else { Left::Nothing }
    }
    fn traits(&self) -> Traits {
        Traits { municipality: self.municipality, ..Traits::default() }
    }
    fn columns() -> Vec<Column<Self>> {
        vec![
            person_column(true),
            Column::full("dato", Cell::Date(|r| Some(r.date))),
            Column::full("answer_no", Cell::U64(|r| Some(r.answer))),
            Column::full("type", Cell::Text(|r| &r.kind)),
            Column::full("skjema", Cell::Text(|r| &r.form)),
            Column::full("sporsmal", Cell::Text(|r| &r.question)),
            Column::full("verdi", Cell::U16(|r| Some(r.score))),
            Column::full("tjenestetype", Cell::U8(|r| Some(r.service))),
            Column::maybe("kommunenr", Cell::Text(|r| &r.municipality)),
        ]
    }
}

/// Outcomes or experiences.
fn kind(field: &[u8]) -> Result<Text<4>, FaultKind> {
    match field {
        b"" => Err(FaultKind::Missing),
        b"PROM" | b"PREM" => code(field),
        _ => Err(FaultKind::Code),
    }
}

/// Reads and writes the content file of the delivery.
pub(super) fn take_in(job: &Job<'_>) -> Result<Vec<Made>, IngestError> {
    let [answers] = Layout::Prom.content() else { return Ok(Vec::new()) };
    let days = job.days();
    let made = read(job, *answers, |line, number, _| {
        let [lnr, kpr_lnr, date, of, form, question, score, service, kommune] = split(line)?;
        let (person, unknown) = job.person(kpr_lnr)?;
        let date = date_within(date, days.from, days.to)?;
        let service = within(service, 1, 14, FaultKind::Code)?;
        Ok(Answer {
            person,
            date,
            answer: whole(lnr)?,
            kind: kind(of)?,
            form: code(form)?,
            question: code(question)?,
            score: within(score, 0, MOST_SCORE, FaultKind::Number)?,
            service,
            municipality: maybe(kommune, digits)?.unwrap_or_default(),
            unknown,
            objected: u8::from(job.objections.cover(person, service, date)),
            line: number,
        })
    })?
    .write(job)?;
    Ok(vec![made])
}
