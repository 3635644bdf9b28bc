//! The service for queries.

use std::pin::Pin;
use std::sync::Arc;

use futures::{Stream, StreamExt};
use tonic::{Request, Response, Status};

use super::access::caller;
use super::decode::{self, FieldError};
use super::encode;
use super::proto::queries_server::{Queries, QueriesServer};
use super::proto::{
    self, CheckRequest, CheckResponse, FetchRequest, FetchResponse, Phase, ReadConditionsRequest,
    ReadConditionsResponse, ReadDisclosureReportRequest, ReadDisclosureReportResponse, SubmitRequest,
    SubmitResponse, WatchRequest,
};
use super::serve::MESSAGE_BYTES;
use crate::domain::canonical::Canonical;
use crate::domain::query::Query;
use crate::pipeline::Gateway;

pub(super) struct QueriesService {
    gateway: Arc<Gateway>,
}

/// The service, to be added to the gateway's routes.
pub(super) fn service(gateway: Arc<Gateway>) -> QueriesServer<QueriesService> {
    QueriesServer::new(QueriesService { gateway }).max_decoding_message_size(MESSAGE_BYTES)
}

/// A stream of answers.
pub(super) type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn query(message: Option<proto::Query>) -> Result<Query, FieldError> {
    let message = message.ok_or_else(|| FieldError::new("query", "must be given"))?;
    decode::query(message).map_err(|e| e.under("query"))
}

#[tonic::async_trait]
impl Queries for QueriesService {
    type WatchStream = Answers<Phase>;
    type FetchStream = Answers<FetchResponse>;

    async fn check(&self, request: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        let caller = caller(&request)?;
        let query = query(request.into_inner().query)?;
        Ok(Response::new(encode::checked(self.gateway.check(&caller, query).await?)))
    }

    async fn submit(&self, request: Request<SubmitRequest>) -> Result<Response<SubmitResponse>, Status> {
        let caller = caller(&request)?;
        let message = request.into_inner();
        let request_id = decode::id("request_id", message.request_id)?;
        let query = query(message.query)?;
        let submission = self.gateway.submit(&caller, request_id, query).await?;
        Ok(Response::new(encode::submission(&submission)))
    }

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let caller = caller(&request)?;
        let run = decode::id("run", request.into_inner().run)?;
        let states = self.gateway.watch(&caller, run).await?;
        let phases = states.map(|state| Ok(encode::phase(state?)));
        Ok(Response::new(phases.boxed()))
    }

    async fn fetch(&self, request: Request<FetchRequest>) -> Result<Response<Self::FetchStream>, Status> {
        let caller = caller(&request)?;
        let message = request.into_inner();
        let format = decode::format("format", message.format())?;
        let run = decode::id("run", message.run)?;
        let accepted = decode::optional_digest("accepted_conditions", &message.accepted_conditions)?;
        let fetched = self.gateway.fetch(&caller, &run, format.as_str(), accepted).await?;
        Ok(Response::new(encode::fetched(fetched, format).await?))
    }

    async fn read_disclosure_report(
        &self,
        request: Request<ReadDisclosureReportRequest>,
    ) -> Result<Response<ReadDisclosureReportResponse>, Status> {
        let caller = caller(&request)?;
        let run = decode::id("run", request.into_inner().run)?;
        let report = self.gateway.disclosure_report(&caller, &run).await?;
        let report =
            report.canonical().map_err(|_| Status::internal("report.encoding: it cannot be encoded"))?;
        Ok(Response::new(ReadDisclosureReportResponse { report }))
    }

    async fn read_conditions(
        &self,
        request: Request<ReadConditionsRequest>,
    ) -> Result<Response<ReadConditionsResponse>, Status> {
        let caller = caller(&request)?;
        let run = decode::id("run", request.into_inner().run)?;
        let terms = self.gateway.conditions(&caller, &run).await?;
        let conditions = terms.canonical().map_err(encode::not_encodable)?;
        Ok(Response::new(ReadConditionsResponse { conditions }))
    }
}
