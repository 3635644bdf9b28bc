//! Approvals as they were entered, and the signatures on them.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::any::AnyRow;

use crate::domain::approval::{Approval, SignedApproval, StewardSignature};
use crate::domain::canonical::{Canonical, Digest};
use crate::domain::ids::{ProjectId, StewardId};
use crate::domain::lifecycle::Step;

use super::error::StoreError;
use super::open::{Store, Write};
use super::rows::{bytes, name, number, parsed, stamp};

/// An approval with the signatures gathered so far. Whether they hold is for the reader to verify.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredApproval {
    /// The approval and its signatures.
    pub signed: SignedApproval,
    /// The digest of the approval.
    pub digest: Digest,
    /// When it was entered.
    pub entered: DateTime<Utc>,
}

fn approval(row: &AnyRow) -> Result<StoredApproval, StoreError> {
    let approval = Approval::from_canonical(&bytes(row, "canonical")?)?;
    let digest: Digest = parsed(row, "digest")?;
    if approval.digest()? != digest {
        return Err(StoreError::Corrupt("approval with its digest"));
    }
    let signed = SignedApproval { approval, signatures: Vec::new() };
    Ok(StoredApproval { signed, digest, entered: parsed(row, "entered")? })
}

impl Store {
    /// The versions of a project's approval, the newest first; none if there is no such project.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn project(&self, project: &ProjectId) -> Result<Vec<StoredApproval>, StoreError> {
        let rows = sqlx::query(
            "SELECT digest, canonical, entered FROM projects WHERE project = $1 ORDER BY version DESC",
        )
        .bind(project.as_str())
        .fetch_all(&self.pool)
        .await?;
        let mut approvals: Vec<StoredApproval> = rows.iter().map(approval).collect::<Result<_, _>>()?;
        let rows = sqlx::query(
            "SELECT version, steward, signature FROM project_signatures WHERE project = $1 \
             ORDER BY version, signed, steward",
        )
        .bind(project.as_str())
        .fetch_all(&self.pool)
        .await?;
        for row in &rows {
            let version: u32 = number(row, "version")?;
            let signature =
                StewardSignature { steward: name(row, "steward")?, signature: name(row, "signature")? };
            if let Some(of) = approvals.iter_mut().find(|a| a.signed.approval.version == version) {
                of.signed.signatures.push(signature);
            }
        }
        Ok(approvals)
    }

    /// The ids of all projects, in order.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn projects(&self) -> Result<Vec<ProjectId>, StoreError> {
        let rows = sqlx::query("SELECT DISTINCT project FROM projects ORDER BY project")
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(|row| name(row, "project")).collect()
    }
}

