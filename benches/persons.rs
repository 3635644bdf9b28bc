//! What the log of one person costs: over ten thousand releases of national microdata and a hundred thousand tables,
//! beside reading the same rows from the database without opening them.
//!
//! `cargo bench --bench persons`, or with `-- RELEASES TABLES` for other numbers.
//!
//! The log reads one chunk of each release. Of each release so many chunks are written as the persons given have; the
//! chunks of five million persons would take 6 GB, and lie elsewhere in the database's tree without being read.

#![allow(clippy::unwrap_used, reason = "a benchmark stops at the first fault")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use comfy_table::{CellAlignment, Table};
use kpr::app::stage::{example_approval, example_query};
use kpr::audit::{DisclosureEntered, Leaf, records_hold};
use kpr::disclosure::persons::{CHUNK, PersonsKey, chunk_of};
use kpr::domain::canonical::{Canonical, Digest};
use kpr::domain::ids::{PersonNo, ProjectId, RequestId, RunId};
use kpr::domain::overview::DisclosureFacts;
use kpr::domain::query::{Answer, Query};
use kpr::store::{AuditDetail, NewDisclosure, Store, Submission, Write};
use roaring::RoaringBitmap;

/// How many chunks of each release are written.
const CHUNKS: u32 = 16;
/// How many projects the releases belong to.
const PROJECTS: u64 = 500;
/// The populations that each project asks about.
const POPULATIONS: u64 = 20;
/// How many measurements; the fastest counts, since what disturbs it only slows it down.
const ROUNDS: usize = 5;
/// How many releases are written in one transaction.
const TOGETHER: u64 = 500;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1).filter_map(|text| text.parse::<u64>().ok());
    let releases = arguments.next().unwrap_or(10_000);
    let tables = arguments.next().unwrap_or(100_000);
    let folder = tempfile::tempdir().unwrap();
    let store =
        Store::open(&format!("sqlite://{}", folder.path().join("control.db").display())).await.unwrap();
    let key = PersonsKey::new(&[7; 32].into());
    fill(&store, &key, releases, tables).await;

    let person = (3 * CHUNK + 4711..).map(PersonNo).find(|person| released(person.0)).unwrap();
    let (mut plain, mut whole, mut found) = (Duration::MAX, Duration::MAX, (0, 0));
    for _ in 0..ROUNDS {
        let start = Instant::now();
        black_box(store.chunks(chunk_of(person)).await.unwrap());
        black_box(store.tables_released().await.unwrap());
        plain = plain.min(start.elapsed());
        let start = Instant::now();
        found = log(&store, &key, person).await;
        whole = whole.min(start.elapsed());
    }
    let mut table = Table::new();
    table.set_header(["", "ms", "ratio"]);
    let ms = |time: Duration| format!("{:.0}", time.as_secs_f64() * 1e3);
    let ratio = whole.as_secs_f64() / plain.as_secs_f64();
    table.add_row(["the rows read".to_owned(), ms(plain), "1.00".to_owned()]);
    table.add_row(["the log of one person".to_owned(), ms(whole), format!("{ratio:.2}")]);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    println!("{releases} releases of records, {tables} tables\n{table}");
    println!("in {} releases of records; {} lines of tables", found.0, found.1);
}

/// Whether a person is in the records: every other one, in no order that compresses, which is what a national cohort looks like.
const fn released(person: u32) -> bool {
    person.wrapping_mul(2_654_435_761) >> 31 == 1
}

/// As the gateway makes the log: how many releases of records have the person, and how many lines tell of tables.
async fn log(store: &Store, key: &PersonsKey, person: PersonNo) -> (usize, usize) {
    let chunks = store.chunks(chunk_of(person)).await.unwrap();
    let facts = store.facts_of_records().await.unwrap();
    let holds = |chunk: &&kpr::store::ChunkOf| records_hold(key, person, chunk).unwrap();
    let records = chunks.iter().filter(holds).filter(|chunk| facts.contains_key(&chunk.facts)).count();
    (records, store.tables_released().await.unwrap().len())
}

async fn fill(store: &Store, key: &PersonsKey, releases: u64, tables: u64) {
    let persons: RoaringBitmap = (0..CHUNKS * CHUNK).filter(|&person| released(person)).collect();
    let mut next = 0;
    while next < releases + tables {
        let mut write = store.write().await.unwrap();
        for number in next..(next + TOGETHER).min(releases + tables) {
            let run = RunId::new(format!("r-{number:032x}")).unwrap();
            let sealed = (number < releases).then(|| key.seal(&run, &persons).unwrap());
            let facts = facts(number, sealed.is_some());
            let receipt = 2 * number;
            let entered = DisclosureEntered {
                facts: facts.digest().unwrap(),
                persons: sealed.as_ref().map(|persons| persons.set().digest()),
            };
            receipts(&mut write, &run, receipt, &entered).await;
            let new = NewDisclosure {
                receipt,
                entered: receipt + 1,
                run: &run,
                day: "2026-11-22".parse().unwrap(),
                facts: &facts,
                persons: sealed.as_ref().map(|persons| (persons.set(), persons.chunks())),
                kept_until: None,
            };
            write.disclose(new).await.unwrap();
        }
        write.commit().await.unwrap();
        next += TOGETHER;
    }
}

/// What a release refers to: its run, and two leaves of the audit log, of which the second commits to what was entered.
async fn receipts(write: &mut Write, run: &RunId, receipt: u64, entered: &DisclosureEntered) {
    let submission = Submission {
        organisation: example_approval().unwrap().recipients.first().unwrap().clone(),
        caller: "researcher".to_owned(),
        request_id: RequestId::new(format!("q-{receipt}")).unwrap(),
        query: example_query().unwrap(),
        approval_digest: example_approval().unwrap().digest().unwrap(),
    };
    let now: DateTime<Utc> = "2026-11-22T08:30:00Z".parse().unwrap();
    write.submit(&submission, run.clone(), now).await.unwrap();
    let (salt, details) = (vec![7; 32], serde_json::json!({ "name": "gateway", "fields": entered }));
    let fields = serde_json::to_vec(&details).unwrap();
    let leaf = Leaf {
        v: Leaf::VERSION,
        kind: 30,
        time: now,
        organisation: submission.organisation,
        role: "gateway".to_owned(),
        project: None,
        run: Some(run.clone()),
        commitment: Digest::of_bytes("kpr/audit-commitment/v1", &[salt.as_slice(), &fields].concat()),
    };
    write.insert_audit_leaf(receipt, b"leaf", None).await.unwrap();
    let detail = AuditDetail { salt, fields };
    write.insert_audit_leaf(receipt + 1, &leaf.canonical().unwrap(), Some(&detail)).await.unwrap();
}

fn facts(number: u64, records: bool) -> DisclosureFacts {
    let (project, population) = (number % PROJECTS, number / PROJECTS % POPULATIONS);
    let mut query: Query = example_query().unwrap();
    query.project = ProjectId::new(format!("P-{project}")).unwrap();
    query.cohort.conditions.truncate(1);
    query.cohort.conditions.iter_mut().for_each(|c| c.any_of = vec![population.to_string()]);
    query.result = if records { Answer::Microdata } else { Answer::Table };
    let approval = example_approval().unwrap();
    let recipient = approval.recipients.first().unwrap();
    DisclosureFacts::of(&query, &approval, approval.digest().unwrap(), recipient)
}
