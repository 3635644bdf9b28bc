//! Columns: an Arrow IPC stream and a Parquet file, with the columns of the CSV.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray, UInt64Array};
use arrow::datatypes::{Field, Schema};
use arrow::ipc::writer::StreamWriter;
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use super::figures::{Figure, Kind, Value, decimal, figures};
use crate::domain::table::ResultTable;

pub(super) fn arrow(table: &ResultTable) -> Option<Vec<u8>> {
    let batch = batch(table)?;
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).ok()?;
    writer.write(&batch).ok()?;
    writer.into_inner().ok()
}

pub(super) fn parquet(table: &ResultTable) -> Option<Vec<u8>> {
    let batch = batch(table)?;
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).ok()?;
    writer.write(&batch).ok()?;
    writer.into_inner().ok()
}

/// One row a cell: the codes, then each figure (null where it has a status) and its status (null where it
/// is a number).
fn batch(table: &ResultTable) -> Option<RecordBatch> {
    let mut fields = Vec::new();
    let mut columns: Vec<ArrayRef> = Vec::new();
    let mut push = |name: &str, column: ArrayRef, nullable: bool| {
        fields.push(Field::new(name, column.data_type().clone(), nullable));
        columns.push(column);
    };
    for (at, dimension) in table.shape.dimensions.iter().enumerate() {
        let codes = (0..table.shape.cells()).map(|cell| {
            let position = *table.shape.positions(cell).get(at)?;
            dimension.codes.codes().get(position).map(|code| code.code.as_str())
        });
        let codes = codes.collect::<Option<Vec<&str>>>()?;
        push(dimension.variable.as_str(), Arc::new(StringArray::from(codes)), false);
    }
    for figure in figures(table) {
        let status: StringArray = figure.values.iter().map(|v| v.status()).collect();
        push(&figure.code, numbers(&figure), true);
        push(&format!("{}_status", figure.code), Arc::new(status), true);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).ok()
}

#[allow(clippy::cast_precision_loss, reason = "a share is at most 1000 tenths of a percent")]
fn numbers(figure: &Figure) -> ArrayRef {
    let values = figure.values.iter();
    match figure.kind {
        Kind::Share => {
            let share = |v: &Value| if let Value::Permille(t) = v { Some(*t as f64 / 10.0) } else { None };
            Arc::new(values.map(share).collect::<Float64Array>())
        }
        Kind::Persons => {
            let count = |v: &Value| if let Value::Count(n) = v { Some(*n) } else { None };
            Arc::new(values.map(count).collect::<UInt64Array>())
        }
        Kind::Noisy | Kind::Statistic(0) => {
            let number = |v: &Value| if let Value::Noisy(n, _) = v { Some(*n) } else { None };
            Arc::new(values.map(number).collect::<Int64Array>())
        }
        Kind::Statistic(_) => {
            let number = |v: &Value| match v {
                Value::Noisy(units, decimals) => decimal(*units, *decimals).parse().ok(),
                _ => None,
            };
            Arc::new(values.map(number).collect::<Float64Array>())
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::{Float64Type, UInt64Type};
    use arrow::ipc::reader::StreamReader;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::super::testing::table;
    use super::*;

    #[test]
    fn both_files_hold_the_table() {
        let stream = arrow(&table()).unwrap();
        let from_arrow = StreamReader::try_new(stream.as_slice(), None).unwrap().next().unwrap().unwrap();
        let file = tokio_util::bytes::Bytes::from(parquet(&table()).unwrap());
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
        let from_parquet = reader.map(|b| b.unwrap()).next().unwrap();
        assert_eq!(from_arrow.columns(), from_parquet.columns());

        let column = |name: &str| Arc::clone(from_arrow.column_by_name(name).unwrap());
        let persons = column("persons");
        assert_eq!(persons.as_primitive::<UInt64Type>().value(0), 40);
        // Withheld: null, never zero; an empty cell is zero.
        assert!(persons.is_null(7) && persons.is_valid(5));
        assert_eq!(column("persons_status").as_string::<i32>().value(7), ":");
        assert!(column("persons_status").is_null(5));
        let share = column("gp_30_share");
        assert!((share.as_primitive::<Float64Type>().value(0) - 32.5).abs() < 1e-9);
        assert!(share.is_null(3) && share.is_null(5));
        assert_eq!(column("gp_30_share_status").as_string::<i32>().value(5), ".");
        assert_eq!(column("municipality").as_string::<i32>().value(2), "11,\"03");
    }
}
