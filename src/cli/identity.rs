//! `kpr identity`: the process that holds the vault and the keys.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Subcommand;
use kpr::app::system::{SystemClock, SystemEntropy};
use kpr::app::{identity, shutdown};
use kpr::config::IdentityConfig;

/// Arguments of `kpr identity`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the root secret that the configuration names; one that exists is never overwritten
    Init {
        /// The configuration file
        #[arg(long)]
        config: PathBuf,
    },
    /// Run the identity service
    Serve {
        /// The configuration file
        #[arg(long)]
        config: PathBuf,
    },
}

/// Runs `kpr identity`.
///
/// # Errors
/// Says what went wrong.
pub async fn run(args: Args) -> anyhow::Result<()> {
    match args.command {
        Command::Init { config } => {
            let config = IdentityConfig::load(&config)?;
            identity::init(&config, &SystemEntropy)?;
            println!("{}", config.root_secret.display());
        }
        Command::Serve { config } => {
            let config = IdentityConfig::load(&config)?;
            kpr::telemetry::init(None)?;
            let ready = |address| println!("listening on {address}");
            let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
            identity::run(&config, clock, entropy, shutdown::on_signal()?, ready).await?;
        }
    }
    Ok(())
}
