//! The functions and typed values that the engine's plans are built of.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, Int32Array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{DatePart, date_part};
use arrow::datatypes::{DataType, Int32Type, UInt32Type};
use chrono::NaiveDate;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, lit,
};
use datafusion::scalar::ScalarValue;

/// A date as a typed literal.
pub(super) fn date(day: NaiveDate) -> Expr {
    lit(ScalarValue::Date32(Some(arrow::datatypes::Date32Type::from_naive_date(day))))
}

/// A code as a literal of the column's own type, so that the reader compares without a cast; none if it
/// is not of that type.
pub(super) fn code(text: &str, column: &DataType) -> Option<Expr> {
    ScalarValue::try_from_string(text.to_owned(), column).ok().map(lit)
}

/// `in_cohort(person_no)`: whether the person is in the cohort, by one bit a person. The reader
/// evaluates it on the sorted `person_no` alone, and decodes the other columns only where it holds.
pub(super) fn in_cohort(persons: impl Iterator<Item = u32> + Clone) -> ScalarUDF {
    let length = persons.clone().max().map_or(0, |last| last as usize + 1);
    let mut bits = arrow::array::BooleanBufferBuilder::new(length);
    bits.append_n(length, false);
    for person in persons {
        bits.set_bit(person as usize, true);
    }
    let signature = Signature::exact(vec![DataType::UInt32], Volatility::Immutable);
    ScalarUDF::new_from_impl(InCohort { signature, bits: Arc::new(bits.finish()) })
}

/// The function [`in_cohort`] makes.
pub(super) struct InCohort {
    signature: Signature,
    bits: Arc<BooleanBuffer>,
}

impl InCohort {
    /// A bit for each person, up to the last member.
    pub(super) fn members(&self) -> &BooleanBuffer {
        &self.bits
    }
}

// Who is in the cohort is data: a plan that is printed must not show it.
impl fmt::Debug for InCohort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InCohort")
    }
}

impl PartialEq for InCohort {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.bits, &other.bits)
    }
}

impl Eq for InCohort {}

impl Hash for InCohort {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bits.len().hash(state);
    }
}

impl ScalarUDFImpl for InCohort {
    fn name(&self) -> &str {
        "in_cohort"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let persons = argument(&args, 0)?;
        let persons = persons.as_primitive_opt::<UInt32Type>().ok_or_else(wrong_type)?;
        let (length, bits) = (self.bits.len(), self.bits.as_ref());
        let members = BooleanBuffer::collect_bool(persons.len(), |row| {
            let person = persons.values().get(row).map_or(usize::MAX, |&p| p as usize);
            person < length && bits.value(person)
        });
        // A row without a person is in nobody's cohort.
        let members = match persons.nulls() {
            Some(present) => &members & present.inner(),
            None => members,
        };
        Ok(ColumnarValue::Array(Arc::new(BooleanArray::new(members, None))))
    }
}

/// `age_at(birth_date, day)`: whole years, counted up on the birthday; for 29 February, in other years,
/// on 1 March.
pub(super) fn age_at() -> ScalarUDF {
    let signature = Signature::exact(vec![DataType::Date32, DataType::Date32], Volatility::Immutable);
    ScalarUDF::new_from_impl(AgeAt { signature })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct AgeAt {
    signature: Signature,
}

impl ScalarUDFImpl for AgeAt {
    fn name(&self) -> &str {
        "age_at"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int32)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let born = parts(&argument(&args, 0)?)?;
        let on = parts(&argument(&args, 1)?)?;
        let ages = born.into_iter().zip(on).map(|(born, on)| {
            let ((born_year, born_day), (year, day)) = (born?, on?);
            Some(year - born_year - i32::from(day < born_day))
        });
        Ok(ColumnarValue::Array(Arc::new(ages.collect::<Int32Array>())))
    }
}

/// The year, and month and day as one number, of each date.
fn parts(dates: &dyn Array) -> Result<Vec<Option<(i32, i32)>>> {
    let part = |part| date_part(dates, part);
    let (years, months, days) = (part(DatePart::Year)?, part(DatePart::Month)?, part(DatePart::Day)?);
    let whole =
        |array: &Arc<dyn Array>| array.as_primitive_opt::<Int32Type>().cloned().ok_or_else(wrong_type);
    let (years, months, days) = (whole(&years)?, whole(&months)?, whole(&days)?);
    let rows = years.iter().zip(&months).zip(&days);
    Ok(rows.map(|((year, month), day)| Some((year?, month? * 100 + day?))).collect())
}

fn argument(args: &ScalarFunctionArgs, index: usize) -> Result<Arc<dyn Array>> {
    args.args.get(index).ok_or_else(wrong_type)?.to_array(args.number_rows)
}

fn wrong_type() -> DataFusionError {
    DataFusionError::Internal("an argument is missing or of another type".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Date32Array, UInt32Array};
    use arrow::datatypes::{Date32Type, Field};

    fn call(function: &ScalarUDF, arrays: Vec<Arc<dyn Array>>) -> Arc<dyn Array> {
        let number_rows = arrays[0].len();
        let fields = arrays.iter().map(|a| Arc::new(Field::new("x", a.data_type().clone(), true)));
        let args = ScalarFunctionArgs {
            arg_fields: fields.collect(),
            args: arrays.into_iter().map(ColumnarValue::Array).collect(),
            number_rows,
            return_field: Arc::new(Field::new("x", function.return_type(&[]).unwrap(), true)),
            config_options: Arc::default(),
        };
        function.invoke_with_args(args).unwrap().to_array(number_rows).unwrap()
    }

    #[test]
    fn only_members_are_in_the_cohort() {
        let members = in_cohort([3_u32, 64, 200].into_iter());
        let asked = UInt32Array::from(vec![Some(3), Some(4), None, Some(200), Some(201), Some(u32::MAX)]);
        let answer = call(&members, vec![Arc::new(asked)]);
        let answer: Vec<_> = answer.as_boolean().iter().collect();
        assert_eq!(answer, [true, false, false, true, false, false].map(Some));
        let nobody = call(&in_cohort(std::iter::empty()), vec![Arc::new(UInt32Array::from(vec![0]))]);
        assert!(!nobody.as_boolean().value(0));
        assert!(!format!("{members:?}").contains("64"));
    }

    #[test]
    fn age_counts_up_on_the_birthday() {
        let day = |text: &str| Date32Type::from_naive_date(text.parse().unwrap());
        let cases = [
            ("2000-06-15", "2024-06-14", 23),
            ("2000-06-15", "2024-06-15", 24),
            ("2000-02-29", "2023-02-28", 22),
            ("2000-02-29", "2023-03-01", 23),
            ("2000-02-29", "2024-02-29", 24),
            ("1999-12-31", "2000-01-01", 0),
            ("2024-01-02", "2024-01-01", -1),
            ("1911-01-01", "2024-01-01", 113),
        ];
        let born = Date32Array::from_iter_values(cases.iter().map(|c| day(c.0)));
        let on = Date32Array::from_iter_values(cases.iter().map(|c| day(c.1)));
        let ages = call(&age_at(), vec![Arc::new(born), Arc::new(on)]);
        assert_eq!(ages.as_primitive::<Int32Type>().values().to_vec(), cases.map(|c| c.2).to_vec());
    }
}
