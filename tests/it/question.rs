//! The main job over mTLS in separate processes: the released table against the plain oracle and the
//! attacker, for several seeds, clean and messy, with SQLite and PostgreSQL on the partner's side.

use kpr::app::stage::{StageOptions, example_query};
use kpr::statistics::Format;
use kpr::store::Phase;

use crate::attack::K;
use crate::world::{Making, World};
use crate::{attack, oracle, postgres};

/// So many discharges that most cells hold some persons.
fn dense() -> Making {
    Making { discharge_rate: 0.5, ..Making::default() }
}

/// So many percent of the cells that hold enough persons must be published.
async fn play(making: Making, published: usize) {
    let world = World::running(&making).await;
    world.approve().await;
    let (run, csv) = world.answer("request-1").await;
    let truth = oracle::answer(&world.stage.path("deliveries"), 2024).await;
    let released = attack::read(&csv);
    let report = attack::attack(&released, &truth);
    assert!(report.small > 0 && report.withheld >= report.small, "a table without small cells shows nothing");
    assert!(report.large_published * 100 >= report.large * published, "too little is published: {report:?}");

    // What a steward is told, and the researcher is not.
    let told = world.client("anna").await.disclosure_report(&run).await.unwrap();
    assert_eq!((told.small, told.withheld), (report.small as u64, report.withheld as u64));
    assert_eq!(told.persons_withheld, report.persons_withheld);
    assert!(told.narrowest.iter().all(|range| range.high - range.low >= K));
    assert!(!told.narrowest.is_empty());
    let refused = world.client("researcher").await.disclosure_report(&run).await;
    assert!(refused.err().unwrap().to_string().contains("access.role"));

    // The same request id is the same run; the same question again is the same table.
    assert_eq!(world.submit("request-1", &example_query().unwrap()).await.unwrap(), run);
    let (again, same) = world.answer("request-2").await;
    assert_ne!(again, run);
    assert_eq!(same, csv);
    // Nor does another title get another pattern.
    let mut retitled = example_query().unwrap();
    retitled.title = "The same in other words".to_owned();
    let other = world.submit("request-3", &retitled).await.unwrap();
    assert_eq!(world.end_of(&other).await.phase, Phase::Released);
    let researcher = world.client("researcher").await;
    assert_eq!(researcher.fetch(&other, Format::Csv).await.unwrap(), csv);
    assert_eq!(world.end_of(&again).await.phase, Phase::Released);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clean_deliveries_sqlite() {
    play(Making { persons: 20_000, ..dense() }, 60).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_seed_is_another_population() {
    play(Making { seed: 20, persons: 9000, discharge_rate: 0.5, ..Making::default() }, 35).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messy_deliveries_sqlite() {
    play(Making { seed: 3, messy: true, ..dense() }, 35).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messy_deliveries_postgres() {
    let Some(database) = postgres::fresh("question").await else { return };
    let stage = StageOptions { partner_database: Some(database), ..StageOptions::default() };
    play(Making { seed: 4, messy: true, stage, ..dense() }, 35).await;
}
