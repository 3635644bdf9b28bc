//! The history of projects, and the checks that hold in the transaction that relies on them.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::domain::approval::Approval;
use crate::domain::canonical::{Canonical, Digest};
use crate::domain::ids::{ProjectId, StewardId};
use crate::domain::lifecycle::{Inactive, Life, Recorded, Step, StepFields};

use super::error::StoreError;
use super::open::{Store, Write};
use super::rows::{bytes, name, number, parsed, stamp};

const HISTORY: &str = "SELECT step, kind, version, day, words, steward, recorded_by, recorded FROM project_steps \
                       WHERE project = $1 ORDER BY step";

/// Reads a history back. One with a gap, or with a step that does not follow, was changed by another hand.
fn history(rows: &[AnyRow]) -> Result<Vec<Recorded>, StoreError> {
    let corrupt = || StoreError::Corrupt("step of a project's history");
    let steps = rows.iter().zip(1_u32..).map(|(row, place)| {
        if number::<u32>(row, "step")? != place {
            return Err(corrupt());
        }
        let version: Option<i64> = row.try_get("version")?;
        let [day, words, steward]: [Option<String>; 3] =
            [row.try_get("day")?, row.try_get("words")?, row.try_get("steward")?];
        let fields = StepFields {
            kind: name(row, "kind")?,
            version: version.map(u32::try_from).transpose().map_err(|_| corrupt())?,
            day: day.map(|day| day.parse()).transpose().map_err(|_| corrupt())?,
            words: words.map(TryInto::try_into).transpose().map_err(|_| corrupt())?,
            steward: steward.map(TryInto::try_into).transpose().map_err(|_| corrupt())?,
        };
        let step = Step::try_from(fields).map_err(|_| corrupt())?;
        Ok(Recorded { step, by: name(row, "recorded_by")?, at: parsed(row, "recorded")? })
    });
    steps.collect()
}

fn life(rows: &[AnyRow]) -> Result<Life, StoreError> {
    Life::of(&history(rows)?).map_err(|_| StoreError::Corrupt("step that follows in a project's history"))
}

impl Store {
    /// What was recorded of a project, the first step first; nothing if there is no such project.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn history(&self, project: &ProjectId) -> Result<Vec<Recorded>, StoreError> {
        history(&sqlx::query(HISTORY).bind(project.as_str()).fetch_all(&self.pool).await?)
    }

    /// What that adds up to.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn life(&self, project: &ProjectId) -> Result<Life, StoreError> {
        life(&sqlx::query(HISTORY).bind(project.as_str()).fetch_all(&self.pool).await?)
    }
}

impl Write {
    /// A project's life, which stays as it is until this transaction ends.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub(super) async fn life(&mut self, project: &ProjectId) -> Result<Life, StoreError> {
        // Who records a step holds the head of the audit log too, so a step and what is checked here cannot cross: with
        // the head held, every step of another transaction is either seen or comes after this one.
        self.audit_head().await?;
        life(&sqlx::query(HISTORY).bind(project.as_str()).fetch_all(&mut *self.tx).await?)
    }

    /// Adds a step to a project's history. Gives what it adds up to.
    ///
    /// # Errors
    /// [`StoreError::Life`] if the step does not follow, [`StoreError::Database`].
    pub async fn record_step(
        &mut self,
        project: &ProjectId,
        step: Step,
        by: &StewardId,
        now: DateTime<Utc>,
    ) -> Result<Life, StoreError> {
        let after = self.life(project).await?.after(&step, now.date_naive())?;
        let StepFields { kind, version, day, words, steward } = step.fields();
        sqlx::query(
            "INSERT INTO project_steps (project, step, kind, version, day, words, steward, recorded_by, recorded) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(project.as_str())
        .bind(i64::from(after.steps()))
        .bind(kind)
        .bind(version.map(i64::from))
        .bind(day.map(|day| day.to_string()))
        .bind(words.map(String::from))
        .bind(steward.map(String::from))
        .bind(by.as_str())
        .bind(stamp(now))
        .execute(&mut *self.tx)
        .await?;
        Ok(after)
    }

    /// Checks that queries may be asked and results released today under the approval of a project with this digest,
    /// and that it stays so until this transaction ends.
    ///
    /// # Errors
    /// [`StoreError::Inactive`] if not, [`StoreError::NoSuchApproval`], [`StoreError::Database`].
    pub async fn must_be_active(
        &mut self,
        project: &ProjectId,
        approval: &Digest,
        today: NaiveDate,
    ) -> Result<(), StoreError> {
        let life = self.life(project).await?;
        let row = sqlx::query("SELECT canonical FROM projects WHERE project = $1 AND digest = $2")
            .bind(project.as_str())
            .bind(approval.to_string())
            .fetch_optional(&mut *self.tx)
            .await?
            .ok_or_else(|| StoreError::NoSuchApproval(project.clone()))?;
        let approval = Approval::from_canonical(&bytes(&row, "canonical")?)?;
        Ok(life.permits(approval.version, approval.valid, today)?)
    }

    /// Checks that what was released under a project may be used, and that it stays so until this transaction ends: the
    /// project is neither suspended nor closed. Gives its approval in force.
    ///
    /// # Errors
    /// [`StoreError::Inactive`] if not, [`StoreError::Database`].
    pub async fn must_not_be_stopped(&mut self, project: &ProjectId) -> Result<Approval, StoreError> {
        let life = self.life(project).await?;
        life.is_stopped()?;
        let version = life.in_force().ok_or(Inactive::NothingInForce)?;
        let row = sqlx::query("SELECT canonical FROM projects WHERE project = $1 AND version = $2")
            .bind(project.as_str())
            .bind(i64::from(version))
            .fetch_optional(&mut *self.tx)
            .await?
            .ok_or_else(|| StoreError::NoSuchApproval(project.clone()))?;
        Ok(Approval::from_canonical(&bytes(&row, "canonical")?)?)
    }
}