impl Write {
    /// Enters an approval as an application received on a day: version 1 of a new project, or the version after the
    /// last one. The same approval again is the same entry; returns whether it is new.
    ///
    /// # Errors
    /// [`StoreError::Life`] if no application, or not this version, can be received; [`StoreError::Database`].
    pub async fn enter_project(
        &mut self,
        approval: &Approval,
        received: NaiveDate,
        by: &StewardId,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let digest = approval.digest()?.to_string();
        let known = sqlx::query("SELECT version FROM projects WHERE project = $1 AND digest = $2")
            .bind(approval.project.as_str())
            .bind(digest.as_str())
            .fetch_optional(&mut *self.tx)
            .await?;
        if known.is_some() {
            return Ok(false);
        }
        let step = Step::Received { version: approval.version, day: received };
        // The history's turn first: of two stewards at the same moment the second sees the first.
        let life = self.life(&approval.project).await?;
        life.after(&step, now.date_naive())?;
        sqlx::query(
            "INSERT INTO projects (project, version, digest, canonical, entered) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(approval.project.as_str())
        .bind(i64::from(approval.version))
        .bind(digest)
        .bind(approval.canonical()?)
        .bind(stamp(now))
        .execute(&mut *self.tx)
        .await?;
        self.record_step(&approval.project, step, by, now).await?;
        Ok(true)
    }

    /// Adds a steward's signature to the approval of a project with this digest; the caller has
    /// verified it. A steward's second signature on the same approval changes nothing; returns whether
    /// it is new.
    ///
    /// # Errors
    /// [`StoreError::NoSuchApproval`], [`StoreError::Life`] if it cannot be signed now, [`StoreError::Database`].
    pub async fn sign_project(
        &mut self,
        project: &ProjectId,
        digest: &Digest,
        signature: &StewardSignature,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let row = sqlx::query("SELECT version FROM projects WHERE project = $1 AND digest = $2")
            .bind(project.as_str())
            .bind(digest.to_string())
            .fetch_optional(&mut *self.tx)
            .await?
            .ok_or_else(|| StoreError::NoSuchApproval(project.clone()))?;
        let version: u32 = number(&row, "version")?;
        let done = sqlx::query(
            "INSERT INTO project_signatures (project, version, steward, signature, signed) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
        )
        .bind(project.as_str())
        .bind(i64::from(version))
        .bind(signature.steward.as_str())
        .bind(signature.signature.as_str())
        .bind(stamp(now))
        .execute(&mut *self.tx)
        .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        let step = Step::Signed { version, steward: signature.steward.clone() };
        self.record_step(project, step, &signature.steward, now).await?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::lifecycle::LifeError;
    use crate::store::fixtures::{approval, name, now, stores};

    fn anna() -> StewardId {
        name("anna")
    }

    #[tokio::test]
    async fn versions_follow_each_other_and_keep_their_own_signatures() {
        for test in stores().await {
            let (first, today) = (approval(), now().date_naive());
            let second = Approval { version: 2, ..approval() };
            let signed_by = |steward| StewardSignature { steward: name(steward), signature: "00".repeat(64) };
            let signature = signed_by("steward-a");
            let mut write = test.store.write().await.unwrap();
            assert!(write.enter_project(&first, today, &anna(), now()).await.unwrap());
            assert!(!write.enter_project(&first, today, &anna(), now()).await.unwrap());
            // One application at a time, and signatures count once it is complete.
            let refused = write.enter_project(&second, today, &anna(), now()).await;
            assert!(matches!(refused, Err(StoreError::Life(LifeError::ApplicationOpen { version: 1, .. }))));
            let digest = first.digest().unwrap();
            write.commit().await.unwrap();
            let mut write = test.store.write().await.unwrap();
            let early = write.sign_project(&first.project, &digest, &signature, now()).await;
            assert!(matches!(early, Err(StoreError::Life(LifeError::NotComplete(1)))));
            drop(write);
            let mut write = test.store.write().await.unwrap();
            let complete = Step::Complete { version: 1, day: today };
            write.record_step(&first.project, complete, &anna(), now()).await.unwrap();
            assert!(write.sign_project(&first.project, &digest, &signature, now()).await.unwrap());
            assert!(!write.sign_project(&first.project, &digest, &signature, now()).await.unwrap());
            assert!(
                write.sign_project(&first.project, &digest, &signed_by("steward-b"), now()).await.unwrap()
            );
            let third = Approval { version: 3, ..approval() };
            let refused = write.enter_project(&third, today, &anna(), now()).await;
            assert!(matches!(refused, Err(StoreError::Life(LifeError::NextVersion { next: 2 }))));
            let changed = Approval { title: "Another".to_owned(), ..approval() };
            assert!(write.enter_project(&changed, today, &anna(), now()).await.is_err());
            assert!(write.enter_project(&second, today, &anna(), now()).await.unwrap());
            let unknown = Digest::from_bytes([0; 32]);
            assert!(write.sign_project(&first.project, &unknown, &signature, now()).await.is_err());
            write.commit().await.unwrap();
            let stored = test.store.project(&first.project).await.unwrap();
            assert_eq!(stored.len(), 2);
            assert_eq!(stored[0].signed.approval, second);
            assert!(stored[0].signed.signatures.is_empty());
            let signatures = vec![signature, signed_by("steward-b")];
            assert_eq!(stored[1].signed, SignedApproval { approval: first, signatures });
            assert_eq!(stored[1].entered, now());
            assert_eq!(test.store.projects().await.unwrap().len(), 1);
        }
    }

    #[tokio::test]
    async fn an_approval_changed_in_the_database_does_not_read_back() {
        for test in stores().await {
            let mut write = test.store.write().await.unwrap();
            write.enter_project(&approval(), now().date_naive(), &anna(), now()).await.unwrap();
            write.commit().await.unwrap();
            let other = Approval { title: "Another".to_owned(), ..approval() };
            sqlx::query("UPDATE projects SET canonical = $1")
                .bind(other.canonical().unwrap())
                .execute(&test.store.pool)
                .await
                .unwrap();
            assert!(test.store.project(&other.project).await.is_err());
        }
    }
}
