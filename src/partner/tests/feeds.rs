//! What a node that takes a feed writes down of the orders it is given, also by a gateway that has been taken over.

use std::path::Path;

use super::*;
use crate::domain::canonical::Canonical;
use crate::domain::feed::FeedOrder;
use crate::domain::feed::tests::{approval, order as feed_order};
use crate::domain::feed_data::{FeedData, FeedTaken};
use crate::domain::ids::{ProjectId, RunId};
use crate::linkage::LinkageCode;

/// A gateway that gives this order, and refuses the codes.
struct Desk(FeedOrder);

struct Named(FeedOrder);

fn refused<T>(code: &str) -> Result<T, PeerFault> {
    Err(PeerFault { kind: RefusalKind::Precondition, code: code.into(), hint: String::new() })
}

impl FeedDesk for Desk {
    fn begin<'a>(&'a self, _: &'a ProjectId) -> BoxFuture<'a, Result<Box<dyn FeedSession>, PeerFault>> {
        let session: Box<dyn FeedSession> = Box::new(Named(self.0.clone()));
        Box::pin(async { Ok(session) })
    }

    fn fetch<'a>(&'a self, _: &'a RunId) -> BoxFuture<'a, Result<FeedData, PeerFault>> {
        Box::pin(async { refused("feed.unknown") })
    }
}

impl FeedSession for Named {
    fn order(&self) -> &FeedOrder {
        &self.0
    }

    fn name(self: Box<Self>, _: Vec<LinkageCode>) -> BoxFuture<'static, Result<FeedTaken, PeerFault>> {
        Box::pin(async { refused("rule.feed_and_results") })
    }
}

impl FeedKeySource for Keys {
    fn feed_key<'a>(&'a self, _: &'a FeedOrder) -> BoxFuture<'a, Result<LinkageKey, PeerFault>> {
        let key = self.0.and_then(|bytes| LinkageKey::from_wire(&bytes));
        Box::pin(async move { key.map_or_else(|| refused("identity.superseded_approval"), Ok) })
    }
}

/// An order under this approval, signed by the two stewards.
fn ordered(approval: &Approval) -> FeedOrder {
    let mut order = feed_order(approval, "NPR");
    order.approval.signatures = [steward(1), steward(2)]
        .map(|(name, key)| StewardSignature::sign(approval, name, &key).unwrap())
        .to_vec();
    order
}

/// What the journal says of an order, which NPR's node does not carry out to the end.
async fn journal(
    url: &str,
    order: &FeedOrder,
    policy: &str,
    key: Option<[u8; 64]>,
    out: &Path,
) -> Vec<Outcome> {
    let path = out.join("feeds.jsonl");
    let taker = FeedTaker {
        register: npr(),
        stewards: [steward(1), steward(2)]
            .map(|(steward, key)| StewardKey { steward, key: key.verifying_key() })
            .to_vec(),
        policy: super::policy(policy).unwrap(),
        source: Source::open(url).await.unwrap(),
        gateway: Arc::new(Desk(order.clone())),
        keys: Arc::new(Keys(key)),
        journal: Journal::open(&path).unwrap(),
        clock: Arc::new(FixedClock(feed_order(&approval(), "NPR").issued)),
    };
    let error = taker.take(&approval().project, out, &|_| ()).await.unwrap_err();
    let mut said = Vec::new();
    let mut each = |entry: &JournalEntry| {
        assert_eq!((&entry.order, entry.digest), (&order.id, order.digest().unwrap()));
        said.push(entry.outcome.clone());
    };
    Journal::verify(&path, None, &mut each).unwrap();
    // What it said to the person is a sentence, what it wrote down is not.
    let (Outcome::Declined { code, .. } | Outcome::Failed { code, .. }) = said.last().unwrap() else {
        panic!("{said:?}")
    };
    assert_eq!((&error.code(), DeclineCode::new(code).as_str()), (code, code.as_str()));
    said
}

fn received(order: &FeedOrder) -> Outcome {
    Outcome::FeedReceived { ordered: Box::new(order.clone()) }
}

