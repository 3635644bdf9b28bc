//! `kpr project`: approvals entered, signed and shown.

use std::path::PathBuf;

use clap::Subcommand;
use comfy_table::Table;
use kpr::domain::answer::ProjectState;
use kpr::domain::approval::{Approval, StewardSignature};
use kpr::domain::canonical::Canonical;
use kpr::domain::ids::{ProjectId, StewardId};
use kpr::wire::pki;

use super::connection::{self, Connection};

/// Arguments of `kpr project`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Enter an approval (as a steward); it is without force until two stewards have signed it
    Enter {
        /// The approval, YAML or TOML
        #[arg(long)]
        file: PathBuf,
        #[command(flatten)]
        connection: Connection,
    },
    /// Sign an approval (as a steward): the one in your own file, which must be the one entered
    Sign {
        /// The approval as you have read it, YAML or TOML
        #[arg(long)]
        file: PathBuf,
        /// Your steward id
        #[arg(long, value_parser = |text: &str| StewardId::new(text))]
        steward: StewardId,
        /// Your signing key, as `kpr pki steward-key` writes it
        #[arg(long)]
        signing_key: PathBuf,
        #[command(flatten)]
        connection: Connection,
    },
    /// Show a project's approval and signatures
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

/// Runs `kpr project`.
///
/// # Errors
/// Says what went wrong.
pub async fn run(args: Args) -> anyhow::Result<()> {
    match args.command {
        Command::Enter { file, connection } => {
            let approval: Approval = connection::read(&file)?;
            show(&connection.connect().await?.enter_project(&approval).await?);
        }
        Command::Sign { file, steward, signing_key, connection } => {
            let approval: Approval = connection::read(&file)?;
            let key = pki::read_signing_key(&signing_key)?;
            let signature = StewardSignature::sign(&approval, steward, &key)?;
            let client = connection.connect().await?;
            show(&client.sign_project(&approval.project, approval.digest()?, &signature).await?);
        }
        Command::Show { project, connection } => {
            let state = connection.connect().await?.project(&project).await?;
            show(&state);
            println!("\n{}", serde_saphyr::to_string(&state.approval.approval)?);
        }
        Command::List { connection } => {
            let mut table = Table::new();
            table.set_header(["project", "version", "title", "valid to", "signatures", "active"]);
            for state in connection.connect().await?.list_projects().await? {
                let approval = &state.approval.approval;
                table.add_row([
                    approval.project.to_string(),
                    approval.version.to_string(),
                    approval.title.clone(),
                    approval.valid.to().to_string(),
                    signed_by(&state),
                    yes(state.active).to_owned(),
                ]);
            }
            println!("{table}");
        }
    }
    Ok(())
}

fn show(state: &ProjectState) {
    println!("project    {}", state.approval.approval.project);
    println!("version    {}", state.approval.approval.version);
    println!("digest     {}", state.digest);
    println!("signed by  {}", signed_by(state));
    println!("active     {}", yes(state.active));
}

fn signed_by(state: &ProjectState) -> String {
    let names: Vec<_> = state.approval.signatures.iter().map(|s| s.steward.as_str()).collect();
    if names.is_empty() { "nobody yet".to_owned() } else { names.join(", ") }
}

const fn yes(flag: bool) -> &'static str {
    if flag { "yes" } else { "no" }
}
