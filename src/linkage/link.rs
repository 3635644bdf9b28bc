//! Person numbers in place of linkage codes.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, UInt32Array};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt32Type};
use arrow::record_batch::RecordBatch;
use futures::future::BoxFuture;
use zeroize::Zeroizing;

use super::batch::{CodedBatch, CodedRows, row_schema};
use super::code::LinkageCode;
use super::error::LinkageError;
use super::quality::Tally;
use crate::domain::ids::{DomainId, PersonNo};
use crate::domain::order::LinkageOrder;
use crate::domain::record_key::{RecordKey, RecordKeyMap};

/// The identity service's answer to the codes of an order.
pub struct MappedCodes {
    /// One for each code, in the order asked; run-local numbers for identifiers it does not know.
    pub person_no: Vec<PersonNo>,
    /// How many persons came under more than one code.
    pub several_numbers: u64,
    /// One for each code, where they were asked for; erased on drop.
    pub record_keys: Option<Zeroizing<Vec<RecordKey>>>,
}

/// Asks the identity service for the persons behind linkage codes. It sees codes and nothing else.
pub trait CodeMapper: Send + Sync {
    /// The person number of each of `codes`, which are distinct, and with `record_keys_of` the person's record key in
    /// that data domain.
    fn map<'a>(
        &'a self,
        order: &'a LinkageOrder,
        codes: &'a [LinkageCode],
        record_keys_of: Option<&'a DomainId>,
    ) -> BoxFuture<'a, Result<MappedCodes, LinkageError>>;
}

/// Rows by person number: `person_no` UInt32, then the order's columns.
///
/// There is no way to make one of rows that have not gone through the identity service:
///
/// ```compile_fail,E0451
/// fn forge(rows: arrow::record_batch::RecordBatch) -> kpr::linkage::LinkedBatch {
///     kpr::linkage::LinkedBatch { rows }
/// }
/// ```
pub struct LinkedBatch {
    rows: RecordBatch,
}

impl LinkedBatch {
    /// Rows that were linked before.
    pub(super) const fn of(rows: RecordBatch) -> Self {
        Self { rows }
    }

    /// The rows.
    #[must_use]
    pub const fn record_batch(&self) -> &RecordBatch {
        &self.rows
    }
}

/// All linked rows of an order. Rows of identifiers that the identity service does not know are left
/// out and counted. Made only by [`link`], or of what was linked before and sealed:
///
/// ```compile_fail,E0451
/// fn forge(batches: Vec<kpr::linkage::LinkedBatch>, tally: kpr::linkage::Tally) -> kpr::linkage::Linked {
///     let schema = std::sync::Arc::new(arrow::datatypes::Schema::empty());
///     kpr::linkage::Linked { schema, batches, tally, record_keys: None }
/// }
/// ```
///
/// The engine takes nothing else:
///
/// ```compile_fail,E0308
/// async fn run(
///     engine: &kpr::execute::Engine,
///     plan: &kpr::plan::QueryPlan,
///     rows: Vec<arrow::record_batch::RecordBatch>,
///     snapshot: &kpr::registers::Snapshot,
/// ) {
///     let _ = engine.run(plan, rows, snapshot).await;
/// }
/// ```
pub struct Linked {
    schema: SchemaRef,
    batches: Vec<LinkedBatch>,
    tally: Tally,
    record_keys: Option<RecordKeyMap>,
}

impl Linked {
    /// Rows that were linked before, without record keys.
    pub(super) const fn of(schema: SchemaRef, batches: Vec<LinkedBatch>, tally: Tally) -> Self {
        Self { schema, batches, tally, record_keys: None }
    }

    /// The columns of every batch, also when there is none.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// The batches; a partner with no matching row leaves none.
    #[must_use]
    pub fn batches(&self) -> &[LinkedBatch] {
        &self.batches
    }

