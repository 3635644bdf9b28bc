//! A project suspended, closed or amended while its queries run: they stop whatever stage they are at, nothing more is
//! released, and the log says why.

use std::time::Duration;

use kpr::app::stage::{Process, example_approval, example_query};
use kpr::audit::Leaf;
use kpr::domain::answer::ProjectState;
use kpr::domain::canonical::Canonical;
use kpr::domain::ids::{ProjectId, RunId};
use kpr::domain::lifecycle::{Standing, Step};
use kpr::domain::words::Words;
use kpr::store::Phase;

use super::killed::{held_run, let_go};
use super::{control, ends, nothing_left, releases, signal, small};
use crate::microdata;
use crate::world::World;

fn reason() -> Words {
    Words::new("the committee has withdrawn its approval").unwrap()
}

fn project() -> ProjectId {
    example_approval().unwrap().project
}

async fn record(world: &World, project: &ProjectId, step: Step) -> ProjectState {
    world.client("anna").await.record_step(project, &step).await.unwrap()
}

async fn suspend(world: &World) {
    let state = record(world, &project(), Step::Suspended { reason: reason() }).await;
    assert_eq!(state.standing, Standing::Suspended);
}

async fn lift(world: &World) {
    let state = record(world, &project(), Step::Lifted { reason: reason() }).await;
    assert_eq!(state.standing, Standing::Active);
}

async fn phase(world: &World, run: &RunId) -> String {
    let now = sqlx::query_scalar("SELECT phase FROM runs WHERE run = $1").bind(run.as_str());
    now.fetch_one(&mut control(world).await).await.unwrap()
}

