//! Versions of the root secret: the change to a newer one, what stays the same, the end of an older one.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::AtomicU64;

use futures::FutureExt;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use tempfile::tempdir;

use super::*;
use zeroize::Zeroizing;

use crate::domain::ids::DomainId;

async fn rotate(dir: &Path, versions: &[u32]) -> Result<bool, IdentityError> {
    let clock = FixedClock(now());
    IdentityService::rotate(&dir.join("vault.db"), &ring(versions), &clock, |_, _| ()).await
}

async fn destroy(dir: &Path, versions: &[u32], version: u32, at: DateTime<Utc>) -> Result<(), IdentityError> {
    let clock = FixedClock(at);
    IdentityService::destroy(&dir.join("vault.db"), &ring(versions), version, &clock).await
}

fn why<T>(outcome: Result<T, IdentityError>) -> VaultError {
    match outcome {
        Err(IdentityError::Vault(error)) => error,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("done"),
    }
}

async fn sql(dir: &Path, statement: &'static str) -> Result<(), sqlx::Error> {
    let mut connection = SqliteConnectOptions::new().filename(dir.join("vault.db")).connect().await.unwrap();
    let done = sqlx::query(statement).execute(&mut connection).await;
    connection.close().await.unwrap();
    done.map(drop)
}

/// The codes of all numbers under the key of an order.
async fn codes(service: &IdentityService, order: &LinkageOrder) -> Vec<LinkageCode> {
    let key = service.issue_key(&npr(), order).await.unwrap();
    numbers(0..20).iter().map(|n| key.code(&Fnr::parse(n.as_bytes()).unwrap())).collect()
}

async fn mapped(
    service: &IdentityService,
    order: &LinkageOrder,
    codes: Vec<LinkageCode>,
) -> Zeroizing<Vec<RecordKey>> {
    let kpr = DomainId::new("KPR").unwrap();
    let accepted = service.accept(order.clone()).await.unwrap();
    let (mapped, keys) = service.map_codes(&accepted, codes, Some(&kpr)).await.unwrap();
    assert_eq!(mapped.persons, (0..20).map(PersonNo).collect::<Vec<_>>());
    keys
}

#[tokio::test]
async fn a_rotation_keeps_persons_record_keys_and_open_runs_and_gives_new_runs_new_keys() {
    let dir = tempdir().unwrap();
    let lines = serial_lines(&numbers(0..20));
    let (open_run, ended, later) = (order("P-1", 1), order("P-1", 2), order("P-1", 3));
    let service = open(dir.path(), &[1]).await.unwrap();
    let before = resolve(&service, Layout::Serial, &lines, true).await;
    let sealed: Vec<_> = service.vault.index().rows().iter().map(|row| row.sealed).collect();
    let of_open = codes(&service, &open_run).await;
    let of_ended = codes(&service, &ended).await;
    // One epoch a run: nothing in common between two runs of one project.
    assert!(of_open.iter().all(|code| !of_ended.contains(code)));
    let record_keys = mapped(&service, &ended, of_ended).await;
    drop(service);

    // A newer secret takes force by a rotation, not by a start.
    let refused = why(open(dir.path(), &[1, 2]).await);
    assert!(matches!(refused, VaultError::NotRotated { sealed: 1, current: 2 }), "{refused}");
    assert!(rotate(dir.path(), &[1, 2]).await.unwrap());
    assert!(!rotate(dir.path(), &[1, 2]).await.unwrap());
    let refused = why(open(dir.path(), &[1]).await);
    assert!(matches!(refused, VaultError::RootSecret { version: 2 }), "{refused}");

    let service = open(dir.path(), &[1, 2]).await.unwrap();
    assert!(sealed.iter().all(|old| service.vault.index().find(old).is_none()));
    assert_eq!(resolve(&service, Layout::Serial, &lines, true).await, before);
    // The run that was open reads its codes under the older secret; what comes now is under the newer one.
    assert_eq!(codes(&service, &open_run).await, of_open);
    assert_eq!(mapped(&service, &open_run, of_open).await, record_keys);
    let under_the_first: Vec<LinkageCode> = {
        let key = root(1).linkage_key(KeyUse::Rows, &later.approval.approval.project, &later.run);
        numbers(0..20).iter().map(|n| key.code(&Fnr::parse(n.as_bytes()).unwrap())).collect()
    };
    let of_later = codes(&service, &later).await;
    assert!(of_later.iter().all(|code| !under_the_first.contains(code)));
    assert_eq!(mapped(&service, &later, of_later).await, record_keys);
}

#[tokio::test]
async fn nothing_sealed_under_the_older_secret_stays_in_the_file() {
    let dir = tempdir().unwrap();
    let service = open(dir.path(), &[1]).await.unwrap();
    resolve(&service, Layout::Serial, &serial_lines(&numbers(0..300)), true).await;
    let sealed: Vec<_> = service.vault.index().rows().iter().map(|row| row.sealed).collect();
    drop(service);
    let holds = || {
        let bytes = std::fs::read(dir.path().join("vault.db")).unwrap();
        sealed.iter().filter(|old| bytes.windows(old.len()).any(|w| w == old.as_slice())).count()
    };
    assert_eq!(holds(), 300);
    rotate(dir.path(), &[1, 2]).await.unwrap();
    assert_eq!(holds(), 0);
}

