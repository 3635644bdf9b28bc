//! The partner's tables: `delivery`, one row each, and `episode`.

use sqlx::{Any, AnyConnection, AssertSqlSafe, Connection, Row, Transaction};

use super::approvals;
use super::delivery::Episode;
use super::source::{Backend, SourceError};
use crate::domain::canonical::Digest;
use crate::domain::period::Period;

/// Rows of one insert. Ten values each stay below what either database takes in one statement.
pub(super) const ROWS: usize = 500;

const COLUMNS: &str = "delivery, episode_lnr, fnr, omsorgsniva, innmatehast, fagomrade, sektor, \
                       hovedtilstand, kommunenr, inndato, utdato";

const SQLITE: [&str; 4] = [
    "CREATE TABLE IF NOT EXISTS delivery (number INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE, \
     period_from TEXT NOT NULL, period_to TEXT NOT NULL, episodes INTEGER NOT NULL) STRICT",
    "CREATE TABLE IF NOT EXISTS episode (delivery INTEGER NOT NULL, episode_lnr INTEGER NOT NULL, \
     fnr TEXT, omsorgsniva TEXT NOT NULL, innmatehast TEXT, fagomrade TEXT, sektor TEXT, hovedtilstand TEXT, \
     kommunenr TEXT, inndato TEXT, utdato TEXT) STRICT",
    INDEX,
    approvals::TABLE,
];

const POSTGRES: [&str; 4] = [
    "CREATE TABLE IF NOT EXISTS delivery (number BIGINT PRIMARY KEY, digest TEXT NOT NULL UNIQUE, \
     period_from TEXT NOT NULL, period_to TEXT NOT NULL, episodes BIGINT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS episode (delivery BIGINT NOT NULL, episode_lnr BIGINT NOT NULL, \
     fnr TEXT, omsorgsniva TEXT NOT NULL, innmatehast TEXT, fagomrade TEXT, sektor TEXT, hovedtilstand TEXT, \
     kommunenr TEXT, inndato DATE, utdato DATE)",
    INDEX,
    approvals::TABLE,
];

/// Orders ask for a level of care and a period of discharge.
const INDEX: &str = "CREATE INDEX IF NOT EXISTS episode_level_discharge ON episode (omsorgsniva, utdato)";

/// Opens a database for writing. A SQLite file that does not exist yet is made, and then written so that a node that
/// reads it for a long time holds nobody up.
pub(super) async fn writable(url: &str) -> Result<(Backend, AnyConnection), SourceError> {
    let backend = Backend::of(url)?;
    sqlx::any::install_default_drivers();
    let made = match backend {
        Backend::Sqlite if !url.contains('?') => format!("{url}?mode=rwc"),
        _ => url.to_owned(),
    };
    let mut connection = AnyConnection::connect(&made).await?;
    if backend == Backend::Sqlite {
        sqlx::query("PRAGMA journal_mode = WAL").execute(&mut connection).await?;
    }
    Ok((backend, connection))
}

/// Begins the one transaction of a load, the tables made if there are none.
pub(super) async fn begin(
    backend: Backend,
    connection: &mut AnyConnection,
) -> Result<Transaction<'_, Any>, sqlx::Error> {
    let (statements, lock) = match backend {
        Backend::Sqlite => (SQLITE, None),
        // Two loads at once would each find no delivery of the other.
        Backend::Postgres => (POSTGRES, Some("LOCK TABLE delivery IN EXCLUSIVE MODE")),
    };
    if backend == Backend::Sqlite {
        sqlx::query("PRAGMA cache_size = -65536").execute(&mut *connection).await?;
    }
    let mut transaction = connection.begin().await?;
    for statement in statements.into_iter().chain(lock) {
        sqlx::query(statement).execute(&mut *transaction).await?;
    }
    Ok(transaction)
}

/// How many episodes of this delivery are loaded, if it is.
pub(super) async fn loaded(
    transaction: &mut Transaction<'_, Any>,
    digest: &Digest,
) -> Result<Option<u64>, sqlx::Error> {
    let row = sqlx::query("SELECT episodes FROM delivery WHERE digest = $1")
        .bind(digest.to_string())
        .fetch_optional(&mut **transaction)
        .await?;
    row.map(|row| row.try_get::<i64, _>(0).map(i64::unsigned_abs)).transpose()
}

/// Whether a delivery covers some day of the period.
pub(super) async fn overlaps(
    transaction: &mut Transaction<'_, Any>,
    period: Period,
) -> Result<bool, sqlx::Error> {
    let row = sqlx::query("SELECT number FROM delivery WHERE period_from <= $1 AND period_to >= $2 LIMIT 1")
        .bind(period.to().to_string())
        .bind(period.from().to_string())
        .fetch_optional(&mut **transaction)
        .await?;
    Ok(row.is_some())
}

/// Enters a delivery and answers its number.
pub(super) async fn enter(
    transaction: &mut Transaction<'_, Any>,
    digest: &Digest,
    period: Period,
) -> Result<i64, sqlx::Error> {
    let last =
        sqlx::query("SELECT COALESCE(MAX(number), 0) FROM delivery").fetch_one(&mut **transaction).await?;
    let number = last.try_get::<i64, _>(0)? + 1;
    sqlx::query("INSERT INTO delivery VALUES ($1, $2, $3, $4, 0)")
        .bind(number)
        .bind(digest.to_string())
        .bind(period.from().to_string())
        .bind(period.to().to_string())
        .execute(&mut **transaction)
        .await?;
    Ok(number)
}

/// Writes the number of episodes of a delivery.
pub(super) async fn finish(
    transaction: &mut Transaction<'_, Any>,
    number: i64,
    episodes: u64,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE delivery SET episodes = $1 WHERE number = $2")
        .bind(i64::try_from(episodes).unwrap_or(i64::MAX))
        .bind(number)
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// `INSERT INTO episode ... VALUES (...), ...` for so many rows. The statement of a full chunk is the same
/// every time, so it is prepared once.
fn insertion(backend: Backend, rows: usize) -> String {
    let mut sql = format!("INSERT INTO episode ({COLUMNS}) VALUES ");
    let mut parameter = 0;
    for row in 0..rows {
        sql.push_str(if row == 0 { "(" } else { ", (" });
        for column in 0..11 {
            parameter += 1;
            sql.push_str(if column == 0 { "" } else { ", " });
            match (backend, column) {
                // SQLite searches its list of numbered parameters for each one bound; a bare one is free.
                (Backend::Sqlite, _) => sql.push('?'),
                (Backend::Postgres, 9 | 10) => sql.push_str(&format!("CAST(${parameter} AS DATE)")),
                (Backend::Postgres, _) => sql.push_str(&format!("${parameter}")),
            }
        }
        sql.push(')');
    }
    sql
}

/// Inserts a chunk of at most [`ROWS`] episodes.
pub(super) async fn insert(
    backend: Backend,
    transaction: &mut Transaction<'_, Any>,
    delivery: i64,
    chunk: Vec<Episode>,
) -> Result<(), sqlx::Error> {
    let mut query = sqlx::query(AssertSqlSafe(insertion(backend, chunk.len())));
    for Episode { serial, number, codes, dates } in chunk {
        query = query.bind(delivery).bind(serial).bind(number);
        for code in codes {
            query = query.bind(code);
        }
        for date in dates {
            query = query.bind(date.map(|date| date.to_string()));
        }
    }
    query.execute(&mut **transaction).await?;
    Ok(())
}
