//! A partner's batch, checked against the order it answers.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, AsArray, FixedSizeBinaryArray, StringArray};
use arrow::datatypes::{DataType, Date32Type, Field, Schema};
use arrow::record_batch::RecordBatch;

use super::code::LinkageCode;
use super::error::LinkageError;
use super::ipc;
use crate::domain::order::LinkageOrder;

/// The longest value of a column that is taken, in bytes. Catalogue codes are shorter.
const LONGEST_VALUE: usize = 64;

/// Arrow counts the bytes of a fixed-size column in `i32`.
#[allow(clippy::cast_possible_truncation, reason = "16 fits")]
const CODE_BYTES: i32 = LinkageCode::LENGTH as i32;

/// The columns in which the rows of an order are sent: `code` FixedSizeBinary(16), then the order's
/// columns; its date variable as Date32, every other as Utf8.
#[must_use]
pub fn row_schema(order: &LinkageOrder) -> Schema {
    let code = Field::new("code", DataType::FixedSizeBinary(CODE_BYTES), false);
    let columns = order.columns.iter().map(|column| {
        let is_date = *column == order.date;
        let kind = if is_date { DataType::Date32 } else { DataType::Utf8 };
        Field::new(column.as_str(), kind, !is_date)
    });
    Schema::new(std::iter::once(code).chain(columns).collect::<Vec<_>>())
}

/// Rows with linkage codes that lie within their order. Made only here, by [`CodedBatch::parse`].
pub struct CodedBatch {
    rows: RecordBatch,
}

impl CodedBatch {
    /// Reads one Arrow IPC stream of one record batch and checks it against the order: exactly its
    /// columns, 1 to `most_rows` rows, a code and a date in every row, every date in the period, and the
    /// order's conditions on those of its columns that have one.
    ///
    /// # Errors
    /// [`LinkageError`], the first rule broken.
    pub(super) fn parse(order: &LinkageOrder, bytes: &[u8], most_rows: usize) -> Result<Self, LinkageError> {
        let sent = ipc::decode(bytes)?;
        if sent.num_rows() == 0 || sent.num_rows() > most_rows {
            return Err(LinkageError::BatchRows(most_rows));
        }
        let expected = row_schema(order);
        let schema = sent.schema();
        let same = |(ours, theirs): (&Arc<Field>, &Arc<Field>)| {
            ours.name() == theirs.name() && ours.data_type() == theirs.data_type()
        };
        if expected.fields().len() != schema.fields().len()
            || !expected.fields().iter().zip(schema.fields()).all(same)
        {
            return Err(LinkageError::Columns);
        }
        let has_missing = |(field, column): (&Arc<Field>, &Arc<dyn Array>)| {
            !field.is_nullable() && column.logical_null_count() > 0
        };
        if expected.fields().iter().zip(sent.columns()).any(has_missing) {
            return Err(LinkageError::Missing);
        }
        // Under the schema of this side, metadata that the partner may have added is gone.
        let rows = RecordBatch::try_new(Arc::new(expected), sent.columns().to_vec())
            .map_err(|_| LinkageError::Encoding)?;
        let batch = Self { rows };
        batch.check_period(order)?;
        batch.check_values(order)?;
        Ok(batch)
    }

    fn check_period(&self, order: &LinkageOrder) -> Result<(), LinkageError> {
        let Some(dates) = self.rows.column_by_name(order.date.as_str()) else { return Ok(()) };
        let dates = dates.as_primitive_opt::<Date32Type>().ok_or(LinkageError::Columns)?;
        let days =
            Date32Type::from_naive_date(order.period.from())..=Date32Type::from_naive_date(order.period.to());
        if dates.values().iter().all(|day| days.contains(day)) {
            Ok(())
        } else {
            Err(LinkageError::OutsidePeriod)
        }
    }

    fn check_values(&self, order: &LinkageOrder) -> Result<(), LinkageError> {
        for (name, column) in order.columns.iter().zip(self.rows.columns().iter().skip(1)) {
            let Some(column) = column.as_string_opt::<i32>() else { continue };
            for condition in order.conditions.iter().filter(|c| c.variable == *name) {
                let allowed: HashSet<&str> = condition.any_of.iter().map(String::as_str).collect();
                if !column.iter().all(|value| value.is_some_and(|value| allowed.contains(value))) {
                    return Err(LinkageError::OutsideConditions);
                }
            }
            if !codes_only(column) {
                return Err(LinkageError::NotACode);
            }
        }
        Ok(())
    }

