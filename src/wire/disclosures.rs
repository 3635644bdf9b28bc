//! The service for the overview of disclosures.

use std::sync::Arc;

use futures::stream::BoxStream;
use tonic::{Request, Response, Status};

use super::access::caller;
use super::encode;
use super::proto::disclosures_server::{Disclosures, DisclosuresServer};
use super::proto::{
    Correction, FetchCorrectionsRequest, ListCorrectionsRequest, ListCorrectionsResponse,
    ListDisclosuresRequest, ListDisclosuresResponse, ListReservationsRequest, ListReservationsResponse,
};
use super::serve::MESSAGE_BYTES;
use crate::pipeline::Gateway;

pub(super) struct DisclosuresService {
    gateway: Arc<Gateway>,
}

/// The service, to be added to the gateway's routes.
pub(super) fn service(gateway: Arc<Gateway>) -> DisclosuresServer<DisclosuresService> {
    DisclosuresServer::new(DisclosuresService { gateway }).max_decoding_message_size(MESSAGE_BYTES)
}

#[tonic::async_trait]
impl Disclosures for DisclosuresService {
    async fn list(
        &self,
        request: Request<ListDisclosuresRequest>,
    ) -> Result<Response<ListDisclosuresResponse>, Status> {
        let caller = caller(&request)?;
        let listed = self.gateway.disclosures(&caller, request.into_inner().after).await?;
        let disclosures = listed.iter().map(encode::disclosure).collect::<Result<_, _>>()?;
        Ok(Response::new(ListDisclosuresResponse { disclosures }))
    }

    async fn list_corrections(
        &self,
        request: Request<ListCorrectionsRequest>,
    ) -> Result<Response<ListCorrectionsResponse>, Status> {
        let caller = caller(&request)?;
        let corrections = self.gateway.corrections(&caller, request.into_inner().after).await?;
        let corrections = corrections.into_iter().map(encode::correction).collect();
        Ok(Response::new(ListCorrectionsResponse { corrections }))
    }

    type FetchCorrectionsStream = BoxStream<'static, Result<Correction, Status>>;

    async fn fetch_corrections(
        &self,
        request: Request<FetchCorrectionsRequest>,
    ) -> Result<Response<Self::FetchCorrectionsStream>, Status> {
        let caller = caller(&request)?;
        let corrections = self.gateway.fetch_corrections(&caller, request.into_inner().after).await?;
        let corrections = corrections.into_iter().map(|correction| Ok(encode::correction(correction)));
        Ok(Response::new(Box::pin(futures::stream::iter(corrections))))
    }

    async fn list_reservations(
        &self,
        request: Request<ListReservationsRequest>,
    ) -> Result<Response<ListReservationsResponse>, Status> {
        let persons = self.gateway.reservations(&caller(&request)?).await?;
        let person_no = persons.into_iter().map(|person| person.0).collect();
        Ok(Response::new(ListReservationsResponse { person_no }))
    }
}
