//! Linked rows that may be used again, sealed. What the bytes mean is decided in `disclosure`.

use chrono::NaiveDate;

use super::error::StoreError;
use super::open::{Store, Write};
use super::rows::{bytes, name, number, parsed};
use crate::domain::canonical::Digest;
use crate::domain::ids::{ProjectId, RunId};

/// Linked rows that are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptRows {
    /// The run that gathered them.
    pub run: RunId,
    /// The sealed rows.
    pub sealed: Vec<u8>,
}

/// Linked rows to be kept.
#[derive(Debug, Clone, Copy)]
pub struct NewKeptRows<'a> {
    /// Which rows they are.
    pub set: Digest,
    /// The project.
    pub project: &'a ProjectId,
    /// The digest of the approval that lets them be used again.
    pub approval: Digest,
    /// The run that gathered them.
    pub run: &'a RunId,
    /// The last day on which they may be used.
    pub until: NaiveDate,
    /// The sealed rows.
    pub sealed: &'a [u8],
    /// [`Store::last_restriction`] from before they were gathered.
    pub restrictions: u64,
}

/// The most sets that are kept under one approval.
const MOST_SETS: i64 = 20;
const LAST_RESTRICTION: &str = "SELECT COALESCE(MAX(entry), 0) AS last FROM person_restrictions";

impl Store {
    /// The number of the last restriction that a person has set or lifted.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn last_restriction(&self) -> Result<u64, StoreError> {
        number(&sqlx::query(LAST_RESTRICTION).fetch_one(&self.pool).await?, "last")
    }

    /// The rows that are kept of a set, if they may be used today.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn kept_rows(&self, set: Digest, today: NaiveDate) -> Result<Option<KeptRows>, StoreError> {
        let row = sqlx::query("SELECT run, sealed FROM linked_sets WHERE set_digest = $1 AND until >= $2")
            .bind(set.to_string())
            .bind(today.to_string())
            .fetch_optional(&self.pool)
            .await?;
        row.map(|row| Ok(KeptRows { run: name(&row, "run")?, sealed: bytes(&row, "sealed")? })).transpose()
    }

    /// The approvals under which rows are kept, with their projects.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn approvals_with_kept_rows(&self) -> Result<Vec<(ProjectId, Digest)>, StoreError> {
        let rows =
            sqlx::query("SELECT DISTINCT project, approval FROM linked_sets ORDER BY project, approval")
                .fetch_all(&self.pool)
                .await?;
        rows.iter().map(|row| Ok((name(row, "project")?, parsed(row, "approval")?))).collect()
    }
}

impl Write {
    /// Keeps rows, unless some of this set are kept already, or as many sets as may be, or somebody has set or lifted a restriction
    /// meanwhile. Returns whether they are kept.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn keep_rows(&mut self, new: NewKeptRows<'_>) -> Result<bool, StoreError> {
        let last: u64 = number(&sqlx::query(LAST_RESTRICTION).fetch_one(&mut *self.tx).await?, "last")?;
        let sets = sqlx::query("SELECT COUNT(*) AS sets FROM linked_sets WHERE approval = $1");
        let sets = sets.bind(new.approval.to_string()).fetch_one(&mut *self.tx).await?;
        if last != new.restrictions || number::<i64>(&sets, "sets")? >= MOST_SETS {
            return Ok(false);
        }
        let done = sqlx::query(
            "INSERT INTO linked_sets (set_digest, project, approval, run, until, sealed) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
        )
        .bind(new.set.to_string())
        .bind(new.project.as_str())
        .bind(new.approval.to_string())
        .bind(new.run.as_str())
        .bind(new.until.to_string())
        .bind(new.sealed)
        .execute(&mut *self.tx)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Deletes the rows whose last day is before `today`, and those kept under these approvals. Returns how many sets went.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn delete_kept_rows(&mut self, today: NaiveDate, over: &[Digest]) -> Result<u64, StoreError> {
        let due = sqlx::query("DELETE FROM linked_sets WHERE until < $1").bind(today.to_string());
        let mut deleted = due.execute(&mut *self.tx).await?.rows_affected();
        for approval in over {
            let of = sqlx::query("DELETE FROM linked_sets WHERE approval = $1").bind(approval.to_string());
            deleted += of.execute(&mut *self.tx).await?.rows_affected();
        }
        Ok(deleted)
    }

    /// Deletes all kept rows: somebody who was in them is to be in no result, or the other way round.
    pub(super) async fn delete_all_kept_rows(&mut self) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM linked_sets").execute(&mut *self.tx).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{name, now, run_id, stores};
    use super::*;
    use crate::domain::ids::PersonNo;
    use crate::domain::person::Restriction;

    async fn keep(store: &Store, set: u8, restrictions: u64) -> bool {
        let mut write = store.write().await.unwrap();
        let new = NewKeptRows {
            set: Digest::from_bytes([set; 32]),
            project: &name("P-1"),
            approval: Digest::from_bytes([set % 2; 32]),
            run: &run_id(set),
            until: "2026-12-31".parse().unwrap(),
            sealed: b"rows",
            restrictions,
        };
        let kept = write.keep_rows(new).await.unwrap();
        write.commit().await.unwrap();
        kept
    }

    async fn has(store: &Store, set: u8, day: &str) -> bool {
        let found = store.kept_rows(Digest::from_bytes([set; 32]), day.parse().unwrap()).await.unwrap();
        assert!(found.as_ref().is_none_or(|kept| kept.run == run_id(set) && kept.sealed == b"rows"));
        found.is_some()
    }

    #[tokio::test]
    async fn rows_are_kept_until_their_day_and_as_long_as_their_approval() {
        for test in stores().await {
            let store = &test.store;
            assert!(keep(store, 1, 0).await && !keep(store, 1, 0).await && keep(store, 2, 0).await);
            assert!(has(store, 1, "2026-12-31").await && !has(store, 1, "2027-01-01").await);
            let of = |approval| (name("P-1"), Digest::from_bytes([approval; 32]));
            assert_eq!(store.approvals_with_kept_rows().await.unwrap(), [of(0), of(1)]);
            let delete = async |day: &str, over: &[Digest]| {
                let mut write = store.write().await.unwrap();
                let deleted = write.delete_kept_rows(day.parse().unwrap(), over).await.unwrap();
                write.commit().await.unwrap();
                deleted
            };
            assert_eq!(delete("2026-12-31", &[]).await, 0);
            assert_eq!(delete("2026-12-31", &[Digest::from_bytes([1; 32])]).await, 1);
            assert!(!has(store, 1, "2026-12-31").await && has(store, 2, "2026-12-31").await);
            assert_eq!(delete("2027-01-01", &[]).await, 1);
            // Nobody fills the database with them.
            for set in 0..40 {
                assert_eq!(keep(store, 2 * set, 0).await, set < 20);
            }
        }
    }

    /// Who is blocked, or no longer, while rows are gathered or after, is not missing from them or in them later.
    #[tokio::test]
    async fn no_rows_are_kept_from_before_somebody_was_blocked_or_no_longer() {
        for test in stores().await {
            let store = &test.store;
            for active in [true, false] {
                let before = store.last_restriction().await.unwrap();
                assert!(keep(store, 1, before).await);
                let mut write = store.write().await.unwrap();
                let by = name("NTRNO-983744516");
                write.restrict(PersonNo(7), Restriction::AllUse, active, &by, now()).await.unwrap();
                write.commit().await.unwrap();
                assert!(!has(store, 1, "2026-12-31").await);
                assert!(!keep(store, 1, before).await);
            }
        }
    }
}
