//! What a register node dials: the gateway for orders, the identity service for keys.

use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{self, StreamExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Request, Status};
use zeroize::Zeroizing;

use super::client::{self, ConnectError};
use super::encode;
use super::proto::decline_request::Reason;
use super::proto::identity_client::IdentityClient;
use super::proto::linkage_client::LinkageClient;
use super::proto::send_rows_request::Part;
use super::proto::{
    DeclineRequest, IssueKeyRequest, SendBatch, SendBegin, SendEnd, SendRowsRequest, TakeOrdersRequest,
};
use super::serve::MESSAGE_BYTES;
use super::status::PeerRefusal;
use crate::config::{Peer, TlsFiles};
use crate::domain::canonical::Canonical;
use crate::domain::ids::{OrderId, RegisterId};
use crate::domain::order::LinkageOrder;
use crate::domain::refusal::{Refusal, RefusalKind};
use crate::identity::LinkageKey;
use crate::linkage::{DeclineCode, DeclineReason};
use crate::partner::{GatewayLink, KeySource, OrderStream, PeerFault, RowsPart};

/// The most time a single question may take.
const ANSWER: Duration = Duration::from_secs(30);

fn fault(status: Status) -> PeerFault {
    let PeerRefusal { kind, code, hint } = PeerRefusal::from(status);
    PeerFault { kind, code, hint }
}

fn refused(refusal: Refusal) -> PeerFault {
    PeerFault { kind: refusal.kind, code: refusal.code.to_owned(), hint: refusal.hint }
}

fn unreadable(what: &str) -> PeerFault {
    let hint = format!("the other party sent {what} that cannot be read");
    PeerFault { kind: RefusalKind::Invalid, code: "peer.answer".to_owned(), hint }
}

fn asking<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(ANSWER);
    request
}

/// The gateway's linkage service over mTLS.
pub struct GatewayChannel {
    register: RegisterId,
    linkage: LinkageClient<Channel>,
}

impl GatewayChannel {
    /// A channel that connects when it is first used, and again when the connection is lost.
    ///
    /// # Errors
    /// [`ConnectError`] on the node's own TLS files.
    pub fn new(register: RegisterId, gateway: &Peer, files: &TlsFiles) -> Result<Self, ConnectError> {
        let channel = client::connect_lazy(gateway, files)?;
        let linkage = LinkageClient::new(channel).max_decoding_message_size(MESSAGE_BYTES);
        Ok(Self { register, linkage })
    }
}

impl GatewayLink for GatewayChannel {
    fn orders(&self) -> BoxFuture<'_, Result<OrderStream, PeerFault>> {
        let mut linkage = self.linkage.clone();
        Box::pin(async move {
            let asked = TakeOrdersRequest { register: self.register.to_string() };
            let orders = linkage.take_orders(asked).await.map_err(fault)?.into_inner();
            let orders = orders.map(|order| {
                let order = order.map_err(fault)?;
                LinkageOrder::from_canonical(&order.canonical).map_err(|_| unreadable("an order"))
            });
            let stream: OrderStream = orders.boxed();
            Ok(stream)
        })
    }

    fn decline<'a>(
        &'a self,
        order: &'a OrderId,
        reason: DeclineReason,
        code: DeclineCode,
    ) -> BoxFuture<'a, Result<(), PeerFault>> {
        let mut linkage = self.linkage.clone();
        Box::pin(async move {
            let reason = match reason {
                DeclineReason::Policy => Reason::Policy,
                DeclineReason::Approval => Reason::Approval,
                DeclineReason::Source => Reason::Source,
                DeclineReason::Key => Reason::Key,
            };
            let (order, code) = (order.to_string(), code.as_str().to_owned());
            let message = DeclineRequest { order, reason: reason.into(), code };
            linkage.decline(asking(message)).await.map_err(fault)?;
            Ok(())
        })
    }

    fn send<'a>(
        &'a self,
        order: &'a OrderId,
        mut parts: mpsc::Receiver<RowsPart>,
    ) -> BoxFuture<'a, Result<(), PeerFault>> {
        let mut linkage = self.linkage.clone();
        Box::pin(async move {
            // The answer begins with its first rows, so that the gateway does not count the time the
            // database needs to find them as silence. An order declined before has no answer.
            let Some(first) = parts.recv().await else { return Ok(()) };
            let begin = SendRowsRequest { part: Some(Part::Begin(SendBegin { order: order.to_string() })) };
            let rest = ReceiverStream::new(parts).map(message);
            linkage.send_rows(stream::iter([begin, message(first)]).chain(rest)).await.map_err(fault)?;
            Ok(())
        })
    }
}

fn message(part: RowsPart) -> SendRowsRequest {
    let part = match part {
        RowsPart::Batch { number, arrow } => Part::Batch(SendBatch { number, arrow }),
        RowsPart::End { batches, rows, invalid_rows } => Part::End(SendEnd { batches, rows, invalid_rows }),
    };
    SendRowsRequest { part: Some(part) }
}

/// The identity service over mTLS.
pub struct IdentityChannel {
    identity: IdentityClient<Channel>,
}

impl IdentityChannel {
    /// A channel that connects when it is first used, and again when the connection is lost.
    ///
    /// # Errors
    /// [`ConnectError`] on the node's own TLS files.
    pub fn new(identity: &Peer, files: &TlsFiles) -> Result<Self, ConnectError> {
        let channel = client::connect_lazy(identity, files)?;
        Ok(Self { identity: IdentityClient::new(channel).max_decoding_message_size(MESSAGE_BYTES) })
    }
}

impl KeySource for IdentityChannel {
    fn linkage_key<'a>(&'a self, order: &'a LinkageOrder) -> BoxFuture<'a, Result<LinkageKey, PeerFault>> {
        let mut identity = self.identity.clone();
        Box::pin(async move {
            let order = encode::order(order).map_err(refused)?;
            let answer = identity.issue_key(asking(IssueKeyRequest { order: Some(order) })).await;
            let key = Zeroizing::new(answer.map_err(fault)?.into_inner().key);
            LinkageKey::from_wire(&key).ok_or_else(|| unreadable("a key"))
        })
    }
}