    /// The bytes of memory that the rows take.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.batches.iter().map(|batch| batch.rows.get_array_memory_size()).sum()
    }

    /// How well the rows found their persons.
    #[must_use]
    pub const fn tally(&self) -> Tally {
        self.tally
    }

    /// The rows without those of the persons given.
    ///
    /// # Errors
    /// [`LinkageError::Assembly`].
    pub fn without(self, persons: &HashSet<PersonNo>) -> Result<Self, LinkageError> {
        if persons.is_empty() {
            return Ok(self);
        }
        let stays = |batch: LinkedBatch| {
            let numbers = batch.rows.columns().first().and_then(|c| c.as_primitive_opt::<UInt32Type>());
            let numbers = numbers.ok_or(LinkageError::Assembly)?;
            let kept: BooleanArray = numbers
                .iter()
                .map(|number| Some(!number.is_some_and(|number| persons.contains(&PersonNo(number)))))
                .collect();
            let rows = filter_record_batch(&batch.rows, &kept).map_err(|_| LinkageError::Assembly)?;
            Ok(LinkedBatch { rows })
        };
        let batches = self.batches.into_iter().map(stays).collect::<Result<_, LinkageError>>()?;
        Ok(Self { batches, ..self })
    }

    /// The record keys of its persons, where they were asked for; once.
    pub fn take_record_keys(&mut self) -> Option<RecordKeyMap> {
        self.record_keys.take()
    }
}

/// The columns of linked rows: those of the order with `person_no` in place of the code.
fn linked_schema(order: &LinkageOrder) -> Schema {
    let person = Arc::new(Field::new("person_no", DataType::UInt32, false));
    let sent = row_schema(order);
    let columns = sent.fields().iter().skip(1).cloned();
    Schema::new(std::iter::once(person).chain(columns).collect::<Vec<_>>())
}

/// Asks `mapper` for the persons behind the distinct codes, once, and puts their numbers in the codes'
/// place. With `record_keys_of` it asks for their record keys in that data domain as well.
///
/// # Errors
/// [`LinkageError::Identity`] and whatever else the mapper says, [`LinkageError::Mapping`] when its
/// answer does not fit what was asked.
pub async fn link(
    rows: CodedRows,
    mapper: &dyn CodeMapper,
    record_keys_of: Option<&DomainId>,
) -> Result<Linked, LinkageError> {
    let mut seen: HashMap<LinkageCode, usize> = HashMap::new();
    let mut codes: Vec<LinkageCode> = Vec::new();
    let mut places: Vec<Vec<usize>> = Vec::with_capacity(rows.batches().len());
    for batch in rows.batches() {
        let sent = batch.codes().ok_or(LinkageError::Columns)?;
        let mut of_batch = Vec::with_capacity(batch.rows());
        for bytes in sent.iter() {
            let bytes = bytes.and_then(|b| b.try_into().ok()).ok_or(LinkageError::Missing)?;
            let code = LinkageCode::from_bytes(bytes);
            let place = *seen.entry(code).or_insert_with(|| {
                codes.push(code);
                codes.len() - 1
            });
            of_batch.push(place);
        }
        places.push(of_batch);
    }
    drop(seen);

    // A cohort without rows needs no question, and tells the identity service nothing.
    let mapped = if codes.is_empty() {
        MappedCodes {
            person_no: Vec::new(),
            several_numbers: 0,
            record_keys: record_keys_of.map(|_| Zeroizing::default()),
        }
    } else {
        mapper.map(rows.order(), &codes, record_keys_of).await?
    };
    let tally = tally(&mapped, codes.len(), rows.invalid_rows())?;
    let record_keys = record_keys(&mapped, record_keys_of)?;

    let schema = Arc::new(linked_schema(rows.order()));
    let mut batches = Vec::with_capacity(places.len());
    for (batch, places) in rows.into_batches().into_iter().zip(places) {
        let persons = places
            .into_iter()
            .map(|place| mapped.person_no.get(place).copied())
            .collect::<Option<Vec<PersonNo>>>()
            .ok_or(LinkageError::Mapping)?;
        if let Some(rows) = replace(&batch, &persons, &schema)? {
            batches.push(LinkedBatch { rows });
        }
    }
    Ok(Linked { schema, batches, tally, record_keys })
}

