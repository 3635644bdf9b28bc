//! Where in a part each person's rows are.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::AsArray;
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::UInt32Type;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReaderBuilder, RowSelection};

use super::error::ExecuteError;

/// The memory for indexes: four bytes a person and part.
const MOST_BYTES: usize = 512 * 1024 * 1024;
/// Rows read at a time.
const BATCH: usize = 1 << 16;
/// The column that says whose a row is.
pub(super) const PERSON_NO: &str = "person_no";

/// The rows of each person of one part, whose rows are in the order of their persons, nobody's last.
#[derive(Debug)]
pub(super) struct PersonIndex {
    /// For each person up to the last the first row of that person or a later one; then their end.
    first: Vec<u32>,
    rows: usize,
}

impl PersonIndex {
    /// Reads the persons of a part.
    fn read(path: &Path) -> Result<Self, ExecuteError> {
        let unreadable = || ExecuteError::Engine("a part of the register cannot be read");
        let file = File::open(path).map_err(|_| unreadable())?;
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|_| unreadable())?;
        let rows = usize::try_from(reader.metadata().file_metadata().num_rows()).map_err(|_| unreadable())?;
        let person = ProjectionMask::columns(reader.parquet_schema(), [PERSON_NO]);
        let reader = reader.with_projection(person).with_batch_size(BATCH).build();
        let mut index = Self { first: Vec::new(), rows };
        let mut row = 0_u32;
        for batch in reader.map_err(|_| unreadable())? {
            let batch = batch.map_err(|_| unreadable())?;
            let persons = batch.columns().first().and_then(|c| c.as_primitive_opt::<UInt32Type>());
            for person in persons.ok_or_else(unreadable)?.iter().flatten() {
                if !index.begin(person, row) {
                    return Err(ExecuteError::Engine(
                        "a part of the register is not in the order of persons",
                    ));
                }
                row = row.checked_add(1).ok_or_else(unreadable)?;
            }
        }
        index.first.push(row);
        index.first.shrink_to_fit();
        Ok(index)
    }

    /// Notes a person's row. False if it comes after rows of a later person.
    fn begin(&mut self, person: u32, row: u32) -> bool {
        let after = person as usize + 1;
        if after > self.first.len() {
            self.first.resize(after, row);
        }
        after == self.first.len()
    }

    /// The rows of the members, of all rows of the part.
    pub(super) fn rows_of(&self, members: &BooleanBuffer) -> RowSelection {
        let rows = members.set_indices().filter_map(|person| {
            let (first, end) = (self.first.get(person)?, self.first.get(person + 1)?);
            (first < end).then_some(*first as usize..*end as usize)
        });
        RowSelection::from_consecutive_ranges(rows, self.rows)
    }

    fn bytes(&self) -> usize {
        self.first.capacity() * size_of::<u32>()
    }
}

/// The indexes of the parts that questions have looked in. Parts never change, so an index is read once; a question
/// that finds it there decodes no row of others.
#[derive(Debug, Default)]
pub(super) struct PersonIndexes(Mutex<HashMap<String, Arc<PersonIndex>>>);

impl PersonIndexes {
    /// Reads the index of the part at `path`, which the engine knows as `location`, unless it is there.
    pub(super) fn prepare(&self, location: &str, path: &Path) -> Result<(), ExecuteError> {
        if self.get(location).is_some() {
            return Ok(());
        }
        let index = Arc::new(PersonIndex::read(path)?);
        let mut indexes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if indexes.values().map(|i| i.bytes()).sum::<usize>() + index.bytes() > MOST_BYTES {
            // Of parts no longer current there may be many.
            indexes.clear();
        }
        indexes.insert(location.to_owned(), index);
        Ok(())
    }

    /// The index of a part, if it has been read.
    pub(super) fn get(&self, location: &str) -> Option<Arc<PersonIndex>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(location).cloned()
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::UInt32Array;
    use arrow::record_batch::RecordBatch;
    use parquet::arrow::ArrowWriter;
    use parquet::file::properties::WriterProperties;

    use super::*;

    fn index(persons: &[Option<u32>]) -> Result<PersonIndex, ExecuteError> {
        let column = Arc::new(persons.iter().copied().collect::<UInt32Array>()) as _;
        let batch = RecordBatch::try_from_iter_with_nullable([(PERSON_NO, column, true)]).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        let properties = WriterProperties::builder().set_max_row_group_row_count(Some(4)).build();
        let mut writer =
            ArrowWriter::try_new(file.reopen().unwrap(), batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        PersonIndex::read(file.path())
    }

    fn selected(index: &PersonIndex, members: &[usize]) -> Vec<(usize, bool)> {
        let length = members.iter().max().map_or(0, |last| last + 1);
        let members = BooleanBuffer::collect_bool(length, |p| members.contains(&p));
        index.rows_of(&members).iter().map(|s| (s.row_count, s.skip)).collect()
    }

    #[test]
    fn the_rows_of_members_are_selected_and_no_others() {
        let persons = [1, 1, 2, 5, 5, 5, 9].map(Some).into_iter().chain([None, None]).collect::<Vec<_>>();
        let index = index(&persons).unwrap();
        assert_eq!(selected(&index, &[1]), [(2, false), (7, true)]);
        assert_eq!(selected(&index, &[0, 2, 3, 4, 8]), [(2, true), (1, false), (6, true)]);
        assert_eq!(selected(&index, &[5, 9, 10, 40]), [(3, true), (4, false), (2, true)]);
        assert_eq!(selected(&index, &[]), [(9, true)]);
    }

    #[test]
    fn rows_out_of_order_are_refused() {
        assert!(index(&[Some(2), Some(1)]).is_err());
        assert_eq!(selected(&index(&[]).unwrap(), &[3]), []);
    }

    #[test]
    fn an_index_is_read_once() {
        let indexes = PersonIndexes::default();
        assert!(indexes.prepare("part", Path::new("/nowhere")).is_err());
        indexes.0.lock().unwrap().insert("part".to_owned(), Arc::new(index(&[Some(1)]).unwrap()));
        indexes.prepare("part", Path::new("/nowhere")).unwrap();
        assert!(indexes.get("other").is_none());
    }
}
