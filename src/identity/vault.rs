//! The vault: sealed identifiers and their persons, in a SQLite database that one process holds alone.

use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteLockingMode};
use sqlx::{ConnectOptions, Connection, QueryBuilder, Sqlite};
use tokio::sync::{Mutex, watch};

use super::index::{Index, Row};
use super::keys::{KeyRing, VaultKey};
use super::rotation::{Need, check_roots, give_up};
use super::schema::{SCHEMA, make_tables};
use super::siv::{Sealed, Siv};
use crate::domain::ids::PersonNo;

/// How many rows an insert statement takes; three parameters each.
const INSERT_ROWS: usize = 1000;

/// How long the process before this one may take to let go of the vault.
const OTHER_PROCESS_WAIT: std::time::Duration = std::time::Duration::from_secs(1);

/// Why the vault cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The database does not do what it should.
    #[error("the vault's database does not answer as it should")]
    Database(#[from] sqlx::Error),
    /// The file cannot be made.
    #[error("the vault's file cannot be made")]
    File(#[from] std::io::Error),
    /// Another process holds it.
    #[error("another process has the vault open")]
    InUse,
    /// A newer version of the program has written it.
    #[error("the vault has schema {found}; this version of the program reads up to {SCHEMA}")]
    NewerSchema {
        /// The schema found.
        found: i64,
    },
    /// A version to be destroyed is not among those configured.
    #[error("the configuration names no version {version} of the root secret")]
    NotNamed {
        /// The version.
        version: u32,
    },
    /// The root secret that sealed it, or that founded it, is not among those configured.
    #[error("version {version} of the root secret, which the vault needs, is missing or another secret")]
    RootSecret {
        /// The version needed.
        version: u32,
    },
    /// The configured root secrets begin with an older one than the vault's founding version.
    #[error(
        "the vault was founded under version {version} of the root secret; older ones must not be configured"
    )]
    Founding {
        /// The founding version.
        version: u32,
    },
    /// A newer root secret is configured than the one that seals the vault.
    #[error(
        "the vault is sealed under version {sealed} of the root secret and version {current} is to be in force: \
         run `kpr identity rotate`"
    )]
    NotRotated {
        /// The version that seals it.
        sealed: u32,
        /// The newest version configured.
        current: u32,
    },
    /// A version that is destroyed is configured.
    #[error("version {version} of the root secret is destroyed; take it out of the configuration")]
    Destroyed {
        /// The version.
        version: u32,
    },
    /// A version that is to be destroyed is still needed.
    #[error("version {version} of the root secret is still needed: {by}")]
    StillNeeded {
        /// The version.
        version: u32,
        /// By what.
        by: Need,
    },
    /// A row is not what this program writes under this key.
    #[error("a row of the vault is damaged")]
    Damaged,
}

/// An identifier that is to be added.
#[derive(Debug, Clone, Copy)]
pub(super) struct NewRow {
    pub(super) row: Row,
    pub(super) valid_from: Option<i32>,
}

/// The open vault.
pub(super) struct Vault {
    connection: Mutex<SqliteConnection>,
    index: watch::Sender<Arc<Index>>,
    key: VaultKey,
}

impl Vault {
    /// Opens the vault, or makes a new one. It must be sealed under the ring's newest version.
    pub(super) async fn open(path: &Path, ring: &KeyRing, now: DateTime<Utc>) -> Result<Self, VaultError> {
        let mut connection = connect(path, now).await?;
        let sealed = check_roots(&mut connection, ring, now).await?.version();
        let current = ring.current().version();
        if sealed != current {
            return Err(VaultError::NotRotated { sealed, current });
        }
        give_up(&mut connection).await?;
        let index = watch::Sender::new(Arc::new(Index::new(stored_rows(&mut connection).await?)));
        Ok(Self { connection: Mutex::new(connection), index, key: ring.current().vault_key() })
    }

    /// The identifiers committed so far.
    pub(super) fn index(&self) -> Arc<Index> {
        Arc::clone(&self.index.borrow())
    }

