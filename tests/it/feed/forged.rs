//! Orders of feeds that no honest gateway gives: the identity service and the register refuse them, and nobody but the
//! recipient gets a key.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::TimeDelta;
use futures::FutureExt;
use futures::future::BoxFuture;
use kpr::app::system::{SystemClock, SystemEntropy};
use kpr::authorise::Role;
use kpr::config::{RegisterConfig, StewardEntry, TlsFiles};
use kpr::domain::approval::Purpose;
use kpr::domain::clock::Clock;
use kpr::domain::feed::{Feed, FeedBasis, FeedOrder};
use kpr::domain::feed_data::{FeedData, FeedTaken};
use kpr::domain::ids::{OrderId, OrganisationId, ProjectId, RegisterId, RunId};
use kpr::domain::refusal::RefusalKind;
use kpr::linkage::{FeedMapper, LinkageCode, LinkageError};
use kpr::partner::{
    FeedDesk, FeedKeySource, FeedSession, FeedTaker, Journal, PartnerPolicy, PeerFault, Source,
};
use kpr::wire::identity_client::IdentityLink;
use kpr::wire::partner_client::IdentityChannel;
use kpr::wire::pki::demo;

use super::{UNDER_WAY, approval, begin, begun, certificate, desk};
use crate::world::{Making, World};

/// What a party gets for an order: the code of the refusal, if it is one.
async fn key(world: &World, files: &TlsFiles, order: &FeedOrder) -> Result<(), String> {
    let identity = IdentityChannel::new(&world.stage.identity(), files).unwrap();
    identity.feed_key(order).await.map(drop).map_err(|fault| fault.code)
}

/// What the gateway gets for the codes of an order.
async fn mapped(world: &World, order: &FeedOrder) -> Result<(), String> {
    let link = IdentityLink::new(&world.stage.identity(), &world.stage.tls("gateway")).unwrap();
    match link.map_feed(order, &[]).await {
        Ok(_) => Ok(()),
        Err(LinkageError::Identity(refusal)) => Err(refusal.hint),
        Err(other) => panic!("{other}"),
    }
}

/// A gateway that has been taken over: it gives a forged order, and tells whether codes were named for it.
struct TakenOver {
    order: FeedOrder,
    named: Arc<AtomicBool>,
}

struct Forged(FeedOrder, Arc<AtomicBool>);

impl FeedDesk for TakenOver {
    fn begin<'a>(&'a self, _: &'a ProjectId) -> BoxFuture<'a, Result<Box<dyn FeedSession>, PeerFault>> {
        let session: Box<dyn FeedSession> = Box::new(Forged(self.order.clone(), Arc::clone(&self.named)));
        async { Ok(session) }.boxed()
    }

    fn fetch<'a>(&'a self, _: &'a RunId) -> BoxFuture<'a, Result<FeedData, PeerFault>> {
        unreachable!("nothing was named, so nothing is fetched")
    }
}

impl FeedSession for Forged {
    fn order(&self) -> &FeedOrder {
        &self.0
    }

    fn name(self: Box<Self>, _: Vec<LinkageCode>) -> BoxFuture<'static, Result<FeedTaken, PeerFault>> {
        self.1.store(true, Ordering::SeqCst);
        let (code, hint) = ("forged".to_owned(), String::new());
        async { Err(PeerFault { kind: RefusalKind::Denied, code, hint }) }.boxed()
    }
}

/// Whether NPR's node names anybody for an order, and what it says if not.
async fn names_persons(world: &World, order: &FeedOrder) -> Result<(), String> {
    let config = RegisterConfig::load(&world.stage.configuration("npr")).unwrap();
    let named = Arc::new(AtomicBool::new(false));
    let folder = tempfile::tempdir().unwrap();
    let taker = FeedTaker {
        stewards: config.stewards.iter().map(StewardEntry::key).collect::<Result<_, _>>().unwrap(),
        policy: PartnerPolicy::load(&config.policy).unwrap(),
        source: Source::open(&config.database).await.unwrap(),
        gateway: Arc::new(TakenOver { order: order.clone(), named: Arc::clone(&named) }),
        keys: Arc::new(IdentityChannel::new(&world.stage.identity(), &world.stage.tls("npr")).unwrap()),
        journal: Journal::open(&folder.path().join("feeds.jsonl")).unwrap(),
        clock: Arc::new(SystemClock),
        register: config.register,
    };
    let said = taker.take(&approval().project, folder.path(), &|_| ()).await.unwrap_err().to_string();
    if named.load(Ordering::SeqCst) { Ok(()) } else { Err(said) }
}

type Forgery = (&'static str, fn(&mut FeedOrder), &'static str);

