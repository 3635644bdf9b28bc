//! The vault: sealed identifiers and their persons, in a SQLite database that one process holds alone.

use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use futures::TryStreamExt;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteLockingMode};
use sqlx::{ConnectOptions, Connection, QueryBuilder, Sqlite};
use tokio::sync::{Mutex, watch};

use super::index::{Index, Row};
use super::keys::{KeyRing, RootKey, VaultKey};
use super::siv::{Sealed, Siv};
use crate::domain::ids::PersonNo;

/// The schema this version of the program writes, kept in `PRAGMA user_version`.
const SCHEMA: i64 = 3;

/// How many rows an insert statement takes; three parameters each.
const INSERT_ROWS: usize = 1000;

/// How long the process before this one may take to let go of the vault.
const OTHER_PROCESS_WAIT: std::time::Duration = std::time::Duration::from_secs(1);

const TABLES: [&str; 6] = [
    // Kept in the order of the ciphertext, which tells nothing of who came when. `valid_from` is the day from
    // which the person has had the number, in days after 1970-01-01.
    "CREATE TABLE identifier (
        sealed BLOB NOT NULL PRIMARY KEY CHECK (length(sealed) = 27),
        person_no INTEGER NOT NULL CHECK (person_no >= 0),
        valid_from INTEGER
    ) STRICT, WITHOUT ROWID",
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
    APPROVAL_SEEN,
    LOOK_UP,
    "CREATE INDEX look_up_by_person ON look_up (person_no)",
];

/// Single uses of identity numbers. Since schema 3.
const LOOK_UP: &str = "CREATE TABLE look_up (
        id INTEGER PRIMARY KEY,
        person_no INTEGER,
        organisation TEXT NOT NULL,
        name TEXT NOT NULL,
        at TEXT NOT NULL
    ) STRICT";

/// The highest version of each project's approval whose signatures held. Since schema 2.
const APPROVAL_SEEN: &str = "CREATE TABLE approval_seen (
        project TEXT NOT NULL PRIMARY KEY,
        version INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID";

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
    /// Opens the vault, or makes a new one, and seals it anew if the ring has a newer version.
    pub(super) async fn open(path: &Path, ring: &KeyRing) -> Result<Self, VaultError> {
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
        make_tables(&mut connection).await?;
        let sealed_under = check_roots(&mut connection, ring).await?;
        let key = ring.current().vault_key();
        if let Some(older) = sealed_under {
            seal_anew(&mut connection, older, ring).await?;
        }
        let rows = stored_rows(&mut connection).await?.into_iter().map(|new| new.row).collect();
        let index = watch::Sender::new(Arc::new(Index::new(rows)));
        Ok(Self { connection: Mutex::new(connection), index, key })
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
        insert(&mut transaction, &new).await?;
        transaction.commit().await?;
        let index = self.index().with(new.iter().map(|new| new.row));
        self.index.send_replace(Arc::new(index));
        Ok(())
    }
}

/// The database being locked means that another process has it.
fn in_use(error: sqlx::Error) -> VaultError {
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

async fn make_tables(connection: &mut SqliteConnection) -> Result<(), VaultError> {
    let mut transaction = connection.begin_with("BEGIN EXCLUSIVE").await.map_err(in_use)?;
    let (found,): (i64,) = sqlx::query_as("PRAGMA user_version").fetch_one(&mut *transaction).await?;
    // How many of the tables each schema had.
    let there = match found {
        0 => 0,
        1 => 3,
        2 => 4,
        SCHEMA => TABLES.len(),
        _ => return Err(VaultError::NewerSchema { found }),
    };
    for table in TABLES.into_iter().skip(there) {
        sqlx::query(table).execute(&mut *transaction).await?;
    }
    sqlx::query("PRAGMA user_version = 3").execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(())
}

/// Checks that the ring holds the secrets the vault was made with. Gives the version that seals it if that
/// is not the current one.
async fn check_roots<'a>(
    connection: &mut SqliteConnection,
    ring: &'a KeyRing,
) -> Result<Option<&'a RootKey>, VaultError> {
    let known: Vec<(u32, Vec<u8>)> = sqlx::query_as("SELECT version, check_value FROM root ORDER BY version")
        .fetch_all(&mut *connection)
        .await?;
    let Some(&(founding, _)) = known.first() else {
        let mut transaction = connection.begin().await?;
        keep_root(&mut transaction, ring.founding()).await?;
        keep_root(&mut transaction, ring.current()).await?;
        transaction.commit().await?;
        return Ok(None);
    };
    let mut sealing = None;
    for (version, check) in &known {
        let missing = VaultError::RootSecret { version: *version };
        let root = ring.version(*version).ok_or(missing)?;
        if root.check_value().as_slice() != check {
            return Err(VaultError::RootSecret { version: *version });
        }
        sealing = Some(root);
    }
    if ring.founding().version() != founding {
        return Err(VaultError::Founding { version: founding });
    }
    Ok(sealing.filter(|root| root.version() != ring.current().version()))
}

async fn keep_root(connection: &mut SqliteConnection, root: &RootKey) -> Result<(), VaultError> {
    sqlx::query("INSERT OR IGNORE INTO root (version, check_value) VALUES (?, ?)")
        .bind(root.version())
        .bind(root.check_value().to_vec())
        .execute(connection)
        .await?;
    Ok(())
}

async fn seal_anew(
    connection: &mut SqliteConnection,
    older: &RootKey,
    ring: &KeyRing,
) -> Result<(), VaultError> {
    let (mut from, mut to) = (older.vault_key().cipher(), ring.current().vault_key().cipher());
    let mut rows = stored_rows(connection).await?;
    for new in &mut rows {
        new.row.sealed = to.seal(&from.open(&new.row.sealed).ok_or(VaultError::Damaged)?);
    }
    rows.sort_unstable_by_key(|new| new.row.sealed);
    let mut transaction = connection.begin().await?;
    sqlx::query("DELETE FROM identifier").execute(&mut *transaction).await?;
    insert(&mut transaction, &rows).await?;
    sqlx::query("DELETE FROM root WHERE version <> ?")
        .bind(ring.founding().version())
        .execute(&mut *transaction)
        .await?;
    keep_root(&mut transaction, ring.current()).await?;
    transaction.commit().await?;
    tracing::info!(version = ring.current().version(), "vault sealed under a newer root secret");
    Ok(())
}

async fn insert(connection: &mut SqliteConnection, rows: &[NewRow]) -> Result<(), VaultError> {
    for chunk in rows.chunks(INSERT_ROWS) {
        QueryBuilder::<Sqlite>::new("INSERT INTO identifier (sealed, person_no, valid_from) ")
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

async fn stored_rows(connection: &mut SqliteConnection) -> Result<Vec<NewRow>, VaultError> {
    let mut rows = Vec::new();
    let mut stored = sqlx::query_as::<_, (Vec<u8>, u32, Option<i32>)>(
        "SELECT sealed, person_no, valid_from FROM identifier",
    )
    .fetch(connection);
    while let Some((sealed, person, valid_from)) = stored.try_next().await? {
        let sealed = Sealed::try_from(sealed).map_err(|_| VaultError::Damaged)?;
        rows.push(NewRow { row: Row { sealed, person: PersonNo(person) }, valid_from });
    }
    Ok(rows)
}
