//! The desk under partners that behave and partners that do not.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use futures::StreamExt;
use proptest::prelude::*;

use super::*;
use crate::domain::clock::FixedClock;
use crate::domain::ids::RegisterId;
use crate::domain::order::LinkageOrder;
use crate::linkage::testing::{Row, bytes, now, order};
use crate::linkage::{CodedRows, DeclineCode, DeclineReason, LinkageError};

const ROW: Row<'static> = (Some(1), Some("2024-05-05"), Some("1"));

fn npr() -> RegisterId {
    RegisterId::new("NPR").unwrap()
}

fn desk() -> OrderDesk {
    let limits = DeskLimits { idle: Duration::from_millis(150), ..DeskLimits::default() };
    OrderDesk::new(Arc::new(FixedClock(now())), limits)
}

fn long() -> LinkageOrder {
    order(1, TimeDelta::seconds(20))
}

type Collecting = tokio::task::JoinHandle<Result<CodedRows, LinkageError>>;

/// A run that has posted its order, and the order as the register's node got it.
async fn posted(desk: &OrderDesk, order: LinkageOrder) -> (Collecting, LinkageOrder) {
    let mut orders = desk.subscribe(&npr());
    let at = desk.clone();
    let run = tokio::spawn(async move { at.collect(order).await });
    let order = orders.next().await.unwrap();
    (run, order)
}

async fn error(run: Collecting) -> LinkageError {
    run.await.unwrap().err().unwrap()
}

#[tokio::test]
async fn an_order_is_answered_once() {
    let desk = desk();
    let (run, order) = posted(&desk, long()).await;
    let mut intake = desk.begin(&order.id, &npr()).ok().unwrap();
    assert_eq!(desk.begin(&order.id, &npr()).err(), Some(LinkageError::AlreadyTaken));
    intake.batch(0, &bytes(&[ROW, ROW])).unwrap();
    intake.batch(1, &bytes(&[ROW])).unwrap();
    intake.end(2, 3, 4).unwrap();
    let rows = run.await.unwrap().ok().unwrap();
    assert_eq!(rows.batches().iter().map(super::super::CodedBatch::rows).sum::<usize>(), 3);
    assert_eq!(rows.invalid_rows(), 4);
    assert_eq!(desk.begin(&order.id, &npr()).err(), Some(LinkageError::UnknownOrder));
    let again = desk.decline(&order.id, &npr(), DeclineReason::Policy, DeclineCode::new("late"));
    assert_eq!(again, Err(LinkageError::UnknownOrder));
    assert_eq!(desk.open_orders(), 0);
}

#[tokio::test]
async fn an_order_reaches_a_partner_that_comes_later_and_one_that_comes_back() {
    let desk = desk();
    let at = desk.clone();
    let run = tokio::spawn(async move { at.collect(long()).await.err() });
    let mut first = loop {
        tokio::task::yield_now().await;
        let mut orders = desk.subscribe(&npr());
        if let Ok(Some(order)) = tokio::time::timeout(Duration::from_millis(20), orders.next()).await {
            assert_eq!(order, long());
            break orders;
        }
    };
    let none = tokio::time::timeout(Duration::from_millis(20), first.next()).await;
    assert!(none.is_err(), "an order comes once a subscription");
    drop(first);
    let mut again = desk.subscribe(&npr());
    assert_eq!(again.next().await, Some(long()));
    desk.decline(&long().id, &npr(), DeclineReason::Policy, DeclineCode::new("policy.project")).unwrap();
    let declined = run.await.unwrap();
    assert!(matches!(declined, Some(LinkageError::Declined { reason: DeclineReason::Policy, .. })));
    let mut later = desk.subscribe(&npr());
    assert!(tokio::time::timeout(Duration::from_millis(20), later.next()).await.is_err());
}

#[tokio::test]
async fn another_register_neither_sees_nor_answers_it() {
    let desk = desk();
    let other = RegisterId::new("DAR").unwrap();
    let mut orders = desk.subscribe(&other);
    let (run, order) = posted(&desk, long()).await;
    assert!(tokio::time::timeout(Duration::from_millis(20), orders.next()).await.is_err());
    assert_eq!(desk.begin(&order.id, &other).err(), Some(LinkageError::UnknownOrder));
    let declined = desk.decline(&order.id, &other, DeclineReason::Policy, DeclineCode::new("x"));
    assert_eq!(declined, Err(LinkageError::UnknownOrder));
    assert!(desk.begin(&order.id, &npr()).is_ok());
    assert_eq!(error(run).await, LinkageError::Dropped);
}

