//! What registered persons have asked for: restrictions with their history, erasures, corrections. Texts come sealed.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::domain::canonical::Digest;
use crate::domain::ids::{OrganisationId, PersonNo};
use crate::domain::person::{CorrectionOf, Restriction, RestrictionChange};

use super::error::StoreError;
use super::open::{Store, Write};
use super::rows::{bytes, int, name, number, parsed, stamp};

/// A correction that is asked for, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCorrection {
    /// The person.
    pub person: PersonNo,
    /// What it is about.
    pub of: CorrectionOf,
    /// Who sent the delivery.
    pub sender: String,
    /// The sealed text.
    pub sealed: Vec<u8>,
    /// Through which portal.
    pub portal: OrganisationId,
    /// When.
    pub asked: DateTime<Utc>,
}

/// An erasure that has not been carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueErasure {
    /// Its number.
    pub entry: u64,
    /// The person.
    pub person: PersonNo,
    /// Rows dated up to this day go.
    pub day: NaiveDate,
}

fn person(row: &AnyRow) -> Result<PersonNo, StoreError> {
    Ok(PersonNo(number(row, "person_no")?))
}

impl Store {
    /// The history of a person's restrictions, the oldest first.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn restrictions(&self, person: PersonNo) -> Result<Vec<RestrictionChange>, StoreError> {
        let rows = sqlx::query(
            "SELECT restriction, active, set_at, portal FROM person_restrictions WHERE person_no = $1 ORDER BY entry",
        )
        .bind(i64::from(person.0))
        .fetch_all(&self.pool)
        .await?;
        let change = |row| {
            Ok(RestrictionChange {
                restriction: parsed(row, "restriction")?,
                active: number::<i64>(row, "active")? == 1,
                at: parsed(row, "set_at")?,
                portal: name(row, "portal")?,
            })
        };
        rows.iter().map(change).collect()
    }

    /// The persons for whom a restriction holds now, by number.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn restricted(&self, restriction: Restriction) -> Result<Vec<PersonNo>, StoreError> {
        let rows = sqlx::query(
            "SELECT r.person_no FROM person_restrictions r JOIN (SELECT person_no, MAX(entry) AS entry \
             FROM person_restrictions WHERE restriction = $1 GROUP BY person_no) last \
             ON last.entry = r.entry WHERE r.active = 1 ORDER BY r.person_no",
        )
        .bind(restriction.as_str())
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(person).collect()
    }

    /// The erasures that have not been carried out, the oldest first.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn due_erasures(&self) -> Result<Vec<DueErasure>, StoreError> {
        let rows = sqlx::query(
            "SELECT entry, person_no, day FROM person_erasures WHERE snapshot IS NULL ORDER BY entry",
        )
        .fetch_all(&self.pool)
        .await?;
        let due = |row| {
            Ok(DueErasure { entry: number(row, "entry")?, person: person(row)?, day: parsed(row, "day")? })
        };
        rows.iter().map(due).collect()
    }

    /// At most `most` of the corrections that are asked for after the one numbered `after`, or from the first one on, each
    /// with its number; of these senders alone, if they are named.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn corrections(
        &self,
        senders: Option<&[&str]>,
        after: Option<u64>,
        most: u32,
    ) -> Result<Vec<(u64, StoredCorrection)>, StoreError> {
        let of_senders = senders.map(|senders| {
            let places: Vec<String> = (3..).take(senders.len()).map(|place| format!("${place}")).collect();
            format!("AND sender IN ({})", places.join(", "))
        });
        let sql = format!(
            "SELECT entry, person_no, delivery, sender, dataset, record, field, sealed, portal, asked \
             FROM person_corrections WHERE entry > $1 {} ORDER BY entry LIMIT $2",
            of_senders.unwrap_or_default()
        );
        let query =
            sqlx::query(sqlx::AssertSqlSafe(sql)).bind(after.map_or(Ok(-1), int)?).bind(i64::from(most));
        let query = senders.unwrap_or_default().iter().fold(query, |query, sender| query.bind(*sender));
        let rows = query.fetch_all(&self.pool).await?;
        let correction = |row| {
            let kept = StoredCorrection {
                person: person(row)?,
                of: CorrectionOf {
                    delivery: parsed(row, "delivery")?,
                    dataset: name(row, "dataset")?,
                    record: row.try_get("record")?,
                    field: row.try_get("field")?,
                },
                sender: name(row, "sender")?,
                sealed: bytes(row, "sealed")?,
                portal: name(row, "portal")?,
                asked: parsed(row, "asked")?,
            };
            Ok((number(row, "entry")?, kept))
        };
        rows.iter().map(correction).collect()
    }
}

