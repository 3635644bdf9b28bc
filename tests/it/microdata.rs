//! Microdata over the wire: held, signed by two stewards, fetched; what a neighbour and a recipient can learn; and what
//! refusal, restart and other questions do.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt;
use kpr::app::gateway;
use kpr::app::stage::{Process, example_approval, example_query};
use kpr::app::system::{SystemClock, SystemEntropy};
use kpr::config::GatewayConfig;
use kpr::domain::approval::{Approval, Tier};
use kpr::domain::canonical::Digest;
use kpr::domain::clock::Clock;
use kpr::domain::held::{HeldRefusal, HeldResult, ReleaseStatement};
use kpr::domain::ids::{ProjectId, RequestId, RuleId, RunId};
use kpr::domain::query::{Answer, Query};
use kpr::statistics::Format;
use kpr::store::Phase;
use kpr::wire::gateway_client::ClientError;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, Row, SqliteConnection};
use tokio_util::sync::CancellationToken;

use crate::attack::{self, K};
use crate::oracle;
use crate::world::{Making, World};

pub fn approval() -> Approval {
    let mut approval = example_approval().unwrap();
    approval.project = ProjectId::new("P-2026-0007").unwrap();
    approval.tier = Tier::AnonymousMicrodata;
    approval.rule = RuleId::new("records-5").unwrap();
    approval
}

pub fn question() -> Query {
    let mut query = example_query().unwrap();
    query.project = approval().project;
    query.result = Answer::Microdata;
    query
}

/// The same question of one field of care.
fn narrower(mut query: Query) -> Query {
    let fields = query.cohort.conditions.iter_mut().find(|c| c.variable.as_str() == "fagomrade").unwrap();
    fields.any_of = vec!["310".to_owned()];
    query
}

/// The code of a refusal.
pub fn code<T: std::fmt::Debug>(answer: Result<T, ClientError>) -> String {
    match answer.unwrap_err() {
        ClientError::Refused(refusal) => refusal.code.clone(),
        other => panic!("{other}"),
    }
}

/// Submits a query and follows it until it is held, or ended.
pub async fn until_held(world: &World, request: &str, query: &Query) -> (RunId, Phase, String) {
    let client = world.client("researcher").await;
    let run = client.submit(&RequestId::new(request).unwrap(), query).await.unwrap().run;
    let mut phases = client.watch(&run).await.unwrap();
    while let Some(progress) = phases.next().await {
        let progress = progress.unwrap();
        if progress.phase == Phase::Held || progress.phase.is_end() {
            return (run, progress.phase, progress.code);
        }
    }
    panic!("the watch ended before the run")
}

pub async fn held(world: &World, run: &RunId) -> Option<HeldResult> {
    let all = world.client("anna").await.held().await.unwrap();
    all.into_iter().find(|held| held.statement.run == *run)
}

pub async fn sign(world: &World, steward: &str, statement: &ReleaseStatement) -> Result<bool, ClientError> {
    let signature = world.stage.sign_release(statement, steward).unwrap();
    world.client(steward).await.sign_held(statement, &signature).await
}

/// What lies in the control database as it is on disk.
pub fn on_disk(world: &World) -> Vec<u8> {
    let file = |name: &str| std::fs::read(world.stage.path("gateway").join(name)).unwrap_or_default();
    [file("control.sqlite"), file("control.sqlite-wal")].concat()
}

/// The longest run of the letters that serial numbers are written with.
fn letters(bytes: &[u8]) -> usize {
    bytes.split(|byte| !(b'a'..=b'p').contains(byte)).map(<[u8]>::len).max().unwrap_or(0)
}

pub async fn sealed(world: &World, run: &RunId) -> Option<Vec<u8>> {
    let options = SqliteConnectOptions::new().filename(world.stage.path("gateway/control.sqlite"));
    let mut control = SqliteConnection::connect_with(&options).await.unwrap();
    let row = sqlx::query("SELECT sealed FROM held_results WHERE run = ?").bind(run.as_str());
    row.fetch_one(&mut control).await.unwrap().get(0)
}

/// A record: its codes of sex, age and municipality, and for each window whether the person had the outcome.
struct Record {
    serial: String,
    codes: [String; 3],
    outcomes: [bool; 3],
}

