//! The attacker has the database, and mostly the log's own key as well. The witness has the checkpoint.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ed25519_dalek::SigningKey;
use proptest::prelude::*;
use proptest::sample::Index;
use tempfile::TempDir;

use super::super::cosignature::Cosigner;
use super::super::event::{Actor, Entry, QueryRefused};
use super::super::note::NoteSigner;
use super::super::verify::{Demands, Earlier, VerifyError, verify};
use super::super::witness::Witness;
use super::*;
use crate::domain::canonical::Digest;
use crate::domain::clock::{Entropy, EntropyError, FixedClock};
use crate::domain::refusal::RefusalKind;
use crate::store::Store;
use crate::store::fixtures::{TestStore, name, now, sqlite};

struct Zeros;

impl Entropy for Zeros {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        bytes.fill(0);
        Ok(())
    }
}

fn signer() -> NoteSigner {
    NoteSigner::new("kpr.example/audit", SigningKey::from_bytes(&[7; 32])).unwrap()
}

fn cosigner() -> Cosigner {
    Cosigner::new("kpr.example/witness", SigningKey::from_bytes(&[8; 32])).unwrap()
}

async fn open(store: &Store) -> Result<AuditLog, AuditError> {
    AuditLog::open(store.clone(), signer(), Arc::new(FixedClock(now())), Arc::new(Zeros)).await
}

async fn append(log: &AuditLog, count: u64, code: &str) {
    for number in 0..count {
        let query = Digest::of_bytes("kpr/test", &number.to_be_bytes());
        let event = QueryRefused { intent: None, query, code: code.to_owned() };
        let actor = Actor { organisation: name("NTRNO-983744516"), role: "researcher", name: "a".to_owned() };
        log.append(Entry { actor, project: None, run: None, event: event.into() }).await.unwrap();
    }
}

/// A witness, and whether it can be reached and answers come back.
struct Link {
    witness: Witness,
    down: AtomicBool,
    deaf: AtomicBool,
    _dir: TempDir,
}

impl Link {
    fn new() -> Arc<Self> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("held.checkpoint");
        Witness::init(&path).unwrap();
        let clock = Arc::new(FixedClock(now()));
        let witness = Witness::open(&path, signer().verifier(), cosigner(), clock).unwrap();
        Arc::new(Self { witness, down: AtomicBool::new(false), deaf: AtomicBool::new(false), _dir: dir })
    }

    fn answer<T>(&self, answer: T) -> Result<T, Refusal> {
        let lost = || Refusal::new(RefusalKind::Unavailable, "witness.refused", "the connection failed");
        if self.deaf.load(Ordering::Relaxed) { Err(lost()) } else { Ok(answer) }
    }

    fn witnessed(self: &Arc<Self>) -> Witnessed {
        Witnessed::new(Box::new(Arc::clone(self)), cosigner().verifier())
    }
}

impl WitnessLink for Arc<Link> {
    fn held(&self) -> BoxFuture<'_, Result<Option<String>, Refusal>> {
        Box::pin(async { self.answer(self.witness.held()) })
    }

    fn add<'a>(
        &'a self,
        from: u64,
        proof: &'a [Hash],
        note: &'a str,
    ) -> BoxFuture<'a, Result<String, Refusal>> {
        Box::pin(async move {
            if self.down.load(Ordering::Relaxed) {
                return Err(Refusal::new(RefusalKind::Unavailable, "witness.refused", "nobody answers"));
            }
            let line = self.witness.add(from, proof, note)?;
            self.answer(line)
        })
    }
}