/// Cut short by a panic of whoever watches the progress: what a kill at that point leaves.
async fn cut_short(dir: &Path, versions: &[u32]) {
    let (path, ring, clock) = (dir.join("vault.db"), ring(versions), FixedClock(now()));
    let stop = |done: u64, _| assert!(done == 0, "stopped in the middle");
    let stopped = AssertUnwindSafe(IdentityService::rotate(&path, &ring, &clock, stop)).catch_unwind().await;
    assert!(stopped.is_err());
}

#[tokio::test]
async fn a_rotation_that_was_cut_short_goes_on_or_is_given_up() {
    let dir = tempdir().unwrap();
    let lines = serial_lines(&numbers(0..50));
    let service = open(dir.path(), &[1]).await.unwrap();
    let before = resolve(&service, Layout::Serial, &lines, true).await;
    drop(service);
    cut_short(dir.path(), &[1, 2]).await;
    // The older secret still counts, and identifiers may come; then what was begun is of no use.
    let service = open(dir.path(), &[1]).await.unwrap();
    assert_eq!(resolve(&service, Layout::Serial, &lines, true).await, before);
    resolve(&service, Layout::Serial, &serial_lines(&numbers(50..60)), true).await;
    drop(service);
    cut_short(dir.path(), &[1, 2]).await;
    // Another secret begins anew; the same one goes on where it was, without sealing anything twice.
    cut_short(dir.path(), &[1, 3]).await;
    let first = AtomicU64::new(u64::MAX);
    let heard = |done, total| {
        assert_eq!(total, 60);
        first.fetch_min(done, Ordering::Relaxed);
    };
    let path = dir.path().join("vault.db");
    assert!(IdentityService::rotate(&path, &ring(&[1, 3]), &FixedClock(now()), heard).await.unwrap());
    assert_eq!(first.into_inner(), 60);
    let service = open(dir.path(), &[1, 3]).await.unwrap();
    assert_eq!(resolve(&service, Layout::Serial, &lines, true).await, before);
    assert_eq!(service.vault.index().rows().len(), 60);
}

#[tokio::test]
async fn a_version_is_destroyed_when_nothing_needs_it_and_never_comes_back() {
    let dir = tempdir().unwrap();
    let service = open(dir.path(), &[1]).await.unwrap();
    resolve(&service, Layout::Serial, &serial_lines(&numbers(0..20)), true).await;
    drop(service);
    rotate(dir.path(), &[1, 2]).await.unwrap();
    let service = open(dir.path(), &[1, 2]).await.unwrap();
    let open_run = order("P-1", 1);
    codes(&service, &open_run).await;
    drop(service);

    let still =
        async |versions: &[u32], version, at| match why(destroy(dir.path(), versions, version, at).await) {
            VaultError::StillNeeded { version: named, by } if named == version => by,
            other => panic!("{other}"),
        };
    assert_eq!(still(&[1, 2], 2, now()).await, Need::Identifiers);
    assert_eq!(still(&[1, 2], 1, now()).await, Need::RecordKeys);
    assert_eq!(still(&[1, 2, 3], 2, now()).await, Need::Identifiers);
    rotate(dir.path(), &[1, 2, 3]).await.unwrap();
    assert_eq!(still(&[1, 2, 3], 2, now()).await, Need::OpenRuns(1));
    let unknown = why(destroy(dir.path(), &[1, 2, 3, 4], 4, now()).await);
    assert!(matches!(unknown, VaultError::RootSecret { version: 4 }), "{unknown}");
    let not_named = why(destroy(dir.path(), &[1, 2, 3], 4, now()).await);
    assert!(matches!(not_named, VaultError::NotNamed { version: 4 }), "{not_named}");

    // The order holds for an hour at most.
    let later = now() + TimeDelta::minutes(62);
    destroy(dir.path(), &[1, 2, 3], 2, later).await.unwrap();
    destroy(dir.path(), &[1, 2, 3], 2, later).await.unwrap();
    let back = why(open(dir.path(), &[1, 2, 3]).await);
    assert!(matches!(back, VaultError::Destroyed { version: 2 }), "{back}");
    let service = open(dir.path(), &[1, 3]).await.unwrap();
    let refused = service.issue_key(&npr(), &open_run).await;
    assert!(matches!(refused, Err(IdentityError::RootDestroyed)));
    drop(service);
    assert!(matches!(why(open(dir.path(), &[3]).await), VaultError::RootSecret { version: 1 }));

    let events = IdentityService::key_events(&dir.path().join("vault.db"), &FixedClock(now())).await.unwrap();
    let acts: Vec<_> = events.iter().map(|event| (event.version, event.act.as_str())).collect();
    assert_eq!(acts, [(1, "in force"), (2, "in force"), (3, "in force"), (2, "destroyed")]);
    for statement in ["DELETE FROM key_event", "UPDATE key_event SET act = 'in force'"] {
        assert!(sql(dir.path(), statement).await.is_err());
    }
}
