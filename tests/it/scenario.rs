//! One project in the order of a real one, with real processes: application, two signatures, the partner's approval, query,
//! release, the person's log, a reservation, the same question again, records, a serial number resolved, a feed, revocation; and
//! a log that holds it all.

use kpr::app::stage::{Process, example_approval, example_query};
use kpr::app::system::SystemClock;
use kpr::domain::canonical::Canonical;
use kpr::domain::clock::Clock;
use kpr::domain::lifecycle::{Standing, Step};
use kpr::domain::person::Restriction;
use kpr::domain::query::Query;
use kpr::domain::words::Words;
use kpr::statistics::Format;
use kpr::store::Phase;

use crate::feed;
use crate::microdata::{self, code};
use crate::world::{Making, World};
use crate::{person, resolve};

#[tokio::test(flavor = "multi_thread")]
async fn a_project_from_its_application_to_its_revocation() {
    let world = World::running(&Making { persons: 2500, discharge_rate: 0.3, ..Making::default() }).await;
    let (anna, bjorn) = (world.client("anna").await, world.client("bjorn").await);
    let approval = example_approval().unwrap();
    let project = &approval.project;
    // A table that tells no more than the records will.
    let query = Query { by: Vec::new(), ..example_query().unwrap() };
    let refused = async |request: &str| code(world.submit(request, &query).await);

    // An application: nothing may be asked before it is complete and two stewards have signed.
    let entered = anna.enter_project(&approval, None).await.unwrap();
    assert_eq!(entered.standing, Standing::Application);
    assert_eq!(refused("early").await, "approval.not_signed");
    let early = world.stage.sign(&approval, "anna").unwrap();
    assert_eq!(code(anna.sign_project(project, entered.digest, &early).await), "application.not_complete");
    let complete = Step::Complete { version: 1, day: SystemClock.today() };
    assert!(anna.record_step(project, &complete).await.unwrap().due.is_some());
    anna.sign_project(project, entered.digest, &early).await.unwrap();
    assert_eq!(refused("once").await, "approval.not_signed");
    let second = world.stage.sign(&approval, "bjorn").unwrap();
    let state = bjorn.sign_project(project, entered.digest, &second).await.unwrap();
    assert_eq!((state.standing, state.in_force), (Standing::Active, Some(1)));

    // The partner decides for itself.
    let run = world.submit("not-yet", &query).await.unwrap();
    assert_eq!(world.end_of(&run).await.phase, Phase::Refused);
    world.stage.partner_approves(&approval).await.unwrap();

    // A query and its release.
    let run = world.submit("table", &query).await.unwrap();
    let end = world.end_of(&run).await;
    assert_eq!(end.phase, Phase::Released, "{} {}", end.code, end.hint);
    let researcher = world.client("researcher").await;
    let table = researcher.fetch(&run, Format::Csv).await.unwrap();

    // A person sees it in the own log, and reserves; the same question has the same answer.
    let [inside, outside] = person::in_and_out(&world);
    let seen = person::log(&world, &inside[0]).await;
    assert_eq!((seen.records.len(), seen.tables.len()), (0, 1));
    let ticket = person::ticket(&world, &inside[0]).await;
    let portal = world.client("portal").await;
    assert!(portal.restrict(&ticket, Restriction::ReleaseWithIdentity, true).await.unwrap());
    let again = world.submit("table-again", &query).await.unwrap();
    assert_eq!(world.end_of(&again).await.phase, Phase::Released);
    assert_eq!(researcher.fetch(&again, Format::Csv).await.unwrap(), table);

    // Records under an approval of their own, released by two stewards: the person sees them, another does not.
    world.approve_this(&microdata::approval()).await;
    let (run, phase, why) = microdata::until_held(&world, "records", &microdata::question()).await;
    assert_eq!(phase, Phase::Held, "{why}");
    let statement = microdata::held(&world, &run).await.unwrap().statement;
    assert!(!microdata::sign(&world, "anna", &statement).await.unwrap());
    assert!(microdata::sign(&world, "bjorn", &statement).await.unwrap());
    let records = researcher.fetch(&run, Format::Csv).await.unwrap();
    assert_eq!(person::log(&world, &inside[0]).await.records.len(), 1);
    assert!(person::log(&world, &outside[0]).await.records.is_empty());

    // One of them has to be warned: two stewards have the person named, who sees it.
    let serial = resolve::serials(&records)[0].clone();
    let statement = resolve::of_record(microdata::approval().project, run.clone(), serial.as_bytes());
    assert!(!resolve::sign(&world, &statement, "anna").await.unwrap());
    assert!(resolve::sign(&world, &statement, "bjorn").await.unwrap());
    let named = resolve::collect(&world, "bjorn", &statement).await.unwrap();
    assert!(named.iter().all(|number| inside.contains(number)));
    assert_eq!(resolve::looked_up(&world, &named[0]).await, 1);

    // A register takes its feed of the persons it holds.
    world.approve_this(&feed::approval()).await;
    let taken = feed::take(&world, &feed::approval().project);
    assert!(taken.status.success(), "{}", String::from_utf8_lossy(&taken.stderr));

    // Revoked: nothing is asked or fetched any more, under this project; the other goes on.
    let suspended = Step::Suspended { reason: Words::new("a complaint is looked into").unwrap() };
    assert_eq!(bjorn.record_step(project, &suspended).await.unwrap().standing, Standing::Suspended);
    assert_eq!(refused("late").await, "project.suspended");
    assert_eq!(code(researcher.fetch(&again, Format::Csv).await), "project.suspended");
    researcher.fetch(&run, Format::Csv).await.unwrap();

    // The log holds all of it, and the gateway opens it again.
    let mut world = world;
    assert!(world.gateway.take().unwrap().stop().await);
    world.gateway = Some(world.stage.start(Process::Gateway).await.unwrap());
    let leaves = world.client("auditor").await.entries(0, 10_000).await.unwrap();
    let leaves: Vec<_> = leaves.iter().map(|e| kpr::audit::Leaf::from_canonical(&e.leaf).unwrap()).collect();
    for kind in STORY {
        assert!(leaves.iter().any(|leaf| leaf.kind == kind), "no leaf of type {kind}");
    }
    world.end().await;
}

/// Approval entered, signed, query opened, order given, receipt, refused, fetched, action refused, held, signed, received,
/// complete, suspended, in the overview of disclosures, resolution signed, ordered, handed over, feed ordered, opened.
const STORY: [u16; 19] = [3, 4, 5, 6, 7, 8, 10, 12, 15, 16, 20, 22, 25, 30, 50, 51, 53, 54, 55];
