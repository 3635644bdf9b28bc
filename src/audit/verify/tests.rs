//! Tampering with an export: each kind is detected and named.

use std::fs;

use ed25519_dalek::SigningKey;

use super::super::cosignature::Cosigner;
use super::super::entry_proof::EntryProofError;
use super::super::event::{Actor, ApprovalEntered, Entry};
use super::super::export::Export;
use super::super::merkle::Frontier;
use super::super::note::NoteSigner;
use super::*;
use crate::domain::canonical::Digest;
use crate::domain::ids::OrganisationId;

fn signer() -> NoteSigner {
    NoteSigner::new("kpr.example/audit", SigningKey::from_bytes(&[7; 32])).unwrap()
}

fn leaf(number: u8) -> Vec<u8> {
    let entry = Entry {
        actor: Actor {
            organisation: OrganisationId::new("NTRNO-983744516").unwrap(),
            role: "steward",
            name: "steward-a".to_owned(),
        },
        project: None,
        run: None,
        event: ApprovalEntered { approval: Digest::from_bytes([number; 32]), version: 1 }.into(),
    };
    Leaf::new(entry, DateTime::UNIX_EPOCH, [number; 32]).unwrap().0.canonical().unwrap()
}

fn leaves(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|n| leaf(u8::try_from(n % 251).unwrap())).collect()
}

fn note(leaves: &[Vec<u8>]) -> String {
    let frontier = Frontier::of(leaves.iter().map(|l| leaf_hash(l)));
    signer().sign(frontier.size(), frontier.root())
}

/// Exports `exported` under the checkpoint of `signed`.
fn export(exported: &[Vec<u8>], signed: &[Vec<u8>]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut export = Export::create(dir.path()).unwrap();
    for leaf in exported {
        export.add(leaf).unwrap();
    }
    export.finish(&note(signed)).unwrap();
    dir
}

fn check(dir: &tempfile::TempDir) -> Result<Verified, VerifyError> {
    verify(dir.path(), &signer().verifier().to_string(), &Demands::default())
}

#[test]
fn an_untouched_log_holds_at_every_size() {
    for count in [0, 1, 2, 255, 256, 257, 600] {
        let leaves = leaves(count);
        let verified = check(&export(&leaves, &leaves)).unwrap();
        assert_eq!((verified.size, verified.origin.as_str()), (count as u64, "kpr.example/audit"));
        assert_eq!(verified.events.get(&3).copied().unwrap_or(0), count as u64);
        assert_eq!(verified.span.is_some(), count > 0);
    }
}

#[test]
fn a_changed_dropped_reordered_or_added_entry_is_detected() {
    let original = leaves(600);
    let mut changed = original.clone();
    changed[300] = leaf(251);
    let mut dropped = original.clone();
    dropped.remove(300);
    let mut swapped = original.clone();
    swapped.swap(299, 300);
    let mut added = original.clone();
    added.push(leaf(251));
    let mut replaced = dropped.clone();
    replaced.push(leaf(251));
    assert!(matches!(check(&export(&changed, &original)), Err(VerifyError::Root { size: 600 })));
    assert!(matches!(check(&export(&swapped, &original)), Err(VerifyError::Root { .. })));
    assert!(matches!(check(&export(&replaced, &original)), Err(VerifyError::Root { .. })));
    assert!(matches!(check(&export(&dropped, &original)), Err(VerifyError::Missing { size: 600, .. })));
    // The checkpoint asks for a partial bundle of 88; one of 89 stands there.
    assert!(matches!(check(&export(&added, &original)), Err(VerifyError::Missing { .. })));
}

#[test]
fn a_truncated_log_is_detected() {
    let original = leaves(600);
    for kept in [0, 256, 512, 599] {
        let refused = check(&export(&original[..kept], &original)).unwrap_err();
        assert!(refused.to_string().contains("covers 600 entries"), "{refused}");
    }
    let dir = export(&original, &original);
    fs::remove_file(dir.path().join("tile/entries/001")).unwrap();
    let refused = check(&dir).unwrap_err().to_string();
    assert!(refused.contains("entries 256 to 511 are missing"), "{refused}");
    let dir = export(&original, &original);
    let bundle = dir.path().join("tile/entries/000");
    let bytes = fs::read(&bundle).unwrap();
    fs::write(&bundle, &bytes[..bytes.len() - 1]).unwrap();
    assert!(matches!(check(&dir), Err(VerifyError::Bundle { wanted: 256, .. })));
}

