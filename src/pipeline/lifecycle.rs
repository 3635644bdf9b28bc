//! The life of projects: what stewards record, what it stops at once, and what waits for an answer.

use super::projects::no_project;
use super::{Gateway, entry};
use crate::audit::{
    ApplicationComplete, ApplicationEnded, ApplicationIncomplete, Event, PreliminaryAnswerGiven,
    ProjectClosed, ProjectSuspended, SuspensionLifted,
};
use crate::authorise::{Action, ApprovedQuery, Caller, Resource};
use crate::domain::answer::ProjectState;
use crate::domain::approval::Approval;
use crate::domain::canonical::Digest;
use crate::domain::ids::{ProjectId, StewardId};
use crate::domain::lifecycle::{Inactive, LifeError, Step};
use crate::domain::refusal::{Refusal, RefusalKind};
use crate::domain::worklist::{self, WorkItem};
use crate::store::StoreError;

impl Gateway {
    /// A steward records a step in a project's life. Suspension and closure take effect at once: with the step on disk
    /// nothing more is released, and the project's runs are stopped.
    ///
    /// # Errors
    /// A [`Refusal`]: by policy, because the step has a way of its own, or because it does not follow.
    pub async fn record_step(
        &self,
        caller: &Caller,
        project: &ProjectId,
        step: Step,
    ) -> Result<ProjectState, Refusal> {
        let versions = self.store.project(project).await?;
        let newest = versions.first().ok_or_else(no_project)?;
        let about = match step.version() {
            None => newest,
            Some(version) => versions
                .iter()
                .find(|stored| stored.signed.approval.version == version)
                .ok_or_else(|| Refusal::from(LifeError::NoVersion(version)))?,
        };
        let digest = about.digest;
        let action = action(&step)?;
        self.may(caller, action, Resource::Project(&about.signed.approval), Some(project)).await?;
        let by = steward(caller)?;
        let event = event(&step, digest);
        let mut recording = self.audit.begin().await?;
        match recording.write().record_step(project, step, &by, self.clock.now()).await {
            Ok(_) => recording.commit(entry(caller, Some(project.clone()), None, event)).await?,
            Err(StoreError::Life(error)) => {
                drop(recording);
                return self.refused(caller, action, Some(project), error.into()).await;
            }
            Err(error) => return Err(error.into()),
        };
        self.life_changed().await;
        self.state_of(project, &digest).await
    }

    /// Wakes the runs, which look whether they may go on, and erases held microdata that can never be released, and linked rows
    /// that can never be used again.
    pub(super) async fn life_changed(&self) {
        self.tick();
        if let Err(refusal) = self.lapse().await {
            // They are not released: every release looks too. The hourly round erases them.
            tracing::error!(code = refusal.code, "held microdata could not be erased");
        }
        if let Err(refusal) = self.reap_linked_sets().await {
            tracing::error!(code = refusal.code, "kept linked rows could not be deleted");
        }
    }

    /// Waits until nothing may be asked under a query's approval any more, and says why. Whether a result is released does
    /// not depend on it, so a database that does not answer is no reason here: the transaction of the release looks itself.
    pub(super) async fn revoked(&self, approved: &ApprovedQuery) -> Refusal {
        self.stopped_under(approved.approval().approval()).await
    }

    /// As [`Gateway::revoked`], for any approval.
    pub(super) async fn stopped_under(&self, approval: &Approval) -> Refusal {
        let mut ticks = self.ticks.subscribe();
        loop {
            ticks.borrow_and_update();
            if let Ok(life) = self.store.life(&approval.project).await
                && let Err(why) = life.permits(approval.version, approval.valid, self.clock.today())
            {
                return why.into();
            }
            // An approval's last day ends without a tick.
            let _ = tokio::time::timeout(super::runs::LOOK, ticks.changed()).await;
        }
    }

    /// The applications that wait for an answer, the most urgent first.
    ///
    /// # Errors
    /// A [`Refusal`] by policy.
    pub async fn worklist(&self, caller: &Caller) -> Result<Vec<WorkItem>, Refusal> {
        self.may(caller, Action::ReadWorklist, Resource::Gateway, None).await?;
        let mut items = Vec::new();
        for project in self.store.projects().await? {
            let life = self.store.life(&project).await?;
            let newest = self.store.project(&project).await?.into_iter().next();
            let today = self.clock.today();
            items.extend(newest.and_then(|newest| worklist::item(&newest.signed.approval, &life, today)));
        }
        items.sort_by(|a, b| (a.urgency, a.due, &a.project).cmp(&(b.urgency, b.due, &b.project)));
        Ok(items)
    }

    /// Whether a project's life permits that its caller receives what was released: checked in the transaction that
    /// records it.
    pub(super) async fn may_receive(
        &self,
        write: &mut crate::store::Write,
        caller: &Caller,
        project: &ProjectId,
    ) -> Result<Approval, StoreError> {
        let in_force = write.must_not_be_stopped(project).await?;
        if in_force.recipients.contains(caller.organisation()) {
            Ok(in_force)
        } else {
            Err(Inactive::NotARecipient(caller.organisation().clone()).into())
        }
    }
}

/// The steward that a caller is.
pub(super) fn steward(caller: &Caller) -> Result<StewardId, Refusal> {
    StewardId::new(caller.name()).map_err(|rule| {
        let hint = format!("the name in the caller's certificate is recorded as a steward's, and {rule}");
        Refusal::new(RefusalKind::Invalid, "project.steward_name", hint)
    })
}

/// What the policies call the recording of a step.
fn action(step: &Step) -> Result<Action, Refusal> {
    match step {
        Step::Incomplete { .. }
        | Step::Complete { .. }
        | Step::Preliminary { .. }
        | Step::Rejected { .. }
        | Step::Withdrawn { .. } => Ok(Action::HandleApplication),
        Step::Suspended { .. } | Step::Lifted { .. } => Ok(Action::SuspendProject),
        Step::Closed { .. } => Ok(Action::CloseProject),
        Step::Received { .. } | Step::Signed { .. } => {
            let hint = "an application is received by entering its approval, and signed with a signature";
            Err(Refusal::new(RefusalKind::Invalid, "project.step", hint))
        }
    }
}

/// What the audit log records of a step. Of one without a leaf of its own, `action` has refused.
fn event(step: &Step, approval: Digest) -> Event {
    let how = || step.kind().to_owned();
    match step.clone() {
        Step::Incomplete { missing, .. } => ApplicationIncomplete { approval, missing }.into(),
        Step::Complete { day: complete, .. } => ApplicationComplete { approval, complete }.into(),
        Step::Preliminary { reason, likely, .. } => {
            PreliminaryAnswerGiven { approval, reason, likely }.into()
        }
        Step::Rejected { reason, .. } | Step::Withdrawn { reason, .. } => {
            ApplicationEnded { approval, how: how(), reason }.into()
        }
        Step::Suspended { reason } => ProjectSuspended { reason }.into(),
        Step::Lifted { reason } => SuspensionLifted { reason }.into(),
        Step::Closed { reason } => ProjectClosed { reason }.into(),
        Step::Received { day: received, .. } => {
            crate::audit::ApplicationReceived { approval, received }.into()
        }
        Step::Signed { steward, .. } => crate::audit::ApprovalSigned { approval, steward }.into(),
    }
}