/// Waits until so many of the runs wait for their partner.
async fn linking(world: &World, runs: &[(String, RunId)], many: usize) {
    let wait = async {
        loop {
            let mut found = 0;
            for (_, run) in runs {
                found += usize::from(phase(world, run).await == "linking");
            }
            if found == many {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(super::PATIENCE, wait).await.unwrap();
}

async fn submitted(world: &World, name: &str, many: usize) -> Vec<(String, RunId)> {
    let mut runs = Vec::new();
    for number in 0..many {
        let request = format!("{name}-{number}");
        let run = world.submit(&request, &example_query().unwrap()).await.unwrap();
        runs.push((request, run));
    }
    runs
}

/// The leaves of the project in the log: kind and run.
async fn leaves(world: &World) -> Vec<(u16, Option<RunId>)> {
    let entries = world.client("auditor").await.entries(0, 10_000).await.unwrap();
    let leaves = entries.iter().map(|entry| Leaf::from_canonical(&entry.leaf).unwrap());
    leaves.filter(|leaf| leaf.project == Some(project())).map(|leaf| (leaf.kind, leaf.run)).collect()
}

/// Four runs wait for the partner, and one for its turn.
async fn while_they_wait(world: &World) {
    signal(world.npr.as_ref(), "STOP").await;
    let runs = submitted(world, "waiting", 5).await;
    linking(world, &runs, 4).await;
    suspend(world).await;
    for (request, run) in &runs {
        let hint = ends(world, request, run, Phase::Refused, "project.suspended").await;
        assert!(hint.contains("until a steward lifts"), "{hint}");
    }
    let of_runs: Vec<u16> = leaves(world)
        .await
        .into_iter()
        .filter(|(_, run)| runs.iter().any(|(_, r)| run.as_ref() == Some(r)))
        .map(|(kind, _)| kind)
        .collect();
    let count = |kind: u16| of_runs.iter().filter(|k| **k == kind).count();
    assert_eq!((count(super::OPENED), count(super::REFUSED), count(super::RECEIVED)), (4, 5, 0));
    // New ones are refused, and leave no run.
    let refused = world.submit("while-suspended", &example_query().unwrap()).await.unwrap_err().to_string();
    assert!(refused.contains("project.suspended"), "{refused}");
    signal(world.npr.as_ref(), "CONT").await;
    nothing_left(world).await;
    lift(world).await;
}

/// A run is held up while it counts, and while its table is protected and judged; the suspension waits for the same lock.
async fn while_they_work(world: &World, table: &[u8]) {
    for phase in [Phase::Executing, Phase::Protecting] {
        let mut stopped = 0;
        for attempt in 0..20 {
            let (request, run, held) = held_run(world, &format!("work-{attempt}"), phase).await;
            let steward = world.client("anna").await;
            let step = Step::Suspended { reason: reason() };
            let suspending = tokio::spawn(async move { steward.record_step(&project(), &step).await });
            tokio::time::sleep(Duration::from_millis(300)).await;
            let_go(held).await;
            assert_eq!(suspending.await.unwrap().unwrap().standing, Standing::Suspended);
            let end = world.end_of(&run).await;
            if end.phase == Phase::Released {
                // Its receipt was on its way before the suspension: whether that is so, `in_the_log` tells.
                lift(world).await;
                releases(world, &run, table).await;
                continue;
            }
            ends(world, &request, &run, Phase::Refused, "project.suspended").await;
            nothing_left(world).await;
            lift(world).await;
            stopped += 1;
            break;
        }
        assert!(stopped > 0, "no run was stopped while {phase}");
    }
}

/// An amendment takes force with its second signature: what runs under the version before ends.
async fn amended(world: &World) {
    signal(world.npr.as_ref(), "STOP").await;
    let runs = submitted(world, "amended", 1).await;
    linking(world, &runs, 1).await;
    let mut narrower = example_approval().unwrap();
    narrower.version = 2;
    narrower.grants[0].conditions[1].any_of = vec!["310".to_owned()];
    world.approve_this(&narrower).await;
    let (request, run) = &runs[0];
    let hint = ends(world, request, run, Phase::Refused, "approval.superseded").await;
    assert!(hint.contains("version 1") && hint.contains("version 2"), "{hint}");
    let wider = world.submit("wider", &example_query().unwrap()).await.unwrap_err().to_string();
    assert!(wider.contains("approval.rows_not_granted"), "{wider}");
    signal(world.npr.as_ref(), "CONT").await;
    nothing_left(world).await;
}

/// Held microdata are not released while their project is suspended, and erased when it is closed.
async fn held_microdata(world: &World) {
    let project = microdata::approval().project;
    world.approve_this(&microdata::approval()).await;
    let (run, phase, code) = microdata::until_held(world, "held", &microdata::question()).await;
    assert_eq!(phase, Phase::Held, "{code}");
    let statement = microdata::held(world, &run).await.unwrap().statement;
    assert!(!microdata::sign(world, "anna", &statement).await.unwrap());
    record(world, &project, Step::Suspended { reason: reason() }).await;
    let refused = microdata::sign(world, "bjorn", &statement).await.unwrap_err().to_string();
    assert!(refused.contains("project.suspended"), "{refused}");
    assert!(microdata::held(world, &run).await.is_some(), "a suspension can be lifted");
    record(world, &project, Step::Closed { reason: reason() }).await;
    assert!(microdata::held(world, &run).await.is_none());
    let end = world.end_of(&run).await;
    assert_eq!((end.phase, end.code.as_str()), (Phase::Refused, "project.closed"));
    assert_eq!(microdata::sealed(world, &run).await, None, "the records are erased");
    let late = microdata::sign(world, "bjorn", &statement).await.unwrap_err().to_string();
    assert!(late.contains("not_held") || late.contains("project.closed"), "{late}");
}

/// Between a suspension of the project and its lifting there is no receipt and no fetch.
async fn in_the_log(world: &World) {
    let (mut suspended, mut receipts) = (false, 0);
    for (kind, _) in leaves(world).await {
        match kind {
            25 => suspended = true,
            26 => suspended = false,
            7 | 10 => {
                assert!(!suspended, "something left the gateway under a suspended project");
                receipts += 1;
            }
            _ => {}
        }
    }
    assert!(receipts > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_project_releases_nothing_whatever_stage_its_runs_are_at() {
    let mut world = World::running(&small()).await;
    held_microdata(&world).await;
    world.approve().await;
    let (first, table) = world.answer("undisturbed").await;
    while_they_wait(&world).await;
    while_they_work(&world, &table).await;
    let (_, after) = world.answer("after").await;
    assert_eq!(after, table);
    in_the_log(&world).await;
    amended(&world).await;

    // The suspension is in the database, so a restart does not forget it.
    suspend(&world).await;
    assert!(world.gateway.take().unwrap().stop().await);
    world.gateway = Some(world.stage.start(Process::Gateway).await.unwrap());
    let refused = world.submit("restarted", &example_query().unwrap()).await.unwrap_err().to_string();
    assert!(refused.contains("project.suspended"), "{refused}");
    lift(&world).await;
    releases(&world, &first, &table).await;
    nothing_left(&world).await;
    world.end().await;
}
