//! The log goes on verifying when what its leaves commit to is erased.

use std::sync::Arc;

use ed25519_dalek::SigningKey;

use super::super::note::NoteSigner;
use super::super::verify::{Demands, verify};
use super::*;
use crate::domain::canonical::Digest;
use crate::domain::clock::{Clock, Entropy, EntropyError, FixedClock};
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

async fn open(store: &Store, clock: impl Clock + 'static) -> AuditLog {
    let signer = NoteSigner::new("kpr.example/audit", SigningKey::from_bytes(&[7; 32])).unwrap();
    AuditLog::open(store.clone(), signer, Arc::new(clock), Arc::new(Sevens)).await.unwrap()
}

/// Enters a release of the run, the leaf before it standing for its receipt.
async fn enter(log: &AuditLog, run: u8, facts: &DisclosureFacts) -> Result<(), AuditError> {
    let run = run_id(run);
    let entry =
        |event| Entry { actor: actor(), project: Some(name("P-2026-0001")), run: Some(run.clone()), event };
    let mut recording = log.begin().await?;
    let received = super::super::event::ResultReceived { intent: 0, result: Digest::from_bytes([1; 32]) };
    let receipt = recording.add(entry(received.into())).await?;
    recording.disclose(entry, receipt, &run, facts, None).await?;
    recording.finish().await
}

#[tokio::test]
async fn erasing_what_a_leaf_commits_to_leaves_the_log_verifying() {
    for test in stores().await {
        for n in [1, 2] {
            let mut write = test.store.write().await.unwrap();
            write.submit(&submission(&format!("req-{n}")), run_id(n), now()).await.unwrap();
            write.commit().await.unwrap();
        }
        let long_ago = FixedClock("2020-06-01T08:00:00Z".parse().unwrap());
        let log = open(&test.store, long_ago).await;
        enter(&log, 1, &facts()).await.unwrap();
        let of_another = DisclosureFacts { project: name("P-2026-0002"), ..facts() };
        assert!(enter(&log, 2, &of_another).await.is_err());
        let log = open(&test.store, FixedClock(now())).await;
        enter(&log, 2, &facts()).await.unwrap();

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