#[test]
fn an_entry_changed_in_place_is_pointed_out() {
    let original = leaves(600);
    let dir = export(&original, &original);
    let bundle = dir.path().join("tile/entries/001");
    let mut bytes = fs::read(&bundle).unwrap();
    let at = bytes.len() - 10;
    bytes[at] ^= 1;
    fs::write(&bundle, &bytes).unwrap();
    assert!(matches!(check(&dir), Err(VerifyError::Entry(511))));
    // Without hash tiles the log still does not hold; only the place is unknown.
    fs::remove_dir_all(dir.path().join("tile/0")).unwrap();
    assert!(matches!(check(&dir), Err(VerifyError::Root { .. })));
}

#[test]
fn a_changed_hash_tile_is_detected() {
    let original = leaves(600);
    for path in ["tile/0/000", "tile/0/002.p/88", "tile/1/000.p/2"] {
        let dir = export(&original, &original);
        let mut bytes = fs::read(dir.path().join(path)).unwrap();
        bytes[5] ^= 1;
        fs::write(dir.path().join(path), &bytes).unwrap();
        assert!(matches!(check(&dir), Err(VerifyError::Tile(p)) if p == path));
    }
}

#[test]
fn another_key_or_name_does_not_verify() {
    let original = leaves(3);
    let dir = export(&original, &original);
    for (name, seed, wanted) in
        [("kpr.example/audit", 8, NoteError::Signature), ("kpr.example/other", 7, NoteError::OtherLog)]
    {
        let key = NoteSigner::new(name, SigningKey::from_bytes(&[seed; 32])).unwrap().verifier().to_string();
        assert!(
            matches!(verify(dir.path(), &key, &Demands::default()), Err(VerifyError::Note(e)) if e == wanted)
        );
    }
    assert!(matches!(
        verify(dir.path(), "key", &Demands::default()),
        Err(VerifyError::Note(NoteError::VerifierKey))
    ));
    fs::remove_file(dir.path().join("checkpoint")).unwrap();
    assert!(matches!(check(&dir), Err(VerifyError::Read { .. })));
}

#[test]
fn an_entry_that_is_no_event_is_pointed_out() {
    let mut leaves = leaves(3);
    leaves.push(b"{}".to_vec());
    assert!(matches!(check(&export(&leaves, &leaves)), Err(VerifyError::NotAnEvent(3))));
}

#[test]
fn an_export_needs_an_empty_folder() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("x"), "").unwrap();
    assert!(Export::create(dir.path()).is_err());
}

fn checkpoint_file(dir: &Path, size: usize, leaves: &[Vec<u8>]) -> Earlier {
    let path = dir.join(format!("checkpoint-{size}"));
    fs::write(&path, note(&leaves[..size])).unwrap();
    Earlier::read(&path).unwrap()
}

#[test]
fn an_earlier_checkpoint_is_held_against_the_log_and_says_where_it_differs() {
    let original = leaves(600);
    let dir = export(&original, &original);
    let notes = tempfile::tempdir().unwrap();
    let earlier = |sizes: &[usize]| Demands {
        earlier: sizes.iter().map(|&size| checkpoint_file(notes.path(), size, &original)).collect(),
        ..Demands::default()
    };
    let key = signer().verifier().to_string();
    verify(dir.path(), &key, &earlier(&[600, 0, 1, 255, 256, 599])).unwrap();

    // Rewritten from entry 300 on and signed anew by the log's own key: it holds by itself.
    let mut forged = original.clone();
    forged[300] = leaf(251);
    let dir = export(&forged, &forged);
    check(&dir).unwrap();
    verify(dir.path(), &key, &earlier(&[1, 256, 300])).unwrap();
    let said = verify(dir.path(), &key, &earlier(&[600, 400, 256])).unwrap_err();
    assert!(matches!(said, VerifyError::Fork { from: 256, to: 399, .. }), "{said}");
    let said = verify(dir.path(), &key, &earlier(&[300, 301])).unwrap_err();
    assert!(said.to_string().ends_with("the first entry that differs is entry 300"), "{said}");
    // With an earlier export at hand the entry is found.
    let whole = export(&original[..520], &original[..520]);
    let demands = Demands { earlier: vec![Earlier::read(whole.path()).unwrap()], ..Demands::default() };
    let said = verify(dir.path(), &key, &demands).unwrap_err();
    assert!(matches!(said, VerifyError::Fork { from: 300, to: 300, .. }), "{said}");

    let dir = export(&original[..299], &original[..299]);
    let said = verify(dir.path(), &key, &earlier(&[1, 300])).unwrap_err();
    assert!(matches!(said, VerifyError::Shorter { size: 299, covered: 300, .. }), "{said}");
}

