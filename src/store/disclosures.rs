//! The overview of disclosures. Who is in released records comes sealed; what the bytes mean is decided in
//! `disclosure`.

use std::collections::HashMap;

use chrono::NaiveDate;
use sqlx::Row;
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
    /// The set of persons; nothing where it is not all there.
    pub set: Option<PersonSet>,
    /// The chunk, if there is one.
    pub chunk: Option<PersonChunk>,
    /// The leaf that entered the release.
    pub leaf: Vec<u8>,
    /// What that commits to, unless it has been erased.
    pub detail: Option<AuditDetail>,
}

/// A release as it stands in the overview, with what vouches for it, word for word: what of it is as the log has it is
/// decided in `audit`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnteredRow {
    /// The index of the leaf that has entered it.
    pub entered: u64,
    /// The index of its receipt.
    pub receipt: Option<u64>,
    /// Its run.
    pub run: String,
    /// What kind of result it is.
    pub result: Option<String>,
    /// The day.
    pub day: Option<String>,
    /// The digest of its facts.
    pub facts: Option<String>,
    /// The facts kept under that digest, in their canonical encoding.
    pub canonical: Option<Vec<u8>>,
    /// Of records: the digest of the set of persons.
    pub persons: Option<String>,
    /// Of records: the set, where it is all there.
    pub set: Option<PersonSet>,
    /// What the leaf commits to, unless it has been erased.
    pub detail: Option<AuditDetail>,
}

/// Where the releases of records stand with the chunk `$1`. Each that is not of a table is one of records; what is missing
/// beside it is found, and it is not left out.
const CHUNK_OF: &str = "SELECT d.run, d.day, d.facts, d.chunks, d.root, d.persons, p.sealed, p.proof, l.leaf, a.salt, a.fields \
     FROM disclosures d LEFT JOIN disclosure_persons p ON p.receipt = d.receipt AND p.chunk = $1 \
     LEFT JOIN audit_leaves l ON l.leaf_index = d.entered LEFT JOIN audit_details a ON a.leaf_index = d.entered \
     WHERE d.result <> 'table'";

/// The releases of tables with the same facts together, of which an index holds all that is asked for. Facts that are not
/// there are found, and the tables are not left out.
const TABLES: &str = "SELECT g.facts, g.tables, g.first_day, g.last_day, f.canonical FROM \
     (SELECT facts, COUNT(*) AS tables, MIN(day) AS first_day, MAX(day) AS last_day FROM disclosures \
     WHERE result = 'table' GROUP BY facts) g \
     LEFT JOIN disclosure_facts f ON f.digest = g.facts ORDER BY g.first_day, g.facts";

/// The facts of all releases of records.
const FACTS_OF_RECORDS: &str = "SELECT f.digest AS facts, f.canonical FROM disclosure_facts f \
     WHERE f.digest IN (SELECT d.facts FROM disclosures d WHERE d.result <> 'table')";

/// The releases that the leaves from `$1` on and before `$2` have entered.
const ENTERED: &str = "SELECT d.entered, d.receipt, d.run, d.result, d.day, d.facts, d.persons, d.chunks, d.root, \
     f.canonical, a.salt, a.fields FROM disclosures d LEFT JOIN disclosure_facts f ON f.digest = d.facts \
     LEFT JOIN audit_details a ON a.leaf_index = d.entered \
     WHERE d.entered >= $1 AND d.entered < $2 ORDER BY d.entered";

/// The set of persons of a release, if all that the row says of it is there and agrees.
fn set(row: &AnyRow) -> Result<Option<PersonSet>, StoreError> {
    let (chunks, root): (Option<i64>, Option<String>) = (row.try_get("chunks")?, row.try_get("root")?);
    let persons: Option<String> = row.try_get("persons")?;
    let (Some(chunks), Some(root), Some(persons)) = (chunks, root, persons) else { return Ok(None) };
    let (Ok(chunks), Ok(root)) = (u32::try_from(chunks), root.parse()) else { return Ok(None) };
    let set = PersonSet { chunks, root };
    Ok((set.digest().to_string() == persons).then_some(set))
}

