//! Budgets under many hands at once, and under a kill at any instant.

use std::future::Future;
use std::io::{BufRead, BufReader};
use std::pin::{Pin, pin};
use std::process::{Command, Stdio};
use std::task::{Context, Poll};

use super::*;
use crate::domain::refusal::{Refusal, RefusalKind};
use crate::store::fixtures::{now, run_id, sqlite, stores, submission};
use crate::store::{Store, Submission};

fn rho(text: &str) -> Rho {
    text.parse().unwrap()
}

fn project() -> ProjectId {
    submission("req").query.project
}

/// So many runs of one project.
async fn runs(store: &Store, count: u8) {
    let mut write = store.write().await.unwrap();
    for run in 0..count {
        write.submit(&submission(&format!("req-{run}")), run_id(run), now()).await.unwrap();
    }
    write.commit().await.unwrap();
}

async fn reserve(store: &Store, run: u8, cost: &str, allowance: &str) -> Result<BudgetLease, StoreError> {
    let mut write = store.write().await?;
    let left = write.reserve_budget(&run_id(run), rho(cost), rho(allowance), now()).await?;
    let lease = write.commit_lease().await?;
    assert_eq!(lease.left_after(), left);
    Ok(lease)
}

#[tokio::test]
async fn a_budget_is_spent_to_the_last_unit_and_no_further() {
    for test in stores().await {
        let store = &test.store;
        runs(store, 6).await;
        let mut other =
            Submission { request_id: "other".to_owned().try_into().unwrap(), ..submission("req") };
        other.query.project = "P-2026-0002".to_owned().try_into().unwrap();
        let mut write = store.write().await.unwrap();
        write.submit(&other, run_id(9), now()).await.unwrap();
        write.commit().await.unwrap();

        let lease = reserve(store, 0, "0.1", "0.3").await.unwrap();
        assert_eq!(
            (lease.left_before(), lease.rho(), lease.left_after()),
            (rho("0.3"), rho("0.1"), rho("0.2"))
        );
        assert_eq!((lease.run(), lease.project()), (&run_id(0), &project()));
        reserve(store, 1, "0.1", "0.3").await.unwrap();
        let refused = reserve(store, 2, "0.100000001", "0.3").await.unwrap_err();
        let refusal = Refusal::from(refused);
        assert_eq!((refusal.kind, refusal.code), (RefusalKind::Limit, "budget.exceeded"));
        for number in ["0.100000001", " 0.1 ", "0.3"] {
            assert!(refusal.hint.contains(number), "{}", refusal.hint);
        }
        // What it said would be accepted is.
        assert_eq!(reserve(store, 2, "0.1", "0.3").await.unwrap().left_after(), Rho::ZERO);
        assert!(reserve(store, 3, "0.000000001", "0.3").await.is_err());
        assert_eq!(store.budget_spent(&project()).await.unwrap(), rho("0.3"));
        // Another project's budget is its own, and a smaller one for this project leaves nothing.
        reserve(store, 9, "0.3", "0.3").await.unwrap();
        assert!(matches!(
            reserve(store, 3, "0.01", "0.2").await,
            Err(StoreError::BudgetExceeded { left: Rho::ZERO, .. })
        ));
        assert!(reserve(store, 3, "0.01", "0.4").await.is_ok());
    }
}

#[tokio::test]
async fn the_same_reservation_again_spends_nothing() {
    for test in stores().await {
        let store = &test.store;
        runs(store, 3).await;
        let first = reserve(store, 0, "0.1", "0.3").await.unwrap();
        reserve(store, 1, "0.1", "0.3").await.unwrap();
        assert_eq!(reserve(store, 0, "0.1", "0.3").await.unwrap(), first);
        assert!(matches!(reserve(store, 0, "0.2", "0.3").await, Err(StoreError::OtherReservation(_))));
        assert!(matches!(reserve(store, 2, "0", "0.3").await, Err(StoreError::OtherReservation(_))));
        assert!(matches!(reserve(store, 7, "0.1", "0.3").await, Err(StoreError::NoSuchRun(_))));
        assert_eq!(store.budget_spent(&project()).await.unwrap(), rho("0.2"));
    }
}

#[tokio::test]
async fn a_run_reserves_before_it_begins_and_not_after_it_has_ended() {
    for test in stores().await {
        let store = &test.store;
        runs(store, 2).await;
        reserve(store, 0, "0.1", "0.3").await.unwrap();
        let mut write = store.write().await.unwrap();
        for run in [0, 1] {
            write.set_phase(&run_id(run), Phase::Executing, None).await.unwrap();
        }
        write.commit().await.unwrap();
        // Taken up again, it has its lease; one that began without has none.
        assert!(reserve(store, 0, "0.1", "0.3").await.is_ok());
        assert!(matches!(reserve(store, 1, "0.1", "0.3").await, Err(StoreError::PhaseOrder(_))));
        let mut write = store.write().await.unwrap();
        write.set_phase(&run_id(0), Phase::Failed, None).await.unwrap();
        write.commit().await.unwrap();
        assert!(matches!(reserve(store, 0, "0.1", "0.3").await, Err(StoreError::PhaseOrder(_))));
        // A failed run's budget is gone.
        assert_eq!(store.budget_spent(&project()).await.unwrap(), rho("0.1"));
    }
}

