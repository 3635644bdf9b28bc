//! What runs took of the machine, and the hours that stewards have worked.

use chrono::{DateTime, Utc};
use sqlx::any::AnyRow;

use crate::domain::cost::{Hours, HoursError, RunWork, Work};
use crate::domain::ids::{ProjectId, RunId};

use super::error::StoreError;
use super::open::{Store, Write};
use super::phase::Phase;
use super::rows::{int, name, number, parsed, stamp};

const HOURS: &str = "SELECT steward, entry, project, day, minutes, what FROM project_hours";

fn hours(row: &AnyRow) -> Result<Hours, StoreError> {
    Ok(Hours {
        entry: name(row, "entry")?,
        project: name(row, "project")?,
        steward: name(row, "steward")?,
        day: parsed(row, "day")?,
        minutes: number(row, "minutes")?,
        what: name(row, "what")?,
    })
}

impl Store {
    /// The hours registered on a project, in the order they were registered in.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn hours(&self, project: &ProjectId) -> Result<Vec<Hours>, StoreError> {
        let sql = format!("{HOURS} WHERE project = $1 ORDER BY registered, steward, entry");
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(project.as_str()).fetch_all(&self.pool).await?;
        rows.iter().map(hours).collect()
    }

    /// What the runs of a project took, the oldest first.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn work(&self, project: &ProjectId) -> Result<Vec<RunWork>, StoreError> {
        let rows = sqlx::query(
            "SELECT r.run, r.created, r.phase, w.executing_us, w.protecting_us FROM run_work AS w \
             JOIN runs AS r ON r.run = w.run WHERE r.project = $1 ORDER BY r.created, r.run",
        )
        .bind(project.as_str())
        .fetch_all(&self.pool)
        .await?;
        let work = |row: &AnyRow| {
            Ok(RunWork {
                run: name(row, "run")?,
                asked: parsed(row, "created")?,
                work: Work {
                    executing_us: number(row, "executing_us")?,
                    protecting_us: number(row, "protecting_us")?,
                },
                failed: parsed::<Phase>(row, "phase")? == Phase::Failed,
            })
        };
        rows.iter().map(work).collect()
    }
}

impl Write {
    /// Keeps what a run took, once.
    ///
    /// # Errors
    /// [`StoreError::Database`], also if it was kept before or there is no such run.
    pub async fn keep_work(&mut self, run: &RunId, work: Work) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO run_work (run, executing_us, protecting_us) VALUES ($1, $2, $3)")
            .bind(run.as_str())
            .bind(int(work.executing_us)?)
            .bind(int(work.protecting_us)?)
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }

    /// Registers hours. The same entry of the same steward again is the same registration; returns whether it is new.
    ///
    /// # Errors
    /// [`StoreError::Hours`], [`StoreError::Database`].
    pub async fn register_hours(&mut self, new: &Hours, now: DateTime<Utc>) -> Result<bool, StoreError> {
        // One registration at a time, so that two cannot both fit into the same day.
        self.audit_head().await?;
        let sql = format!("{HOURS} WHERE steward = $1 AND (day = $2 OR entry = $3)");
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(new.steward.as_str())
            .bind(new.day.to_string())
            .bind(new.entry.as_str())
            .fetch_all(&mut *self.tx)
            .await?;
        let registered: Vec<Hours> = rows.iter().map(hours).collect::<Result<_, _>>()?;
        if let Some(same) = registered.iter().find(|given| given.entry == new.entry) {
            let taken = || StoreError::Hours(HoursError::EntryTaken(new.entry.clone()));
            return if same == new { Ok(false) } else { Err(taken()) };
        }
        let sum = |project: Option<&ProjectId>| -> i64 {
            let of =
                registered.iter().filter(|given| project.is_none_or(|project| given.project == *project));
            of.map(|given| i64::from(given.minutes)).sum()
        };
        new.check(now.date_naive(), sum(None), sum(Some(&new.project)))?;
        sqlx::query(
            "INSERT INTO project_hours (steward, entry, project, day, minutes, what, registered) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(new.steward.as_str())
        .bind(new.entry.as_str())
        .bind(new.project.as_str())
        .bind(new.day.to_string())
        .bind(i64::from(new.minutes))
        .bind(new.what.as_str())
        .bind(stamp(now))
        .execute(&mut *self.tx)
        .await?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::words::Words;
    use crate::store::fixtures::{now, run_id, stores, submission};

    fn entry(text: &str, project: &str, minutes: i32) -> Hours {
        Hours {
            entry: name_of(text),
            project: name_of(project),
            steward: name_of("anna"),
            day: now().date_naive(),
            minutes,
            what: Words::new("reading").unwrap(),
        }
    }

    fn name_of<T: TryFrom<String, Error: std::fmt::Debug>>(text: &str) -> T {
        crate::store::fixtures::name(text)
    }

    #[tokio::test]
    async fn hours_are_registered_once_and_fit_into_a_day_over_all_projects() {
        for test in stores().await {
            let mut write = test.store.write().await.unwrap();
            let first = entry("e-1", "P-1", 900);
            assert!(write.register_hours(&first, now()).await.unwrap());
            assert!(!write.register_hours(&first, now()).await.unwrap());
            let other = Hours { minutes: 30, ..first.clone() };
            let taken = write.register_hours(&other, now()).await;
            assert!(matches!(taken, Err(StoreError::Hours(HoursError::EntryTaken(_)))));
            let more = write.register_hours(&entry("e-2", "P-2", 541), now()).await;
            assert!(matches!(more, Err(StoreError::Hours(HoursError::Sum { on_day: 1441, .. }))));
            assert!(write.register_hours(&entry("e-2", "P-2", 540), now()).await.unwrap());
            // What is taken back was registered on that project.
            let back = write.register_hours(&entry("e-3", "P-2", -541), now()).await;
            assert!(matches!(back, Err(StoreError::Hours(HoursError::Sum { on_project: -1, .. }))));
            assert!(write.register_hours(&entry("e-3", "P-2", -40), now()).await.unwrap());
            write.commit().await.unwrap();
            assert_eq!(test.store.hours(&name_of("P-1")).await.unwrap(), [first]);
            let second = test.store.hours(&name_of("P-2")).await.unwrap();
            assert_eq!(second.iter().map(|h| h.minutes).collect::<Vec<_>>(), [540, -40]);
        }
    }

    #[tokio::test]
    async fn work_is_kept_once_and_told_with_how_its_run_ended() {
        for test in stores().await {
            let mut write = test.store.write().await.unwrap();
            for number in [1, 2] {
                write.submit(&submission(&format!("req-{number}")), run_id(number), now()).await.unwrap();
            }
            write.set_phase(&run_id(2), Phase::Failed, Some(("a.code", "a hint"))).await.unwrap();
            let work = Work { executing_us: 7, protecting_us: 5 };
            write.keep_work(&run_id(1), work).await.unwrap();
            write.keep_work(&run_id(2), work).await.unwrap();
            write.commit().await.unwrap();
            let kept = test.store.work(&submission("req-1").query.project).await.unwrap();
            let told: Vec<_> = kept.iter().map(|w| (w.run.clone(), w.work, w.failed)).collect();
            assert_eq!(told, [(run_id(1), work, false), (run_id(2), work, true)]);
            assert_eq!(kept[0].asked, now());
            let mut write = test.store.write().await.unwrap();
            assert!(write.keep_work(&run_id(1), work).await.is_err());
            drop(write);
            let mut write = test.store.write().await.unwrap();
            assert!(write.keep_work(&run_id(3), work).await.is_err());
        }
    }
}
