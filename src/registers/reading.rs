//! From one content file to one part: lines are read and checked, rows sorted, written, and everything
//! that was seen on the way counted.

use std::collections::BTreeMap;
use std::path::Path;

use super::delivery::{Delivery, DeliveryError, FileLayout};
use super::erase::{Erased, touches};
use super::fault::FaultKind;
use super::field::{Text, days, maybe, whole};
use super::ingest::IngestError;
use super::intake::SerialMap;
use super::lines::Lines;
use super::objections::Objections;
use super::part::{self, Written};
use super::progress::Progress;
use super::quality::{FileQuality, Share};
use super::record::{NO_PERSON, Record};
use super::sort::Sorter;

/// The memory that the rows of one file may take while they are collected, in bytes.
const MEMORY: usize = 256 << 20;
/// Progress is told after so many bytes.
const TOLD_EVERY: u64 = 1 << 20;

/// What the reading of content files needs.
pub(super) struct Job<'a> {
    pub(super) delivery: &'a Delivery,
    /// The folder for new parts and sorted runs.
    pub(super) staging: &'a Path,
    /// Whom the serial numbers of this delivery stand for.
    pub(super) persons: &'a SerialMap,
    pub(super) progress: &'a dyn Progress,
    /// Whose rows are not taken in again.
    pub(super) erased: &'a Erased,
    /// Whose health content is left out.
    pub(super) objections: &'a Objections,
}

/// The days that dates of a delivery can lie in, as days since 1970-01-01.
#[derive(Debug, Clone, Copy)]
pub(super) struct Days {
    pub(super) from: i32,
    pub(super) to: i32,
    pub(super) created: i32,
}

impl Job<'_> {
    pub(super) fn days(&self) -> Days {
        let description = self.delivery.description();
        Days {
            from: days(description.period.from()),
            to: days(description.period.to()),
            created: days(description.created),
        }
    }

    /// The person of a serial number that must be there and must be known.
    pub(super) fn known_person(&self, field: &[u8]) -> Result<u32, FaultKind> {
        let person = self.persons.get(whole(field)?).ok_or(FaultKind::UnknownPerson)?;
        Ok(person.0)
    }

    /// The person of a serial number that may be empty, and may stand for no one, which is 1 then.
    pub(super) fn person(&self, field: &[u8]) -> Result<(u32, u8), FaultKind> {
        let Some(serial) = maybe(field, whole)? else { return Ok((NO_PERSON, 0)) };
        Ok(self.persons.get(serial).map_or((NO_PERSON, 1), |person| (person.0, 0)))
    }
}

/// The municipality that sent a line, where that is counted, also if the line turns out bad.
pub(super) type Sender = Option<Text<4>>;

/// The rows of one file, and what was seen of its lines.
pub(super) struct Draft<R> {
    dataset: &'static str,
    sorter: Sorter<R>,
    quality: FileQuality,
    municipalities: BTreeMap<Text<4>, Share>,
}

/// A part, if there are rows, and the quality of the file it was made from.
pub(super) struct Made {
    pub(super) dataset: &'static str,
    pub(super) part: Option<Written>,
    pub(super) quality: FileQuality,
    /// The municipalities that occur in it.
    pub(super) municipalities: Vec<String>,
}

/// Reads `file` of the delivery, each line through `parse`.
pub(super) fn read<R: Record>(
    job: &Job<'_>,
    (file, dataset): (FileLayout, &'static str),
    mut parse: impl FnMut(&[u8], u32, &mut Sender) -> Result<R, FaultKind>,
) -> Result<Draft<R>, IngestError> {
    let failed = |e: std::io::Error| DeliveryError::Read { file: file.name, kind: e.kind() };
    let mut lines = Lines::open(&job.delivery.path(file)).map_err(failed)?;
    let mut quality = FileQuality::new(file.name);
    let mut sorter = Sorter::new(job.staging, MEMORY);
    let mut municipalities: BTreeMap<Text<4>, Share> = BTreeMap::new();
    let mut told = 0;
    while let Some((number, line)) = lines.next().map_err(failed)? {
        let short = u32::try_from(number).map_err(|_| IngestError::TooManyLines(file.name))?;
        let mut sender = None;
        // No field of any layout takes a byte beyond ASCII, so a wrong encoding fails in its field.
        let row = line.and_then(|line| {
            parse(line, short, &mut sender).map_err(|kind| match std::str::from_utf8(line) {
                Ok(_) => kind,
                Err(_) => FaultKind::Encoding,
            })
        });
        quality.lines += 1;
        if let Some(municipality) = sender {
            let share = municipalities.entry(municipality).or_default();
            share.lines += 1;
            share.bad += u64::from(row.is_err());
        }
        match row {
            Ok(row) => sorter.push(row).map_err(|e| IngestError::io("a sorted run", &e))?,
            Err(kind) => quality.faults.note(number, kind),
        }
        if lines.taken() - told >= TOLD_EVERY {
            job.progress.advance(lines.taken() - told);
            told = lines.taken();
        }
    }
    job.progress.advance(lines.taken() - told);
    if job.delivery.expected(file) != Some(lines.finish()) {
        return Err(DeliveryError::Changed(file.name).into());
    }
    Ok(Draft { dataset, sorter, quality, municipalities })
}

impl<R: Record> Draft<R> {
    /// Sorts the rows and writes them as a part.
    pub(super) fn write(self, job: &Job<'_>) -> Result<Made, IngestError> {
        let Self { dataset, sorter, mut quality, mut municipalities } = self;
        let rows = sorter.finish().map_err(|e| IngestError::io("a sorted run", &e))?;
        let path = job.staging.join(format!("{dataset}.parquet"));
        let none = Erased::new();
        let erased = if touches(dataset) { job.erased } else { &none };
        let (part, seen) = part::write(rows, &path, erased, |row: &R, kind| {
            quality.faults.note(u64::from(row.line()), kind);
            if kind == FaultKind::Duplicate
                && let Some(share) = municipalities.get_mut(&row.traits().municipality)
            {
                share.bad += 1;
            }
        })?;
        quality.accepted = seen.rows;
        quality.with_person = seen.with_person;
        quality.unknown_person = seen.unknown_person;
        quality.without_person = seen.rows - seen.with_person - seen.unknown_person;
        quality.objected = seen.objected;
        quality.erased = seen.erased;
        quality.contradictions = seen.contradictions;
        quality.municipalities =
            municipalities.into_iter().map(|(number, share)| (part::municipality(&number), share)).collect();
        let municipalities = seen.municipalities.iter().map(part::municipality).collect();
        Ok(Made { dataset, part, quality, municipalities })
    }
}