#[tokio::test]
async fn a_log_is_cosigned_as_it_grows_and_the_cosignatures_are_kept() {
    let test = sqlite().await;
    let log = open(&test.store).await.unwrap();
    let link = Link::new();
    let mut witnessed = link.witnessed();
    assert_eq!(witnessed.cosign(&log).await.unwrap(), 0);
    assert!(matches!(log.checkpoint(1).await, Err(AuditError::NotWitnessed(1))));
    let mut size = 0;
    for count in [1, 1, 2, 5, 0, 300] {
        append(&log, count, "a").await;
        size += count;
        assert_eq!(witnessed.cosign(&log).await.unwrap(), size);
        let note = log.checkpoint(1).await.unwrap();
        assert_eq!(signer().verifier().open(&note).unwrap().size, size);
        assert!(cosigner().verifier().find(&note).is_some());
        assert_eq!(link.witness.held().unwrap(), note);
    }
    // A gateway that has started again begins where the witness is.
    append(&log, 3, "a").await;
    let log = open(&test.store).await.unwrap();
    assert_eq!(link.witnessed().cosign(&log).await.unwrap(), size + 3);
}

#[tokio::test]
async fn an_unreachable_witness_is_caught_up_with_and_a_lost_answer_is_not_lost() {
    let test = sqlite().await;
    let log = open(&test.store).await.unwrap();
    let link = Link::new();
    let mut witnessed = link.witnessed();
    append(&log, 4, "a").await;
    link.down.store(true, Ordering::Relaxed);
    assert!(matches!(witnessed.cosign(&log).await, Err(Disagreement::Refused(_))));
    append(&log, 4, "a").await;
    link.down.store(false, Ordering::Relaxed);
    assert_eq!(witnessed.cosign(&log).await.unwrap(), 8);
    // Signed there, not heard here: the next comparison brings the cosignature.
    append(&log, 1, "a").await;
    link.deaf.store(true, Ordering::Relaxed);
    assert!(witnessed.cosign(&log).await.is_err());
    link.deaf.store(false, Ordering::Relaxed);
    assert_eq!(witnessed.cosign(&log).await.unwrap(), 9);
    assert_eq!(log.checkpoint(1).await.unwrap(), link.witness.held().unwrap());
}

#[tokio::test]
async fn a_witness_with_another_key_is_not_believed() {
    let test = sqlite().await;
    let log = open(&test.store).await.unwrap();
    append(&log, 1, "a").await;
    let other = Cosigner::new("kpr.example/witness", SigningKey::from_bytes(&[9; 32])).unwrap();
    let mut witnessed = Witnessed::new(Box::new(Link::new()), other.verifier());
    assert!(matches!(witnessed.cosign(&log).await, Err(Disagreement::Answer(_))));
    assert!(matches!(log.checkpoint(1).await, Err(AuditError::NotWitnessed(1))));
}

/// What is done to a log.
#[derive(Debug, Clone)]
enum Tampering {
    Changed(Index),
    Dropped(Index),
    Swapped(Index, Index),
    Inserted(Index),
    Truncated(Index),
    /// Another history from here on.
    Forked(Index),
}

impl Tampering {
    fn of(&self, leaves: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let (mut forged, count) = (leaves.to_vec(), leaves.len());
        let another =
            |n: usize| String::from_utf8(leaves[n].clone()).unwrap().replace("2026", "2025").into_bytes();
        match self {
            Self::Changed(at) => forged[at.index(count)] = another(at.index(count)),
            Self::Dropped(at) => drop(forged.remove(at.index(count))),
            Self::Swapped(a, b) => forged.swap(a.index(count), b.index(count)),
            Self::Inserted(at) => forged.insert(at.index(count), another(at.index(count))),
            Self::Truncated(at) => forged.truncate(at.index(count)),
            Self::Forked(at) => (at.index(count)..count).for_each(|n| forged[n] = another(n)),
        }
        forged
    }
}

fn tampering() -> impl Strategy<Value = Tampering> {
    let at = any::<Index>;
    prop_oneof![
        at().prop_map(Tampering::Changed),
        at().prop_map(Tampering::Dropped),
        (at(), at()).prop_map(|(a, b)| Tampering::Swapped(a, b)),
        at().prop_map(Tampering::Inserted),
        at().prop_map(Tampering::Truncated),
        at().prop_map(Tampering::Forked),
    ]
}

