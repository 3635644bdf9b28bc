//! The release ledger: what has been released to whom, and, while it may be kept, who was in it. What the
//! bytes mean is decided in `disclosure`.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::any::AnyRow;

use crate::domain::canonical::Digest;
use crate::domain::ids::{OrganisationId, ProjectId, RunId};

use super::error::StoreError;
use super::open::{Store, Write};
use super::rows::{bytes, int, name, number, parsed, stamp};

/// A release to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerRelease {
    /// The run it comes from.
    pub run: RunId,
    /// Who receives it.
    pub organisation: OrganisationId,
    /// Under which project.
    pub project: ProjectId,
    /// The digest of the data it was counted from.
    pub snapshot: Digest,
    /// The digest of what was asked, by which the same question is found again.
    pub question: Digest,
    /// What was asked, so that it can be evaluated again.
    pub definition: Vec<u8>,
    /// Which cells are withheld.
    pub pattern: Vec<u8>,
    /// The last day on which its membership may be kept.
    pub lives_until: NaiveDate,
}

/// A recorded release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerEntry {
    /// Its place in the ledger.
    pub entry: u64,
    /// Whether it is published.
    pub published: bool,
    /// The release.
    pub release: LedgerRelease,
    /// Whether who is in its cells is kept ([`Store::membership`]).
    pub kept: bool,
}

/// A question that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerRefusal {
    /// Who asked.
    pub organisation: OrganisationId,
    /// The digest of the data.
    pub snapshot: Digest,
    /// The digest of the question.
    pub question: Digest,
    /// The code of the refusal.
    pub code: String,
}

const COLUMNS: &str = "SELECT r.entry, r.run, r.organisation, r.project, r.published, r.snapshot, r.question, \
                       r.definition, r.pattern, r.lives_until, m.entry AS kept FROM ledger_releases r \
                       LEFT JOIN ledger_memberships m ON m.entry = r.entry";

fn entry(row: &AnyRow) -> Result<LedgerEntry, StoreError> {
    Ok(LedgerEntry {
        entry: number(row, "entry")?,
        published: number::<i64>(row, "published")? != 0,
        kept: sqlx::Row::try_get::<Option<i64>, _>(row, "kept")?.is_some(),
        release: LedgerRelease {
            run: name(row, "run")?,
            organisation: name(row, "organisation")?,
            project: name(row, "project")?,
            snapshot: parsed(row, "snapshot")?,
            question: parsed(row, "question")?,
            definition: bytes(row, "definition")?,
            pattern: bytes(row, "pattern")?,
            lives_until: parsed(row, "lives_until")?,
        },
    })
}

impl Store {
    /// How often what somebody knows has changed. To be read before what a judgement is made on.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn ledger_head(&self) -> Result<u64, StoreError> {
        let row = sqlx::query("SELECT size FROM ledger_head WHERE id = 1").fetch_one(&self.pool).await?;
        number(&row, "size")
    }

    /// Every release, in the order of the ledger.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn ledger(&self) -> Result<Vec<LedgerEntry>, StoreError> {
        let sql = format!("{COLUMNS} ORDER BY r.entry");
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(&self.pool).await?;
        rows.iter().map(entry).collect()
    }

    /// What an organisation knows: what is published, and what was released to any of its projects.
    ///
    /// # Errors
    /// As [`Store::ledger`].
    pub async fn known_to(&self, organisation: &OrganisationId) -> Result<Vec<LedgerEntry>, StoreError> {
        let sql = format!("{COLUMNS} WHERE r.published = 1 OR r.organisation = $1 ORDER BY r.entry");
        let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(organisation.as_str());
        query.fetch_all(&self.pool).await?.iter().map(entry).collect()
    }

    /// Who is in the cells of a release, sealed by disclosure control; none where that is no longer kept.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn membership(&self, entry: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let row = sqlx::query("SELECT sealed FROM ledger_memberships WHERE entry = $1")
            .bind(int(entry)?)
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(|row| bytes(row, "sealed")).transpose()
    }

    /// The code by which an organisation's question of this data was refused before.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn refused_before(
        &self,
        organisation: &OrganisationId,
        snapshot: Digest,
        question: Digest,
    ) -> Result<Option<String>, StoreError> {
        let row = sqlx::query(
            "SELECT code FROM ledger_refusals WHERE organisation = $1 AND snapshot = $2 AND question = $3",
        )
        .bind(organisation.as_str())
        .bind(snapshot.to_string())
        .bind(question.to_string())
        .fetch_optional(&self.pool)
        .await?;
        row.as_ref().map(|row| name(row, "code")).transpose()
    }
}

