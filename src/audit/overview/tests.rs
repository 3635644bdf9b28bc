//! The log goes on verifying when what its leaves commit to is erased.

use std::sync::Arc;

use ed25519_dalek::SigningKey;

use super::super::note::NoteSigner;
use super::super::verify::{Demands, verify};
use super::*;
use crate::disclosure::persons::{CHUNK, chunk_of};
use crate::domain::canonical::Digest;
use crate::domain::clock::{Clock, Entropy, EntropyError, FixedClock};
use crate::domain::query::Answer;
use crate::domain::refusal::{Refusal, RefusalKind};
use crate::store::Store;
use crate::store::fixtures::{facts, name, now, run_id, stores, submission};

struct Sevens;

impl Entropy for Sevens {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        bytes.fill(7);
        Ok(())
    }
}

fn actor() -> Actor {
    Actor { organisation: name("NTRNO-983744516"), role: "gateway", name: "gateway".to_owned() }
}

async fn try_open(store: &Store, clock: impl Clock + 'static) -> Result<AuditLog, AuditError> {
    let signer = NoteSigner::new("kpr.example/audit", SigningKey::from_bytes(&[7; 32])).unwrap();
    AuditLog::open(store.clone(), signer, Arc::new(clock), Arc::new(Sevens)).await
}

async fn open(store: &Store, clock: impl Clock + 'static) -> AuditLog {
    try_open(store, clock).await.unwrap()
}

/// Facts of records.
fn of_records() -> DisclosureFacts {
    DisclosureFacts { result: Answer::Microdata, ..facts() }
}

/// Enters a release of the run, the leaf before it standing for its receipt; of records, with the persons in them.
async fn enter(
    log: &AuditLog,
    run: u8,
    facts: &DisclosureFacts,
    persons: Option<&SealedPersons>,
) -> Result<(), AuditError> {
    let run = run_id(run);
    let entry =
        |event| Entry { actor: actor(), project: Some(name("P-2026-0001")), run: Some(run.clone()), event };
    let mut recording = log.begin().await?;
    let received = super::super::event::ResultReceived { intent: 0, result: Digest::from_bytes([1; 32]) };
    let receipt = recording.add(entry(received.into())).await?;
    let records = persons.map(|persons| (persons, now().date_naive()));
    recording.disclose(entry, receipt, &run, facts, records).await?;
    recording.finish().await
}

/// Two runs.
async fn submitted(store: &Store) {
    for n in [1, 2] {
        let mut write = store.write().await.unwrap();
        write.submit(&submission(&format!("req-{n}")), run_id(n), now()).await.unwrap();
        write.commit().await.unwrap();
    }
}

#[tokio::test]
async fn erasing_what_a_leaf_commits_to_leaves_the_log_verifying() {
    for test in stores().await {
        submitted(&test.store).await;
        let long_ago = FixedClock("2020-06-01T08:00:00Z".parse().unwrap());
        let log = open(&test.store, long_ago).await;
        enter(&log, 1, &facts(), None).await.unwrap();
        let of_another = DisclosureFacts { project: name("P-2026-0002"), ..facts() };
        assert!(enter(&log, 2, &of_another, None).await.is_err());
        let log = open(&test.store, FixedClock(now())).await;
        enter(&log, 2, &facts(), None).await.unwrap();

        let ten = Retention::default();
        assert_eq!(log.reap_disclosures(&actor(), ten).await.unwrap(), 0);
        assert_eq!(test.store.audit_leaves(0, 100).await.unwrap().len(), 4);
        assert!(test.store.audit_detail(1).await.unwrap().is_some());
        let five = Retention::new(5).unwrap();
        assert_eq!(log.reap_disclosures(&actor(), five).await.unwrap(), 1);
        assert_eq!(log.reap_disclosures(&actor(), five).await.unwrap(), 0);
        assert_eq!(test.store.disclosures(None, 10).await.unwrap().len(), 1);
        assert_eq!(test.store.audit_detail(1).await.unwrap(), None);
        assert!(test.store.audit_detail(3).await.unwrap().is_some());

        // Opened anew, and offline, with the leaf of the erased one among the others.
        let log = open(&test.store, FixedClock(now())).await;
        let dir = tempfile::tempdir().unwrap();
        log.export(&dir.path().join("log")).await.unwrap();
        let verified = verify(&dir.path().join("log"), &log.verifier_key(), &Demands::default()).unwrap();
        assert_eq!(verified.size, 5);
    }
}

