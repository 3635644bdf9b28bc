//! Orders and batches for tests.

use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, FixedSizeBinaryArray, StringArray};
use arrow::datatypes::Date32Type;
use arrow::ipc::writer::StreamWriter;
use arrow::record_batch::RecordBatch;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use futures::future::BoxFuture;

use super::{CodeMapper, CodedRows, LinkageCode, LinkageError, Linked, MappedCodes, row_schema};
use crate::domain::approval::{Approval, Grant, Purpose, SignedApproval, Tier};
use crate::domain::canonical::Digest;
use crate::domain::ids::{
    DatasetId, DomainId, OrderId, OrganisationId, PersonNo, ProjectId, RegisterId, RuleId, RunId, VariableId,
};
use crate::domain::order::LinkageOrder;
use crate::domain::period::Period;
use crate::domain::query::Condition;
use crate::domain::section::Section;

pub(crate) fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

pub(crate) fn variable(text: &str) -> VariableId {
    VariableId::new(text).unwrap()
}

pub(crate) fn now() -> DateTime<Utc> {
    day("2026-03-02").and_hms_opt(9, 0, 0).unwrap().and_utc()
}

fn condition(name: &str, values: &[&str]) -> Condition {
    Condition { variable: variable(name), any_of: values.iter().map(|v| (*v).to_owned()).collect() }
}

/// An approval for NPR episodes, valid in 2026, not signed.
pub(crate) fn approval() -> Approval {
    Approval {
        project: ProjectId::new("P-2026-0001").unwrap(),
        version: 1,
        title: "Follow-up after discharge".into(),
        rek_reference: "REK 2026/1".into(),
        purpose: Purpose::Research,
        legal_basis: "GDPR art. 6(1)e, 9(2)j".into(),
        recipients: vec![OrganisationId::new("NTRNO-983744516").unwrap()],
        grants: vec![Grant {
            register: RegisterId::new("NPR").unwrap(),
            dataset: DatasetId::new("episode").unwrap(),
            variables: ["omsorgsniva", "fagomrade", "utdato", "inndato"].map(variable).to_vec(),
            conditions: vec![condition("omsorgsniva", &["1"])],
        }],
        data_period: Period::new(day("2024-01-01"), day("2025-12-31")).unwrap(),
        dimensions: Vec::new(),
        tier: Tier::ProtectedTables,
        rule: RuleId::new("research").unwrap(),
        other_basis: None,
        privacy_budget: None,
        valid: Period::new(day("2026-01-01"), day("2026-12-31")).unwrap(),
        linked_sets_until: None,
        reuse_linked_sets: false,
        queries: Vec::new(),
        indirect: None,
        feed: None,
    }
}

/// An order for the discharges of 2024 with their care level; it holds for `seconds` from [`now`].
pub(crate) fn order(number: u8, lifetime: TimeDelta) -> LinkageOrder {
    LinkageOrder {
        id: OrderId::new(format!("o-{}", hex::encode([number | 0xa0; 16]))).unwrap(),
        run: RunId::new(format!("r-{}", hex::encode([number | 0xa0; 16]))).unwrap(),
        query: Digest::from_bytes([1; 32]),
        register: RegisterId::new("NPR").unwrap(),
        section: Section::Section11,
        dataset: DatasetId::new("episode").unwrap(),
        columns: vec![variable("utdato"), variable("omsorgsniva")],
        conditions: vec![condition("omsorgsniva", &["1"]), condition("fagomrade", &["310", "320"])],
        date: variable("utdato"),
        period: Period::new(day("2024-01-01"), day("2024-12-31")).unwrap(),
        issued: now(),
        expires: now() + lifetime,
        max_rows: 100,
        approval: SignedApproval { approval: approval(), signatures: Vec::new() },
    }
}

/// A row: code (all bytes the same), date, care level.
pub(crate) type Row<'a> = (Option<u8>, Option<&'a str>, Option<&'a str>);

pub(crate) fn columns(rows: &[Row<'_>]) -> [ArrayRef; 3] {
    let codes = rows.iter().map(|(code, ..)| code.map(|c| [c; 16]));
    let dates = rows.iter().map(|(_, date, _)| date.map(|d| Date32Type::from_naive_date(day(d))));
    let levels = rows.iter().map(|(.., level)| *level);
    [
        Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(codes, 16).unwrap()),
        Arc::new(dates.collect::<Date32Array>()),
        Arc::new(levels.collect::<StringArray>()),
    ]
}

pub(crate) fn stream(batches: &[RecordBatch]) -> Vec<u8> {
    let mut writer = StreamWriter::try_new(Vec::new(), &batches[0].schema()).unwrap();
    for batch in batches {
        writer.write(batch).unwrap();
    }
    writer.into_inner().unwrap()
}

/// The rows as [`order`] wants them, also where they break its rules.
pub(crate) fn bytes(rows: &[Row<'_>]) -> Vec<u8> {
    let fields = row_schema(&order(1, TimeDelta::minutes(1)));
    let fields: Vec<_> = fields.fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect();
    let schema = Arc::new(arrow::datatypes::Schema::new(fields));
    stream(&[RecordBatch::try_new(schema, columns(rows).to_vec()).unwrap()])
}

/// Links rows whose codes all lie in `1..=250`, as a partner would have sent them.
pub(crate) async fn linked(order: LinkageOrder, rows: &[Row<'_>], mapper: &dyn CodeMapper) -> Linked {
    let batch = super::CodedBatch::parse(&order, &bytes(rows), 1000);
    super::link(CodedRows::new(order, vec![batch.unwrap()], 0), mapper, None).await.unwrap()
}

/// Takes the first four bytes of a code for the person's number.
struct Readable;

impl CodeMapper for Readable {
    fn map<'a>(
        &'a self,
        _: &'a LinkageOrder,
        codes: &'a [LinkageCode],
        _: Option<&'a DomainId>,
    ) -> BoxFuture<'a, Result<MappedCodes, LinkageError>> {
        let person = |code: &LinkageCode| {
            let [a, b, c, d, ..] = *code.as_bytes();
            PersonNo(u32::from_be_bytes([a, b, c, d]))
        };
        let person_no = codes.iter().map(person).collect();
        Box::pin(async { Ok(MappedCodes { person_no, several_numbers: 0, record_keys: None }) })
    }
}

/// Linked rows of these persons and dates, for an order of the date alone.
pub(crate) async fn linked_persons(order: LinkageOrder, rows: &[(u32, NaiveDate)]) -> Linked {
    let mut batches = Vec::new();
    if !rows.is_empty() {
        let code = |person: u32| [person.to_be_bytes(), [1; 4], [2; 4], [3; 4]].concat();
        let codes = rows.iter().map(|(person, _)| Some(code(*person)));
        let codes = FixedSizeBinaryArray::try_from_sparse_iter_with_size(codes, 16).unwrap();
        let dates = rows.iter().map(|(_, day)| Date32Type::from_naive_date(*day));
        let columns: Vec<ArrayRef> = vec![Arc::new(codes), Arc::new(Date32Array::from_iter_values(dates))];
        let sent = RecordBatch::try_new(Arc::new(row_schema(&order)), columns).unwrap();
        batches.push(super::CodedBatch::parse(&order, &stream(&[sent]), rows.len()).unwrap());
    }
    super::link(CodedRows::new(order, batches, 0), &Readable, None).await.unwrap()
}