const FORGERIES: [Forgery; 9] = [
    ("one signature", |o| o.approval.signatures.truncate(1), "identity.approval"),
    (
        "one steward twice",
        |o| o.approval.signatures[1] = o.approval.signatures[0].clone(),
        "identity.approval",
    ),
    (
        "another recipient after signing",
        |o| o.approval.approval.recipients = vec![OrganisationId::new(demo::UNIVERSITY).unwrap()],
        "identity.other_register",
    ),
    (
        "another purpose after signing",
        |o| o.approval.approval.purpose = Purpose::Research,
        "identity.approval",
    ),
    (
        "another basis after signing",
        |o| o.approval.approval.feed.as_mut().unwrap().basis = FeedBasis::Section10,
        "identity.approval",
    ),
    ("another register", |o| o.register = RegisterId::new("DAR").unwrap(), "identity.other_register"),
    (
        "an order whose time has passed",
        |o| {
            o.issued -= TimeDelta::hours(2);
            o.expires -= TimeDelta::hours(2);
        },
        "identity.stale_order",
    ),
    ("an order that holds for long", |o| o.expires += TimeDelta::hours(2), "identity.order"),
    ("more persons than there are", |o| o.max_codes = Feed::MOST_PERSONS + 1, "identity.order"),
];

#[tokio::test(flavor = "multi_thread")]
async fn only_the_recipient_that_two_stewards_have_signed_gets_a_key() {
    let world = World::running(&Making { persons: 1500, ..Making::default() }).await;
    world.approve_this(&approval()).await;
    let session = desk(&world, &world.stage.tls("npr")).begin(&approval().project).await.unwrap();
    let order = session.order().clone();
    let npr = world.stage.tls("npr");
    for (what, change, refusal) in FORGERIES {
        let mut forged = order.clone();
        change(&mut forged);
        assert_eq!(key(&world, &npr, &forged).await.unwrap_err(), refusal, "{what}");
        let of_gateway = mapped(&world, &forged).await.unwrap_err();
        assert!(of_gateway.contains("identity."), "{what}: {of_gateway}");
        // Nor does the register itself name anybody for it: what it checks needs no identity service.
        let said = names_persons(&world, &forged).await.unwrap_err();
        assert!(!said.contains("identity."), "{what}: {said}");
    }

    // A gateway that is taken over has no way to a key, and so to no code of a number it chooses; nor has another register,
    // nor one of that name elsewhere.
    assert_eq!(key(&world, &world.stage.tls("gateway"), &order).await.unwrap_err(), "access.role");
    let dar = certificate(&world, demo::PARTNER, Role::Partner, "DAR");
    assert_eq!(key(&world, &dar, &order).await.unwrap_err(), "identity.other_register");
    let elsewhere = certificate(&world, demo::UNIVERSITY, Role::Partner, "NPR");
    assert_eq!(key(&world, &elsewhere, &order).await.unwrap_err(), "identity.other_register");

    // It maps nothing before the recipient has taken the key of this very order, and once only.
    assert!(mapped(&world, &order).await.unwrap_err().contains("identity.key_not_fetched"));
    key(&world, &npr, &order).await.unwrap();
    let other = FeedOrder { max_codes: order.max_codes - 1, ..order.clone() };
    assert_eq!(key(&world, &npr, &other).await.unwrap_err(), "identity.forged_order");
    assert!(mapped(&world, &other).await.unwrap_err().contains("identity.forged_order"));
    mapped(&world, &order).await.unwrap();
    assert!(mapped(&world, &order).await.unwrap_err().contains("identity.stale_order"));
    assert_eq!(key(&world, &npr, &order).await.unwrap_err(), "identity.stale_order");

    // For an order that holds it names them; the key is given once.
    drop(session);
    let fresh = begin(&world, &approval().project).await.order().clone();
    names_persons(&world, &fresh).await.unwrap();

    // A register that asks on many calls at once, to have the gateway hold millions of codes for each, gets one order.
    let (npr_desk, project) = (desk(&world, &npr), approval().project);
    let one = begin(&world, &project).await;
    let beside = (0..20).map(|_| npr_desk.begin(&project));
    for refused in futures::future::join_all(beside).await {
        assert_eq!(refused.err().map(|fault| fault.code).as_deref(), Some(UNDER_WAY));
    }
    one.name(Vec::new()).await.unwrap();
    assert_eq!(begun(&world, &npr, &project).await, "feed.not_due");

    // An approval of another kind gives no key as that of a feed, whoever signed it.
    let now = SystemClock.now();
    let tables = kpr::app::stage::example_approval().unwrap();
    let signatures = ["anna", "bjorn"].map(|steward| world.stage.sign(&tables, steward).unwrap()).to_vec();
    let mut as_feed = FeedOrder {
        id: OrderId::random(&SystemEntropy).unwrap(),
        run: RunId::random(&SystemEntropy).unwrap(),
        issued: now,
        expires: now + TimeDelta::minutes(5),
        ..order
    };
    as_feed.approval.approval = tables;
    as_feed.approval.signatures = signatures;
    assert_eq!(key(&world, &elsewhere, &as_feed).await.unwrap_err(), "identity.order");
    world.end().await;
}
