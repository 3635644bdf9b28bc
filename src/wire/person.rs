//! The service for citizen portals: everything in it is about the person that a ticket stands for.

use std::pin::Pin;
use std::sync::Arc;

use futures::Stream;
use tonic::{Request, Response, Status};

use super::access::caller;
use super::decode;
use super::encode;
use super::proto::person_server::{Person, PersonServer};
use super::proto::{
    ErasePersonRequest, ErasePersonResponse, OwnRows, ReadPersonLogRequest, ReadPersonLogResponse,
    ReadPersonRowsRequest, ReadRestrictionsRequest, ReadRestrictionsResponse, RequestCorrectionRequest,
    RequestCorrectionResponse, SetRestrictionRequest, SetRestrictionResponse,
};
use super::serve::MESSAGE_BYTES;
use crate::domain::person::CorrectionOf;
use crate::pipeline::Gateway;

pub(super) struct PersonService {
    gateway: Arc<Gateway>,
}

/// The service, to be added to the gateway's routes.
pub(super) fn service(gateway: Arc<Gateway>) -> PersonServer<PersonService> {
    PersonServer::new(PersonService { gateway }).max_decoding_message_size(MESSAGE_BYTES)
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Person for PersonService {
    type ReadLogStream = Answers<ReadPersonLogResponse>;
    type ReadRowsStream = Answers<OwnRows>;

    async fn read_log(
        &self,
        request: Request<ReadPersonLogRequest>,
    ) -> Result<Response<Self::ReadLogStream>, Status> {
        let caller = caller(&request)?;
        let ticket = decode::ticket(&request.into_inner().ticket)?;
        let log = self.gateway.person_log(&caller, &ticket).await?;
        let parts = encode::person_log(&log)?;
        Ok(Response::new(Box::pin(futures::stream::iter(parts.into_iter().map(Ok)))))
    }

    async fn read_rows(
        &self,
        request: Request<ReadPersonRowsRequest>,
    ) -> Result<Response<Self::ReadRowsStream>, Status> {
        let caller = caller(&request)?;
        let ticket = decode::ticket(&request.into_inner().ticket)?;
        let rows = self.gateway.person_rows(&caller, &ticket).await?;
        let parts = rows.into_iter().flat_map(encode::own_rows).map(Ok);
        Ok(Response::new(Box::pin(futures::stream::iter(parts))))
    }

    async fn request_correction(
        &self,
        request: Request<RequestCorrectionRequest>,
    ) -> Result<Response<RequestCorrectionResponse>, Status> {
        let caller = caller(&request)?;
        let message = request.into_inner();
        let ticket = decode::ticket(&message.ticket)?;
        let of = CorrectionOf {
            delivery: decode::digest("delivery", &message.delivery)?,
            dataset: decode::id("dataset", message.dataset)?,
            record: message.record,
            field: message.field,
        };
        let number = self.gateway.request_correction(&caller, &ticket, of, &message.text).await?;
        Ok(Response::new(RequestCorrectionResponse { number }))
    }

    async fn set_restriction(
        &self,
        request: Request<SetRestrictionRequest>,
    ) -> Result<Response<SetRestrictionResponse>, Status> {
        let caller = caller(&request)?;
        let message = request.into_inner();
        let ticket = decode::ticket(&message.ticket)?;
        let restriction = decode::restriction("restriction", message.restriction())?;
        let changed = self.gateway.restrict(&caller, &ticket, restriction, message.active).await?;
        Ok(Response::new(SetRestrictionResponse { changed }))
    }

    async fn read_restrictions(
        &self,
        request: Request<ReadRestrictionsRequest>,
    ) -> Result<Response<ReadRestrictionsResponse>, Status> {
        let caller = caller(&request)?;
        let ticket = decode::ticket(&request.into_inner().ticket)?;
        let changes = self.gateway.restrictions(&caller, &ticket).await?;
        let changes = changes.into_iter().map(encode::restriction_change).collect();
        Ok(Response::new(ReadRestrictionsResponse { changes }))
    }

    async fn erase(
        &self,
        request: Request<ErasePersonRequest>,
    ) -> Result<Response<ErasePersonResponse>, Status> {
        let caller = caller(&request)?;
        let ticket = decode::ticket(&request.into_inner().ticket)?;
        self.gateway.erase_person(&caller, &ticket).await?;
        Ok(Response::new(ErasePersonResponse {}))
    }
}
