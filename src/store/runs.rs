//! Submissions and the runs they started.

use chrono::{DateTime, Utc};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::domain::canonical::{Canonical, Digest};
use crate::domain::ids::{OrganisationId, ProjectId, RequestId, RunId};
use crate::domain::query::Query;

use super::error::StoreError;
use super::open::{Store, Write};
use super::phase::Phase;
use super::rows::{bytes, name, parsed, stamp};

/// A query as a caller submits it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// The caller's organisation; request ids are its own.
    pub organisation: OrganisationId,
    /// The caller's name, as its certificate has it.
    pub caller: String,
    /// What the caller names the submission by.
    pub request_id: RequestId,
    /// The query.
    pub query: Query,
    /// The digest of the approval it falls under.
    pub approval_digest: Digest,
}

/// What became of a submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Submitted {
    /// It started this run.
    New(RunId),
    /// It was submitted before, by this caller and with this query, and started this run then.
    Before(RunId),
}

/// A run of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The run.
    pub run: RunId,
    /// The organisation that asked.
    pub organisation: OrganisationId,
    /// The project.
    pub project: ProjectId,
    /// The query.
    pub query: Query,
    /// The digest of the approval it falls under.
    pub approval_digest: Digest,
    /// Where it is.
    pub phase: Phase,
    /// For a refused or failed run: the code and what would be accepted.
    pub ending: Option<(String, String)>,
    /// When it was submitted.
    pub created: DateTime<Utc>,
}

fn run(row: &AnyRow) -> Result<Run, StoreError> {
    let code: Option<String> = row.try_get("code")?;
    let hint: Option<String> = row.try_get("hint")?;
    Ok(Run {
        run: name(row, "run")?,
        organisation: name(row, "organisation")?,
        project: name(row, "project")?,
        query: Query::from_canonical(&bytes(row, "query")?)?,
        approval_digest: parsed(row, "approval_digest")?,
        phase: parsed(row, "phase")?,
        ending: code.zip(hint),
        created: parsed(row, "created")?,
    })
}

/// The submission of an organisation under a request id.
const SUBMISSION: &str =
    "SELECT caller, query_digest, run FROM submissions WHERE organisation = $1 AND request_id = $2";

/// The run of the submission in `row`, if it is this caller's with this query.
fn same(row: &AnyRow, request_id: &RequestId, caller: &str, query: &str) -> Result<RunId, StoreError> {
    if name::<String>(row, "caller")? == caller && name::<String>(row, "query_digest")? == query {
        name(row, "run")
    } else {
        Err(StoreError::RequestIdTaken(request_id.clone()))
    }
}

impl Store {
    /// The name of the caller who started a run.
    ///
    /// # Errors
    /// [`StoreError::NoSuchRun`], [`StoreError::Database`].
    pub async fn asked_by(&self, run: &RunId) -> Result<String, StoreError> {
        let row = sqlx::query("SELECT caller FROM submissions WHERE run = $1")
            .bind(run.as_str())
            .fetch_optional(&self.pool)
            .await?;
        name(&row.ok_or_else(|| StoreError::NoSuchRun(run.clone()))?, "caller")
    }

    /// The run that a caller's earlier submission of this query under this request id started, if there
    /// is one.
    ///
    /// # Errors
    /// [`StoreError::RequestIdTaken`] if the request id stands for another caller's or another query;
    /// [`StoreError::Database`].
    pub async fn submitted(
        &self,
        organisation: &OrganisationId,
        request_id: &RequestId,
        caller: &str,
        query: Digest,
    ) -> Result<Option<RunId>, StoreError> {
        let row = sqlx::query(SUBMISSION)
            .bind(organisation.as_str())
            .bind(request_id.as_str())
            .fetch_optional(&self.pool)
            .await?;
        row.map(|row| same(&row, request_id, caller, &query.to_string())).transpose()
    }