/// Whether the person is in the records of each run, as the person's own log tells it.
async fn read(store: &Store, person: PersonNo) -> Result<Vec<bool>, AuditError> {
    let key = PersonsKey::new(&[7; 32].into());
    let all = store.chunks(chunk_of(person)).await?;
    all.iter().map(|kept| records_hold(&key, person, kept)).collect()
}

/// A person of the first run's records in each of their three chunks, and one beyond.
const PERSONS: [PersonNo; 4] =
    [PersonNo(3), PersonNo(CHUNK + 3), PersonNo(2 * CHUNK + 3), PersonNo(3 * CHUNK + 3)];

/// What one does who has the database and no key, and whose logs cannot be read any more. The receipts are the entries 0 and
/// 2, entered by 1 and 3.
const CHANGES: [(&str, &[&str], &[usize]); 14] = [
    (
        "another release's chunk",
        &[
            "UPDATE disclosure_persons SET sealed = (SELECT sealed FROM disclosure_persons WHERE receipt = 2 AND chunk = 0) \
           WHERE receipt = 0 AND chunk = 0",
        ],
        &[0],
    ),
    (
        "another release's chunk with its proof",
        &["UPDATE disclosure_persons SET (sealed, proof) = \
           (SELECT sealed, proof FROM disclosure_persons WHERE receipt = 2 AND chunk = 1) WHERE receipt = 0 AND chunk = 1"],
        &[1],
    ),
    (
        "another person's chunk",
        &["UPDATE disclosure_persons SET (sealed, proof) = \
           (SELECT sealed, proof FROM disclosure_persons WHERE receipt = 0 AND chunk = 2) WHERE receipt = 0 AND chunk = 0"],
        &[0],
    ),
    ("a chunk dropped", &["DELETE FROM disclosure_persons WHERE receipt = 0 AND chunk = 1"], &[1]),
    (
        "the last chunk dropped, and the count made to fit",
        &[
            "DELETE FROM disclosure_persons WHERE receipt = 0 AND chunk = 2",
            "UPDATE disclosures SET chunks = 2 WHERE receipt = 0",
        ],
        &[0, 1, 2, 3],
    ),
    ("the set dropped", &["DELETE FROM disclosure_persons WHERE receipt = 0"], &[0, 1, 2]),
    (
        "another release's set",
        &[
            "DELETE FROM disclosure_persons WHERE receipt = 0",
            "INSERT INTO disclosure_persons (chunk, receipt, sealed, proof) \
             SELECT chunk, 0, sealed, proof FROM disclosure_persons WHERE receipt = 2",
            "UPDATE disclosures SET (persons, chunks, root) = \
             (SELECT persons, chunks, root FROM disclosures WHERE receipt = 2) WHERE receipt = 0",
        ],
        &[0, 1, 2, 3],
    ),
    (
        "another recipient",
        &[
            "UPDATE disclosures SET facts = (SELECT facts FROM disclosures WHERE receipt = 2) WHERE receipt = 0",
        ],
        &[0, 1, 2, 3],
    ),
    ("another entry of the log", &["UPDATE disclosures SET entered = 3 WHERE receipt = 0"], &[0, 1, 2, 3]),
    ("what the entry says erased", &["DELETE FROM audit_details WHERE leaf_index = 1"], &[0, 1, 2, 3]),
    ("no set of persons", &["UPDATE disclosures SET persons = NULL WHERE receipt = 0"], &[0, 1, 2, 3]),
    ("no count of chunks", &["UPDATE disclosures SET chunks = NULL WHERE receipt = 0"], &[0, 1, 2, 3]),
    ("no root", &["UPDATE disclosures SET root = NULL WHERE receipt = 0"], &[0, 1, 2, 3]),
    ("another day", &["UPDATE disclosures SET day = '2026-11-21' WHERE receipt = 0"], &[0, 1, 2, 3]),
];

