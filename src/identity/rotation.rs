//! Versions of the root secret in the life of a vault: which are known, the change to a newer one, the end of an older one.
//!
//! All of it is done while the service stands still: the vault is one process's alone.

use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection};

use super::keys::{KeyRing, RootKey};
use super::schema::{NEXT, ROTATION};
use super::vault::{Identifiers, Stored, Vault, VaultError, connect, insert, read_row};
use crate::domain::order::LinkageOrder;

/// How many identifiers are sealed anew in one transaction.
const STEP: i64 = 20_000;

/// What was done with a version of the root secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyEvent {
    /// The version.
    pub version: u32,
    /// `in force` or `destroyed`.
    pub act: String,
    /// The value by which the secret is recognised, hexadecimal. It tells nothing about the secret.
    pub check_value: String,
    /// When.
    pub at: String,
}

/// What still needs a version of the root secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Need {
    /// It is the founding one.
    #[error(
        "record keys and cell keys come from the founding secret, and must stay the same for the life of the vault"
    )]
    RecordKeys,
    /// The identifiers are sealed under it.
    #[error(
        "the vault's identifiers are sealed under it; `kpr identity rotate` seals them under a newer one"
    )]
    Identifiers,
    /// Linkage keys of open runs come from it.
    #[error("{0} open run(s) have their linkage key from it; they end within an hour")]
    OpenRuns(u64),
}

