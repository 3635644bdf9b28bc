//! The service for microdata that wait for stewards.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::access::caller;
use super::decode::{self, FieldError};
use super::encode;
use super::proto::microdata_server::{Microdata, MicrodataServer};
use super::proto::{
    ListHeldRequest, ListHeldResponse, RefuseHeldRequest, RefuseHeldResponse, SignHeldRequest,
    SignHeldResponse,
};
use super::serve::MESSAGE_BYTES;
use crate::pipeline::Gateway;

pub(super) struct MicrodataService {
    gateway: Arc<Gateway>,
}

/// The service, to be added to the gateway's routes.
pub(super) fn service(gateway: Arc<Gateway>) -> MicrodataServer<MicrodataService> {
    MicrodataServer::new(MicrodataService { gateway }).max_decoding_message_size(MESSAGE_BYTES)
}

#[tonic::async_trait]
impl Microdata for MicrodataService {
    async fn list_held(
        &self,
        request: Request<ListHeldRequest>,
    ) -> Result<Response<ListHeldResponse>, Status> {
        let all = self.gateway.held(&caller(&request)?).await?;
        let held = all.iter().map(encode::held).collect::<Result<_, _>>()?;
        Ok(Response::new(ListHeldResponse { held }))
    }

    async fn sign_held(
        &self,
        request: Request<SignHeldRequest>,
    ) -> Result<Response<SignHeldResponse>, Status> {
        let caller = caller(&request)?;
        let message = request.into_inner();
        let statement = message.statement.ok_or_else(|| FieldError::new("statement", "must be given"))?;
        let statement = decode::release_statement(statement).map_err(|e| e.under("statement"))?;
        let signature = message.signature.ok_or_else(|| FieldError::new("signature", "must be given"))?;
        let signature = decode::steward_signature(signature).map_err(|e| e.under("signature"))?;
        // In a task of its own: a call that is dropped must not leave half of a release.
        let gateway = Arc::clone(&self.gateway);
        let signing = tokio::spawn(async move { gateway.sign_held(&caller, statement, signature).await });
        let released =
            signing.await.map_err(|_| Status::internal("microdata.sign: the signature was not taken"))??;
        Ok(Response::new(SignHeldResponse { released }))
    }

    async fn refuse_held(
        &self,
        request: Request<RefuseHeldRequest>,
    ) -> Result<Response<RefuseHeldResponse>, Status> {
        let caller = caller(&request)?;
        let message = request.into_inner();
        let reason = decode::held_refusal("reason", message.reason())?;
        let run = decode::id("run", message.run)?;
        self.gateway.refuse_held(&caller, &run, reason).await?;
        Ok(Response::new(RefuseHeldResponse {}))
    }
}
