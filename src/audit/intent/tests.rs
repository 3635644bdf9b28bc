//! Intent, receipt, crash and recovery, on both databases.

use std::sync::Arc;

use ed25519_dalek::SigningKey;

use super::super::event::{ApprovalEntered, BudgetReserved, ProjectSuspended, SuspensionLifted};
use super::super::fixtures::{Counting, Dry};
use super::super::note::NoteSigner;
use super::super::verify::{Demands, verify};
use super::*;
use crate::domain::approval::Approval;
use crate::domain::canonical::CanonicalError;
use crate::domain::clock::FixedClock;
use crate::domain::lifecycle::Step;
use crate::domain::refusal::RefusalKind;
use crate::domain::rho::Rho;
use crate::domain::table::CellValue;
use crate::domain::words::Words;
use crate::store::fixtures::{
    TestStore, approval, enter_active, facts, name, now, run_id, stores, submission, table,
};
use crate::store::{Store, StoreError};

fn signer() -> NoteSigner {
    NoteSigner::new("kpr.example/audit", SigningKey::from_bytes(&[7; 32])).unwrap()
}

async fn open(store: &Store) -> Result<AuditLog, AuditError> {
    let entropy = Arc::new(Counting::default());
    AuditLog::open(store.clone(), signer(), Arc::new(FixedClock(now())), entropy).await
}

async fn dry(store: &Store) -> Result<AuditLog, AuditError> {
    AuditLog::open(store.clone(), signer(), Arc::new(FixedClock(now())), Arc::new(Dry)).await
}

fn actor() -> Actor {
    Actor { organisation: name("NTRNO-983744516"), role: "researcher", name: "analysis".to_owned() }
}

fn opened() -> QueryOpened {
    let digest = Digest::from_bytes([1; 32]);
    QueryOpened {
        query: digest,
        approval: approval().digest().unwrap(),
        policies: digest,
        plan: digest,
        rule: name("tables-5"),
        min_persons: 5,
    }
}

async fn submit(test: &TestStore, number: u8) -> RunId {
    enter_active(&test.store).await;
    let mut write = test.store.write().await.unwrap();
    write.submit(&submission(&format!("req-{number}")), run_id(number), now()).await.unwrap();
    write.commit().await.unwrap();
    run_id(number)
}

async fn intend(log: &AuditLog, run: &RunId) -> AuditIntent {
    log.open_intent(actor(), name("P-2026-0001"), run.clone(), opened()).await.unwrap()
}

async fn receive(
    log: &AuditLog,
    intent: AuditIntent,
    table: &ResultTable,
) -> Result<AuditReceipt, AuditError> {
    let received =
        log.receive_bytes(intent, table.digest().unwrap(), &table.canonical().unwrap(), None, &facts()).await;
    received.map_err(|unreceived| match unreceived {
        Unreceived::Failed(error) => error,
        Unreceived::Moved(_) => panic!("no ledger is part of this"),
        Unreceived::Inactive(_, why) => StoreError::Inactive(why).into(),
    })
}

fn refusal() -> Refusal {
    Refusal::new(RefusalKind::Denied, "partner.policy", "the partner refused")
}

/// The log as an outsider sees it.
async fn kinds(log: &AuditLog) -> Vec<u16> {
    let dir = tempfile::tempdir().unwrap();
    log.export(dir.path()).await.unwrap();
    let verified = verify(dir.path(), &log.verifier_key(), &Demands::default()).unwrap();
    let entries = log.entries(0, 100).await.unwrap();
    assert_eq!(entries.len() as u64, verified.size);
    entries.iter().map(|e| Leaf::from_canonical(&e.leaf).unwrap().kind).collect()
}

