//! Serial numbers resolved for two stewards. The gateway says which person number a serial number stands for; who that is,
//! the second steward is told here, once, and nobody else.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::Connection;

use super::error::IdentityError;
use super::fnr::Fnr;
use super::siv::Sealed;
use super::vault::{Vault, VaultError};
use crate::domain::canonical::{Canonical, Digest};
use crate::domain::ids::PersonNo;
use crate::domain::person::Portal;
use crate::domain::resolution::VerifiedResolution;

/// How long a resolution waits for the second steward to collect it.
const WAITS: TimeDelta = TimeDelta::days(1);

/// What is kept of a resolution.
type Kept = (String, Option<u32>, String, Option<String>);

impl Vault {
    /// Keeps a resolution for the second steward. A statement is good for one person and one answer.
    pub(super) async fn deposit(
        &self,
        resolution: &VerifiedResolution,
        person: PersonNo,
        now: DateTime<Utc>,
    ) -> Result<(), IdentityError> {
        let statement = resolution.statement();
        let digest = statement.digest()?;
        if !self.index().rows().iter().any(|row| row.person == person) {
            return Err(IdentityError::Resolution);
        }
        let mut connection = self.connection().await;
        let before: Option<Kept> = sqlx::query_as(KEPT)
            .bind(digest.as_bytes().to_vec())
            .fetch_optional(&mut *connection)
            .await
            .map_err(VaultError::from)?;
        match before {
            Some((second, Some(kept), _, None))
                if kept == person.0 && second == resolution.second().as_str() =>
            {
                return Ok(());
            }
            Some(_) => return Err(IdentityError::ResolutionUsed),
            None => {}
        }
        sqlx::query(
            "INSERT INTO resolution (statement, project, run, reason, first, second, person_no, deposited)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(digest.as_bytes().to_vec())
        .bind(statement.project.as_str())
        .bind(statement.run.as_str())
        .bind(statement.reason.as_str())
        .bind(resolution.first().as_str())
        .bind(resolution.second().as_str())
        .bind(person.0)
        .bind(now.to_rfc3339())
        .execute(&mut *connection)
        .await
        .map_err(VaultError::from)?;
        Ok(())
    }

    /// The identity numbers of the person of a resolution, the newest first, for the steward who signed last. That they are
    /// given is durable before they are, and stands in the record of uses that the person sees.
    pub(super) async fn collect(
        &self,
        digest: &Digest,
        steward: &Portal,
        now: DateTime<Utc>,
    ) -> Result<Vec<Fnr>, IdentityError> {
        let mut connection = self.connection().await;
        let mut transaction = connection.begin().await.map_err(VaultError::from)?;
        let kept: Option<Kept> = sqlx::query_as(KEPT)
            .bind(digest.as_bytes().to_vec())
            .fetch_optional(&mut *transaction)
            .await
            .map_err(VaultError::from)?;
        let Some((second, Some(person), deposited, None)) = kept else {
            return Err(IdentityError::Resolution);
        };
        let deposited = DateTime::parse_from_rfc3339(&deposited).map_err(|_| VaultError::Damaged)?;
        if second != steward.name || now > deposited + WAITS {
            return Err(IdentityError::Resolution);
        }
        let rows: Vec<(Vec<u8>,)> = sqlx::query_as(
            "SELECT sealed FROM identifier WHERE person_no = ? ORDER BY valid_from DESC NULLS LAST, sealed",
        )
        .bind(person)
        .fetch_all(&mut *transaction)
        .await
        .map_err(VaultError::from)?;
        let mut cipher = self.cipher();
        let mut numbers = Vec::with_capacity(rows.len());
        for (sealed,) in rows {
            let sealed = Sealed::try_from(sealed).map_err(|_| VaultError::Damaged)?;
            numbers.push(cipher.open(&sealed).ok_or(VaultError::Damaged)?);
        }
        sqlx::query("UPDATE resolution SET person_no = NULL, collected = ? WHERE statement = ?")
            .bind(now.to_rfc3339())
            .bind(digest.as_bytes().to_vec())
            .execute(&mut *transaction)
            .await
            .map_err(VaultError::from)?;
        sqlx::query("INSERT INTO look_up (person_no, organisation, name, at) VALUES (?, ?, ?, ?)")
            .bind(person)
            .bind(steward.organisation.as_str())
            .bind(steward.name.as_str())
            .bind(now.to_rfc3339())
            .execute(&mut *transaction)
            .await
            .map_err(VaultError::from)?;
        transaction.commit().await.map_err(VaultError::from)?;
        Ok(numbers)
    }
}

const KEPT: &str = "SELECT second, person_no, deposited, collected FROM resolution WHERE statement = ?";
