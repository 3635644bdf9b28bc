//! The overview of disclosures. Who is in released records comes sealed; what the bytes mean is decided in
//! `disclosure`.

use std::collections::HashMap;

use chrono::NaiveDate;
use sqlx::any::AnyRow;

use crate::domain::canonical::{Canonical, Digest};
use crate::domain::ids::{ProjectId, RunId};
use crate::domain::overview::{Disclosure, DisclosureFacts, Retention, TablesReleased};

use super::error::StoreError;
use super::open::{Store, Write};
use super::rows::{bytes, int, name, number, parsed};

/// A release to be entered, with where it stands in the audit log.
#[derive(Debug, Clone, Copy)]
pub struct NewDisclosure<'a> {
    /// The index of its receipt.
    pub receipt: u64,
    /// The index of the leaf that says that it is entered.
    pub entered: u64,
    /// Its run.
    pub run: &'a RunId,
    /// The day.
    pub day: NaiveDate,
    /// Who, why and about whom.
    pub facts: &'a DisclosureFacts,
    /// Of records: the digest of the sealed set of persons, and its chunks.
    pub persons: Option<(Digest, &'a [Vec<u8>])>,
    /// Of records: the last day on which they themselves are kept.
    pub kept_until: Option<NaiveDate>,
}

/// A release of records, with the sealed chunk of the set that one person's number lies in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkOf {
    /// Its run.
    pub run: RunId,
    /// The day it was released.
    pub day: NaiveDate,
    /// The digest of its facts.
    pub facts: Digest,
    /// The sealed chunk.
    pub sealed: Vec<u8>,
}

fn facts(row: &AnyRow) -> Result<DisclosureFacts, StoreError> {
    let canonical = bytes(row, "canonical")?;
    let digest: Digest = parsed(row, "facts")?;
    if Digest::of_bytes(DisclosureFacts::LABEL, &canonical) != digest {
        return Err(StoreError::Corrupt("disclosure with its digest"));
    }
    Ok(DisclosureFacts::from_canonical(&canonical)?)
}

impl Store {
    /// At most `most` releases after the receipt `after`, or from the first one on.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn disclosures(&self, after: Option<u64>, most: u32) -> Result<Vec<Disclosure>, StoreError> {
        let rows = sqlx::query(
            "SELECT d.receipt, d.run, d.day, d.facts, d.persons, f.canonical FROM disclosures d \
             JOIN disclosure_facts f ON f.digest = d.facts WHERE d.receipt > $1 ORDER BY d.receipt LIMIT $2",
        )
        .bind(after.map_or(Ok(-1), int)?)
        .bind(i64::from(most))
        .fetch_all(&self.pool)
        .await?;
        let disclosure = |row| {
            let persons: Option<String> = sqlx::Row::try_get(row, "persons")?;
            let persons = persons.map(|text| text.parse()).transpose();
            Ok(Disclosure {
                receipt: number(row, "receipt")?,
                run: name(row, "run")?,
                day: parsed(row, "day")?,
                facts: facts(row)?,
                persons: persons.map_err(|_| StoreError::Corrupt("value of its column"))?,
            })
        };
        rows.iter().map(disclosure).collect()
    }

    /// Every release of records with the sealed chunk of this number, the oldest first.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn chunks(&self, chunk: u32) -> Result<Vec<ChunkOf>, StoreError> {
        let rows = sqlx::query(
            "SELECT p.sealed, d.run, d.day, d.facts FROM disclosure_persons p \
             JOIN disclosures d ON d.receipt = p.receipt WHERE p.chunk = $1 ORDER BY p.receipt",
        )
        .bind(i64::from(chunk))
        .fetch_all(&self.pool)
        .await?;
        let chunk = |row| {
            Ok(ChunkOf {
                run: name(row, "run")?,
                day: parsed(row, "day")?,
                facts: parsed(row, "facts")?,
                sealed: bytes(row, "sealed")?,
            })
        };
        rows.iter().map(chunk).collect()
    }

    /// The sealed chunk of this number of the records of a run, if they were released to this project and it is still kept
    /// who is in them.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn chunk_of_records(
        &self,
        run: &RunId,
        project: &ProjectId,
        chunk: u32,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let row = sqlx::query(
            "SELECT p.sealed FROM disclosure_persons p JOIN disclosures d ON d.receipt = p.receipt \
             JOIN runs r ON r.run = d.run WHERE p.chunk = $1 AND d.run = $2 AND r.project = $3",
        )
        .bind(i64::from(chunk))
        .bind(run.as_str())
        .bind(project.as_str())
        .fetch_optional(&self.pool)
        .await?;
        row.as_ref().map(|row| bytes(row, "sealed")).transpose()
    }

    /// The facts of all releases of records, by their digests.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn facts_of_records(&self) -> Result<HashMap<Digest, DisclosureFacts>, StoreError> {
        let rows = sqlx::query(
            "SELECT f.digest AS facts, f.canonical FROM disclosure_facts f \
             WHERE EXISTS (SELECT 1 FROM disclosures d WHERE d.facts = f.digest AND d.result = 'microdata')",
        )
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(|row| Ok((parsed(row, "facts")?, facts(row)?))).collect()
    }

    /// All releases of tables, those with the same facts together.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn tables_released(&self) -> Result<Vec<TablesReleased>, StoreError> {
        let rows = sqlx::query(
            "SELECT g.facts, g.tables, g.first_day, g.last_day, f.canonical FROM \
             (SELECT facts, COUNT(*) AS tables, MIN(day) AS first_day, MAX(day) AS last_day FROM disclosures \
             WHERE result = 'table' GROUP BY facts) g \
             JOIN disclosure_facts f ON f.digest = g.facts ORDER BY g.first_day, g.facts",
        )
        .fetch_all(&self.pool)
        .await?;
        let released = |row| {
            Ok(TablesReleased {
                facts: facts(row)?,
                tables: number(row, "tables")?,
                first: parsed(row, "first_day")?,
                last: parsed(row, "last_day")?,
            })
        };
        rows.iter().map(released).collect()
    }
}

