//! The service for project approvals.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::access::caller;
use super::decode::{self, FieldError};
use super::encode;
use super::proto::projects_server::{Projects, ProjectsServer};
use super::proto::{EnterRequest, GetRequest, ListRequest, ListResponse, ProjectState, SignRequest};
use super::serve::MESSAGE_BYTES;
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
        let approval = decode::approval("canonical", &request.into_inner().canonical)?;
        let state = self.gateway.enter_project(&caller, approval).await?;
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
