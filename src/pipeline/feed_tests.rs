//! Feeds in one process: who is given an order, what an order holds up, and how long the rows are kept.

use std::time::Duration;

use chrono::{Days, NaiveDate};
use futures::FutureExt;
use futures::future::BoxFuture;

use super::fixtures::gateway;
use super::*;
use crate::audit::Leaf;
use crate::authorise::Role;
use crate::authorise::fixtures::{RECIPIENT, name, stewards, today};
use crate::domain::approval::{Approval, StewardSignature};
use crate::domain::feed::tests::approval;
use crate::domain::feed::{Feed, FeedOrder};
use crate::domain::ids::PersonNo;
use crate::domain::lifecycle::Step;
use crate::execute::testing::World;
use crate::linkage::{LinkageCode, LinkageError, MappedCodes};
use crate::store::fixtures::now;

/// An identity service that takes the first byte of a code for the person's number.
struct FirstByte;

impl FeedMapper for FirstByte {
    fn map_feed<'a>(
        &'a self,
        _: &'a FeedOrder,
        codes: &'a [LinkageCode],
    ) -> BoxFuture<'a, Result<MappedCodes, LinkageError>> {
        let person_no = codes.iter().map(|code| PersonNo(u32::from(code.as_bytes()[0]))).collect();
        async { Ok(MappedCodes { person_no, several_numbers: 0, record_keys: None }) }.boxed()
    }
}

/// A clock that is set by hand.
struct Moving(Mutex<DateTime<Utc>>);

impl Clock for Moving {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap()
    }
}

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// A gateway over a register in which the person 7 has a contact.
async fn world(folder: &std::path::Path) -> Gateway {
    let mut gateway = gateway(folder).await;
    gateway.feeds = Arc::new(FirstByte);
    let contacts = vec![(Some(7), day("2024-05-01"), 1, 3), (Some(8), day("2024-05-02"), 1, 3)];
    World { contacts, ..World::default() }.snapshot(&gateway.register, 2024..=2025);
    gateway
}

/// The approval of a feed for another organisation, under a project of its own.
fn approval_of(number: usize) -> Approval {
    let organisation = ["310000051", "310000078"][number - 1];
    Approval {
        project: name(&format!("P-2026-100{number}")),
        recipients: vec![name(&format!("NTRNO-{organisation}"))],
        ..approval()
    }
}

/// Has two stewards bring an approval into force. Gives the node that takes the feed.
async fn in_force(gateway: &Gateway, approval: &Approval) -> Caller {
    let [first, second] = ["steward-a", "steward-b"]
        .map(|steward| Caller::from_certificate(name(RECIPIENT), Role::Steward, steward.to_owned()));
    gateway.enter_project(&first, approval.clone(), None).await.unwrap();
    let complete = Step::Complete { version: approval.version, day: today() };
    gateway.record_step(&first, &approval.project, complete).await.unwrap();
    for (caller, (key, public)) in [&first, &second].into_iter().zip(stewards()) {
        let signature = StewardSignature::sign(approval, public.steward, &key).unwrap();
        let digest = approval.digest().unwrap();
        gateway.sign_project(caller, approval.project.clone(), digest, signature).await.unwrap();
    }
    Caller::from_certificate(approval.recipients[0].clone(), Role::Partner, "NPR".to_owned())
}

/// How many orders of feeds the audit log has.
async fn orders(gateway: &Gateway) -> usize {
    let leaves = gateway.audit.entries(0, 1000).await.unwrap();
    leaves.iter().filter(|entry| Leaf::from_canonical(&entry.leaf).unwrap().kind == 54).count()
}

/// A register that asks again and again beside its own calls: no order is given for it, so no codes are received.
#[tokio::test]
async fn a_register_gets_no_order_beside_one_that_is_under_way() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = world(folder.path()).await;
    let (own, other) = (approval_of(1), approval_of(2));
    let (npr, elsewhere) = (in_force(&gateway, &own).await, in_force(&gateway, &other).await);
    let first = gateway.order_feed(&npr, &own.project).await.unwrap();
    for _ in 0..3 {
        let refusal = gateway.order_feed(&npr, &own.project).await.err().unwrap();
        assert_eq!((refusal.kind, refusal.code), (RefusalKind::Unavailable, "feed.one_at_a_time"));
        assert!(refusal.hint.contains("take this one when"), "{}", refusal.hint);
    }
    assert_eq!(orders(&gateway).await, 1);
    // Others are not held up, and who may not take it learns nothing of it.
    let beside = gateway.order_feed(&elsewhere, &other.project).await.unwrap();
    let stranger = gateway.order_feed(&elsewhere, &own.project).await.err().unwrap();
    assert_eq!(stranger.code, "policy.not_permitted");
    drop((first, beside));
    gateway.order_feed(&npr, &own.project).await.unwrap();
    assert_eq!(orders(&gateway).await, 3);
}

