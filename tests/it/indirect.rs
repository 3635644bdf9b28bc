//! Indirectly identifiable microdata over the wire (KPR regulation 4-4): the terms, two stewards, the recipient's
//! acceptance, the records against a plain count of the deliveries, and what else their recipient no longer gets.

use std::collections::BTreeMap;

use kpr::app::stage::example_query;
use kpr::audit::Leaf;
use kpr::domain::approval::Approval;
use kpr::domain::canonical::{Canonical, Digest};
use kpr::domain::ids::{ProjectId, RuleId, RunId};
use kpr::domain::indirect::IndirectTerms;
use kpr::domain::query::Query;
use kpr::statistics::Format;
use kpr::store::Phase;

use crate::microdata::{self, code, held, sign, until_held};
use crate::oracle;
use crate::person;
use crate::world::{Making, World};

/// The approval of the documentation.
fn approval() -> Approval {
    serde_saphyr::from_str(include_str!("../../docs/examples/approval-indirect.yaml")).unwrap()
}

fn terms() -> IndirectTerms {
    approval().indirect.unwrap()
}

fn question() -> Query {
    Query { project: approval().project, ..microdata::question() }
}

/// Sex, age and municipality, with how many records have them, and how many of these each outcome.
type Groups = BTreeMap<[String; 3], [u64; 4]>;

fn groups(csv: &[u8]) -> (Vec<String>, Groups) {
    let mut reader = csv::Reader::from_reader(csv);
    let header: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    assert_eq!(header, ["serial", "sex", "age", "municipality", "gp_30", "gp_90", "gp_180"]);
    let (mut serials, mut groups) = (Vec::new(), Groups::new());
    for line in reader.records().map(|line| line.unwrap()) {
        let counts = groups.entry([1, 2, 3].map(|c| line[c].to_owned())).or_default();
        counts[0] += 1;
        let outcomes = [4, 5, 6].map(|c| line[c].parse::<u64>().unwrap());
        // Seen within 30 days is seen within 90, so that the counts tell every record of a group.
        assert!(outcomes.is_sorted());
        for (count, had) in counts[1..].iter_mut().zip(outcomes) {
            *count += had;
        }
        serials.push(line[0].to_owned());
    }
    (serials, groups)
}

/// What the deliveries say of each group, municipalities not added up.
async fn truth(world: &World) -> Groups {
    let all = oracle::answer(&world.stage.path("deliveries"), 2024).await;
    let inner = |codes: &[String; 3]| codes.iter().all(|code| code != "Total") && codes[2].len() == 4;
    all.into_iter().filter(|(codes, counts)| inner(codes) && counts[0] > 0).collect()
}

