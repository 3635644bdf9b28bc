//! Linked rows that an approval lets be used again (KPR regulation 4-11): without another order, for as long as it says, and
//! with nobody in them who is blocked.

use std::time::Duration;

use kpr::app::stage::{example_approval, example_query};
use kpr::audit::Leaf;
use kpr::domain::approval::Approval;
use kpr::domain::canonical::Canonical;
use kpr::domain::lifecycle::Step;
use kpr::domain::query::Query;
use kpr::domain::words::Words;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};

use crate::world::{Making, World};

/// The types of the leaves for an order given, and for rows kept, used again and deleted.
const KINDS: [u16; 4] = [6, 56, 58, 59];

/// How many leaves there are of each.
async fn counted(world: &World) -> [usize; 4] {
    let leaves = world.client("auditor").await.entries(0, 10_000).await.unwrap();
    let kinds: Vec<u16> =
        leaves.iter().map(|entry| Leaf::from_canonical(&entry.leaf).unwrap().kind).collect();
    KINDS.map(|kind| kinds.iter().filter(|of| **of == kind).count())
}

/// The sets that are kept, as one sees them who has the database.
async fn kept(world: &World) -> Vec<Vec<u8>> {
    let options = SqliteConnectOptions::new().filename(world.stage.path("gateway/control.sqlite"));
    let mut database = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::query_scalar("SELECT sealed FROM linked_sets").fetch_all(&mut database).await.unwrap()
}

fn approval() -> Approval {
    Approval { reuse_linked_sets: true, ..example_approval().unwrap() }
}

/// Another question about the same persons: in ages only.
fn other() -> Query {
    let mut query = example_query().unwrap();
    query.by.retain(|by| by.variable.as_str() == "age");
    query
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_used_again_without_the_partner_until_the_project_ends() {
    let mut world = World::running(&Making { persons: 1500, discharge_rate: 0.3, ..Making::default() }).await;
    world.approve_this(&approval()).await;
    let first = world.answered("first", &example_query().unwrap()).await.unwrap();
    assert_eq!(counted(&world).await, [1, 1, 0, 0]);
    let sealed = kept(&world).await;
    assert_eq!(sealed.len(), 1);

    // The partner is away; the same persons are asked about once more, and in another way.
    assert!(world.npr.take().unwrap().stop().await);
    assert_eq!(world.answered("again", &example_query().unwrap()).await.as_ref(), Ok(&first));
    // What it may tell beside the first answer is another matter.
    let other = world.answered("other", &other()).await;
    assert!(other.is_ok() || other == Err("disclosure.not_beside_earlier".to_owned()), "{other:?}");
    assert_eq!(counted(&world).await, [1, 1, 2, 0]);
    // Other persons are asked for as ever.
    let mut fewer = example_query().unwrap();
    fewer.cohort.conditions.iter_mut().for_each(|c| c.any_of.truncate(1));
    world.submit("fewer", &fewer).await.unwrap();
    while counted(&world).await != [2, 1, 2, 0] {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    // Changed by one who has the database and no key, they are of no use.
    let options = SqliteConnectOptions::new().filename(world.stage.path("gateway/control.sqlite"));
    let mut database = SqliteConnection::connect_with(&options).await.unwrap();
    let changed = [&sealed[0][..40], &[sealed[0][40] ^ 1], &sealed[0][41..]].concat();
    let update = "UPDATE linked_sets SET sealed = $1";
    sqlx::query(update).bind(changed).execute(&mut database).await.unwrap();
    let refused = world.answered("changed", &example_query().unwrap()).await;
    assert_eq!(refused, Err("linkage.kept_rows".to_owned()));
    sqlx::query(update).bind(sealed[0].as_slice()).execute(&mut database).await.unwrap();
    drop(database);

    let suspended = Step::Suspended { reason: Words::new("a complaint is looked into").unwrap() };
    world.client("anna").await.record_step(&approval().project, &suspended).await.unwrap();
    assert!(kept(&world).await.is_empty());
    assert_eq!(counted(&world).await, [2, 1, 3, 1]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_word_in_the_approval_the_partner_is_asked_each_time() {
    let world = World::running(&Making { persons: 1500, discharge_rate: 0.3, ..Making::default() }).await;
    world.approve().await;
    world.answered("first", &example_query().unwrap()).await.unwrap();
    drop(world.answered("other", &other()).await);
    assert_eq!(counted(&world).await, [2, 0, 0, 0]);
    assert!(kept(&world).await.is_empty());
    world.end().await;
}
