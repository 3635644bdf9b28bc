//! Each of the three processes killed at each stage of a query.

use std::time::Duration;

use kpr::app::stage::{Process, example_query};
use kpr::config::RegisterConfig;
use kpr::domain::ids::RunId;
use kpr::partner::KeySource;
use kpr::store::Phase;
use sqlx::{Connection, Executor, SqliteConnection};

use super::liar::{Liar, batch, end, rows};
use super::unrecorded;
use super::{
    PATIENCE, control, database, ends, eventually, files, in_order, kill, log, releases, signal, small, start,
};
use crate::world::World;

async fn submit(world: &World, request: &str) -> RunId {
    world.submit(request, &example_query().unwrap()).await.unwrap()
}

/// Waits for a phase of a run and holds the run there: with the database's one lock for writing in the
/// test's hands, the gateway can enter no further phase and write no receipt. Nothing, if the run was
/// faster.
async fn hold(world: &World, run: &RunId, phase: Phase) -> Option<SqliteConnection> {
    let mut control = control(world).await;
    let wait = async {
        loop {
            control.execute("BEGIN IMMEDIATE").await.unwrap();
            let now = sqlx::query_scalar("SELECT phase FROM runs WHERE run = $1").bind(run.as_str());
            let now: String = now.fetch_one(&mut control).await.unwrap();
            if now == phase.as_str() {
                return true;
            }
            control.execute("ROLLBACK").await.unwrap();
            if now.parse::<Phase>().unwrap().is_end() {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let held = tokio::time::timeout(PATIENCE, wait).await.unwrap();
    held.then_some(control)
}

/// Starts runs until one is held in a phase.
pub(super) async fn held_run(world: &World, name: &str, phase: Phase) -> (String, RunId, SqliteConnection) {
    for attempt in 0..20 {
        let request = format!("{name}-{phase}-{attempt}");
        let run = submit(world, &request).await;
        if let Some(held) = hold(world, &run, phase).await {
            return (request, run, held);
        }
    }
    panic!("no run could be held while {phase}");
}

pub(super) async fn let_go(mut held: SqliteConnection) {
    held.execute("ROLLBACK").await.unwrap();
    held.close().await.unwrap();
}

/// The partner's table becomes a view with a hundred thousand times its rows, which take minutes to send.
async fn make_endless(world: &World) {
    let mut register = database(world, "npr/register.sqlite").await;
    register.execute("ALTER TABLE episode RENAME TO episode_kept").await.unwrap();
    let view = "CREATE VIEW episode AS WITH RECURSIVE n (i) AS \
                (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) \
                SELECT e.* FROM n CROSS JOIN episode_kept AS e";
    register.execute(view).await.unwrap();
}

async fn make_finite(world: &World) {
    let mut register = database(world, "npr/register.sqlite").await;
    register.execute("DROP VIEW episode").await.unwrap();
    register.execute("ALTER TABLE episode_kept RENAME TO episode").await.unwrap();
}

/// Waits until the register node is in the middle of its rows: more has been sent than all the rows of
/// the finite table.
async fn in_the_middle(world: &World) {
    let node = world.npr.as_ref().unwrap().id().unwrap();
    let folder = world.stage.path("frames");
    let sent = || -> u64 {
        let of_the_node = files(&folder).into_iter().filter(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.starts_with(&format!("{node}-")) && name.ends_with("sent.bin")
        });
        of_the_node.map(|path| path.metadata().unwrap().len()).sum()
    };
    eventually("a megabyte of rows", || sent() > 1 << 20).await;
}

/// The gateway is killed; what an interrupted count may leave lies in its scratch folder; it starts again.
async fn restart_gateway(world: &mut World) {
    kill(&mut world.gateway).await;
    let spilled = world.stage.path("gateway/scratch/engine/spilled");
    std::fs::create_dir_all(&spilled).unwrap();
    std::fs::write(spilled.join("rows.arrow"), "rows of persons").unwrap();
    world.gateway = start(world, Process::Gateway).await;
}

async fn interrupted(world: &World, request: &str, run: &RunId) {
    let hint = ends(world, request, run, Phase::Failed, "run.interrupted").await;
    assert!(hint.contains("nothing was released") && hint.contains("new request id"), "{hint}");
    in_order(world).await;
}

async fn partner_killed(world: &mut World, table: &[u8]) {
    // Before its first row, while it waits for its key: it finds the order again when it comes back.
    let journal = RegisterConfig::load(&world.stage.configuration("npr")).unwrap().journal;
    signal(world.identity.as_ref(), "STOP").await;
    let run = submit(world, "partner-before").await;
    let seen = || std::fs::read_to_string(&journal).is_ok_and(|text| text.contains(run.as_str()));
    eventually("the order", seen).await;
    kill(&mut world.npr).await;
    signal(world.identity.as_ref(), "CONT").await;
    world.npr = start(world, Process::Npr).await;
    releases(world, &run, table).await;

    // In the middle of its rows.
    make_endless(world).await;
    let run = submit(world, "partner-middle").await;
    in_the_middle(world).await;
    kill(&mut world.npr).await;
    ends(world, "partner-middle", &run, Phase::Failed, "linkage.dropped").await;
    make_finite(world).await;
    world.npr = start(world, Process::Npr).await;
    let (_, after) = world.answer("partner-after").await;
    assert_eq!(after, table);
}

async fn identity_killed(world: &mut World, table: &[u8]) {
    // Before the partner has its key.
    signal(world.npr.as_ref(), "STOP").await;
    let (request, run, held) = held_run(world, "identity", Phase::Linking).await;
    kill(&mut world.identity).await;
    let_go(held).await;
    signal(world.npr.as_ref(), "CONT").await;
    ends(world, &request, &run, Phase::Failed, "linkage.partner_key").await;
    world.identity = start(world, Process::Identity).await;

    // With the partner's rows on their way.
    kill(&mut world.npr).await;
    let mut liar = Liar::new(world).await;
    let run = submit(world, "identity-middle").await;
    let order = liar.order().await;
    liar.keys.linkage_key(&order).await.unwrap();
    let (parts, told) = liar.begin(&order.id);
    parts.send(batch(0, rows(&order, 3))).await.unwrap();
    kill(&mut world.identity).await;
    parts.send(end(1, 3)).await.unwrap();
    drop(parts);
    told.await.unwrap().unwrap();
    let hint = ends(world, "identity-middle", &run, Phase::Failed, "linkage.identity").await;
    assert!(hint.contains("peer.connection"), "{hint}");
    world.identity = start(world, Process::Identity).await;
    world.npr = start(world, Process::Npr).await;
    let (_, after) = world.answer("identity-after").await;
    assert_eq!(after, table);
}

/// Once the rows are linked, neither of them is needed any more.
async fn both_killed_later(world: &mut World, table: &[u8]) {
    for phase in [Phase::Executing, Phase::Protecting] {
        let (_, run, held) = held_run(world, "later", phase).await;
        kill(&mut world.identity).await;
        kill(&mut world.npr).await;
        let_go(held).await;
        releases(world, &run, table).await;
        world.identity = start(world, Process::Identity).await;
        world.npr = start(world, Process::Npr).await;
    }
}

async fn gateway_killed(world: &mut World, table: &[u8]) {
    // While the partner's rows come in; the partner lives on and dials again.
    make_endless(world).await;
    let run = submit(world, "gateway-middle").await;
    in_the_middle(world).await;
    restart_gateway(world).await;
    interrupted(world, "gateway-middle", &run).await;
    make_finite(world).await;

    for phase in [Phase::Linking, Phase::Executing, Phase::Protecting] {
        let (request, run, held) = held_run(world, "gateway", phase).await;
        kill(&mut world.gateway).await;
        let_go(held).await;
        world.gateway = start(world, Process::Gateway).await;
        restart_gateway(world).await;
        interrupted(world, &request, &run).await;
    }

    // After the receipt: the result is there, under the same request id too, and is not made twice.
    let (run, released) = world.answer("gateway-after").await;
    assert_eq!(released, table);
    restart_gateway(world).await;
    assert_eq!(submit(world, "gateway-after").await, run);
    releases(world, &run, table).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_ends_its_run_and_nothing_is_released_without_a_receipt() {
    let mut world = World::recorded(&small()).await;
    world.approve().await;
    let (first, table) = world.answer("undisturbed").await;
    let before = log(&world).await;

    partner_killed(&mut world, &table).await;
    identity_killed(&mut world, &table).await;
    both_killed_later(&mut world, &table).await;
    in_order(&world).await;
    gateway_killed(&mut world, &table).await;
    unrecorded::refused(&world).await;
    unrecorded::cut_short(&mut world).await;
    unrecorded::partner_database(&world).await;

    let (_, last) = world.answer("last").await;
    assert_eq!(last, table);
    releases(&world, &first, &table).await;
    in_order(&world).await;
    assert!(log(&world).await.size > before.size);
    assert!(files(&world.stage.path("temporary")).is_empty(), "temporary files are left behind");
    world.end().await;
}