impl Write {
    /// Enters a release. To be committed together with its result.
    ///
    /// # Errors
    /// [`StoreError::Database`], also if its run is entered already; [`StoreError::Canonical`].
    pub async fn disclose(&mut self, new: NewDisclosure<'_>) -> Result<(), StoreError> {
        let digest = new.facts.digest()?.to_string();
        sqlx::query(
            "INSERT INTO disclosure_facts (digest, canonical) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        )
        .bind(digest.as_str())
        .bind(new.facts.canonical()?)
        .execute(&mut *self.tx)
        .await?;
        sqlx::query(
            "INSERT INTO disclosures (receipt, entered, run, result, facts, day, persons, kept_until) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(int(new.receipt)?)
        .bind(int(new.entered)?)
        .bind(new.run.as_str())
        .bind(new.facts.result.as_str())
        .bind(digest.as_str())
        .bind(new.day.to_string())
        .bind(new.persons.map(|(digest, _)| digest.to_string()))
        .bind(new.kept_until.map(|day| day.to_string()))
        .execute(&mut *self.tx)
        .await?;
        let chunks = new.persons.map_or(&[][..], |(_, chunks)| chunks);
        for (chunk, sealed) in (0_i64..).zip(chunks) {
            sqlx::query("INSERT INTO disclosure_persons (chunk, receipt, sealed) VALUES ($1, $2, $3)")
                .bind(chunk)
                .bind(int(new.receipt)?)
                .bind(sealed.as_slice())
                .execute(&mut *self.tx)
                .await?;
        }
        Ok(())
    }

    /// Erases the records whose last day is before `today` (KPR regulation 4-11). What is kept about them, and of whom they
    /// were, stays. Returns how many results were erased.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn expire_records(&mut self, today: NaiveDate) -> Result<u64, StoreError> {
        let done = sqlx::query(
            "UPDATE results SET bytes = $1 WHERE LENGTH(bytes) > 0 AND run IN \
             (SELECT run FROM disclosures WHERE kept_until < $2)",
        )
        .bind(&[][..] as &[u8])
        .bind(today.to_string())
        .execute(&mut *self.tx)
        .await?;
        Ok(done.rows_affected())
    }

    /// Deletes the releases that need not be kept any longer, the sets of persons in them, and what the leaves that
    /// entered them commit to; the log goes on verifying. Returns how many releases were deleted.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn delete_disclosures(
        &mut self,
        retention: Retention,
        today: NaiveDate,
    ) -> Result<u64, StoreError> {
        let Some(before) = retention.before(today).map(|day| day.to_string()) else { return Ok(0) };
        for sql in [
            "DELETE FROM audit_details WHERE leaf_index IN (SELECT entered FROM disclosures WHERE day < $1)",
            "DELETE FROM disclosure_persons WHERE receipt IN (SELECT receipt FROM disclosures WHERE day < $1)",
        ] {
            sqlx::query(sql).bind(before.as_str()).execute(&mut *self.tx).await?;
        }
        let done = sqlx::query("DELETE FROM disclosures WHERE day < $1")
            .bind(before.as_str())
            .execute(&mut *self.tx)
            .await?;
        sqlx::query("DELETE FROM disclosure_facts WHERE digest NOT IN (SELECT facts FROM disclosures)")
            .execute(&mut *self.tx)
            .await?;
        Ok(done.rows_affected())
    }
}

#[cfg(test)]
mod tests;
