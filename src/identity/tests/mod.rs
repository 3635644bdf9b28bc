//! The service as a whole: intake, keys, codes, rotation.

mod intake;
mod orders;
mod persons;
mod resolution;
mod rotation;
mod vault;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use chrono::{DateTime, TimeDelta, Utc};
use ed25519_dalek::SigningKey;
use zeroize::Zeroizing;

use super::*;
use crate::domain::approval::{Approval, Grant, Purpose, SignedApproval, StewardKey, StewardSignature, Tier};
use crate::domain::canonical::Digest;
use crate::domain::clock::{Entropy, EntropyError, FixedClock};
use crate::domain::ids::{
    DatasetId, OrderId, OrganisationId, PersonNo, ProjectId, RegisterId, RuleId, RunId, StewardId, VariableId,
};
use crate::domain::order::{KeyUse, LinkageOrder};
use crate::domain::period::Period;
use crate::domain::query::Condition;
use crate::domain::record_key::RecordKey;
use crate::domain::section::Section;
use crate::linkage::LinkageCode;

fn now() -> DateTime<Utc> {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

fn root(version: u32) -> RootKey {
    RootKey::new(version, Zeroizing::new([version as u8; ROOT_LENGTH]))
}

fn ring(versions: &[u32]) -> KeyRing {
    let (current, older) = versions.split_last().unwrap();
    KeyRing::new(root(*current), older.iter().copied().map(root).collect()).unwrap()
}

fn steward(name: &str) -> (StewardId, SigningKey) {
    (StewardId::new(name).unwrap(), SigningKey::from_bytes(&[name.len() as u8; 32]))
}

fn stewards() -> Vec<StewardKey> {
    ["kari", "olga-b"]
        .map(steward)
        .into_iter()
        .map(|(steward, key)| StewardKey { steward, key: key.verifying_key() })
        .collect()
}

async fn open(dir: &Path, versions: &[u32]) -> Result<IdentityService, IdentityError> {
    let clock = Arc::new(FixedClock(now()));
    IdentityService::open(
        &dir.join("vault.db"),
        ring(versions),
        stewards(),
        clock,
        Arc::new(Counting::default()),
    )
    .await
}

/// Counts, so that no two tickets are alike.
#[derive(Default)]
struct Counting(AtomicU8);

impl Entropy for Counting {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        bytes.fill(self.0.fetch_add(1, Ordering::Relaxed));
        Ok(())
    }
}

fn period(from: &str, to: &str) -> Period {
    Period::new(from.parse().unwrap(), to.parse().unwrap()).unwrap()
}

fn npr() -> RegisterId {
    RegisterId::new("NPR").unwrap()
}

fn approval(project: &str) -> Approval {
    let variable = |name: &str| VariableId::new(name).unwrap();
    Approval {
        project: ProjectId::new(project).unwrap(),
        version: 1,
        title: "Follow-up after discharge".into(),
        rek_reference: "2026/1".into(),
        purpose: Purpose::Research,
        legal_basis: "GDPR art. 6(1)e, 9(2)j".into(),
        recipients: vec![OrganisationId::new("NTRNO-983744516").unwrap()],
        grants: ["NPR", "LMR"]
            .map(|register| Grant {
                register: RegisterId::new(register).unwrap(),
                dataset: DatasetId::new("episode").unwrap(),
                variables: ["omsorgsniva", "utdato"].map(variable).into(),
                conditions: vec![],
            })
            .into(),
        data_period: period("2024-01-01", "2025-06-30"),
        dimensions: vec![],
        tier: Tier::ProtectedTables,
        rule: RuleId::new("health_register").unwrap(),
        other_basis: None,
        privacy_budget: None,
        valid: period("2026-01-01", "2026-12-31"),
        linked_sets_until: None,
        reuse_linked_sets: false,
        queries: vec![],
        indirect: None,
        feed: None,
    }
}

fn signed(approval: Approval, by: &[&str]) -> SignedApproval {
    let signatures = by
        .iter()
        .map(|name| {
            let (id, key) = steward(name);
            StewardSignature::sign(&approval, id, &key).unwrap()
        })
        .collect();
    SignedApproval { approval, signatures }
}

/// Persons for the codes of an order.
async fn map(
    service: &IdentityService,
    order: &LinkageOrder,
    codes: Vec<LinkageCode>,
) -> Result<(Mapped, Zeroizing<Vec<RecordKey>>), IdentityError> {
    service.map_codes(&service.accept(order.clone()).await?, codes, None).await
}

/// An order of run number `run` of a project.
fn order(project: &str, run: u8) -> LinkageOrder {
    LinkageOrder {
        id: OrderId::new(format!("o-{}", "a1".repeat(16))).unwrap(),
        run: RunId::new(format!("r-{}", format!("{:x}f", run % 16).repeat(16))).unwrap(),
        query: Digest::from_bytes([1; 32]),
        register: npr(),
        section: Section::Section11,
        dataset: DatasetId::new("episode").unwrap(),
        columns: vec![VariableId::new("utdato").unwrap()],
        conditions: vec![Condition {
            variable: VariableId::new("omsorgsniva").unwrap(),
            any_of: vec!["1".into()],
        }],
        date: VariableId::new("utdato").unwrap(),
        period: period("2024-01-01", "2024-12-31"),
        issued: now() - TimeDelta::seconds(5),
        expires: now() + TimeDelta::seconds(300),
        max_rows: 1000,
        approval: signed(approval(project), &["kari", "olga-b"]),
    }
}

/// The `n`th of a series of synthetic numbers.
fn number(n: usize) -> String {
    (0..10_000)
        .filter_map(|i| fnr::tests::with_check_digits(&format!("0181{:02}{:03}", i / 1000, i % 1000), 0))
        .nth(n)
        .unwrap()
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(number).collect()
}

/// A serial file with these lines, its answers, committed or not.
async fn resolve(
    service: &IdentityService,
    layout: Layout,
    lines: &[String],
    commit: bool,
) -> (Answers, Totals) {
    let text = format!("{}\n{}\n", layout.headers()[0], lines.join("\n"));
    let mut intake = service.begin_intake(layout).unwrap();
    let mut answers = Answers::default();
    for chunk in text.as_bytes().chunks(17) {
        let more = intake.push(chunk).unwrap();
        answers.persons.extend(more.persons);
        answers.faults.extend(more.faults);
    }
    let (more, finished) = intake.finish().unwrap();
    answers.persons.extend(more.persons);
    answers.faults.extend(more.faults);
    let totals = finished.totals();
    if commit {
        finished.commit().await.unwrap();
    }
    (answers, totals)
}

/// Serial lines, the serial being the place in the list from 1.
fn serial_lines(numbers: &[String]) -> Vec<String> {
    numbers.iter().zip(1..).map(|(number, serial)| format!("{serial};{number}")).collect()
}

fn persons(answers: &Answers) -> Vec<(u64, u32)> {
    answers.persons.iter().map(|&(serial, PersonNo(person))| (serial, person)).collect()
}
