//! A consistent copy of the database while the gateway runs.

use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use super::error::StoreError;
use super::open::Store;

impl Store {
    /// Writes a copy of a SQLite database, as it stands at one moment, to a new file that only its owner reads. Whoever uses
    /// the database goes on. PostgreSQL has `pg_dump` for this, which is the better tool there.
    ///
    /// # Errors
    /// [`StoreError::NoCopy`] for a database of another kind; [`StoreError::CopyFile`] if the file exists or cannot be made;
    /// [`StoreError::Database`].
    pub async fn back_up(url: &str, to: &Path) -> Result<(), StoreError> {
        let file = url.strip_prefix("sqlite://").ok_or(StoreError::NoCopy)?;
        let mut connection = SqliteConnectOptions::new().filename(file).connect().await?;
        // VACUUM takes an empty file, so it is this program that says who may read it.
        std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(to)
            .map_err(StoreError::CopyFile)?;
        sqlx::query("VACUUM INTO ?").bind(to.to_string_lossy().into_owned()).execute(&mut connection).await?;
        connection.close().await?;
        std::fs::File::open(to).and_then(|file| file.sync_all()).map_err(StoreError::CopyFile)
    }
}
