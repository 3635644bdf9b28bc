//! A project whose results have noise: its privacy budget under many submissions at once and when the gateway is
//! killed, and what its recipient sees.

use futures::future::join_all;
use kpr::app::stage::{Process, example_approval, example_query};
use kpr::domain::ids::RequestId;
use kpr::statistics::Format;
use kpr::store::Phase;
use kpr::wire::gateway_client::ClientError;

use crate::world::{Making, World, program};

/// Noise for projects, a query at 0.01; nothing else may be released of these data.
async fn world() -> World {
    let making = Making { persons: 1500, discharge_rate: 0.3, ..Making::default() };
    let noise = "projects = { noise = { mechanism = \"gaussian\", rho = \"0.01\" } }";
    World::with_crowds(&making, noise).await
}

async fn left(world: &World) -> String {
    let checked = world.client("researcher").await.check(&example_query().unwrap()).await.unwrap();
    let budget = checked.budget.unwrap();
    assert_eq!(
        (budget.cost.to_string(), budget.allowance.to_string()),
        ("0.01".to_owned(), "0.055".to_owned())
    );
    budget.left.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_budget_is_spent_to_its_end_and_never_beyond() {
    let mut world = world().await;
    let mut approval = example_approval().unwrap();
    world.approve_this(&approval).await;
    let refused = world.submit("without", &example_query().unwrap()).await.unwrap_err();
    assert!(refused.to_string().contains("approval.no_privacy_budget"), "{refused}");

    approval.version = 2;
    approval.privacy_budget = Some("0.055".parse().unwrap());
    world.approve_this(&approval).await;
    assert_eq!(left(&world).await, "0.055");

    // What the recipient gets: numbers with intervals, no true count, the cost.
    let query = example_query().unwrap();
    let first = world.submit("first", &query).await.unwrap();
    let end = world.end_of(&first).await;
    assert_eq!(end.phase, Phase::Released, "{} {}", end.code, end.hint);
    let client = world.client("researcher").await;
    let csv = client.fetch(&first, Format::Csv).await.unwrap();
    intervals(&csv);
    let report: serde_json::Value =
        serde_json::from_slice(&client.fetch(&first, Format::Report).await.unwrap()).unwrap();
    assert_eq!(report["noise"]["rho"], "0.01");
    assert_eq!(
        (&report["noise"]["left_before"], &report["noise"]["left_after"]),
        (&"0.055".into(), &"0.045".into())
    );
    assert!(report["linkage"].as_object().unwrap().values().all(serde_json::Value::is_null), "{report}");
    for format in [Format::JsonStat, Format::Arrow, Format::Parquet] {
        assert!(!client.fetch(&first, format).await.unwrap().is_empty());
    }

    on_the_command_line(&world, first.as_str());

    // A hundred at once, under three request ids each asked for again and again, and many more: four fit.
    let asked = (0..100).map(|n| {
        let (client, query) = (&client, &query);
        let request =
            RequestId::new(if n < 60 { format!("again-{}", n % 3) } else { format!("at-once-{n}") }).unwrap();
        async move { client.submit(&request, query).await.map(|submission| submission.run) }
    });
    let answers = join_all(asked).await;
    let mut runs = Vec::new();
    for answer in answers {
        match answer {
            Ok(run) if !runs.contains(&run) => runs.push(run),
            Ok(_) => {}
            Err(ClientError::Refused(refusal)) => assert_eq!(refusal.code, "budget.exceeded", "{refusal}"),
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(runs.len(), 4);
    assert_eq!(left(&world).await, "0.005");

    // Killed with runs in progress: nothing comes back, and nothing more is taken.
    world.gateway.take().unwrap().kill().await;
    world.gateway = Some(world.stage.start(Process::Gateway).await.unwrap());
    assert_eq!(left(&world).await, "0.005");
    for run in &runs {
        let end = world.end_of(run).await;
        assert!(matches!(end.phase, Phase::Released | Phase::Failed), "{:?}", end.phase);
    }
    assert_eq!(world.submit("first", &query).await.unwrap(), first);
    let refused = world.submit("last", &query).await.unwrap_err().to_string();
    assert!(refused.contains("a release that costs at most 0.005 would be accepted"), "{refused}");
    assert_eq!(left(&world).await, "0.005");

    // A query may ask for more noise, and is answered.
    let mut cheaper = query.clone();
    cheaper.privacy_loss = Some("0.005".parse().unwrap());
    let last = world.submit("cheaper", &cheaper).await.unwrap();
    assert_eq!(world.end_of(&last).await.phase, Phase::Released);

    // The log has every reservation, with the run it is of.
    let entries = world.client("auditor").await.entries(0, 4096).await.unwrap();
    let leaves = entries.iter().map(|e| serde_json::from_slice::<serde_json::Value>(&e.leaf).unwrap());
    let reserved: Vec<_> = leaves.filter(|leaf| leaf["type"] == 14).map(|leaf| leaf["run"].clone()).collect();
    let expected = [&first].into_iter().chain(&runs).chain([&last]);
    assert_eq!(reserved.len(), 6);
    for run in expected {
        assert!(reserved.contains(&run.as_str().into()), "{run}");
    }
    world.end().await;
}

/// A recipient at a terminal sees the budget before, and with the result the interval of each number and what is left.
fn on_the_command_line(world: &World, run: &str) {
    let (peer, files) = (world.stage.gateway(), world.stage.tls("researcher"));
    let kpr = |arguments: &[&str]| {
        let mut command = std::process::Command::new(program());
        command.arg("query").args(arguments).arg("--gateway").arg(peer.address.to_string());
        command.args(["--name", &peer.name]).arg("--certificate").arg(&files.certificate);
        command.arg("--key").arg(&files.key).arg("--authority").arg(&files.authority);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/examples/query.yaml");
    let checked = kpr(&["check", "--file", file]);
    assert!(checked.contains("privacy loss     0.01 of a budget of 0.055"), "{checked}");
    assert!(checked.contains("budget left      0.045 before, 0.035 after"), "{checked}");
    intervals(kpr(&["fetch", run]).as_bytes());
    let report: serde_json::Value =
        serde_json::from_str(&kpr(&["fetch", run, "--format", "report"])).unwrap();
    assert_eq!(report["noise"]["left_after"], "0.045");
    assert!(report["rule_text"].as_str().unwrap().contains("between low and high with 95 % probability"));
}

/// Every measure has a number and an interval around it in every cell; shares and symbols there are none.
fn intervals(csv: &[u8]) {
    let mut reader = csv::Reader::from_reader(csv);
    let header: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    assert!(!header.iter().any(|name| name.ends_with("_share")));
    let column = |name: &str| header.iter().position(|h| h == name).unwrap();
    let (mut negative, mut cells) = (0, 0);
    for record in reader.records() {
        let record = record.unwrap();
        for measure in ["persons", "gp_30", "gp_90", "gp_180"] {
            let number = |name: &str| record[column(name)].parse::<i64>().unwrap();
            let [value, low, high] = ["", "_low", "_high"].map(|end| number(&format!("{measure}{end}")));
            assert!(low < value && value < high && record[column(&format!("{measure}_status"))].is_empty());
            negative += usize::from(value < 0);
            cells += 1;
        }
    }
    assert!(
        negative > cells / 20,
        "most cells are empty, and have noise all the same: {negative} of {cells}"
    );
}
