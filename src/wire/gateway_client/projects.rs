//! Projects: approvals, their life, and what they cost.

use chrono::NaiveDate;

use super::{ClientError, GatewayClient};
use crate::domain::answer::ProjectState;
use crate::domain::approval::{Approval, StewardSignature};
use crate::domain::canonical::{Canonical, Digest};
use crate::domain::cost::Statement;
use crate::domain::ids::{ProjectId, RequestId};
use crate::domain::lifecycle::Step;
use crate::domain::words::Words;
use crate::domain::worklist::WorkItem;
use crate::wire::proto::projects_client::ProjectsClient;
use crate::wire::token_client::Line;
use crate::wire::{decode, encode, proto};

impl GatewayClient {
    fn projects(&self) -> ProjectsClient<Line> {
        ProjectsClient::new(self.line.clone())
    }

    /// Enters the approval that an application asks for, received on a day, today if none is named; for stewards. It is
    /// without force until it is marked complete and two stewards have signed.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn enter_project(
        &self,
        approval: &Approval,
        received: Option<NaiveDate>,
    ) -> Result<ProjectState, ClientError> {
        let received = received.map(|day| day.to_string()).unwrap_or_default();
        let request = proto::EnterRequest { canonical: approval.canonical()?, received };
        Ok(decode::project_state(self.projects().enter(request).await?.into_inner())?)
    }

    /// Adds a signature to an approval with this digest, which is marked complete; for stewards.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn sign_project(
        &self,
        project: &ProjectId,
        digest: Digest,
        signature: &StewardSignature,
    ) -> Result<ProjectState, ClientError> {
        let request = proto::SignRequest {
            project: project.to_string(),
            approval_digest: digest.to_string(),
            signature: Some(encode::steward_signature(signature).map_err(ClientError::Signature)?),
        };
        Ok(decode::project_state(self.projects().sign(request).await?.into_inner())?)
    }

    /// A project; for stewards, auditors and the recipients' researchers.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn project(&self, project: &ProjectId) -> Result<ProjectState, ClientError> {
        let request = proto::GetRequest { project: project.to_string() };
        Ok(decode::project_state(self.projects().get(request).await?.into_inner())?)
    }

    /// All projects; for stewards and auditors.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn list_projects(&self) -> Result<Vec<ProjectState>, ClientError> {
        let answer = self.projects().list(proto::ListRequest {}).await?.into_inner();
        Ok(answer.projects.into_iter().map(decode::project_state).collect::<Result<_, _>>()?)
    }

    /// Records a step in the life of a project; for stewards.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn record_step(&self, project: &ProjectId, step: &Step) -> Result<ProjectState, ClientError> {
        let request = proto::RecordRequest { project: project.to_string(), step: Some(encode::step(step)) };
        Ok(decode::project_state(self.projects().record(request).await?.into_inner())?)
    }

    /// The applications that wait for an answer, the most urgent first; for stewards and auditors.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn worklist(&self) -> Result<Vec<WorkItem>, ClientError> {
        let answer = self.projects().worklist(proto::WorklistRequest {}).await?.into_inner();
        Ok(answer.items.into_iter().map(decode::work_item).collect::<Result<_, _>>()?)
    }

    /// Registers own hours on a project, by day and minutes; for stewards. Returns whether the entry is new.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn register_hours(
        &self,
        project: &ProjectId,
        entry: &RequestId,
        (day, minutes): (NaiveDate, i32),
        what: &Words,
    ) -> Result<bool, ClientError> {
        let request = proto::RegisterHoursRequest {
            project: project.to_string(),
            entry: entry.to_string(),
            day: day.to_string(),
            minutes,
            what: what.to_string(),
        };
        Ok(self.projects().register_hours(request).await?.into_inner().registered)
    }

    /// What a project has cost so far; for stewards.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn cost(&self, project: &ProjectId) -> Result<Statement, ClientError> {
        let request = proto::CostRequest { project: project.to_string() };
        let answer = self.projects().cost(request).await?.into_inner();
        Ok(Statement::from_canonical(&answer.canonical)?)
    }
}