    /// How many rows it has.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows.num_rows()
    }

    /// The codes, a row each.
    pub(crate) fn codes(&self) -> Option<&FixedSizeBinaryArray> {
        self.rows.column(0).as_fixed_size_binary_opt()
    }

    /// The rows, with the code first.
    pub(crate) const fn record_batch(&self) -> &RecordBatch {
        &self.rows
    }
}

/// Whether no value could carry an identity number or free text past the gateway's door.
fn codes_only(column: &StringArray) -> bool {
    column.iter().flatten().all(|value| {
        value.len() <= LONGEST_VALUE
            && !value.split(|c: char| !c.is_ascii_digit()).any(|digits| digits.len() >= 11)
    })
}

/// All the rows a partner sent for an order, each batch checked. Made only by the order desk.
pub struct CodedRows {
    order: LinkageOrder,
    batches: Vec<CodedBatch>,
    invalid_rows: u64,
}

impl CodedRows {
    pub(super) const fn new(order: LinkageOrder, batches: Vec<CodedBatch>, invalid_rows: u64) -> Self {
        Self { order, batches, invalid_rows }
    }

    /// The order they answer.
    #[must_use]
    pub const fn order(&self) -> &LinkageOrder {
        &self.order
    }

    /// The batches.
    #[must_use]
    pub fn batches(&self) -> &[CodedBatch] {
        &self.batches
    }

    /// Rows that the partner left out because their number is not an identity number.
    #[must_use]
    pub const fn invalid_rows(&self) -> u64 {
        self.invalid_rows
    }

