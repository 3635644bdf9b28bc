//! Held, signed, refused, and what a restart makes of it, on both databases.

use std::sync::Arc;

use ed25519_dalek::SigningKey;

use super::super::event::QueryOpened;
use super::super::fixtures::Counting;
use super::super::note::NoteSigner;
use super::*;
use crate::domain::clock::FixedClock;
use crate::store::fixtures::{TestStore, approval, enter_active, name, now, run_id, stores, submission};
use crate::store::{Store, StoreError};

async fn open(store: &Store) -> AuditLog {
    let signer = NoteSigner::new("kpr.example/audit", SigningKey::from_bytes(&[7; 32])).unwrap();
    let entropy = Counting::default();
    AuditLog::open(store.clone(), signer, Arc::new(FixedClock(now())), Arc::new(entropy)).await.unwrap()
}

fn actor() -> Actor {
    Actor { organisation: name("NTRNO-983744516"), role: "steward", name: "anna".to_owned() }
}

fn by(run: &Run) -> HeldRun<'_> {
    HeldRun { actor: Box::leak(Box::new(actor())), run, intent: 0 }
}

fn statement() -> ReleaseStatement {
    let digest = |n| Digest::from_bytes([n; 32]);
    ReleaseStatement { run: run_id(1), result: digest(1), risk: digest(2) }
}

fn signature(steward: &str) -> StewardSignature {
    StewardSignature { steward: name(steward), signature: "00".repeat(64) }
}

/// A run whose microdata are held.
async fn held(test: &TestStore, log: &AuditLog) -> Run {
    enter_active(&test.store).await;
    let mut write = test.store.write().await.unwrap();
    write.submit(&submission("req-1"), run_id(1), now()).await.unwrap();
    write.commit().await.unwrap();
    let digest = Digest::from_bytes([9; 32]);
    let opened = QueryOpened {
        query: digest,
        approval: approval().digest().unwrap(),
        policies: digest,
        plan: digest,
        rule: name("records-5"),
        min_persons: 5,
    };
    let intent = log.open_intent(actor(), name("P-2026-0001"), run_id(1), opened).await.unwrap();
    let record = HeldRecord { snapshot: digest, question: digest, lapses: "2026-12-22".parse().unwrap() };
    let other = ReleaseStatement { run: run_id(2), ..statement() };
    assert!(log.hold_sealed(&intent, &other, b"risk", b"sealed", record).await.is_err());
    log.hold_sealed(&intent, &statement(), b"risk", b"sealed", record).await.unwrap();
    test.store.run(&run_id(1)).await.unwrap()
}

async fn entries(log: &AuditLog) -> usize {
    log.entries(0, 100).await.unwrap().len()
}

#[tokio::test]
async fn what_is_held_survives_a_restart_and_is_no_unfinished_run() {
    for test in stores().await {
        let run = held(&test, &open(&test.store).await).await;
        assert_eq!(run.phase, Phase::Held);
        let log = open(&test.store).await;
        assert_eq!(log.recover(&actor()).await.unwrap(), 0);
        assert_eq!(test.store.run(&run.run).await.unwrap().phase, Phase::Held);
        let row = test.store.held(&run.run).await.unwrap();
        let [last, after] = ["2026-12-22", "2026-12-23"].map(|day| day.parse().unwrap());
        assert!(!row.has_lapsed(last) && row.has_lapsed(after));
        assert_eq!((row.statement, row.risk.as_slice(), row.held), (statement(), b"risk".as_slice(), now()));
        assert_eq!(test.store.sealed(&run.run).await.unwrap(), b"sealed");
        assert!(log.released::<MicrodataTable>(&run.run).await.is_err());
        assert!(matches!(test.store.held(&run_id(2)).await, Err(StoreError::NotHeld(_))));
    }
}

#[tokio::test]
async fn the_first_signature_is_recorded_alone_and_once() {
    for test in stores().await {
        let log = open(&test.store).await;
        let run = held(&test, &log).await;
        assert!(log.sign_held(by(&run), &statement(), &signature("anna")).await.unwrap());
        let recorded = entries(&log).await;
        // The same steward, and a second one who was taken for the first.
        assert!(log.sign_held(by(&run), &statement(), &signature("anna")).await.is_err());
        assert!(!log.sign_held(by(&run), &statement(), &signature("bjorn")).await.unwrap());
        assert_eq!(entries(&log).await, recorded);
        let row = test.store.held(&run.run).await.unwrap();
        assert_eq!(row.signatures, [signature("anna")]);
    }
}

#[tokio::test]
async fn a_refusal_erases_and_ends_the_run_once() {
    for test in stores().await {
        let log = open(&test.store).await;
        let run = held(&test, &log).await;
        log.sign_held(by(&run), &statement(), &signature("anna")).await.unwrap();
        log.refuse_held(by(&run), "microdata.lapsed", "a hint").await.unwrap();
        let ended = test.store.run(&run.run).await.unwrap();
        assert_eq!(ended.phase, Phase::Refused);
        assert_eq!(ended.ending, Some(("microdata.lapsed".to_owned(), "a hint".to_owned())));
        assert!(matches!(test.store.sealed(&run.run).await, Err(StoreError::NotHeld(_))));
        assert!(test.store.all_held().await.unwrap().is_empty());
        let recorded = entries(&log).await;
        let gone = |error| matches!(error, AuditError::Store(StoreError::NotHeld(_)));
        let again = log.refuse_held(by(&run), "microdata.lapsed", "a hint").await;
        assert!(gone(again.unwrap_err()));
        let late = log.sign_held(by(&run), &statement(), &signature("bjorn")).await;
        assert!(gone(late.unwrap_err()));
        assert_eq!(entries(&log).await, recorded);
    }
}