fn declined(reason: DeclineReason, code: &str) -> Outcome {
    Outcome::Declined { reason: reason.as_str().to_owned(), code: code.to_owned(), rows: 0 }
}

#[tokio::test]
async fn an_order_that_is_not_for_this_node_is_written_down_before_it_is_refused() {
    let database = loaded().await.remove(0);
    let tables = Approval { project: approval().project, ..signed(1).approval.approval };
    let other = Approval { project: ProjectId::new("P-2026-0099").unwrap(), ..approval() };
    let forged = |change: fn(&mut FeedOrder)| {
        let mut order = ordered(&approval());
        change(&mut order);
        order
    };
    let cases = [
        // Two stewards have signed it, and it is for no feed.
        (ordered(&tables), "order.feed"),
        (ordered(&other), "order.of_another"),
        (forged(|o| o.register = RegisterId::new("DAR").unwrap()), "order.of_another"),
        (forged(|o| o.approval.approval.feed = None), "approval.signatures"),
        (forged(|o| o.approval.signatures.clear()), "approval.signatures"),
        (forged(|o| o.expires = o.issued - TimeDelta::seconds(1)), "order.stale"),
        (forged(|o| o.max_codes = u64::MAX), "order.too_many_rows"),
    ];
    for (order, code) in cases {
        let out = tempfile::tempdir().unwrap();
        let said = journal(&database.url, &order, EXAMPLE, Some([7; 64]), out.path()).await;
        assert_eq!(said, [received(&order), declined(DeclineReason::Approval, code)]);
    }
}

#[tokio::test]
async fn why_a_feed_is_not_taken_is_written_down_by_its_code() {
    let database = loaded().await.remove(0);
    let order = ordered(&approval());
    let said = async |policy: &str, key| {
        let out = tempfile::tempdir().unwrap();
        let mut said = journal(&database.url, &order, policy, key, out.path()).await;
        assert_eq!(said[..2], [received(&order), Outcome::Verified]);
        assert!(!out.path().join(format!("{}.pending", approval().project)).exists());
        said.pop().unwrap()
    };
    let key = Some([7; 64]);
    let policy = |code| declined(DeclineReason::Policy, code);
    assert_eq!(said(EXAMPLE, key).await, policy("policy.not_approved"));
    let (_, no_feed) = (EXAMPLE, EXAMPLE.split_once("\n[feed]").unwrap().0);
    assert_eq!(said(no_feed, key).await, policy("policy.no_feed"));
    Approvals::open(&database.url).await.unwrap().approve(&approval(), None, now()).await.unwrap();
    let numbers = EXAMPLE.replace("key = \"episode_lnr\"", "key = \"fnr\"");
    assert_eq!(said(&numbers, key).await, policy("policy.feed_key"));
    let elsewhere = EXAMPLE
        .replace("basis = \"section_11\"\ntable = \"episode\"", "basis = \"section_11\"\ntable = \"else\"");
    assert_eq!(said(&elsewhere, key).await, declined(DeclineReason::Source, "source.failed"));
    assert_eq!(said(EXAMPLE, None).await, declined(DeclineReason::Key, "identity.superseded_approval"));
    // Whoever is not the node itself has refused: it failed.
    let code = "rule.feed_and_results".to_owned();
    assert_eq!(said(EXAMPLE, key).await, Outcome::Failed { code, rows: 0 });
}

#[tokio::test]
async fn codes_that_cannot_be_kept_are_not_sent_and_that_is_written_down() {
    let database = loaded().await.remove(0);
    Approvals::open(&database.url).await.unwrap().approve(&approval(), None, now()).await.unwrap();
    let (order, out) = (ordered(&approval()), tempfile::tempdir().unwrap());
    // A folder stands where the file would be written.
    std::fs::create_dir(out.path().join(format!("{}.half", approval().project))).unwrap();
    let said = journal(&database.url, &order, EXAMPLE, Some([7; 64]), out.path()).await;
    let code = "files.failed".to_owned();
    assert_eq!(said.last(), Some(&Outcome::Failed { code, rows: 0 }));
}