impl Vault {
    /// Seals all identifiers anew under the newest version of the ring, some thousand at a time: what is done is kept, and
    /// a rotation that was cut short goes on where it was. The old rows count until all are sealed; then the new ones
    /// take their place in one transaction. `progress` hears how many of how many are done. Returns whether there was
    /// anything to do.
    pub(super) async fn rotate(
        path: &Path,
        ring: &KeyRing,
        now: DateTime<Utc>,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<bool, VaultError> {
        let mut connection = connect(path, now).await?;
        let sealing = check_roots(&mut connection, ring, now).await?;
        let current = ring.current();
        if sealing.version() == current.version() {
            return Ok(false);
        }
        // What is deleted is overwritten: nothing sealed under the old secret stays in the file.
        sqlx::query("PRAGMA secure_delete = ON").execute(&mut connection).await?;
        let mut after = begin(&mut connection, current).await?;
        let (mut from, mut to) = (sealing.vault_key().cipher(), current.vault_key().cipher());
        let total = count(&mut connection, Identifiers::InForce).await?;
        let mut done = count(&mut connection, Identifiers::Next).await?;
        progress(done, total);
        loop {
            let old: Vec<Stored> = sqlx::query_as(
                "SELECT sealed, person_no, valid_from FROM identifier WHERE sealed > ? ORDER BY sealed LIMIT ?",
            )
            .bind(after.clone())
            .bind(STEP)
            .fetch_all(&mut connection)
            .await?;
            let mut new = old.into_iter().map(read_row).collect::<Result<Vec<_>, _>>()?;
            let Some(last) = new.last().map(|new| new.row.sealed) else { break };
            for new in &mut new {
                new.row.sealed = to.seal(&from.open(&new.row.sealed).ok_or(VaultError::Damaged)?);
            }
            new.sort_unstable_by_key(|new| new.row.sealed);
            after = last.to_vec();
            let mut transaction = connection.begin().await?;
            insert(&mut transaction, Identifiers::Next, &new).await?;
            sqlx::query("UPDATE rotation SET after = ?")
                .bind(after.clone())
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            done += new.len() as u64;
            progress(done, total);
        }
        if done != total || count(&mut connection, Identifiers::Next).await? != total {
            return Err(VaultError::Damaged);
        }
        let mut transaction = connection.begin().await?;
        for statement in [
            "DROP TABLE identifier",
            "ALTER TABLE identifier_next RENAME TO identifier",
            "DROP TABLE rotation",
        ] {
            sqlx::query(statement).execute(&mut *transaction).await?;
        }
        sqlx::query("DELETE FROM root WHERE version <> ?")
            .bind(ring.founding().version())
            .execute(&mut *transaction)
            .await?;
        take_in_force(&mut transaction, current, now).await?;
        transaction.commit().await?;
        tracing::info!(version = current.version(), "the vault is sealed under a newer root secret");
        Ok(true)
    }

    /// Records that a version is destroyed, if nothing needs it any more: it is never taken again. To be repeated is no
    /// error. The secret itself is the caller's to erase, after this.
    pub(super) async fn destroy(
        path: &Path,
        ring: &KeyRing,
        version: u32,
        now: DateTime<Utc>,
    ) -> Result<(), VaultError> {
        let mut connection = connect(path, now).await?;
        let root = ring.version(version).ok_or(VaultError::NotNamed { version })?;
        let known = events(&mut connection).await?;
        let of_it = || known.iter().filter(|event| event.version == version);
        let check_value = hex::encode(root.check_value());
        if of_it().next().is_none() || of_it().any(|event| event.check_value != check_value) {
            return Err(VaultError::RootSecret { version });
        }
        if of_it().any(|event| event.act == DESTROYED) {
            return Ok(());
        }
        let needed: Vec<(u32,)> =
            sqlx::query_as("SELECT version FROM root ORDER BY version").fetch_all(&mut connection).await?;
        let still = |by| Err(VaultError::StillNeeded { version, by });
        if needed.first() == Some(&(version,)) {
            return still(Need::RecordKeys);
        }
        if needed.last() == Some(&(version,)) {
            return still(Need::Identifiers);
        }
        let open = open_runs(&mut connection, version, now).await?;
        if open > 0 {
            return still(Need::OpenRuns(open));
        }
        record(&mut connection, root, DESTROYED, now).await?;
        tracing::info!(version, "a version of the root secret is destroyed");
        Ok(())
    }

    /// What was done with versions of the root secret, the oldest act first.
    pub(super) async fn key_events(path: &Path, now: DateTime<Utc>) -> Result<Vec<KeyEvent>, VaultError> {
        events(&mut connect(path, now).await?).await
    }
}

const IN_FORCE: &str = "in force";
const DESTROYED: &str = "destroyed";

/// Checks that the ring holds the secrets the vault was made with, and none that is destroyed. Gives the version that seals
/// the vault. A new vault takes the ring's.
pub(super) async fn check_roots<'a>(
    connection: &mut SqliteConnection,
    ring: &'a KeyRing,
    now: DateTime<Utc>,
) -> Result<&'a RootKey, VaultError> {
    let known: Vec<(u32, Vec<u8>)> = sqlx::query_as("SELECT version, check_value FROM root ORDER BY version")
        .fetch_all(&mut *connection)
        .await?;
    let current = ring.current();
    let Some(&(founding, _)) = known.first() else {
        let mut transaction = connection.begin().await?;
        take_in_force(&mut transaction, ring.founding(), now).await?;
        if ring.founding().version() != current.version() {
            take_in_force(&mut transaction, current, now).await?;
        }
        transaction.commit().await?;
        return Ok(current);
    };
    let mut sealing = current;
    for (version, check) in &known {
        let missing = VaultError::RootSecret { version: *version };
        let root = ring.version(*version).ok_or(missing)?;
        if root.check_value().as_slice() != check {
            return Err(VaultError::RootSecret { version: *version });
        }
        sealing = root;
    }
    if ring.founding().version() != founding {
        return Err(VaultError::Founding { version: founding });
    }
    for event in events(connection).await? {
        let Some(root) = ring.version(event.version) else { continue };
        if event.act == DESTROYED {
            return Err(VaultError::Destroyed { version: event.version });
        }
        if hex::encode(root.check_value()) != event.check_value {
            return Err(VaultError::RootSecret { version: event.version });
        }
    }
    Ok(sealing)
}

