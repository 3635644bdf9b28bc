//! `kpr microdata`: microdata that wait for two stewards, listed, signed and refused.

use anyhow::Context;
use clap::Subcommand;
use comfy_table::Table;
use kpr::domain::held::{HeldRefusal, HeldResult};
use kpr::domain::ids::{RunId, StewardId};
use kpr::domain::microdata::Identifiable;
use kpr::wire::gateway_client::GatewayClient;
use kpr::wire::pki;

use super::connection::Connection;
use super::steward::Steward;

/// Arguments of `kpr microdata`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the microdata that wait for stewards
    Held {
        #[command(flatten)]
        connection: Connection,
    },
    /// Show the report of risk and loss on what waits
    Show {
        /// The run
        #[arg(value_parser = |text: &str| RunId::new(text))]
        run: RunId,
        #[command(flatten)]
        connection: Connection,
    },
    /// Sign, having read the report, that they may be released; the second steward's signature releases them
    Sign {
        /// The run
        #[arg(value_parser = |text: &str| RunId::new(text))]
        run: RunId,
        /// The digest of the report you have read, as `show` prints it
        #[arg(long)]
        report: String,
        #[command(flatten)]
        steward: Steward,
        #[command(flatten)]
        connection: Connection,
    },
    /// Refuse them: the run ends and the records are erased
    Refuse {
        /// The run
        #[arg(value_parser = |text: &str| RunId::new(text))]
        run: RunId,
        /// risk, loss or need
        #[arg(long, value_parser = reason)]
        reason: HeldRefusal,
        #[command(flatten)]
        connection: Connection,
    },
}

fn reason(text: &str) -> Result<HeldRefusal, String> {
    let found = HeldRefusal::ALL.into_iter().find(|reason| reason.as_str() == text);
    found.ok_or_else(|| "must be risk (too high), loss (too much) or need (none for records)".to_owned())
}

/// Runs `kpr microdata`.
///
/// # Errors
/// Says what went wrong.
pub async fn run(args: Args) -> anyhow::Result<()> {
    match args.command {
        Command::Held { connection } => {
            let mut table = Table::new();
            table.set_header(["run", "project", "organisation", "title", "records", "lapses", "signed by"]);
            for held in connection.connect().await?.held().await? {
                table.add_row([
                    held.statement.run.to_string(),
                    held.project.to_string(),
                    held.organisation.to_string(),
                    held.title.clone(),
                    held.risk.rows.to_string(),
                    held.lapses.to_string(),
                    signed_by(&held),
                ]);
            }
            println!("{table}");
        }
        Command::Show { run, connection } => show(&find(&connection.connect().await?, &run).await?),
        Command::Sign { run, report, steward, connection } => {
            let key = pki::read_signing_key(&steward.signing_key)?;
            let client = connection.connect().await?;
            let statement = find(&client, &run).await?.statement;
            anyhow::ensure!(
                statement.risk.to_string() == report,
                "what waits has another report than the one with this digest; show it and read it again"
            );
            let signature = statement.sign(steward.steward, &key)?;
            let released = client.sign_held(&statement, &signature).await?;
            println!("{}", if released { "released" } else { "signed; another steward must sign too" });
        }
        Command::Refuse { run, reason, connection } => {
            connection.connect().await?.refuse_held(&run, reason).await?;
            println!("refused and erased");
        }
    }
    Ok(())
}

async fn find(client: &GatewayClient, run: &RunId) -> anyhow::Result<HeldResult> {
    let held = client.held().await?.into_iter().find(|held| held.statement.run == *run);
    held.context("no microdata of this run wait for stewards; `kpr microdata held` lists those that do")
}

fn signed_by(held: &HeldResult) -> String {
    let names: Vec<_> = held.signed_by.iter().map(StewardId::as_str).collect();
    if names.is_empty() { "nobody yet".to_owned() } else { names.join(", ") }
}

/// Thousandths as a number with three decimals.
fn thousandths(number: u64) -> String {
    format!("{}.{:03}", number / 1000, number % 1000)
}

fn show(held: &HeldResult) {
    let risk = &held.risk;
    println!("run            {}", held.statement.run);
    println!("project        {}", held.project);
    println!("organisation   {}", held.organisation);
    println!("title          {}", held.title);
    println!("waits since    {}, lapses after {}", held.held.format("%Y-%m-%d"), held.lapses);
    println!("signed by      {}", signed_by(held));
    println!("result digest  {}", held.statement.result);
    println!("report digest  {}", held.statement.risk);
    println!(
        "\nrecords        {}, of them suppressed {} (at most {})",
        risk.rows, risk.suppressed, risk.suppressed_limit
    );
    println!("classes        {}, the smallest of {} records", risk.classes, risk.smallest);
    println!("larger classes asked for {} times", risk.steps);
    println!("prosecutor risk {} in a million", risk.prosecutor_ppm);
    println!(
        "marketer risk   {} in a million, {} records named right on average",
        risk.marketer_ppm, risk.expected_reidentified
    );
    println!("loss           {}; discernibility {}", thousandths(risk.loss_permille), risk.discernibility);
    if let Some(identifiable) = &risk.identifiable {
        let Identifiable { unique, small, in_small, terms } = identifiable;
        println!(
            "\nThe records are given as the approval grants them: {unique} are alone with their quasi-identifiers, and \
             {in_small} are in groups of fewer than {small}.\ninterest       {}",
            terms.interest
        );
        for condition in &terms.conditions {
            println!("condition      {condition}");
        }
    }
    let mut classes = Table::new();
    classes.set_header(["size of class from", "classes", "records"]);
    for size in &risk.sizes {
        classes.add_row([size.from, size.classes, size.rows].map(|n| n.to_string()));
    }
    let mut levels = Table::new();
    levels.set_header(["quasi-identifier", "level", "highest", "loss"]);
    for variable in &risk.generalised {
        levels.add_row([
            variable.variable.to_string(),
            variable.level.to_string(),
            variable.highest.to_string(),
            thousandths(variable.loss_permille),
        ]);
    }
    let mut sensitive = Table::new();
    sensitive.set_header(["sensitive", "l asked", "largest share", "distinct", "entropy l", "skewness"]);
    for variable in &risk.sensitive {
        sensitive.add_row([
            variable.variable.to_string(),
            variable.asked.map_or_else(|| "none".to_owned(), |l| l.to_string()),
            thousandths(variable.largest_share_permille),
            variable.distinct.to_string(),
            thousandths(variable.entropy_l_milli),
            thousandths(variable.skewness_permille),
        ]);
    }
    println!("\n{classes}\n{levels}\n{sensitive}");
}
