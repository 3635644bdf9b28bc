//! Rows with linkage codes, as Arrow batches.

use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Builder, FixedSizeBinaryBuilder, StringBuilder};
use arrow::datatypes::{DataType, Date32Type, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use arrow::record_batch::RecordBatch;
use chrono::NaiveDate;

use crate::domain::order::LinkageOrder;
use crate::linkage::{LinkageCode, row_schema};

enum Values {
    Days(Date32Builder),
    Texts(StringBuilder),
}

/// Gathers rows of an order until they are a batch.
pub(super) struct BatchWriter {
    schema: SchemaRef,
    codes: FixedSizeBinaryBuilder,
    columns: Vec<Values>,
    rows: usize,
}

impl BatchWriter {
    /// The rows of a batch.
    pub(super) const ROWS: usize = 8192;

    pub(super) fn new(order: &LinkageOrder) -> Self {
        let schema = Arc::new(row_schema(order));
        let columns = schema.fields().iter().skip(1).map(|field| match field.data_type() {
            DataType::Date32 => Values::Days(Date32Builder::new()),
            _ => Values::Texts(StringBuilder::new()),
        });
        let columns = columns.collect();
        let codes = FixedSizeBinaryBuilder::new(16);
        Self { schema, codes, columns, rows: 0 }
    }

    /// Adds a row; its date goes where the order has its date variable.
    pub(super) fn push(
        &mut self,
        code: &LinkageCode,
        date: NaiveDate,
        values: &[Option<String>],
    ) -> Result<(), ArrowError> {
        self.codes.append_value(code.as_bytes())?;
        for (column, value) in self.columns.iter_mut().zip(values) {
            match column {
                Values::Days(days) => days.append_value(Date32Type::from_naive_date(date)),
                Values::Texts(texts) => texts.append_option(value.as_deref()),
            }
        }
        self.rows += 1;
        Ok(())
    }

    /// Whether the batch has all its rows.
    pub(super) const fn is_full(&self) -> bool {
        self.rows >= Self::ROWS
    }

    /// The rows so far as one Arrow IPC stream, and how many they are; nothing if there are none.
    pub(super) fn take(&mut self) -> Result<Option<(Vec<u8>, usize)>, ArrowError> {
        let rows = std::mem::take(&mut self.rows);
        if rows == 0 {
            return Ok(None);
        }
        let codes: ArrayRef = Arc::new(self.codes.finish());
        let columns = self.columns.iter_mut().map(|column| -> ArrayRef {
            match column {
                Values::Days(days) => Arc::new(days.finish()),
                Values::Texts(texts) => Arc::new(texts.finish()),
            }
        });
        let columns = std::iter::once(codes).chain(columns).collect();
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns)?;
        let mut writer = StreamWriter::try_new(Vec::new(), &self.schema)?;
        writer.write(&batch)?;
        Ok(Some((writer.into_inner()?, rows)))
    }
}