/// Begins to seal anew, or goes on with what was begun under the same secret. Gives the last identifier that is done.
async fn begin(connection: &mut SqliteConnection, current: &RootKey) -> Result<Vec<u8>, VaultError> {
    let mut transaction = connection.begin().await?;
    for statement in [ROTATION, NEXT] {
        sqlx::query(statement).execute(&mut *transaction).await?;
    }
    let begun: Option<(u32, Vec<u8>, Vec<u8>)> =
        sqlx::query_as("SELECT version, check_value, after FROM rotation")
            .fetch_optional(&mut *transaction)
            .await?;
    let check_value = current.check_value().to_vec();
    let after = match begun {
        Some((version, check, after)) if version == current.version() && check == check_value => after,
        _ => {
            for statement in ["DELETE FROM rotation", "DELETE FROM identifier_next"] {
                sqlx::query(statement).execute(&mut *transaction).await?;
            }
            sqlx::query("INSERT INTO rotation (version, check_value, after) VALUES (?, ?, zeroblob(0))")
                .bind(current.version())
                .bind(check_value)
                .execute(&mut *transaction)
                .await?;
            Vec::new()
        }
    };
    transaction.commit().await?;
    Ok(after)
}

/// Gives up a rotation that was cut short: identifiers that come now would be missing in it.
pub(super) async fn give_up(connection: &mut SqliteConnection) -> Result<(), VaultError> {
    for statement in ["DROP TABLE IF EXISTS rotation", "DROP TABLE IF EXISTS identifier_next"] {
        sqlx::query(statement).execute(&mut *connection).await?;
    }
    Ok(())
}

async fn count(connection: &mut SqliteConnection, of: Identifiers) -> Result<u64, VaultError> {
    let sql = AssertSqlSafe(format!("SELECT COUNT(*) FROM {}", of.table()));
    let (count,): (i64,) = sqlx::query_as(sql).fetch_one(connection).await?;
    u64::try_from(count).map_err(|_| VaultError::Damaged)
}

/// How many runs that have their key from a version may still have their codes mapped.
async fn open_runs(
    connection: &mut SqliteConnection,
    version: u32,
    now: DateTime<Utc>,
) -> Result<u64, VaultError> {
    let issued: Vec<(String,)> =
        sqlx::query_as("SELECT issued FROM linkage_run WHERE closed = 0 AND root_version = ?")
            .bind(version)
            .fetch_all(connection)
            .await?;
    // An order holds for an hour, and may be dated a minute ahead.
    let since = now - LinkageOrder::MOST_LIFETIME - TimeDelta::minutes(1);
    let mut open = 0;
    for (issued,) in issued {
        open += u64::from(DateTime::parse_from_rfc3339(&issued).map_err(|_| VaultError::Damaged)? >= since);
    }
    Ok(open)
}

/// Keeps a version as one that the vault needs, and records that it is in force.
async fn take_in_force(
    connection: &mut SqliteConnection,
    root: &RootKey,
    now: DateTime<Utc>,
) -> Result<(), VaultError> {
    sqlx::query("INSERT INTO root (version, check_value) VALUES (?, ?)")
        .bind(root.version())
        .bind(root.check_value().to_vec())
        .execute(&mut *connection)
        .await?;
    record(connection, root, IN_FORCE, now).await
}

async fn record(
    connection: &mut SqliteConnection,
    root: &RootKey,
    act: &str,
    now: DateTime<Utc>,
) -> Result<(), VaultError> {
    sqlx::query("INSERT INTO key_event (version, act, check_value, at) VALUES (?, ?, ?, ?)")
        .bind(root.version())
        .bind(act)
        .bind(root.check_value().to_vec())
        .bind(now.to_rfc3339())
        .execute(connection)
        .await?;
    Ok(())
}

async fn events(connection: &mut SqliteConnection) -> Result<Vec<KeyEvent>, VaultError> {
    let rows: Vec<(u32, String, Vec<u8>, String)> =
        sqlx::query_as("SELECT version, act, check_value, at FROM key_event ORDER BY id")
            .fetch_all(connection)
            .await?;
    let event =
        |(version, act, check, at)| KeyEvent { version, act, check_value: hex::encode::<Vec<u8>>(check), at };
    Ok(rows.into_iter().map(event).collect())
}
