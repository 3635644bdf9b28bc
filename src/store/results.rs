//! Released results: the bytes, their digest, and the leaf of the audit log that is their receipt.

use crate::domain::canonical::Digest;
use crate::domain::ids::RunId;

use super::error::StoreError;
use super::open::{Store, Write};
use super::rows::{bytes, int, number, parsed};

/// A released result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredResult {
    /// The digest of its canonical encoding.
    pub digest: Digest,
    /// The canonical encoding.
    pub bytes: Vec<u8>,
    /// The index of its receipt in the audit log.
    pub receipt: u64,
}

impl Store {
    /// The result of a run.
    ///
    /// # Errors
    /// [`StoreError::NoSuchResult`], [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn result(&self, run: &RunId) -> Result<StoredResult, StoreError> {
        let row = sqlx::query("SELECT digest, bytes, receipt FROM results WHERE run = $1")
            .bind(run.as_str())
            .fetch_optional(&self.pool)
            .await?
            .ok_or_else(|| StoreError::NoSuchResult(run.clone()))?;
        Ok(StoredResult {
            digest: parsed(&row, "digest")?,
            bytes: bytes(&row, "bytes")?,
            receipt: number(&row, "receipt")?,
        })
    }
}

impl Store {
    /// The sealed report on the table of a run.
    ///
    /// # Errors
    /// [`StoreError::NoSuchResult`] where it has none, [`StoreError::Database`].
    pub async fn report(&self, run: &RunId) -> Result<Vec<u8>, StoreError> {
        let row = sqlx::query("SELECT sealed FROM disclosure_reports WHERE run = $1")
            .bind(run.as_str())
            .fetch_optional(&self.pool)
            .await?
            .ok_or_else(|| StoreError::NoSuchResult(run.clone()))?;
        bytes(&row, "sealed")
    }
}

impl Write {
    /// Keeps the sealed report on the table of a run.
    ///
    /// # Errors
    /// [`StoreError::Database`], also if the run has no result or a report already.
    pub async fn keep_report(&mut self, run: &RunId, sealed: &[u8]) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO disclosure_reports (run, sealed) VALUES ($1, $2)")
            .bind(run.as_str())
            .bind(sealed)
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }

    /// Stores the result of a run, once.
    ///
    /// # Errors
    /// [`StoreError::Database`], also if the run has a result or the receipt no leaf.
    pub async fn store_result(&mut self, run: &RunId, result: &StoredResult) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO results (run, digest, bytes, receipt) VALUES ($1, $2, $3, $4)")
            .bind(run.as_str())
            .bind(result.digest.to_string())
            .bind(result.bytes.as_slice())
            .bind(int(result.receipt)?)
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixtures::{now, result, run_id, stores, submission};

    #[tokio::test]
    async fn a_result_needs_its_receipt_and_is_stored_once() {
        for test in stores().await {
            let mut write = test.store.write().await.unwrap();
            write.submit(&submission("req-1"), run_id(1), now()).await.unwrap();
            write.commit().await.unwrap();

            let mut write = test.store.write().await.unwrap();
            assert!(write.store_result(&run_id(1), &result(0)).await.is_err(), "there is no leaf 0");
            drop(write);

            let mut write = test.store.write().await.unwrap();
            write.insert_audit_leaf(0, b"leaf", None).await.unwrap();
            write.store_result(&run_id(1), &result(0)).await.unwrap();
            write.commit().await.unwrap();
            assert_eq!(test.store.result(&run_id(1)).await.unwrap(), result(0));

            let mut write = test.store.write().await.unwrap();
            write.keep_report(&run_id(1), b"sealed").await.unwrap();
            write.commit().await.unwrap();
            assert_eq!(test.store.report(&run_id(1)).await.unwrap(), b"sealed");
            assert!(matches!(test.store.report(&run_id(2)).await, Err(StoreError::NoSuchResult(_))));

            let mut write = test.store.write().await.unwrap();
            assert!(write.store_result(&run_id(1), &result(0)).await.is_err());
            drop(write);
            assert!(matches!(test.store.result(&run_id(2)).await, Err(StoreError::NoSuchResult(_))));
        }
    }
}
