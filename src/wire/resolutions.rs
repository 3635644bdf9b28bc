//! The service for resolutions of serial numbers.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::access::caller;
use super::decode::{self, FieldError};
use super::encode;
use super::proto::resolutions_server::{Resolutions, ResolutionsServer};
use super::proto::{
    ListResolutionsRequest, ListResolutionsResponse, SignResolutionRequest, SignResolutionResponse,
};
use super::serve::MESSAGE_BYTES;
use crate::domain::refusal::Refusal;
use crate::domain::refusal::RefusalKind;
use crate::pipeline::Gateway;

pub(super) struct ResolutionsService {
    gateway: Arc<Gateway>,
}

/// The service, to be added to the gateway's routes.
pub(super) fn service(gateway: Arc<Gateway>) -> ResolutionsServer<ResolutionsService> {
    ResolutionsServer::new(ResolutionsService { gateway }).max_decoding_message_size(MESSAGE_BYTES)
}

#[tonic::async_trait]
impl Resolutions for ResolutionsService {
    async fn sign(
        &self,
        request: Request<SignResolutionRequest>,
    ) -> Result<Response<SignResolutionResponse>, Status> {
        let caller = caller(&request)?;
        let message = request.into_inner();
        let statement = decode::resolution_statement("statement", &message.statement)?;
        let signature = message.signature.ok_or_else(|| FieldError::new("signature", "must be given"))?;
        let signature = decode::steward_signature(signature).map_err(|e| e.under("signature"))?;
        // In a task of its own: a call that is dropped must not leave half of it.
        let gateway = Arc::clone(&self.gateway);
        let signing =
            tokio::spawn(async move { gateway.sign_resolution(&caller, &statement, &signature).await });
        let stopped = || {
            let hint = "the gateway is shutting down; sign again when it is back";
            Refusal::new(RefusalKind::Unavailable, "resolution.stopped", hint)
        };
        let handed_over = signing.await.map_err(|_| stopped())??;
        Ok(Response::new(SignResolutionResponse { handed_over }))
    }

    async fn list(
        &self,
        request: Request<ListResolutionsRequest>,
    ) -> Result<Response<ListResolutionsResponse>, Status> {
        let waiting = self.gateway.waiting_resolutions(&caller(&request)?).await?;
        let resolutions = waiting.iter().map(encode::waiting_resolution).collect::<Result<_, _>>()?;
        Ok(Response::new(ListResolutionsResponse { resolutions }))
    }
}