#[tokio::test]
async fn a_receipt_its_checkpoint_and_the_result_are_durable_together() {
    for test in stores().await {
        let log = open(&test.store).await.unwrap();
        let run = submit(&test, 1).await;
        let intent = intend(&log, &run).await;
        assert_eq!(intent.index(), 0);
        assert!(matches!(
            log.released::<ResultTable>(&run).await,
            Err(AuditError::Store(StoreError::NoSuchResult(_)))
        ));
        let receipt = receive(&log, intent, &table(&run)).await.unwrap();
        assert_eq!((receipt.index(), receipt.digest()), (1, table(&run).digest().unwrap()));

        // Another process, after a stop at this very moment.
        let log = open(&Store::open(&test.url).await.unwrap()).await.unwrap();
        let (again, bytes) = log.released::<ResultTable>(&run).await.unwrap();
        assert_eq!((again, bytes), (receipt, table(&run).canonical().unwrap()));
        assert_eq!(test.store.run(&run).await.unwrap().phase, Phase::Released);
        assert_eq!(log.recover(&actor()).await.unwrap(), 0);
        assert_eq!(kinds(&log).await, [5, 7, 30]);
    }
}

#[tokio::test]
async fn a_stop_between_intent_and_receipt_leaves_a_failed_run_and_no_result() {
    for test in stores().await {
        let log = open(&test.store).await.unwrap();
        let (first, second) = (submit(&test, 1).await, submit(&test, 2).await);
        let intent = intend(&log, &first).await;
        drop((intent, log));

        let log = open(&test.store).await.unwrap();
        assert_eq!(log.recover(&actor()).await.unwrap(), 2);
        for run in [&first, &second] {
            let run = test.store.run(run).await.unwrap();
            assert_eq!((run.phase, run.ending.unwrap().0.as_str()), (Phase::Failed, "run.interrupted"));
            assert!(log.released::<ResultTable>(&run.run).await.is_err());
        }
        assert_eq!(kinds(&log).await, [5, 9]);
        assert_eq!(log.recover(&actor()).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn an_intent_of_a_run_that_has_ended_is_closed_and_the_run_keeps_its_ending() {
    for test in stores().await {
        let log = open(&test.store).await.unwrap();
        let run = submit(&test, 1).await;
        drop(intend(&log, &run).await);
        let mut write = test.store.write().await.unwrap();
        write.set_phase(&run, Phase::Failed, Some(("run.failed", "a hint"))).await.unwrap();
        write.commit().await.unwrap();

        let log = open(&test.store).await.unwrap();
        assert_eq!(log.recover(&actor()).await.unwrap(), 0);
        assert_eq!(kinds(&log).await, [5, 9]);
        let run = test.store.run(&run).await.unwrap();
        assert_eq!((run.phase, run.ending.unwrap().0.as_str()), (Phase::Failed, "run.failed"));
        assert_eq!(log.recover(&actor()).await.unwrap(), 0);
        assert_eq!(kinds(&log).await, [5, 9]);
    }
}

#[tokio::test]
async fn an_intent_is_closed_by_a_refusal_or_a_failure() {
    for test in stores().await {
        let log = open(&test.store).await.unwrap();
        let (first, second) = (submit(&test, 1).await, submit(&test, 2).await);
        let intents = (intend(&log, &first).await, intend(&log, &second).await);
        log.refuse(intents.0, &refusal()).await.unwrap();
        log.fail(intents.1, &refusal()).await.unwrap();
        let run = test.store.run(&first).await.unwrap();
        assert_eq!(run.phase, Phase::Refused);
        assert_eq!(run.ending, Some(("partner.policy".to_owned(), "the partner refused".to_owned())));
        assert_eq!(test.store.run(&second).await.unwrap().phase, Phase::Failed);
        assert_eq!(kinds(&log).await, [5, 5, 8, 9]);
        assert_eq!(log.recover(&actor()).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn a_result_that_cannot_be_recorded_is_not_kept() {
    for test in stores().await {
        let log = open(&test.store).await.unwrap();
        let run = submit(&test, 1).await;
        let other = receive(&log, intend(&log, &run).await, &table(&run_id(2))).await;
        assert!(matches!(other, Err(AuditError::OtherRun(_))));
        assert_eq!(test.store.run(&run).await.unwrap().phase, Phase::Failed);

        let run = submit(&test, 3).await;
        let intent = intend(&log, &run).await;
        let wrong = Digest::from_bytes([9; 32]);
        assert!(
            log.receive_bytes(intent, wrong, &table(&run).canonical().unwrap(), None, &facts())
                .await
                .is_err()
        );

        let run = submit(&test, 4).await;
        let garbage = log.receive_bytes(intend(&log, &run).await, wrong, b"{}", None, &facts()).await;
        assert!(matches!(
            garbage,
            Err(Unreceived::Failed(AuditError::Canonical(CanonicalError::NotCanonical(_))))
        ));

        // A run that ended in the meantime: everything of the receipt is taken back.
        let run = submit(&test, 5).await;
        let intent = intend(&log, &run).await;
        let mut write = test.store.write().await.unwrap();
        write.set_phase(&run, Phase::Failed, Some(("run.cancelled", ""))).await.unwrap();
        write.commit().await.unwrap();
        assert!(receive(&log, intent, &table(&run)).await.is_err());
        assert!(log.released::<ResultTable>(&run).await.is_err());
        assert_eq!(kinds(&log).await, [5, 9, 5, 9, 5, 9, 5]);
    }
}

#[tokio::test]
async fn a_result_changed_in_the_database_is_not_let_out() {
    for test in stores().await {
        let log = open(&test.store).await.unwrap();
        let (run, other) = (submit(&test, 1).await, submit(&test, 2).await);
        receive(&log, intend(&log, &run).await, &table(&run)).await.unwrap();
        receive(&log, intend(&log, &other).await, &table(&other)).await.unwrap();
        let forged = ResultTable { values: vec![CellValue::Count(18)], ..table(&run) };
        test.store.forge_result(&run, &forged.canonical().unwrap(), None).await;
        assert!(matches!(log.released::<ResultTable>(&run).await, Err(AuditError::NoReceipt(_))));
        // With the digest adapted too, the leaf's commitment still tells.
        test.store.forge_result(&run, &forged.canonical().unwrap(), Some(forged.digest().unwrap())).await;
        assert!(matches!(log.released::<ResultTable>(&run).await, Err(AuditError::NoReceipt(_))));
        assert!(log.released::<ResultTable>(&other).await.is_ok());
    }
}

#[tokio::test]
async fn a_change_and_its_event_stand_or_fall_together() {
    for test in stores().await {
        let log = open(&test.store).await.unwrap();
        let approval: Approval = approval();
        let entry = || Entry {
            actor: actor(),
            project: Some(approval.project.clone()),
            run: None,
            event: ApprovalEntered { approval: Digest::from_bytes([1; 32]), version: 1 }.into(),
        };
        let mut recording = log.begin().await.unwrap();
        recording.write().enter_project(&approval, now().date_naive(), &name("anna"), now()).await.unwrap();
        drop(recording);
        assert!(test.store.projects().await.unwrap().is_empty());

        let dry = dry(&test.store).await.unwrap();
        let mut recording = dry.begin().await.unwrap();
        recording.write().enter_project(&approval, now().date_naive(), &name("anna"), now()).await.unwrap();
        assert!(matches!(recording.commit(entry()).await, Err(AuditError::Entropy(_))));
        assert!(test.store.projects().await.unwrap().is_empty());

        let mut recording = log.begin().await.unwrap();
        recording.write().enter_project(&approval, now().date_naive(), &name("anna"), now()).await.unwrap();
        assert_eq!(recording.commit(entry()).await.unwrap(), 0);
        assert_eq!(test.store.projects().await.unwrap().len(), 1);
        assert_eq!(kinds(&log).await, [3]);
    }
}

#[tokio::test]
async fn appends_at_the_same_moment_all_stand_in_the_log() {
    for test in stores().await {
        // Two logs on one database: the second process that should not be, but may be for a moment.
        let logs = [Arc::new(open(&test.store).await.unwrap()), Arc::new(open(&test.store).await.unwrap())];
        let tasks: Vec<_> = (0..40)
            .map(|n| {
                let log = Arc::clone(&logs[n % 2]);
                let event = ApprovalEntered { approval: Digest::from_bytes([1; 32]), version: 1 }.into();
                tokio::spawn(async move {
                    log.append(Entry { actor: actor(), project: None, run: None, event }).await.unwrap()
                })
            })
            .collect();
        let mut indices = Vec::new();
        for task in tasks {
            indices.push(task.await.unwrap());
        }
        indices.sort_unstable();
        assert_eq!(indices, (0..40).collect::<Vec<_>>());
        assert_eq!(kinds(&logs[0]).await.len(), 40);
    }
}

#[tokio::test]
async fn details_can_be_erased_and_the_log_still_verifies() {
    for test in stores().await {
        let log = open(&test.store).await.unwrap();
        let run = submit(&test, 1).await;
        receive(&log, intend(&log, &run).await, &table(&run)).await.unwrap();
        let detail = test.store.audit_detail(0).await.unwrap().unwrap();
        let leaf = Leaf::from_canonical(&log.entries(0, 1).await.unwrap()[0].leaf).unwrap();
        assert!(leaf.commits_to(&detail));
        let mut write = test.store.write().await.unwrap();
        write.erase_audit_detail(0).await.unwrap();
        write.commit().await.unwrap();
        assert_eq!(kinds(&open(&test.store).await.unwrap()).await, [5, 7, 30]);
    }
}

#[tokio::test]
async fn a_log_tampered_with_in_the_database_does_not_open() {
    let damage = [
        "UPDATE audit_leaves SET leaf = (SELECT leaf FROM audit_leaves WHERE leaf_index = 2) WHERE leaf_index = 1",
        "DELETE FROM audit_leaves WHERE leaf_index = 3",
        "DELETE FROM audit_leaves WHERE leaf_index = 1",
        "DELETE FROM audit_checkpoints WHERE size = 4",
        "DELETE FROM audit_checkpoints",
        "UPDATE audit_head SET size = 3",
    ];
    for sql in damage {
        for test in stores().await {
            let log = open(&test.store).await.unwrap();
            for _ in 0..4 {
                let event = ApprovalEntered { approval: Digest::from_bytes([1; 32]), version: 1 }.into();
                log.append(Entry { actor: actor(), project: None, run: None, event }).await.unwrap();
            }
            assert!(open(&test.store).await.is_ok());
            test.store.damage(sql).await;
            assert!(matches!(open(&test.store).await, Err(AuditError::Broken(_))), "{sql}");
        }
    }
    for test in stores().await {
        let log = open(&test.store).await.unwrap();
        let event = ApprovalEntered { approval: Digest::from_bytes([1; 32]), version: 1 }.into();
        log.append(Entry { actor: actor(), project: None, run: None, event }).await.unwrap();
        let other = NoteSigner::new("kpr.example/audit", SigningKey::from_bytes(&[8; 32])).unwrap();
        let opened =
            AuditLog::open(test.store.clone(), other, Arc::new(FixedClock(now())), Arc::new(Dry)).await;
        assert!(matches!(opened, Err(AuditError::Broken(_))));
    }
}

#[tokio::test]
async fn a_reservation_and_its_event_are_durable_together() {
    let rho = |text: &str| text.parse::<Rho>().unwrap();
    for test in stores().await {
        let (run, other) = (submit(&test, 1).await, submit(&test, 2).await);
        let project: ProjectId = name("P-2026-0001");
        let reserved = |run: &RunId| Entry {
            actor: actor(),
            project: Some(project.clone()),
            run: Some(run.clone()),
            event: BudgetReserved { rho: rho("0.1"), left: rho("0.2") }.into(),
        };
        let log = open(&test.store).await.unwrap();
        // Left half-way, or without a reservation, neither is kept.
        let mut recording = log.begin().await.unwrap();
        recording.write().reserve_budget(&run, rho("0.1"), rho("0.3"), now()).await.unwrap();
        drop(recording);
        let nothing = log.begin().await.unwrap().commit_lease(reserved(&run)).await;
        assert!(matches!(nothing, Err(AuditError::Store(StoreError::NotReserved))));
        assert!(log.entries(0, 9).await.unwrap().is_empty());
        assert_eq!(test.store.budget_spent(&project).await.unwrap(), Rho::ZERO);

        let mut recording = log.begin().await.unwrap();
        recording.write().reserve_budget(&run, rho("0.1"), rho("0.3"), now()).await.unwrap();
        let lease = recording.commit_lease(reserved(&run)).await.unwrap();
        assert_eq!((lease.run(), lease.left_after()), (&run, rho("0.2")));
        assert_eq!(kinds(&log).await, [14]);

        // Where the event cannot be written, nothing is reserved.
        let dry = dry(&test.store).await.unwrap();
        let mut recording = dry.begin().await.unwrap();
        recording.write().reserve_budget(&other, rho("0.1"), rho("0.3"), now()).await.unwrap();
        assert!(recording.commit_lease(reserved(&other)).await.is_err());
        assert_eq!(test.store.budget_spent(&project).await.unwrap(), rho("0.1"));
    }
}

/// Suspends the project, or lifts that, as the pipeline does: the step and its leaf in one transaction.
async fn stop(log: &AuditLog, lift: bool) {
    let reason = Words::new("a reason").unwrap();
    let (step, event): (Step, Event) = if lift {
        (Step::Lifted { reason: reason.clone() }, SuspensionLifted { reason }.into())
    } else {
        (Step::Suspended { reason: reason.clone() }, ProjectSuspended { reason }.into())
    };
    let mut recording = log.begin().await.unwrap();
    recording.write().record_step(&approval().project, step, &name("anna"), now()).await.unwrap();
    let project = Some(approval().project);
    recording.commit(Entry { actor: actor(), project, run: None, event }).await.unwrap();
}

#[tokio::test]
async fn under_a_suspended_project_nothing_is_opened_or_received() {
    for test in stores().await {
        let log = open(&test.store).await.unwrap();
        let (first, second) = (submit(&test, 1).await, submit(&test, 2).await);
        let intent = intend(&log, &first).await;
        stop(&log, false).await;
        let refused = log.open_intent(actor(), name("P-2026-0001"), second.clone(), opened()).await;
        assert!(matches!(refused, Err(AuditError::Store(StoreError::Inactive(Inactive::Suspended)))));
        let why = Refusal::from(Inactive::Suspended);
        let (project, query) = (name("P-2026-0001"), Digest::from_bytes([1; 32]));
        log.refuse_unopened(actor(), project, &second, query, &why).await.unwrap();

        let (digest, bytes) = (table(&first).digest().unwrap(), table(&first).canonical().unwrap());
        let Err(Unreceived::Inactive(intent, Inactive::Suspended)) =
            log.receive_bytes(intent, digest, &bytes, None, &facts()).await
        else {
            panic!("a result was received");
        };
        assert!(log.released::<ResultTable>(&first).await.is_err());
        log.refuse(intent, &why).await.unwrap();
        for run in [&first, &second] {
            let run = test.store.run(run).await.unwrap();
            assert_eq!((run.phase, run.ending.unwrap().0.as_str()), (Phase::Refused, "project.suspended"));
        }
        assert_eq!(kinds(&log).await, [5, 25, 8, 8]);
        // Lifted, it goes on with others.
        stop(&log, true).await;
        let third = submit(&test, 3).await;
        receive(&log, intend(&log, &third).await, &table(&third)).await.unwrap();
    }
}

/// Whatever comes first, no receipt stands in the log between a suspension and its lifting. The two logs are two
/// processes, so that nothing but the database keeps the order.
#[tokio::test(flavor = "multi_thread")]
async fn a_suspension_and_a_receipt_do_not_cross() {
    for test in stores().await {
        let logs = [Arc::new(open(&test.store).await.unwrap()), Arc::new(open(&test.store).await.unwrap())];
        let mut released = 0;
        for round in 1..=30 {
            let run = submit(&test, round).await;
            let intent = intend(&logs[0], &run).await;
            let stopping = tokio::spawn({
                let log = Arc::clone(&logs[1]);
                async move { stop(&log, false).await }
            });
            if round % 3 == 0 {
                tokio::task::yield_now().await;
            }
            let received = receive(&logs[0], intent, &table(&run)).await;
            stopping.await.unwrap();
            let result = logs[0].released::<ResultTable>(&run).await;
            assert_eq!(received.is_ok(), result.is_ok());
            released += u32::from(received.is_ok());
            stop(&logs[1], true).await;
        }
        let mut suspended = false;
        let entries = logs[0].entries(0, 1000).await.unwrap();
        let kinds = entries.iter().map(|e| Leaf::from_canonical(&e.leaf).unwrap().kind);
        let mut receipts = 0;
        for kind in kinds {
            match kind {
                25 => suspended = true,
                26 => suspended = false,
                7 => {
                    assert!(!suspended, "a receipt stands after a suspension");
                    receipts += 1;
                }
                _ => {}
            }
        }
        assert_eq!(receipts, released);
    }
}
