//! A PostgreSQL database for a test.

use sqlx::{Connection, PgConnection};

/// A fresh database beside the one that `KPR_TEST_POSTGRES` names; its address. Without the variable
/// there is none, and with `KPR_REQUIRE_POSTGRES=1`, as `tests/all.sh` sets it, that is an error.
pub async fn fresh(name: &str) -> Option<String> {
    let Ok(url) = std::env::var("KPR_TEST_POSTGRES") else {
        let required = std::env::var("KPR_REQUIRE_POSTGRES");
        assert_ne!(required.as_deref(), Ok("1"), "KPR_TEST_POSTGRES must name a PostgreSQL database");
        return None;
    };
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let name = format!("kpr_{name}_{}", std::process::id());
    for statement in [format!("DROP DATABASE IF EXISTS {name}"), format!("CREATE DATABASE {name}")] {
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
    }
    let (base, _) = url.rsplit_once('/').unwrap();
    Some(format!("{base}/{name}"))
}