    pub(super) fn into_batches(self) -> Vec<CodedBatch> {
        self.batches
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;
    use crate::linkage::testing::{Row, bytes, columns, order, stream};

    const GOOD: [Row<'static>; 2] =
        [(Some(1), Some("2024-01-01"), Some("1")), (Some(2), Some("2024-12-31"), Some("1"))];

    fn parse(bytes: &[u8]) -> Result<CodedBatch, LinkageError> {
        CodedBatch::parse(&order(1, TimeDelta::minutes(1)), bytes, 10)
    }

    fn refused(bytes: &[u8]) -> LinkageError {
        parse(bytes).err().unwrap()
    }

    fn with_columns(names: &[&str], columns: Vec<Arc<dyn Array>>) -> Vec<u8> {
        let field =
            |(name, column): (&&str, &Arc<dyn Array>)| Field::new(*name, column.data_type().clone(), true);
        let fields: Vec<Field> = names.iter().zip(&columns).map(field).collect();
        stream(&[RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()])
    }

    #[test]
    fn rows_within_the_order_are_taken() {
        let batch = parse(&bytes(&GOOD)).ok().unwrap();
        assert_eq!(batch.rows(), 2);
        assert_eq!(batch.codes().unwrap().value(1), [2; 16]);
    }

    #[test]
    fn rows_outside_the_order_are_not() {
        let with = |row: Row<'_>| refused(&bytes(&[GOOD[0], row]));
        assert_eq!(with((Some(2), Some("2025-01-01"), Some("1"))), LinkageError::OutsidePeriod);
        assert_eq!(with((Some(2), Some("2023-12-31"), Some("1"))), LinkageError::OutsidePeriod);
        assert_eq!(with((Some(2), Some("2024-06-01"), Some("3"))), LinkageError::OutsideConditions);
        assert_eq!(with((Some(2), Some("2024-06-01"), None)), LinkageError::OutsideConditions);
        assert_eq!(with((None, Some("2024-06-01"), Some("1"))), LinkageError::Missing);
        assert_eq!(with((Some(2), None, Some("1"))), LinkageError::Missing);
    }

    #[test]
    fn the_number_of_rows_is_limited() {
        assert_eq!(refused(&bytes(&[])), LinkageError::BatchRows(10));
        assert!(parse(&bytes(&[GOOD[0]; 10])).is_ok());
        assert_eq!(refused(&bytes(&[GOOD[0]; 11])), LinkageError::BatchRows(10));
    }

    #[test]
    fn other_columns_are_refused() {
        let [code, date, level] = columns(&GOOD);
        let all = || vec![Arc::clone(&code), Arc::clone(&date), Arc::clone(&level)];
        assert!(parse(&with_columns(&["code", "utdato", "omsorgsniva"], all())).is_ok());
        let wrong = [
            with_columns(&["code", "utdato", "fagomrade"], all()),
            with_columns(&["fnr", "utdato", "omsorgsniva"], all()),
            with_columns(&["code", "utdato"], all()[..2].to_vec()),
            with_columns(&["code", "omsorgsniva", "utdato"], vec![code.clone(), level.clone(), date.clone()]),
            with_columns(
                &["code", "utdato", "omsorgsniva"],
                vec![code.clone(), level.clone(), level.clone()],
            ),
            with_columns(
                &["code", "utdato", "omsorgsniva"],
                vec![level.clone(), date.clone(), level.clone()],
            ),
            with_columns(&["code", "utdato", "omsorgsniva", "extra"], [all(), vec![level.clone()]].concat()),
        ];
        for bytes in wrong {
            assert_eq!(refused(&bytes), LinkageError::Columns);
        }
    }

    #[test]
    fn a_value_that_is_no_code_is_refused() {
        let mut order = order(1, TimeDelta::minutes(1));
        order.conditions.clear();
        let with = |value| CodedBatch::parse(&order, &bytes(&[(Some(1), Some("2024-01-01"), value)]), 10);
        assert!(with(Some("F20.0")).is_ok());
        assert!(with(Some("0281329999")).is_ok());
        assert!(with(None).is_ok());
        assert_eq!(with(Some("02813299997")).err(), Some(LinkageError::NotACode));
        assert_eq!(with(Some("x102813299997")).err(), Some(LinkageError::NotACode));
        assert_eq!(with(Some(&"a".repeat(65))).err(), Some(LinkageError::NotACode));
    }

    #[test]
    fn only_one_whole_batch_is_a_batch() {
        let whole = bytes(&GOOD);
        for length in 0..whole.len() {
            assert_eq!(refused(&whole[..length]), LinkageError::Encoding, "cut at {length}");
        }
        assert_eq!(refused(&[whole.clone(), vec![0]].concat()), LinkageError::Encoding);
        assert_eq!(refused(&[whole.clone(), whole].concat()), LinkageError::Encoding);
        let [code, date, level] = columns(&GOOD);
        let schema = Arc::new(row_schema(&order(1, TimeDelta::minutes(1))));
        let batch = RecordBatch::try_new(schema, vec![code, date, level]).unwrap();
        assert!(parse(&stream(std::slice::from_ref(&batch))).is_ok());
        assert_eq!(refused(&stream(&[batch.clone(), batch])), LinkageError::Encoding);
    }

    #[test]
    fn metadata_of_the_partner_goes_no_further() {
        let [code, date, level] = columns(&GOOD);
        let note = [("note".to_owned(), "02813299997".to_owned())];
        let schema = row_schema(&order(1, TimeDelta::minutes(1))).with_metadata(note.into());
        let sent = RecordBatch::try_new(Arc::new(schema), vec![code, date, level]).unwrap();
        let taken = parse(&stream(&[sent])).ok().unwrap();
        assert!(taken.record_batch().schema().metadata().is_empty());
    }

    proptest! {
        #[test]
        fn damage_never_brings_in_a_row_outside_the_order(
            damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)
        ) {
            let mut sent = bytes(&GOOD);
            for (at, value) in &damage {
                *at.get_mut(&mut sent) = *value;
            }
            if let Ok(batch) = parse(&sent) {
                prop_assert!((1..=10).contains(&batch.rows()));
                let dates = batch.record_batch().column(1).as_primitive::<Date32Type>().clone();
                prop_assert!(dates.iter().all(|d| d.is_some_and(|d| (19_723..=20_088).contains(&d))));
                let levels = batch.record_batch().column(2).as_string::<i32>().clone();
                prop_assert!(levels.iter().all(|level| level == Some("1")));
            }
        }
    }
}
