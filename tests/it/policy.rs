//! The method that the policies give a class of recipients, from the file to the released table.

use std::collections::BTreeMap;

use kpr::app::stage::{example_approval, example_query};

use crate::attack::K;
use crate::world::{Making, World};

/// A released CSV: codes of sex, age and municipality, and the persons.
fn persons(csv: &[u8]) -> BTreeMap<[String; 3], Option<u64>> {
    let mut reader = csv::Reader::from_reader(csv);
    let header: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let column = |name: &str| header.iter().position(|h| h == name).unwrap();
    let codes = ["sex", "age", "municipality"].map(column);
    let value = column("persons");
    reader
        .records()
        .map(|record| {
            let record = record.unwrap();
            (codes.map(|c| record[c].to_owned()), record[value].parse().ok())
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folded_table_publishes_every_total_and_nothing_small() {
    let making = Making { persons: 5000, discharge_rate: 0.06, ..Making::default() };
    let mut world = World::with_method(&making, "projects = \"fold\"").await;
    world.approve().await;
    // So few persons in so many cells, with every total published: there is no room for ranges.
    let run = world.submit("ranges", &example_query().unwrap()).await.unwrap();
    assert_eq!(world.end_of(&run).await.code, "disclosure.not_released");
    let rule = "id = \"tables-5\"\nmin_persons = 5\n";
    world.change_method(rule, &format!("{rule}min_range = 0\n")).await;
    let checked = world.client("researcher").await.check(&example_query().unwrap()).await.unwrap();
    assert!(checked.rule_text.starts_with("Categories with fewer than 5 persons stand together"));
    assert_eq!(checked.budget, None);

    let (_, csv) = world.answer("folded").await;
    let table = persons(&csv);
    let of = |codes: &[String; 3], at: usize| codes.iter().enumerate().all(|(d, c)| d == at || c == "Total");
    for (codes, value) in &table {
        assert!(value.is_none_or(|n| n == 0 || n >= K), "{codes:?} {value:?}");
        if (0..3).any(|d| of(codes, d)) {
            assert!(value.is_some(), "the total of a category is published: {codes:?}");
        }
    }
    // Each dimension's categories add up to everyone; some of twelve municipalities have too few of these 300 persons.
    let total = table[&["Total", "Total", "Total"].map(str::to_owned)].unwrap();
    let county: u64 = table.iter().filter(|(c, _)| of(c, 2) && c[2].len() == 4).filter_map(|(_, n)| *n).sum();
    let rest: u64 =
        table.iter().filter(|(c, _)| of(c, 2) && c[2].ends_with("-ovrig")).filter_map(|(_, n)| *n).sum();
    assert_eq!(county + rest, total);
    assert!(rest > 0 && county > 0, "{rest} {county}");
    let shown: u64 = table.iter().filter(|(c, _)| of(c, 0) && c[0] != "Total").filter_map(|(_, n)| *n).sum();
    assert!(shown == total || shown == 0);
    world.end().await;
}

/// An attacker who holds true counts of a domain waits for its method to become noise: either would take the other off.
#[tokio::test(flavor = "multi_thread")]
async fn a_method_changed_while_tables_are_out_is_refused_until_it_is_back() {
    let making = Making { persons: 1500, discharge_rate: 0.3, ..Making::default() };
    let mut world = World::running(&making).await;
    let mut approval = example_approval().unwrap();
    approval.privacy_budget = Some("0.055".parse().unwrap());
    world.approve_this(&approval).await;
    let (first, _) = world.answer("exact").await;

    let noise = "projects = { noise = { mechanism = \"gaussian\", rho = \"0.01\" } }";
    world.change_method("projects = \"suppress\"", noise).await;
    let query = example_query().unwrap();
    let checked = world.client("researcher").await.check(&query).await.unwrap_err().to_string();
    let submitted = world.submit("noisy", &query).await.unwrap_err().to_string();
    for refused in [checked, submitted] {
        assert!(
            refused.contains("rule.other_method") && refused.contains("the method suppress"),
            "{refused}"
        );
    }
    // Nothing was spent, and what was submitted before the change is still answered.
    assert_eq!(world.submit("exact", &query).await.unwrap(), first);
    world.change_method(noise, "projects = \"suppress\"").await;
    world.answer("exact-again").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_policies_do_not_cover_is_refused_in_words() {
    let making = Making { persons: 1500, ..Making::default() };
    let world = World::with_method(&making, "projects = \"suppress\"\n\n# As it was.").await;
    let mut approval = example_approval().unwrap();
    approval.legal_basis = "GDPR art. 6(1)e".to_owned();
    world.approve_this(&approval).await;
    let mut query = example_query().unwrap();
    let refused = world.submit("basis", &query).await.unwrap_err().to_string();
    assert!(
        refused.contains("rule.no_basis") && refused.contains("\"helseregisterloven section 19\""),
        "{refused}"
    );

    approval.version = 2;
    approval.legal_basis = "GDPR art. 6(1)e; helseregisterloven section 19".to_owned();
    world.approve_this(&approval).await;
    query.privacy_loss = Some("0.001".parse().unwrap());
    let refused = world.submit("noise", &query).await.unwrap_err().to_string();
    assert!(refused.contains("rule.no_noise") && refused.contains("the method suppress"), "{refused}");
    query.privacy_loss = None;
    query.min_persons = Some(3);
    let refused = world.submit("looser", &query).await.unwrap_err().to_string();
    assert!(refused.contains("rule.looser") && refused.contains("at least 5 persons"), "{refused}");
    world.end().await;
}

/// Policies are read anew at SIGHUP: all of them, or none if one is not accepted.
#[tokio::test(flavor = "multi_thread")]
async fn policies_are_replaced_while_the_gateway_runs() {
    let making = Making { persons: 1500, ..Making::default() };
    let world = World::running(&making).await;
    world.approve().await;
    let (query, client) = (example_query().unwrap(), world.client("researcher").await);
    let path = world.stage.path("policies/gateway.cedar");
    let real = std::fs::read_to_string(&path).unwrap();
    let hang_up = || {
        let id = world.gateway.as_ref().unwrap().id().unwrap().to_string();
        assert!(std::process::Command::new("kill").args(["-HUP", &id]).status().unwrap().success());
    };
    client.check(&query).await.unwrap();

    std::fs::write(&path, real.replace("@id(\"recipients-ask\")", "@id(\"recipients-ask\"")).unwrap();
    hang_up();
    let kept = async {
        let log = world.stage.path("logs/gateway.log");
        while !std::fs::read_to_string(&log).unwrap().contains("the policies stay as they were") {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), kept).await.unwrap();
    let stricter = "principal.role == \"researcher\" && resource.recipients";
    std::fs::write(&path, real.replacen(stricter, &format!("1 > 2 && {stricter}"), 2)).unwrap();
    client.check(&query).await.unwrap();
    hang_up();
    let refused = async {
        loop {
            match client.check(&query).await {
                Ok(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
                Err(refused) => break refused.to_string(),
            }
        }
    };
    let refused = tokio::time::timeout(std::time::Duration::from_secs(60), refused).await.unwrap();
    assert!(refused.contains("policy.not_permitted"), "{refused}");
    let entries = world.client("auditor").await.entries(0, 4096).await.unwrap();
    let leaves = entries.iter().map(|e| serde_json::from_slice::<serde_json::Value>(&e.leaf).unwrap());
    assert_eq!(leaves.filter(|leaf| leaf["type"] == 19).count(), 1);
    world.end().await;
}