#[tokio::test]
async fn who_is_in_records_is_told_only_as_the_log_has_it() {
    let key = PersonsKey::new(&[7; 32].into());
    for (what, statements, hit) in CHANGES {
        for test in stores().await {
            submitted(&test.store).await;
            let log = open(&test.store, FixedClock(now())).await;
            let others = DisclosureFacts { title: "Another".to_owned(), ..of_records() };
            let first = key.seal(&run_id(1), &PERSONS[..3].iter().map(|person| person.0).collect()).unwrap();
            let second = key.seal(&run_id(2), &(0..3 * CHUNK).step_by(7).collect()).unwrap();
            assert!(enter(&log, 1, &facts(), Some(&first)).await.is_err(), "a table of persons");
            assert!(enter(&log, 1, &of_records(), None).await.is_err(), "records of nobody");
            enter(&log, 1, &of_records(), Some(&first)).await.unwrap();
            enter(&log, 2, &others, Some(&second)).await.unwrap();
            for (at, person) in PERSONS.into_iter().enumerate() {
                assert_eq!(read(&test.store, person).await.unwrap()[0], at < 3);
            }
            test.store.tamper(statements).await;
            for (at, person) in PERSONS.into_iter().enumerate() {
                let read = read(&test.store, person).await;
                assert_eq!(read.is_err(), hit.contains(&at), "{what}, person {at}: {read:?}");
                if let Err(error) = read {
                    assert_eq!(Refusal::from(error).kind, RefusalKind::Internal, "{what}");
                }
            }
        }
    }
}

/// What one does to the overview who has the database and no key, and of which run the gateway says so at its next start.
/// Run 1 has records and run 2 a table; run 3 has nothing. The receipts are the entries 0 and 2, entered by 1 and 3.
const STARTS: [(&str, &[&str], u8); 17] = [
    ("a table dropped", &["DELETE FROM disclosures WHERE receipt = 2"], 2),
    (
        "a table dropped with what its entry says",
        &["DELETE FROM disclosures WHERE receipt = 2", "DELETE FROM audit_details WHERE leaf_index = 3"],
        2,
    ),
    (
        "records dropped",
        &["DELETE FROM disclosure_persons WHERE receipt = 0", "DELETE FROM disclosures WHERE receipt = 0"],
        1,
    ),
    ("what the entry says erased", &["DELETE FROM audit_details WHERE leaf_index = 1"], 1),
    (
        "what the entry says changed",
        &[
            "UPDATE audit_details SET fields = (SELECT fields FROM audit_details WHERE leaf_index = 3) WHERE leaf_index = 1",
        ],
        1,
    ),
    ("no set of persons", &["UPDATE disclosures SET persons = NULL WHERE receipt = 0"], 1),
    ("no count of chunks", &["UPDATE disclosures SET chunks = NULL WHERE receipt = 0"], 1),
    ("another root", &["UPDATE disclosures SET root = facts WHERE receipt = 0"], 1),
    ("records as a table", &["UPDATE disclosures SET result = 'table' WHERE receipt = 0"], 1),
    ("a table as records", &["UPDATE disclosures SET result = 'feed' WHERE receipt = 2"], 2),
    (
        "records as a table that was made",
        &["UPDATE disclosures SET (result, facts, persons, chunks, root) = \
           (SELECT result, facts, persons, chunks, root FROM disclosures WHERE receipt = 2) WHERE receipt = 0"],
        1,
    ),
    (
        "other facts under the same digest",
        &["UPDATE disclosure_facts SET canonical = \
           (SELECT f.canonical FROM disclosure_facts f JOIN disclosures d ON d.facts = f.digest WHERE d.receipt = 2) \
           WHERE digest = (SELECT facts FROM disclosures WHERE receipt = 0)"],
        1,
    ),
    ("another day", &["UPDATE disclosures SET day = '2020-11-22' WHERE receipt = 2"], 2),
    ("another run", &["UPDATE disclosures SET run = (SELECT MAX(run) FROM runs) WHERE receipt = 2"], 3),
    ("another receipt", &["UPDATE disclosures SET receipt = 3 WHERE receipt = 2"], 2),
    ("another entry", &["UPDATE disclosures SET entered = 2 WHERE receipt = 2"], 2),
    (
        "a release that was never made",
        &["INSERT INTO disclosures (receipt, entered, run, result, facts, day) \
           SELECT 3, 3, (SELECT MAX(run) FROM runs), result, facts, day FROM disclosures WHERE receipt = 2"],
        3,
    ),
];