#[tokio::test]
async fn a_hundred_at_once_never_exceed_the_budget() {
    for test in stores().await {
        runs(&test.store, 100).await;
        let tasks: Vec<_> = (0..100)
            .map(|run| {
                let store = test.store.clone();
                // 37 of these fit; every second one asks twice.
                tokio::spawn(async move {
                    let first = reserve(&store, run, "0.027", "1").await;
                    if run % 2 == 0 {
                        let again = reserve(&store, run, "0.027", "1").await;
                        assert_eq!(first.is_ok(), again.is_ok());
                    }
                    first
                })
            })
            .collect();
        let mut leases = Vec::new();
        for task in tasks {
            match task.await.unwrap() {
                Ok(lease) => leases.push(lease),
                Err(StoreError::BudgetExceeded { left, .. }) => assert_eq!(left, rho("0.001")),
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(leases.len(), 37);
        assert_eq!(test.store.budget_spent(&project()).await.unwrap(), rho("0.999"));
        // Each saw what the one before it left.
        leases.sort_by_key(|lease| std::cmp::Reverse(lease.left_before()));
        let chained = leases.windows(2).all(|pair| pair[0].left_after() == pair[1].left_before());
        assert!(chained && leases[0].left_before() == rho("1"));
    }
}

#[tokio::test]
async fn the_same_run_at_once_reserves_once() {
    for test in stores().await {
        runs(&test.store, 1).await;
        let tasks: Vec<_> = (0..16)
            .map(|_| {
                let store = test.store.clone();
                tokio::spawn(async move { reserve(&store, 0, "0.1", "0.3").await.unwrap() })
            })
            .collect();
        for task in tasks {
            assert_eq!(task.await.unwrap().left_after(), rho("0.2"));
        }
        assert_eq!(test.store.budget_spent(&project()).await.unwrap(), rho("0.1"));
    }
}

/// Polls a future so many times and then drops it, wherever it is.
struct Cut<'a, F> {
    future: Pin<&'a mut F>,
    polls: usize,
}

impl<F: Future> Future for Cut<'_, F> {
    type Output = Option<F::Output>;
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.polls == 0 {
            return Poll::Ready(None);
        }
        self.polls -= 1;
        self.future.as_mut().poll(context).map(Some)
    }
}

#[tokio::test]
async fn a_reservation_dropped_at_any_point_is_whole_or_none() {
    for test in stores().await {
        let store = &test.store;
        runs(store, 100).await;
        let (mut cut, mut spent, mut finished) = (0, 0, 0);
        for polls in 0..100 {
            let run = u8::try_from(polls).unwrap();
            let done = {
                let future = pin!(reserve(store, run, "0.001", "1"));
                Cut { future, polls }.await
            };
            let units = store.budget_spent(&project()).await.unwrap().units();
            let reserved = units - spent;
            assert!(reserved == 0 || reserved == 1_000_000, "{reserved}");
            if let Some(lease) = done {
                assert_eq!((lease.unwrap().rho().units(), reserved), (1_000_000, 1_000_000));
                finished += 1;
            } else {
                cut += 1;
            }
            // Whatever happened, the run can go on, and has paid once.
            reserve(store, run, "0.001", "1").await.unwrap();
            spent += 1_000_000;
            assert_eq!(store.budget_spent(&project()).await.unwrap().units(), spent);
        }
        assert!(cut > 3 && finished > 3, "{cut} {finished}");
    }
}

const DATABASE: &str = "KPR_TEST_BUDGET_DATABASE";

/// What the process below runs: reserves for each run and tells of each lease.
#[tokio::test]
#[ignore = "run as a process of its own by the test below"]
async fn reserve_until_killed() {
    let store = Store::open(&std::env::var(DATABASE).unwrap()).await.unwrap();
    for run in 0..100 {
        let lease = reserve(&store, run, "0.001", "1").await.unwrap();
        println!("leased {}", lease.run());
    }
}

fn kill_after(url: &str, lines: usize) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "--test-threads=1"])
        .arg("store::budget::tests::reserve_until_killed")
        .env(DATABASE, url)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let leased = |line: String| line.split_once("leased ").map(|(_, run)| run.to_owned());
    let mut told: Vec<String> = output.by_ref().filter_map(leased).take(lines).collect();
    // Wherever the next reservation is now, it ends here.
    child.kill().unwrap();
    child.wait().unwrap();
    told.extend(output.filter_map(leased));
    told
}

#[tokio::test]
async fn a_killed_process_leaves_whole_reservations_and_no_lease_without_one() {
    for lines in [1, 4, 7] {
        let test = sqlite().await;
        let (store, url) = (&test.store, test.url.clone());
        runs(store, 100).await;
        let told = tokio::task::spawn_blocking(move || kill_after(&url, lines));
        let told = told.await.unwrap();
        assert!(told.len() >= lines && told.len() < 100);
        let spent = store.budget_spent(&project()).await.unwrap().units();
        // Every lease that was told of is on disk; at most one more is, whose telling was cut off.
        let runs_told = told.len() as u64;
        assert!(
            spent == runs_told * 1_000_000 || spent == (runs_told + 1) * 1_000_000,
            "{spent} {runs_told}"
        );
        // The next process takes up all runs, and each has paid once.
        for run in 0..100 {
            reserve(store, run, "0.001", "1").await.unwrap();
        }
        assert_eq!(store.budget_spent(&project()).await.unwrap(), rho("0.1"));
    }
}
