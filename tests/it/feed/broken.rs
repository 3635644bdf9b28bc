//! A feed that is broken off leaves nothing, or a released feed that can be fetched.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use kpr::app::stage::{Process, StageOptions};
use kpr::domain::ids::ProjectId;
use kpr::partner::FeedDesk;
use tokio::process::{Child, Command};

use super::{Oracle, UNDER_WAY, approval, begun, desk, refused, take, taken};
use crate::world::{Making, World, program};

/// NPR's node, as it begins to take the feed of a project.
fn begin(world: &World, project: &ProjectId) -> Child {
    Command::new(program())
        .args(["register", "feed", "--project", project.as_str(), "--config"])
        .arg(world.stage.configuration("npr"))
        .arg("--out")
        .arg(world.stage.path("npr/feeds"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn pending(world: &World, project: &ProjectId) -> PathBuf {
    world.stage.path("npr/feeds").join(format!("{project}.pending"))
}

/// Lets the time pass in which the gateway could begin the feed that was broken off, if one was.
fn let_the_order_expire(world: &World, project: &ProjectId) {
    let path = pending(world, project);
    let Ok(text) = std::fs::read_to_string(&path) else { return };
    let mut kept: serde_json::Value = serde_json::from_str(&text).unwrap();
    kept["until"] = "2020-01-01T00:00:00Z".into();
    std::fs::write(&path, kept.to_string()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_it_is_released_once_or_taken_anew() {
    let mut world = World::running(&Making { persons: 2500, discharge_rate: 0.3, ..Making::default() }).await;
    let oracle = Oracle::of(&world);
    world.approve_this(&approval()).await;
    let project = approval().project;
    let released = async |world: &World| world.client("auditor").await.disclosures(None).await.unwrap();

    // A register that goes after it has the order: nothing is left.
    let session = desk(&world, &world.stage.tls("npr")).begin(&project).await.unwrap();
    let run = session.order().run.clone();
    drop(session);
    let gone = desk(&world, &world.stage.tls("npr")).fetch(&run).await.unwrap_err();
    assert_eq!(gone.code, "feed.unknown");
    assert!(released(&world).await.is_empty());

    // Without the identity service there is no key, and no feed.
    world.identity.take().unwrap().kill().await;
    refused(&world, &project, "peer.connection");
    world.identity = Some(world.stage.start(Process::Identity).await.unwrap());
    assert!(released(&world).await.is_empty());

    // The gateway is killed while it makes the feed, a little later each time.
    let mut ended = None;
    for delay in [30, 90, 200, 400, 800, 1500] {
        let mut node = begin(&world, &project);
        tokio::time::sleep(Duration::from_millis(delay)).await;
        world.gateway.take().unwrap().kill().await;
        let whole = tokio::time::timeout(Duration::from_secs(60), node.wait()).await.unwrap().unwrap();
        world.gateway = Some(world.stage.start(Process::Gateway).await.unwrap());
        assert!(released(&world).await.len() <= 1);
        // The orders of a gateway that was killed are gone with it.
        let_the_order_expire(&world, &project);
        if whole.success() {
            ended = Some(node.wait_with_output().await.unwrap());
            break;
        }
    }
    // Whatever was reached, the next time it is whole: the released one, or a new one.
    let output = ended.unwrap_or_else(|| take(&world, &project));
    let (run, folder) = taken(&output);
    assert_eq!(oracle.read(&folder), oracle.rows);
    let all = released(&world).await;
    assert_eq!(all.iter().map(|disclosure| &disclosure.run).collect::<Vec<_>>(), [&run]);
    refused(&world, &project, "feed.not_due");
    world.end().await;
}

/// A register that is given an order and then says nothing: its call ends with the order, and holds nobody up any longer.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_without_codes_ends_when_its_order_expires() {
    let stage = StageOptions { order_seconds: Some(2), ..StageOptions::default() };
    let world = World::running(&Making { persons: 1500, stage, ..Making::default() }).await;
    world.approve_this(&approval()).await;
    let (npr, project) = (world.stage.tls("npr"), approval().project);
    let silent = desk(&world, &npr).begin(&project).await.unwrap();
    assert_eq!(begun(&world, &npr, &project).await, UNDER_WAY);
    let next = super::begin(&world, &project).await;
    assert_eq!(silent.name(Vec::new()).await.unwrap_err().code, "feed.stale_order");
    drop(next);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_killed_after_it_named_persons_gets_the_feed_that_was_released() {
    let world = World::running(&Making { persons: 2500, discharge_rate: 0.3, ..Making::default() }).await;
    let oracle = Oracle::of(&world);
    world.approve_this(&approval()).await;
    let project = approval().project;

    // It is killed once its codes are kept, and at once asked for the feed again, while the gateway may be making it.
    let mut node = begin(&world, &project);
    while !pending(&world, &project).exists() {
        assert!(node.try_wait().unwrap().is_none(), "the node ended before it had named anybody");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tokio::time::sleep(Duration::from_millis(150)).await;
    node.kill().await.unwrap();
    let mut tries = 0;
    let output = loop {
        let output = take(&world, &project);
        if output.status.success() {
            break output;
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let later = said.contains("feed.under_way") || said.contains("may still make the feed");
        assert!(later && pending(&world, &project).exists() && tries < 100, "{said}");
        tries += 1;
        tokio::time::sleep(Duration::from_millis(100)).await;
        // Nothing has come of it for so long: it was killed before the last of its codes went.
        if tries == 50 {
            let_the_order_expire(&world, &project);
        }
    };
    let (run, folder) = taken(&output);
    assert_eq!(oracle.read(&folder), oracle.rows);
    let all = world.client("auditor").await.disclosures(None).await.unwrap();
    assert_eq!(all.iter().map(|disclosure| &disclosure.run).collect::<Vec<_>>(), [&run]);
    assert!(!pending(&world, &project).exists());
    world.end().await;
}
