//! Databases and deliveries for tests.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::Executor;
use tempfile::TempDir;

use super::LoadOptions;
use crate::domain::ids::RegisterId;

/// A fresh database, and its folder if it is a file.
pub(super) struct Database {
    pub(super) url: String,
    _folder: Option<TempDir>,
}

/// A fresh SQLite database, and a fresh schema of the PostgreSQL database that `KPR_TEST_POSTGRES`
/// names. Without that there is none, which fails where `KPR_REQUIRE_POSTGRES` is 1.
pub(super) async fn databases() -> Vec<Database> {
    static SCHEMAS: AtomicU32 = AtomicU32::new(0);
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("npr.db").display());
    let mut all = vec![Database { url, _folder: Some(folder) }];
    if let Ok(url) = std::env::var("KPR_TEST_POSTGRES") {
        let number = SCHEMAS.fetch_add(1, Ordering::Relaxed);
        let schema = format!("partner_{}_{number}", std::process::id());
        sqlx::any::install_default_drivers();
        let pool = sqlx::AnyPool::connect(&url).await.unwrap();
        let fresh = format!("DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema};");
        pool.execute(sqlx::AssertSqlSafe(fresh)).await.unwrap();
        pool.close().await;
        let mark = if url.contains('?') { '&' } else { '?' };
        all.push(Database { url: format!("{url}{mark}options[search_path]={schema}"), _folder: None });
    } else {
        let required = std::env::var("KPR_REQUIRE_POSTGRES");
        assert_ne!(required.as_deref(), Ok("1"), "KPR_TEST_POSTGRES must name a PostgreSQL database");
    }
    all
}

impl Database {
    pub(super) fn options(&self) -> LoadOptions {
        LoadOptions {
            register: RegisterId::new("NPR").unwrap(),
            database: self.url.clone(),
            most_faults_percent: 50.0,
        }
    }
}

/// Writes a delivery of 2023 and 2024 with these lines.
pub(super) fn deliver(folder: &Path, episodes: &[u8], identities: &[u8]) {
    let description = "register = \"NPR\"\nsender = \"NPR\"\ncreated = \"2025-02-01\"\nlayout = \"npr\"\n\
                       [period]\nfrom = \"2023-01-01\"\nto = \"2024-12-31\"\n";
    std::fs::write(folder.join("delivery.toml"), description).unwrap();
    let header = "episode_lnr;npr_lnr;omsorgsniva;innmatehast;inndato;utdato;fagomrade;sektor;\
                  hovedtilstand;kommuneNr\n";
    std::fs::write(folder.join("EPISODE.csv"), [header.as_bytes(), episodes].concat()).unwrap();
    std::fs::write(folder.join("NPR_IDE.csv"), [b"npr_lnr;fnr\n", identities].concat()).unwrap();
}

/// An identity number of a synthetic person (month + 80) under two serial numbers, and two texts that are
/// no identity numbers.
pub(super) const IDENTITIES: &str = "1;30908299996\n2;00000000000\n3;30908299996\n4;abc\n";

/// Discharges: of person 1 in March and December, person 2 (no number), one outpatient, one of 2023, one
/// in another field, one without a date, one of a person that the identity file does not have.
pub(super) const EPISODES: &str = "\
10;1;1;4;2024-03-01;2024-03-05;320;VOP;F20.0;0301
11;1;1;4;2024-12-30;2024-12-31;310;BUP;F90.0;0301
12;2;1;4;2024-05-01;2024-05-02;320;VOP;F20.0;0301
13;1;3;4;2024-05-01;2024-05-01;320;VOP;F20.0;0301
14;1;1;4;2023-05-01;2023-05-01;320;VOP;F20.0;0301
15;1;1;4;2024-05-01;2024-05-01;360;TSB;F10.0;0301
16;1;1;4;2024-05-01;;320;VOP;F20.0;0301
17;9;1;4;2024-01-01;2024-01-01;320;VOP;F20.0;0301
";
