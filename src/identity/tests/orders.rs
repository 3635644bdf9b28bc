use tempfile::tempdir;

use super::*;
use crate::domain::feed::FeedOrder;
use crate::domain::feed::tests::{approval as feed_approval, order as feed_order};
use crate::domain::refusal::{Refusal, RefusalKind};

fn code_of(error: IdentityError) -> &'static str {
    Refusal::from(error).code
}

async fn codes(service: &IdentityService, order: &LinkageOrder, numbers: &[String]) -> Vec<LinkageCode> {
    let key = service.issue_key(&order.register, order).await.unwrap();
    numbers.iter().map(|number| key.code(&Fnr::parse(number.as_bytes()).unwrap())).collect()
}

#[tokio::test]
async fn codes_lead_to_persons_and_unknown_ones_to_numbers_of_the_run() {
    let dir = tempdir().unwrap();
    let service = open(dir.path(), &[1]).await.unwrap();
    let population: Vec<String> = [(5, 0), (6, 1), (5, 2), (7, 3), (7, 4), (8, 5)]
        .map(|(serial, n): (u64, usize)| format!("{serial};{};FNR;;", number(n)))
        .into();
    resolve(&service, Layout::Population, &population, true).await;
    let order = order("P-1", 1);
    let asked = [0, 20, 1, 2, 0, 21, 20, 4].map(number);
    let codes = codes(&service, &order, &asked).await;
    let (mapped, _) = map(&service, &order, codes).await.unwrap();
    let unknown = |n| PersonNo::FIRST_UNKNOWN + n;
    assert_eq!(mapped.persons, [0, unknown(0), 1, 0, 0, unknown(1), unknown(0), 2].map(PersonNo));
    // Person 0 came under two numbers; person 2 has two but came under one.
    assert_eq!(mapped.several_numbers, 1);
}

#[tokio::test]
async fn the_same_order_gets_the_same_key_until_its_codes_are_mapped() {
    let dir = tempdir().unwrap();
    let service = open(dir.path(), &[1]).await.unwrap();
    let order = order("P-1", 1);
    assert_eq!(code_of(map(&service, &order, vec![]).await.unwrap_err()), "identity.key_not_fetched");
    let first = codes(&service, &order, &numbers(0..3)).await;
    drop(service);
    let service = open(dir.path(), &[1]).await.unwrap();
    assert_eq!(codes(&service, &order, &numbers(0..3)).await, first);
    map(&service, &order, first.clone()).await.unwrap();
    assert_eq!(code_of(map(&service, &order, first).await.unwrap_err()), "identity.stale_order");
    assert_eq!(code_of(service.issue_key(&npr(), &order).await.unwrap_err()), "identity.stale_order");
    // Another register of the same run is not affected, and shares the key: both reach the same persons.
    let mut other = order.clone();
    other.register = RegisterId::new("LMR").unwrap();
    service.issue_key(&other.register, &other).await.unwrap();
}

#[tokio::test]
async fn no_two_projects_or_runs_share_a_code() {
    let dir = tempdir().unwrap();
    let service = open(dir.path(), &[1]).await.unwrap();
    let mut seen = std::collections::HashSet::new();
    for order in [order("P-1", 1), order("P-1", 2), order("P-2", 1), order("P-2", 2)] {
        seen.extend(codes(&service, &order, &numbers(0..10)).await);
    }
    assert_eq!(seen.len(), 40);
    // Codes of one run mean nothing in another.
    resolve(&service, Layout::Serial, &serial_lines(&numbers(0..10)), true).await;
    let first = codes(&service, &order("P-1", 1), &numbers(0..10)).await;
    let (mapped, _) = map(&service, &order("P-1", 2), first).await.unwrap();
    assert!(mapped.persons.iter().all(|person| person.is_unknown()));
}

#[tokio::test]
async fn forged_orders_are_refused() {
    let dir = tempdir().unwrap();
    let service = open(dir.path(), &[1]).await.unwrap();
    let good = order("P-1", 1);
    let with = |change: fn(&mut LinkageOrder)| {
        let mut order = good.clone();
        change(&mut order);
        order
    };
    let cases = [
        ("identity.approval", with(|o| o.approval.approval.version = 2)),
        ("identity.approval", with(|o| o.approval.signatures.truncate(1))),
        ("identity.approval", with(|o| o.approval = signed(approval("P-1"), &["kari", "kari"]))),
        ("identity.approval", with(|o| o.approval = signed(approval("P-1"), &["kari", "unknown"]))),
        ("identity.order", with(|o| o.columns.push(VariableId::new("hovedtilstand").unwrap()))),
        ("identity.order", with(|o| o.dataset = DatasetId::new("other").unwrap())),
        ("identity.order", with(|o| o.period = period("2023-12-31", "2024-12-31"))),
        ("identity.other_register", with(|o| o.register = RegisterId::new("LMR").unwrap())),
        ("identity.stale_order", with(|o| o.expires = now() - TimeDelta::seconds(1))),
        ("identity.stale_order", with(|o| o.issued = now() + TimeDelta::seconds(90))),
    ];
    for (code, order) in cases {
        assert_eq!(code_of(service.issue_key(&npr(), &order).await.unwrap_err()), code);
        // Nothing was remembered of it.
        assert_ne!(map(&service, &order, vec![]).await.map(drop).map_err(code_of), Ok(()));
    }
    service.issue_key(&npr(), &good).await.unwrap();
    // A second order for the same run, although it is within the approval.
    let second = with(|o| o.max_rows = 999);
    let refusal = Refusal::from(service.issue_key(&npr(), &second).await.unwrap_err());
    assert_eq!((refusal.kind, refusal.code), (RefusalKind::Denied, "identity.forged_order"));
    assert_eq!(code_of(map(&service, &second, vec![]).await.unwrap_err()), "identity.forged_order");
}

