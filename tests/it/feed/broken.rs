//! A feed that is broken off leaves nothing, or a released feed that can be fetched.

use std::time::Duration;

use kpr::app::stage::Process;
use kpr::partner::FeedDesk;

use super::{Oracle, approval, desk, refused, take, taken};
use crate::world::{Making, World};

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
        let (config, out) = (world.stage.configuration("npr"), world.stage.path("npr/feeds"));
        let mut node = tokio::process::Command::new(crate::world::program())
            .args(["register", "feed", "--project", project.as_str(), "--config"])
            .arg(config)
            .arg("--out")
            .arg(out)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        tokio::time::sleep(Duration::from_millis(delay)).await;
        world.gateway.take().unwrap().kill().await;
        let whole = tokio::time::timeout(Duration::from_secs(60), node.wait()).await.unwrap().unwrap();
        world.gateway = Some(world.stage.start(Process::Gateway).await.unwrap());
        assert!(released(&world).await.len() <= 1);
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
