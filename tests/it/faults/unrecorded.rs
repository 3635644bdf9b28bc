//! A gateway whose control database refuses a record, or whose process is killed in the middle of
//! writing it.

use std::time::Duration;

use kpr::app::stage::{Process, example_query};
use kpr::config::RegisterConfig;
use kpr::domain::ids::RunId;
use kpr::store::Phase;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, Connection, Executor, SqliteConnection};

use super::{OPENED, PATIENCE, RECEIVED, control, database, ends, in_order, kill, log, start};
use crate::world::World;

/// A write to `table` runs into `statement` first.
async fn lay(world: &World, table: &str, statement: &str) {
    let trigger = format!("CREATE TRIGGER trap BEFORE INSERT ON {table} BEGIN {statement}; END");
    control(world).await.execute(AssertSqlSafe(trigger)).await.unwrap();
}

async fn lift(world: &World) {
    control(world).await.execute("DROP TRIGGER trap").await.unwrap();
}

const REFUSES: &str = "SELECT RAISE(ABORT, 'the disk is full')";
/// Counts for longer than any test waits.
const NEVER_ENDS: &str = "SELECT count(*) FROM audit_leaves a, audit_leaves b, audit_leaves c, audit_leaves d, \
                          audit_leaves e, audit_leaves f, audit_leaves g, audit_leaves h";

async fn submit(world: &World, request: &str) -> RunId {
    world.submit(request, &example_query().unwrap()).await.unwrap()
}

fn orders_seen(world: &World) -> String {
    let journal = RegisterConfig::load(&world.stage.configuration("npr")).unwrap().journal;
    std::fs::read_to_string(journal).unwrap()
}

/// Waits until the gateway is inside a transaction that does not end.
async fn inside_a_transaction(world: &World) {
    let options = SqliteConnectOptions::new()
        .filename(world.stage.path("gateway/control.sqlite"))
        .busy_timeout(Duration::ZERO);
    let mut probe = SqliteConnection::connect_with(&options).await.unwrap();
    let wait = async {
        let mut busy = 0;
        while busy < 20 {
            match probe.execute("BEGIN IMMEDIATE").await {
                Ok(_) => {
                    probe.execute("ROLLBACK").await.unwrap();
                    busy = 0;
                }
                Err(_) => busy += 1,
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap();
}

/// Without a durable intent no data are read; without a durable receipt nothing is released.
pub async fn refused(world: &World) {
    lay(world, "audit_intents", REFUSES).await;
    let run = submit(world, "no-intent").await;
    ends(world, "no-intent", &run, Phase::Failed, "store.unavailable").await;
    assert!(!orders_seen(world).contains(run.as_str()), "the partner was asked without an intent");
    lift(world).await;

    lay(world, "results", REFUSES).await;
    let run = submit(world, "no-receipt").await;
    let hint = ends(world, "no-receipt", &run, Phase::Failed, "audit.receipt").await;
    assert!(hint.contains("not released"), "{hint}");
    assert!(orders_seen(world).contains(run.as_str()));
    lift(world).await;
    in_order(world).await;
}

/// Killed in the middle of the transaction that writes the intent, and of the one that writes the receipt:
/// nothing of either is there afterwards.
pub async fn cut_short(world: &mut World) {
    for (table, phase) in [("audit_intents", "authorised"), ("results", "protecting")] {
        let before = log(world).await;
        lay(world, table, NEVER_ENDS).await;
        let request = format!("cut-short-{phase}");
        let run = submit(world, &request).await;
        inside_a_transaction(world).await;
        let mut look = control(world).await;
        let now = sqlx::query_scalar("SELECT phase FROM runs WHERE run = $1").bind(run.as_str());
        let now: String = now.fetch_one(&mut look).await.unwrap();
        assert_eq!(now, phase);
        kill(&mut world.gateway).await;
        lift(world).await;
        world.gateway = start(world, Process::Gateway).await;
        ends(world, &request, &run, Phase::Failed, "run.interrupted").await;
        let after = log(world).await;
        let opened = u64::from(phase == "protecting");
        assert_eq!(after.events.get(&OPENED), before.events.get(&OPENED).map(|n| n + opened).as_ref());
        assert_eq!(after.events.get(&RECEIVED), before.events.get(&RECEIVED), "a receipt without a result");
        in_order(world).await;
    }
}

/// The partner's own database fails: the run says whose fault it is, and no more than that.
pub async fn partner_database(world: &World) {
    let mut register = database(world, "npr/register.sqlite").await;
    register.execute("ALTER TABLE episode RENAME TO episode_lost").await.unwrap();
    let run = submit(world, "no-table").await;
    let hint = ends(world, "no-table", &run, Phase::Failed, "linkage.partner_source").await;
    assert!(hint.contains("source.failed") && !hint.contains("episode"), "{hint}");
    register.execute("ALTER TABLE episode_lost RENAME TO episode").await.unwrap();
}
