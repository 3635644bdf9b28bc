//! The service for projects: approvals, their life, and what they cost.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::access::caller;
use super::decode::{self, FieldError};
use super::encode;
use super::proto::projects_server::{Projects, ProjectsServer};
use super::proto::{
    CostRequest, CostResponse, EnterRequest, GetRequest, ListRequest, ListResponse, ProjectState,
    RecordRequest, RegisterHoursRequest, RegisterHoursResponse, SignRequest, WorklistRequest,
    WorklistResponse,
};
use super::serve::MESSAGE_BYTES;
use crate::domain::canonical::Canonical;
use crate::pipeline::Gateway;

pub(super) struct ProjectsService {
    gateway: Arc<Gateway>,
}

/// The service, to be added to the gateway's routes.
pub(super) fn service(gateway: Arc<Gateway>) -> ProjectsServer<ProjectsService> {
    ProjectsServer::new(ProjectsService { gateway }).max_decoding_message_size(MESSAGE_BYTES)
}

#[tonic::async_trait]
impl Projects for ProjectsService {
    async fn enter(&self, request: Request<EnterRequest>) -> Result<Response<ProjectState>, Status> {
        let caller = caller(&request)?;
        let message = request.into_inner();
        let approval = decode::approval("canonical", &message.canonical)?;
        let received = decode::optional_day("received", &message.received)?;
        let state = self.gateway.enter_project(&caller, approval, received).await?;
        Ok(Response::new(encode::project_state(&state)?))
    }

    async fn sign(&self, request: Request<SignRequest>) -> Result<Response<ProjectState>, Status> {
        let caller = caller(&request)?;
        let message = request.into_inner();
        let project = decode::id("project", message.project)?;
        let digest = decode::digest("approval_digest", &message.approval_digest)?;
        let signature = message.signature.ok_or_else(|| FieldError::new("signature", "must be given"))?;
        let signature = decode::steward_signature(signature).map_err(|e| e.under("signature"))?;
        let state = self.gateway.sign_project(&caller, project, digest, signature).await?;
        Ok(Response::new(encode::project_state(&state)?))
    }

    async fn record(&self, request: Request<RecordRequest>) -> Result<Response<ProjectState>, Status> {
        let caller = caller(&request)?;
        let message = request.into_inner();
        let project = decode::id("project", message.project)?;
        let step = message.step.ok_or_else(|| FieldError::new("step", "must be given"))?;
        let step = decode::step(step).map_err(|e| e.under("step"))?;
        let state = self.gateway.record_step(&caller, &project, step).await?;
        Ok(Response::new(encode::project_state(&state)?))
    }

    async fn worklist(
        &self,
        request: Request<WorklistRequest>,
    ) -> Result<Response<WorklistResponse>, Status> {
        let items = self.gateway.worklist(&caller(&request)?).await?;
        Ok(Response::new(WorklistResponse { items: items.into_iter().map(encode::work_item).collect() }))
    }

    async fn register_hours(
        &self,
        request: Request<RegisterHoursRequest>,
    ) -> Result<Response<RegisterHoursResponse>, Status> {
        let caller = caller(&request)?;
        let message = request.into_inner();
        let project = decode::id("project", message.project)?;
        let entry = decode::id("entry", message.entry)?;
        let worked = (decode::date("day", &message.day)?, message.minutes);
        let what = decode::words("what", message.what)?;
        let registered = self.gateway.register_hours(&caller, &project, entry, worked, what).await?;
        Ok(Response::new(RegisterHoursResponse { registered }))
    }

    async fn cost(&self, request: Request<CostRequest>) -> Result<Response<CostResponse>, Status> {
        let caller = caller(&request)?;
        let project = decode::id("project", request.into_inner().project)?;
        let statement = self.gateway.cost(&caller, &project).await?;
        let canonical = statement.canonical().map_err(encode::not_encodable)?;
        Ok(Response::new(CostResponse { canonical }))
    }

    async fn get(&self, request: Request<GetRequest>) -> Result<Response<ProjectState>, Status> {
        let caller = caller(&request)?;
        let project = decode::id("project", request.into_inner().project)?;
        let state = self.gateway.project(&caller, &project).await?;
        Ok(Response::new(encode::project_state(&state)?))
    }

    async fn list(&self, request: Request<ListRequest>) -> Result<Response<ListResponse>, Status> {
        let states = self.gateway.projects(&caller(&request)?).await?;
        let projects = states.iter().map(encode::project_state).collect::<Result<_, _>>()?;
        Ok(Response::new(ListResponse { projects }))
    }
}
