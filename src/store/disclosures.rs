//! The overview of disclosures. Who is in released records comes sealed; what the bytes mean is decided in
//! `disclosure`.

use std::collections::HashMap;

use chrono::NaiveDate;
use sqlx::any::AnyRow;

use crate::domain::canonical::{Canonical, Digest};
use crate::domain::ids::{ProjectId, RunId};
use crate::domain::overview::{Disclosure, DisclosureFacts, PersonSet, Retention, TablesReleased};

use super::audit_rows::AuditDetail;
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
    /// Of records: the sealed set of persons, and its chunks.
    pub persons: Option<(PersonSet, &'a [PersonChunk])>,
    /// Of records: the last day on which they themselves are kept.
    pub kept_until: Option<NaiveDate>,
}

/// A sealed chunk of a set of persons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonChunk {
    /// The sealed bytes.
    pub sealed: Vec<u8>,
    /// The proof that it is of its set: the roots beside it in the tree, 32 bytes each, the nearest first.
    pub proof: Vec<u8>,
}

/// A release of records, with the chunk of the set that one person's number lies in, as the database has them. What the log
/// says of them is checked by `audit`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkOf {
    /// Its run.
    pub run: RunId,
    /// The day it was released.
    pub day: NaiveDate,
    /// The digest of its facts.
    pub facts: Digest,
    /// The set of persons.
    pub set: PersonSet,
    /// The chunk, if there is one.
    pub chunk: Option<PersonChunk>,
    /// The leaf that entered the release.
    pub leaf: Vec<u8>,
    /// What that commits to.
    pub detail: AuditDetail,
}

/// Where the releases of records stand with the chunk `$1`. What is missing beside a release is found, not left out.
const CHUNK_OF: &str = "SELECT d.run, d.day, d.facts, d.chunks, d.root, p.sealed, p.proof, l.leaf, a.salt, a.fields \
     FROM disclosures d LEFT JOIN disclosure_persons p ON p.receipt = d.receipt AND p.chunk = $1 \
     LEFT JOIN audit_leaves l ON l.leaf_index = d.entered LEFT JOIN audit_details a ON a.leaf_index = d.entered \
     WHERE d.persons IS NOT NULL";

fn chunk_of(row: &AnyRow) -> Result<ChunkOf, StoreError> {
    let sealed: Option<Vec<u8>> = sqlx::Row::try_get(row, "sealed")?;
    let chunk = sealed.map(|sealed| Ok::<_, StoreError>(PersonChunk { sealed, proof: bytes(row, "proof")? }));
    Ok(ChunkOf {
        run: name(row, "run")?,
        day: parsed(row, "day")?,
        facts: parsed(row, "facts")?,
        set: PersonSet { chunks: number(row, "chunks")?, root: parsed(row, "root")? },
        chunk: chunk.transpose()?,
        leaf: bytes(row, "leaf")?,
        detail: AuditDetail { salt: bytes(row, "salt")?, fields: bytes(row, "fields")? },
    })
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

    /// Every release of records with the chunk of this number, the oldest first.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`]: also for a release without what the log says of it.
    pub async fn chunks(&self, chunk: u32) -> Result<Vec<ChunkOf>, StoreError> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!("{CHUNK_OF} ORDER BY d.receipt")))
            .bind(i64::from(chunk))
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(chunk_of).collect()
    }

    /// The records of a run with the chunk of this number, if they were released to this project and it is still kept who is
    /// in them.
    ///
    /// # Errors
    /// As [`Store::chunks`].
    pub async fn chunk_of_records(
        &self,
        run: &RunId,
        project: &ProjectId,
        chunk: u32,
    ) -> Result<Option<ChunkOf>, StoreError> {
        let of_run = "d.run = $2 AND d.result = 'microdata' AND EXISTS (SELECT 1 FROM runs r WHERE r.run = d.run AND r.project = $3)";
        let row = sqlx::query(sqlx::AssertSqlSafe(format!("{CHUNK_OF} AND {of_run}")))
            .bind(i64::from(chunk))
            .bind(run.as_str())
            .bind(project.as_str())
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(chunk_of).transpose()
    }

    /// The facts of all releases of records, by their digests.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn facts_of_records(&self) -> Result<HashMap<Digest, DisclosureFacts>, StoreError> {
        let rows = sqlx::query(
            "SELECT f.digest AS facts, f.canonical FROM disclosure_facts f \
             WHERE EXISTS (SELECT 1 FROM disclosures d WHERE d.facts = f.digest AND d.result IN ('microdata', 'feed'))",
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
            "INSERT INTO disclosures (receipt, entered, run, result, facts, day, persons, kept_until, chunks, root) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(int(new.receipt)?)
        .bind(int(new.entered)?)
        .bind(new.run.as_str())
        .bind(new.facts.result.as_str())
        .bind(digest.as_str())
        .bind(new.day.to_string())
        .bind(new.persons.map(|(set, _)| set.digest().to_string()))
        .bind(new.kept_until.map(|day| day.to_string()))
        .bind(new.persons.map(|(set, _)| i64::from(set.chunks)))
        .bind(new.persons.map(|(set, _)| set.root.to_string()))
        .execute(&mut *self.tx)
        .await?;
        let chunks = new.persons.map_or(&[][..], |(_, chunks)| chunks);
        for (number, chunk) in (0_i64..).zip(chunks) {
            let sql =
                "INSERT INTO disclosure_persons (chunk, receipt, sealed, proof) VALUES ($1, $2, $3, $4)";
            sqlx::query(sql)
                .bind(number)
                .bind(int(new.receipt)?)
                .bind(chunk.sealed.as_slice())
                .bind(chunk.proof.as_slice())
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
