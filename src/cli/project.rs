//! `kpr project`: the life of projects, from an application to its end, and what they cost.

mod show;

use std::path::PathBuf;

use chrono::NaiveDate;
use clap::Subcommand;
use kpr::domain::approval::{Approval, StewardSignature};
use kpr::domain::canonical::Canonical;
use kpr::domain::ids::{ProjectId, RequestId};
use kpr::domain::lifecycle::Step;
use kpr::domain::words::Words;
use kpr::wire::pki;

use super::connection::{self, Connection};
use super::steward::Steward;

/// Arguments of `kpr project`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Enter the approval that an application asks for (as a steward); it is without force until it is complete and signed
    Enter {
        /// The approval, YAML or TOML
        #[arg(long)]
        file: PathBuf,
        /// The day the application was received, YYYY-MM-DD [default: today]
        #[arg(long)]
        received: Option<NaiveDate>,
        #[command(flatten)]
        connection: Connection,
    },
    /// Record that something is missing in an application
    Incomplete {
        #[command(flatten)]
        version: Version,
        /// What is missing
        #[arg(long, value_parser = words)]
        missing: Words,
        #[command(flatten)]
        connection: Connection,
    },
    /// Mark an application complete: the 30 or 60 working days to answer it begin
    Complete {
        #[command(flatten)]
        version: Version,
        /// The day it was complete, YYYY-MM-DD
        #[arg(long)]
        day: NaiveDate,
        #[command(flatten)]
        connection: Connection,
    },
    /// Sign an approval (as a steward): the one in your own file, which must be the one entered
    Sign {
        /// The approval as you have read it, YAML or TOML
        #[arg(long)]
        file: PathBuf,
        #[command(flatten)]
        steward: Steward,
        #[command(flatten)]
        connection: Connection,
    },
    /// Record a preliminary answer: that the final one takes longer, why, and when it is likely
    Answer {
        #[command(flatten)]
        version: Version,
        /// Why it takes longer
        #[arg(long, value_parser = words)]
        reason: Words,
        /// The day on which an answer is likely, YYYY-MM-DD
        #[arg(long)]
        likely: NaiveDate,
        #[command(flatten)]
        connection: Connection,
    },
    /// Reject an application
    Reject {
        #[command(flatten)]
        version: Version,
        /// Why
        #[arg(long, value_parser = words)]
        reason: Words,
        #[command(flatten)]
        connection: Connection,
    },
    /// Record that the applicant has withdrawn an application
    Withdraw {
        #[command(flatten)]
        version: Version,
        /// Why
        #[arg(long, value_parser = words)]
        reason: Words,
        #[command(flatten)]
        connection: Connection,
    },
    /// Suspend a project at once: its queries stop and nothing more is released or fetched
    Suspend(Stop),
    /// Lift the suspension of a project
    Lift(Stop),
    /// Close a project at once and for good: as suspend, and held microdata are erased
    Close(Stop),
    /// List the applications that wait for an answer, the most urgent first (as a steward or auditor)
    Worklist {
        #[command(flatten)]
        connection: Connection,
    },
    /// Register hours that you have worked on a project
    Hours {
        /// The project
        #[arg(value_parser = |text: &str| ProjectId::new(text))]
        project: ProjectId,
        /// Your own name for this entry; the same entry again is not registered twice
        #[arg(long, value_parser = |text: &str| RequestId::new(text))]
        entry: RequestId,
        /// The day, YYYY-MM-DD
        #[arg(long)]
        day: NaiveDate,
        /// How many minutes; less than nothing takes back what you registered on that day
        #[arg(long, allow_negative_numbers = true)]
        minutes: i32,
        /// What you worked at
        #[arg(long, value_parser = words)]
        what: Words,
        #[command(flatten)]
        connection: Connection,
    },
    /// State what a project has cost: machine work and registered hours at the configured rates
    Cost {
        /// The project
        #[arg(value_parser = |text: &str| ProjectId::new(text))]
        project: ProjectId,
        #[command(flatten)]
        connection: Connection,
    },
    /// Show a project's approval, signatures and history
    Show {
        /// The project
        #[arg(value_parser = |text: &str| ProjectId::new(text))]
        project: ProjectId,
        #[command(flatten)]
        connection: Connection,
    },
    /// List all projects (as a steward or auditor)
    List {
        #[command(flatten)]
        connection: Connection,
    },
}

