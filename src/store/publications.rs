//! Published tables.

use chrono::{DateTime, Utc};
use sqlx::any::AnyRow;

use crate::domain::canonical::Digest;
use crate::domain::ids::{RunId, TableId};

use super::error::StoreError;
use super::open::{Store, Write};
use super::rows::{name, parsed, stamp};

/// A released table that anyone may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// Its id.
    pub table: TableId,
    /// The run that made it.
    pub run: RunId,
    /// The digest of the result.
    pub digest: Digest,
    /// Its title.
    pub title: String,
    /// When it was published.
    pub published: DateTime<Utc>,
}

fn publication(row: &AnyRow) -> Result<Publication, StoreError> {
    Ok(Publication {
        table: name(row, "table_id")?,
        run: name(row, "run")?,
        digest: parsed(row, "digest")?,
        title: name(row, "title")?,
        published: parsed(row, "published")?,
    })
}

impl Store {
    /// All published tables, by id.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn publications(&self) -> Result<Vec<Publication>, StoreError> {
        let rows =
            sqlx::query("SELECT table_id, run, digest, title, published FROM publications ORDER BY table_id")
                .fetch_all(&self.pool)
                .await?;
        rows.iter().map(publication).collect()
    }

    /// A published table, if there is one by this id.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn publication(&self, table: &TableId) -> Result<Option<Publication>, StoreError> {
        let row = sqlx::query(
            "SELECT table_id, run, digest, title, published FROM publications WHERE table_id = $1",
        )
        .bind(table.as_str())
        .fetch_optional(&self.pool)
        .await?;
        row.as_ref().map(publication).transpose()
    }
}

impl Write {
    /// Publishes a run's result under an id. The same result again under the same id is the same
    /// publication; returns whether it is new.
    ///
    /// # Errors
    /// [`StoreError::TableIdTaken`], [`StoreError::Database`], also if the run has no result.
    pub async fn publish(&mut self, publication: &Publication) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "INSERT INTO publications (table_id, run, digest, title, published) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
        )
        .bind(publication.table.as_str())
        .bind(publication.run.as_str())
        .bind(publication.digest.to_string())
        .bind(publication.title.as_str())
        .bind(stamp(publication.published))
        .execute(&mut *self.tx)
        .await?;
        if done.rows_affected() == 1 {
            return Ok(true);
        }
        let row = sqlx::query("SELECT run, digest FROM publications WHERE table_id = $1")
            .bind(publication.table.as_str())
            .fetch_one(&mut *self.tx)
            .await?;
        if name::<RunId>(&row, "run")? == publication.run
            && parsed::<Digest>(&row, "digest")? == publication.digest
        {
            Ok(false)
        } else {
            Err(StoreError::TableIdTaken(publication.table.clone()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixtures::{name, now, result, run_id, stores, submission};

    fn table(run: u8) -> Publication {
        let (table, title) = (name("gp-followup-2024"), "GP follow-up".to_owned());
        Publication { table, run: run_id(run), digest: result(0).digest, title, published: now() }
    }

    #[tokio::test]
    async fn a_table_id_stands_for_one_result() {
        for test in stores().await {
            let mut write = test.store.write().await.unwrap();
            for (n, receipt) in [(1, 0), (2, 1)] {
                write.submit(&submission(&format!("req-{n}")), run_id(n), now()).await.unwrap();
                write.insert_audit_leaf(receipt, b"leaf", None).await.unwrap();
                write.store_result(&run_id(n), &result(receipt)).await.unwrap();
            }
            assert!(write.publish(&table(1)).await.unwrap());
            assert!(!write.publish(&table(1)).await.unwrap());
            assert!(matches!(write.publish(&table(2)).await, Err(StoreError::TableIdTaken(_))));
            write.commit().await.unwrap();
            assert_eq!(test.store.publications().await.unwrap(), [table(1)]);
            assert_eq!(test.store.publication(&table(1).table).await.unwrap(), Some(table(1)));
            assert_eq!(test.store.publication(&name("other")).await.unwrap(), None);
        }
    }

    #[tokio::test]
    async fn only_a_released_result_is_published() {
        for test in stores().await {
            let mut write = test.store.write().await.unwrap();
            write.submit(&submission("req-1"), run_id(1), now()).await.unwrap();
            assert!(write.publish(&table(1)).await.is_err());
        }
    }
}
