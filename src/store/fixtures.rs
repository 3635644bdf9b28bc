//! Fresh databases and small values for unit tests.

use std::sync::atomic::{AtomicU32, Ordering};

use chrono::{DateTime, Utc};
use sqlx::Executor;

use super::open::Backend;
use super::{Store, StoredResult, Submission};
use crate::domain::approval::{Approval, Purpose, StewardSignature, Tier};
use crate::domain::canonical::{Canonical, Digest};
use crate::domain::ids::RunId;
use crate::domain::lifecycle::Step;
use crate::domain::overview::DisclosureFacts;
use crate::domain::period::Period;
use crate::domain::query::{Answer, Cohort, Query};
use crate::domain::table::{CellValue, LinkageQuality, RecipientReport, ResultTable, TableShape};

/// A store and what must live as long as it does.
pub(crate) struct TestStore {
    pub(crate) store: Store,
    pub(crate) url: String,
    _dir: Option<tempfile::TempDir>,
}

/// A fresh SQLite database.
pub(crate) async fn sqlite() -> TestStore {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", dir.path().join("control.db").display());
    TestStore { store: Store::open(&url).await.unwrap(), url, _dir: Some(dir) }
}

/// A fresh SQLite database, and a fresh schema of the PostgreSQL database that `KPR_TEST_POSTGRES`
/// names. Without that there is none, which fails where `KPR_REQUIRE_POSTGRES` is 1.
pub(crate) async fn stores() -> Vec<TestStore> {
    static SCHEMAS: AtomicU32 = AtomicU32::new(0);
    let mut stores = vec![sqlite().await];
    if let Ok(url) = std::env::var("KPR_TEST_POSTGRES") {
        let schema = format!("kpr_{}_{}", std::process::id(), SCHEMAS.fetch_add(1, Ordering::Relaxed));
        sqlx::any::install_default_drivers();
        let pool = sqlx::AnyPool::connect(&url).await.unwrap();
        let fresh = format!("DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema};");
        pool.execute(sqlx::AssertSqlSafe(fresh)).await.unwrap();
        pool.close().await;
        let url = format!("{url}{}options[search_path]={schema}", if url.contains('?') { '&' } else { '?' });
        stores.push(TestStore { store: Store::open(&url).await.unwrap(), url, _dir: None });
    } else {
        assert_ne!(
            std::env::var("KPR_REQUIRE_POSTGRES").as_deref(),
            Ok("1"),
            "KPR_TEST_POSTGRES must name a PostgreSQL database"
        );
    }
    stores
}

pub(crate) fn name<T: TryFrom<String, Error: std::fmt::Debug>>(text: &str) -> T {
    T::try_from(text.to_owned()).unwrap()
}

pub(crate) fn now() -> DateTime<Utc> {
    "2026-11-22T08:30:00.123456Z".parse().unwrap()
}

pub(crate) fn run_id(number: u8) -> RunId {
    name(&format!("r-{}", format!("a{number:x}").repeat(16).split_at(32).0))
}

pub(crate) fn result(receipt: u64) -> StoredResult {
    StoredResult { digest: Digest::of_bytes("kpr/test", b"result"), bytes: b"result".to_vec(), receipt }
}

/// A table of one count.
pub(crate) fn table(run: &RunId) -> ResultTable {
    let zero = CellValue::Count(0);
    ResultTable {
        run: run.clone(),
        shape: TableShape {
            title: "A question".to_owned(),
            dimensions: vec![],
            measures: vec![],
            period: period(),
        },
        values: vec![CellValue::Count(17)],
        report: RecipientReport {
            rule: name("tables-5"),
            rule_text: String::new(),
            min_persons: 5,
            cells: 1,
            withheld: 0,
            noise: None,
            linkage: LinkageQuality {
                matched: zero,
                unknown: zero,
                several_numbers: zero,
                invalid_rows: zero,
            },
        },
    }
}

fn period() -> Period {
    Period::new("2024-01-01".parse().unwrap(), "2024-12-31".parse().unwrap()).unwrap()
}