#[tokio::test]
async fn more_codes_than_rows_are_refused_and_do_not_close_the_run() {
    let dir = tempdir().unwrap();
    let service = open(dir.path(), &[1]).await.unwrap();
    let mut order = order("P-1", 1);
    order.max_rows = 2;
    let codes = codes(&service, &order, &numbers(0..3)).await;
    assert_eq!(code_of(map(&service, &order, codes.clone()).await.unwrap_err()), "identity.too_many_codes");
    map(&service, &order, codes[..2].to_vec()).await.unwrap();
}

#[tokio::test]
async fn an_older_version_of_an_approval_is_refused_once_a_newer_one_has_been_seen() {
    let dir = tempdir().unwrap();
    let service = open(dir.path(), &[1]).await.unwrap();
    let of_version = |version, run| {
        let mut order = order("P-1", run);
        order.approval = signed(Approval { version, ..approval("P-1") }, &["kari", "olga-b"]);
        order
    };
    let first = of_version(1, 1);
    codes(&service, &first, &[]).await;
    // A version that nobody has signed is not seen.
    let mut forged = of_version(9, 2);
    forged.approval.signatures.truncate(1);
    assert_eq!(code_of(service.issue_key(&npr(), &forged).await.unwrap_err()), "identity.approval");
    codes(&service, &of_version(2, 3), &[]).await;
    drop(service);
    let service = open(dir.path(), &[1]).await.unwrap();
    let refused = service.issue_key(&npr(), &of_version(1, 4)).await.unwrap_err();
    assert_eq!(code_of(refused), "identity.superseded_approval");
    // Not even for a run whose key has been given.
    assert_eq!(code_of(map(&service, &first, vec![]).await.unwrap_err()), "identity.superseded_approval");
    codes(&service, &of_version(2, 5), &[]).await;
    // Other projects have versions of their own.
    codes(&service, &order("P-2", 6), &[]).await;
}

#[tokio::test]
async fn a_query_that_the_approval_does_not_name_gets_no_key() {
    let dir = tempdir().unwrap();
    let service = open(dir.path(), &[1]).await.unwrap();
    let mut order = order("P-1", 1);
    let named = Approval { queries: vec![Digest::from_bytes([2; 32])], ..approval("P-1") };
    order.approval = signed(named, &["kari", "olga-b"]);
    assert_eq!(code_of(service.issue_key(&npr(), &order).await.unwrap_err()), "identity.order");
    order.query = Digest::from_bytes([2; 32]);
    codes(&service, &order, &[]).await;
}

/// A gateway that has been taken over keeps the run of an old order, and waits until two stewards sign a feed of the same
/// project: the order of the feed names that run, and its recipient would be given the codes of the old rows.
#[tokio::test]
async fn the_key_of_a_feed_is_none_of_an_old_run() {
    let dir = tempdir().unwrap();
    let service = open(dir.path(), &[1]).await.unwrap();
    resolve(&service, Layout::Serial, &serial_lines(&numbers(0..10)), true).await;
    let mut rows = order("P-1", 1);
    rows.register = RegisterId::new("LMR").unwrap();
    let of_rows = codes(&service, &rows, &numbers(0..10)).await;
    map(&service, &rows, of_rows.clone()).await.unwrap();

    let feed = Approval { project: rows.approval.approval.project.clone(), version: 2, ..feed_approval() };
    let recipient = feed.recipients[0].clone();
    let ordered = FeedOrder {
        run: rows.run.clone(),
        issued: rows.issued,
        expires: rows.expires,
        approval: signed(feed.clone(), &["kari", "olga-b"]),
        ..feed_order(&feed, "NPR")
    };
    let key = service.issue_feed_key((&recipient, &npr()), &ordered).await.unwrap();
    let of_feed: Vec<LinkageCode> =
        numbers(0..10).iter().map(|number| key.code(&Fnr::parse(number.as_bytes()).unwrap())).collect();
    assert!(of_feed.iter().all(|code| !of_rows.contains(code)));
    // Nor do the old rows' codes lead to anybody by the feed, while its own do.
    let accepted = service.accept(ordered).await.unwrap();
    let (mapped, _) = service.map_codes(&accepted, [of_feed, of_rows].concat(), None).await.unwrap();
    let known: Vec<bool> = mapped.persons.iter().map(|person| !person.is_unknown()).collect();
    assert_eq!(known, [[true; 10], [false; 10]].concat());
}
