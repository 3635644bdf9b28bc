//! Cell-key noise over the wire: whoever asks, and however often and in whatever words, the same persons have the
//! same number.

use std::collections::{BTreeMap, BTreeSet};

use kpr::app::stage::{Process, StageError, example_approval, example_query};
use kpr::domain::ids::{ProjectId, TableId};
use kpr::domain::query::Query;
use kpr::statistics::Format;
use kpr::store::Phase;

use crate::world::{Making, World};
use crate::{leak, oracle};

const METHOD: &str = "projects = { cellkey = { min_persons = 5, bound = 10, variance = \"4\" } }";

/// For each cell, by its codes with those of left out dimensions as the total, and each measure: the number and its
/// interval.
type Numbers = BTreeMap<([String; 3], String), [i64; 3]>;

fn read(csv: &[u8]) -> Numbers {
    let mut reader = csv::Reader::from_reader(csv);
    let header: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let column = |name: &str| header.iter().position(|h| h == name);
    assert!(!header.iter().any(|name| name.ends_with("_share")));
    let mut numbers = Numbers::new();
    for record in reader.records() {
        let record = record.unwrap();
        let codes = ["sex", "age", "municipality"]
            .map(|name| column(name).map_or("Total", |at| &record[at]).to_owned());
        for measure in ["persons", "gp_30", "gp_90", "gp_180"] {
            let Some(at) = column(measure) else { continue };
            assert_eq!(&record[at + 1], "");
            let ends = ["", "_low", "_high"].map(|end| column(&format!("{measure}{end}")).unwrap());
            numbers.insert((codes.clone(), measure.to_owned()), ends.map(|at| record[at].parse().unwrap()));
        }
    }
    numbers
}

async fn asked(world: &World, request: &str, query: &Query) -> Numbers {
    let run = world.submit(request, query).await.unwrap();
    let end = world.end_of(&run).await;
    assert_eq!(end.phase, Phase::Released, "{} {}", end.code, end.hint);
    read(&world.client("researcher").await.fetch(&run, Format::Csv).await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_persons_have_the_same_number_whoever_asks_in_whatever_words() {
    let making = Making { persons: 2500, discharge_rate: 0.3, ..Making::default() };
    let world = World::with_method(&making, METHOD).await;
    world.approve().await;
    let query = example_query().unwrap();
    let checked = world.client("researcher").await.check(&query).await.unwrap();
    assert!(checked.rule_text.contains("variance 4 and at most 10") && checked.min_persons == 5);
    assert!(checked.budget.is_none());
    let first = asked(&world, "first", &query).await;

    // Beside the truth: near it, never 1 to 4, nobody as 0, and within the interval as often as it says.
    let truth = oracle::answer(&world.stage.path("deliveries"), 2024).await;
    let (mut off, mut within, mut small) = (0, 0, 0);
    for ((codes, measure), [value, low, high]) in &first {
        let at = ["persons", "gp_30", "gp_90", "gp_180"].iter().position(|m| m == measure).unwrap();
        let count = truth.get(codes).map_or(0, |counts| counts[at] as i64);
        assert!((*value == 0 || *value >= 5) && (value - count).abs() <= 10, "{codes:?} {value} {count}");
        assert!(count > 0 || *value == 0, "{codes:?}");
        off += usize::from(*value != count);
        within += usize::from((*low..=*high).contains(&count));
        small += usize::from((1..5).contains(&count));
    }
    assert!(small > 20 && off > first.len() / 10, "a table without small cells shows nothing");
    assert!(within * 10 >= first.len() * 9, "{within} of {}", first.len());

    // Asked again; under another project; by fewer dimensions; in another order; with an outcome less.
    assert_eq!(asked(&world, "again", &query).await, first);
    let mut approval = example_approval().unwrap();
    approval.project = ProjectId::new("P-2026-0002").unwrap();
    world.approve_this(&approval).await;
    let other =
        Query { project: approval.project.clone(), title: "In other words".to_owned(), ..query.clone() };
    assert_eq!(asked(&world, "other", &other).await, first);
    let mut reordered = query.clone();
    reordered.outcomes.reverse();
    reordered.cohort.conditions.reverse();
    let mut answers = vec![asked(&world, "reordered", &reordered).await];
    for (number, keep) in [&["sex"][..], &["municipality"], &["age", "municipality"], &[]].iter().enumerate()
    {
        let mut nested = query.clone();
        nested.by.retain(|by| keep.contains(&by.variable.as_str()));
        nested.outcomes.truncate(number + 1);
        answers.push(asked(&world, &format!("nested-{number}"), &nested).await);
    }
    let mut seen = 0;
    for (cell, number) in answers.iter().flatten() {
        assert_eq!(first[cell], *number, "{cell:?}");
        seen += 1;
    }
    assert!(seen > first.len());
    // One who averages all answers to a question has the first one.
    let total = ([(); 3].map(|()| "Total".to_owned()), "persons".to_owned());
    let answers: BTreeSet<i64> = answers.iter().chain([&first]).map(|answer| answer[&total][0]).collect();
    assert_eq!(answers.len(), 1);

    // The report states the noise and nothing true; the table can be published as it is.
    let run = world.submit("first", &query).await.unwrap();
    let report = world.client("researcher").await.fetch(&run, Format::Report).await.unwrap();
    let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
    assert_eq!(report["noise"], serde_json::json!({"min_persons": 5, "bound": 10, "variance": "4"}));
    assert!(report["linkage"].as_object().unwrap().values().all(serde_json::Value::is_null), "{report}");
    world.client("anna").await.publish(&run, &TableId::new("perturbed").unwrap()).await.unwrap();

    // Each use of record keys stands in the log; the key they come from is nowhere in the gateway.
    leak::memory(&world, &run);
    let auditor = world.client("auditor").await;
    let leaves = auditor.entries(0, 1000).await.unwrap();
    let of = |kind: &str| leaves.iter().filter(|l| String::from_utf8_lossy(&l.leaf).contains(kind)).count();
    assert_eq!(of("\"type\":13,"), 8);
    assert_eq!(of("\"type\":7,"), 8);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_does_not_start_on_noise_that_cannot_be() {
    let world = World::made(&Making { persons: 200, ..Making::default() });
    let file = world.stage.path("policies/disclosure.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let impossible = METHOD.replace("bound = 10", "bound = 4");
    std::fs::write(&file, text.replace("projects = \"suppress\"", &impossible)).unwrap();
    let Err(StageError::NotReady { log, .. }) = world.stage.start(Process::Gateway).await else {
        panic!("it started, with a bound below the least number of persons")
    };
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("method cellkey: the noise's bound must be"), "{log}");
}
