//! Orders that no honest gateway gives: the identity service and the register node each refuse them, by
//! the signatures and rules that they check themselves.

use std::path::Path;
use std::sync::Arc;

use chrono::TimeDelta;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt};
use kpr::app::system::{SystemClock, SystemEntropy};
use kpr::config::{RegisterConfig, StewardEntry};
use kpr::domain::clock::Clock;
use kpr::domain::ids::{DatasetId, OrderId, RegisterId, RunId, VariableId};
use kpr::domain::order::LinkageOrder;
use kpr::domain::period::Period;
use kpr::domain::refusal::RefusalKind;
use kpr::domain::section::Section;
use kpr::identity::LinkageKey;
use kpr::linkage::{CodeMapper, DeclineCode, DeclineReason, LinkageError};
use kpr::partner::{
    GatewayLink, Journal, KeySource, Node, OrderStream, PartnerPolicy, PeerFault, RowsPart, Source,
};
use kpr::wire::identity_client::IdentityLink;
use kpr::wire::partner_client::{GatewayChannel, IdentityChannel};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::PATIENCE;
use super::liar::Liar;
use crate::world::World;

/// What is done to an order, and the codes with which identity service and register node refuse it.
struct Forgery {
    what: &'static str,
    change: fn(&mut LinkageOrder),
    identity: &'static str,
    node: &'static str,
}

const fn forgery(
    what: &'static str,
    change: fn(&mut LinkageOrder),
    identity: &'static str,
    node: &'static str,
) -> Forgery {
    Forgery { what, change, identity, node }
}

fn period(from: &str, to: &str) -> Period {
    Period::new(from.parse().unwrap(), to.parse().unwrap()).unwrap()
}

const FORGERIES: [Forgery; 13] = [
    forgery(
        "a variable granted after signing",
        |o| o.approval.approval.grants[0].variables.push(VariableId::new("hovedtilstand").unwrap()),
        "identity.approval",
        "approval.signatures",
    ),
    forgery(
        "an approval prolonged after signing",
        |o| o.approval.approval.valid = period("2020-01-01", "2099-12-31"),
        "identity.approval",
        "approval.signatures",
    ),
    forgery(
        "a pseudonymous register",
        |o| o.section = Section::Section9b,
        "identity.order",
        "order.blind_only",
    ),
    forgery(
        "one signature",
        |o| o.approval.signatures.truncate(1),
        "identity.approval",
        "approval.signatures",
    ),
    forgery(
        "one steward twice",
        |o| o.approval.signatures[1] = o.approval.signatures[0].clone(),
        "identity.approval",
        "approval.signatures",
    ),
    forgery(
        "an order whose time has passed",
        |o| {
            o.issued -= TimeDelta::hours(2);
            o.expires -= TimeDelta::hours(1);
        },
        "identity.stale_order",
        "order.stale",
    ),
    forgery(
        "an order whose time has not come",
        |o| {
            o.issued += TimeDelta::hours(1);
            o.expires += TimeDelta::hours(2);
        },
        "identity.stale_order",
        "order.stale",
    ),
    forgery(
        "another register",
        |o| o.register = RegisterId::new("KPR").unwrap(),
        "identity.other_register",
        "order.register",
    ),
    forgery(
        "another dataset",
        |o| o.dataset = DatasetId::new("diagnosis").unwrap(),
        "identity.order",
        "order.dataset_not_granted",
    ),
    forgery(
        "a column that is not granted",
        |o| o.columns.push(VariableId::new("hovedtilstand").unwrap()),
        "identity.order",
        "order.variable_not_granted",
    ),
    forgery("every row", |o| o.conditions.clear(), "identity.order", "order.rows_not_granted"),
    forgery(
        "other rows",
        |o| o.conditions[0].any_of.push("2".to_owned()),
        "identity.order",
        "order.rows_not_granted",
    ),
    forgery(
        "more years",
        |o| o.period = period("2020-01-01", "2025-12-31"),
        "identity.order",
        "order.period_not_granted",
    ),
];

