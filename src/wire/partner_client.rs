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
use crate::domain::feed::FeedOrder;
use crate::domain::ids::{OrderId, RegisterId};
use crate::domain::order::LinkageOrder;
use crate::domain::refusal::{Refusal, RefusalKind};
use crate::identity::LinkageKey;
use crate::linkage::{DeclineCode, DeclineReason};
use crate::partner::{FeedKeySource, GatewayLink, KeySource, OrderStream, PeerFault, RowsPart};

/// The most time a single question may take.
const ANSWER: Duration = Duration::from_secs(30);

pub(super) fn fault(status: Status) -> PeerFault {
    let PeerRefusal { kind, code, hint } = PeerRefusal::from(status);
    PeerFault { kind, code, hint }
}

fn refused(refusal: Refusal) -> PeerFault {
    PeerFault { kind: refusal.kind, code: refusal.code.to_owned(), hint: refusal.hint }
}

pub(super) fn unreadable(what: &str) -> PeerFault {
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
            let answer = identity.issue_key(asking(IssueKeyRequest { order: Some(order), feed: None })).await;
            let key = Zeroizing::new(answer.map_err(fault)?.into_inner().key);
            LinkageKey::from_wire(&key).ok_or_else(|| unreadable("a key"))
        })
    }
}

impl FeedKeySource for IdentityChannel {
    fn feed_key<'a>(&'a self, order: &'a FeedOrder) -> BoxFuture<'a, Result<LinkageKey, PeerFault>> {
        let mut identity = self.identity.clone();
        Box::pin(async move {
            let feed = Some(encode::feed_order(order).map_err(refused)?);
            let answer = identity.issue_key(asking(IssueKeyRequest { order: None, feed })).await;
            let key = Zeroizing::new(answer.map_err(fault)?.into_inner().key);
            LinkageKey::from_wire(&key).ok_or_else(|| unreadable("a key"))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::TimeDelta;
    use tokio::net::TcpListener;
    use tokio::task::JoinHandle;
    use tokio_util::sync::CancellationToken;
    use tonic::service::Routes;

    use super::super::pki::{Authority, CertificateRequest, Validity};
    use super::super::serve::{self, Limits};
    use super::super::watched::Watched;
    use super::super::{access, linkage, tls};
    use super::*;
    use crate::app::system::SystemClock;
    use crate::authorise::{Action, Caller, Policies, Resource, Role, fixtures};
    use crate::domain::clock::{Clock, FixedClock};
    use crate::domain::ids::OrganisationId;
    use crate::linkage::testing::{bytes, now, order};
    use crate::linkage::{CodedRows, DeskLimits, LinkageError, OrderDesk, Partners};

    const ROW: crate::linkage::testing::Row<'static> = (Some(1), Some("2024-05-05"), Some("1"));

    /// The project's own policies decide.
    impl linkage::LinkagePolicies for Policies {
        fn may_link<'a>(
            &'a self,
            caller: &'a Caller,
            action: Action,
            register: &'a RegisterId,
        ) -> BoxFuture<'a, Result<(), Refusal>> {
            Box::pin(async move { self.may(caller, action, Resource::Register(register)) })
        }
    }

    /// A gateway that has nothing but its order desk and policies, on a real socket.
    struct Gateway {
        desk: OrderDesk,
        peer: Peer,
        authority: Authority,
        folder: tempfile::TempDir,
        _stop: tokio_util::sync::DropGuard,
    }

    impl Gateway {
        async fn start() -> Self {
            let authority = Authority::new(validity()).unwrap();
            let folder = tempfile::tempdir().unwrap();
            authority.write(folder.path()).unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let peer = Peer { address: listener.local_addr().unwrap(), name: "gateway.kpr.test".into() };
            let desk = OrderDesk::new(Arc::new(FixedClock(now())), DeskLimits::default());
            let routes = Routes::new(linkage::service(desk.clone(), Arc::new(fixtures::policies())));
            let stop = CancellationToken::new();
            let _stop = stop.clone().drop_guard();
            let gateway = Self { desk, peer, authority, folder, _stop };
            let files = gateway.issue(Role::Gateway, "gateway", &["gateway.kpr.test"]);
            let tls = Watched::open(&files, tls::server_config).unwrap();
            let door = serve::Door::new(tls, access::GATEWAY, Limits::default());
            tokio::spawn(serve::grpc(listener, door, routes, stop));
            gateway
        }

        fn issue(&self, role: Role, name: &str, dns: &[&str]) -> TlsFiles {
            let request = CertificateRequest {
                organisation: OrganisationId::new("NTRNO-310000019").unwrap(),
                role,
                name: name.to_owned(),
                dns: dns.iter().map(|name| (*name).to_owned()).collect(),
                validity: validity(),
            };
            let prefix = self.folder.path().join(name);
            let ca = self.folder.path().join(Authority::CERTIFICATE);
            self.authority.issue(&request).unwrap().write(&prefix, &ca).unwrap()
        }

        /// The channel of a node with a certificate for `name` that says it is `register`.
        fn node(&self, name: &str, register: &str) -> GatewayChannel {
            let files = self.issue(Role::Partner, name, &[]);
            GatewayChannel::new(RegisterId::new(register).unwrap(), &self.peer, &files).unwrap()
        }

        fn post(&self, number: u8) -> JoinHandle<Result<CodedRows, LinkageError>> {
            let desk = self.desk.clone();
            tokio::spawn(async move { desk.collect(order(number, TimeDelta::seconds(20))).await })
        }
    }

    fn validity() -> Validity {
        // TLS reads the system's clock, also in tests.
        Validity::days(SystemClock.now(), 1)
    }

    fn batch(number: u32) -> RowsPart {
        RowsPart::Batch { number, arrow: bytes(&[ROW]) }
    }

    async fn answer(node: &GatewayChannel, order: &OrderId, parts: Vec<RowsPart>) -> Result<(), PeerFault> {
        let (sender, receiver) = mpsc::channel(parts.len().max(1));
        for part in parts {
            sender.send(part).await.unwrap();
        }
        drop(sender);
        node.send(order, receiver).await
    }

    #[tokio::test]
    async fn an_order_and_its_rows_cross_the_wire() {
        let gateway = Gateway::start().await;
        let node = gateway.node("NPR", "NPR");
        let mut orders = node.orders().await.unwrap();
        let run = gateway.post(1);
        let taken = orders.next().await.unwrap().unwrap();
        assert_eq!(taken, order(1, TimeDelta::seconds(20)));
        let end = RowsPart::End { batches: 2, rows: 2, invalid_rows: 3 };
        answer(&node, &taken.id, vec![batch(0), batch(1), end]).await.unwrap();
        let rows = run.await.unwrap().ok().unwrap();
        assert_eq!((rows.batches().len(), rows.invalid_rows()), (2, 3));
        let again = answer(&node, &taken.id, vec![batch(0)]).await.unwrap_err();
        assert_eq!((again.kind, again.code.as_str()), (RefusalKind::NotFound, "linkage.unknown_order"));
    }

    #[tokio::test]
    async fn a_refusal_crosses_the_wire() {
        let gateway = Gateway::start().await;
        let node = gateway.node("NPR", "NPR");
        let mut orders = node.orders().await.unwrap();
        let run = gateway.post(1);
        let taken = orders.next().await.unwrap().unwrap();
        let code = DeclineCode::new("policy.project");
        node.decline(&taken.id, DeclineReason::Policy, code.clone()).await.unwrap();
        let declined = run.await.unwrap().err();
        assert_eq!(declined, Some(LinkageError::Declined { reason: DeclineReason::Policy, code }));
    }

    #[tokio::test]
    async fn faults_end_the_order_on_both_sides() {
        let gateway = Gateway::start().await;
        let node = gateway.node("NPR", "NPR");
        let end = |batches, rows| RowsPart::End { batches, rows, invalid_rows: 0 };
        let outside =
            RowsPart::Batch { number: 0, arrow: bytes(&[(Some(1), Some("2023-05-05"), Some("1"))]) };
        for (number, (parts, error, code)) in (1..).zip([
            (vec![batch(0), batch(0)], LinkageError::BatchNumber, "linkage.batch_number"),
            (vec![batch(1)], LinkageError::BatchNumber, "linkage.batch_number"),
            (vec![batch(0), end(1, 2)], LinkageError::Summary, "linkage.summary"),
            (vec![outside], LinkageError::OutsidePeriod, "linkage.outside_period"),
            (vec![batch(0)], LinkageError::Dropped, "linkage.order_of_parts"),
        ]) {
            let mut orders = node.orders().await.unwrap();
            let run = gateway.post(number);
            let taken = orders.next().await.unwrap().unwrap();
            let told = answer(&node, &taken.id, parts).await.unwrap_err();
            assert_eq!(told.code, code);
            assert_eq!(run.await.unwrap().err(), Some(error));
        }
    }

    #[tokio::test]
    async fn a_node_speaks_only_for_the_register_of_its_certificate() {
        let gateway = Gateway::start().await;
        let other = gateway.node("DAR", "NPR");
        let refused = other.orders().await.err().unwrap();
        assert_eq!((refused.kind, refused.code.as_str()), (RefusalKind::Denied, "policy.not_permitted"));
        let run = gateway.post(1);
        let id = order(1, TimeDelta::seconds(20)).id;
        let sent = answer(&other, &id, vec![batch(0)]).await.unwrap_err();
        assert_eq!(sent.code, "linkage.unknown_order");
        let declined = other.decline(&id, DeclineReason::Policy, DeclineCode::new("x")).await.unwrap_err();
        assert_eq!(declined.code, "linkage.unknown_order");
        assert!(!run.is_finished());
    }
}