/// The record keys of the persons who are known, if and only if they were asked for.
fn record_keys(mapped: &MappedCodes, asked: Option<&DomainId>) -> Result<Option<RecordKeyMap>, LinkageError> {
    match (asked, &mapped.record_keys) {
        (None, None) => Ok(None),
        (Some(_), Some(keys)) if keys.len() == mapped.person_no.len() => {
            let pairs = mapped.person_no.iter().copied().zip(keys.iter().copied());
            let mut known = Vec::with_capacity(keys.len());
            known.extend(pairs.filter(|(person, _)| !person.is_unknown()));
            RecordKeyMap::new(known).map(Some).ok_or(LinkageError::Mapping)
        }
        _ => Err(LinkageError::Mapping),
    }
}

fn tally(mapped: &MappedCodes, asked: usize, invalid_rows: u64) -> Result<Tally, LinkageError> {
    if mapped.person_no.len() != asked {
        return Err(LinkageError::Mapping);
    }
    let known: HashSet<PersonNo> = mapped.person_no.iter().copied().filter(|p| !p.is_unknown()).collect();
    let unknown = mapped.person_no.iter().filter(|p| p.is_unknown()).count();
    let matched = known.len() as u64;
    if mapped.several_numbers > matched {
        return Err(LinkageError::Mapping);
    }
    Ok(Tally { matched, unknown: unknown as u64, several_numbers: mapped.several_numbers, invalid_rows })
}