/// A register that is given an order and names nobody: the order ends it, not the register.
#[tokio::test]
async fn an_order_is_waited_for_until_it_expires() {
    let folder = tempfile::tempdir().unwrap();
    let mut gateway = world(folder.path()).await;
    gateway.order_lifetime = TimeDelta::milliseconds(20);
    let own = approval_of(1);
    let npr = in_force(&gateway, &own).await;
    let ordered = gateway.order_feed(&npr, &own.project).await.unwrap();
    let silence = gateway.named_in_time(ordered, async |ordered| {
        ordered.name(&[[7; LinkageCode::LENGTH]])?;
        std::future::pending::<Result<(), Refusal>>().await
    });
    let refusal = silence.await.err().unwrap();
    assert_eq!((refusal.kind, refusal.code), (RefusalKind::Precondition, "feed.stale_order"));
    gateway.order_feed(&npr, &own.project).await.unwrap();
}

/// The turn is held while the feed waits to be made, with its codes, and by nobody's call.
#[tokio::test(flavor = "multi_thread")]
async fn a_feed_whose_call_is_gone_is_still_under_way() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Arc::new(world(folder.path()).await);
    let own = approval_of(1);
    let npr = in_force(&gateway, &own).await;
    let busy = gateway.slots.acquire_many(u32::try_from(MOST_RUNS).unwrap()).await.unwrap();
    let mut ordered = gateway.order_feed(&npr, &own.project).await.unwrap();
    ordered.name(&[[7; LinkageCode::LENGTH]]).unwrap();
    assert!(gateway.take_feed(&npr, ordered).now_or_never().is_none());
    let refusal = gateway.order_feed(&npr, &own.project).await.err().unwrap();
    assert_eq!(refusal.code, "feed.one_at_a_time");
    drop(busy);
    let ended = async {
        loop {
            match gateway.order_feed(&npr, &own.project).await.err().unwrap().code {
                "feed.not_due" => break,
                code => assert_eq!(code, "feed.one_at_a_time"),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), ended).await.unwrap();
    gateway.feed_turns.begin(npr.organisation()).unwrap();
}

/// Rows with identity are not kept for longer than it takes to fetch them; that they were given is.
#[tokio::test(flavor = "multi_thread")]
async fn the_rows_of_a_feed_are_erased_after_their_last_day() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(Moving(Mutex::new(now())));
    let gateway = Arc::new(Gateway { clock: Arc::clone(&clock) as _, ..world(folder.path()).await });
    let own = approval_of(1);
    let npr = in_force(&gateway, &own).await;
    let mut ordered = gateway.order_feed(&npr, &own.project).await.unwrap();
    ordered.name(&[[7; LinkageCode::LENGTH]]).unwrap();
    let taken = gateway.take_feed(&npr, ordered).await.unwrap();
    assert_eq!(taken.kept, today() + Days::new(Feed::DAYS_KEPT));
    let listed = gateway.store.disclosures(None, 10).await.unwrap();
    assert_eq!(
        listed.iter().map(|d| (&d.run, d.persons.is_some())).collect::<Vec<_>>(),
        [(&taken.run, true)]
    );

    // The whole of the last day it can be fetched.
    *clock.0.lock().unwrap() = now() + Days::new(Feed::DAYS_KEPT);
    gateway.reap().await.unwrap();
    let feed = gateway.fetch_feed(&npr, &taken.run).await.unwrap();
    assert_eq!((feed.digest(), feed.table().rows()), (taken.digest, 1));

    *clock.0.lock().unwrap() = now() + Days::new(Feed::DAYS_KEPT + 1);
    gateway.reap().await.unwrap();
    let refusal = gateway.fetch_feed(&npr, &taken.run).await.unwrap_err();
    assert_eq!((refusal.kind, refusal.code), (RefusalKind::Precondition, "result.expired"));
    assert!(gateway.store.result(&taken.run).await.unwrap().bytes.is_empty());
    // Who was in it, to whom it went and under what stays in the overview, and the next one is due when it was.
    assert_eq!(gateway.store.disclosures(None, 10).await.unwrap(), listed);
    let refusal = gateway.order_feed(&npr, &own.project).await.err().unwrap();
    assert_eq!(refusal.code, "feed.not_due");
}
