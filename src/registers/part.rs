//! Writing one dataset of one delivery as a Parquet file in the order of its persons and dates.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use arrow::datatypes::{DataType, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::erase::{Erased, goes};
use super::fault::FaultKind;
use super::field::{Text, trimmed};
use super::hash::Hashing;
use super::ingest::IngestError;
use super::quality::{Contradictions, Objected};
use super::record::{Column, Left, NO_PERSON, Record, Traits, batch, schema};
use super::sort::Sorted;
use crate::domain::canonical::Digest;

/// Rows of a row group: small enough to prune by person, large enough to scan well.
const ROW_GROUP: usize = 1 << 20;
/// Rows turned into Arrow arrays at a time.
const BATCH: usize = 1 << 15;
/// The label under which the digest of a part is made.
pub(super) const LABEL: &str = "kpr/part/v1";

/// A dataset of a delivery, written but not yet part of the register.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) path: PathBuf,
    pub(super) digest: Digest,
    pub(super) bytes: u64,
    pub(super) rows: u64,
    pub(super) first: i32,
    pub(super) last: i32,
}

/// What was seen of the rows while they passed in order.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) rows: u64,
    pub(super) with_person: u64,
    pub(super) unknown_person: u64,
    pub(super) objected: Objected,
    pub(super) erased: u64,
    pub(super) contradictions: Contradictions,
    pub(super) municipalities: BTreeSet<Text<4>>,
}

/// Writes the rows to `path`, leaving out those that repeat another, those of erased persons and those that their persons
/// object to. Repetitions, and rows of an unknown person, which are kept, are told to `fault`. Nothing is written if there
/// are no rows.
pub(super) fn write<R: Record>(
    mut rows: Sorted<R>,
    path: &Path,
    erased: &Erased,
    mut fault: impl FnMut(&R, FaultKind),
) -> Result<(Option<Written>, Seen), IngestError> {
    let columns = R::columns();
    let mut output: Option<Output> = None;
    let mut seen = Seen::default();
    let (mut first, mut last) = (i32::MAX, i32::MIN);
    let mut buffer: Vec<R> = Vec::with_capacity(BATCH);
    let mut person = Person::default();
    let mut before: Option<R> = None;
    loop {
        let row = rows.next().map_err(|e| IngestError::io("a sorted run", &e))?;
        if let (Some(row), Some(before)) = (&row, &before)
            && row.repeats(before)
        {
            fault(row, FaultKind::Duplicate);
            continue;
        }
        if row.is_none() || buffer.len() == BATCH {
            if !buffer.is_empty() {
                let output = match &mut output {
                    Some(output) => output,
                    None => output.insert(Output::create(path, &columns, R::ORDERED_BY)?),
                };
                output.write(&columns, &buffer)?;
            }
            buffer.clear();
        }
        let Some(row) = row else { break };
        if goes(erased, row.person(), row.day()) {
            seen.erased += 1;
            before = Some(row);
            continue;
        }
        match row.left() {
            Left::All => {}
            Left::Reduced => seen.objected.reduced += 1,
            Left::Nothing => {
                seen.objected.left_out += 1;
                before = Some(row);
                continue;
            }
        }
        if before.is_some_and(|b| b.person() != row.person()) {
            std::mem::take(&mut person).close(&mut seen.contradictions);
        }
        let traits = row.traits();
        if row.person() != NO_PERSON {
            seen.with_person += 1;
            person.note(&traits, row.day());
        } else if row.unknown_person() {
            seen.unknown_person += 1;
            fault(&row, FaultKind::UnknownPerson);
        }
        if traits.municipality != Text::default() {
            seen.municipalities.insert(traits.municipality);
        }
        seen.rows += 1;
        (first, last) = (first.min(row.day()), last.max(row.day()));
        buffer.push(row);
        before = Some(row);
    }
    person.close(&mut seen.contradictions);
    let Some(output) = output else { return Ok((None, seen)) };
    let (bytes, digest) = output.finish()?;
    let written = Written { path: path.to_owned(), digest, bytes, rows: seen.rows, first, last };
    Ok((Some(written), seen))
}

