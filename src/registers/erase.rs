//! Erasure (helseregisterloven section 25): a person's rows are taken out of the register, and out of what is delivered
//! later about the same days.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use arrow::array::{AsArray, BooleanArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Date32Type, UInt32Type};
use arrow::record_batch::RecordBatch;
use chrono::NaiveDate;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::field::days;
use super::folder::Folder;
use super::hash::Hashing;
use super::ingest::IngestError;
use super::part::{LABEL, Written, properties};
use super::snapshot::{Part, part_path};
use crate::domain::canonical::Digest;
use crate::domain::ids::PersonNo;

/// Whose rows go, and up to which day, by person number.
pub type Erased = BTreeMap<u32, NaiveDate>;

/// The datasets that are no health data and are delivered anew as a whole: who persons are, where they live, and what they
/// object to. An objection outlives the data.
const KEPT: [&str; 3] = ["population", "residence", super::objections::DATASET];

/// Whether the rows of a dataset are erased with a person.
pub(super) fn touches(dataset: &str) -> bool {
    !KEPT.contains(&dataset)
}

/// Takes the rows of these persons that are dated up to their days out of the register: parts that hold some are written
/// anew, and the older snapshots, which hold them too, are deleted. A run that reads them at this moment fails. Gives the
/// id of the snapshot without them.
///
/// # Errors
/// [`IngestError`], [`IngestError::Locked`] while a delivery is taken in; the register is as it was then.
pub fn erase(register_dir: &Path, persons: &[(PersonNo, NaiveDate)]) -> Result<Digest, IngestError> {
    let folder = Folder::hold(register_dir)?;
    let Some((_, current)) = folder.current() else { return Err(IngestError::Empty) };
    let mut manifest = current.clone();
    let staging = folder.stage()?;
    for (person, day) in persons {
        let until = manifest.erased.entry(person.0).or_insert(*day);
        *until = (*until).max(*day);
    }
    let mut written = Vec::new();
    for (dataset, parts) in manifest.datasets.iter_mut().filter(|(dataset, _)| touches(dataset)) {
        let mut kept = Vec::with_capacity(parts.len());
        for part in parts.iter() {
            let path = staging.path().join(format!("{dataset}-{}.parquet", kept.len()));
            match without(&part_path(register_dir, part.file), &path, &manifest.erased)? {
                Rewritten::Same => kept.push(part.clone()),
                Rewritten::Empty => {}
                Rewritten::New(new) => {
                    let (first, last) = (part.first, part.last);
                    let (file, delivery) = (new.digest, part.delivery);
                    kept.push(Part { file, delivery, bytes: new.bytes, rows: new.rows, first, last });
                    written.push(new);
                }
            }
        }
        *parts = kept;
    }
    manifest.datasets.retain(|_, parts| !parts.is_empty());
    manifest.previous = None;
    folder.publish_erasure(&staging, &written, &manifest)
}

/// What became of a part.
enum Rewritten {
    Same,
    Empty,
    New(Written),
}

fn unreadable() -> IngestError {
    IngestError::Parquet
}

/// Writes a part without the rows of erased persons, if it has any.
fn without(from: &Path, to: &Path, erased: &Erased) -> Result<Rewritten, IngestError> {
    let file = File::open(from).map_err(|e| IngestError::io("a part", &e))?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|_| unreadable())?;
    let schema = reader.schema().clone();
    let metadata = reader.metadata().clone();
    // The second column that rows are sorted by is their date.
    let sorted = metadata.row_groups().first().and_then(|group| group.sorting_columns());
    let date = sorted.and_then(|columns| columns.get(1)).and_then(|c| usize::try_from(c.column_idx).ok());
    let date = date.ok_or_else(unreadable)?;
    let name = schema.fields().get(date).ok_or_else(unreadable)?.name().clone();
    let before = u64::try_from(metadata.file_metadata().num_rows()).map_err(|_| unreadable())?;
    let sink = File::create_new(to).map_err(|e| IngestError::io("a new part", &e))?;
    let sink = Hashing::new(LABEL, BufWriter::with_capacity(1 << 20, sink));
    let mut writer = ArrowWriter::try_new(sink, schema.clone(), Some(properties(&schema, &name)))
        .map_err(|_| unreadable())?;
    let mut rows = 0;
    for batch in reader.build().map_err(|_| unreadable())? {
        let batch = batch.map_err(|_| unreadable())?;
        let kept = keep(&batch, date, erased)?;
        let batch = filter_record_batch(&batch, &kept).map_err(|_| unreadable())?;
        rows += batch.num_rows() as u64;
        writer.write(&batch).map_err(|_| unreadable())?;
    }
    if rows == before {
        return Ok(Rewritten::Same);
    }
    if rows == 0 {
        return Ok(Rewritten::Empty);
    }
    let (file, bytes, digest) = writer.into_inner().map_err(|_| unreadable())?.finish();
    let failed = |e: std::io::Error| IngestError::io("a new part", &e);
    file.into_inner().map_err(|e| failed(e.into_error()))?.sync_all().map_err(failed)?;
    Ok(Rewritten::New(Written { path: to.to_owned(), digest, bytes, rows, first: 0, last: 0 }))
}

/// Which rows stay.
fn keep(batch: &RecordBatch, date: usize, erased: &Erased) -> Result<BooleanArray, IngestError> {
    let persons = batch.columns().first().and_then(|c| c.as_primitive_opt::<UInt32Type>());
    let dates = batch.columns().get(date).and_then(|c| c.as_primitive_opt::<Date32Type>());
    let (persons, dates) = persons.zip(dates).ok_or_else(unreadable)?;
    let stays = |(person, date): (Option<u32>, Option<i32>)| {
        !person.is_some_and(|person| goes(erased, person, date.unwrap_or(i32::MIN)))
    };
    Ok(persons.iter().zip(dates.iter()).map(|row| Some(stays(row))).collect())
}

/// Whether a row of a person goes, dated in days after 1970-01-01.
pub(super) fn goes(erased: &Erased, person: u32, date: i32) -> bool {
    erased.get(&person).is_some_and(|until| date <= days(*until))
}
