//! What the node needs of the other parties. `wire` implements it over gRPC.

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use tokio::sync::mpsc;

use crate::domain::feed::FeedOrder;
use crate::domain::feed_data::{FeedData, FeedTaken};
use crate::domain::ids::{OrderId, ProjectId, RunId};
use crate::domain::order::LinkageOrder;
use crate::domain::refusal::RefusalKind;
use crate::identity::LinkageKey;
use crate::linkage::{DeclineCode, DeclineReason, LinkageCode};

/// What another party answered instead of doing what it was asked. Fit for a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {hint}")]
pub struct PeerFault {
    /// The kind of refusal.
    pub kind: RefusalKind,
    /// Its code.
    pub code: String,
    /// What would be accepted.
    pub hint: String,
}

/// A part of an order's rows.
#[derive(PartialEq, Eq)]
pub enum RowsPart {
    /// A batch: one Arrow IPC stream of one record batch.
    Batch {
        /// From 0, without gaps.
        number: u32,
        /// The stream.
        arrow: Vec<u8>,
    },
    /// The summary, which closes the answer.
    End {
        /// How many batches were sent.
        batches: u32,
        /// How many rows.
        rows: u64,
        /// Rows left out because their number is not an identity number.
        invalid_rows: u64,
    },
}

/// Rows of a register are not shown, only which part it is.
impl std::fmt::Debug for RowsPart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Batch { number, .. } => write!(f, "Batch({number})"),
            Self::End { batches, .. } => write!(f, "End(after {batches})"),
        }
    }
}

/// Linkage orders as they come. An order that cannot be read is an error and the stream goes on; it ends
/// when the connection does.
pub type OrderStream = BoxStream<'static, Result<LinkageOrder, PeerFault>>;

/// The gateway, as a register node sees it.
pub trait GatewayLink: Send + Sync {
    /// Subscribes to the register's orders.
    fn orders(&self) -> BoxFuture<'_, Result<OrderStream, PeerFault>>;

    /// Refuses an order, or gives up on it.
    fn decline<'a>(
        &'a self,
        order: &'a OrderId,
        reason: DeclineReason,
        code: DeclineCode,
    ) -> BoxFuture<'a, Result<(), PeerFault>>;

    /// Begins an order and sends its parts. Without an [`RowsPart::End`] the gateway drops what it got.
    fn send<'a>(
        &'a self,
        order: &'a OrderId,
        parts: mpsc::Receiver<RowsPart>,
    ) -> BoxFuture<'a, Result<(), PeerFault>>;
}

/// The identity service, as a register node sees it.
pub trait KeySource: Send + Sync {
    /// The linkage key of an order that this node has accepted.
    fn linkage_key<'a>(&'a self, order: &'a LinkageOrder) -> BoxFuture<'a, Result<LinkageKey, PeerFault>>;
}

/// The gateway, as a register that takes a feed sees it.
pub trait FeedDesk: Send + Sync {
    /// Asks for the feed of a project. The gateway answers with an order.
    fn begin<'a>(&'a self, project: &'a ProjectId) -> BoxFuture<'a, Result<Box<dyn FeedSession>, PeerFault>>;

    /// A released feed, for as long as it is kept.
    fn fetch<'a>(&'a self, run: &'a RunId) -> BoxFuture<'a, Result<FeedData, PeerFault>>;
}

/// A feed that the gateway has given the order for.
pub trait FeedSession: Send {
    /// The order.
    fn order(&self) -> &FeedOrder;

    /// Names the persons that the register holds by codes, and waits until the feed of these is released.
    fn name(self: Box<Self>, codes: Vec<LinkageCode>) -> BoxFuture<'static, Result<FeedTaken, PeerFault>>;
}

/// The identity service, as a register that takes a feed sees it.
pub trait FeedKeySource: Send + Sync {
    /// The linkage key of a feed's order.
    fn feed_key<'a>(&'a self, order: &'a FeedOrder) -> BoxFuture<'a, Result<LinkageKey, PeerFault>>;
}
