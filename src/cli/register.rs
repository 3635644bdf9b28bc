//! `kpr register`: a partner's register node.

use std::path::PathBuf;

use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use kpr::app::{register, shutdown};
use kpr::config::RegisterConfig;
use kpr::partner::{self, LoadOptions, LoadReport};
use kpr::telemetry;

/// Arguments of `kpr register`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Load a delivery into the register's own database, whole or not at all
    Load {
        /// The configuration of the register node
        #[arg(long)]
        config: PathBuf,
        /// The folder of the delivery
        #[arg(long)]
        delivery: PathBuf,
        /// Refuse the delivery if more than this share of a file's lines is faulty, in percent
        #[arg(long, default_value_t = 5.0)]
        most_faults: f64,
    },
    /// Run the register node: wait for linkage orders and answer them
    Serve {
        /// The configuration of the register node
        #[arg(long)]
        config: PathBuf,
    },
}

/// Runs `kpr register`.
///
/// # Errors
/// Says what went wrong.
pub async fn run(args: Args) -> anyhow::Result<()> {
    match args.command {
        Command::Load { config, delivery, most_faults } => {
            let config = RegisterConfig::load(&config)?;
            let options = LoadOptions {
                register: config.register,
                database: config.database,
                most_faults_percent: most_faults,
            };
            let bar = ProgressBar::new_spinner()
                .with_style(ProgressStyle::with_template("{spinner} {human_pos} episodes, {elapsed}")?);
            let report = partner::load(&delivery, &options, &|episodes| bar.set_position(episodes)).await?;
            bar.finish_and_clear();
            show(&report);
        }
        Command::Serve { config } => {
            telemetry::init(None)?;
            let config = RegisterConfig::load(&config)?;
            register::run(config, shutdown::on_signal()?).await?;
        }
    }
    Ok(())
}

fn show(report: &LoadReport) {
    if report.already_loaded {
        println!("already loaded with {} episodes; nothing changed", report.episodes);
        return;
    }
    println!("{} episodes loaded, {} without an identity number", report.episodes, report.without_number);
    for (file, kinds) in report.faults.counts() {
        for (kind, count) in kinds {
            println!("{file}: {count} lines left out: {}", kind.as_str());
        }
    }
    for fault in report.faults.first() {
        println!("{} line {}: {}", fault.file, fault.line, fault.kind.as_str());
    }
}
