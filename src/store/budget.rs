//! Privacy budgets: reserved before any data are read, never given back.

use chrono::{DateTime, Utc};
use sqlx::any::AnyRow;

use crate::domain::ids::{ProjectId, RunId};
use crate::domain::rho::Rho;

use super::error::StoreError;
use super::open::{Store, Write};
use super::phase::Phase;
use super::rows::{int, name, number, parsed, stamp};

/// What a run may spend of its project's privacy budget. Made only here, after the reservation is on disk;
/// not `Clone`:
///
/// ```compile_fail,E0599
/// fn twice(lease: kpr::store::BudgetLease) {
///     let copy = lease.clone();
/// }
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct BudgetLease {
    run: RunId,
    project: ProjectId,
    rho: Rho,
    left_before: Rho,
    left_after: Rho,
}

impl BudgetLease {
    /// The run it is for.
    #[must_use]
    pub const fn run(&self) -> &RunId {
        &self.run
    }

    /// The project whose budget it is of.
    #[must_use]
    pub const fn project(&self) -> &ProjectId {
        &self.project
    }

    /// What may be spent.
    #[must_use]
    pub const fn rho(&self) -> Rho {
        self.rho
    }

    /// What was left of the project's budget before.
    #[must_use]
    pub const fn left_before(&self) -> Rho {
        self.left_before
    }

    /// What was left after.
    #[must_use]
    pub const fn left_after(&self) -> Rho {
        self.left_after
    }

    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        let (rho, allowance) = (loss(row, "rho")?, loss(row, "allowance")?);
        let corrupt = || StoreError::Corrupt("reservation within its budget");
        let left_before = allowance.minus(loss(row, "spent_before")?).ok_or_else(corrupt)?;
        let left_after = left_before.minus(rho).ok_or_else(corrupt)?;
        Ok(Self { run: name(row, "run")?, project: name(row, "project")?, rho, left_before, left_after })
    }
}

fn loss(row: &AnyRow, column: &str) -> Result<Rho, StoreError> {
    Rho::from_units(number(row, column)?).map_err(|_| StoreError::Corrupt("privacy loss"))
}

/// Everything that runs of a project have reserved.
const SPENT: &str =
    "SELECT CAST(COALESCE(SUM(rho), 0) AS BIGINT) AS spent FROM budget_reservations WHERE project = $1";

impl Store {
    /// What the runs of a project have reserved of its privacy budget, whatever became of them.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn budget_spent(&self, project: &ProjectId) -> Result<Rho, StoreError> {
        loss(&sqlx::query(SPENT).bind(project.as_str()).fetch_one(&self.pool).await?, "spent")
    }
}

impl Write {
    /// Reserves a run's privacy loss out of its project's budget, whose whole is `allowance` by the approval
    /// in force. What may be spent comes from [`Write::commit_lease`], once this is on disk; here what is left of the
    /// budget is told. A new reservation is made before the run has touched any data; the same
    /// again gives the same lease and spends nothing, so that a run can be taken up after a crash. Only
    /// one result of a run is ever released, so two leases of it spend what one does.
    ///
    /// # Errors
    /// [`StoreError::BudgetExceeded`], [`StoreError::OtherReservation`], [`StoreError::NoSuchRun`],
    /// [`StoreError::PhaseOrder`] for a run that has ended or has begun without a reservation,
    /// [`StoreError::Database`]. Nothing is reserved then.
    pub async fn reserve_budget(
        &mut self,
        run: &RunId,
        rho: Rho,
        allowance: Rho,
        now: DateTime<Utc>,
    ) -> Result<Rho, StoreError> {
        if rho == Rho::ZERO {
            return Err(StoreError::OtherReservation(run.clone()));
        }
        let row = sqlx::query("SELECT project, phase FROM runs WHERE run = $1")
            .bind(run.as_str())
            .fetch_optional(&mut *self.tx)
            .await?
            .ok_or_else(|| StoreError::NoSuchRun(run.clone()))?;
        let (project, phase): (ProjectId, Phase) = (name(&row, "project")?, parsed(&row, "phase")?);
        self.hold_budget(&project).await?;
        if let Some(lease) = self.reserved(run).await? {
            return match (lease.rho == rho, phase.is_end()) {
                (true, false) => {
                    let left = lease.left_after;
                    self.reserved = Some(lease);
                    Ok(left)
                }
                (true, true) => Err(StoreError::PhaseOrder(run.clone())),
                (false, _) => Err(StoreError::OtherReservation(run.clone())),
            };
        }
        if phase != Phase::Authorised {
            return Err(StoreError::PhaseOrder(run.clone()));
        }
        let spent =
            loss(&sqlx::query(SPENT).bind(project.as_str()).fetch_one(&mut *self.tx).await?, "spent")?;
        // An approval can be followed by one with a smaller budget.
        let left = allowance.minus(spent).unwrap_or(Rho::ZERO);
        let Some(left_after) = left.minus(rho) else {
            return Err(StoreError::BudgetExceeded { project, asked: rho, left, allowance });
        };
        sqlx::query(
            "INSERT INTO budget_reservations (run, project, rho, allowance, spent_before, reserved) \
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(run.as_str())
        .bind(project.as_str())
        .bind(int(rho.units())?)
        .bind(int(allowance.units())?)
        .bind(int(spent.units())?)
        .bind(stamp(now))
        .execute(&mut *self.tx)
        .await?;
        self.reserved = Some(BudgetLease { run: run.clone(), project, rho, left_before: left, left_after });
        Ok(left_after)
    }

    /// Holds a project's budget until this transaction ends: what is read of it after stays true.
    async fn hold_budget(&mut self, project: &ProjectId) -> Result<(), StoreError> {
        for hold in [
            "INSERT INTO budgets (project) VALUES ($1) ON CONFLICT DO NOTHING",
            "UPDATE budgets SET project = project WHERE project = $1",
        ] {
            sqlx::query(hold).bind(project.as_str()).execute(&mut *self.tx).await?;
        }
        Ok(())
    }

    /// The lease of a run that has reserved before.
    async fn reserved(&mut self, run: &RunId) -> Result<Option<BudgetLease>, StoreError> {
        let row = sqlx::query(
            "SELECT run, project, rho, allowance, spent_before FROM budget_reservations WHERE run = $1",
        )
        .bind(run.as_str())
        .fetch_optional(&mut *self.tx)
        .await?;
        row.as_ref().map(BudgetLease::read).transpose()
    }
}

#[cfg(test)]
#[path = "budget_tests.rs"]
mod tests;
