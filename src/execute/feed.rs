//! The rows of a feed: of the persons given, the granted ones of each dataset.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::UInt32Type;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::NaiveDate;
use datafusion::scalar::ScalarValue;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::engine::Engine;
use super::error::ExecuteError;
use super::person_index::PERSON_NO;
use super::protected::Protected;
use super::sources::Register;
use crate::domain::feed::Feed;
use crate::domain::ids::PersonNo;
use crate::domain::period::Period;
use crate::linkage::GivenPersons;
use crate::plan::{FeedDataset, FeedPlan};
use crate::registers::Snapshot;

/// Rows read at a time.
const BATCH: usize = 1 << 14;

/// A row that the engine has read for a feed.
pub struct PersonRow {
    /// Whose it is.
    pub person: PersonNo,
    /// The values of the granted variables, in the order of the approval.
    pub values: Vec<Option<String>>,
}

/// The rows of each dataset of a feed's plan, in its order.
pub struct FeedRows {
    /// The rows, dataset by dataset.
    pub datasets: Vec<Vec<PersonRow>>,
}

fn unreadable() -> ExecuteError {
    ExecuteError::Engine("a part of the register cannot be read")
}

impl Engine {
    /// Reads what a feed grants, of the persons given and nobody else. What comes out is sealed.
    ///
    /// # Errors
    /// [`ExecuteError`], also for more than [`Feed::MOST_ROWS`] rows.
    pub async fn feed(
        &self,
        plan: &FeedPlan,
        given: &GivenPersons,
        snapshot: &Snapshot,
    ) -> Result<Protected<FeedRows>, ExecuteError> {
        let register = self.register(snapshot);
        let (datasets, period) =
            (plan.datasets().to_vec(), plan.approved().approval().approval().data_period);
        let length = given.persons().last().map_or(0, |last| last.0 as usize + 1);
        let mut members = arrow::array::BooleanBufferBuilder::new(length);
        members.append_n(length, false);
        given.persons().for_each(|person| members.set_bit(person.0 as usize, true));
        let members = members.finish();
        let rows = self.beside(move || read(&register, &datasets, period, &members)).await??;
        Ok(Protected::seal(rows))
    }
}

fn read(
    register: &Register,
    datasets: &[FeedDataset],
    period: Period,
    members: &BooleanBuffer,
) -> Result<FeedRows, ExecuteError> {
    let mut left = Feed::MOST_ROWS;
    let mut all = Vec::with_capacity(datasets.len());
    for dataset in datasets {
        let mut rows = Vec::new();
        for part in register.snapshot.parts(dataset.dataset.as_str()) {
            rows_in(register, part, (dataset, period), members, &mut rows, left)?;
        }
        left = left.saturating_sub(rows.len());
        all.push(rows);
    }
    Ok(FeedRows { datasets: all })
}

/// The granted rows of the members in one part.
fn rows_in(
    register: &Register,
    path: &Path,
    (dataset, period): (&FeedDataset, Period),
    members: &BooleanBuffer,
    rows: &mut Vec<PersonRow>,
    most: usize,
) -> Result<(), ExecuteError> {
    let index = register.index_of(path)?;
    let file = File::open(path).map_err(|_| unreadable())?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|_| unreadable())?;
    let conditions = dataset.conditions.iter().map(|condition| condition.variable.as_str());
    let named: BTreeSet<&str> =
        dataset.variables.iter().map(|v| v.as_str()).chain(conditions).chain([PERSON_NO]).collect();
    let columns = ProjectionMask::columns(reader.parquet_schema(), named);
    let reader = reader.with_projection(columns).with_row_selection(index.rows_of(members));
    for batch in reader.with_batch_size(BATCH).build().map_err(|_| unreadable())? {
        add(&batch.map_err(|_| unreadable())?, (dataset, period), rows)?;
        if rows.len() > most {
            return Err(ExecuteError::FeedTooLarge { most: Feed::MOST_ROWS });
        }
    }
    Ok(())
}

/// The text of each value of a column; nothing where it is not known.
fn texts(column: &ArrayRef) -> Result<Vec<Option<String>>, ExecuteError> {
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(column, &options).map_err(|_| unreadable())?;
    Ok((0..column.len()).map(|row| column.is_valid(row).then(|| formatter.value(row).to_string())).collect())
}

fn add(
    batch: &RecordBatch,
    (dataset, period): (&FeedDataset, Period),
    rows: &mut Vec<PersonRow>,
) -> Result<(), ExecuteError> {
    let column = |name: &str| batch.column_by_name(name).ok_or_else(unreadable);
    let persons = column(PERSON_NO)?.as_primitive_opt::<UInt32Type>().ok_or_else(unreadable)?;
    let days = texts(column(dataset.date.as_str())?)?;
    let mut stays: Vec<bool> = days
        .iter()
        .map(|day| day.as_ref().and_then(|day| day.parse::<NaiveDate>().ok()))
        .map(|day| day.is_some_and(|day| period.contains(day)))
        .collect();
    for condition in &dataset.conditions {
        let held = column(condition.variable.as_str())?;
        // As the column itself would write it, so that it compares as a value and not as it was typed.
        let wanted = condition.any_of.iter().map(|code| {
            let code = ScalarValue::try_from_string(code.clone(), held.data_type()).ok();
            let one = code.and_then(|code| code.to_array().ok()).map(|one| texts(&one));
            one.transpose()?.and_then(|one| one.into_iter().next()?).ok_or_else(|| ExecuteError::CodeType {
                dataset: dataset.dataset.clone(),
                variable: condition.variable.to_string(),
            })
        });
        let wanted = wanted.collect::<Result<BTreeSet<String>, _>>()?;
        for (stays, value) in stays.iter_mut().zip(texts(held)?) {
            *stays &= value.is_some_and(|value| wanted.contains(&value));
        }
    }
    let values = dataset.variables.iter().map(|variable| texts(column(variable.as_str())?));
    let mut values: Vec<_> = values.collect::<Result<Vec<_>, _>>()?.into_iter().map(Vec::into_iter).collect();
    for (person, stays) in persons.iter().zip(stays) {
        let values: Vec<Option<String>> = values.iter_mut().map(|column| column.next().flatten()).collect();
        if let (true, Some(person)) = (stays, person) {
            rows.push(PersonRow { person: PersonNo(person), values });
        }
    }
    Ok(())
}
