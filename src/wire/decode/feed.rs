//! Feeds: their orders, and what a register's node is told of one.

use super::{FieldError, digest, id};
use crate::domain::canonical::Canonical;
use crate::domain::feed::FeedOrder;
use crate::domain::feed_data::FeedTaken;
use crate::wire::proto;

/// The order of a feed. Its canonical encoding is what its digest is taken over, so no other is read.
pub(in crate::wire) fn feed_order(path: &str, bytes: &[u8]) -> Result<FeedOrder, FieldError> {
    FeedOrder::from_canonical(bytes).map_err(|rule| FieldError::new(path, rule))
}

/// What a node is told of a feed that is released.
pub(in crate::wire) fn feed_taken(message: proto::FeedTaken) -> Result<FeedTaken, FieldError> {
    Ok(FeedTaken {
        run: id("run", message.run)?,
        digest: digest("digest", &message.digest)?,
        unknown: message.unknown,
        kept: message.kept.parse().map_err(|_| FieldError::new("kept", "must be a day"))?,
    })
}