#[cfg(test)]
mod tests {
    use sqlx::Executor;

    use super::*;
    use crate::domain::lifecycle::LifeError;
    use crate::domain::words::Words;
    use crate::store::fixtures::{approval, enter_active, name, now, stores};

    fn suspended() -> Step {
        Step::Suspended { reason: Words::new("a reason").unwrap() }
    }

    #[tokio::test]
    async fn a_history_reads_back_as_it_was_recorded() {
        for test in stores().await {
            enter_active(&test.store).await;
            let project = approval().project;
            let mut write = test.store.write().await.unwrap();
            let answer = Step::Rejected { version: 1, reason: Words::new("no").unwrap() };
            let late = write.record_step(&project, answer, &name("anna"), now()).await;
            assert!(matches!(late, Err(StoreError::Life(LifeError::NotNow { version: 1, .. }))));
            drop(write);
            let mut write = test.store.write().await.unwrap();
            write.record_step(&project, suspended(), &name("anna"), now()).await.unwrap();
            write.commit().await.unwrap();
            let history = test.store.history(&project).await.unwrap();
            let kinds: Vec<&str> = history.iter().map(|recorded| recorded.step.kind()).collect();
            assert_eq!(kinds, ["received", "complete", "signed", "signed", "suspended"]);
            let last = Recorded { step: suspended(), by: name("anna"), at: now() };
            assert_eq!(history.last(), Some(&last));
            assert_eq!(test.store.life(&project).await.unwrap(), Life::of(&history).unwrap());
            assert!(test.store.history(&name("P-2026-0009")).await.unwrap().is_empty());
        }
    }

    #[tokio::test]
    async fn a_history_with_a_gap_or_a_wrong_step_does_not_read_back() {
        for sql in [
            "DELETE FROM project_steps WHERE step = 2",
            "DELETE FROM project_steps WHERE step = 1",
            "UPDATE project_steps SET kind = 'approved' WHERE step = 3",
            "UPDATE project_steps SET kind = 'lifted', version = NULL, steward = NULL, words = 'why' WHERE step = 4",
            "UPDATE project_steps SET day = '2026-13-01' WHERE step = 1",
        ] {
            for test in stores().await {
                enter_active(&test.store).await;
                test.store.pool.execute(sql).await.unwrap();
                let life = test.store.life(&approval().project).await;
                assert!(matches!(life, Err(StoreError::Corrupt(_))), "{sql}: {life:?}");
            }
        }
    }

    #[tokio::test]
    async fn what_was_signed_before_there_were_steps_is_in_force() {
        for test in stores().await {
            enter_active(&test.store).await;
            let project = approval().project;
            let pool = &test.store.pool;
            // As before the migration: a second version that has one signature, and a third that has none.
            for version in [2, 3] {
                let approval = Approval { version, ..approval() };
                sqlx::query(
                    "INSERT INTO projects (project, version, digest, canonical, entered) VALUES ($1, $2, $3, $4, $5)",
                )
                .bind(project.as_str())
                .bind(i64::from(version))
                .bind(approval.digest().unwrap().to_string())
                .bind(approval.canonical().unwrap())
                .bind(stamp(now()))
                .execute(pool)
                .await
                .unwrap();
            }
            pool.execute(
                "INSERT INTO project_signatures (project, version, steward, signature, signed) \
                 SELECT project, 2, steward, signature, signed FROM project_signatures \
                 WHERE version = 1 AND steward = 'anna'",
            )
            .await
            .unwrap();
            let tables = "DROP TABLE project_steps; DROP TABLE project_hours; DROP TABLE run_work; \
                          DROP INDEX runs_by_project; DELETE FROM schema_versions WHERE version = 9;";
            sqlx::raw_sql(tables).execute(pool).await.unwrap();
            let store = Store::open(&test.url).await.unwrap();
            let life = store.life(&project).await.unwrap();
            assert_eq!((life.in_force(), life.open().map(|open| open.version)), (Some(1), Some(3)));
            let stages: Vec<_> = life.applications().iter().map(|a| a.stage.as_str()).collect();
            assert_eq!(stages, ["in_force", "withdrawn", "complete"]);
        }
    }

    #[tokio::test]
    async fn what_is_stopped_permits_nothing() {
        for test in stores().await {
            let project = approval().project;
            let (digest, today) = (approval().digest().unwrap(), now().date_naive());
            let mut write = test.store.write().await.unwrap();
            let unknown = write.must_be_active(&project, &digest, today).await;
            assert!(matches!(unknown, Err(StoreError::NoSuchApproval(_))));
            drop(write);
            enter_active(&test.store).await;
            let mut write = test.store.write().await.unwrap();
            write.must_be_active(&project, &digest, today).await.unwrap();
            assert_eq!(write.must_not_be_stopped(&project).await.unwrap(), approval());
            let after = approval().valid.to().succ_opt().unwrap();
            let late = write.must_be_active(&project, &digest, after).await;
            assert!(matches!(late, Err(StoreError::Inactive(Inactive::NotValid { .. }))));
            let other = write.must_be_active(&project, &Digest::from_bytes([1; 32]), today).await;
            assert!(matches!(other, Err(StoreError::NoSuchApproval(_))));
            write.record_step(&project, suspended(), &name("anna"), now()).await.unwrap();
            let stopped = write.must_be_active(&project, &digest, today).await;
            assert!(matches!(stopped, Err(StoreError::Inactive(Inactive::Suspended))));
            let stopped = write.must_not_be_stopped(&project).await;
            assert!(matches!(stopped, Err(StoreError::Inactive(Inactive::Suspended))));
        }
    }
}
