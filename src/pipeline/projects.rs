//! Project approvals: entered, signed, read.

use chrono::NaiveDate;

use super::lifecycle::steward;
use super::{Gateway, entry};
use crate::audit::{ActionRefused, ApplicationReceived, ApprovalEntered, ApprovalSigned, Event};
use crate::authorise::{Action, Caller, Resource, Role};
use crate::domain::answer::ProjectState;
use crate::domain::approval::{Approval, ApprovalError, SignedApproval, StewardSignature, VerifiedApproval};
use crate::domain::canonical::{Canonical, Digest};
use crate::domain::ids::ProjectId;
use crate::domain::lifecycle::{ActiveApproval, Inactive, Life, Standing};
use crate::domain::query::Query;
use crate::domain::refusal::{Refusal, RefusalKind};
use crate::domain::worklist;
use crate::store::{StoreError, StoredApproval};

impl Gateway {
    /// A steward enters an approval: the application for it was received on a day, today if none is named. It is without
    /// force until it is marked complete and two different stewards have signed.
    ///
    /// # Errors
    /// A [`Refusal`] by policy, because a text does not fit, because the version is not the next one, or because
    /// another application of the project is still to be decided.
    pub async fn enter_project(
        &self,
        caller: &Caller,
        approval: Approval,
        received: Option<NaiveDate>,
    ) -> Result<ProjectState, Refusal> {
        let project = approval.project.clone();
        self.may(caller, Action::EnterProject, Resource::Project(&approval), Some(&project)).await?;
        approval
            .check_texts()
            .map_err(|error| Refusal::new(RefusalKind::Invalid, "approval.text", error.to_string()))?;
        let digest = approval.digest().map_err(|_| unreadable())?;
        let (by, now) = (steward(caller)?, self.clock.now());
        let received = received.unwrap_or_else(|| now.date_naive());
        let mut recording = self.audit.begin().await?;
        match recording.write().enter_project(&approval, received, &by, now).await {
            Ok(false) => drop(recording),
            Ok(true) => {
                let on_project = |event: Event| entry(caller, Some(project.clone()), None, event);
                let entered = ApprovalEntered { approval: digest, version: approval.version };
                recording.add(on_project(entered.into())).await?;
                let received = ApplicationReceived { approval: digest, received };
                recording.commit(on_project(received.into())).await?;
            }
            Err(StoreError::Life(error)) => {
                drop(recording);
                return self.refused(caller, Action::EnterProject, Some(&project), error.into()).await;
            }
            Err(error) => return Err(error.into()),
        }
        self.state_of(&project, &digest).await
    }

    /// A steward adds the own signature to an approval that is marked complete. The second one puts it in force, in
    /// place of the version before, whose runs are stopped.
    ///
    /// # Errors
    /// A [`Refusal`]: by policy, because the signature is another's, because it does not verify, or because the
    /// application is not at that point.
    pub async fn sign_project(
        &self,
        caller: &Caller,
        project: ProjectId,
        digest: Digest,
        signature: StewardSignature,
    ) -> Result<ProjectState, Refusal> {
        let stored = self.stored(&project, &digest).await?;
        let approval = &stored.signed.approval;
        self.may(caller, Action::SignProject, Resource::Project(approval), Some(&project)).await?;
        if signature.steward.as_str() != caller.name() {
            let hint = "a steward signs with the own name: the one in the certificate of the call";
            let refusal = Refusal::new(RefusalKind::Denied, "approval.other_steward", hint);
            return self.refused(caller, Action::SignProject, Some(&project), refusal).await;
        }
        let alone = SignedApproval { approval: approval.clone(), signatures: vec![signature.clone()] };
        // One good signature is too few to be in force, and that is all that may be wrong with it.
        if !matches!(alone.verify(&self.stewards), Err(ApprovalError::TooFewSignatures(1))) {
            let hint = "the signature does not verify under the key configured for this steward";
            let refusal = Refusal::new(RefusalKind::Precondition, "approval.bad_signature", hint);
            return self.refused(caller, Action::SignProject, Some(&project), refusal).await;
        }
        let mut recording = self.audit.begin().await?;
        match recording.write().sign_project(&project, &digest, &signature, self.clock.now()).await {
            Ok(false) => drop(recording),
            Ok(true) => {
                let event = ApprovalSigned { approval: digest, steward: signature.steward };
                recording.commit(entry(caller, Some(project.clone()), None, event)).await?;
                self.life_changed().await;
            }
            Err(StoreError::Life(error)) => {
                drop(recording);
                return self.refused(caller, Action::SignProject, Some(&project), error.into()).await;
            }
            Err(error) => return Err(error.into()),
        }
        self.state_of(&project, &digest).await
    }

