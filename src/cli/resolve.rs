//! `kpr resolve`: a serial number of released records, or the list of reservations, resolved by two stewards together.

use std::io::Write;
use std::net::SocketAddr;

use anyhow::Context;
use chrono::SubsecRound;
use clap::Subcommand;
use comfy_table::Table;
use kpr::app::system::SystemClock;
use kpr::domain::canonical::{Canonical, Digest};
use kpr::domain::clock::Clock;
use kpr::domain::ids::{ProjectId, RunId, StewardId};
use kpr::domain::microdata::SerialNumber;
use kpr::domain::resolution::{ResolutionReason, ResolutionStatement, Subject};
use kpr::wire::identity_client::IdentityLink;
use kpr::wire::pki;

use super::connection::{Connection, Shown};
use super::steward::Steward;

/// Arguments of `kpr resolve`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Ask, as the first steward, that a serial number be resolved
    Ask {
        /// The project that received the records
        #[arg(long, value_parser = |text: &str| ProjectId::new(text))]
        project: ProjectId,
        /// The run whose records they are
        #[arg(long, value_parser = |text: &str| RunId::new(text))]
        run: RunId,
        /// The serial number, as it stands in the records
        #[arg(long)]
        serial: String,
        /// health_risk, correction or withdrawal
        #[arg(long, value_parser = reason)]
        reason: ResolutionReason,
        #[command(flatten)]
        steward: Steward,
        #[command(flatten)]
        connection: Connection,
    },
    /// Ask, as the first steward, who they are that have reserved themselves against release with identity (4-5)
    Reservations {
        #[command(flatten)]
        steward: Steward,
        #[command(flatten)]
        connection: Connection,
    },
    /// List the resolutions that wait for a second steward
    List {
        #[command(flatten)]
        connection: Connection,
    },
    /// Sign, as the second steward, what another has asked for
    Sign {
        /// The digest of the statement, as `list` prints it
        statement: Digest,
        #[command(flatten)]
        steward: Steward,
        #[command(flatten)]
        connection: Connection,
    },
    /// Collect the answer at the identity service, as the second steward, within a day; it is given once
    Collect {
        /// The digest of the statement
        statement: Digest,
        /// The identity service's address, for example 127.0.0.1:7441
        #[arg(long)]
        identity: SocketAddr,
        #[command(flatten)]
        shown: Shown,
    },
}

fn reason(text: &str) -> Result<ResolutionReason, String> {
    let found = ResolutionReason::ALL.into_iter().find(|reason| reason.as_str() == text);
    found.ok_or_else(|| "must be health_risk, correction or withdrawal".to_owned())
}

/// Runs `kpr resolve`.
///
/// # Errors
/// Says what went wrong.
pub async fn run(args: Args) -> anyhow::Result<()> {
    match args.command {
        Command::Ask { project, run, serial, reason, steward, connection } => {
            let (serial, asked) = (SerialNumber::try_from(serial)?, SystemClock.now().trunc_subsecs(0));
            let subject = Subject::Serial { project, run, serial, reason };
            sign(&ResolutionStatement { subject, asked }, steward, &connection).await?;
        }
        Command::Reservations { steward, connection } => {
            let subject = listed(&connection).await?;
            let asked = SystemClock.now().trunc_subsecs(0);
            sign(&ResolutionStatement { subject, asked }, steward, &connection).await?;
        }
        Command::List { connection } => {
            let mut table = Table::new();
            table.set_header([
                "statement",
                "project",
                "run",
                "serial number",
                "reason",
                "asked",
                "signed by",
            ]);
            for waiting in connection.connect().await?.waiting_resolutions().await? {
                let signed_by: Vec<_> = waiting.signed_by.iter().map(StewardId::as_str).collect();
                let statement = &waiting.statement;
                let [project, run, serial] = match &statement.subject {
                    Subject::Serial { project, run, serial, .. } => {
                        [project.to_string(), run.to_string(), serial.to_string()]
                    }
                    Subject::Reservations { .. } => Default::default(),
                };
                table.add_row([
                    statement.digest()?.to_string(),
                    project,
                    run,
                    serial,
                    statement.subject.reason().to_owned(),
                    statement.asked.to_rfc3339(),
                    signed_by.join(", "),
                ]);
            }
            println!("{table}");
        }
        Command::Sign { statement, steward, connection } => {
            let all = connection.connect().await?.waiting_resolutions().await?;
            let mut found = all.into_iter().map(|waiting| waiting.statement);
            let found = found.find(|waiting| waiting.digest().is_ok_and(|digest| digest == statement));
            let found = found.context("no such resolution waits; `kpr resolve list` lists those that do")?;
            if matches!(found.subject, Subject::Reservations { .. }) {
                anyhow::ensure!(
                    listed(&connection).await? == found.subject,
                    "the list of reservations is another one now; ask for that with `kpr resolve reservations`"
                );
            }
            sign(&found, steward, &connection).await?;
        }
        Command::Collect { statement, identity, shown } => {
            let link = IdentityLink::new(&shown.peer(identity), &shown.files()?)?;
            let mut out = std::io::stdout().lock();
            for number in link.collect_resolution(&statement).await? {
                out.write_all(&number)?;
                out.write_all(b"\n")?;
            }
        }
    }
    Ok(())
}

/// The list of reservations as it is now. Says how many are on it.
async fn listed(connection: &Connection) -> anyhow::Result<Subject> {
    let persons = connection.connect().await?.reservations().await?;
    println!("{} persons are on the list of reservations", persons.len());
    Ok(Subject::list(&persons))
}

async fn sign(statement: &ResolutionStatement, by: Steward, connection: &Connection) -> anyhow::Result<()> {
    let key = pki::read_signing_key(&by.signing_key)?;
    let signature = statement.sign(by.steward, &key)?;
    let handed_over = connection.connect().await?.sign_resolution(statement, &signature).await?;
    let digest = statement.digest()?;
    if handed_over {
        println!("{digest} is at the identity service: collect it there within a day");
    } else {
        println!("{digest} is signed; another steward must sign too");
    }
    Ok(())
}
