//! Several questions of one recipient: each is judged beside what was released before.

use kpr::app::stage::{example_approval, example_query};
use kpr::audit::Leaf;
use kpr::domain::canonical::Canonical;
use kpr::domain::ids::{ProjectId, TableId};
use kpr::domain::lifecycle::Step;
use kpr::domain::query::Query;
use kpr::domain::words::Words;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};

use crate::attack;
use crate::world::{Making, World};

/// The type of the leaf for an order given.
const ORDER_GIVEN: u16 = 6;

/// The example question of fewer fields of care.
fn narrower(fields: &[&str]) -> Query {
    let mut query = example_query().unwrap();
    let fields_of_care =
        query.cohort.conditions.iter_mut().find(|c| c.variable.as_str() == "fagomrade").unwrap();
    fields_of_care.any_of = fields.iter().map(|&f| f.to_owned()).collect();
    query
}

/// The persons of both sexes and of each, in all ages and places: the cohorts are nested there.
fn totals(csv: &[u8]) -> Vec<Option<u64>> {
    let released = attack::read(csv);
    ["Total", "1", "2"].iter().map(|sex| released.persons(&[sex, "Total", "Total"])).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn later_questions_are_judged_beside_earlier_ones() {
    let world = World::running(&Making { persons: 2500, discharge_rate: 0.3, ..Making::default() }).await;
    world.approve().await;
    let questions = [
        ("all", example_query().unwrap()),
        ("two", narrower(&["310", "320"])),
        ("one", narrower(&["310"])),
        ("another", narrower(&["310", "360"])),
    ];
    let mut answers = Vec::new();
    for (request, query) in &questions {
        answers.push(world.answered(request, query).await);
    }
    assert!(answers[0].is_ok(), "{:?}", answers[0]);
    for (answer, (request, query)) in answers.iter().zip(&questions) {
        match answer {
            Ok(csv) => {
                // The same again, whatever was released meanwhile.
                let again = world.answered(&format!("{request}-again"), query).await;
                assert_eq!(again.as_ref(), Ok(csv), "{request}");
                for (whole, part) in totals(answers[0].as_ref().unwrap()).into_iter().zip(totals(csv)) {
                    if let (Some(whole), Some(part)) = (whole, part) {
                        assert!(!(1..5).contains(&(whole - part)), "{request}: {whole} less {part}");
                    }
                }
            }
            Err(code) => {
                assert_eq!(code, "disclosure.not_beside_earlier", "{request}");
                let again = world.answered(&format!("{request}-again"), query).await;
                assert_eq!(again, Err(code.clone()), "{request}");
            }
        }
    }
    world.end().await;
}

/// Deletes what the partner knows of one discharge in fifty.
async fn partner_changes(world: &World) {
    let options = SqliteConnectOptions::new().filename(world.stage.path("npr/register.sqlite"));
    let mut database = SqliteConnection::connect_with(&options).await.unwrap();
    let gone = sqlx::query("DELETE FROM episode WHERE rowid % 50 = 0").execute(&mut database).await.unwrap();
    assert!(gone.rows_affected() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn ages_that_a_field_of_care_does_not_treat_are_not_applicable() {
    let world = World::running(&Making { persons: 1500, discharge_rate: 0.3, ..Making::default() }).await;
    world.approve().await;
    let checked = world.client("researcher").await.check(&narrower(&["310"])).await.unwrap();
    assert!(checked.steps.iter().any(|step| step.contains("age 45-66, 67+")), "{:?}", checked.steps);
    let csv = world.answered("children", &narrower(&["310"])).await.unwrap();
    let (mut old, mut young) = (0, 0);
    for line in csv::Reader::from_reader(csv.as_slice()).into_records() {
        let line = line.unwrap();
        let statuses: Vec<&str> = line.iter().skip(4).step_by(2).collect();
        if ["45-66", "67+"].contains(&&line[1]) {
            assert!(statuses.iter().all(|status| *status == "."), "{line:?}");
            assert!(line.iter().skip(3).step_by(2).all(str::is_empty), "{line:?}");
            old += 1;
        } else {
            assert_ne!(statuses[0], ".", "{line:?}");
            young += 1;
        }
    }
    assert!(old > 20 && 2 * young == 3 * old);
    world.end().await;
}

/// Where linked sets may not be kept, what was released before is evaluated again for each judgement.
#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_is_kept_earlier_questions_are_evaluated_again() {
    let world = World::running(&Making { persons: 1500, discharge_rate: 0.3, ..Making::default() }).await;
    let mut approval = example_approval().unwrap();
    approval.project = ProjectId::new("P-2026-0009").unwrap();
    approval.linked_sets_until = None;
    world.approve_this(&approval).await;
    let of_project = |mut query: Query| {
        query.project = approval.project.clone();
        query
    };
    let whole = of_project(example_query().unwrap());
    let first = world.answered("first", &whole).await.unwrap();
    // The same answer again, and for fewer persons one that shows no difference of few.
    assert_eq!(world.answered("first-again", &whole).await.as_ref(), Ok(&first));
    let fewer = world.answered("second", &of_project(narrower(&["310", "320"]))).await;
    match &fewer {
        Ok(csv) => {
            for (whole, part) in totals(&first).into_iter().zip(totals(csv)) {
                if let (Some(whole), Some(part)) = (whole, part) {
                    assert!(!(1..5).contains(&(whole - part)), "{whole} less {part}");
                }
            }
        }
        Err(code) => assert_eq!(code, "disclosure.not_beside_earlier"),
    }
    // The log says that the partner was asked for it again, in the runs of the judgements.
    let leaves = world.client("auditor").await.entries(0, 1000).await.unwrap();
    let leaves = leaves.iter().map(|entry| Leaf::from_canonical(&entry.leaf).unwrap());
    let orders = leaves.filter(|leaf| leaf.kind == ORDER_GIVEN).count();
    // One for the first answer, two for the second, three for the third if the second is a release of its own.
    assert_eq!(orders, 1 + 2 + 3);

    // Nobody else has received anything, so this can be published.
    let anna = world.client("anna").await;
    let run = world.submit("first", &whole).await.unwrap();
    anna.publish(&run, &TableId::new("table-1").unwrap()).await.unwrap();

    // When the partner's data are others, nobody can tell who was in the earlier table.
    partner_changes(&world).await;
    let refused = Err("disclosure.not_beside_earlier".to_owned());
    assert_eq!(world.answered("third", &of_project(narrower(&["320"]))).await, refused);
    assert_eq!(world.answered("first-later", &whole).await, refused);
    world.end().await;
}

/// Under a suspended project nothing is run, not even to tell who was in what it received; then nobody is answered beside it.
#[tokio::test(flavor = "multi_thread")]
async fn an_earlier_question_of_a_suspended_project_is_not_evaluated_again() {
    let world = World::running(&Making { persons: 1500, discharge_rate: 0.3, ..Making::default() }).await;
    let mut approval = example_approval().unwrap();
    approval.project = ProjectId::new("P-2026-0009").unwrap();
    approval.linked_sets_until = None;
    world.approve_this(&approval).await;
    let mut query = example_query().unwrap();
    query.project = approval.project.clone();
    world.answered("first", &query).await.unwrap();
    let suspended = Step::Suspended { reason: Words::new("a complaint is looked into").unwrap() };
    world.client("anna").await.record_step(&approval.project, &suspended).await.unwrap();
    world.approve().await;
    let beside = world.answered("beside", &narrower(&["310", "320"])).await;
    assert_eq!(beside, Err("disclosure.not_beside_earlier".to_owned()));
    let leaves = world.client("auditor").await.entries(0, 1000).await.unwrap();
    let leaves = leaves.iter().map(|entry| Leaf::from_canonical(&entry.leaf).unwrap());
    assert_eq!(leaves.filter(|leaf| leaf.kind == ORDER_GIVEN).count(), 2, "one for each question");
    world.end().await;
}
