//! Sums, means and medians over the wire: near the truth within their intervals, paid from the budget, and refused
//! where there is none.

use kpr::app::stage::{example_approval, example_query};
use kpr::domain::query::{OutcomeValue, Query, Statistic, ValueOf};
use kpr::statistics::Format;
use kpr::store::Phase;

use crate::oracle::{self, Patient};
use crate::world::{Making, World};

/// Bounds that some persons are beyond.
const MOST_EVENTS: i64 = 3;
const EVENTS_A_PERSON: usize = 2;
const REFUND: (i64, i64) = (10_000, 60_000);

/// Consultations within 30 days: how many had one, their mean and total number, and the median and mean refund.
fn asked() -> Query {
    let mut query = example_query().unwrap();
    query.by.truncate(2);
    let events = (ValueOf::Events, 0, MOST_EVENTS, None);
    let refunds = ValueOf::Variable("refusjon_ore".to_owned().try_into().unwrap());
    let refunds = (refunds, REFUND.0, REFUND.1, Some(EVENTS_A_PERSON as u32));
    let first = query.outcomes[0].clone();
    query.outcomes.truncate(1);
    for (name, (of, low, high, events), statistic) in [
        ("mean_number", events.clone(), Statistic::Mean),
        ("number", events, Statistic::Sum),
        ("median_refund", refunds.clone(), Statistic::Median),
        ("mean_refund", refunds, Statistic::Mean),
    ] {
        let mut outcome = first.clone();
        outcome.name = name.to_owned().try_into().unwrap();
        outcome.value = Some(OutcomeValue { of, statistic, low, high, events });
        query.outcomes.push(outcome);
    }
    query
}