fn records(csv: &[u8]) -> Vec<Record> {
    let mut reader = csv::Reader::from_reader(csv);
    let header: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    assert_eq!(header, ["serial", "sex", "age", "municipality", "gp_30", "gp_90", "gp_180"]);
    let record = |line: csv::StringRecord| Record {
        serial: line[0].to_owned(),
        codes: [1, 2, 3].map(|c| line[c].to_owned()),
        outcomes: [4, 5, 6].map(|c| match &line[c] {
            "0" => false,
            "1" => true,
            other => panic!("{other}"),
        }),
    };
    reader.records().map(|line| record(line.unwrap())).collect()
}

/// The codes above a municipality, itself first.
fn above(municipality: &str) -> Vec<String> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/codelists/region.csv");
    let mut reader = csv::Reader::from_path(path).unwrap();
    let parents: BTreeMap<String, String> =
        reader.records().map(|r| r.unwrap()).map(|r| (r[0].to_owned(), r[2].to_owned())).collect();
    std::iter::successors(Some(municipality.to_owned()), |code| {
        parents.get(code).filter(|parent| !parent.is_empty()).cloned()
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_stewards_release_records_that_single_nobody_out() {
    let mut world = World::running(&Making { persons: 2500, discharge_rate: 0.3, ..Making::default() }).await;
    world.approve().await;
    world.approve_this(&approval()).await;
    let researcher = world.client("researcher").await;

    // A table is not what this approval is for, nor records what the other is for.
    let table = Query { result: Answer::Table, ..question() };
    assert_eq!(code(researcher.check(&table).await), "approval.tier");
    let records_of_tables = Query { result: Answer::Microdata, ..example_query().unwrap() };
    assert_eq!(code(researcher.check(&records_of_tables).await), "approval.tier");
    let checked = researcher.check(&question()).await.unwrap();
    assert_eq!((checked.cells, checked.min_persons), (0, 5));
    assert!(checked.steps.last().unwrap().contains("hold until two stewards have signed"));

    // Held: the stewards see the report, and nobody the records.
    let (run, phase, why) = until_held(&world, "records", &question()).await;
    assert_eq!((phase, why.as_str()), (Phase::Held, ""));
    assert_eq!(code(researcher.fetch(&run, Format::Csv).await), "result.none");
    assert_eq!(code(researcher.held().await), "access.role");
    let waiting = held(&world, &run).await.unwrap();
    assert!(waiting.signed_by.is_empty() && waiting.risk.smallest >= K);
    assert!(waiting.risk.suppressed <= waiting.risk.suppressed_limit);
    let disk = on_disk(&world);

    // One steward is not enough, whatever else is tried.
    let statement = waiting.statement.clone();
    let other = ReleaseStatement { result: Digest::from_bytes([7; 32]), ..statement.clone() };
    assert_eq!(code(sign(&world, "anna", &other).await), "microdata.other_result");
    let elsewhere = world.stage.sign_release(&other, "anna").unwrap();
    let anna = world.client("anna").await;
    assert_eq!(code(anna.sign_held(&statement, &elsewhere).await), "microdata.bad_signature");
    assert!(!sign(&world, "anna", &statement).await.unwrap());
    assert_eq!(code(researcher.fetch(&run, Format::Csv).await), "result.none");
    assert_eq!(code(sign(&world, "anna", &statement).await), "microdata.signed_already");
    let of_bjorn = world.stage.sign_release(&statement, "bjorn").unwrap();
    assert_eq!(code(anna.sign_held(&statement, &of_bjorn).await), "microdata.other_steward");
    assert_eq!(code(researcher.sign_held(&statement, &of_bjorn).await), "access.role");
    assert_eq!(code(researcher.fetch(&run, Format::Csv).await), "result.none");

    // Killed between the signatures: what waits still waits, with the first of them.
    world.gateway.take().unwrap().kill().await;
    world.gateway = Some(world.stage.start(Process::Gateway).await.unwrap());
    let after = held(&world, &run).await.unwrap();
    assert_eq!((&after.statement, after.signed_by.len()), (&statement, 1));
    assert_eq!(after.risk, waiting.risk);
    assert!(sign(&world, "bjorn", &statement).await.unwrap());
    assert_eq!(world.end_of(&run).await.phase, Phase::Released);
    assert!(held(&world, &run).await.is_none() && sealed(&world, &run).await.is_none());
    assert_eq!(code(sign(&world, "bjorn", &statement).await), "microdata.not_held");

    let researcher = world.client("researcher").await;
    let csv = researcher.fetch(&run, Format::Csv).await.unwrap();
    let released = records(&csv);
    let report: serde_json::Value =
        serde_json::from_slice(&researcher.fetch(&run, Format::Report).await.unwrap()).unwrap();
    assert_eq!((&report["rule"], &report["records"]), (&"records-5".into(), &released.len().into()));
    assert_eq!(code(researcher.fetch(&run, Format::JsonStat).await), "statistics.tables_only");
    // Nothing of them was readable on disk while they waited.
    assert!(released.iter().all(|record| letters(record.serial.as_bytes()) == 40));
    assert!(letters(&disk) < 40, "something like a serial number lies on disk");
    assert!(letters(&on_disk(&world)) >= 40, "it lies there once they are released");
    single_nobody_out(&world, &released, report["suppressed"].as_u64().unwrap()).await;
    beside_other_questions(&world, &released).await;
    world.end().await;
}

/// Every class has k records and is as the plain count of the deliveries has it; a neighbour who knows a person's sex,
/// age and municipality, and that the person is in the records, is left with k of them.
async fn single_nobody_out(world: &World, released: &[Record], suppressed: u64) {
    let truth = oracle::answer(&world.stage.path("deliveries"), 2024).await;
    let everyone = truth[&["Total", "Total", "Total"].map(str::to_owned)];
    assert_eq!(released.len() as u64, everyone[0]);
    assert!(released.windows(2).all(|pair| pair[0].serial < pair[1].serial));
    let mut classes: BTreeMap<&[String; 3], [u64; 4]> = BTreeMap::new();
    for record in released {
        let counts = classes.entry(&record.codes).or_default();
        counts[0] += 1;
        for (count, had) in counts[1..].iter_mut().zip(record.outcomes) {
            *count += u64::from(had);
        }
        // Seen within 30 days is seen within 90.
        assert!(record.outcomes.is_sorted());
    }
    assert!(classes.len() > 1, "something is told");
    let unknown = ["..", "..", ".."].map(str::to_owned);
    assert_eq!(classes.get(&unknown).map_or(0, |counts| counts[0]), suppressed);
    for (codes, counts) in &classes {
        assert!(counts[0] >= K, "{codes:?}");
        if **codes != unknown {
            assert_eq!(Some(counts), truth.get(*codes), "{codes:?}");
        }
    }
    for (codes, counts) in &truth {
        let person = codes.iter().all(|code| code != "Total") && codes[2].len() == 4;
        if !person || counts[0] == 0 {
            continue;
        }
        let places = above(&codes[2]);
        let fits = |record: &&Record| {
            let known = |code: &String, of: &String| code == of || code == "Total" || code == "..";
            known(&record.codes[0], &codes[0])
                && known(&record.codes[1], &codes[1])
                && (record.codes[2] == ".." || places.contains(&record.codes[2]))
        };
        assert!(released.iter().filter(fits).count() as u64 >= K, "{codes:?}");
    }
}

/// Other questions of one who holds the records: no other records, and no table that tells of few persons beside them.
async fn beside_other_questions(world: &World, released: &[Record]) {
    let (_, phase, why) = until_held(world, "other-records", &narrower(question())).await;
    assert_eq!((phase, why.as_str()), (Phase::Refused, "disclosure.microdata_once"));

    let run = world.submit("table", &narrower(example_query().unwrap())).await.unwrap();
    let end = world.end_of(&run).await;
    if end.phase == Phase::Released {
        let csv = world.client("researcher").await.fetch(&run, Format::Csv).await.unwrap();
        if let Some(part) = attack::read(&csv).persons(&["Total", "Total", "Total"]) {
            assert!(!(1..K).contains(&(released.len() as u64 - part)));
        }
    } else {
        assert_eq!(end.code, "disclosure.not_beside_earlier");
    }

    // The same records again are held again. A steward refuses, and they are gone.
    let (again, phase, why) = until_held(world, "again", &question()).await;
    assert_eq!((phase, why.as_str()), (Phase::Held, ""));
    assert!(sealed(world, &again).await.is_some());
    let statement = held(world, &again).await.unwrap().statement;
    assert!(!sign(world, "anna", &statement).await.unwrap());
    world.client("bjorn").await.refuse_held(&again, HeldRefusal::Need).await.unwrap();
    let end = world.end_of(&again).await;
    assert_eq!((end.phase, end.code.as_str()), (Phase::Refused, "microdata.refused_for_need"));
    assert!(held(world, &again).await.is_none() && sealed(world, &again).await.is_none());
    assert_eq!(code(sign(world, "bjorn", &statement).await), "microdata.not_held");
    assert_eq!(code(world.client("researcher").await.fetch(&again, Format::Csv).await), "result.none");
}

/// A clock that is so many days ahead.
#[derive(Clone, Default)]
struct Ahead(Arc<AtomicI64>);

impl Clock for Ahead {
    fn now(&self) -> DateTime<Utc> {
        SystemClock.now() + TimeDelta::days(self.0.load(Ordering::Relaxed))
    }
}

/// Microdata wait so many days.
const WAIT: i64 = 30;

/// The gateway runs in this process with a clock of its own, on what the one before has left.
#[tokio::test(flavor = "multi_thread")]
async fn records_that_wait_too_long_are_erased_and_cannot_be_signed_any_more() {
    let mut world = World::running(&Making { persons: 1500, discharge_rate: 0.3, ..Making::default() }).await;
    world.approve_this(&approval()).await;
    let (run, phase, why) = until_held(&world, "records", &question()).await;
    assert_eq!((phase, why.as_str()), (Phase::Held, ""));
    let statement = held(&world, &run).await.unwrap().statement;
    assert!(!sign(&world, "anna", &statement).await.unwrap());
    assert!(world.gateway.take().unwrap().stop().await);

    let (clock, stop) = (Ahead::default(), CancellationToken::new());
    clock.0.store(WAIT, Ordering::Relaxed);
    let (ready, is_ready) = tokio::sync::oneshot::channel();
    let serving = tokio::spawn({
        let (clock, stop) = (Arc::new(clock.clone()), stop.clone());
        let config = GatewayConfig::load(&world.stage.configuration("gateway")).unwrap();
        async move {
            let ready = |_| ready.send(()).unwrap();
            gateway::run(&config, clock, Arc::new(SystemEntropy), stop, ready).await
        }
    });
    is_ready.await.unwrap();

    // On the last day they wait still, with the first signature.
    let waiting = held(&world, &run).await.unwrap();
    assert_eq!((&waiting.statement, waiting.signed_by.len()), (&statement, 1));
    assert!(sealed(&world, &run).await.is_some());
    let last = waiting.lapses;
    assert_eq!(last, clock.today());

    // On the day after, the second signature comes too late.
    clock.0.store(WAIT + 1, Ordering::Relaxed);
    assert_eq!(code(sign(&world, "bjorn", &statement).await), "microdata.not_held");
    let end = world.end_of(&run).await;
    assert_eq!((end.phase, end.code.as_str()), (Phase::Refused, "microdata.lapsed"));
    assert!(held(&world, &run).await.is_none() && sealed(&world, &run).await.is_none());
    assert_eq!(code(sign(&world, "anna", &statement).await), "microdata.not_held");
    assert_eq!(code(world.client("researcher").await.fetch(&run, Format::Csv).await), "result.none");

    // The log says of the run that it was held, signed once and refused, this by the gateway itself.
    let entries = world.client("auditor").await.entries(0, 4096).await.unwrap();
    let leaves = entries.iter().map(|e| serde_json::from_slice::<serde_json::Value>(&e.leaf).unwrap());
    let of_run: Vec<_> = leaves.filter(|leaf| leaf["run"] == run.as_str()).collect();
    let [.., held, signed, refused] = of_run.as_slice() else { panic!("{of_run:?}") };
    assert_eq!([held, signed, refused].map(|leaf| leaf["type"].as_u64().unwrap()), [15, 16, 8]);
    assert_eq!((&signed["role"], &refused["role"]), (&"steward".into(), &"gateway".into()));
    assert!(refused["time"].as_str().unwrap().starts_with(&clock.today().to_string()));
    stop.cancel();
    serving.await.unwrap().unwrap();
    world.end().await;
}
