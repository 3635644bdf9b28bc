use std::os::unix::fs::PermissionsExt;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use tempfile::tempdir;

use super::*;

async fn execute(dir: &Path, statement: &'static str) {
    let mut connection = SqliteConnectOptions::new().filename(dir.join("vault.db")).connect().await.unwrap();
    sqlx::query(statement).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

async fn refused(dir: &Path, versions: &[u32]) -> VaultError {
    match open(dir, versions).await {
        Err(IdentityError::Vault(error)) => error,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("opened"),
    }
}

#[tokio::test]
async fn no_number_is_in_the_file_and_only_its_owner_reads_it() {
    let dir = tempdir().unwrap();
    let service = open(dir.path(), &[1]).await.unwrap();
    let all = numbers(0..50);
    resolve(&service, Layout::Serial, &serial_lines(&all), true).await;
    drop(service);
    let path = dir.path().join("vault.db");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let bytes = std::fs::read(path).unwrap();
    for number in all {
        assert!(!bytes.windows(11).any(|window| window == number.as_bytes()));
    }
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let dir = tempdir().unwrap();
    open(dir.path(), &[1]).await.unwrap();
    execute(dir.path(), "PRAGMA user_version = 6").await;
    assert!(matches!(refused(dir.path(), &[1]).await, VaultError::NewerSchema { found: 6 }));
}

#[tokio::test]
async fn a_vault_of_the_schema_before_is_taken_over() {
    let dir = tempdir().unwrap();
    drop(open(dir.path(), &[1]).await.unwrap());
    let before = "DROP TABLE approval_seen; DROP TABLE look_up; DROP TABLE key_event; DROP TABLE resolution;
        DROP TABLE resolution_person; PRAGMA user_version = 1";
    execute(dir.path(), before).await;
    let service = open(dir.path(), &[1]).await.unwrap();
    service.issue_key(&npr(), &order("P-1", 1)).await.unwrap();
    drop(service);
    let events = IdentityService::key_events(&dir.path().join("vault.db"), &FixedClock(now())).await.unwrap();
    assert_eq!(events.iter().map(|event| event.version).collect::<Vec<_>>(), [1]);
}

#[tokio::test]
async fn one_process_holds_the_vault() {
    let dir = tempdir().unwrap();
    let service = open(dir.path(), &[1]).await.unwrap();
    assert!(matches!(refused(dir.path(), &[1]).await, VaultError::InUse));
    drop(service);
    open(dir.path(), &[1]).await.unwrap();
}

#[tokio::test]
async fn another_secret_is_refused() {
    let dir = tempdir().unwrap();
    open(dir.path(), &[2]).await.unwrap();
    assert!(matches!(refused(dir.path(), &[3]).await, VaultError::RootSecret { version: 2 }));
    assert!(matches!(refused(dir.path(), &[1, 2]).await, VaultError::Founding { version: 2 }));
    let same_version_other_secret = KeyRing::new(RootKey::new(2, Zeroizing::new([9; 32])), vec![]).unwrap();
    let clock = Arc::new(FixedClock(now()));
    let (path, entropy) = (dir.path().join("vault.db"), Arc::new(Counting::default()));
    let outcome = IdentityService::open(&path, same_version_other_secret, stewards(), clock, entropy).await;
    assert!(matches!(outcome.err(), Some(IdentityError::Vault(VaultError::RootSecret { version: 2 }))));
}

#[tokio::test]
async fn a_damaged_row_is_noticed() {
    let dir = tempdir().unwrap();
    let service = open(dir.path(), &[1]).await.unwrap();
    resolve(&service, Layout::Serial, &serial_lines(&numbers(0..3)), true).await;
    drop(service);
    execute(dir.path(), "UPDATE identifier SET sealed = zeroblob(27) WHERE person_no = 1").await;
    let service = open(dir.path(), &[1]).await.unwrap();
    let order = order("P-1", 1);
    let code =
        service.issue_key(&npr(), &order).await.unwrap().code(&Fnr::parse(number(0).as_bytes()).unwrap());
    let error = map(&service, &order, vec![code]).await.unwrap_err();
    assert!(matches!(error, IdentityError::Vault(VaultError::Damaged)));
}
