//! The service for registers that take a feed.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::access::caller;
use super::decode::{self, FieldError};
use super::encode;
use super::proto::feeds_server::{Feeds, FeedsServer};
use super::proto::take_feed_request::Part;
use super::proto::{FetchFeedRequest, FetchFeedResponse, TakeFeedRequest, TakeFeedResponse};
use super::queries::Answers;
use super::serve::MESSAGE_BYTES;
use crate::authorise::Caller;
use crate::domain::refusal::{Refusal, RefusalKind};
use crate::linkage::LinkageCode;
use crate::pipeline::{Gateway, OrderedFeed};

/// How many messages wait for a slow reader.
const QUEUE: usize = 2;

pub(super) struct FeedsService {
    gateway: Arc<Gateway>,
}

/// The service, to be added to the gateway's routes.
pub(super) fn service(gateway: Arc<Gateway>) -> FeedsServer<FeedsService> {
    FeedsServer::new(FeedsService { gateway }).max_decoding_message_size(MESSAGE_BYTES)
}

#[tonic::async_trait]
impl Feeds for FeedsService {
    type TakeStream = Answers<TakeFeedResponse>;
    type FetchStream = Answers<FetchFeedResponse>;

    async fn take(
        &self,
        request: Request<Streaming<TakeFeedRequest>>,
    ) -> Result<Response<Self::TakeStream>, Status> {
        let (caller, gateway) = (caller(&request)?, Arc::clone(&self.gateway));
        let parts = request.into_inner();
        let (answers, messages) = mpsc::channel(QUEUE);
        tokio::spawn(async move {
            let ended = tokio::select! {
                ended = take(&gateway, &caller, parts, &answers) => ended,
                // Nobody is there any more: a run that has begun ends by itself.
                () = answers.closed() => Ok(()),
            };
            if let Err(status) = ended {
                // If nobody hears it, nobody needs it.
                answers.send(Err(status)).await.ok();
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(messages))))
    }

    async fn fetch(&self, request: Request<FetchFeedRequest>) -> Result<Response<Self::FetchStream>, Status> {
        let caller = caller(&request)?;
        let run = decode::id("run", request.into_inner().run)?;
        let feed = self.gateway.fetch_feed(&caller, &run).await?;
        Ok(Response::new(encode::feed(feed).await?))
    }
}

async fn take(
    gateway: &Arc<Gateway>,
    caller: &Caller,
    mut parts: Streaming<TakeFeedRequest>,
    answers: &mpsc::Sender<Result<TakeFeedResponse, Status>>,
) -> Result<(), Status> {
    let Some(Part::Project(project)) = next(&mut parts).await? else { return Err(out_of_order()) };
    let ordered = gateway.order_feed(caller, &decode::id("project", project)?).await?;
    send(answers, encode::feed_ordered(ordered.order())?).await?;
    let naming = async |ordered: &mut OrderedFeed| codes(ordered, &mut parts).await;
    let ordered = gateway.named_in_time::<Status>(ordered, naming).await?;
    let taken = gateway.take_feed(caller, ordered).await?;
    send(answers, encode::feed_taken(&taken)).await
}

/// All codes, up to the end that says how many there are.
async fn codes(ordered: &mut OrderedFeed, parts: &mut Streaming<TakeFeedRequest>) -> Result<(), Status> {
    loop {
        match next(parts).await? {
            Some(Part::Codes(bytes)) => {
                let (whole, rest) = bytes.as_chunks::<{ LinkageCode::LENGTH }>();
                if !rest.is_empty() {
                    return Err(
                        FieldError::new("codes", "must be codes of 16 bytes, one after the other").into()
                    );
                }
                ordered.name(whole)?;
            }
            Some(Part::End(end)) if end.codes == ordered.named() => return Ok(()),
            _ => return Err(out_of_order()),
        }
    }
}

async fn send(
    answers: &mpsc::Sender<Result<TakeFeedResponse, Status>>,
    message: TakeFeedResponse,
) -> Result<(), Status> {
    answers.send(Ok(message)).await.map_err(|_| Status::cancelled("feed.gone: the register's node has gone"))
}

async fn next(parts: &mut Streaming<TakeFeedRequest>) -> Result<Option<Part>, Status> {
    match parts.message().await? {
        None => Ok(None),
        Some(TakeFeedRequest { part: Some(part) }) => Ok(Some(part)),
        Some(TakeFeedRequest { part: None }) => Err(out_of_order()),
    }
}

fn out_of_order() -> Status {
    let hint = "a feed is taken by one project, then codes, then one end that says how many there were";
    Refusal::new(RefusalKind::Invalid, "feed.order_of_parts", hint).into()
}
