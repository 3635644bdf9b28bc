//! Opening the database, and the transaction in which everything is written.

use std::str::FromStr;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{Any, AnyPool, Executor, Transaction};

use super::budget::BudgetLease;
use super::error::StoreError;
use super::migrate::migrate;

/// The databases that control data can lie in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Backend {
    Sqlite,
    Postgres,
}

/// The most connections held to the database.
const CONNECTIONS: u32 = 8;
/// How long to wait for a connection before the request fails.
const ACQUIRE: Duration = Duration::from_secs(10);

/// The database of control data. Clones share one pool of connections.
#[derive(Debug, Clone)]
pub struct Store {
    pub(super) pool: AnyPool,
    pub(super) backend: Backend,
}

/// One writing transaction. Dropped without [`Write::commit`], it leaves nothing behind.
#[derive(Debug)]
pub struct Write {
    pub(super) tx: Transaction<'static, Any>,
    pub(super) backend: Backend,
    /// What has been reserved in it of a privacy budget; good for something once it is committed.
    pub(super) reserved: Option<BudgetLease>,
}

impl Store {
    /// Opens `sqlite://FILE` (made if it is not there) or `postgres://...`, and brings its schema up to
    /// date.
    ///
    /// # Errors
    /// [`StoreError::Address`], [`StoreError::Database`], [`StoreError::NewerSchema`],
    /// [`StoreError::OtherMigration`].
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let (backend, url) = if url.starts_with("sqlite:") && !url.contains('?') {
            (Backend::Sqlite, format!("{url}?mode=rwc"))
        } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            (Backend::Postgres, url.to_owned())
        } else {
            return Err(StoreError::Address);
        };
        let pool = AnyPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(ACQUIRE)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    if backend == Backend::Sqlite {
                        // Write-ahead log, and every commit on disk before it is acknowledged. What is deleted is
                        // overwritten: microdata that are refused, and memberships whose time is up.
                        let settings = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
                                        PRAGMA foreign_keys = ON; PRAGMA busy_timeout = 10000; \
                                        PRAGMA secure_delete = ON;";
                        connection.execute(settings).await?;
                    }
                    Ok(())
                })
            })
            .connect_with(AnyConnectOptions::from_str(&url)?)
            .await?;
        let store = Self { pool, backend };
        migrate(&store).await?;
        Ok(store)
    }

    /// Begins a writing transaction. With SQLite there is one at a time; others wait.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn write(&self) -> Result<Write, StoreError> {
        let begin = match self.backend {
            // A deferred transaction that turns into a writing one can fail at that moment.
            Backend::Sqlite => "BEGIN IMMEDIATE",
            Backend::Postgres => "BEGIN",
        };
        Ok(Write { tx: self.pool.begin_with(begin).await?, backend: self.backend, reserved: None })
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

impl Write {
    /// Makes everything written durable.
    ///
    /// # Errors
    /// [`StoreError::Database`]; then nothing of it is kept.
    pub async fn commit(self) -> Result<(), StoreError> {
        Ok(self.tx.commit().await?)
    }

    /// Makes everything written durable, with the reservation that was made in it, and gives the lease of that.
    ///
    /// # Errors
    /// [`StoreError::NotReserved`] if nothing was reserved, [`StoreError::Database`]. Nothing of it is kept then, unless
    /// the database did not answer the commit: whether it is, the same reservation again tells.
    pub async fn commit_lease(mut self) -> Result<BudgetLease, StoreError> {
        let lease = self.reserved.take().ok_or(StoreError::NotReserved)?;
        self.commit().await?;
        Ok(lease)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixtures::stores;

    #[tokio::test]
    async fn an_address_of_another_kind_is_refused() {
        for url in ["mysql://x", "control.db", "sqlite://x?mode=memory"] {
            assert!(matches!(Store::open(url).await, Err(StoreError::Address)));
        }
    }

    #[tokio::test]
    async fn what_is_not_committed_is_not_kept() {
        for test in stores().await {
            let mut write = test.store.write().await.unwrap();
            write.set_audit_head(7, b"x").await.unwrap();
            drop(write);
            let mut write = test.store.write().await.unwrap();
            assert_eq!(write.audit_head().await.unwrap().size, 0);
        }
    }

    /// What was deleted, and is in no log of the database any more, is not in its file either.
    #[tokio::test]
    async fn what_is_deleted_is_overwritten() {
        let test = crate::store::fixtures::sqlite().await;
        let path = test.url.trim_start_matches("sqlite://").to_owned();
        let secret = b"a sealed membership, of which a page is left over ".repeat(500);
        let lies_there = || {
            let bytes = std::fs::read(&path).unwrap();
            bytes.windows(50).any(|window| window == &secret[..50])
        };
        let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
        test.store.pool.execute("CREATE TABLE sealed (bytes BLOB)").await.unwrap();
        sqlx::query("INSERT INTO sealed VALUES ($1)").bind(&secret).execute(&test.store.pool).await.unwrap();
        test.store.pool.execute(checkpoint).await.unwrap();
        assert!(lies_there(), "it is not where it is looked for");
        test.store.pool.execute("DELETE FROM sealed").await.unwrap();
        test.store.pool.execute(checkpoint).await.unwrap();
        assert!(!lies_there());
    }
}
