//! The tables of the vault, and how a vault of an older program gets those that are missing.

use chrono::{DateTime, Utc};
use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;

use super::vault::{VaultError, in_use};

/// The schema this version of the program writes, kept in `PRAGMA user_version`.
pub(super) const SCHEMA: i64 = 5;

/// Sealed identifiers, kept in the order of the ciphertext, which tells nothing of who came when. `valid_from` is the
/// day from which the person has had the number, in days after 1970-01-01.
macro_rules! identifiers {
    ($create:literal) => {
        concat!(
            $create,
            " (sealed BLOB NOT NULL PRIMARY KEY CHECK (length(sealed) = 27),
            person_no INTEGER NOT NULL CHECK (person_no >= 0),
            valid_from INTEGER) STRICT, WITHOUT ROWID"
        )
    };
}

/// Where the identifiers of a vault that is being sealed anew are gathered.
pub(super) const NEXT: &str = identifiers!("CREATE TABLE IF NOT EXISTS identifier_next");
/// How far the vault has been sealed anew, and under which secret.
pub(super) const ROTATION: &str = "CREATE TABLE IF NOT EXISTS rotation (
        version INTEGER NOT NULL, check_value BLOB NOT NULL, after BLOB NOT NULL) STRICT";

/// What each schema has added, from the first on.
const ADDED: [&[&str]; SCHEMA as usize] = [
    &[
        identifiers!("CREATE TABLE identifier"),
        // The founding version and the one that seals the identifiers now.
        "CREATE TABLE root (version INTEGER PRIMARY KEY, check_value BLOB NOT NULL) STRICT",
        "CREATE TABLE linkage_run (
            project TEXT NOT NULL,
            run TEXT NOT NULL,
            register TEXT NOT NULL,
            order_digest BLOB NOT NULL,
            root_version INTEGER NOT NULL,
            issued TEXT NOT NULL,
            closed INTEGER NOT NULL DEFAULT 0,
            PRIMARY KEY (project, run, register)
        ) STRICT, WITHOUT ROWID",
    ],
    &[
        // The highest version of each project's approval whose signatures held.
        "CREATE TABLE approval_seen (
            project TEXT NOT NULL PRIMARY KEY,
            version INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID",
    ],
    &[
        // Single uses of identity numbers.
        "CREATE TABLE look_up (
            id INTEGER PRIMARY KEY,
            person_no INTEGER,
            organisation TEXT NOT NULL,
            name TEXT NOT NULL,
            at TEXT NOT NULL
        ) STRICT",
        "CREATE INDEX look_up_by_person ON look_up (person_no)",
    ],
    &[
        // What was done with root secrets. Lines are added only.
        "CREATE TABLE key_event (
            id INTEGER PRIMARY KEY,
            version INTEGER NOT NULL,
            act TEXT NOT NULL CHECK (act IN ('in force', 'destroyed')),
            check_value BLOB NOT NULL,
            at TEXT NOT NULL
        ) STRICT",
        "CREATE TRIGGER key_event_kept BEFORE DELETE ON key_event
            BEGIN SELECT RAISE(ABORT, 'the record of root secrets is kept'); END",
        "CREATE TRIGGER key_event_unchanged BEFORE UPDATE ON key_event
            BEGIN SELECT RAISE(ABORT, 'the record of root secrets does not change'); END",
        // Serial numbers that two stewards have had resolved. The person's number goes when the answer has been given.
        "CREATE TABLE resolution (
            statement BLOB NOT NULL PRIMARY KEY CHECK (length(statement) = 32),
            project TEXT NOT NULL,
            run TEXT NOT NULL,
            reason TEXT NOT NULL,
            first TEXT NOT NULL,
            second TEXT NOT NULL,
            person_no INTEGER,
            deposited TEXT NOT NULL,
            collected TEXT
        ) STRICT, WITHOUT ROWID",
    ],
    &[
        // Whom resolutions are about, which can be a list of persons. Of a list, which belongs to no project, the project
        // and the run are empty.
        "CREATE TABLE resolution_person (
            statement BLOB NOT NULL,
            person_no INTEGER NOT NULL,
            PRIMARY KEY (statement, person_no)
        ) STRICT, WITHOUT ROWID",
        "INSERT INTO resolution_person (statement, person_no)
            SELECT statement, person_no FROM resolution WHERE person_no IS NOT NULL",
        "ALTER TABLE resolution DROP COLUMN person_no",
    ],
];

/// Makes the tables that are missing.
pub(super) async fn make_tables(
    connection: &mut SqliteConnection,
    now: DateTime<Utc>,
) -> Result<(), VaultError> {
    let mut transaction = connection.begin_with("BEGIN EXCLUSIVE").await.map_err(in_use)?;
    let (found,): (i64,) = sqlx::query_as("PRAGMA user_version").fetch_one(&mut *transaction).await?;
    let before = usize::try_from(found).ok().filter(|_| found <= SCHEMA);
    let before = before.ok_or(VaultError::NewerSchema { found })?;
    let missing: Vec<&'static str> =
        ADDED.iter().skip(before).flat_map(|added| added.iter().copied()).collect();
    for table in missing {
        sqlx::query(table).execute(&mut *transaction).await?;
    }
    if (1..4).contains(&found) {
        // The secrets of a vault that is older than the record of them.
        sqlx::query(
            "INSERT INTO key_event (version, act, check_value, at)
             SELECT version, 'in force', check_value, ? FROM root ORDER BY version",
        )
        .bind(now.to_rfc3339())
        .execute(&mut *transaction)
        .await?;
    }
    sqlx::query("PRAGMA user_version = 5").execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(())
}
