//! Which pages of a sorted Parquet file can hold rows of the cohort.

use arrow::array::AsArray;
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::UInt32Type;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::arrow::arrow_reader::{RowSelection, RowSelector};
use parquet::arrow::parquet_to_arrow_schema;
use parquet::file::metadata::ParquetMetaData;

/// The rows of the pages of `person` between whose least and greatest value there is a member. None if the
/// file has no page index: all of it has to be read then.
///
/// Rows are in the order of their persons, so a page holds few persons, and most pages nobody of a small cohort.
pub(super) fn selection(
    metadata: &ParquetMetaData,
    person: &str,
    members: &BooleanBuffer,
) -> Option<RowSelection> {
    let (columns, offsets) = (metadata.column_index()?, metadata.offset_index()?);
    let descriptor = metadata.file_metadata().schema_descr();
    let schema = parquet_to_arrow_schema(descriptor, metadata.file_metadata().key_value_metadata()).ok()?;
    let pages = StatisticsConverter::try_new(person, &schema, descriptor).ok()?;
    let groups: Vec<usize> = (0..metadata.num_row_groups()).collect();
    let least = pages.data_page_mins(columns, offsets, &groups).ok()?;
    let greatest = pages.data_page_maxes(columns, offsets, &groups).ok()?;
    let rows = pages.data_page_row_counts(offsets, metadata.row_groups(), &groups).ok()??;
    let (least, greatest) =
        (least.as_primitive_opt::<UInt32Type>()?, greatest.as_primitive_opt::<UInt32Type>()?);
    if least.len() != rows.len() || greatest.len() != rows.len() {
        return None;
    }
    let pages = least.iter().zip(greatest).zip(&rows).map(|((least, greatest), rows)| {
        let rows = usize::try_from(rows?).ok()?;
        // A page that does not say what is in it is read.
        let holds = least.zip(greatest).is_none_or(|(least, greatest)| any(members, least, greatest));
        Some(if holds { RowSelector::select(rows) } else { RowSelector::skip(rows) })
    });
    Some(RowSelection::from(pages.collect::<Option<Vec<_>>>()?))
}

/// Whether there is a member from `first` to `last`.
fn any(members: &BooleanBuffer, first: u32, last: u32) -> bool {
    let end = (last as usize).saturating_add(1).min(members.len());
    let first = first as usize;
    first < end && members.slice(first, end - first).count_set_bits() > 0
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::UInt32Array;
    use arrow::record_batch::RecordBatch;
    use parquet::arrow::ArrowWriter;
    use parquet::file::metadata::{PageIndexPolicy, ParquetMetaDataReader};
    use parquet::file::properties::{EnabledStatistics, WriterProperties};

    use super::*;

    fn metadata(persons: &[Option<u32>], statistics: EnabledStatistics) -> ParquetMetaData {
        let column = Arc::new(persons.iter().copied().collect::<UInt32Array>()) as _;
        let batch = RecordBatch::try_from_iter_with_nullable([("person_no", column, true)]).unwrap();
        let properties = WriterProperties::builder()
            .set_max_row_group_row_count(Some(8))
            .set_write_batch_size(2)
            .set_data_page_row_count_limit(2)
            .set_statistics_enabled(statistics)
            .build();
        let mut writer =
            ArrowWriter::try_new(tempfile::tempfile().unwrap(), batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        let file = writer.into_inner().unwrap();
        let reader = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Optional);
        reader.parse_and_finish(&file).unwrap()
    }

    fn members(persons: &[usize], length: usize) -> BooleanBuffer {
        BooleanBuffer::collect_bool(length, |p| persons.contains(&p))
    }

    #[test]
    fn pages_without_a_member_are_skipped() {
        let some = |p: u32| Some(p);
        let persons = [[1, 1], [2, 4], [5, 9], [9, 9], [9, 12], [13, 3_000_000_000]].concat();
        let mut persons: Vec<_> = persons.into_iter().map(some).collect();
        persons.extend([None, None, None]);
        let metadata = metadata(&persons, EnabledStatistics::Page);
        // Row groups of eight rows, pages of two. What the last three rows are of is not said: they are read.
        let selected = |m: &[usize], length| -> Vec<(usize, bool)> {
            let selection = selection(&metadata, "person_no", &members(m, length)).unwrap();
            selection.iter().map(|s| (s.row_count, s.skip)).collect()
        };
        assert_eq!(selected(&[3], 4), [(2, true), (2, false), (8, true), (3, false)]);
        assert_eq!(selected(&[9], 10), [(4, true), (6, false), (2, true), (3, false)]);
        assert_eq!(selected(&[0, 20], 21), [(10, true), (5, false)]);
        assert_eq!(selected(&[], 0), [(12, true), (3, false)]);
    }

    #[test]
    fn a_file_without_a_page_index_is_read_whole() {
        let metadata = metadata(&[Some(1), Some(2), Some(3)], EnabledStatistics::Chunk);
        let all = selection(&metadata, "person_no", &members(&[9], 10));
        assert!(all.is_none_or(|s| s.row_count() == 3));
    }
}
