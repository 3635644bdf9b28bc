//! The rows of the audit log. What they mean is decided in `audit`; here they are bytes.

use crate::domain::ids::RunId;

use super::error::StoreError;
use super::open::{Backend, Store, Write};
use super::rows::{bytes, int, name, number};

/// How large the log is, and the roots of its full subtrees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditHead {
    /// How many leaves there are.
    pub size: u64,
    /// The subtree roots, one after the other.
    pub frontier: Vec<u8>,
}

/// What a leaf's commitment opens to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditDetail {
    /// The salt.
    pub salt: Vec<u8>,
    /// The canonical encoding of the fields.
    pub fields: Vec<u8>,
}

/// An intent that nothing has closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenIntent {
    /// The index of its leaf.
    pub index: u64,
    /// The run it was opened for.
    pub run: RunId,
    /// The bytes of its leaf.
    pub leaf: Vec<u8>,
}

impl Store {
    /// At most `most` leaves from the index `from` on, each with its index.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn audit_leaves(&self, from: u64, most: u32) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        let rows = sqlx::query(
            "SELECT leaf_index, leaf FROM audit_leaves WHERE leaf_index >= $1 ORDER BY leaf_index LIMIT $2",
        )
        .bind(int(from)?)
        .bind(i64::from(most))
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(|row| Ok((number(row, "leaf_index")?, bytes(row, "leaf")?))).collect()
    }

    /// The latest checkpoint that has at least so many cosignatures, if there is one: the note, with the
    /// lines of its cosignatures after its own.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn audit_checkpoint(&self, cosignatures: u32) -> Result<Option<String>, StoreError> {
        let size = match cosignatures {
            0 => "SELECT size FROM audit_checkpoints WHERE $1 = 0 ORDER BY size DESC LIMIT 1",
            _ => {
                "SELECT size FROM audit_cosignatures GROUP BY size HAVING COUNT(*) >= $1 \
                 ORDER BY size DESC LIMIT 1"
            }
        };
        let row = sqlx::query(size).bind(i64::from(cosignatures)).fetch_optional(&self.pool).await?;
        let Some(row) = row else { return Ok(None) };
        let rows = sqlx::query(
            "SELECT note AS line, '' AS witness FROM audit_checkpoints WHERE size = $1 UNION ALL \
             SELECT line, witness FROM audit_cosignatures WHERE size = $1 ORDER BY witness",
        )
        .bind(int(number(&row, "size")?)?)
        .fetch_all(&self.pool)
        .await?;
        let lines: Vec<String> = rows.iter().map(|row| name(row, "line")).collect::<Result<_, _>>()?;
        Ok(Some(lines.concat()))
    }

    /// Keeps a witness's cosignature of the checkpoint of this size: its line in the note, without its end.
    /// A later one by the same witness takes its place.
    ///
    /// # Errors
    /// [`StoreError::Database`], also where there is no such checkpoint.
    pub async fn keep_cosignature(&self, size: u64, witness: &str, line: &str) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO audit_cosignatures (size, witness, line) VALUES ($1, $2, $3) \
             ON CONFLICT (size, witness) DO UPDATE SET line = excluded.line",
        )
        .bind(int(size)?)
        .bind(witness)
        .bind(format!("{line}\n"))
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// What a leaf's commitment opens to, unless it has been erased.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn audit_detail(&self, index: u64) -> Result<Option<AuditDetail>, StoreError> {
        let row = sqlx::query("SELECT salt, fields FROM audit_details WHERE leaf_index = $1")
            .bind(int(index)?)
            .fetch_optional(&self.pool)
            .await?;
        row.map(|row| Ok(AuditDetail { salt: bytes(&row, "salt")?, fields: bytes(&row, "fields")? }))
            .transpose()
    }

    /// The intents that nothing has closed, the oldest first.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn open_audit_intents(&self) -> Result<Vec<OpenIntent>, StoreError> {
        let rows = sqlx::query(
            "SELECT i.leaf_index, i.run, l.leaf FROM audit_intents i \
             JOIN audit_leaves l ON l.leaf_index = i.leaf_index \
             WHERE i.closed_by IS NULL ORDER BY i.leaf_index",
        )
        .fetch_all(&self.pool)
        .await?;
        let intent = |row| {
            let row: &sqlx::any::AnyRow = row;
            Ok(OpenIntent {
                index: number(row, "leaf_index")?,
                run: name(row, "run")?,
                leaf: bytes(row, "leaf")?,
            })
        };
        rows.iter().map(intent).collect()
    }
}