    /// A run.
    ///
    /// # Errors
    /// [`StoreError::NoSuchRun`], [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn run(&self, id: &RunId) -> Result<Run, StoreError> {
        let row = sqlx::query(
            "SELECT run, organisation, project, query, approval_digest, phase, code, hint, created \
             FROM runs WHERE run = $1",
        )
        .bind(id.as_str())
        .fetch_optional(&self.pool)
        .await?;
        row.as_ref().map_or_else(|| Err(StoreError::NoSuchRun(id.clone())), run)
    }

    /// The runs that have neither ended nor wait for stewards.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn unfinished_runs(&self) -> Result<Vec<RunId>, StoreError> {
        let rows = sqlx::query(
            "SELECT run FROM runs WHERE phase NOT IN ('held', 'released', 'refused', 'failed') ORDER BY created, run",
        )
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(|row| name(row, "run")).collect()
    }
}

impl Write {
    /// Records a submission and the run it starts, unless the same was submitted before.
    ///
    /// # Errors
    /// [`StoreError::RequestIdTaken`] if the request id stands for another caller's or another query;
    /// [`StoreError::Database`].
    pub async fn submit(
        &mut self,
        submission: &Submission,
        run: RunId,
        now: DateTime<Utc>,
    ) -> Result<Submitted, StoreError> {
        let digest = submission.query.digest()?.to_string();
        let inserted = sqlx::query(
            "INSERT INTO submissions (organisation, request_id, caller, query_digest, run) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
        )
        .bind(submission.organisation.as_str())
        .bind(submission.request_id.as_str())
        .bind(submission.caller.as_str())
        .bind(digest.as_str())
        .bind(run.as_str())
        .execute(&mut *self.tx)
        .await?;
        if inserted.rows_affected() == 0 {
            return self.submitted_before(submission, &digest).await;
        }
        sqlx::query(
            "INSERT INTO runs (run, organisation, project, query, approval_digest, phase, created) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(run.as_str())
        .bind(submission.organisation.as_str())
        .bind(submission.query.project.as_str())
        .bind(submission.query.canonical()?)
        .bind(submission.approval_digest.to_string())
        .bind(Phase::Authorised.as_str())
        .bind(stamp(now))
        .execute(&mut *self.tx)
        .await?;
        Ok(Submitted::New(run))
    }

    async fn submitted_before(
        &mut self,
        submission: &Submission,
        digest: &str,
    ) -> Result<Submitted, StoreError> {
        let row = sqlx::query(SUBMISSION)
            .bind(submission.organisation.as_str())
            .bind(submission.request_id.as_str())
            .fetch_one(&mut *self.tx)
            .await?;
        same(&row, &submission.request_id, &submission.caller, digest).map(Submitted::Before)
    }

    /// Takes a run to a later phase. `ending` is the code and hint of a run that is refused or fails.
    ///
    /// # Errors
    /// [`StoreError::NoSuchRun`], [`StoreError::PhaseOrder`], [`StoreError::Database`].
    pub async fn set_phase(
        &mut self,
        run: &RunId,
        phase: Phase,
        ending: Option<(&str, &str)>,
    ) -> Result<(), StoreError> {
        let row = sqlx::query("SELECT phase FROM runs WHERE run = $1")
            .bind(run.as_str())
            .fetch_optional(&mut *self.tx)
            .await?
            .ok_or_else(|| StoreError::NoSuchRun(run.clone()))?;
        let before: Phase = parsed(&row, "phase")?;
        if !before.may_become(phase) {
            return Err(StoreError::PhaseOrder(run.clone()));
        }
        let done =
            sqlx::query("UPDATE runs SET phase = $1, code = $2, hint = $3 WHERE run = $4 AND phase = $5")
                .bind(phase.as_str())
                .bind(ending.map(|(code, _)| code))
                .bind(ending.map(|(_, hint)| hint))
                .bind(run.as_str())
                .bind(before.as_str())
                .execute(&mut *self.tx)
                .await?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::PhaseOrder(run.clone())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixtures::{now, run_id, stores, submission};

    #[tokio::test]
    async fn the_same_submission_is_one_run_and_another_is_refused() {
        for test in stores().await {
            let mut write = test.store.write().await.unwrap();
            let first = write.submit(&submission("req-1"), run_id(1), now()).await.unwrap();
            assert_eq!(first, Submitted::New(run_id(1)));
            write.commit().await.unwrap();

            let mut write = test.store.write().await.unwrap();
            let again = write.submit(&submission("req-1"), run_id(2), now()).await.unwrap();
            assert_eq!(again, Submitted::Before(run_id(1)));
            let mut other = submission("req-1");
            other.query.title = "Another".to_owned();
            let refused = write.submit(&other, run_id(3), now()).await;
            assert!(matches!(refused, Err(StoreError::RequestIdTaken(_))));
            let other = Submission { caller: "somebody else".to_owned(), ..submission("req-1") };
            assert!(write.submit(&other, run_id(3), now()).await.is_err());
            let other = Submission {
                organisation: "NTRNO-111111111".to_owned().try_into().unwrap(),
                ..submission("req-1")
            };
            assert_eq!(write.submit(&other, run_id(4), now()).await.unwrap(), Submitted::New(run_id(4)));
            write.commit().await.unwrap();
            assert_eq!(test.store.run(&run_id(1)).await.unwrap().query, submission("req-1").query);
            assert!(matches!(test.store.run(&run_id(2)).await, Err(StoreError::NoSuchRun(_))));
        }
    }

    #[tokio::test]
    async fn an_earlier_submission_is_found_by_its_own_caller_and_query_only() {
        for test in stores().await {
            let made = submission("req-1");
            let digest = made.query.digest().unwrap();
            let find = async |caller: &str, query| {
                test.store.submitted(&made.organisation, &made.request_id, caller, query).await
            };
            assert_eq!(find(&made.caller, digest).await.unwrap(), None);
            let mut write = test.store.write().await.unwrap();
            write.submit(&made, run_id(1), now()).await.unwrap();
            write.commit().await.unwrap();
            assert_eq!(find(&made.caller, digest).await.unwrap(), Some(run_id(1)));
            let other = find(&made.caller, Digest::from_bytes([9; 32])).await;
            assert!(matches!(other, Err(StoreError::RequestIdTaken(_))));
            assert!(matches!(find("another", digest).await, Err(StoreError::RequestIdTaken(_))));
            let elsewhere = "NTRNO-111111111".to_owned().try_into().unwrap();
            let found = test.store.submitted(&elsewhere, &made.request_id, &made.caller, digest).await;
            assert_eq!(found.unwrap(), None);
        }
    }

    #[tokio::test]
    async fn submissions_at_the_same_moment_start_one_run() {
        for test in stores().await {
            let tasks: Vec<_> = (0..16)
                .map(|n| {
                    let store = test.store.clone();
                    tokio::spawn(async move {
                        let mut write = store.write().await.unwrap();
                        let submitted = write.submit(&submission("req-1"), run_id(n), now()).await.unwrap();
                        write.commit().await.unwrap();
                        submitted
                    })
                })
                .collect();
            let mut new = Vec::new();
            let mut all = Vec::new();
            for task in tasks {
                match task.await.unwrap() {
                    Submitted::New(run) => {
                        new.push(run.clone());
                        all.push(run);
                    }
                    Submitted::Before(run) => all.push(run),
                }
            }
            assert_eq!(new.len(), 1);
            assert!(all.iter().all(|run| *run == new[0]));
        }
    }

    #[tokio::test]
    async fn phases_go_forward_and_an_ending_keeps_its_reason() {
        for test in stores().await {
            let mut write = test.store.write().await.unwrap();
            write.submit(&submission("req-1"), run_id(1), now()).await.unwrap();
            write.set_phase(&run_id(1), Phase::Executing, None).await.unwrap();
            let back = write.set_phase(&run_id(1), Phase::Linking, None).await;
            assert!(matches!(back, Err(StoreError::PhaseOrder(_))));
            write.commit().await.unwrap();
            assert_eq!(test.store.unfinished_runs().await.unwrap(), [run_id(1)]);

            let mut write = test.store.write().await.unwrap();
            write.set_phase(&run_id(1), Phase::Refused, Some(("a.code", "a hint"))).await.unwrap();
            assert!(write.set_phase(&run_id(1), Phase::Failed, None).await.is_err());
            write.commit().await.unwrap();
            let run = test.store.run(&run_id(1)).await.unwrap();
            assert_eq!((run.phase, run.created), (Phase::Refused, now()));
            assert_eq!(run.ending, Some(("a.code".to_owned(), "a hint".to_owned())));
            assert!(test.store.unfinished_runs().await.unwrap().is_empty());
        }
    }
}