/// What a leaf commits to, if it is there.
fn detail(row: &AnyRow) -> Result<Option<AuditDetail>, StoreError> {
    let (salt, fields): (Option<Vec<u8>>, Option<Vec<u8>>) = (row.try_get("salt")?, row.try_get("fields")?);
    Ok(salt.zip(fields).map(|(salt, fields)| AuditDetail { salt, fields }))
}

fn chunk_of(row: &AnyRow) -> Result<ChunkOf, StoreError> {
    let sealed: Option<Vec<u8>> = row.try_get("sealed")?;
    let chunk = sealed.map(|sealed| Ok::<_, StoreError>(PersonChunk { sealed, proof: bytes(row, "proof")? }));
    Ok(ChunkOf {
        run: name(row, "run")?,
        day: parsed(row, "day")?,
        facts: parsed(row, "facts")?,
        set: set(row)?,
        chunk: chunk.transpose()?,
        leaf: bytes(row, "leaf")?,
        detail: detail(row)?,
    })
}

fn entered(row: &AnyRow) -> Result<EnteredRow, StoreError> {
    let receipt: Option<i64> = row.try_get("receipt")?;
    let run: Option<String> = row.try_get("run")?;
    Ok(EnteredRow {
        entered: number(row, "entered")?,
        receipt: receipt.and_then(|index| u64::try_from(index).ok()),
        run: run.unwrap_or_default(),
        result: row.try_get("result")?,
        day: row.try_get("day")?,
        facts: row.try_get("facts")?,
        canonical: row.try_get("canonical")?,
        persons: row.try_get("persons")?,
        set: set(row)?,
        detail: detail(row)?,
    })
}

/// The facts of a row, which stand under their digest.
fn facts(row: &AnyRow) -> Result<DisclosureFacts, StoreError> {
    let canonical: Option<Vec<u8>> = row.try_get("canonical")?;
    let canonical = canonical.ok_or(StoreError::Corrupt("disclosure with its facts"))?;
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
             LEFT JOIN disclosure_facts f ON f.digest = d.facts WHERE d.receipt > $1 ORDER BY d.receipt LIMIT $2",
        )
        .bind(after.map_or(Ok(-1), int)?)
        .bind(i64::from(most))
        .fetch_all(&self.pool)
        .await?;
        let disclosure = |row| {
            let row: &AnyRow = row;
            let persons: Option<String> = row.try_get("persons")?;
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

    /// Every release of records with the chunk of this number, the oldest first: every one that is not of a table.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
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
        let rows = sqlx::query(FACTS_OF_RECORDS).fetch_all(&self.pool).await?;
        rows.iter().map(|row| Ok((parsed(row, "facts")?, facts(row)?))).collect()
    }

    /// All releases of tables, those with the same facts together.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`]: also for what is kept as a table and by its facts is none.
    pub async fn tables_released(&self) -> Result<Vec<TablesReleased>, StoreError> {
        let rows = sqlx::query(TABLES).fetch_all(&self.pool).await?;
        let released = |row| {
            let facts = facts(row)?;
            if !facts.result.is_table() {
                return Err(StoreError::Corrupt("kind of a release"));
            }
            Ok(TablesReleased {
                facts,
                tables: number(row, "tables")?,
                first: parsed(row, "first_day")?,
                last: parsed(row, "last_day")?,
            })
        };
        rows.iter().map(released).collect()
    }

    /// The releases that the leaves from the index `from` on and before `to` have entered, in their order.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn entered(&self, from: u64, to: u64) -> Result<Vec<EnteredRow>, StoreError> {
        let rows = sqlx::query(ENTERED).bind(int(from)?).bind(int(to)?).fetch_all(&self.pool).await?;
        rows.iter().map(entered).collect()
    }

    /// The run of a release that no leaf of a log of this size can have entered, if there is one.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn entered_outside(&self, size: u64) -> Result<Option<String>, StoreError> {
        let row = sqlx::query(
            "SELECT run FROM disclosures WHERE entered IS NULL OR entered < 0 OR entered >= $1 LIMIT 1",
        )
        .bind(int(size)?)
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|row| row.try_get("run")).transpose()?)
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
