//! `kpr ingest` and `kpr register load` killed at any moment, and the identity service killed under an
//! ingest: the register is as it was, and takes the same delivery afterwards as if nothing had happened.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use kpr::app::stage::Process;
use kpr::registers::Snapshot;
use tokio::process::{Child, Command};

use super::{database, eventually, files, kill, small, start};
use crate::world::{DELIVERIES, World, program};

/// The deliveries of KPR, then NPR's.
const KPR: usize = 5;
/// How many moments between begin and end a process is killed at.
const MOMENTS: u32 = 5;

/// Starts the command that takes a delivery in.
fn take(world: &World, delivery: &str) -> Child {
    let npr = delivery.starts_with("npr");
    let configuration = world.stage.configuration(if npr { "npr" } else { "ingest" });
    let mut command = Command::new(program());
    command.args(if npr { &["register", "load"][..] } else { &["ingest"][..] });
    command.arg("--config").arg(configuration);
    command.arg("--delivery").arg(world.stage.path("deliveries").join(delivery));
    if !npr {
        command.arg("--register").arg(world.stage.register());
    }
    let log = std::fs::File::create(world.stage.path("taken.log")).unwrap();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).kill_on_drop(true).spawn().unwrap()
}

async fn end_of(mut child: Child) -> ExitStatus {
    child.wait().await.unwrap()
}

/// The id of the current snapshot, if there is one.
fn current(world: &World) -> Option<String> {
    std::fs::read_to_string(world.stage.register().join("CURRENT")).ok()
}

/// The names of all files of the register but its lock.
fn names(world: &World) -> BTreeSet<String> {
    let register = world.stage.register();
    let name = |path: &Path| path.strip_prefix(&register).unwrap().to_str().unwrap().to_owned();
    files(&register).iter().map(|path| name(path)).filter(|name| name != "LOCK").collect()
}

/// How many rows the partner's database has.
async fn episodes(world: &World) -> i64 {
    let mut register = database(world, "npr/register.sqlite").await;
    sqlx::query_scalar("SELECT count(*) FROM episode").fetch_one(&mut register).await.unwrap()
}

/// What an undisturbed installation comes to, and how long each delivery takes.
struct Calm {
    snapshots: Vec<Option<String>>,
    took: Vec<Duration>,
    names: BTreeSet<String>,
    episodes: i64,
}

impl Calm {
    async fn of(world: &World) -> Self {
        let (mut snapshots, mut took) = (Vec::new(), Vec::new());
        for delivery in DELIVERIES {
            let began = Instant::now();
            assert!(end_of(take(world, delivery)).await.success(), "{delivery}");
            took.push(began.elapsed());
            snapshots.push(current(world));
        }
        Self { snapshots, took, names: names(world), episodes: episodes(world).await }
    }
}

/// Kills the command later and later, until it has taken the delivery in. At every moment the current
/// snapshot is whole, and the one before or the one after.
async fn command_killed(world: &World, delivery: &str, took: Duration, allowed: [&Option<String>; 2]) {
    let [before, after] = allowed;
    for moment in 0..20 * MOMENTS {
        let mut child = take(world, delivery);
        tokio::time::sleep(took * moment / (4 * MOMENTS)).await;
        child.kill().await.unwrap();
        let now = current(world);
        assert!(now == *before || now == *after, "{delivery}: a third snapshot");
        if now.is_some() {
            let snapshot = Snapshot::open_current(&world.stage.register()).unwrap();
            let whole =
                snapshot.deliveries().count() > 0 && PARTS.iter().all(|dataset| whole(&snapshot, dataset));
            assert!(whole, "{delivery}: a part is missing at moment {moment}");
        }
        if now != *before {
            return;
        }
    }
    panic!("{delivery}: the ingest never comes to its end");
}

/// The datasets of the deliveries.
const PARTS: [&str; 7] = [
    "population",
    "residence",
    "kuhr_contact",
    "kuhr_diagnosis",
    "kuhr_takst",
    "iplos_service",
    "iplos_function",
];

fn whole(snapshot: &Snapshot, dataset: &str) -> bool {
    snapshot.parts(dataset).iter().all(|part| part.is_file())
}

/// Kills the identity service instead. The command says whom it misses and leaves the register alone.
/// Gives how many ingests failed for it.
async fn identity_killed(world: &mut World, delivery: &str, took: Duration, before: &Option<String>) -> u32 {
    let mut failed = 0;
    for moment in 0..MOMENTS {
        if current(world) != *before {
            break;
        }
        let mut child = take(world, delivery);
        tokio::time::sleep(took * moment / MOMENTS).await;
        kill(&mut world.identity).await;
        let mut status = None;
        eventually("the end of the ingest", || {
            status = child.try_wait().unwrap();
            status.is_some()
        })
        .await;
        if !status.unwrap().success() {
            let said = std::fs::read_to_string(world.stage.path("taken.log")).unwrap();
            assert!(said.contains("the identity service does not answer"), "{delivery}: {said}");
            assert_eq!(current(world), *before, "{delivery}");
            failed += 1;
        }
        world.identity = start(world, Process::Identity).await;
    }
    failed
}

/// An installation without deliveries, its identity service running.
async fn empty() -> World {
    let mut world = World::made(&small());
    world.identity = start(&world, Process::Identity).await;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_ingest_leaves_no_trace() {
    let calm = Calm::of(&empty().await).await;

    let world = empty().await;
    let mut before = None;
    for ((delivery, took), snapshot) in DELIVERIES.into_iter().zip(&calm.took).zip(&calm.snapshots).take(KPR)
    {
        command_killed(&world, delivery, *took, [&before, snapshot]).await;
        // Once more, and nothing changes but what the killed ones have left.
        assert!(end_of(take(&world, delivery)).await.success(), "{delivery}");
        assert_eq!(current(&world), *snapshot, "{delivery}");
        before.clone_from(snapshot);
    }
    assert_eq!(names(&world), calm.names);

    let [.., npr] = DELIVERIES;
    for moment in 0..MOMENTS {
        let mut child = take(&world, npr);
        tokio::time::sleep(calm.took[KPR] * moment / MOMENTS).await;
        child.kill().await.unwrap();
    }
    assert!(end_of(take(&world, npr)).await.success());
    assert_eq!(episodes(&world).await, calm.episodes);

    let mut world = empty().await;
    let mut before = None;
    for ((delivery, took), snapshot) in DELIVERIES.into_iter().zip(&calm.took).zip(&calm.snapshots).take(KPR)
    {
        let failed = identity_killed(&mut world, delivery, *took, &before).await;
        assert!(failed > 0, "{delivery}: no ingest missed the identity service");
        assert!(end_of(take(&world, delivery)).await.success(), "{delivery}");
        assert_eq!(current(&world), *snapshot, "{delivery}");
        before.clone_from(snapshot);
    }
    assert_eq!(names(&world), calm.names);
}
