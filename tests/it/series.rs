//! Several questions of one recipient: each is judged beside what was released before.

use kpr::app::stage::{example_approval, example_query};
use kpr::domain::ids::{ProjectId, TableId};
use kpr::domain::query::Query;
use kpr::statistics::Format;
use kpr::store::Phase;

use crate::attack;
use crate::world::{Making, World};

/// The example question of fewer fields of care.
fn narrower(fields: &[&str]) -> Query {
    let mut query = example_query().unwrap();
    let fields_of_care =
        query.cohort.conditions.iter_mut().find(|c| c.variable.as_str() == "fagomrade").unwrap();
    fields_of_care.any_of = fields.iter().map(|&f| f.to_owned()).collect();
    query
}

/// The answer to a question, or the code of its refusal.
async fn answered(world: &World, request: &str, query: &Query) -> Result<Vec<u8>, String> {
    let run = world.submit(request, query).await.unwrap();
    let end = world.end_of(&run).await;
    match end.phase {
        Phase::Released => Ok(world.client("researcher").await.fetch(&run, Format::Csv).await.unwrap()),
        _ => Err(end.code),
    }
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
        answers.push(answered(&world, request, query).await);
    }
    assert!(answers[0].is_ok(), "{:?}", answers[0]);
    for (answer, (request, query)) in answers.iter().zip(&questions) {
        match answer {
            Ok(csv) => {
                // The same again, whatever was released meanwhile.
                let again = answered(&world, &format!("{request}-again"), query).await;
                assert_eq!(again.as_ref(), Ok(csv), "{request}");
                for (whole, part) in totals(answers[0].as_ref().unwrap()).into_iter().zip(totals(csv)) {
                    if let (Some(whole), Some(part)) = (whole, part) {
                        assert!(!(1..5).contains(&(whole - part)), "{request}: {whole} less {part}");
                    }
                }
            }
            Err(code) => {
                assert_eq!(code, "disclosure.not_beside_earlier", "{request}");
                let again = answered(&world, &format!("{request}-again"), query).await;
                assert_eq!(again, Err(code.clone()), "{request}");
            }
        }
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_is_kept_a_recipient_gets_one_answer() {
    let world = World::running(&Making { persons: 1500, discharge_rate: 0.3, ..Making::default() }).await;
    let mut approval = example_approval().unwrap();
    approval.project = ProjectId::new("P-2026-0009").unwrap();
    approval.linked_sets_until = None;
    world.approve_this(&approval).await;
    let mut query = example_query().unwrap();
    query.project = approval.project.clone();
    assert!(answered(&world, "first", &query).await.is_ok());
    let mut second = narrower(&["310"]);
    second.project = approval.project.clone();
    let refused = Err("disclosure.not_beside_earlier".to_owned());
    assert_eq!(answered(&world, "second", &second).await, refused);
    assert_eq!(answered(&world, "first-again", &query).await, refused);

    // Nobody has received anything else, so this can be published; nothing can beside it.
    let anna = world.client("anna").await;
    let run = world.submit("first", &query).await.unwrap();
    anna.publish(&run, &TableId::new("table-1").unwrap()).await.unwrap();
    world.end().await;
}
