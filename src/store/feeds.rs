//! The runs of feeds, which stand among those of queries, and when one is due.

use chrono::{DateTime, NaiveDate, Utc};

use super::error::StoreError;
use super::open::{Store, Write};
use super::phase::Phase;
use super::rows::{name, parsed, stamp};
use crate::domain::approval::VerifiedApproval;
use crate::domain::canonical::{Canonical, Digest};
use crate::domain::feed::Feed;
use crate::domain::ids::{OrganisationId, ProjectId, RunId};

/// The last feed that was released under a project.
const LAST: &str = "SELECT d.run, d.day FROM disclosures d JOIN runs r ON r.run = d.run \
                    WHERE r.project = $1 AND d.result = 'feed' ORDER BY d.receipt DESC LIMIT 1";

fn due(
    last: Option<&sqlx::any::AnyRow>,
    project: &ProjectId,
    feed: &Feed,
    today: NaiveDate,
) -> Result<(), StoreError> {
    let Some(last) = last else { return Ok(()) };
    let (run, taken): (RunId, NaiveDate) = (name(last, "run")?, parsed(last, "day")?);
    let next = feed.next(taken);
    if next <= today {
        return Ok(());
    }
    Err(StoreError::FeedNotDue { project: project.clone(), run, taken, every: feed.every.as_str(), next })
}

impl Store {
    /// Whether the feed of a project may be taken, as far as earlier ones tell.
    ///
    /// # Errors
    /// [`StoreError::FeedNotDue`], [`StoreError::Database`].
    pub async fn feed_is_due(
        &self,
        project: &ProjectId,
        feed: &Feed,
        today: NaiveDate,
    ) -> Result<(), StoreError> {
        let last = sqlx::query(LAST).bind(project.as_str()).fetch_optional(&self.pool).await?;
        due(last.as_ref(), project, feed, today)
    }
}

impl Write {
    /// Checks that the feed of a project may be taken today. A feed that was not released does not count.
    ///
    /// # Errors
    /// [`StoreError::FeedNotDue`], [`StoreError::Database`].
    pub async fn feed_must_be_due(
        &mut self,
        project: &ProjectId,
        feed: &Feed,
        today: NaiveDate,
    ) -> Result<(), StoreError> {
        let last = sqlx::query(LAST).bind(project.as_str()).fetch_optional(&mut *self.tx).await?;
        due(last.as_ref(), project, feed, today)
    }

    /// Records the run of a feed.
    ///
    /// # Errors
    /// [`StoreError::Database`], also for a run that there is; [`StoreError::NoFeed`] for an approval that is for none.
    pub async fn begin_feed(
        &mut self,
        run: &RunId,
        organisation: &OrganisationId,
        approval: &VerifiedApproval,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let (digest, approval): (Digest, _) = (approval.digest(), approval.approval());
        let asked = approval.feed.as_ref().and_then(|feed| feed.asked(approval));
        let asked = asked.ok_or_else(|| StoreError::NoFeed(approval.project.clone()))?;
        sqlx::query(
            "INSERT INTO runs (run, organisation, project, query, approval_digest, phase, created) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(run.as_str())
        .bind(organisation.as_str())
        .bind(approval.project.as_str())
        .bind(asked.canonical()?)
        .bind(digest.to_string())
        .bind(Phase::Linking.as_str())
        .bind(stamp(now))
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }
}
