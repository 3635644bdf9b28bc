//! The ledger's rows on both databases.

use super::*;
use crate::domain::method::Method;
use crate::store::fixtures::{name, now, run_id, stores, submission};

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn release(run: u8, organisation: &str) -> LedgerRelease {
    LedgerRelease {
        run: run_id(run),
        organisation: name(organisation),
        project: name("P-2026-0001"),
        snapshot: Digest::from_bytes([1; 32]),
        question: Digest::from_bytes([run; 32]),
        definition: b"definition".to_vec(),
        pattern: vec![0, 1],
        lives_until: day("2027-01-31"),
    }
}

const OURS: &str = "NTRNO-983744516";
const THEIRS: &str = "NTRNO-111111111";

async fn submitted(store: &Store, runs: std::ops::Range<u8>) {
    for run in runs {
        let mut write = store.write().await.unwrap();
        write.submit(&submission(&format!("req-{run}")), run_id(run), now()).await.unwrap();
        let (organisation, domain) = (name(OURS), name("services"));
        write.use_method(&run_id(run), &organisation, &domain, Method::Suppress).await.unwrap();
        write.commit().await.unwrap();
    }
}

async fn record(store: &Store, head: u64, release: &LedgerRelease) -> Result<(), StoreError> {
    let mut write = store.write().await?;
    write.record_release(head, release, Some(b"members"), now()).await?;
    write.commit().await
}

#[tokio::test]
async fn an_organisation_knows_what_is_its_own_and_what_is_published() {
    for test in stores().await {
        let store = &test.store;
        submitted(store, 1..4).await;
        for (head, run, organisation) in [(0, 1, OURS), (1, 2, THEIRS), (2, 3, THEIRS)] {
            record(store, head, &release(run, organisation)).await.unwrap();
        }
        let known = async |organisation| {
            let entries = store.known_to(&name(organisation)).await.unwrap();
            entries.into_iter().map(|e| e.release.run).collect::<Vec<_>>()
        };
        assert_eq!(known(OURS).await, [run_id(1)]);
        assert_eq!(known(THEIRS).await, [run_id(2), run_id(3)]);
        let mut write = store.write().await.unwrap();
        write.record_publication(3, &run_id(2)).await.unwrap();
        write.commit().await.unwrap();
        assert_eq!(known(OURS).await, [run_id(1), run_id(2)]);
        assert_eq!(store.ledger_head().await.unwrap(), 4);
        let all = store.ledger().await.unwrap();
        let expected = LedgerEntry { entry: 1, published: true, release: release(2, THEIRS), kept: true };
        assert_eq!((all.len(), &all[1]), (3, &expected));
        assert_eq!(store.membership(1).await.unwrap().as_deref(), Some(b"members".as_slice()));
        let mut write = store.write().await.unwrap();
        let none = write.record_publication(4, &run_id(9)).await;
        assert!(matches!(none, Err(StoreError::NotInLedger(_))));
    }
}

#[tokio::test]
async fn of_judgements_on_the_same_head_one_alone_is_recorded() {
    for test in stores().await {
        submitted(&test.store, 1..13).await;
        let head = test.store.ledger_head().await.unwrap();
        let tasks: Vec<_> = (1..13)
            .map(|run| {
                let store = test.store.clone();
                tokio::spawn(async move { record(&store, head, &release(run, OURS)).await })
            })
            .collect();
        let mut recorded = 0;
        for task in tasks {
            match task.await.unwrap() {
                Ok(()) => recorded += 1,
                Err(error) => assert!(matches!(error, StoreError::LedgerMoved), "{error}"),
            }
        }
        assert_eq!(recorded, 1);
        assert_eq!(test.store.ledger().await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn what_is_not_committed_leaves_the_ledger_as_it_was() {
    for test in stores().await {
        submitted(&test.store, 1..2).await;
        let mut write = test.store.write().await.unwrap();
        write.record_release(0, &release(1, OURS), Some(b"members"), now()).await.unwrap();
        drop(write);
        assert_eq!(test.store.ledger_head().await.unwrap(), 0);
        assert!(test.store.ledger().await.unwrap().is_empty());
        record(&test.store, 0, &release(1, OURS)).await.unwrap();
    }
}

#[tokio::test]
async fn a_membership_is_forgotten_when_its_time_is_up_and_the_release_stays() {
    for test in stores().await {
        submitted(&test.store, 1..3).await;
        record(&test.store, 0, &release(1, OURS)).await.unwrap();
        let longer = LedgerRelease { lives_until: day("2030-01-01"), ..release(2, OURS) };
        record(&test.store, 1, &longer).await.unwrap();
        let forget = async |today| {
            let mut write = test.store.write().await.unwrap();
            let forgotten = write.forget_memberships(day(today)).await.unwrap();
            write.commit().await.unwrap();
            forgotten
        };
        assert_eq!(forget("2027-01-31").await, 0);
        assert_eq!(forget("2027-02-01").await, 1);
        let all = test.store.ledger().await.unwrap();
        assert_eq!((all[0].kept, all[1].kept), (false, true));
        assert_eq!(test.store.membership(all[0].entry).await.unwrap(), None);
        assert_eq!(all[0].release, release(1, OURS));
    }
}

#[tokio::test]
async fn a_refused_question_stays_refused_for_its_asker_and_data() {
    for test in stores().await {
        let refusal = |code: &str| LedgerRefusal {
            organisation: name(OURS),
            snapshot: Digest::from_bytes([1; 32]),
            question: Digest::from_bytes([2; 32]),
            code: code.to_owned(),
        };
        for code in ["first", "second"] {
            let mut write = test.store.write().await.unwrap();
            write.record_refusal(&refusal(code), now()).await.unwrap();
            write.commit().await.unwrap();
        }
        let before = async |organisation, snapshot: u8| {
            let (snapshot, question) = (Digest::from_bytes([snapshot; 32]), Digest::from_bytes([2; 32]));
            test.store.refused_before(&name(organisation), snapshot, question).await.unwrap()
        };
        assert_eq!(before(OURS, 1).await.as_deref(), Some("first"));
        assert_eq!(before(OURS, 2).await, None);
        assert_eq!(before(THEIRS, 1).await, None);
    }
}
