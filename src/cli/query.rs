//! `kpr query`: queries checked, submitted, watched and fetched.

use std::path::PathBuf;

use anyhow::bail;
use clap::Subcommand;
use comfy_table::Table;
use futures::StreamExt;
use kpr::domain::canonical::{Canonical, Digest};
use kpr::domain::disclosure_report::{DisclosureReport, NarrowRange};
use kpr::domain::ids::{RequestId, RunId};
use kpr::domain::query::Query;
use kpr::statistics::Format;
use kpr::store::Phase;
use kpr::wire::gateway_client::{GatewayClient, Progress};

use super::connection::{self, Connection};

/// Arguments of `kpr query`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say what would run, under which approval and rule; touches no data
    Check {
        /// The query, YAML or TOML
        #[arg(long)]
        file: PathBuf,
        #[command(flatten)]
        connection: Connection,
    },
    /// Start a query
    Submit {
        /// The query, YAML or TOML
        #[arg(long)]
        file: PathBuf,
        /// Your name for this submission: given again with the same query, it is the same submission
        #[arg(long, value_parser = |text: &str| RequestId::new(text))]
        request_id: RequestId,
        /// Wait until the result is released or refused
        #[arg(long)]
        wait: bool,
        #[command(flatten)]
        connection: Connection,
    },
    /// Show the phases of a run until it ends or waits for stewards
    Watch {
        /// The run, as `submit` prints it
        #[arg(value_parser = |text: &str| RunId::new(text))]
        run: RunId,
        #[command(flatten)]
        connection: Connection,
    },
    /// Show, to a steward, how much of a released table is withheld and its narrowest ranges
    Disclosure {
        /// The run
        #[arg(value_parser = |text: &str| RunId::new(text))]
        run: RunId,
        #[command(flatten)]
        connection: Connection,
    },
    /// Show why and under which conditions the indirectly identifiable records of a run are given, and their digest
    Conditions {
        /// The run
        #[arg(value_parser = |text: &str| RunId::new(text))]
        run: RunId,
        #[command(flatten)]
        connection: Connection,
    },
    /// Fetch the released result of a run
    Fetch {
        /// The run, as `submit` prints it
        #[arg(value_parser = |text: &str| RunId::new(text))]
        run: RunId,
        /// csv, json-stat2, arrow, parquet or report; of microdata, csv or report
        #[arg(long, default_value = "csv")]
        format: Format,
        /// The file to write; the standard output if left out
        #[arg(long)]
        out: Option<PathBuf>,
        /// Accept the conditions of indirectly identifiable records for your organisation: the digest that `conditions` prints
        #[arg(long, value_name = "DIGEST")]
        accept_conditions: Option<Digest>,
        #[command(flatten)]
        connection: Connection,
    },
}

/// Runs `kpr query`.
///
/// # Errors
/// Says what went wrong.
pub async fn run(args: Args) -> anyhow::Result<()> {
    match args.command {
        Command::Check { file, connection } => {
            let query: Query = connection::read(&file)?;
            let checked = connection.connect().await?.check(&query).await?;
            println!("query digest     {}", checked.query_digest);
            println!("approval digest  {}", checked.approval_digest);
            println!("rule             {}", checked.rule);
            println!("                 {}", checked.rule_text);
            println!("cells            {}", checked.cells);
            if let Some(budget) = checked.budget {
                println!("privacy loss     {} of a budget of {}", budget.cost, budget.allowance);
                match budget.left.minus(budget.cost) {
                    Some(after) => println!("budget left      {} before, {after} after", budget.left),
                    None => println!("budget left      {}: too little, it would be refused", budget.left),
                }
            }
            for (number, step) in checked.steps.iter().enumerate() {
                println!("{:>3}. {step}", number + 1);
            }
        }
        Command::Submit { file, request_id, wait, connection } => {
            let query: Query = connection::read(&file)?;
            let client = connection.connect().await?;
            let submission = client.submit(&request_id, &query).await?;
            println!("run           {}", submission.run);
            println!("query digest  {}", submission.query_digest);
            if wait {
                watch(&client, &submission.run).await?;
            }
        }
        Command::Watch { run, connection } => watch(&connection.connect().await?, &run).await?,
        Command::Disclosure { run, connection } => {
            show(&connection.connect().await?.disclosure_report(&run).await?);
        }
        Command::Conditions { run, connection } => {
            let terms = connection.connect().await?.conditions(&run).await?;
            println!("interest    {}", terms.interest);
            for (number, condition) in terms.conditions.iter().enumerate() {
                println!("{:>3}. {condition}", number + 1);
            }
            println!("digest      {}", terms.digest()?);
        }
        Command::Fetch { run, format, out, accept_conditions, connection } => {
            let client = connection.connect().await?;
            let bytes = match accept_conditions {
                Some(digest) => client.fetch_accepting(&run, format, digest).await?,
                None => client.fetch(&run, format).await?,
            };
            connection::write(out.as_deref(), &bytes)?;
        }
    }
    Ok(())
}

/// Prints what a steward is told of a table.
fn show(report: &DisclosureReport) {
    println!("rule              {}", report.rule);
    println!("counts            {}, of them {} small", report.counts, report.small);
    println!("withheld          {} counts with {} persons", report.withheld, report.persons_withheld);
    if report.narrowest.is_empty() {
        println!("No ranges were asked for: protected is against exact recovery only.");
        return;
    }
    let mut table = Table::new();
    table.set_header(["cell", "measure", "from", "to"]);
    for NarrowRange { codes, measure, low, high } in &report.narrowest {
        table.add_row([codes.join(", "), measure.to_string(), low.to_string(), high.to_string()]);
    }
    println!("The narrowest ranges that nobody can rule out:\n{table}");
}

/// Prints phases as they come, until the run ends or waits for stewards; an error if it ends without a release.
async fn watch(client: &GatewayClient, run: &RunId) -> anyhow::Result<()> {
    let mut phases = client.watch(run).await?;
    let mut last = None;
    while let Some(progress) = phases.next().await.transpose()? {
        println!("{}", progress.phase);
        if progress.phase == Phase::Held {
            println!(
                "The records wait for two stewards, for at most 30 days. Watch the run again to see what they decide."
            );
            return Ok(());
        }
        last = Some(progress);
    }
    match last {
        Some(Progress { phase: Phase::Released, .. }) => Ok(()),
        Some(Progress { phase: Phase::Refused | Phase::Failed, code, hint }) => bail!("{code}: {hint}"),
        _ => bail!("the gateway ended the watch before the run had ended; watch again"),
    }
}
