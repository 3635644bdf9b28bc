//! The partner's own approvals: which version of which project it sends rows for, until when. Acts are only added; the
//! last one of a project counts.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Connection, Row};

use super::policy::NotAllowed;
use super::source::{Backend, SourceError, day};
use crate::domain::approval::{Approval, VerifiedApproval};
use crate::domain::canonical::{Canonical, Digest};
use crate::domain::ids::ProjectId;

/// The table, in either database.
pub(super) const TABLE: &str = "CREATE TABLE IF NOT EXISTS project_approval (number BIGINT PRIMARY KEY, \
     project TEXT NOT NULL, version BIGINT NOT NULL, digest TEXT NOT NULL, valid_until TEXT NOT NULL, \
     withdrawn BIGINT NOT NULL, at TEXT NOT NULL)";

/// Why an approval is not entered or withdrawn.
#[derive(Debug, thiserror::Error)]
pub enum ApprovalsError {
    /// The database.
    #[error(transparent)]
    Database(#[from] SourceError),
    /// A lower version than one before.
    #[error("version {highest} of project {project} has been approved before; version {version} is older")]
    Older {
        /// The project.
        project: ProjectId,
        /// The version asked for.
        version: u32,
        /// The highest one so far.
        highest: u32,
    },
    /// The day lies beyond the approval.
    #[error("the approval itself ends on {ends}; the partner's can end then or earlier")]
    TooLong {
        /// Its last day.
        ends: NaiveDate,
    },
    /// There is nothing to withdraw.
    #[error("project {0} is not approved here")]
    NotApproved(ProjectId),
    /// The approval cannot be encoded.
    #[error("the approval has no canonical encoding")]
    Encoding,
}

impl From<sqlx::Error> for ApprovalsError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}

/// An act of the partner: a version of a project's approval approved, or withdrawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    /// The project.
    pub project: ProjectId,
    /// The version of its approval.
    pub version: u32,
    /// The digest of that version.
    pub digest: Digest,
    /// The last day on which rows are sent.
    pub valid_until: NaiveDate,
    /// Whether the partner has withdrawn it.
    pub withdrawn: bool,
    /// When it was done, RFC 3339.
    pub at: String,
}

impl Act {
    fn read(row: &AnyRow) -> Result<Self, SourceError> {
        let wrong = || SourceError::Statement("decode".into());
        let valid_until: String = row.try_get(3)?;
        Ok(Self {
            project: ProjectId::new(row.try_get::<String, _>(0)?).map_err(|_| wrong())?,
            version: u32::try_from(row.try_get::<i64, _>(1)?).map_err(|_| wrong())?,
            digest: row.try_get::<String, _>(2)?.parse().map_err(|_| wrong())?,
            valid_until: day(&valid_until).ok_or_else(wrong)?,
            withdrawn: row.try_get::<i64, _>(4)? != 0,
            at: row.try_get(5)?,
        })
    }
}

/// Whether the partner's last act on a project lets rows out for an approval today.
pub(super) fn stands(
    act: Option<&Act>,
    approval: &VerifiedApproval,
    today: NaiveDate,
) -> Result<(), NotAllowed> {
    let act = act.ok_or(NotAllowed::NotApproved)?;
    if act.withdrawn {
        Err(NotAllowed::Withdrawn)
    } else if act.digest != approval.digest() {
        Err(NotAllowed::OtherVersion)
    } else if act.valid_until < today {
        Err(NotAllowed::Expired)
    } else {
        Ok(())
    }
}

/// The last act on a project, read by the node.
pub(super) async fn last(
    connection: &mut AnyConnection,
    project: &ProjectId,
) -> Result<Option<Act>, SourceError> {
    const SQL: &str = "SELECT project, version, digest, valid_until, withdrawn, at FROM project_approval \
                       WHERE project = $1 ORDER BY number DESC LIMIT 1";
    let row = sqlx::query(SQL).bind(project.as_str()).fetch_optional(connection).await?;
    row.as_ref().map(Act::read).transpose()
}