/// Puts `leaves` in the place of the log, with a head that fits; and with checkpoints by the log's own key
/// if the attacker has it.
async fn forge(test: &TestStore, leaves: &[Vec<u8>], keyed: bool) {
    test.store.damage("DELETE FROM audit_leaves").await;
    test.store.damage("DELETE FROM audit_cosignatures").await;
    if keyed {
        test.store.damage("DELETE FROM audit_checkpoints").await;
    }
    let mut write = test.store.write().await.unwrap();
    let mut tree = Frontier::default();
    for (index, leaf) in (0..).zip(leaves) {
        write.insert_audit_leaf(index, leaf, None).await.unwrap();
        tree.add(leaf_hash(leaf));
        if keyed {
            let note = signer().sign(tree.size(), tree.root());
            write.insert_audit_checkpoint(tree.size(), &note).await.unwrap();
        }
    }
    write.set_audit_head(tree.size(), &tree.peaks()).await.unwrap();
    write.commit().await.unwrap();
}

async fn exported(log: &AuditLog) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    log.export(dir.path()).await.unwrap();
    dir
}

fn against(dir: &Path, earlier: &Path) -> Result<(), VerifyError> {
    let demands = Demands { earlier: vec![Earlier::read(earlier)?], ..Demands::default() };
    verify(dir, &signer().verifier().to_string(), &demands).map(|_| ())
}

/// Detected, by the witness and by an auditor who has what the witness holds.
async fn detected(count: u64, tampering: Tampering, grown: u64, keyed: bool) -> Result<(), TestCaseError> {
    let test = sqlite().await;
    let log = open(&test.store).await.unwrap();
    let link = Link::new();
    append(&log, count, "a").await;
    prop_assert_eq!(link.witnessed().cosign(&log).await.unwrap(), count);
    let before = exported(&log).await;
    let held = before.path().join("held");
    std::fs::write(&held, link.witness.held().unwrap()).unwrap();

    let leaves: Vec<_> = log.entries(0, 1000).await.unwrap().into_iter().map(|entry| entry.leaf).collect();
    let forged = tampering.of(&leaves);
    let first = leaves.iter().zip(&forged).position(|(a, b)| a != b);
    let covered = forged.len() >= leaves.len() && first.is_none();
    prop_assume!(!covered);
    forge(&test, &forged, keyed).await;
    drop(log);

    let log = open(&test.store).await;
    if !keyed {
        prop_assert!(matches!(log, Err(AuditError::Broken(_))));
        return Ok(());
    }
    let log = log.unwrap();
    append(&log, grown, "b").await;
    let own = forged.len() as u64 + grown;
    let said = link.witnessed().compare(&log).await.unwrap_err();
    prop_assert!(said.is_tampering());
    let rolled_back = matches!(said, Disagreement::RolledBack { .. });
    prop_assert_eq!(rolled_back, own < count);
    prop_assert!(link.witnessed().cosign(&log).await.unwrap_err().is_tampering());
    // Nor does the witness sign for a gateway that does not ask what it holds.
    let note = log.checkpoint(0).await.unwrap();
    let (_, proof) = log.extension(&Frontier::default(), own).await.unwrap();
    prop_assert!(link.witness.add(count, &proof, &note).is_err());

    let after = exported(&log).await;
    let (by_checkpoint, by_entries) = (against(after.path(), &held), against(after.path(), before.path()));
    if own < count {
        for said in [by_checkpoint, by_entries] {
            let Err(VerifyError::Shorter { size, covered, .. }) = said else { panic!("{said:?}") };
            prop_assert_eq!((size, covered), (own, count));
        }
    } else {
        // What was cut off and grown again differs where it was cut.
        let first = first.unwrap_or(forged.len()) as u64;
        for (said, span) in [(by_checkpoint, (0, count - 1)), (by_entries, (first, first))] {
            let Err(VerifyError::Fork { from, to, .. }) = said else { panic!("{said:?}") };
            prop_assert_eq!((from, to), span);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]
    #[test]
    fn any_tampering_is_detected(count in 1u64..30, tampering in tampering(), grown in 0u64..8, keyed: bool) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(detected(count, tampering, grown, keyed))?;
    }
}