/// The types of a run's leaves, in order.
async fn kinds(world: &World, run: &RunId) -> Vec<u16> {
    let entries = world.client("auditor").await.entries(0, 10_000).await.unwrap();
    let leaves = entries.iter().map(|entry| Leaf::from_canonical(&entry.leaf).unwrap());
    leaves.filter(|leaf| leaf.run.as_ref() == Some(run)).map(|leaf| leaf.kind).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_stewards_release_them_and_their_recipient_accepts_the_conditions_first() {
    let world = World::running(&Making { persons: 2500, discharge_rate: 0.3, ..Making::default() }).await;
    // Without interest and conditions there is no such approval, and with them none of another tier.
    let anna = world.client("anna").await;
    let bare = Approval { indirect: None, ..approval() };
    assert_eq!(code(anna.enter_project(&bare, None).await), "policy.indirect_conditions");
    let mut none = approval();
    none.indirect.as_mut().unwrap().conditions.clear();
    assert_eq!(code(anna.enter_project(&none, None).await), "policy.indirect_conditions");
    let anonymous = Approval { indirect: Some(terms()), ..microdata::approval() };
    assert_eq!(code(anna.enter_project(&anonymous, None).await), "approval.text");
    // A rule that promises something is not one for them.
    let (strict, project) = (RuleId::new("records-5").unwrap(), ProjectId::new("P-2026-0009").unwrap());
    let strict = Approval { rule: strict, project: project.clone(), ..approval() };
    world.approve_this(&strict).await;
    let researcher = world.client("researcher").await;
    let of_strict = Query { project, ..question() };
    assert_eq!(code(researcher.check(&of_strict).await), "rule.other_tier");

    world.approve_this(&approval()).await;
    let checked = researcher.check(&question()).await.unwrap();
    assert_eq!(checked.min_persons, 1);
    assert!(checked.rule_text.contains("indirectly identifiable"), "{}", checked.rule_text);
    assert!(checked.steps.last().unwrap().contains("hold until two stewards have signed"));
    let (run, phase, why) = until_held(&world, "records", &question()).await;
    assert_eq!((phase, why.as_str()), (Phase::Held, ""));

    // One steward is not enough, and there are no conditions to accept yet.
    let waiting = held(&world, &run).await.unwrap();
    let told = waiting.risk.identifiable.clone().unwrap();
    assert_eq!(told.terms, terms());
    assert!(!sign(&world, "anna", &waiting.statement).await.unwrap());
    let accepted = terms().digest().unwrap();
    assert_eq!(code(researcher.fetch_accepting(&run, Format::Csv, accepted).await), "result.none");
    assert_eq!(code(researcher.conditions(&run).await), "result.none");
    assert!(sign(&world, "bjorn", &waiting.statement).await.unwrap());
    assert_eq!(world.end_of(&run).await.phase, Phase::Released);

    // Two are, and then the recipient accepts the conditions of these records, and no others.
    for format in [Format::Csv, Format::Report] {
        assert_eq!(code(researcher.fetch(&run, format).await), "conditions.not_accepted");
    }
    let other = Digest::from_bytes([7; 32]);
    assert_eq!(code(researcher.fetch_accepting(&run, Format::Csv, other).await), "conditions.not_accepted");
    assert!(!kinds(&world, &run).await.contains(&57));
    assert_eq!(researcher.conditions(&run).await.unwrap(), terms());
    let csv = researcher.fetch_accepting(&run, Format::Csv, accepted).await.unwrap();
    let kinds = kinds(&world, &run).await;
    assert!(kinds.ends_with(&[57, 10]), "accepted, and then sent: {kinds:?}");
    assert_eq!(kinds.iter().filter(|kind| **kind == 57).count(), 1);
    let report = researcher.fetch_accepting(&run, Format::Report, accepted).await.unwrap();
    let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
    assert_eq!(report["terms"]["conditions"][0], terms().conditions[0].as_str());

    // Every record is as the deliveries have it, and the stewards were told who stands out.
    let (serials, released) = groups(&csv);
    assert_eq!(released, truth(&world).await);
    assert!(serials.is_sorted());
    let below = |most: u64| released.values().map(|counts| counts[0]).filter(|&n| n < most).sum::<u64>();
    assert_eq!((told.unique, told.in_small, told.small), (below(2), below(5), 5));
    assert!(told.unique > 0, "some record stands out");
    // Nothing in them is a number of the register's own, or of a person.
    let text = String::from_utf8(csv).unwrap();
    assert!(text.split([',', '\n', '.']).skip(7).all(|value| value.len() <= 5 || value.len() == 40));
    the_person_sees_it(&world, accepted).await;
    nothing_beside_them(&world).await;

    // A later version with other conditions: what the earlier one gave is not given on under those.
    let mut stricter = Approval { version: 2, ..approval() };
    stricter.indirect.as_mut().unwrap().conditions.pop();
    world.sign_this(&stricter).await;
    assert_eq!(code(researcher.fetch_accepting(&run, Format::Csv, accepted).await), "conditions.replaced");
    world.end().await;
}

/// Whoever is in the records sees them, with the conditions, and nobody else does.
async fn the_person_sees_it(world: &World, conditions: Digest) {
    let [inside, outside] = person::in_and_out(world);
    for number in inside.iter().step_by(inside.len() / 3) {
        let log = person::log(world, number).await;
        let [released] = log.records.as_slice() else { panic!("{log:?}") };
        assert_eq!(released.facts.project, approval().project);
        assert_eq!(released.facts.conditions, Some(conditions));
    }
    assert!(person::log(world, &outside[0]).await.records.is_empty());
    let listed = world.client("anna").await.disclosures(None).await.unwrap();
    assert!(listed.iter().all(|one| one.facts.conditions == Some(conditions) && one.persons.is_some()));
}

/// One who holds the records could take apart any table of the same data, and join anonymous records with them.
async fn nothing_beside_them(world: &World) {
    world.approve().await;
    world.approve_this(&microdata::approval()).await;
    let researcher = world.client("researcher").await;
    for query in [example_query().unwrap(), microdata::question()] {
        assert_eq!(code(researcher.check(&query).await), "rule.other_method");
        let submitted = world.submit(&format!("beside-{}", query.result.as_str()), &query).await;
        assert_eq!(code(submitted), "rule.other_method");
    }
    // More of the same kind can be asked for, under the same approval, by two stewards again.
    let again = Query { by: question().by[..1].to_vec(), ..question() };
    let (run, phase, why) = until_held(world, "again", &again).await;
    assert_eq!((phase, why.as_str()), (Phase::Held, ""));
    assert!(held(world, &run).await.unwrap().signed_by.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_a_table_or_anonymous_records_gets_no_records_as_they_are() {
    let world = World::running(&Making { persons: 1500, discharge_rate: 0.3, ..Making::default() }).await;
    world.approve().await;
    world.approve_this(&approval()).await;
    let researcher = world.client("researcher").await;
    assert!(researcher.check(&question()).await.is_ok());
    let (table, _) = world.answer("table").await;
    let refused = researcher.check(&question()).await;
    assert_eq!(code(refused), "rule.other_method");
    assert_eq!(code(world.submit("records", &question()).await), "rule.other_method");
    // A table stands under no conditions.
    assert_eq!(code(researcher.conditions(&table).await), "conditions.none");
    let accepted = terms().digest().unwrap();
    assert_eq!(code(researcher.fetch_accepting(&table, Format::Csv, accepted).await), "conditions.none");
    assert!(researcher.fetch(&table, Format::Csv).await.is_ok());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_on_their_way_keep_tables_away_and_refused_ones_do_not() {
    let world = World::running(&Making { persons: 1500, discharge_rate: 0.3, ..Making::default() }).await;
    world.approve().await;
    world.approve_this(&approval()).await;
    let (run, phase, why) = until_held(&world, "records", &question()).await;
    assert_eq!((phase, why.as_str()), (Phase::Held, ""));
    assert_eq!(code(world.submit("table", &example_query().unwrap()).await), "rule.other_method");
    world.client("bjorn").await.refuse_held(&run, kpr::domain::held::HeldRefusal::Risk).await.unwrap();
    assert_eq!(world.end_of(&run).await.code, "microdata.refused_for_risk");
    assert_eq!(held(&world, &run).await, None);
    assert_eq!(microdata::sealed(&world, &run).await, None);
    world.answer("table").await;
    world.end().await;
}