/// The partner's approvals, opened for changing them.
pub struct Approvals {
    connection: AnyConnection,
    backend: Backend,
}

impl Approvals {
    /// Opens the partner's database and makes the table if there is none.
    ///
    /// # Errors
    /// [`SourceError`].
    pub async fn open(url: &str) -> Result<Self, SourceError> {
        let (backend, mut connection) = super::tables::writable(url).await?;
        sqlx::query(TABLE).execute(&mut connection).await?;
        Ok(Self { connection, backend })
    }

    /// Approves this version of a project, until its last day if no other is given.
    ///
    /// # Errors
    /// [`ApprovalsError`].
    pub async fn approve(
        &mut self,
        approval: &Approval,
        until: Option<NaiveDate>,
        now: DateTime<Utc>,
    ) -> Result<Act, ApprovalsError> {
        let (project, ends) = (&approval.project, approval.valid.to());
        let valid_until = until.unwrap_or(ends);
        if valid_until > ends {
            return Err(ApprovalsError::TooLong { ends });
        }
        let mut transaction = self.connection.begin().await?;
        lock(self.backend, &mut transaction).await?;
        let highest =
            sqlx::query("SELECT COALESCE(MAX(version), 0) FROM project_approval WHERE project = $1")
                .bind(project.as_str())
                .fetch_one(&mut *transaction)
                .await?
                .try_get::<i64, _>(0)?;
        if i64::from(approval.version) < highest {
            let highest = u32::try_from(highest).unwrap_or(u32::MAX);
            let (project, version) = (project.clone(), approval.version);
            return Err(ApprovalsError::Older { project, version, highest });
        }
        let act = Act {
            project: project.clone(),
            version: approval.version,
            digest: approval.digest().map_err(|_| ApprovalsError::Encoding)?,
            valid_until,
            withdrawn: false,
            at: now.to_rfc3339(),
        };
        add(&mut transaction, &act).await?;
        transaction.commit().await?;
        Ok(act)
    }

    /// Withdraws the approval of a project. From then on no batch of any of its orders is sent.
    ///
    /// # Errors
    /// [`ApprovalsError`].
    pub async fn withdraw(&mut self, project: &ProjectId, now: DateTime<Utc>) -> Result<Act, ApprovalsError> {
        let mut transaction = self.connection.begin().await?;
        lock(self.backend, &mut transaction).await?;
        let before = last(&mut transaction, project).await?.filter(|act| !act.withdrawn);
        let before = before.ok_or_else(|| ApprovalsError::NotApproved(project.clone()))?;
        let act = Act { withdrawn: true, at: now.to_rfc3339(), ..before };
        add(&mut transaction, &act).await?;
        transaction.commit().await?;
        Ok(act)
    }

    /// Every act, the oldest first.
    ///
    /// # Errors
    /// [`SourceError`].
    pub async fn acts(&mut self) -> Result<Vec<Act>, SourceError> {
        const SQL: &str = "SELECT project, version, digest, valid_until, withdrawn, at FROM project_approval \
                           ORDER BY number";
        sqlx::query(SQL).fetch_all(&mut self.connection).await?.iter().map(Act::read).collect()
    }
}

/// Two acts at once would take the same number.
async fn lock(backend: Backend, connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
    if backend == Backend::Postgres {
        sqlx::query("LOCK TABLE project_approval IN EXCLUSIVE MODE").execute(connection).await?;
    }
    Ok(())
}

async fn add(connection: &mut AnyConnection, act: &Act) -> Result<(), sqlx::Error> {
    const SQL: &str = "INSERT INTO project_approval (number, project, version, digest, valid_until, withdrawn, at) \
                       SELECT COALESCE(MAX(number), 0) + 1, $1, $2, $3, $4, $5, $6 FROM project_approval";
    sqlx::query(SQL)
        .bind(act.project.as_str())
        .bind(i64::from(act.version))
        .bind(act.digest.to_string())
        .bind(act.valid_until.to_string())
        .bind(i64::from(act.withdrawn))
        .bind(&act.at)
        .execute(connection)
        .await?;
    Ok(())
}