impl Write {
    /// The log's head, held against other appenders until this transaction ends.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn audit_head(&mut self) -> Result<AuditHead, StoreError> {
        // SQLite has one writing transaction at a time, so the row is held already.
        let sql = match self.backend {
            Backend::Sqlite => "SELECT size, frontier FROM audit_head WHERE id = 1",
            Backend::Postgres => "SELECT size, frontier FROM audit_head WHERE id = 1 FOR UPDATE",
        };
        let row = sqlx::query(sql).fetch_one(&mut *self.tx).await?;
        Ok(AuditHead { size: number(&row, "size")?, frontier: bytes(&row, "frontier")? })
    }

    /// Moves the log's head.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn set_audit_head(&mut self, size: u64, frontier: &[u8]) -> Result<(), StoreError> {
        sqlx::query("UPDATE audit_head SET size = $1, frontier = $2 WHERE id = 1")
            .bind(int(size)?)
            .bind(frontier)
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }

    /// Adds a leaf at a free index, and what its commitment opens to.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn insert_audit_leaf(
        &mut self,
        index: u64,
        leaf: &[u8],
        detail: Option<&AuditDetail>,
    ) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO audit_leaves (leaf_index, leaf) VALUES ($1, $2)")
            .bind(int(index)?)
            .bind(leaf)
            .execute(&mut *self.tx)
            .await?;
        if let Some(detail) = detail {
            sqlx::query("INSERT INTO audit_details (leaf_index, salt, fields) VALUES ($1, $2, $3)")
                .bind(int(index)?)
                .bind(detail.salt.as_slice())
                .bind(detail.fields.as_slice())
                .execute(&mut *self.tx)
                .await?;
        }
        Ok(())
    }

    /// Erases what a leaf's commitment opens to. The leaf stays, and the log goes on verifying.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn erase_audit_detail(&mut self, index: u64) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM audit_details WHERE leaf_index = $1")
            .bind(int(index)?)
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }

    /// Adds a checkpoint for the log at this size.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn insert_audit_checkpoint(&mut self, size: u64, note: &str) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO audit_checkpoints (size, note) VALUES ($1, $2)")
            .bind(int(size)?)
            .bind(note)
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }

    /// Notes that the leaf at `index` is an intent of `run`. A run has one.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn open_audit_intent(&mut self, index: u64, run: &RunId) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO audit_intents (leaf_index, run) VALUES ($1, $2)")
            .bind(int(index)?)
            .bind(run.as_str())
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }

    /// Notes that the leaf `closed_by` closes the intent at `index`; returns whether it was open.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn close_audit_intent(&mut self, index: u64, closed_by: u64) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE audit_intents SET closed_by = $1 WHERE leaf_index = $2 AND closed_by IS NULL",
        )
        .bind(int(closed_by)?)
        .bind(int(index)?)
        .execute(&mut *self.tx)
        .await?;
        Ok(done.rows_affected() == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixtures::{now, run_id, stores, submission};

    #[tokio::test]
    async fn leaves_read_back_in_order_and_an_intent_is_closed_once() {
        for test in stores().await {
            let mut write = test.store.write().await.unwrap();
            write.submit(&submission("req-1"), run_id(1), now()).await.unwrap();
            let detail = AuditDetail { salt: vec![1; 32], fields: b"{}".to_vec() };
            for index in 0..4_u64 {
                write.insert_audit_leaf(index, &[index as u8], Some(&detail)).await.unwrap();
                write.insert_audit_checkpoint(index + 1, &format!("note {index}\n")).await.unwrap();
            }
            write.open_audit_intent(2, &run_id(1)).await.unwrap();
            write.commit().await.unwrap();

            let leaves = test.store.audit_leaves(1, 2).await.unwrap();
            assert_eq!(leaves, [(1, vec![1]), (2, vec![2])]);
            assert_eq!(test.store.audit_checkpoint(0).await.unwrap().unwrap(), "note 3\n");
            assert_eq!(test.store.audit_detail(3).await.unwrap(), Some(detail));
            let open = test.store.open_audit_intents().await.unwrap();
            assert_eq!(open, [OpenIntent { index: 2, run: run_id(1), leaf: vec![2] }]);

            let mut write = test.store.write().await.unwrap();
            assert!(write.close_audit_intent(2, 3).await.unwrap());
            assert!(!write.close_audit_intent(2, 3).await.unwrap());
            write.erase_audit_detail(3).await.unwrap();
            write.commit().await.unwrap();
            assert!(test.store.open_audit_intents().await.unwrap().is_empty());
            assert_eq!(test.store.audit_detail(3).await.unwrap(), None);
            assert_eq!(test.store.audit_leaves(3, 9).await.unwrap(), [(3, vec![3])]);
        }
    }

    #[tokio::test]
    async fn the_latest_checkpoint_with_so_many_cosignatures_is_found() {
        for test in stores().await {
            let store = &test.store;
            assert_eq!(store.audit_checkpoint(0).await.unwrap(), None);
            let mut write = store.write().await.unwrap();
            for size in 1..=4_u64 {
                write.insert_audit_checkpoint(size, &format!("note {size}\n")).await.unwrap();
            }
            write.commit().await.unwrap();
            for (size, witness) in [(2, "b"), (2, "a"), (3, "b")] {
                store.keep_cosignature(size, witness, "early").await.unwrap();
                store.keep_cosignature(size, witness, witness).await.unwrap();
            }
            assert!(store.keep_cosignature(5, "a", "a").await.is_err());
            let notes = [Some("note 4\n"), Some("note 3\nb\n"), Some("note 2\na\nb\n"), None];
            for (cosignatures, note) in (0..).zip(notes) {
                assert_eq!(store.audit_checkpoint(cosignatures).await.unwrap().as_deref(), note);
            }
        }
    }

    #[tokio::test]
    async fn a_leaf_is_written_once() {
        for test in stores().await {
            let mut write = test.store.write().await.unwrap();
            write.insert_audit_leaf(0, b"a", None).await.unwrap();
            assert!(write.insert_audit_leaf(0, b"b", None).await.is_err());
        }
    }
}