pub(crate) fn submission(request_id: &str) -> Submission {
    Submission {
        organisation: name("NTRNO-983744516"),
        caller: "analysis".to_owned(),
        request_id: name(request_id),
        query: Query {
            project: name("P-2026-0001"),
            title: "A question".to_owned(),
            cohort: Cohort {
                register: name("NPR"),
                dataset: name("episode"),
                conditions: vec![],
                index_date: name("utdato"),
                period: period(),
            },
            outcomes: vec![],
            by: vec![],
            min_persons: None,
            privacy_loss: None,
            result: Answer::Table,
        },
        approval_digest: approval().digest().unwrap(),
    }
}

pub(crate) fn approval() -> Approval {
    Approval {
        project: name("P-2026-0001"),
        version: 1,
        title: "A project".to_owned(),
        rek_reference: "REK 2026/1".to_owned(),
        purpose: Purpose::Research,
        legal_basis: "GDPR art. 6(1)e".to_owned(),
        recipients: vec![],
        grants: vec![],
        data_period: period(),
        dimensions: vec![],
        tier: Tier::ProtectedTables,
        rule: name("tables-5"),
        other_basis: None,
        privacy_budget: None,
        valid: Period::new("2026-01-01".parse().unwrap(), "2026-12-31".parse().unwrap()).unwrap(),
        linked_sets_until: None,
        reuse_linked_sets: false,
        queries: vec![],
        indirect: None,
        feed: None,
    }
}

/// Enters [`approval`], which [`submission`] is under, and has two stewards sign it, unless that was done before.
pub(crate) async fn enter_active(store: &Store) {
    let (approval, today) = (approval(), now().date_naive());
    let mut write = store.write().await.unwrap();
    if !write.enter_project(&approval, today, &name("anna"), now()).await.unwrap() {
        return;
    }
    let complete = Step::Complete { version: 1, day: today };
    write.record_step(&approval.project, complete, &name("anna"), now()).await.unwrap();
    for steward in ["anna", "bjorn"] {
        let signature = StewardSignature { steward: name(steward), signature: "00".repeat(64) };
        write.sign_project(&approval.project, &approval.digest().unwrap(), &signature, now()).await.unwrap();
    }
    write.commit().await.unwrap();
}

pub(crate) fn facts() -> DisclosureFacts {
    let submission = submission("req-1");
    DisclosureFacts::of(&submission.query, &approval(), submission.approval_digest, &submission.organisation)
}

impl Store {
    /// Changes the database by another hand than the program's.
    pub(crate) async fn damage(&self, sql: &'static str) {
        // A row that others refer to goes only with them, as one who tampers would see to.
        for table in ["audit_details", "audit_intents"] {
            sqlx::query(sqlx::AssertSqlSafe(format!("DELETE FROM {table}")))
                .execute(&self.pool)
                .await
                .unwrap();
        }
        assert!(self.pool.execute(sql).await.unwrap().rows_affected() > 0);
    }

    /// Changes the overview of disclosures by a hand that takes the triggers away first.
    pub(crate) async fn tamper(&self, statements: &[&'static str]) {
        let off: &[&'static str] = match self.backend {
            Backend::Sqlite => &[
                "DROP TRIGGER IF EXISTS disclosures_kept",
                "DROP TRIGGER IF EXISTS disclosures_unchanged",
                "DROP TRIGGER IF EXISTS disclosure_facts_unchanged",
                "DROP TRIGGER IF EXISTS disclosure_persons_kept",
                "DROP TRIGGER IF EXISTS disclosure_persons_unchanged",
            ],
            Backend::Postgres => &[
                "ALTER TABLE disclosures DISABLE TRIGGER USER",
                "ALTER TABLE disclosure_facts DISABLE TRIGGER USER",
                "ALTER TABLE disclosure_persons DISABLE TRIGGER USER",
            ],
        };
        for sql in off {
            self.pool.execute(*sql).await.unwrap();
        }
        for sql in statements {
            assert!(self.pool.execute(*sql).await.unwrap().rows_affected() > 0, "{sql}");
        }
    }

    /// Replaces a result's bytes, and its digest if one is given.
    pub(crate) async fn forge_result(&self, run: &RunId, bytes: &[u8], digest: Option<Digest>) {
        sqlx::query("UPDATE results SET bytes = $1, digest = COALESCE($2, digest) WHERE run = $3")
            .bind(bytes)
            .bind(digest.map(|d| d.to_string()))
            .bind(run.as_str())
            .execute(&self.pool)
            .await
            .unwrap();
    }
}
