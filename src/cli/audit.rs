//! `kpr audit`: the log's key, its export, its verification.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Subcommand;
use comfy_table::Table;
use indicatif::ProgressBar;
use kpr::app::system::SystemEntropy;
use kpr::audit::note::NoteVerifier;
use kpr::audit::{self, Export, Verified};
use kpr::wire::gateway_client::GatewayClient;

use super::connection::Connection;

/// How many entries are asked for at a time.
const PAGE: u32 = 10_000;

/// Arguments of `kpr audit`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the key that signs the log, and print the key that verifies it
    Key {
        /// The file to write, 32 bytes, mode 0600
        #[arg(long)]
        out: PathBuf,
        /// The log's name, as `audit_origin` in the gateway's configuration has it
        #[arg(long)]
        origin: String,
    },
    /// Fetch the whole log (as an auditor) into an empty folder, and verify it
    Export {
        /// The folder to write to
        #[arg(long)]
        out: PathBuf,
        /// The key that verifies the log, as `kpr audit key` prints it
        #[arg(long)]
        log_key: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// Verify an exported log, with nothing but its key
    Verify {
        /// The folder of the export
        #[arg(long)]
        log: PathBuf,
        /// The key that verifies the log, as `kpr audit key` prints it
        #[arg(long)]
        key: String,
    },
}

/// Runs `kpr audit`.
///
/// # Errors
/// Says what went wrong, and of a log that does not hold, what is wrong with it.
pub async fn run(args: Args) -> anyhow::Result<()> {
    match args.command {
        Command::Key { out, origin } => {
            println!("{}", audit::new_key(&out, &origin, &SystemEntropy)?.verifier());
        }
        Command::Export { out, log_key, connection } => {
            let key: NoteVerifier = log_key.parse()?;
            export(&connection.connect().await?, &key, &out).await?;
            show(&audit::verify(&out, &log_key)?);
        }
        Command::Verify { log, key } => show(&audit::verify(&log, &key)?),
    }
    Ok(())
}

/// Fetches the entries that the latest checkpoint covers.
async fn export(client: &GatewayClient, key: &NoteVerifier, out: &Path) -> anyhow::Result<()> {
    let note = String::from_utf8(client.checkpoint().await?).context("the checkpoint is not text")?;
    let size = key.open(&note)?.size;
    let mut export = Export::create(out)?;
    let progress = ProgressBar::new(size);
    while export.size() < size {
        let most = u32::try_from(size - export.size()).unwrap_or(PAGE).min(PAGE);
        let entries = client.entries(export.size(), most).await?;
        if entries.is_empty() {
            bail!("the checkpoint covers {size} entries; the gateway has only {}", export.size());
        }
        for entry in entries {
            if entry.index != export.size() {
                bail!("entry {} was asked for, and entry {} came", export.size(), entry.index);
            }
            export.add(&entry.leaf)?;
        }
        progress.set_position(export.size());
    }
    progress.finish_and_clear();
    Ok(export.finish(&note)?)
}

fn show(verified: &Verified) {
    println!("The log {} holds: {} entries", verified.origin, verified.size);
    println!("root {}", hex::encode(verified.root));
    if let Some((first, last)) = verified.span {
        println!("from {first} to {last}");
    }
    let mut table = Table::new();
    table.set_header(["type", "event", "entries"]);
    for (number, count) in &verified.events {
        table.add_row([number.to_string(), Verified::event_name(*number).to_owned(), count.to_string()]);
    }
    if !verified.events.is_empty() {
        println!("{table}");
    }
}
