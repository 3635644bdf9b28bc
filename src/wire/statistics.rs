//! The service for published tables.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::access::caller;
use super::decode;
use super::encode;
use super::proto::statistics_server::{Statistics, StatisticsServer};
use super::proto::{
    FetchResponse, GetTableRequest, ListTablesRequest, ListTablesResponse, PublishRequest, PublishedTable,
};
use super::queries::Answers;
use super::serve::MESSAGE_BYTES;
use crate::domain::refusal::{Refusal, RefusalKind};
use crate::pipeline::{Fetched, Gateway};
use crate::statistics::Format;

pub(super) struct StatisticsService {
    gateway: Arc<Gateway>,
}

/// The service, to be added to the gateway's routes.
pub(super) fn service(gateway: Arc<Gateway>) -> StatisticsServer<StatisticsService> {
    StatisticsServer::new(StatisticsService { gateway }).max_decoding_message_size(MESSAGE_BYTES)
}

#[tonic::async_trait]
impl Statistics for StatisticsService {
    type GetTableStream = Answers<FetchResponse>;

    async fn publish(&self, request: Request<PublishRequest>) -> Result<Response<PublishedTable>, Status> {
        let caller = caller(&request)?;
        let message = request.into_inner();
        let run = decode::id("run", message.run)?;
        let table = decode::id("table", message.table)?;
        let published = self.gateway.publish(&caller, run, table).await?;
        Ok(Response::new(encode::published_table(published)))
    }

    async fn list_tables(
        &self,
        request: Request<ListTablesRequest>,
    ) -> Result<Response<ListTablesResponse>, Status> {
        let tables = self.gateway.tables(&caller(&request)?).await?;
        let tables = tables.into_iter().map(encode::published_table).collect();
        Ok(Response::new(ListTablesResponse { tables }))
    }

    async fn get_table(
        &self,
        request: Request<GetTableRequest>,
    ) -> Result<Response<Self::GetTableStream>, Status> {
        let caller = caller(&request)?;
        let message = request.into_inner();
        let format = decode::format("format", message.format())?;
        if !Format::PUBLIC.contains(&format) {
            let hint = "a published table is given as json-stat2, csv, arrow or parquet";
            return Err(Refusal::new(RefusalKind::Invalid, "statistics.format", hint).into());
        }
        let table = decode::id("table", message.table)?;
        let released = self.gateway.table(&caller, &table).await?;
        Ok(Response::new(encode::fetched(Fetched::Table(released), format).await?))
    }
}
