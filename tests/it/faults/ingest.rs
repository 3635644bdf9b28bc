//! `kpr ingest` and `kpr register load` killed at any moment, and the identity service killed under an
//! ingest: the register is as it was, and takes the same delivery afterwards as if nothing had happened.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use kpr::app::stage::Process;
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

/// Kills the command at moments spread over the time it takes, as long as the delivery is not taken in.
async fn command_killed(world: &World, delivery: &str, took: Duration, before: &Option<String>) {
    for moment in 0..MOMENTS {
        let mut child = take(world, delivery);
        tokio::time::sleep(took * moment / MOMENTS).await;
        child.kill().await.unwrap();
        if current(world) != *before {
            return;
        }
    }
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

#[tokio::test(flavor = "multi_thread")]
async fn an_ingest_that_is_killed_leaves_no_trace() {
    let making = small();
    let mut calm = World::made(&making);
    calm.identity = start(&calm, Process::Identity).await;
    let undisturbed = Calm::of(&calm).await;

    let mut world = World::made(&making);
    world.identity = start(&world, Process::Identity).await;
    let mut before = None;
    for (delivery, (took, snapshot)) in
        DELIVERIES.into_iter().zip(undisturbed.took.iter().zip(&undisturbed.snapshots)).take(KPR)
    {
        let failed = identity_killed(&mut world, delivery, *took, &before).await;
        assert!(failed > 0, "{delivery}: no ingest missed the identity service");
        command_killed(&world, delivery, *took, &before).await;
        assert!(current(&world) == before || current(&world) == *snapshot, "{delivery}: a third snapshot");
        // Taken in now, or taken in before and nothing changed: in either case well.
        assert!(end_of(take(&world, delivery)).await.success(), "{delivery}");
        assert_eq!(current(&world), *snapshot, "{delivery}");
        before = current(&world);
    }
    assert_eq!(names(&world), undisturbed.names);

    let [.., npr] = DELIVERIES;
    for moment in 0..MOMENTS {
        let mut child = take(&world, npr);
        tokio::time::sleep(undisturbed.took[KPR] * moment / MOMENTS).await;
        child.kill().await.unwrap();
    }
    assert!(end_of(take(&world, npr)).await.success());
    assert_eq!(episodes(&world).await, undisturbed.episodes);
    assert_eq!(current(&world), before);
}