/// The number of the next row of each of the tables here.
const NEXT_RESTRICTION: &str = "SELECT COALESCE(MAX(entry), 0) + 1 AS next FROM person_restrictions";
const NEXT_ERASURE: &str = "SELECT COALESCE(MAX(entry), 0) + 1 AS next FROM person_erasures";
const NEXT_CORRECTION: &str = "SELECT COALESCE(MAX(entry), 0) + 1 AS next FROM person_corrections";

impl Write {
    async fn next(&mut self, sql: &'static str) -> Result<u64, StoreError> {
        number(&sqlx::query(sql).fetch_one(&mut *self.tx).await?, "next")
    }

    /// Sets or lifts a restriction. Gives its number in the history; none where it stands so already. Linked rows that are
    /// kept go where it is about all use: they are gathered anew with the person, or without.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn restrict(
        &mut self,
        person: PersonNo,
        restriction: Restriction,
        active: bool,
        portal: &OrganisationId,
        now: DateTime<Utc>,
    ) -> Result<Option<u64>, StoreError> {
        let last = sqlx::query(
            "SELECT active FROM person_restrictions WHERE person_no = $1 AND restriction = $2 \
             ORDER BY entry DESC LIMIT 1",
        )
        .bind(i64::from(person.0))
        .bind(restriction.as_str())
        .fetch_optional(&mut *self.tx)
        .await?;
        let before = last.map(|row| row.try_get::<i64, _>("active")).transpose()?.unwrap_or(0) == 1;
        if before == active {
            return Ok(None);
        }
        let entry = self.next(NEXT_RESTRICTION).await?;
        sqlx::query(
            "INSERT INTO person_restrictions (entry, person_no, restriction, active, portal, set_at) \
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(int(entry)?)
        .bind(i64::from(person.0))
        .bind(restriction.as_str())
        .bind(i64::from(active))
        .bind(portal.as_str())
        .bind(stamp(now))
        .execute(&mut *self.tx)
        .await?;
        if restriction == Restriction::AllUse {
            self.delete_all_kept_rows().await?;
        }
        Ok(Some(entry))
    }

    /// Asks for the erasure of a person's rows that are dated up to a day. Gives its number.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn ask_erasure(
        &mut self,
        person: PersonNo,
        day: NaiveDate,
        portal: &OrganisationId,
        now: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        let entry = self.next(NEXT_ERASURE).await?;
        sqlx::query(
            "INSERT INTO person_erasures (entry, person_no, day, portal, asked) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(int(entry)?)
        .bind(i64::from(person.0))
        .bind(day.to_string())
        .bind(portal.as_str())
        .bind(stamp(now))
        .execute(&mut *self.tx)
        .await?;
        Ok(entry)
    }

    /// Notes that an erasure is carried out, with the snapshot without the rows.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn erased(&mut self, entry: u64, snapshot: Digest) -> Result<(), StoreError> {
        sqlx::query("UPDATE person_erasures SET snapshot = $1 WHERE entry = $2 AND snapshot IS NULL")
            .bind(snapshot.to_string())
            .bind(int(entry)?)
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }

    /// The number that the next correction has.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn next_correction(&mut self) -> Result<u64, StoreError> {
        self.next(NEXT_CORRECTION).await
    }

    /// Keeps a correction under its number.
    ///
    /// # Errors
    /// [`StoreError::Database`], also for a number that is taken.
    pub async fn keep_correction(&mut self, entry: u64, asked: &StoredCorrection) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO person_corrections \
             (entry, person_no, delivery, sender, dataset, sealed, portal, asked, record, field) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(int(entry)?)
        .bind(i64::from(asked.person.0))
        .bind(asked.of.delivery.to_string())
        .bind(asked.sender.as_str())
        .bind(asked.of.dataset.as_str())
        .bind(asked.sealed.as_slice())
        .bind(asked.portal.as_str())
        .bind(stamp(asked.asked))
        .bind(asked.of.record.as_deref())
        .bind(asked.of.field.as_deref())
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use sqlx::Executor;

    use super::*;
    use crate::store::fixtures::{name, now, stores};

    #[tokio::test]
    async fn the_last_word_holds_and_the_history_stays() {
        for test in stores().await {
            let portal: OrganisationId = name("NTRNO-310000051");
            let set = async |person, restriction, active| {
                let mut write = test.store.write().await.unwrap();
                let entry =
                    write.restrict(PersonNo(person), restriction, active, &portal, now()).await.unwrap();
                write.commit().await.unwrap();
                entry
            };
            let (release, all) = (Restriction::ReleaseWithIdentity, Restriction::AllUse);
            assert_eq!(set(7, release, false).await, None);
            assert_eq!(set(7, release, true).await, Some(1));
            assert_eq!(set(7, release, true).await, None);
            assert_eq!(set(8, release, true).await, Some(2));
            assert_eq!(set(7, all, true).await, Some(3));
            assert_eq!(set(7, release, false).await, Some(4));
            let restricted = async |restriction| test.store.restricted(restriction).await.unwrap();
            assert_eq!(
                (restricted(release).await, restricted(all).await),
                (vec![PersonNo(8)], vec![PersonNo(7)])
            );
            let history = test.store.restrictions(PersonNo(7)).await.unwrap();
            let history: Vec<_> = history.into_iter().map(|c| (c.restriction, c.active)).collect();
            assert_eq!(history, [(release, true), (all, true), (release, false)]);
            for sql in ["DELETE FROM person_restrictions", "UPDATE person_restrictions SET active = 0"] {
                assert!(test.store.pool.execute(sql).await.is_err(), "{sql}");
            }
            assert_eq!(restricted(all).await, [PersonNo(7)]);
        }
    }

    #[tokio::test]
    async fn erasures_wait_until_they_are_carried_out_and_corrections_read_back() {
        for test in stores().await {
            let portal: OrganisationId = name("NTRNO-310000051");
            let day = now().date_naive();
            let mut write = test.store.write().await.unwrap();
            for person in [PersonNo(3), PersonNo(4)] {
                write.ask_erasure(person, day, &portal, now()).await.unwrap();
            }
            write.erased(1, Digest::from_bytes([1; 32])).await.unwrap();
            let correction = StoredCorrection {
                person: PersonNo(3),
                of: CorrectionOf {
                    delivery: Digest::from_bytes([2; 32]),
                    dataset: name("kuhr_contact"),
                    record: Some("17".to_owned()),
                    field: None,
                },
                sender: "Helfo".to_owned(),
                sealed: b"sealed".to_vec(),
                portal: portal.clone(),
                asked: now(),
            };
            let entry = write.next_correction().await.unwrap();
            write.keep_correction(entry, &correction).await.unwrap();
            assert_eq!(write.next_correction().await.unwrap(), 2);
            write.commit().await.unwrap();
            let mut write = test.store.write().await.unwrap();
            let due = test.store.due_erasures().await.unwrap();
            assert_eq!(due, [DueErasure { entry: 2, person: PersonNo(4), day }]);
            for sender in ["A", "B", "A"] {
                let number = write.next_correction().await.unwrap();
                let sender = sender.to_owned();
                let asked = StoredCorrection { sender, ..correction.clone() };
                write.keep_correction(number, &asked).await.unwrap();
            }
            write.commit().await.unwrap();
            assert_eq!(test.store.corrections(None, None, 1).await.unwrap(), [(1, correction)]);
            let numbers = async |senders: Option<&[&str]>, after, most| {
                let all = test.store.corrections(senders, after, most).await.unwrap();
                all.into_iter().map(|(number, _)| number).collect::<Vec<_>>()
            };
            assert_eq!(numbers(None, Some(1), 2).await, [2, 3]);
            assert_eq!(numbers(Some(&["A"]), None, 9).await, [2, 4]);
            assert_eq!(numbers(Some(&["A", "B"]), Some(2), 9).await, [3, 4]);
            assert_eq!(numbers(Some(&["A"]), Some(1), 1).await, [2]);
            assert!(numbers(Some(&["C"]), None, 9).await.is_empty());
        }
    }
}