impl Write {
    /// Takes the ledger from the head a judgement was made on to the next. Of two judgements made on the
    /// same head one alone can be recorded, whatever process made them.
    async fn advance_ledger(&mut self, head: u64) -> Result<(), StoreError> {
        let done = sqlx::query("UPDATE ledger_head SET size = size + 1 WHERE id = 1 AND size = $1")
            .bind(int(head)?)
            .execute(&mut *self.tx)
            .await?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::LedgerMoved) }
    }

    /// Records a release that was judged on what the ledger held at `head`, with who is in it if that may
    /// be kept. To be committed together with the result.
    ///
    /// # Errors
    /// [`StoreError::LedgerMoved`] if anything has been recorded since: judge again.
    /// [`StoreError::Database`], also if the run has a release already.
    pub async fn record_release(
        &mut self,
        head: u64,
        release: &LedgerRelease,
        sealed: Option<&[u8]>,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        self.advance_ledger(head).await?;
        sqlx::query(
            "INSERT INTO ledger_releases (entry, run, organisation, project, published, snapshot, question, \
             definition, pattern, lives_until, recorded) VALUES ($1, $2, $3, $4, 0, $5, $6, $7, $8, $9, $10)",
        )
        .bind(int(head)?)
        .bind(release.run.as_str())
        .bind(release.organisation.as_str())
        .bind(release.project.as_str())
        .bind(release.snapshot.to_string())
        .bind(release.question.to_string())
        .bind(release.definition.as_slice())
        .bind(release.pattern.as_slice())
        .bind(release.lives_until.to_string())
        .bind(stamp(now))
        .execute(&mut *self.tx)
        .await?;
        if let Some(sealed) = sealed {
            sqlx::query("INSERT INTO ledger_memberships (entry, sealed) VALUES ($1, $2)")
                .bind(int(head)?)
                .bind(sealed)
                .execute(&mut *self.tx)
                .await?;
        }
        Ok(())
    }

    /// Marks a release as published, on a judgement against every knowledge set made at `head`.
    ///
    /// # Errors
    /// [`StoreError::LedgerMoved`]; [`StoreError::OtherMethod`] if anybody has tables of its domain by another method, of
    /// which a feed is none; [`StoreError::NotInLedger`] for a run without a release, as every feed is, or
    /// [`StoreError::FeedAndResults`] for a feed where there are results of its domain; [`StoreError::Database`].
    pub async fn record_publication(&mut self, head: u64, run: &RunId) -> Result<(), StoreError> {
        self.advance_ledger(head).await?;
        self.may_publish_method(run).await?;
        let done = sqlx::query("UPDATE ledger_releases SET published = 1 WHERE run = $1")
            .bind(run.as_str())
            .execute(&mut *self.tx)
            .await?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::NotInLedger(run.clone())) }
    }

    /// Records a refusal. The first one of a question stands.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn record_refusal(
        &mut self,
        refusal: &LedgerRefusal,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO ledger_refusals (organisation, snapshot, question, code, recorded) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
        )
        .bind(refusal.organisation.as_str())
        .bind(refusal.snapshot.to_string())
        .bind(refusal.question.to_string())
        .bind(refusal.code.as_str())
        .bind(stamp(now))
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// Deletes the memberships whose last day is before `today`; the releases stay, with their
    /// definitions. Returns how many were deleted.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn forget_memberships(&mut self, today: NaiveDate) -> Result<u64, StoreError> {
        let done = sqlx::query(
            "DELETE FROM ledger_memberships WHERE entry IN \
             (SELECT entry FROM ledger_releases WHERE lives_until < $1)",
        )
        .bind(today.to_string())
        .execute(&mut *self.tx)
        .await?;
        Ok(done.rows_affected())
    }
}

#[cfg(test)]
mod tests;
