//! What projects cost: hours registered, machine work kept, and the statement made of both.

use super::lifecycle::steward;
use super::projects::no_project;
use super::{Gateway, entry};
use crate::audit::{CostStated, HoursRegistered};
use crate::authorise::{Action, Caller, Resource};
use crate::domain::canonical::Canonical;
use crate::domain::cost::{Hours, Statement};
use crate::domain::ids::{ProjectId, RequestId, RunId};
use crate::domain::refusal::{Refusal, RefusalKind};
use crate::domain::words::Words;
use crate::store::StoreError;
use crate::telemetry::logged;

impl Gateway {
    /// Keeps what a run took of the machine. If that fails, the run's project is charged nothing for it.
    pub(super) async fn keep_work(&self, run: &RunId) {
        let Some(work) = self.meter.leave(run) else { return };
        let kept = async {
            let mut write = self.store.write().await?;
            write.keep_work(run, work).await?;
            write.commit().await
        };
        if kept.await.is_err() {
            tracing::error!(run = %logged(run), "the work of a run could not be kept");
        }
    }

    /// A steward registers own hours on a project. The same entry again is the same registration; returns whether it is
    /// new.
    ///
    /// # Errors
    /// A [`Refusal`]: by policy, or because the hours cannot be.
    pub async fn register_hours(
        &self,
        caller: &Caller,
        project: &ProjectId,
        entry_id: RequestId,
        (day, minutes): (chrono::NaiveDate, i32),
        what: Words,
    ) -> Result<bool, Refusal> {
        let newest = self.store.project(project).await?.into_iter().next().ok_or_else(no_project)?;
        let resource = Resource::Project(&newest.signed.approval);
        self.may(caller, Action::RegisterHours, resource, Some(project)).await?;
        let (project, steward) = (project.clone(), steward(caller)?);
        let hours = Hours { entry: entry_id, project, steward, day, minutes, what };
        let mut recording = self.audit.begin().await?;
        match recording.write().register_hours(&hours, self.clock.now()).await {
            Ok(false) => Ok(false),
            Ok(true) => {
                let Hours { entry: id, project, day, minutes, what, .. } = hours;
                let event = HoursRegistered { entry: id, day, minutes, what };
                recording.commit(entry(caller, Some(project), None, event)).await?;
                Ok(true)
            }
            Err(StoreError::Hours(error)) => {
                drop(recording);
                self.refused(caller, Action::RegisterHours, Some(&hours.project), error.into()).await
            }
            Err(error) => Err(error.into()),
        }
    }

    /// What a project has cost so far, at the configured rates. That it is stated is recorded first.
    ///
    /// # Errors
    /// A [`Refusal`]: by policy, or because no rates are configured.
    pub async fn cost(&self, caller: &Caller, project: &ProjectId) -> Result<Statement, Refusal> {
        let newest = self.store.project(project).await?.into_iter().next().ok_or_else(no_project)?;
        let resource = Resource::Project(&newest.signed.approval);
        self.may(caller, Action::ReadCost, resource, Some(project)).await?;
        let rates = self.rates.ok_or_else(|| {
            let hint = "no rates are configured; the gateway's configuration needs [cost] with ore_an_hour and \
                        ore_a_machine_hour";
            Refusal::new(RefusalKind::Precondition, "cost.no_rates", hint)
        })?;
        let (runs, hours) = (self.store.work(project).await?, self.store.hours(project).await?);
        let statement = Statement::new(project.clone(), self.clock.now(), rates, &runs, &hours);
        let digest = statement.digest().map_err(super::release::not_encodable)?;
        let event = CostStated { statement: digest, ore: statement.ore };
        self.audit.append(entry(caller, Some(project.clone()), None, event)).await?;
        Ok(statement)
    }
}