    /// A project's newest approval, and its history.
    ///
    /// # Errors
    /// A [`Refusal`]; a caller that may not see a project is not told whether there is one.
    pub async fn project(&self, caller: &Caller, project: &ProjectId) -> Result<ProjectState, Refusal> {
        let newest = self.store.project(project).await?.into_iter().next();
        let newest = newest.ok_or_else(no_project)?;
        let resource = Resource::Project(&newest.signed.approval);
        match self.may(caller, Action::ReadProject, resource, Some(project)).await {
            Ok(()) => self.state_of(project, &newest.digest).await,
            Err(_) if caller.role() == Role::Researcher => Err(no_project()),
            Err(refusal) => Err(refusal),
        }
    }

    /// Every project's newest approval, and its history.
    ///
    /// # Errors
    /// A [`Refusal`] by policy.
    pub async fn projects(&self, caller: &Caller) -> Result<Vec<ProjectState>, Refusal> {
        self.may(caller, Action::ListProjects, Resource::Gateway, None).await?;
        let mut states = Vec::new();
        for project in self.store.projects().await? {
            if let Some(newest) = self.store.project(&project).await?.first() {
                states.push(self.state_of(&project, &newest.digest).await?);
            }
        }
        Ok(states)
    }

    /// The approval of a query's project that it may be asked under today.
    pub(super) async fn active_approval(
        &self,
        caller: &Caller,
        query: &Query,
    ) -> Result<ActiveApproval, Refusal> {
        let (life, approval) = self.in_force(&query.project).await?;
        // Who may not ask is told that, and not how the project stands.
        let registers = self.catalogue.sections().of_query(query);
        let on = Resource::Query { approval: approval.approval(), registers: &registers };
        self.policies.now().may(caller, Action::SubmitQuery, on)?;
        Ok(life.active(approval, self.clock.today())?)
    }

    /// The version of a project's approval that is in force, its signatures verified under the keys that count now.
    pub(super) async fn in_force(&self, project: &ProjectId) -> Result<(Life, VerifiedApproval), Refusal> {
        let versions = self.store.project(project).await?;
        if versions.is_empty() {
            return Err(no_project());
        }
        let life = self.store.life(project).await?;
        let version = life.in_force();
        let stored = versions.iter().find(|stored| Some(stored.signed.approval.version) == version);
        let verified = stored.and_then(|stored| stored.signed.verify(&self.stewards).ok());
        Ok((life, verified.ok_or(Inactive::NothingInForce)?))
    }

    /// The approval of a project with this digest.
    pub(super) async fn stored(
        &self,
        project: &ProjectId,
        digest: &Digest,
    ) -> Result<StoredApproval, Refusal> {
        let versions = self.store.project(project).await?;
        versions.into_iter().find(|stored| stored.digest == *digest).ok_or_else(unknown_approval)
    }

    /// The project, seen from the version of its approval with this digest.
    pub(super) async fn state_of(
        &self,
        project: &ProjectId,
        digest: &Digest,
    ) -> Result<ProjectState, Refusal> {
        let versions = self.store.project(project).await?;
        let history = self.store.history(project).await?;
        let life = Life::of(&history).map_err(|_| StoreError::Corrupt("step that follows in a history"))?;
        let of = |version: u32| versions.iter().find(|stored| stored.signed.approval.version == version);
        let in_force = life.in_force().and_then(of);
        let standing = match in_force {
            Some(stored) if stored.signed.verify(&self.stewards).is_err() => Standing::Unverified,
            stored => life.standing(stored.map(|stored| stored.signed.approval.valid), self.clock.today()),
        };
        let shown = versions.iter().find(|stored| stored.digest == *digest).ok_or_else(unknown_approval)?;
        let application = life.application(shown.signed.approval.version);
        Ok(ProjectState {
            due: application.and_then(|application| worklist::due(&shown.signed.approval, application)),
            approval: shown.signed.clone(),
            digest: *digest,
            standing,
            in_force: life.in_force(),
            history,
        })
    }

    /// Asks the policies, and records a refusal.
    pub(super) async fn may(
        &self,
        caller: &Caller,
        action: Action,
        on: Resource<'_>,
        project: Option<&ProjectId>,
    ) -> Result<(), Refusal> {
        let Err(refusal) = self.policies.now().may(caller, action, on) else { return Ok(()) };
        self.refused(caller, action, project, refusal).await
    }

    /// Refuses, and records it first.
    pub(super) async fn refused<T>(
        &self,
        caller: &Caller,
        action: Action,
        project: Option<&ProjectId>,
        refusal: Refusal,
    ) -> Result<T, Refusal> {
        let event = ActionRefused { action: action.as_str().to_owned(), code: refusal.code.to_owned() };
        self.audit.append(entry(caller, project.cloned(), None, event)).await?;
        Err(refusal)
    }
}

pub(super) fn no_project() -> Refusal {
    let hint = "no such project, or not one of the caller's organisation";
    Refusal::new(RefusalKind::NotFound, "project.unknown", hint)
}

fn unknown_approval() -> Refusal {
    let hint = "the project has no approval with this digest; show the project to see its digest";
    Refusal::new(RefusalKind::NotFound, "approval.unknown", hint)
}

fn unreadable() -> Refusal {
    Refusal::new(RefusalKind::Invalid, "approval.encoding", "the approval cannot be encoded")
}
