//! `kpr audit`: the log's key, its export, its verification.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Subcommand;
use comfy_table::Table;
use indicatif::ProgressBar;
use kpr::app::system::SystemEntropy;
use kpr::audit::cosignature::CosignatureVerifier;
use kpr::audit::note::NoteVerifier;
use kpr::audit::{self, Demands, Earlier, EntryProof, Export, Verified, VerifyError};
use kpr::wire::gateway_client::GatewayClient;

use super::connection::{Connection, write};

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
        demanded: Demanded,
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
        #[command(flatten)]
        demanded: Demanded,
    },
    /// Write one entry of an exported log with the proof that it is there, to be shown without the others
    Prove {
        /// The folder of the export
        #[arg(long)]
        log: PathBuf,
        /// The key that verifies the log
        #[arg(long)]
        key: String,
        /// The entry's index; the first is 0
        #[arg(long)]
        entry: u64,
        /// The file to write; the standard output if not given
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Check the proof of one entry, with nothing but the log's key, and print the entry
    Check {
        /// The file that `kpr audit prove` has written
        #[arg(long)]
        proof: PathBuf,
        /// The key that verifies the log
        #[arg(long)]
        key: String,
    },
}

/// What a log must stand up to beside its own checkpoint.
#[derive(Debug, clap::Args)]
struct Demanded {
    /// An earlier checkpoint, or the folder of an earlier export, that the log must extend; can be given
    /// several times
    #[arg(long, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,
    /// A witness's key, as `kpr witness init` prints it; can be given several times
    #[arg(long, value_name = "KEY")]
    witness: Vec<CosignatureVerifier>,
    /// How many of the witnesses must have cosigned the checkpoint; all of them if not given
    #[arg(long, value_name = "NUMBER")]
    needed: Option<u32>,
}

impl Demanded {
    fn needed(&self) -> u32 {
        self.needed.unwrap_or_else(|| u32::try_from(self.witness.len()).unwrap_or(u32::MAX))
    }

    fn read(&self) -> Result<Demands, VerifyError> {
        let earlier = self.checkpoint.iter().map(|path| Earlier::read(path)).collect::<Result<_, _>>()?;
        Ok(Demands { earlier, witnesses: self.witness.clone(), needed: self.needed() })
    }
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
        Command::Export { out, log_key, demanded, connection } => {
            let (key, demands): (NoteVerifier, _) = (log_key.parse()?, demanded.read()?);
            export(&connection.connect().await?, &key, &out, demanded.needed()).await?;
            show(&audit::verify(&out, &log_key, &demands)?);
        }
        Command::Verify { log, key, demanded } => show(&audit::verify(&log, &key, &demanded.read()?)?),
        Command::Prove { log, key, entry, out } => {
            write(out.as_deref(), audit::prove(&log, &key, entry)?.to_string().as_bytes())?;
        }
        Command::Check { proof, key } => {
            let text = std::fs::read_to_string(&proof).with_context(|| format!("{}", proof.display()))?;
            let proof: EntryProof = text.parse()?;
            proof.check(&key.parse()?)?;
            println!("entry {} of the log: {}", proof.index, String::from_utf8_lossy(&proof.entry));
        }
    }
    Ok(())
}

/// Fetches the entries that the latest checkpoint with so many cosignatures covers.
async fn export(
    client: &GatewayClient,
    key: &NoteVerifier,
    out: &Path,
    cosignatures: u32,
) -> anyhow::Result<()> {
    let note =
        String::from_utf8(client.checkpoint(cosignatures).await?).context("the checkpoint is not text")?;
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
    if verified.witnesses > 0 {
        println!("cosigned by {} of the witnesses asked for", verified.witnesses);
    }
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