/// An application.
#[derive(Debug, clap::Args)]
struct Version {
    /// The project
    #[arg(value_parser = |text: &str| ProjectId::new(text))]
    project: ProjectId,
    /// The version of its approval that is applied for
    #[arg(long)]
    version: u32,
}

/// A step of a whole project.
#[derive(Debug, clap::Args)]
struct Stop {
    /// The project
    #[arg(value_parser = |text: &str| ProjectId::new(text))]
    project: ProjectId,
    /// Why; recipients can read it
    #[arg(long, value_parser = words)]
    reason: Words,
    #[command(flatten)]
    connection: Connection,
}

fn words(text: &str) -> Result<Words, String> {
    Words::new(text).map_err(|rule| rule.to_string())
}

/// Runs `kpr project`.
///
/// # Errors
/// Says what went wrong.
pub async fn run(args: Args) -> anyhow::Result<()> {
    match args.command {
        Command::Enter { file, received, connection } => {
            let approval: Approval = connection::read(&file)?;
            show::state(&connection.connect().await?.enter_project(&approval, received).await?);
        }
        Command::Sign { file, steward, connection } => {
            let approval: Approval = connection::read(&file)?;
            let key = pki::read_signing_key(&steward.signing_key)?;
            let signature = StewardSignature::sign(&approval, steward.steward, &key)?;
            let client = connection.connect().await?;
            show::state(&client.sign_project(&approval.project, approval.digest()?, &signature).await?);
        }
        Command::Incomplete { version: Version { project, version }, missing, connection } => {
            record(&connection, &project, Step::Incomplete { version, missing }).await?;
        }
        Command::Complete { version: Version { project, version }, day, connection } => {
            record(&connection, &project, Step::Complete { version, day }).await?;
        }
        Command::Answer { version: Version { project, version }, reason, likely, connection } => {
            record(&connection, &project, Step::Preliminary { version, reason, likely }).await?;
        }
        Command::Reject { version: Version { project, version }, reason, connection } => {
            record(&connection, &project, Step::Rejected { version, reason }).await?;
        }
        Command::Withdraw { version: Version { project, version }, reason, connection } => {
            record(&connection, &project, Step::Withdrawn { version, reason }).await?;
        }
        Command::Suspend(Stop { project, reason, connection }) => {
            record(&connection, &project, Step::Suspended { reason }).await?;
        }
        Command::Lift(Stop { project, reason, connection }) => {
            record(&connection, &project, Step::Lifted { reason }).await?;
        }
        Command::Close(Stop { project, reason, connection }) => {
            record(&connection, &project, Step::Closed { reason }).await?;
        }
        Command::Worklist { connection } => show::worklist(&connection.connect().await?.worklist().await?),
        Command::Hours { project, entry, day, minutes, what, connection } => {
            let client = connection.connect().await?;
            let new = client.register_hours(&project, &entry, (day, minutes), &what).await?;
            println!("{}", if new { "registered" } else { "registered before; nothing is added" });
        }
        Command::Cost { project, connection } => {
            show::cost(&connection.connect().await?.cost(&project).await?);
        }
        Command::Show { project, connection } => {
            let state = connection.connect().await?.project(&project).await?;
            show::state(&state);
            show::history(&state);
            println!("\n{}", serde_saphyr::to_string(&state.approval.approval)?);
        }
        Command::List { connection } => show::list(&connection.connect().await?.list_projects().await?),
    }
    Ok(())
}

async fn record(connection: &Connection, project: &ProjectId, step: Step) -> anyhow::Result<()> {
    show::state(&connection.connect().await?.record_step(project, &step).await?);
    Ok(())
}