/// Presents every forgery of an order to both parties, then the order itself.
pub async fn orders(world: &World, liar: &Liar, order: &LinkageOrder) {
    let gateway = IdentityLink::new(&world.stage.identity(), &world.stage.tls("gateway")).unwrap();
    for Forgery { what, change, identity, .. } in &FORGERIES {
        let mut forged = order.clone();
        change(&mut forged);
        let key = liar.keys.linkage_key(&forged).await.unwrap_err();
        assert_eq!(key.code, *identity, "{what}: {}", key.hint);
        // A gateway may ask for any register; what is not granted it does not get either.
        let code = if *identity == "identity.other_register" { "identity.order" } else { identity };
        refused(&gateway, &forged, code, what).await;
    }
    declined(world, order).await;

    // The order itself has a key, and then no other order of its run does.
    refused(&gateway, order, "identity.key_not_fetched", "no key yet").await;
    liar.keys.linkage_key(order).await.unwrap();
    liar.keys.linkage_key(order).await.unwrap();
    let mut other = order.clone();
    other.max_rows -= 1;
    assert_eq!(liar.keys.linkage_key(&other).await.unwrap_err().code, "identity.forged_order");
    refused(&gateway, &other, "identity.forged_order", "another order of the run").await;
    gateway.map(order, &[], None).await.ok().unwrap();
    refused(&gateway, order, "identity.stale_order", "mapped twice").await;
    assert_eq!(liar.keys.linkage_key(order).await.unwrap_err().code, "identity.stale_order");
}

/// That the identity service maps no codes for an order.
async fn refused(gateway: &IdentityLink, order: &LinkageOrder, code: &str, what: &str) {
    match gateway.map(order, &[], None).await.err() {
        Some(LinkageError::Identity(refusal)) => assert!(refusal.hint.contains(code), "{what}: {refusal}"),
        other => panic!("{what}: {other:?}"),
    }
}

/// A gateway that has been taken over: it gives forged orders, and hears what the node says to them.
struct TakenOver {
    orders: Vec<LinkageOrder>,
    heard: mpsc::UnboundedSender<(OrderId, Option<(DeclineReason, String)>)>,
}

impl GatewayLink for TakenOver {
    fn orders(&self) -> BoxFuture<'_, Result<OrderStream, PeerFault>> {
        let orders = stream::iter(self.orders.clone().into_iter().map(Ok));
        Box::pin(async { Ok(orders.chain(stream::pending()).boxed()) })
    }

    fn decline<'a>(
        &'a self,
        order: &'a OrderId,
        reason: DeclineReason,
        code: DeclineCode,
    ) -> BoxFuture<'a, Result<(), PeerFault>> {
        self.heard.send((order.clone(), Some((reason, code.as_str().to_owned())))).unwrap();
        Box::pin(async { Ok(()) })
    }

    fn send<'a>(
        &'a self,
        order: &'a OrderId,
        _: mpsc::Receiver<RowsPart>,
    ) -> BoxFuture<'a, Result<(), PeerFault>> {
        self.heard.send((order.clone(), None)).unwrap();
        Box::pin(async { Ok(()) })
    }
}

/// That the register node declines every forgery and sends no row of any.
async fn declined(world: &World, order: &LinkageOrder) {
    let mut given = Vec::new();
    for forgery in &FORGERIES {
        let mut forged = order.clone();
        (forgery.change)(&mut forged);
        forged.id = OrderId::random(&SystemEntropy).unwrap();
        given.push((forged, forgery));
    }
    let journal = world.stage.path("forged.jsonl");
    let (heard, mut hearing) = mpsc::unbounded_channel();
    let orders = given.iter().map(|(order, _)| order.clone()).collect();
    let keys = Arc::new(keys(world));
    let node = node(world, Arc::new(TakenOver { orders, heard }), keys, &journal).await;
    let stop = CancellationToken::new();
    let running = tokio::spawn(node.run(stop.clone()));
    for _ in &given {
        let (id, said) = tokio::time::timeout(PATIENCE, hearing.recv()).await.unwrap().unwrap();
        let (_, Forgery { what, node, .. }) = given.iter().find(|(order, _)| order.id == id).unwrap();
        let (reason, code) = said.unwrap_or_else(|| panic!("{what} is answered with rows"));
        assert_eq!((reason, code.as_str()), (DeclineReason::Approval, *node), "{what}");
    }
    stop.cancel();
    running.await.unwrap();
    let journal = std::fs::read_to_string(journal).unwrap();
    assert_eq!(journal.matches("\"declined\"").count(), given.len(), "{journal}");
}

