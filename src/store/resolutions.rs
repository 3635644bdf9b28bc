//! Resolutions of serial numbers and of the list of reservations: statements, their signatures, and whether they were handed to the identity service.

use chrono::{DateTime, Utc};

use crate::domain::approval::StewardSignature;
use crate::domain::canonical::{Canonical, Digest};
use crate::domain::resolution::ResolutionStatement;

use super::error::StoreError;
use super::open::{Store, Write};
use super::rows::{bytes, name, number, parsed, stamp};

/// A resolution that has been asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolutionRow {
    /// What stewards sign.
    pub statement: ResolutionStatement,
    /// The signatures gathered so far, the first one first.
    pub signatures: Vec<StewardSignature>,
    /// Whether it was handed to the identity service.
    pub handed_over: bool,
}

impl Store {
    /// All resolutions that were not handed over, the oldest first, also those whose time is up.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`], [`StoreError::Canonical`].
    pub async fn waiting_resolutions(&self) -> Result<Vec<ResolutionRow>, StoreError> {
        let digests = sqlx::query(
            "SELECT r.statement FROM resolutions r WHERE r.handed_over IS NULL \
             ORDER BY (SELECT MIN(s.signed) FROM resolution_signatures s WHERE s.statement = r.statement)",
        )
        .fetch_all(&self.pool)
        .await?;
        let mut all = Vec::new();
        for row in digests {
            all.extend(self.resolution(&parsed(&row, "statement")?).await?);
        }
        Ok(all)
    }

    /// The resolution with this statement, if it has been asked for.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`], [`StoreError::Canonical`].
    pub async fn resolution(&self, statement: &Digest) -> Result<Option<ResolutionRow>, StoreError> {
        let found = sqlx::query(
            "SELECT canonical, COALESCE(handed_over, '') AS handed FROM resolutions WHERE statement = $1",
        )
        .bind(statement.to_string())
        .fetch_optional(&self.pool)
        .await?;
        let Some(found) = found else { return Ok(None) };
        let given = sqlx::query(
            "SELECT steward, signature FROM resolution_signatures WHERE statement = $1 ORDER BY signed",
        )
        .bind(statement.to_string())
        .fetch_all(&self.pool)
        .await?;
        let signature =
            |row| Ok(StewardSignature { steward: name(row, "steward")?, signature: name(row, "signature")? });
        let handed: String = sqlx::Row::try_get(&found, "handed")?;
        Ok(Some(ResolutionRow {
            statement: ResolutionStatement::from_canonical(&bytes(&found, "canonical")?)?,
            signatures: given.iter().map(signature).collect::<Result<_, StoreError>>()?,
            handed_over: !handed.is_empty(),
        }))
    }
}

impl Write {
    /// Adds a steward's signature, which the caller has verified; the first one opens the resolution. Returns how many
    /// there are now.
    ///
    /// # Errors
    /// [`StoreError::Database`], also for a steward's second signature; [`StoreError::Canonical`].
    pub async fn sign_resolution(
        &mut self,
        statement: &ResolutionStatement,
        signature: &StewardSignature,
        now: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        let digest = statement.digest()?.to_string();
        sqlx::query("INSERT INTO resolutions (statement, canonical) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(digest.as_str())
            .bind(statement.canonical()?)
            .execute(&mut *self.tx)
            .await?;
        sqlx::query(
            "INSERT INTO resolution_signatures (statement, steward, signature, signed) VALUES ($1, $2, $3, $4)",
        )
        .bind(digest.as_str())
        .bind(signature.steward.as_str())
        .bind(signature.signature.as_str())
        .bind(stamp(now))
        .execute(&mut *self.tx)
        .await?;
        let row = sqlx::query("SELECT COUNT(*) AS given FROM resolution_signatures WHERE statement = $1")
            .bind(digest.as_str())
            .fetch_one(&mut *self.tx)
            .await?;
        number(&row, "given")
    }

    /// Notes that a resolution was handed to the identity service.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn hand_over(&mut self, statement: &Digest, now: DateTime<Utc>) -> Result<(), StoreError> {
        sqlx::query("UPDATE resolutions SET handed_over = $1 WHERE statement = $2 AND handed_over IS NULL")
            .bind(stamp(now))
            .bind(statement.to_string())
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::microdata::SerialNumber;
    use crate::domain::resolution::{ResolutionReason, Subject};
    use crate::store::fixtures::{name, now, run_id, stores};

    #[tokio::test]
    async fn a_resolution_waits_with_its_signatures_until_it_is_handed_over() {
        for test in stores().await {
            let subject = Subject::Serial {
                project: name("P-2026-0001"),
                run: run_id(1),
                serial: SerialNumber::new(&[3; 20]).unwrap(),
                reason: ResolutionReason::Correction,
            };
            let statement = ResolutionStatement { subject, asked: now() };
            let digest = statement.digest().unwrap();
            assert_eq!(test.store.resolution(&digest).await.unwrap(), None);
            let signature =
                |steward: &str| StewardSignature { steward: name(steward), signature: "ab".repeat(64) };
            for (steward, given) in [("anna", 1), ("bjorn", 2)] {
                let mut write = test.store.write().await.unwrap();
                assert_eq!(
                    write.sign_resolution(&statement, &signature(steward), now()).await.unwrap(),
                    given
                );
                write.commit().await.unwrap();
            }
            let mut again = test.store.write().await.unwrap();
            assert!(again.sign_resolution(&statement, &signature("anna"), now()).await.is_err());
            drop(again);
            let [waiting] = test.store.waiting_resolutions().await.unwrap().try_into().unwrap();
            assert_eq!((&waiting.statement, waiting.signatures.len()), (&statement, 2));
            let mut write = test.store.write().await.unwrap();
            write.hand_over(&digest, now()).await.unwrap();
            write.commit().await.unwrap();
            assert!(test.store.waiting_resolutions().await.unwrap().is_empty());
            assert!(test.store.resolution(&digest).await.unwrap().unwrap().handed_over);
        }
    }
}
