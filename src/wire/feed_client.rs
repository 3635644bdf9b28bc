//! What a register that takes a feed dials: the gateway, for the order and for what is released to it.

use futures::future::BoxFuture;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Channel;

use super::client::{self, ConnectError};
use super::decode;
use super::partner_client::{fault, unreadable};
use super::proto::feeds_client::FeedsClient;
use super::proto::take_feed_request::Part;
use super::proto::take_feed_response::Part as Answer;
use super::proto::{EndOfCodes, FetchFeedRequest, TakeFeedRequest, TakeFeedResponse};
use super::serve::MESSAGE_BYTES;
use crate::config::{Peer, TlsFiles};
use crate::domain::canonical::Canonical;
use crate::domain::feed::FeedOrder;
use crate::domain::feed_data::{FeedData, FeedTaken};
use crate::domain::ids::{ProjectId, RunId};
use crate::linkage::LinkageCode;
use crate::partner::{FeedDesk, FeedSession, PeerFault};

/// How many codes go into one message: 1 MiB.
const CODES: usize = 1 << 16;
/// How many messages are made ahead of the connection.
const QUEUE: usize = 4;
/// The most bytes of a feed: a database holds no larger ones.
const MOST_BYTES: usize = 1_000_000_000;

/// The gateway's service for feeds over mTLS.
pub struct FeedChannel {
    feeds: FeedsClient<Channel>,
}

impl FeedChannel {
    /// A channel that connects when it is first used.
    ///
    /// # Errors
    /// [`ConnectError`] on the node's own TLS files.
    pub fn new(gateway: &Peer, files: &TlsFiles) -> Result<Self, ConnectError> {
        let channel = client::connect_lazy(gateway, files)?;
        Ok(Self { feeds: FeedsClient::new(channel).max_decoding_message_size(MESSAGE_BYTES) })
    }
}

struct Session {
    order: FeedOrder,
    parts: mpsc::Sender<TakeFeedRequest>,
    answers: Streaming<TakeFeedResponse>,
}

impl FeedDesk for FeedChannel {
    fn begin<'a>(&'a self, project: &'a ProjectId) -> BoxFuture<'a, Result<Box<dyn FeedSession>, PeerFault>> {
        let mut feeds = self.feeds.clone();
        Box::pin(async move {
            let (parts, requests) = mpsc::channel(QUEUE);
            let first = TakeFeedRequest { part: Some(Part::Project(project.to_string())) };
            parts.send(first).await.map_err(|_| unreadable("nothing"))?;
            let answers = feeds.take(ReceiverStream::new(requests)).await.map_err(fault)?;
            let mut answers = answers.into_inner();
            let Some(Answer::Order(order)) = next(&mut answers).await? else {
                return Err(unreadable("an order"));
            };
            let order = decode::feed_order("order", &order.canonical).map_err(|_| unreadable("an order"))?;
            let session: Box<dyn FeedSession> = Box::new(Session { order, parts, answers });
            Ok(session)
        })
    }

    fn fetch<'a>(&'a self, run: &'a RunId) -> BoxFuture<'a, Result<FeedData, PeerFault>> {
        let mut feeds = self.feeds.clone();
        Box::pin(async move {
            let asked = FetchFeedRequest { run: run.to_string() };
            let mut chunks = feeds.fetch(asked).await.map_err(fault)?.into_inner();
            let mut bytes = Vec::new();
            while let Some(part) = chunks.message().await.map_err(fault)? {
                if bytes.len() + part.chunk.len() > MOST_BYTES {
                    return Err(unreadable("a feed"));
                }
                bytes.extend(part.chunk);
            }
            FeedData::from_canonical(&bytes).map_err(|_| unreadable("a feed"))
        })
    }
}

impl FeedSession for Session {
    fn order(&self) -> &FeedOrder {
        &self.order
    }

    fn name(self: Box<Self>, codes: Vec<LinkageCode>) -> BoxFuture<'static, Result<FeedTaken, PeerFault>> {
        let Self { parts, mut answers, .. } = *self;
        Box::pin(async move {
            let send = async move {
                let count = codes.len() as u64;
                for codes in codes.chunks(CODES) {
                    let codes = codes.iter().flat_map(LinkageCode::as_bytes).copied().collect();
                    // If the gateway has ended the stream, its answer says why.
                    if parts.send(TakeFeedRequest { part: Some(Part::Codes(codes)) }).await.is_err() {
                        return;
                    }
                }
                let end = Part::End(EndOfCodes { codes: count });
                parts.send(TakeFeedRequest { part: Some(end) }).await.ok();
            };
            let ((), answer) = tokio::join!(send, next(&mut answers));
            match answer? {
                Some(Answer::Taken(taken)) => decode::feed_taken(taken).map_err(|_| unreadable("an answer")),
                _ => Err(unreadable("an answer")),
            }
        })
    }
}

async fn next(answers: &mut Streaming<TakeFeedResponse>) -> Result<Option<Answer>, PeerFault> {
    Ok(answers.message().await.map_err(fault)?.and_then(|answer| answer.part))
}