#[tokio::test]
async fn a_gap_a_repeat_and_a_false_summary_end_the_order() {
    type Script = fn(Intake) -> Result<(), LinkageError>;
    let scripts: [(Script, LinkageError); 6] = [
        (|mut i| i.batch(1, &bytes(&[ROW])), LinkageError::BatchNumber),
        (
            |mut i| i.batch(0, &bytes(&[ROW])).and_then(|()| i.batch(0, &bytes(&[ROW]))),
            LinkageError::BatchNumber,
        ),
        (
            |mut i| i.batch(0, &bytes(&[ROW])).and_then(|()| i.batch(2, &bytes(&[ROW]))),
            LinkageError::BatchNumber,
        ),
        (|mut i| i.batch(0, &bytes(&[ROW])).and_then(|()| i.end(2, 1, 0)), LinkageError::Summary),
        (|mut i| i.batch(0, &bytes(&[ROW])).and_then(|()| i.end(1, 2, 0)), LinkageError::Summary),
        (|mut i| i.batch(0, &bytes(&[ROW; 101])), LinkageError::TooManyRows(100)),
    ];
    for (script, expected) in scripts {
        let desk = desk();
        let (run, order) = posted(&desk, long()).await;
        let intake = desk.begin(&order.id, &npr()).ok().unwrap();
        assert_eq!(script(intake), Err(expected.clone()));
        assert_eq!(error(run).await, expected);
        assert_eq!(desk.open_orders(), 0);
    }
}

#[tokio::test]
async fn too_much_is_refused_before_it_is_read() {
    let limits = DeskLimits { batch_bytes: 100, ..DeskLimits::default() };
    let desk = OrderDesk::new(Arc::new(FixedClock(now())), limits);
    let (run, order) = posted(&desk, long()).await;
    let mut intake = desk.begin(&order.id, &npr()).ok().unwrap();
    assert_eq!(intake.batch(0, &[0; 101]), Err(LinkageError::BatchBytes(100)));
    assert_eq!(intake.batch(0, &bytes(&[ROW])), Err(LinkageError::UnknownOrder));
    assert_eq!(error(run).await, LinkageError::BatchBytes(100));
}

#[tokio::test]
async fn padding_cannot_fill_the_memory() {
    let desk = desk();
    let mut small = long();
    small.max_rows = 1;
    let (run, order) = posted(&desk, small).await;
    let mut intake = desk.begin(&order.id, &npr()).ok().unwrap();
    assert_eq!(intake.batch(0, &vec![0; 2 << 20]), Err(LinkageError::TooManyBytes));
    assert_eq!(error(run).await, LinkageError::TooManyBytes);
}

#[tokio::test]
async fn a_partner_that_drops_stalls_or_never_comes_leaves_nothing() {
    let desk = desk();
    let (run, order) = posted(&desk, long()).await;
    let mut intake = desk.begin(&order.id, &npr()).ok().unwrap();
    intake.batch(0, &bytes(&[ROW])).unwrap();
    drop(intake);
    assert_eq!(error(run).await, LinkageError::Dropped);

    let (run, order) = posted(&desk, long()).await;
    let mut intake = desk.begin(&order.id, &npr()).ok().unwrap();
    intake.batch(0, &bytes(&[ROW])).unwrap();
    let closed = intake.closed();
    assert_eq!(error(run).await, LinkageError::Stalled);
    closed.await;
    assert_eq!(intake.batch(1, &bytes(&[ROW])), Err(LinkageError::UnknownOrder));

    assert_eq!(desk.collect(order_of(60)).await.err(), Some(LinkageError::NotTaken));
    assert_eq!(desk.collect(order_of(-1)).await.err(), Some(LinkageError::NotTaken));

    let (run, order) = posted(&desk, order_of(100)).await;
    let mut intake = desk.begin(&order.id, &npr()).ok().unwrap();
    let slow = tokio::spawn(async move {
        for number in 0.. {
            tokio::time::sleep(Duration::from_millis(20)).await;
            if intake.batch(number, &bytes(&[ROW])).is_err() {
                return number;
            }
        }
        0
    });
    assert_eq!(error(run).await, LinkageError::TimedOut);
    assert!(slow.await.unwrap() > 0);
    assert_eq!(desk.open_orders(), 0);
}

fn order_of(milliseconds: i64) -> LinkageOrder {
    order(1, TimeDelta::milliseconds(milliseconds))
}

#[tokio::test]
async fn a_run_that_gives_up_takes_order_and_rows_with_it() {
    let desk = desk();
    let (run, order) = posted(&desk, long()).await;
    let mut intake = desk.begin(&order.id, &npr()).ok().unwrap();
    intake.batch(0, &bytes(&[ROW])).unwrap();
    run.abort();
    intake.closed().await;
    assert_eq!(desk.open_orders(), 0);
    assert_eq!(intake.end(1, 1, 0), Err(LinkageError::UnknownOrder));
}

#[tokio::test]
async fn closing_ends_subscriptions() {
    let desk = desk();
    let mut orders = desk.subscribe(&npr());
    desk.close();
    assert_eq!(orders.next().await, None);
    assert_eq!(desk.subscribe(&npr()).next().await, None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn only_the_numbers_from_zero_up_make_an_answer(numbers in proptest::collection::vec(0_u32..4, 0..4)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let desk = desk();
            let (run, order) = posted(&desk, long()).await;
            let mut intake = desk.begin(&order.id, &npr()).ok().unwrap();
            let batch = bytes(&[ROW]);
            let sent = numbers.iter().try_for_each(|number| intake.batch(*number, &batch));
            let count = u32::try_from(numbers.len()).unwrap();
            let ended = sent.and_then(|()| intake.end(count, u64::from(count), 0));
            let right = numbers.iter().copied().eq(0..count);
            assert_eq!(ended.is_ok(), right);
            assert_eq!(run.await.unwrap().is_ok(), right);
            assert_eq!(desk.open_orders(), 0);
        });
    }
}
