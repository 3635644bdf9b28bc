//! `kpr witness`: a process that cosigns the checkpoints of an audit log.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use clap::Subcommand;
use kpr::app::system::{SystemClock, SystemEntropy};
use kpr::app::{shutdown, witness};
use kpr::audit::WitnessLink;
use kpr::config::WitnessConfig;
use kpr::wire::witness_client::WitnessChannel;

use super::connection::{Shown, write};

/// Arguments of `kpr witness`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the key and the empty state that the configuration names, and print the key that verifies
    Init {
        /// The configuration file
        #[arg(long)]
        config: PathBuf,
    },
    /// Run the witness
    Serve {
        /// The configuration file
        #[arg(long)]
        config: PathBuf,
    },
    /// Fetch the checkpoint that a witness holds, for `kpr audit verify --checkpoint`
    Held {
        /// The witness's address
        #[arg(long)]
        witness: SocketAddr,
        /// The file to write; the standard output if not given
        #[arg(long)]
        out: Option<PathBuf>,
        #[command(flatten)]
        shown: Shown,
    },
}

/// Runs `kpr witness`.
///
/// # Errors
/// Says what went wrong.
pub async fn run(args: Args) -> anyhow::Result<()> {
    match args.command {
        Command::Init { config } => {
            println!("{}", witness::init(&WitnessConfig::load(&config)?, &SystemEntropy)?);
        }
        Command::Serve { config } => {
            let config = WitnessConfig::load(&config)?;
            kpr::telemetry::init(None)?;
            let ready = |address| println!("listening on {address}");
            witness::run(&config, Arc::new(SystemClock), shutdown::on_signal()?, ready).await?;
        }
        Command::Held { witness, out, shown } => {
            let held = WitnessChannel::new(&shown.peer(witness), &shown.files()?)?.held().await?;
            write(out.as_deref(), held.context("the witness has seen no checkpoint yet")?.as_bytes())?;
        }
    }
    Ok(())
}