#[test]
fn an_earlier_checkpoint_of_another_key_says_nothing() {
    let original = leaves(3);
    let dir = export(&original, &original);
    let notes = tempfile::tempdir().unwrap();
    let path = notes.path().join("forged");
    let other = NoteSigner::new("kpr.example/audit", SigningKey::from_bytes(&[8; 32])).unwrap();
    fs::write(&path, other.sign(2, [9; 32])).unwrap();
    let demands = Demands { earlier: vec![Earlier::read(&path).unwrap()], ..Demands::default() };
    let said = verify(dir.path(), &signer().verifier().to_string(), &demands);
    assert!(matches!(said, Err(VerifyError::Note(NoteError::Signature))));
}

#[test]
fn as_many_witnesses_as_are_asked_for_must_have_cosigned() {
    let witness = |seed: u8| {
        let key = SigningKey::from_bytes(&[seed; 32]);
        Cosigner::new(&format!("kpr.example/witness-{seed}"), key).unwrap()
    };
    let original = leaves(3);
    let note = note(&original);
    let text = note.split_once("\n\n").unwrap().0.to_owned() + "\n";
    let line = |seed| witness(seed).line(&text, DateTime::UNIX_EPOCH);
    let dir = export(&original, &original);
    fs::write(dir.path().join("checkpoint"), format!("{note}{}{}", line(1), line(2))).unwrap();
    let found = |seeds: &[u8], needed| {
        let witnesses = seeds.iter().map(|&seed| witness(seed).verifier()).collect();
        let demands = Demands { witnesses, needed, ..Demands::default() };
        verify(dir.path(), &signer().verifier().to_string(), &demands).map(|verified| verified.witnesses)
    };
    assert_eq!(found(&[1, 2, 3], 2).unwrap(), 2);
    assert_eq!(found(&[2], 1).unwrap(), 1);
    assert!(matches!(found(&[1, 3], 2), Err(VerifyError::Witnesses { found: 1, needed: 2 })));
    // The same witness twice is one.
    assert!(matches!(found(&[1, 1], 2), Err(VerifyError::Witnesses { found: 1, needed: 2 })));
}

#[test]
fn one_entry_is_proved_without_the_others() {
    let original = leaves(600);
    let dir = export(&original, &original);
    let key = signer().verifier();
    for index in [0, 1, 255, 256, 511, 512, 599] {
        let proved = prove(dir.path(), &key.to_string(), index).unwrap();
        assert_eq!(proved.entry, original[index as usize]);
        let read: EntryProof = proved.to_string().parse().unwrap();
        assert_eq!(read, proved);
        read.check(&key).unwrap();
        let forged = EntryProof { entry: leaf(251), ..proved.clone() };
        assert_eq!(forged.check(&key), Err(EntryProofError::NotIncluded(index)));
        let moved = EntryProof { index: index ^ 1, ..proved.clone() };
        assert_eq!(moved.check(&key), Err(EntryProofError::NotIncluded(index ^ 1)));
        let other = EntryProof { note: note(&leaves(599)), ..proved };
        assert_eq!(other.check(&key), Err(EntryProofError::NotIncluded(index)));
    }
    let said = prove(dir.path(), &key.to_string(), 600).unwrap_err();
    assert!(matches!(said, VerifyError::NoEntry { index: 600, size: 600 }));
}

/// The shape of the example in the specification.
#[test]
fn a_proof_reads_as_the_specification_has_it() {
    let original = leaves(3);
    let text = prove(export(&original, &original).path(), &signer().verifier().to_string(), 2).unwrap();
    let text = text.to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines[0], lines[2]), ("c2sp.org/tlog-proof@v1", "index 2"));
    assert!(lines[1].starts_with("extra ") && lines[3].len() == 44 && lines[4].is_empty(), "{text}");
    assert!(text.ends_with(&format!("\n\n{}", note(&original))));
    for (from, to) in
        [("proof@v1", "proof@v2"), ("extra ", "extra  "), ("index 2", "index x"), ("\n\nkpr", "\nkpr")]
    {
        let read = text.replacen(from, to, 1).parse::<EntryProof>();
        assert_eq!(read, Err(EntryProofError::Malformed), "{from:?}");
    }
}
