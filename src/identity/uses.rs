//! The record of uses of identity numbers: single look-ups, one row each, and what is remembered of each run in which
//! linkage codes were derived from all of them.

use chrono::{DateTime, NaiveDate, Utc};

use super::vault::{Vault, VaultError};
use crate::domain::ids::PersonNo;
use crate::domain::person::{Derivations, IdentityUses, LookUp, Portal};

impl Vault {
    /// Records that a portal has had a person looked up; without a number, one whom the vault does not know.
    pub(super) async fn record_look_up(
        &self,
        person: Option<PersonNo>,
        portal: &Portal,
        at: DateTime<Utc>,
    ) -> Result<(), VaultError> {
        sqlx::query("INSERT INTO look_up (person_no, organisation, name, at) VALUES (?, ?, ?, ?)")
            .bind(person.map(|person| person.0))
            .bind(portal.organisation.as_str())
            .bind(portal.name.as_str())
            .bind(at.to_rfc3339())
            .execute(&mut *self.connection().await)
            .await?;
        Ok(())
    }

    /// How the number of a person was used. Nothing is kept of whose codes were among those asked for in a run, so
    /// everybody is shown all runs.
    pub(super) async fn uses(&self, person: Option<PersonNo>) -> Result<IdentityUses, VaultError> {
        let mut connection = self.connection().await;
        let rows: Vec<(String, String)> =
            sqlx::query_as("SELECT at, organisation FROM look_up WHERE person_no = ? ORDER BY id")
                .bind(person.map(|person| person.0))
                .fetch_all(&mut *connection)
                .await?;
        let look_ups = rows.into_iter().map(|(at, organisation)| {
            let at = DateTime::parse_from_rfc3339(&at).map_err(|_| VaultError::Damaged)?;
            let organisation = organisation.try_into().map_err(|_| VaultError::Damaged)?;
            Ok(LookUp { at: at.with_timezone(&Utc), organisation })
        });
        let rows: Vec<(String, String, u32, String, String)> = sqlx::query_as(
            "SELECT project, register, COUNT(*), MIN(substr(issued, 1, 10)), MAX(substr(issued, 1, 10))
             FROM linkage_run WHERE closed = 1 GROUP BY project, register ORDER BY project, register",
        )
        .fetch_all(&mut *connection)
        .await?;
        let derivations = rows.into_iter().map(|(project, register, runs, first, last)| {
            let day = |text: String| text.parse::<NaiveDate>().map_err(|_| VaultError::Damaged);
            Ok(Derivations {
                project: project.try_into().map_err(|_| VaultError::Damaged)?,
                register: register.try_into().map_err(|_| VaultError::Damaged)?,
                runs: runs.into(),
                first: day(first)?,
                last: day(last)?,
            })
        });
        Ok(IdentityUses {
            look_ups: look_ups.collect::<Result<_, VaultError>>()?,
            derivations: derivations.collect::<Result<_, VaultError>>()?,
        })
    }
}
