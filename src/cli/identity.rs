//! `kpr identity`: the process that holds the vault and the keys.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Subcommand;
use comfy_table::Table;
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
    /// Seal the vault anew under the root secret that the configuration names, while the service is stopped
    Rotate {
        /// The configuration file
        #[arg(long)]
        config: PathBuf,
    },
    /// Destroy an older version of the root secret, while the service is stopped; refused while anything needs it
    Destroy {
        /// The version
        #[arg(long)]
        version: u32,
        /// The configuration file, which still names it
        #[arg(long)]
        config: PathBuf,
    },
    /// Show what was done with versions of the root secret, while the service is stopped
    Keys {
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
        Command::Rotate { config } => {
            let config = IdentityConfig::load(&config)?;
            let bar = indicatif::ProgressBar::no_length();
            let rotated = identity::rotate(&config, &SystemClock, |done, total| {
                bar.set_length(total);
                bar.set_position(done);
            });
            let rotated = rotated.await?;
            bar.finish_and_clear();
            let version = config.root_version;
            if rotated {
                println!("the vault is sealed under version {version} of the root secret");
            } else {
                println!(
                    "nothing to do: the vault is sealed under version {version} of the root secret already"
                );
            }
        }
        Command::Destroy { version, config } => {
            let config = IdentityConfig::load(&config)?;
            let file = identity::destroy(&config, version, &SystemClock).await?;
            println!(
                "version {version} is destroyed and {} erased; take it out of the configuration, and destroy its shares",
                file.display()
            );
        }
        Command::Keys { config } => {
            let mut table = Table::new();
            table.set_header(["at", "version", "act", "check value"]);
            for event in identity::key_events(&IdentityConfig::load(&config)?, &SystemClock).await? {
                table.add_row([event.at, event.version.to_string(), event.act, event.check_value]);
            }
            println!("{table}");
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