/// The batch with persons in place of codes, or nothing if none of them is known.
fn replace(
    batch: &CodedBatch,
    persons: &[PersonNo],
    schema: &SchemaRef,
) -> Result<Option<RecordBatch>, LinkageError> {
    let numbers: ArrayRef = Arc::new(UInt32Array::from_iter_values(persons.iter().map(|p| p.0)));
    let columns = std::iter::once(numbers).chain(batch.record_batch().columns().iter().skip(1).cloned());
    let rows =
        RecordBatch::try_new(Arc::clone(schema), columns.collect()).map_err(|_| LinkageError::Assembly)?;
    let known = BooleanArray::from_iter(persons.iter().map(|p| Some(!p.is_unknown())));
    let rows = filter_record_batch(&rows, &known).map_err(|_| LinkageError::Assembly)?;
    Ok((rows.num_rows() > 0).then_some(rows))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use arrow::array::AsArray;
    use arrow::datatypes::UInt32Type;
    use chrono::TimeDelta;

    use super::*;
    use crate::linkage::testing::{bytes, linked, order};

    /// Knows codes below 100 by half their first byte, so that 2 and 3 are one person.
    #[derive(Default)]
    struct Halves {
        asked: Mutex<Vec<usize>>,
        short: bool,
        keyless: bool,
    }

    impl CodeMapper for Halves {
        fn map<'a>(
            &'a self,
            _order: &'a LinkageOrder,
            codes: &'a [LinkageCode],
            record_keys_of: Option<&'a DomainId>,
        ) -> BoxFuture<'a, Result<MappedCodes, LinkageError>> {
            self.asked.lock().unwrap().push(codes.len());
            let person = |(place, code): (usize, &LinkageCode)| match code.as_bytes()[0] {
                known if known < 100 => PersonNo(u32::from(known / 2)),
                _ => PersonNo(PersonNo::FIRST_UNKNOWN + u32::try_from(place).unwrap()),
            };
            let mut person_no: Vec<PersonNo> = codes.iter().enumerate().map(person).collect();
            if self.short {
                person_no.pop();
            }
            let keys = person_no.iter().map(|p| RecordKey(u64::from(p.0) + 7)).collect::<Vec<_>>();
            let record_keys = record_keys_of.filter(|_| !self.keyless).map(|_| Zeroizing::new(keys));
            Box::pin(async move { Ok(MappedCodes { person_no, several_numbers: 1, record_keys }) })
        }
    }

    #[tokio::test]
    async fn codes_are_asked_once_and_unknown_persons_left_out() {
        let rows = [2, 200, 3, 2, 8].map(|c| (Some(c), Some("2024-05-05"), Some("1")));
        let mapper = Halves::default();
        let linked = linked(order(1, TimeDelta::minutes(1)), &rows, &mapper).await;
        assert_eq!(*mapper.asked.lock().unwrap(), [4]);
        let batch = linked.batches()[0].record_batch();
        assert_eq!(batch.schema(), linked.schema());
        assert_eq!(batch.schema().field(0).name(), "person_no");
        assert_eq!(batch.column(0).as_primitive::<UInt32Type>().values(), &[1, 1, 1, 4]);
        assert!(batch.column_by_name("code").is_none());
        let tally = linked.tally();
        assert_eq!((tally.matched, tally.unknown, tally.several_numbers), (2, 1, 1));
        // Who is blocked is in no row.
        let left = linked.without(&[PersonNo(1), PersonNo(7)].into()).unwrap();
        let left = left.batches()[0].record_batch();
        assert_eq!(left.column(0).as_primitive::<UInt32Type>().values(), &[4]);
    }

    #[tokio::test]
    async fn an_answer_of_another_length_is_refused() {
        let order = order(1, TimeDelta::minutes(1));
        let batch = CodedBatch::parse(&order, &bytes(&[(Some(2), Some("2024-05-05"), Some("1"))]), 10);
        let rows = CodedRows::new(order, vec![batch.ok().unwrap()], 0);
        let mapper = Halves { short: true, ..Halves::default() };
        assert_eq!(link(rows, &mapper, None).await.err(), Some(LinkageError::Mapping));
    }

    /// Without the keys it asked for, a run has no noise and so no result.
    #[tokio::test]
    async fn record_keys_come_for_the_persons_of_the_order_or_the_run_ends() {
        let rows = || {
            let order = order(1, TimeDelta::minutes(1));
            let rows = [2, 200, 3].map(|c| (Some(c), Some("2024-05-05"), Some("1")));
            let batch = CodedBatch::parse(&order, &bytes(&rows), 10);
            CodedRows::new(order, vec![batch.ok().unwrap()], 0)
        };
        let domain = DomainId::new("health").unwrap();
        let mapper = Halves::default();
        let mut linked = link(rows(), &mapper, Some(&domain)).await.ok().unwrap();
        let keys = linked.take_record_keys().unwrap();
        assert_eq!(keys.of(PersonNo(1)), Some(RecordKey(8)));
        assert!(keys.of(PersonNo(2)).is_none() && keys.of(PersonNo(PersonNo::FIRST_UNKNOWN + 1)).is_none());
        assert!(link(rows(), &mapper, None).await.ok().unwrap().take_record_keys().is_none());
        let keyless = Halves { keyless: true, ..Halves::default() };
        assert_eq!(link(rows(), &keyless, Some(&domain)).await.err(), Some(LinkageError::Mapping));
    }

    #[tokio::test]
    async fn no_rows_ask_nothing() {
        let mapper = Halves::default();
        let rows = CodedRows::new(order(1, TimeDelta::minutes(1)), Vec::new(), 7);
        let linked = link(rows, &mapper, None).await.ok().unwrap();
        assert!(linked.batches().is_empty() && mapper.asked.lock().unwrap().is_empty());
        assert_eq!((linked.tally().matched, linked.tally().invalid_rows), (0, 7));
        assert_eq!(linked.schema().fields().len(), 3);
    }
}
