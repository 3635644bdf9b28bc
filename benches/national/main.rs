//! The national question, whole: deliveries, ingest, linkage and the protected question in the three real
//! processes, beside DuckDB computing the same cells and margins over the same Parquet files.
//!
//! `cargo bench --bench national` makes 5.5 million persons under `target/national` at first and uses them
//! again later; `-- --persons 20000 --folder DIR --runs 3` for less. It needs Python with `venv`, and takes
//! `duckdb` from PyPI.
//!
//! Linking is from the partner's order to mapped rows, the question from mapped rows to a released table:
//! counting, protection, audit receipt. Both are told by the phases that the client sees.

mod data;
mod peer;

use std::error::Error;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Parser;
use futures::StreamExt;
use kpr::app::stage::{Process, Running, Stage, example_approval, example_query};
use kpr::app::system::SystemClock;
use kpr::domain::clock::Clock;
use kpr::domain::ids::{RequestId, RunId};
use kpr::domain::lifecycle::Step;
use kpr::domain::query::Query;
use kpr::statistics::Format;
use kpr::store::Phase;
use kpr::wire::gateway_client::GatewayClient;

type Fallible<T> = Result<T, Box<dyn Error>>;

#[derive(Debug, Parser)]
struct Args {
    /// How many persons live in the country
    #[arg(long, default_value_t = 5_500_000)]
    persons: u32,
    /// How often the question is asked of each, after one time to warm up
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// The least range of a small count, as the rule has it: 0 for exact protection only
    #[arg(long)]
    min_range: Option<u32>,
    /// Where deliveries, registers and the peer are kept
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/target/national"))]
    folder: PathBuf,
    /// What `cargo bench` adds
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main]
async fn main() -> Fallible<()> {
    let args = Args::parse();
    let stage = data::prepare(&args.folder, args.persons).await?;
    let query = example_query()?;
    let linked = peer::linked_rows(&stage, &args.folder, &query).await?;
    let mut peer = peer::Peer::start(&stage, &args.folder, &linked, &query)?;

    if let Some(min_range) = args.min_range {
        ranges(&stage, min_range)?;
    }
    let identity = stage.start(Process::Identity).await?;
    let gateway = stage.start(Process::Gateway).await?;
    let npr = stage.start(Process::Npr).await?;
    approve(&stage).await?;
    let researcher = GatewayClient::connect(&stage.gateway(), &stage.tls("researcher")).await?;
    let mut rows = Vec::new();
    for number in 0..=args.runs {
        let Asked { run, linking, counting, question } = ask(&researcher, &query, number).await?;
        let duckdb = peer.ask()?;
        let ratio = question.as_secs_f64() / duckdb.as_secs_f64();
        let name = if number == 0 { "warm-up".to_owned() } else { format!("run {number}") };
        println!(
            "{name:<8} linking {:>7.2} s   counting {:>7.3} s   question {:>7.3} s   DuckDB {:>7.3} s   ratio {ratio:.2}",
            linking.as_secs_f64(),
            counting.as_secs_f64(),
            question.as_secs_f64(),
            duckdb.as_secs_f64(),
        );
        let compared = peer.compare(&researcher.fetch(&run, Format::Csv).await?)?;
        if number == 0 {
            println!("{compared}");
        } else {
            rows.push((ratio, linking));
        }
    }
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    let least = rows.first().map_or(f64::NAN, |r| r.0);
    let median = rows.get(rows.len() / 2).map_or(f64::NAN, |r| r.0);
    let longest = rows.iter().map(|r| r.1).max().unwrap_or_default();
    println!("ratio to DuckDB {}: least {least:.2}, median {median:.2}", peer.version());
    println!("linking: at most {:.2} s", longest.as_secs_f64());
    for process in [npr, gateway, identity] {
        report(process).await;
    }
    Ok(())
}

/// Gives the rules of the stage's policies ranges of this width.
fn ranges(stage: &Stage, min_range: u32) -> Fallible<()> {
    let path = stage.path("policies/disclosure.toml");
    let rules = std::fs::read_to_string(&path)?;
    let stated = format!("[[rules]]\nmin_range = {min_range}\nid = \"tables-");
    Ok(std::fs::write(path, rules.replace("[[rules]]\nid = \"tables-", &stated))?)
}

async fn approve(stage: &Stage) -> Fallible<()> {
    let approval = example_approval()?;
    let anna = GatewayClient::connect(&stage.gateway(), &stage.tls("anna")).await?;
    let bjorn = GatewayClient::connect(&stage.gateway(), &stage.tls("bjorn")).await?;
    let digest = anna.enter_project(&approval, None).await?.digest;
    let complete = Step::Complete { version: approval.version, day: SystemClock.today() };
    anna.record_step(&approval.project, &complete).await?;
    anna.sign_project(&approval.project, digest, &stage.sign(&approval, "anna")?).await?;
    bjorn.sign_project(&approval.project, digest, &stage.sign(&approval, "bjorn")?).await?;
    stage.partner_approves(&approval).await?;
    Ok(())
}

/// How long the parts of a run took.
struct Asked {
    run: RunId,
    /// From the order to mapped rows.
    linking: Duration,
    /// From mapped rows to counted cells.
    counting: Duration,
    /// From mapped rows to the released table.
    question: Duration,
}

/// Asks once.
async fn ask(client: &GatewayClient, query: &Query, number: usize) -> Fallible<Asked> {
    let run = client.submit(&RequestId::new(format!("bench-{number}"))?, query).await?.run;
    let mut phases = client.watch(&run).await?;
    let start = Instant::now();
    let (mut linking, mut executing, mut protecting) = (start, start, start);
    while let Some(progress) = phases.next().await {
        let progress = progress?;
        match progress.phase {
            Phase::Linking => linking = Instant::now(),
            Phase::Executing => executing = Instant::now(),
            Phase::Protecting => protecting = Instant::now(),
            Phase::Released => {
                return Ok(Asked {
                    run,
                    linking: executing - linking,
                    counting: protecting - executing,
                    question: executing.elapsed(),
                });
            }
            Phase::Refused | Phase::Failed => {
                return Err(format!("{}: {}", progress.code, progress.hint).into());
            }
            Phase::Authorised | Phase::Held => {}
        }
    }
    Err("the run has no end".into())
}

/// The most memory a process has used, and its end.
async fn report(process: Running) {
    let status = process.id().and_then(|id| std::fs::read_to_string(format!("/proc/{id}/status")).ok());
    let peak = status.as_deref().and_then(|s| s.lines().find_map(|line| line.strip_prefix("VmHWM:")));
    println!("{}: at most{}", process.process().name(), peak.unwrap_or(" (unknown)"));
    process.stop().await;
}
