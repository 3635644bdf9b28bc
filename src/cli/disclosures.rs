//! `kpr disclosures`: the overview of disclosures.

use std::collections::BTreeSet;

use clap::Subcommand;
use comfy_table::Table;
use kpr::domain::overview::{Disclosure, DisclosureFacts, Source};
use kpr::domain::person::{Correction, CorrectionOf};
use kpr::domain::query::Answer;
use kpr::wire::gateway_client::ClientError;

use super::connection::Connection;

/// Arguments of `kpr disclosures`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List who received what, on which legal basis, about whom
    List {
        #[command(flatten)]
        connection: Connection,
    },
    /// List the corrections that persons have asked for
    Corrections {
        #[command(flatten)]
        connection: Connection,
    },
    /// As a sender of deliveries: fetch the corrections that persons have asked you for
    Fetch {
        /// The number of the last one that you have; all of them if not given
        #[arg(long)]
        after: Option<u64>,
        #[command(flatten)]
        connection: Connection,
    },
    /// List the person numbers that may not be released with identity, for the register keeper's own route (4-5)
    Reservations {
        #[command(flatten)]
        connection: Connection,
    },
}

/// Runs `kpr disclosures`.
///
/// # Errors
/// Says what went wrong.
pub async fn run(args: Args) -> anyhow::Result<()> {
    match args.command {
        Command::List { connection } => {
            let client = connection.connect().await?;
            let mut table = Table::new();
            table.set_header([
                "receipt",
                "day",
                "recipient",
                "project",
                "purpose",
                "legal basis",
                "result",
                "about",
                "made from",
            ]);
            let mut after = None;
            loop {
                let page = client.disclosures(after).await?;
                let Some(last) = page.last() else { break };
                after = Some(last.receipt);
                for disclosure in &page {
                    table.add_row(row(disclosure));
                }
            }
            println!("{table}");
        }
        Command::Corrections { connection } => {
            let client = connection.connect().await?;
            show_all(None, async |after| client.corrections(after).await).await?;
        }
        Command::Fetch { after, connection } => {
            let client = connection.connect().await?;
            show_all(after, async |after| client.fetch_corrections(after).await).await?;
        }
        Command::Reservations { connection } => {
            for person in connection.connect().await?.reservations().await? {
                println!("{}", person.0);
            }
        }
    }
    Ok(())
}

/// All corrections after a number, page by page.
async fn show_all(
    mut after: Option<u64>,
    page: impl AsyncFn(Option<u64>) -> Result<Vec<Correction>, ClientError>,
) -> anyhow::Result<()> {
    loop {
        let page = page(after).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.entry);
        page.iter().for_each(show);
    }
}

/// A correction: where, then in the person's words.
fn show(asked: &Correction) {
    let CorrectionOf { delivery, dataset, record, field } = &asked.of;
    let record = record.as_ref().map(|key| format!(", record {key}")).unwrap_or_default();
    let field = field.as_ref().map(|name| format!(", {name}")).unwrap_or_default();
    let (number, day, sender) = (asked.entry, asked.asked.format("%Y-%m-%d"), &asked.sender);
    println!("{number} {day} {dataset} of delivery {delivery} from {sender}{record}{field}");
    asked.text.lines().for_each(|line| println!("    {line}"));
}

fn row(disclosure: &Disclosure) -> [String; 9] {
    let facts = &disclosure.facts;
    [
        disclosure.receipt.to_string(),
        disclosure.day.to_string(),
        facts.recipient.to_string(),
        facts.project.to_string(),
        facts.purpose.as_str().to_owned(),
        facts.legal_basis.clone(),
        kind(facts).to_owned(),
        facts.population.to_string(),
        made_from(&facts.sources),
    ]
}

/// What kind of result it is.
pub(super) fn kind(facts: &DisclosureFacts) -> &'static str {
    match (facts.result, facts.conditions) {
        (Answer::Table, _) => "table",
        (Answer::Microdata, None) => "anonymous records",
        (Answer::Microdata, Some(_)) => "indirectly identifiable records",
        (Answer::Feed, _) => "feed, with identity",
    }
}

/// The datasets that something was made from.
pub(super) fn made_from(sources: &BTreeSet<Source>) -> String {
    let names: Vec<_> = sources.iter().map(|s| format!("{} {}", s.register, s.dataset)).collect();
    names.join(", ")
}