/// What is true of some persons, in the order of [`asked`].
fn truth(patients: &[&Patient]) -> Vec<(&'static str, Option<f64>)> {
    let numbers: Vec<i64> =
        patients.iter().map(|p| (p.consultations.len() as i64).clamp(0, MOST_EVENTS)).collect();
    let mut refunds: Vec<i64> = Vec::new();
    for patient in patients {
        let mut first = patient.consultations.clone();
        first.sort_unstable();
        refunds.extend(
            first.iter().take(EVENTS_A_PERSON).map(|(_, refund)| (*refund).clamp(REFUND.0, REFUND.1)),
        );
    }
    refunds.sort_unstable();
    let mean = |values: &[i64]| {
        (!values.is_empty()).then(|| values.iter().sum::<i64>() as f64 / values.len() as f64)
    };
    vec![
        ("persons", Some(patients.len() as f64)),
        ("gp_30", Some(patients.iter().filter(|p| !p.consultations.is_empty()).count() as f64)),
        ("mean_number", mean(&numbers)),
        ("number", Some(numbers.iter().sum::<i64>() as f64)),
        ("median_refund", refunds.get(refunds.len() / 2).map(|refund| *refund as f64)),
        ("mean_refund", mean(&refunds)),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn statistics_of_values_lie_near_the_truth_and_are_paid_for() {
    let making = Making { persons: 4000, discharge_rate: 0.4, ..Making::default() };
    // More than protects anybody, so that what comes out can be told from what is wrong.
    let noise = "projects = { noise = { mechanism = \"gaussian\", rho = \"60\" } }";
    let world = World::with_method(&making, noise).await;
    let mut approval = example_approval().unwrap();
    approval.privacy_budget = Some("100".parse().unwrap());
    world.approve_this(&approval).await;
    let refused = world.submit("not-granted", &asked()).await.unwrap_err().to_string();
    assert!(
        refused.contains("approval.variable_not_granted") && refused.contains("refusjon_ore"),
        "{refused}"
    );
    approval.version = 2;
    approval.grants[1].variables.push("refusjon_ore".to_owned().try_into().unwrap());
    world.approve_this(&approval).await;

    let client = world.client("researcher").await;
    let budget = client.check(&asked()).await.unwrap().budget.unwrap();
    assert_eq!([budget.cost, budget.left].map(|rho| rho.to_string()), ["60", "100"]);
    // Less than can be divided among six measures: refused before anything is reserved, also by the check.
    let little = Query { privacy_loss: Some("0.000000005".parse().unwrap()), ..asked() };
    for refused in [
        world.submit("too-little", &little).await.unwrap_err().to_string(),
        client.check(&little).await.unwrap_err().to_string(),
    ] {
        assert!(refused.contains("budget.too_little_loss") && refused.contains("6 measures"), "{refused}");
    }
    assert_eq!(client.check(&asked()).await.unwrap().budget.unwrap().left.to_string(), "100");
    let run = world.submit("first", &asked()).await.unwrap();
    let end = world.end_of(&run).await;
    assert_eq!(end.phase, Phase::Released, "{} {}", end.code, end.hint);
    let report: serde_json::Value =
        serde_json::from_slice(&client.fetch(&run, Format::Report).await.unwrap()).unwrap();
    assert_eq!(
        report["noise"],
        serde_json::json!({"mechanism": "gaussian", "rho": "60", "left_before": "100", "left_after": "40"})
    );
    for format in [Format::JsonStat, Format::Arrow, Format::Parquet] {
        assert!(!client.fetch(&run, format).await.unwrap().is_empty());
    }
    let over = world.submit("second", &asked()).await.unwrap_err().to_string();
    assert!(over.contains("budget.exceeded"), "all measures together are paid for: {over}");

    let patients = oracle::consultations(&world.stage.path("deliveries"), 2024).await;
    let csv = client.fetch(&run, Format::Csv).await.unwrap();
    let mut reader = csv::Reader::from_reader(csv.as_slice());
    let header: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let column = |name: &str| header.iter().position(|h| h == name).unwrap_or_else(|| panic!("{name}"));
    let (mut numbers, mut within) = (0, 0);
    for record in reader.records() {
        let record = record.unwrap();
        let group = |p: &&Patient| {
            let ages = match &record[1] {
                "0-17" => 0..=17,
                "18-44" => 18..=44,
                "45-66" => 45..=66,
                "67+" => 67..=200,
                _ => 0..=200,
            };
            (&record[0] == "Total" || record[0] == *p.sex) && ages.contains(&p.age)
        };
        let group: Vec<&Patient> = patients.iter().filter(group).collect();
        for (measure, truth) in truth(&group) {
            let number = |end: &str| record[column(&format!("{measure}{end}"))].parse::<f64>().unwrap();
            let (value, low, high) = (number(""), number("_low"), number("_high"));
            assert!(low <= value && value <= high, "{measure} {record:?}");
            let Some(truth) = truth else { continue };
            numbers += 1;
            within += usize::from(low <= truth && truth <= high);
            let large = group.len() > 300;
            let reach = match measure {
                "mean_number" => 0.4,
                "median_refund" | "mean_refund" => 15_000.0,
                _ => 30.0,
            };
            assert!(!large || (value - truth).abs() < reach, "{measure}: {value} for {truth} in {record:?}");
        }
    }
    // 90 numbers at 95 %: fewer than 73 has a probability below 1e-6.
    assert!(numbers >= 80 && within * 5 >= numbers * 4, "{within} of {numbers}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_budget_a_statistic_of_values_is_refused_by_name() {
    let world = World::running(&Making { persons: 300, ..Making::default() }).await;
    let mut approval = example_approval().unwrap();
    approval.grants[1].variables.push("refusjon_ore".to_owned().try_into().unwrap());
    world.approve_this(&approval).await;
    let refused = world.client("researcher").await.check(&asked()).await.unwrap_err().to_string();
    assert!(refused.contains("rule.value_without_noise") && refused.contains("mean_number"), "{refused}");
    assert!(refused.contains("method suppress") && refused.contains("leave `value` out"), "{refused}");
    world.end().await;
}
