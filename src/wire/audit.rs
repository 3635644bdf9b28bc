//! The service for the audit log.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use tonic::{Request, Response, Status};

use super::access::caller;
use super::encode;
use super::proto::audit_server::{Audit, AuditServer};
use super::proto::{Checkpoint, Entry, GetCheckpointRequest, ReadEntriesRequest};
use super::queries::Answers;
use super::serve::MESSAGE_BYTES;
use crate::domain::refusal::Refusal;
use crate::pipeline::Gateway;

pub(super) struct AuditService {
    gateway: Arc<Gateway>,
}

/// The service, to be added to the gateway's routes.
pub(super) fn service(gateway: Arc<Gateway>) -> AuditServer<AuditService> {
    AuditServer::new(AuditService { gateway }).max_decoding_message_size(MESSAGE_BYTES)
}

/// How many entries are read from the database at a time.
const PAGE: u32 = 1000;

#[tonic::async_trait]
impl Audit for AuditService {
    type ReadEntriesStream = Answers<Entry>;

    async fn get_checkpoint(
        &self,
        request: Request<GetCheckpointRequest>,
    ) -> Result<Response<Checkpoint>, Status> {
        let caller = caller(&request)?;
        let note = self.gateway.checkpoint(&caller, request.into_inner().cosignatures).await?;
        Ok(Response::new(Checkpoint { note: note.into_bytes() }))
    }

    async fn read_entries(
        &self,
        request: Request<ReadEntriesRequest>,
    ) -> Result<Response<Self::ReadEntriesStream>, Status> {
        let caller = caller(&request)?;
        let message = request.into_inner();
        let state = (Arc::clone(&self.gateway), caller, message.from, message.most);
        let pages = stream::try_unfold(state, |(gateway, caller, from, left)| async move {
            let page = gateway.entries(&caller, from, left.min(PAGE)).await?;
            let count = u32::try_from(page.len()).unwrap_or(left);
            let next = (gateway, caller, from.saturating_add(u64::from(count)), left - count.min(left));
            let entries = page.into_iter().map(|entry| Ok::<_, Refusal>(encode::log_entry(entry)));
            Ok::<_, Refusal>((count > 0).then(|| (stream::iter(entries), next)))
        });
        Ok(Response::new(pages.try_flatten().map_err(Status::from).boxed()))
    }
}
