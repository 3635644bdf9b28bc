//! What goes wrong between the parties: a partner that lies, orders that are forged, processes that are
//! killed. In every case nothing is released without its receipt, nothing is left behind, and whoever
//! asked is told what happened.

pub mod forged;
mod ingest;
mod killed;
pub mod liar;
mod lies;
mod partner;
mod stopped;
mod unrecorded;

use std::path::{Path, PathBuf};
use std::time::Duration;

use kpr::app::stage::{Process, Running, example_query};
use kpr::audit::note::NoteVerifier;
use kpr::audit::{self, Export, Verified};
use kpr::domain::ids::RunId;
use kpr::statistics::Format;
use kpr::store::Phase;
use kpr::wire::gateway_client::ClientError;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};

use crate::world::{Making, World};

/// How long anything may take before a test gives up on it.
const PATIENCE: Duration = Duration::from_secs(300);

/// A population that is linked and counted in a moment.
fn small() -> Making {
    Making { persons: 1500, discharge_rate: 0.3, ..Making::default() }
}

/// Waits until something is so.
async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{what} never came"));
}

/// Kills a process (SIGKILL).
async fn kill(process: &mut Option<Running>) {
    process.take().unwrap().kill().await;
}

async fn start(world: &World, process: Process) -> Option<Running> {
    Some(world.stage.start(process).await.unwrap())
}

/// Sends a signal: `STOP` freezes a process, `CONT` lets it go on.
async fn signal(process: Option<&Running>, name: &str) {
    let id = process.unwrap().id().unwrap().to_string();
    let sent = tokio::process::Command::new("kill").arg(format!("-{name}")).arg(id).status().await;
    assert!(sent.unwrap().success());
}

/// Every file in a folder and the folders in it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// A SQLite database that a process of the installation also has open.
async fn database(world: &World, file: &str) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(world.stage.path(file)).busy_timeout(PATIENCE);
    SqliteConnection::connect_with(&options).await.unwrap()
}

/// The gateway's control data.
async fn control(world: &World) -> SqliteConnection {
    database(world, "gateway/control.sqlite").await
}

/// Waits for a run to end without a result: as `phase`, with this code, a hint, and nothing to fetch. Its
/// submission, sent again, is the same run. Gives the hint.
async fn ends(world: &World, request: &str, run: &RunId, phase: Phase, code: &str) -> String {
    let end = tokio::time::timeout(PATIENCE, world.end_of(run)).await.unwrap();
    assert_eq!((end.phase, end.code.as_str()), (phase, code), "{request}: {}", end.hint);
    assert!(end.hint.len() > 10, "{request}: the hint says nothing: {:?}", end.hint);
    match world.client("researcher").await.fetch(run, Format::Csv).await {
        Err(ClientError::Refused(refusal)) => assert_eq!(refusal.code, "result.none", "{request}"),
        other => panic!("{request}: fetched {other:?}"),
    }
    assert_eq!(world.submit(request, &example_query().unwrap()).await.unwrap(), *run);
    assert_eq!(world.end_of(run).await, end, "{request}: the same submission ends the same");
    end.hint
}

/// Waits for a run to be released as this table.
async fn releases(world: &World, run: &RunId, table: &[u8]) {
    let end = tokio::time::timeout(PATIENCE, world.end_of(run)).await.unwrap();
    assert_eq!(end.phase, Phase::Released, "{} {}", end.code, end.hint);
    let fetched = world.client("researcher").await.fetch(run, Format::Csv).await.unwrap();
    assert_eq!(String::from_utf8(fetched), String::from_utf8(table.to_vec()));
}

/// The types of event that open and close what a run does to data.
const OPENED: u16 = 5;
const RECEIVED: u16 = 7;
const REFUSED: u16 = 8;
const FAILED: u16 = 9;

/// The audit log, fetched by an auditor and verified.
async fn log(world: &World) -> Verified {
    let folder = tempfile::tempdir().unwrap();
    let auditor = world.client("auditor").await;
    let key = world.stage.audit_key().unwrap();
    let note = String::from_utf8(auditor.checkpoint(0).await.unwrap()).unwrap();
    let size = key.parse::<NoteVerifier>().unwrap().open(&note).unwrap().size;
    let mut export = Export::create(folder.path()).unwrap();
    while export.size() < size {
        let most = u32::try_from(size - export.size()).unwrap();
        for entry in auditor.entries(export.size(), most).await.unwrap() {
            export.add(&entry.leaf).unwrap();
        }
    }
    export.finish(&note).unwrap();
    audit::verify(folder.path(), &key, &audit::Demands::default()).unwrap()
}

/// What must never be found in the control data of a gateway where no run is in progress.
const NEVER: [(&str, &str); 5] = [
    (
        "a result that its own receipt did not let out",
        "SELECT count(*) FROM results r WHERE NOT EXISTS (SELECT 1 FROM audit_intents i JOIN runs u \
         ON u.run = i.run WHERE i.run = r.run AND i.closed_by = r.receipt AND u.phase = 'released')",
    ),
    (
        "a released run without a result",
        "SELECT count(*) FROM runs WHERE phase = 'released' AND run NOT IN (SELECT run FROM results)",
    ),
    ("a run in progress", "SELECT count(*) FROM runs WHERE phase NOT IN ('released', 'refused', 'failed')"),
    ("an intent left open", "SELECT count(*) FROM audit_intents WHERE closed_by IS NULL"),
    (
        "an ending without a code or a hint",
        "SELECT count(*) FROM runs WHERE phase <> 'released' AND (code IS NULL OR hint IS NULL)",
    ),
];

/// Checks that nothing is in progress, open or left in the scratch folder, and that every result has its receipt.
async fn nothing_left(world: &World) {
    let mut control = control(world).await;
    for (what, sql) in NEVER {
        let found: i64 = sqlx::query_scalar(sql).fetch_one(&mut control).await.unwrap();
        assert_eq!(found, 0, "{what}");
    }
    assert_eq!(files(&world.stage.path("gateway/scratch")), [] as [PathBuf; 0]);
}

/// As [`nothing_left`], and checks that the log verifies and closes every intent.
async fn in_order(world: &World) {
    nothing_left(world).await;
    let mut control = control(world).await;
    let results: i64 =
        sqlx::query_scalar("SELECT count(*) FROM results").fetch_one(&mut control).await.unwrap();
    let log = log(world).await;
    let of = |kind: u16| log.events.get(&kind).copied().unwrap_or(0);
    assert_eq!(of(RECEIVED), results.unsigned_abs());
    assert_eq!(of(OPENED), of(RECEIVED) + of(REFUSED) + of(FAILED));
}
