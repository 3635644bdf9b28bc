//! Microdata that wait for two stewards: sealed records, the report on them, and the signatures gathered so far.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::any::AnyRow;

use crate::domain::approval::StewardSignature;
use crate::domain::canonical::Digest;
use crate::domain::held::ReleaseStatement;
use crate::domain::ids::RunId;

use super::error::StoreError;
use super::open::{Store, Write};
use super::rows::{bytes, int, name, number, parsed, stamp};

/// Microdata that wait, without the records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldRow {
    /// The index of the run's intent in the audit log.
    pub intent: u64,
    /// What stewards sign.
    pub statement: ReleaseStatement,
    /// The report of risk and loss, in its canonical encoding.
    pub risk: Vec<u8>,
    /// The digest of the data they were made from.
    pub snapshot: Digest,
    /// The digest of what was asked.
    pub question: Digest,
    /// Since when they wait.
    pub held: DateTime<Utc>,
    /// The last day on which they can be released.
    pub lapses: NaiveDate,
    /// The signatures gathered so far.
    pub signatures: Vec<StewardSignature>,
}

impl HeldRow {
    /// Whether they have waited too long.
    #[must_use]
    pub fn has_lapsed(&self, today: NaiveDate) -> bool {
        self.lapses < today
    }
}

fn row(row: &AnyRow) -> Result<HeldRow, StoreError> {
    Ok(HeldRow {
        intent: number(row, "intent")?,
        statement: ReleaseStatement {
            run: name(row, "run")?,
            result: parsed(row, "result_digest")?,
            risk: parsed(row, "risk_digest")?,
        },
        risk: bytes(row, "risk")?,
        snapshot: parsed(row, "snapshot")?,
        question: parsed(row, "question")?,
        held: parsed(row, "held")?,
        lapses: parsed(row, "lapses")?,
        signatures: Vec::new(),
    })
}

impl Store {
    /// All microdata that wait, the oldest first.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn all_held(&self) -> Result<Vec<HeldRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT run, intent, result_digest, risk_digest, risk, snapshot, question, held, lapses \
             FROM held_results WHERE sealed IS NOT NULL ORDER BY held, run",
        );
        let mut all = rows.fetch_all(&self.pool).await?.iter().map(row).collect::<Result<Vec<_>, _>>()?;
        for held in &mut all {
            let given =
                sqlx::query("SELECT steward, signature FROM held_signatures WHERE run = $1 ORDER BY signed")
                    .bind(held.statement.run.as_str())
                    .fetch_all(&self.pool)
                    .await?;
            for given in given {
                let signature = StewardSignature {
                    steward: name(&given, "steward")?,
                    signature: name(&given, "signature")?,
                };
                held.signatures.push(signature);
            }
        }
        Ok(all)
    }

    /// The microdata of a run, if they wait.
    ///
    /// # Errors
    /// [`StoreError::NotHeld`] if they do not; as [`Store::all_held`].
    pub async fn held(&self, run: &RunId) -> Result<HeldRow, StoreError> {
        let all = self.all_held().await?;
        let found = all.into_iter().find(|held| held.statement.run == *run);
        found.ok_or_else(|| StoreError::NotHeld(run.clone()))
    }

    /// The sealed records of a run.
    ///
    /// # Errors
    /// [`StoreError::NotHeld`] if there are none, or no longer; [`StoreError::Database`].
    pub async fn sealed(&self, run: &RunId) -> Result<Vec<u8>, StoreError> {
        let row = sqlx::query("SELECT sealed FROM held_results WHERE run = $1 AND sealed IS NOT NULL")
            .bind(run.as_str())
            .fetch_optional(&self.pool)
            .await?
            .ok_or_else(|| StoreError::NotHeld(run.clone()))?;
        bytes(&row, "sealed")
    }
}

impl Write {
    /// Holds microdata.
    ///
    /// # Errors
    /// [`StoreError::Database`], also if the run has held some before.
    pub async fn hold(&mut self, held: &HeldRow, sealed: &[u8]) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO held_results (run, intent, result_digest, risk_digest, risk, sealed, snapshot, question, \
             held, lapses) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(held.statement.run.as_str())
        .bind(int(held.intent)?)
        .bind(held.statement.result.to_string())
        .bind(held.statement.risk.to_string())
        .bind(held.risk.as_slice())
        .bind(sealed)
        .bind(held.snapshot.to_string())
        .bind(held.question.to_string())
        .bind(stamp(held.held))
        .bind(held.lapses.to_string())
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// Adds a steward's signature to microdata that wait; the caller has verified it. Returns how many there are now.
    ///
    /// # Errors
    /// [`StoreError::NotHeld`], [`StoreError::Database`], also for a steward's second signature.
    pub async fn sign_held(
        &mut self,
        run: &RunId,
        signature: &StewardSignature,
        now: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        let done = sqlx::query(
            "INSERT INTO held_signatures (run, steward, signature, signed) \
             SELECT run, $1, $2, $3 FROM held_results WHERE run = $4 AND sealed IS NOT NULL",
        )
        .bind(signature.steward.as_str())
        .bind(signature.signature.as_str())
        .bind(stamp(now))
        .bind(run.as_str())
        .execute(&mut *self.tx)
        .await?;
        if done.rows_affected() != 1 {
            return Err(StoreError::NotHeld(run.clone()));
        }
        let row = sqlx::query("SELECT COUNT(*) AS given FROM held_signatures WHERE run = $1")
            .bind(run.as_str())
            .fetch_one(&mut *self.tx)
            .await?;
        number(&row, "given")
    }

    /// Erases the sealed records of a run; report and signatures stay.
    ///
    /// # Errors
    /// [`StoreError::NotHeld`], [`StoreError::Database`].
    pub async fn erase_held(&mut self, run: &RunId) -> Result<(), StoreError> {
        let done = sqlx::query("UPDATE held_results SET sealed = NULL WHERE run = $1 AND sealed IS NOT NULL")
            .bind(run.as_str())
            .execute(&mut *self.tx)
            .await?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::NotHeld(run.clone())) }
    }
}
