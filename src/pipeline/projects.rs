//! Project approvals: entered, signed, read.

use super::{Gateway, entry};
use crate::audit::{ActionRefused, ApprovalEntered, ApprovalSigned};
use crate::authorise::{Action, Caller, Resource, Role};
use crate::domain::answer::ProjectState;
use crate::domain::approval::{Approval, ApprovalError, SignedApproval, StewardSignature, VerifiedApproval};
use crate::domain::canonical::{Canonical, Digest};
use crate::domain::ids::ProjectId;
use crate::domain::refusal::{Refusal, RefusalKind};
use crate::store::StoredApproval;

impl Gateway {
    /// A steward enters an approval. It is without force until two different stewards have signed.
    ///
    /// # Errors
    /// A [`Refusal`] by policy, because a text does not fit, or because the version is not the
    /// next one.
    pub async fn enter_project(&self, caller: &Caller, approval: Approval) -> Result<ProjectState, Refusal> {
        let project = approval.project.clone();
        self.may(caller, Action::EnterProject, Resource::Project(&approval), Some(&project)).await?;
        approval
            .check_texts()
            .map_err(|error| Refusal::new(RefusalKind::Invalid, "approval.text", error.to_string()))?;
        let digest = approval.digest().map_err(|_| unreadable())?;
        let mut recording = self.audit.begin().await?;
        if recording.write().enter_project(&approval, self.clock.now()).await? {
            let event = ApprovalEntered { approval: digest, version: approval.version };
            recording.commit(entry(caller, Some(project.clone()), None, event)).await?;
        }
        self.state_of(&project, &digest).await
    }

    /// A steward adds the own signature to an approval.
    ///
    /// # Errors
    /// A [`Refusal`]: by policy, because the signature is another's, or because it does not verify.
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
        if recording.write().sign_project(&project, &digest, &signature, self.clock.now()).await? {
            let event = ApprovalSigned { approval: digest, steward: signature.steward };
            recording.commit(entry(caller, Some(project.clone()), None, event)).await?;
        }
        self.state_of(&project, &digest).await
    }

    /// A project's newest approval.
    ///
    /// # Errors
    /// A [`Refusal`]; a caller that may not see a project is not told whether there is one.
    pub async fn project(&self, caller: &Caller, project: &ProjectId) -> Result<ProjectState, Refusal> {
        let newest = self.store.project(project).await?.into_iter().next();
        let newest = newest.ok_or_else(no_project)?;
        let resource = Resource::Project(&newest.signed.approval);
        match self.may(caller, Action::ReadProject, resource, Some(project)).await {
            Ok(()) => Ok(self.state(newest)),
            Err(_) if caller.role() == Role::Researcher => Err(no_project()),
            Err(refusal) => Err(refusal),
        }
    }

    /// Every project's newest approval.
    ///
    /// # Errors
    /// A [`Refusal`] by policy.
    pub async fn projects(&self, caller: &Caller) -> Result<Vec<ProjectState>, Refusal> {
        self.may(caller, Action::ListProjects, Resource::Gateway, None).await?;
        let mut states = Vec::new();
        for project in self.store.projects().await? {
            states.extend(self.store.project(&project).await?.into_iter().next().map(|p| self.state(p)));
        }
        Ok(states)
    }

    /// The newest approval of a project that two stewards have signed.
    pub(super) async fn approval_in_force(&self, project: &ProjectId) -> Result<VerifiedApproval, Refusal> {
        let versions = self.store.project(project).await?;
        if versions.is_empty() {
            return Err(no_project());
        }
        let in_force = versions.iter().find_map(|stored| stored.signed.verify(&self.stewards).ok());
        in_force.ok_or_else(|| {
            let hint = "the project's approval is not in force: two different stewards must sign it";
            Refusal::new(RefusalKind::Precondition, "approval.not_signed", hint)
        })
    }

    /// The approval of a project with this digest.
    pub(super) async fn stored(
        &self,
        project: &ProjectId,
        digest: &Digest,
    ) -> Result<StoredApproval, Refusal> {
        let versions = self.store.project(project).await?;
        versions.into_iter().find(|stored| stored.digest == *digest).ok_or_else(|| {
            let hint = "the project has no approval with this digest; show the project to see its digest";
            Refusal::new(RefusalKind::NotFound, "approval.unknown", hint)
        })
    }

    async fn state_of(&self, project: &ProjectId, digest: &Digest) -> Result<ProjectState, Refusal> {
        Ok(self.state(self.stored(project, digest).await?))
    }

    fn state(&self, stored: StoredApproval) -> ProjectState {
        let active = stored.signed.verify(&self.stewards).is_ok();
        ProjectState { approval: stored.signed, digest: stored.digest, active }
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

fn unreadable() -> Refusal {
    Refusal::new(RefusalKind::Invalid, "approval.encoding", "the approval cannot be encoded")
}