#[tokio::test]
async fn the_log_does_not_open_on_an_overview_that_is_not_what_was_entered() {
    let key = PersonsKey::new(&[7; 32].into());
    for (what, statements, run) in STARTS {
        for test in stores().await {
            submitted(&test.store).await;
            let log = open(&test.store, FixedClock(now())).await;
            let persons =
                key.seal(&run_id(1), &PERSONS[..3].iter().map(|person| person.0).collect()).unwrap();
            enter(&log, 1, &of_records(), Some(&persons)).await.unwrap();
            enter(&log, 2, &facts(), None).await.unwrap();
            let mut write = test.store.write().await.unwrap();
            write.submit(&submission("req-3"), run_id(3), now()).await.unwrap();
            write.commit().await.unwrap();
            open(&test.store, FixedClock(now())).await;
            test.store.tamper(statements).await;
            match try_open(&test.store, FixedClock(now())).await.err() {
                Some(AuditError::Overview { run: found, .. }) => {
                    assert_eq!(found, run_id(run).to_string(), "{what}");
                }
                other => panic!("{what}: {other:?}"),
            }
        }
    }
}

/// What is not there any more was deleted as the log says, and was old enough for that.
#[tokio::test]
async fn what_is_gone_without_the_log_saying_so_stops_the_log_from_opening() {
    let long_ago = FixedClock("2020-06-01T08:00:00Z".parse().unwrap());
    let missing = |opened: Result<AuditLog, AuditError>, what| match opened.err() {
        Some(AuditError::Overview { run, .. }) => assert_eq!(run, run_id(1).to_string(), "{what}"),
        other => panic!("{what}: {other:?}"),
    };
    for test in stores().await {
        submitted(&test.store).await;
        enter(&open(&test.store, long_ago).await, 1, &facts(), None).await.unwrap();
        let log = open(&test.store, FixedClock(now())).await;
        enter(&log, 2, &facts(), None).await.unwrap();
        log.reap_disclosures(&actor(), Retention::new(5).unwrap()).await.unwrap();
        open(&test.store, FixedClock(now())).await;
        // On a day on which it could not have been deleted yet.
        let early = FixedClock("2025-06-01T08:00:00Z".parse().unwrap());
        missing(try_open(&test.store, early).await, "too young");
        // Nothing says any more that it was.
        test.store.tamper(&["DELETE FROM audit_details WHERE leaf_index = 4"]).await;
        missing(try_open(&test.store, FixedClock(now())).await, "not said");
    }
    for test in stores().await {
        submitted(&test.store).await;
        enter(&open(&test.store, long_ago).await, 1, &facts(), None).await.unwrap();
        test.store
            .tamper(&["DELETE FROM disclosures", "DELETE FROM audit_details WHERE leaf_index = 1"])
            .await;
        missing(try_open(&test.store, FixedClock(now())).await, "by another hand");
    }
}
