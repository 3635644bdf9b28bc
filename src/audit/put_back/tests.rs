//! Copies of a database in use, put back: the log verifies as far as it goes, and that it goes no farther is seen.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use ed25519_dalek::SigningKey;

use super::super::event::{Actor, Entry, QueryRefused};
use super::super::note::NoteSigner;
use super::super::verify::{Demands, Earlier, Verified, VerifyError, verify};
use super::*;
use crate::domain::canonical::Digest;
use crate::domain::clock::{Entropy, EntropyError, FixedClock};
use crate::store::Store;
use crate::store::fixtures::{TestStore, name, now, stores};

struct Zeros;

impl Entropy for Zeros {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        bytes.fill(0);
        Ok(())
    }
}

async fn open(url: &str) -> AuditLog {
    let signer = NoteSigner::new("kpr.example/audit", SigningKey::from_bytes(&[7; 32])).unwrap();
    let store = Store::open(url).await.unwrap();
    AuditLog::open(store, signer, Arc::new(FixedClock(now())), Arc::new(Zeros)).await.unwrap()
}

async fn append(log: &AuditLog, codes: std::ops::Range<u64>) {
    for number in codes {
        let query = Digest::of_bytes("kpr/test", &number.to_be_bytes());
        let event = QueryRefused { intent: None, query, code: "a.code".to_owned() };
        let actor = Actor { organisation: name("NTRNO-983744516"), role: "researcher", name: "a".to_owned() };
        log.append(Entry { actor, project: None, run: None, event: event.into() }).await.unwrap();
    }
}

/// Exports a log and verifies it offline with its public key alone, against an earlier checkpoint.
async fn verified(log: &AuditLog, dir: &Path, earlier: &Path) -> Result<Verified, VerifyError> {
    log.export(dir).await.unwrap();
    let demands = Demands { earlier: vec![Earlier::read(earlier).unwrap()], ..Demands::default() };
    verify(dir, &log.verifier_key(), &demands)
}

/// A PostgreSQL program of the newest version there is.
fn program(called: &str) -> Command {
    let folders = std::fs::read_dir("/usr/lib/postgresql").unwrap().map(|entry| entry.unwrap().path());
    Command::new(folders.max().unwrap().join("bin").join(called))
}

fn run(command: &mut Command) {
    let done = command.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// Copies the database while it is in use.
async fn copy(test: &TestStore, dir: &Path) -> PathBuf {
    let to = dir.join("copy");
    if test.url.starts_with("sqlite:") {
        Store::back_up(&test.url, &to).await.unwrap();
        let again = Store::back_up(&test.url, &to).await;
        assert!(matches!(again, Err(crate::store::StoreError::CopyFile(_))));
    } else {
        assert!(matches!(Store::back_up(&test.url, &to).await, Err(crate::store::StoreError::NoCopy)));
        let (server, schema) = test.url.split_once("?options[search_path]=").unwrap();
        run(program("pg_dump").args(["--schema", schema, "--file"]).arg(&to).arg(server));
    }
    to
}

/// Puts a copy back, and gives where.
async fn put_back(test: &TestStore, copy: &Path) -> String {
    if test.url.starts_with("sqlite:") {
        return format!("sqlite://{}", copy.display());
    }
    test.store.close().await;
    let (server, schema) = test.url.split_once("?options[search_path]=").unwrap();
    run(program("psql").args([server, "-c"]).arg(format!("DROP SCHEMA {schema} CASCADE")));
    run(program("psql").args([server, "-q", "-v", "ON_ERROR_STOP=1", "-f"]).arg(copy));
    test.url.clone()
}

#[tokio::test]
async fn a_copy_of_a_database_in_use_holds_and_what_came_after_it_is_missed() {
    for test in stores().await {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let log = open(&test.url).await;
        append(&log, 0..5).await;
        let early = log.checkpoint(0).await.unwrap();
        std::fs::write(path("early"), &early).unwrap();
        // Others go on while the copy is made.
        let (copied, ()) = tokio::join!(copy(&test, dir.path()), append(&log, 5..25));
        append(&log, 25..30).await;
        let late = log.checkpoint(0).await.unwrap();
        std::fs::write(path("late"), &late).unwrap();
        log.extends(&late).await.unwrap();
        assert_eq!(verified(&log, &path("live"), &path("late")).await.unwrap().size, 30);
        log.store.close().await;

        let restored = open(&put_back(&test, &copied).await).await;
        let whole = verified(&restored, &path("restored"), &path("early")).await.unwrap();
        assert!((5..=25).contains(&whole.size), "{}", whole.size);
        let behind = verified(&restored, &path("behind"), &path("late")).await;
        assert!(behind.is_err());
        restored.extends(&early).await.unwrap();
        let missed = restored.extends(&late).await.unwrap_err();
        assert!(matches!(missed, AuditError::PutBack { kept: 30, size } if size == whole.size), "{missed}");
        // What is written on top of it does not hide that.
        append(&restored, 100..140).await;
        assert!(matches!(restored.extends(&late).await, Err(AuditError::PutBack { kept: 30, .. })));
        let foreign = late.replace("kpr.example", "xyz.example");
        assert!(matches!(restored.extends(&foreign).await, Err(AuditError::Broken(_))));
    }
}
