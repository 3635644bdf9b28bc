//! Which order each run of each register stands on, whether its codes have been mapped, and the highest version of each
//! project's approval.

use chrono::{DateTime, Utc};
use sqlx::sqlite::SqliteConnection;

use super::error::IdentityError;
use super::vault::{Vault, VaultError};
use crate::domain::canonical::Digest;
use crate::domain::ids::ProjectId;
use crate::domain::order::KeyedOrder;

/// What is remembered of a run.
struct Remembered {
    order: Digest,
    root_version: u32,
    closed: bool,
}

impl Vault {
    /// Binds the order's project, run and register to this order, or checks that they are bound to it.
    /// Gives the root version that the linkage key comes from: `current`, if this is the first time.
    pub(super) async fn bind_run(
        &self,
        order: &impl KeyedOrder,
        current: u32,
        now: DateTime<Utc>,
    ) -> Result<u32, IdentityError> {
        let digest = order.digest()?;
        let mut connection = self.connection().await;
        match remembered(&mut connection, order).await? {
            Some(run) if run.order != digest => Err(IdentityError::Forged),
            Some(run) if run.closed => Err(IdentityError::Closed),
            Some(run) => Ok(run.root_version),
            None => {
                sqlx::query(
                    "INSERT INTO linkage_run (project, run, register, order_digest, root_version, issued)
                     VALUES (?, ?, ?, ?, ?, ?)",
                )
                .bind(order.signed().approval.project.as_str())
                .bind(order.run().as_str())
                .bind(order.register().as_str())
                .bind(digest.as_bytes().to_vec())
                .bind(current)
                .bind(now.to_rfc3339())
                .execute(&mut *connection)
                .await
                .map_err(VaultError::from)?;
                Ok(current)
            }
        }
    }

    /// Remembers the version of a project's approval whose signatures hold, unless a higher one has been seen.
    pub(super) async fn see_version(&self, project: &ProjectId, version: u32) -> Result<(), IdentityError> {
        let mut connection = self.connection().await;
        let (highest,): (u32,) = sqlx::query_as(
            "INSERT INTO approval_seen (project, version) VALUES (?, ?)
             ON CONFLICT (project) DO UPDATE SET version = max(version, excluded.version)
             RETURNING version",
        )
        .bind(project.as_str())
        .bind(version)
        .fetch_one(&mut *connection)
        .await
        .map_err(VaultError::from)?;
        if version < highest { Err(IdentityError::Superseded { version, highest }) } else { Ok(()) }
    }

    /// That a register node has fetched the key of this very order, and its codes have not been mapped.
    pub(super) async fn is_open(&self, order: &impl KeyedOrder) -> Result<(), IdentityError> {
        let mut connection = self.connection().await;
        open_run(&mut connection, order).await.map(|_| ())
    }

    /// Closes a run for a register, once. Gives the root version that its key came from.
    pub(super) async fn close_run(&self, order: &impl KeyedOrder) -> Result<u32, IdentityError> {
        let mut connection = self.connection().await;
        let run = open_run(&mut connection, order).await?;
        sqlx::query("UPDATE linkage_run SET closed = 1 WHERE project = ? AND run = ? AND register = ?")
            .bind(order.signed().approval.project.as_str())
            .bind(order.run().as_str())
            .bind(order.register().as_str())
            .execute(&mut *connection)
            .await
            .map_err(VaultError::from)?;
        Ok(run.root_version)
    }
}

/// The run of an order, which must be bound to it and not closed.
async fn open_run(
    connection: &mut SqliteConnection,
    order: &impl KeyedOrder,
) -> Result<Remembered, IdentityError> {
    let digest = order.digest()?;
    match remembered(connection, order).await?.ok_or(IdentityError::NotFetched)? {
        run if run.order != digest => Err(IdentityError::Forged),
        run if run.closed => Err(IdentityError::Closed),
        run => Ok(run),
    }
}

async fn remembered(
    connection: &mut SqliteConnection,
    order: &impl KeyedOrder,
) -> Result<Option<Remembered>, VaultError> {
    let row: Option<(Vec<u8>, u32, bool)> = sqlx::query_as(
        "SELECT order_digest, root_version, closed FROM linkage_run
         WHERE project = ? AND run = ? AND register = ?",
    )
    .bind(order.signed().approval.project.as_str())
    .bind(order.run().as_str())
    .bind(order.register().as_str())
    .fetch_optional(connection)
    .await?;
    row.map(|(digest, root_version, closed)| {
        let order = Digest::from_bytes(digest.try_into().map_err(|_| VaultError::Damaged)?);
        Ok(Remembered { order, root_version, closed })
    })
    .transpose()
}
