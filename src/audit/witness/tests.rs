//! A witness signs one line of history, whatever it is offered and however often it restarts.

use ed25519_dalek::SigningKey;

use super::super::merkle::leaf_hash;
use super::super::note::NoteSigner;
use super::*;
use crate::domain::clock::FixedClock;

fn signer() -> NoteSigner {
    NoteSigner::new("kpr.example/audit", SigningKey::from_bytes(&[7; 32])).unwrap()
}

fn cosigner() -> Cosigner {
    Cosigner::new("kpr.example/witness", SigningKey::from_bytes(&[8; 32])).unwrap()
}

fn leaves(count: u64, salt: u8) -> Vec<Hash> {
    (0..count).map(|n| leaf_hash(&[&n.to_be_bytes()[..], &[salt]].concat())).collect()
}

fn note(leaves: &[Hash]) -> String {
    let tree = Frontier::of(leaves.iter().copied());
    signer().sign(tree.size(), tree.root())
}

/// The proof that all of `leaves` extend the first `old` of them.
fn proved(old: u64, leaves: &[Hash]) -> Vec<Hash> {
    let parts = proof::consistency(old, leaves.len() as u64).unwrap();
    let root = |part: std::ops::Range<u64>| {
        Frontier::of(leaves[part.start as usize..part.end as usize].iter().copied()).root()
    };
    parts.into_iter().map(root).collect()
}

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap() };
        Witness::init(&place.path()).unwrap();
        place
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("held.checkpoint")
    }

    fn open(&self) -> Witness {
        let clock = FixedClock("2026-11-22T08:30:00Z".parse().unwrap());
        Witness::open(&self.path(), signer().verifier(), cosigner(), Arc::new(clock)).unwrap()
    }
}

#[test]
fn a_growing_log_is_cosigned_and_what_is_signed_is_kept() {
    let place = Place::new();
    let all = leaves(20, 0);
    let mut old = 0;
    for size in [1, 2, 2, 7, 8, 20] {
        // Opened anew each time: all that it knows is in its file.
        let witness = place.open();
        let part = &all[..size as usize];
        let line = witness.add(old, &proved(old, part), &note(part)).unwrap();
        let held = witness.held().unwrap();
        assert!(held.ends_with(&line));
        assert_eq!(signer().verifier().open(&held).unwrap().size, size);
        let (_, seconds) = cosigner().verifier().find(&held).unwrap();
        assert_eq!(seconds, 1_795_336_200);
        assert_eq!(fs::read_to_string(place.path()).unwrap(), held);
        old = size;
    }
}

#[test]
fn a_fork_a_cut_and_a_wrong_start_are_not_signed() {
    let place = Place::new();
    let (all, other) = (leaves(20, 0), leaves(20, 1));
    let witness = place.open();
    witness.add(0, &[], &note(&all[..8])).unwrap();
    let held = witness.held();
    let refused = [
        // Another history, with proofs of its own, a proof of the true one, and none.
        witness.add(8, &proved(8, &other), &note(&other)),
        witness.add(8, &proved(8, &all), &note(&other)),
        witness.add(8, &[], &note(&other)),
        witness.add(8, &[], &note(&other[..8])),
        // One entry exchanged far back.
        witness.add(
            8,
            &proved(8, &[&other[..1], &all[1..]].concat()),
            &note(&[&other[..1], &all[1..]].concat()),
        ),
    ];
    assert!(refused.iter().all(|r| matches!(r, Err(WitnessError::Fork { held: 8, .. }))), "{refused:?}");
    let short = witness.add(8, &[], &note(&all[..7]));
    assert!(matches!(short, Err(WitnessError::Shorter { held: 8, offered: 7 })));
    // Starting anew from nothing is what one who rewrites the log would like.
    for from in [0, 7, 9, 20] {
        let elsewhere = witness.add(from, &proved(from, &all), &note(&all));
        assert!(matches!(elsewhere, Err(WitnessError::Elsewhere { held: 8, .. })));
    }
    assert_eq!(witness.held(), held);
    assert_eq!(place.path().with_extension("fork").metadata().unwrap().len(), note(&other).len() as u64);
    drop(witness);
    assert_eq!(place.open().held(), held);
    place.open().add(8, &proved(8, &all), &note(&all)).unwrap();
}

#[test]
fn only_the_logs_own_checkpoints_are_signed() {
    let witness = Place::new();
    let witness = witness.open();
    let all = leaves(3, 0);
    let stranger = NoteSigner::new("kpr.example/audit", SigningKey::from_bytes(&[9; 32])).unwrap();
    let forged = stranger.sign(3, Frontier::of(all.iter().copied()).root());
    assert!(matches!(witness.add(0, &[], &forged), Err(WitnessError::Note(NoteError::Signature))));
    let other = NoteSigner::new("kpr.example/other", SigningKey::from_bytes(&[7; 32])).unwrap();
    let other = other.sign(3, Frontier::default().root());
    assert!(matches!(witness.add(0, &[], &other), Err(WitnessError::Note(NoteError::OtherLog))));
    assert_eq!(witness.held(), None);
}

#[test]
fn a_witness_does_not_forget() {
    let place = Place::new();
    assert!(matches!(Witness::init(&place.path()), Err(WitnessError::State { .. })));
    let clock: Arc<dyn Clock> = Arc::new(FixedClock("2026-11-22T08:30:00Z".parse().unwrap()));
    let open = |path: &Path| Witness::open(path, signer().verifier(), cosigner(), Arc::clone(&clock));
    let running = open(&place.path()).unwrap();
    assert!(matches!(open(&place.path()), Err(WitnessError::InUse(_))));
    drop(running);
    // A file that is gone, or is not its own, is no fresh start.
    fs::write(place.path(), "something").unwrap();
    assert!(matches!(open(&place.path()), Err(WitnessError::Note(_))));
    fs::remove_file(place.path()).unwrap();
    assert!(matches!(open(&place.path()), Err(WitnessError::State { .. })));
}

#[test]
fn what_cannot_be_kept_is_not_signed() {
    let place = Place::new();
    let witness = place.open();
    // A folder where the new file would go: it can be neither written nor replaced.
    fs::create_dir(place.path().with_extension("new")).unwrap();
    let refused = witness.add(0, &[], &note(&leaves(3, 0)));
    assert!(matches!(refused, Err(WitnessError::State { .. })));
    assert_eq!(witness.held(), None);
    assert_eq!(fs::read_to_string(place.path()).unwrap(), "");
}