/// What the rows of one person have said so far.
#[derive(Default)]
struct Person {
    traits: Traits,
    several: (bool, bool, bool),
}

impl Person {
    fn note(&mut self, traits: &Traits, day: i32) {
        fn differs<T: Default + PartialEq + Copy>(known: &mut T, new: T) -> bool {
            if new == T::default() {
                return false;
            }
            let known = std::mem::replace(known, new);
            known != T::default() && known != new
        }
        self.several.0 |= differs(&mut self.traits.sex, traits.sex);
        self.several.1 |= differs(&mut self.traits.birth_year, traits.birth_year);
        match traits.resident_until {
            None => self.several.2 |= differs(&mut self.traits.municipality, traits.municipality),
            Some(until) => {
                self.several.2 |= self.traits.resident_until.is_some_and(|until| day < until);
                self.traits.resident_until = self.traits.resident_until.max(Some(until));
            }
        }
    }

    fn close(self, contradictions: &mut Contradictions) {
        contradictions.sex += u64::from(self.several.0);
        contradictions.birth_year += u64::from(self.several.1);
        contradictions.municipality += u64::from(self.several.2);
    }
}

/// The Parquet file being written, and its digest so far.
struct Output {
    schema: SchemaRef,
    writer: ArrowWriter<Hashing<BufWriter<File>>>,
}

impl Output {
    fn create<R>(path: &Path, columns: &[Column<R>], date: &str) -> Result<Self, IngestError> {
        let file = File::create_new(path).map_err(|e| IngestError::io("a new part", &e))?;
        let sink = Hashing::new(LABEL, BufWriter::with_capacity(1 << 20, file));
        let schema = schema(columns);
        let writer = ArrowWriter::try_new(sink, schema.clone(), Some(properties(&schema, date)))
            .map_err(|_| IngestError::Parquet)?;
        Ok(Self { schema, writer })
    }

    fn write<R>(&mut self, columns: &[Column<R>], rows: &[R]) -> Result<(), IngestError> {
        let batch = batch(&self.schema, columns, rows).map_err(|_| IngestError::Parquet)?;
        self.writer.write(&batch).map_err(|_| IngestError::Parquet)
    }

    /// Ends the file, on disk for good.
    fn finish(self) -> Result<(u64, Digest), IngestError> {
        let sink = self.writer.into_inner().map_err(|_| IngestError::Parquet)?;
        let (file, bytes, digest) = sink.finish();
        let failed = |e: std::io::Error| IngestError::io("a new part", &e);
        let file = file.into_inner().map_err(|e| failed(e.into_error()))?;
        file.sync_all().map_err(failed)?;
        Ok((bytes, digest))
    }
}

/// Snappy, because these files are read far more often than written and it is the quickest to read; nothing
/// for the columns that questions look in, whose values take a few bits each or, persons, are skipped over. No
/// dictionary where nearly every value differs.
pub(super) fn properties(schema: &SchemaRef, date: &str) -> WriterProperties {
    let order = ["person_no", date].into_iter().filter_map(|name| schema.index_of(name).ok());
    let order = order
        .filter_map(|index| i32::try_from(index).ok())
        .map(|column_idx| SortingColumn { column_idx, descending: false, nulls_first: false })
        .collect();
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(ROW_GROUP))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_sorting_columns(Some(order));
    for field in schema.fields() {
        let path = ColumnPath::from(field.name().as_str());
        if !matches!(field.data_type(), DataType::UInt64 | DataType::Int64 | DataType::Utf8) {
            properties = properties.set_column_compression(path.clone(), Compression::UNCOMPRESSED);
        }
        if matches!(field.data_type(), DataType::UInt64 | DataType::UInt32) {
            properties = properties.set_column_dictionary_enabled(path.clone(), false);
        }
        if matches!(field.data_type(), DataType::Date32 | DataType::UInt32) {
            properties = properties.set_column_statistics_enabled(path, EnabledStatistics::Page);
        }
    }
    properties.build()
}

/// A municipality's number as text.
pub(super) fn municipality(text: &Text<4>) -> String {
    String::from_utf8_lossy(trimmed(text)).into_owned()
}