/// The identity service as NPR sees it.
pub fn keys(world: &World) -> IdentityChannel {
    IdentityChannel::new(&world.stage.identity(), &world.stage.tls("npr")).unwrap()
}

/// NPR's register node with other ends.
pub async fn node(
    world: &World,
    gateway: Arc<dyn GatewayLink>,
    keys: Arc<dyn KeySource>,
    journal: &Path,
) -> Arc<Node> {
    let config = RegisterConfig::load(&world.stage.configuration("npr")).unwrap();
    Arc::new(Node {
        stewards: config.stewards.iter().map(StewardEntry::key).collect::<Result<_, _>>().unwrap(),
        policy: PartnerPolicy::load(&config.policy).unwrap(),
        source: Source::open(&config.database).await.unwrap(),
        gateway,
        keys,
        journal: Journal::open(journal).unwrap(),
        clock: Arc::new(SystemClock),
        register: config.register,
    })
}

/// Gives the key of the other of two orders, after fetching the right one too.
struct Swapped {
    keys: IdentityChannel,
    orders: [LinkageOrder; 2],
}

impl KeySource for Swapped {
    fn linkage_key<'a>(&'a self, order: &'a LinkageOrder) -> BoxFuture<'a, Result<LinkageKey, PeerFault>> {
        Box::pin(async move {
            self.keys.linkage_key(order).await?;
            let other = self.orders.iter().find(|other| other.id != order.id).unwrap();
            self.keys.linkage_key(other).await
        })
    }
}

/// Answers two orders of two projects, the rows of each under the key of the other, until `done`.
pub async fn answer_swapped(world: &World, orders: [LinkageOrder; 2], done: impl Future<Output = ()>) {
    let (config, npr) = (world.stage.gateway(), orders[0].register.clone());
    let gateway = GatewayChannel::new(npr, &config, &world.stage.tls("npr")).unwrap();
    let swapped = Arc::new(Swapped { keys: keys(world), orders });
    let journal = world.stage.path("swapped.jsonl");
    let node = node(world, Arc::new(gateway), swapped, &journal).await;
    let stop = CancellationToken::new();
    let running = tokio::spawn(node.run(stop.clone()));
    done.await;
    stop.cancel();
    running.await.unwrap();
    let journal = std::fs::read_to_string(journal).unwrap();
    assert_eq!(journal.matches("\"sent\"").count(), 2, "{journal}");
}

/// Once the identity service has seen a version of an approval, it gives no key under an older one.
pub async fn superseded(world: &World, order: &LinkageOrder) {
    let fresh = |version| {
        let now = SystemClock.now();
        let mut order = LinkageOrder {
            id: OrderId::random(&SystemEntropy).unwrap(),
            run: RunId::random(&SystemEntropy).unwrap(),
            issued: now,
            expires: now + TimeDelta::minutes(5),
            ..order.clone()
        };
        order.approval.approval.version = version;
        let approval = &order.approval.approval;
        order.approval.signatures =
            ["anna", "bjorn"].map(|steward| world.stage.sign(approval, steward).unwrap()).to_vec();
        order
    };
    let (keys, version) = (keys(world), order.approval.approval.version);
    keys.linkage_key(&fresh(version)).await.unwrap();
    keys.linkage_key(&fresh(version + 1)).await.unwrap();
    let refused = keys.linkage_key(&fresh(version)).await.unwrap_err();
    assert_eq!((refused.kind, refused.code.as_str()), (RefusalKind::Denied, "identity.superseded_approval"));
}
