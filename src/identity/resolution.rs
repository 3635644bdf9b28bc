//! Serial numbers, and the list of reservations, resolved for two stewards. The gateway says which person numbers these
//! are; who that is, the second steward is told here, once, and nobody else.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{Connection, Sqlite, Transaction};

use super::error::IdentityError;
use super::fnr::Fnr;
use super::siv::Sealed;
use super::vault::{Vault, VaultError};
use crate::domain::canonical::{Canonical, Digest};
use crate::domain::ids::{PersonNo, ProjectId, RunId};
use crate::domain::person::Portal;
use crate::domain::resolution::VerifiedResolution;

/// How long a resolution waits for the second steward to collect it.
const WAITS: TimeDelta = TimeDelta::days(1);

/// What is kept of a resolution: who is told, since when it waits, and when it was collected.
type Kept = (String, String, Option<String>);

impl Vault {
    /// Keeps a resolution for the second steward. A statement is good for the same persons and one answer.
    pub(super) async fn deposit(
        &self,
        resolution: &VerifiedResolution,
        persons: &[PersonNo],
        now: DateTime<Utc>,
    ) -> Result<(), IdentityError> {
        let statement = resolution.statement();
        let digest = statement.digest()?;
        let mut missing: BTreeSet<PersonNo> = persons.iter().copied().collect();
        for row in self.index().rows().iter() {
            missing.remove(&row.person);
        }
        if !missing.is_empty() || !statement.subject.fits(persons) {
            return Err(IdentityError::Resolution);
        }
        let mut connection = self.connection().await;
        let mut transaction = connection.begin().await.map_err(VaultError::from)?;
        let before: Option<Kept> = sqlx::query_as(KEPT)
            .bind(digest.as_bytes().to_vec())
            .fetch_optional(&mut *transaction)
            .await
            .map_err(VaultError::from)?;
        if let Some((second, _, collected)) = before {
            let kept = kept_persons(&mut transaction, &digest).await?;
            let given: BTreeSet<u32> = persons.iter().map(|person| person.0).collect();
            let same = collected.is_none() && second == resolution.second().as_str() && kept == given;
            return if same { Ok(()) } else { Err(IdentityError::ResolutionUsed) };
        }
        let (project, run) = statement.subject.records().unzip();
        sqlx::query(
            "INSERT INTO resolution (statement, project, run, reason, first, second, deposited)
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(digest.as_bytes().to_vec())
        .bind(project.map_or("", ProjectId::as_str))
        .bind(run.map_or("", RunId::as_str))
        .bind(statement.subject.reason())
        .bind(resolution.first().as_str())
        .bind(resolution.second().as_str())
        .bind(now.to_rfc3339())
        .execute(&mut *transaction)
        .await
        .map_err(VaultError::from)?;
        for person in persons {
            sqlx::query("INSERT INTO resolution_person (statement, person_no) VALUES (?, ?)")
                .bind(digest.as_bytes().to_vec())
                .bind(person.0)
                .execute(&mut *transaction)
                .await
                .map_err(VaultError::from)?;
        }
        transaction.commit().await.map_err(VaultError::from)?;
        Ok(())
    }

    /// The identity numbers of the persons of a resolution, each one's newest first, for the steward who signed last. That
    /// they are given is durable before they are, and stands in the record of uses that each person sees.
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
        let Some((second, deposited, None)) = kept else {
            return Err(IdentityError::Resolution);
        };
        let deposited = DateTime::parse_from_rfc3339(&deposited).map_err(|_| VaultError::Damaged)?;
        if second != steward.name || now > deposited + WAITS {
            return Err(IdentityError::Resolution);
        }
        let persons = kept_persons(&mut transaction, digest).await?;
        // Person by person: the identifiers are in the order of the ciphertext, and read once for all.
        let mut rows: Vec<(u32, Vec<u8>)> = sqlx::query_as(
            "SELECT i.person_no, i.sealed FROM identifier i
             JOIN resolution_person r ON r.person_no = i.person_no AND r.statement = ?
             ORDER BY i.person_no, i.valid_from DESC NULLS LAST, i.sealed",
        )
        .bind(digest.as_bytes().to_vec())
        .fetch_all(&mut *transaction)
        .await
        .map_err(VaultError::from)?;
        if persons.len() > 1 {
            // In the order of person numbers, a list would tell which is whose.
            rows.sort_by(|(_, a), (_, b)| a.cmp(b));
        }
        let mut cipher = self.cipher();
        let mut numbers = Vec::with_capacity(rows.len());
        for (_, sealed) in rows {
            let sealed = Sealed::try_from(sealed).map_err(|_| VaultError::Damaged)?;
            numbers.push(cipher.open(&sealed).ok_or(VaultError::Damaged)?);
        }
        sqlx::query("UPDATE resolution SET collected = ? WHERE statement = ?")
            .bind(now.to_rfc3339())
            .bind(digest.as_bytes().to_vec())
            .execute(&mut *transaction)
            .await
            .map_err(VaultError::from)?;
        sqlx::query("DELETE FROM resolution_person WHERE statement = ?")
            .bind(digest.as_bytes().to_vec())
            .execute(&mut *transaction)
            .await
            .map_err(VaultError::from)?;
        for person in persons {
            sqlx::query("INSERT INTO look_up (person_no, organisation, name, at) VALUES (?, ?, ?, ?)")
                .bind(person)
                .bind(steward.organisation.as_str())
                .bind(steward.name.as_str())
                .bind(now.to_rfc3339())
                .execute(&mut *transaction)
                .await
                .map_err(VaultError::from)?;
        }
        transaction.commit().await.map_err(VaultError::from)?;
        Ok(numbers)
    }
}

/// Whom a resolution that waits is about.
async fn kept_persons(
    transaction: &mut Transaction<'_, Sqlite>,
    digest: &Digest,
) -> Result<BTreeSet<u32>, IdentityError> {
    let rows: Vec<(u32,)> = sqlx::query_as("SELECT person_no FROM resolution_person WHERE statement = ?")
        .bind(digest.as_bytes().to_vec())
        .fetch_all(&mut **transaction)
        .await
        .map_err(VaultError::from)?;
    Ok(rows.into_iter().map(|(person,)| person).collect())
}

const KEPT: &str = "SELECT second, deposited, collected FROM resolution WHERE statement = ?";
