//! Feeds: their orders, and what is released to their registers.

use tonic::Status;

use super::{CHUNK, not_encodable};
use crate::disclosure::Released;
use crate::domain::canonical::Canonical;
use crate::domain::feed::FeedOrder;
use crate::domain::feed_data::{FeedData, FeedTaken};
use crate::domain::refusal::Refusal;
use crate::wire::proto::{self, take_feed_response::Part as TakenPart};
use crate::wire::queries::Answers;

/// A feed on its way out, in its canonical encoding. Nothing else makes these messages, and this takes nothing but what
/// disclosure control has released as a feed.
pub(in crate::wire) async fn feed(
    feed: Released<FeedData>,
) -> Result<Answers<proto::FetchFeedResponse>, Status> {
    let bytes = tokio::task::spawn_blocking(move || feed.table().canonical()).await;
    let bytes = bytes.map_err(|_| Status::internal("feed.encoding: the feed cannot be written"))?;
    let bytes = bytes.map_err(not_encodable)?;
    let chunks: Vec<_> =
        bytes.chunks(CHUNK).map(|chunk| Ok(proto::FetchFeedResponse { chunk: chunk.to_vec() })).collect();
    Ok(Box::pin(futures::stream::iter(chunks)))
}

/// The order of a feed.
pub(in crate::wire) fn feed_order(order: &FeedOrder) -> Result<proto::FeedOrder, Refusal> {
    Ok(proto::FeedOrder { canonical: order.canonical().map_err(not_encodable)? })
}

/// The order of a feed, as the answer to its project.
pub(in crate::wire) fn feed_ordered(order: &FeedOrder) -> Result<proto::TakeFeedResponse, Refusal> {
    Ok(proto::TakeFeedResponse { part: Some(TakenPart::Order(feed_order(order)?)) })
}

/// A feed that waits to be fetched.
pub(in crate::wire) fn feed_taken(taken: &FeedTaken) -> proto::TakeFeedResponse {
    let FeedTaken { run, digest, unknown, kept } = taken;
    let taken = proto::FeedTaken {
        run: run.to_string(),
        digest: digest.to_string(),
        unknown: *unknown,
        kept: kept.to_string(),
    };
    proto::TakeFeedResponse { part: Some(TakenPart::Taken(taken)) }
}
