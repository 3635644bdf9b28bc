//! A person's own rows, as they lie in the register.

use arrow::array::RecordBatch;
use arrow::buffer::BooleanBuffer;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::fs::File;
use std::path::Path;

use super::engine::Engine;
use super::error::ExecuteError;
use super::person_index::PERSON_NO;
use super::sources::Register;
use crate::domain::ids::{DatasetId, PersonNo};
use crate::domain::person::OwnRows;
use crate::linkage::RegisteredPerson;
use crate::registers::Snapshot;

fn unreadable() -> ExecuteError {
    ExecuteError::Engine("a part of the register cannot be read")
}

impl Engine {
    /// The rows of a person in every dataset of a snapshot, those of each delivery together, without the person's
    /// number. It takes somebody for whom a portal acts, and nothing less:
    ///
    /// ```compile_fail,E0308
    /// use kpr::{domain::ids::PersonNo, execute::Engine, registers::Snapshot};
    /// async fn of_anybody(engine: &Engine, person: &PersonNo, snapshot: &Snapshot) {
    ///     let _ = engine.own_rows(person, snapshot).await;
    /// }
    /// ```
    ///
    /// ```
    /// use kpr::{execute::Engine, linkage::RegisteredPerson, registers::Snapshot};
    /// async fn own(engine: &Engine, person: &RegisteredPerson, snapshot: &Snapshot) {
    ///     let _ = engine.own_rows(person, snapshot).await;
    /// }
    /// ```
    ///
    /// # Errors
    /// [`ExecuteError::Engine`].
    pub async fn own_rows(
        &self,
        person: &RegisteredPerson,
        snapshot: &Snapshot,
    ) -> Result<Vec<OwnRows>, ExecuteError> {
        let (register, person) = (self.register(snapshot), person.number());
        self.beside(move || rows_of(&register, person)).await?
    }
}

fn rows_of(register: &Register, person: PersonNo) -> Result<Vec<OwnRows>, ExecuteError> {
    let mut all = Vec::new();
    for dataset in register.snapshot.datasets() {
        let id = DatasetId::new(dataset).map_err(|_| unreadable())?;
        for (path, taken) in register.snapshot.delivered(dataset) {
            let (columns, rows) = rows_in(register, path, person)?;
            if !rows.is_empty() {
                let (delivery, sender) = (taken.digest, taken.description.sender.clone());
                all.push(OwnRows { dataset: id.clone(), delivery, sender, columns, rows });
            }
        }
    }
    Ok(all)
}

type Rows = (Vec<String>, Vec<Vec<String>>);

/// The rows of a person in one part: the names of the columns, and the values as text.
fn rows_in(register: &Register, path: &Path, person: PersonNo) -> Result<Rows, ExecuteError> {
    let index = register.index_of(path)?;
    let place = person.0 as usize;
    let member = BooleanBuffer::collect_bool(place + 1, |p| p == place);
    let file = File::open(path).map_err(|_| unreadable())?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|_| unreadable())?;
    let reader = reader.with_row_selection(index.rows_of(&member)).build().map_err(|_| unreadable())?;
    let mut read: Rows = (Vec::new(), Vec::new());
    for batch in reader {
        add(&mut read, &batch.map_err(|_| unreadable())?)?;
    }
    Ok(read)
}

fn add((columns, rows): &mut Rows, batch: &RecordBatch) -> Result<(), ExecuteError> {
    let options = FormatOptions::default();
    let schema = batch.schema();
    let shown = schema.fields().iter().zip(batch.columns()).filter(|(field, _)| field.name() != PERSON_NO);
    let (names, formatters): (Vec<_>, Vec<_>) = shown
        .map(|(field, array)| {
            let formatter = ArrayFormatter::try_new(array, &options).map_err(|_| unreadable())?;
            Ok((field.name().clone(), formatter))
        })
        .collect::<Result<Vec<_>, ExecuteError>>()?
        .into_iter()
        .unzip();
    *columns = names;
    for row in 0..batch.num_rows() {
        rows.push(formatters.iter().map(|formatter| formatter.value(row).to_string()).collect());
    }
    Ok(())
}