    /// A cipher under the vault key, for one thread.
    pub(super) fn cipher(&self) -> Siv {
        self.key.cipher()
    }

    /// The database, for what else is kept in it.
    pub(super) async fn connection(&self) -> tokio::sync::MutexGuard<'_, SqliteConnection> {
        self.connection.lock().await
    }

    /// Adds identifiers, all or none. To be driven to its end: dropped in the middle, the index could lag
    /// behind the database.
    pub(super) async fn add(&self, mut new: Vec<NewRow>) -> Result<(), VaultError> {
        if new.is_empty() {
            return Ok(());
        }
        new.sort_unstable_by_key(|new| new.row.sealed);
        let mut connection = self.connection.lock().await;
        let mut transaction = connection.begin().await?;
        insert(&mut transaction, Identifiers::InForce, &new).await?;
        transaction.commit().await?;
        let index = self.index().with(new.iter().map(|new| new.row));
        self.index.send_replace(Arc::new(index));
        Ok(())
    }
}

/// Opens the vault's database, or makes it, for this process alone.
pub(super) async fn connect(path: &Path, now: DateTime<Utc>) -> Result<SqliteConnection, VaultError> {
    // Only its owner reads the file, although it is sealed.
    std::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    let mut connection = SqliteConnectOptions::new()
        .filename(path)
        .locking_mode(SqliteLockingMode::Exclusive)
        .busy_timeout(OTHER_PROCESS_WAIT)
        .disable_statement_logging()
        .connect()
        .await
        .map_err(in_use)?;
    make_tables(&mut connection, now).await?;
    Ok(connection)
}

/// The database being locked means that another process has it.
pub(super) fn in_use(error: sqlx::Error) -> VaultError {
    // SQLITE_BUSY is 5; SQLite may add a detail in the bits above.
    match &error {
        sqlx::Error::Database(e)
            if e.code().and_then(|c| c.parse::<u32>().ok()).map(|c| c & 0xff) == Some(5) =>
        {
            VaultError::InUse
        }
        _ => VaultError::Database(error),
    }
}

/// A table of sealed identifiers.
#[derive(Debug, Clone, Copy)]
pub(super) enum Identifiers {
    /// Those that count.
    InForce,
    /// Those that will, when all are sealed anew.
    Next,
}

impl Identifiers {
    pub(super) const fn table(self) -> &'static str {
        match self {
            Self::InForce => "identifier",
            Self::Next => "identifier_next",
        }
    }
}

pub(super) async fn insert(
    connection: &mut SqliteConnection,
    into: Identifiers,
    rows: &[NewRow],
) -> Result<(), VaultError> {
    for chunk in rows.chunks(INSERT_ROWS) {
        QueryBuilder::<Sqlite>::new("INSERT INTO ")
            .push(into.table())
            .push(" (sealed, person_no, valid_from) ")
            .push_values(chunk, |mut values, new| {
                values
                    .push_bind(new.row.sealed.to_vec())
                    .push_bind(new.row.person.0)
                    .push_bind(new.valid_from);
            })
            .build()
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// A row as the database has it: sealed identifier, person number, day.
pub(super) type Stored = (Vec<u8>, u32, Option<i32>);

/// A row as the database has it.
pub(super) fn read_row((sealed, person, valid_from): Stored) -> Result<NewRow, VaultError> {
    let sealed = Sealed::try_from(sealed).map_err(|_| VaultError::Damaged)?;
    Ok(NewRow { row: Row { sealed, person: PersonNo(person) }, valid_from })
}

async fn stored_rows(connection: &mut SqliteConnection) -> Result<Vec<Row>, VaultError> {
    let mut rows = Vec::new();
    let mut stored =
        sqlx::query_as::<_, Stored>("SELECT sealed, person_no, valid_from FROM identifier").fetch(connection);
    while let Some(stored) = stored.try_next().await? {
        rows.push(read_row(stored)?.row);
    }
    Ok(rows)
}
