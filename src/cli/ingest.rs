//! `kpr ingest`: takes a delivery into the register.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use indicatif::{ProgressBar, ProgressStyle};
use kpr::app::system::SystemClock;
use kpr::config::IngestConfig;
use kpr::registers::ingest::{Folders, IngestError, IngestReport, Limits, ingest};
use kpr::registers::progress::{Progress, Step};
use kpr::registers::quality::{FileQuality, QualityReport};
use kpr::wire::identity_client::IdentityLink;

/// How many faults of one file are printed; the report holds more.
const PRINTED: usize = 5;

/// Arguments of `kpr ingest`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder of the delivery
    #[arg(long)]
    delivery: PathBuf,
    /// The folder of the register
    #[arg(long)]
    register: PathBuf,
    /// The configuration file: certificates, the identity service, the share of bad lines
    #[arg(long)]
    config: PathBuf,
    /// Also write here what goes back to the sender: a folder named by the delivery, with the report and the lines that
    /// were refused or changed, by the sender's own keys
    #[arg(long)]
    returns: Option<PathBuf>,
    /// Also write the data-quality report here as JSON, whether the delivery is taken in or refused
    #[arg(long)]
    report: Option<PathBuf>,
}

/// Runs `kpr ingest`.
///
/// # Errors
/// Says what went wrong.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let config = IngestConfig::load(&args.config)?;
    let identity = IdentityLink::new(&config.identity, &config.tls)?;
    let limits = Limits { max_bad_share: config.max_bad_share };
    let bar = Arc::new(Bar(ProgressBar::no_length()));
    let folders =
        Folders { delivery: &args.delivery, register: &args.register, returns: args.returns.as_deref() };
    let taken = ingest(folders, &identity, limits, &SystemClock, bar.clone()).await;
    bar.0.finish_and_clear();
    match taken {
        Ok(IngestReport::Taken { snapshot, replaces, quality }) => {
            tell(&quality, args.report.as_deref())?;
            for delivery in replaces {
                println!("It replaces the delivery {delivery}.");
            }
            println!("The register is at snapshot {snapshot}.");
            Ok(())
        }
        Ok(IngestReport::AlreadyTaken { delivery, snapshot }) => {
            println!("The delivery {delivery} is already taken in; nothing has changed.");
            println!("The register is at snapshot {snapshot}.");
            Ok(())
        }
        Err(IngestError::Refused(quality)) => {
            tell(&quality, args.report.as_deref())?;
            Err(IngestError::Refused(quality).into())
        }
        Err(other) => Err(other.into()),
    }
}

/// Prints the report, and writes it where it was asked for.
fn tell(quality: &QualityReport, path: Option<&Path>) -> anyhow::Result<()> {
    let about = &quality.description;
    println!(
        "{} ({}) from {}, {} to {}: {} persons behind {} serial numbers",
        about.register,
        about.layout.as_str(),
        about.sender,
        about.period.from(),
        about.period.to(),
        quality.persons,
        quality.serial_numbers
    );
    println!("{}", table(&quality.files));
    for file in &quality.files {
        let listed = file.faults.listed();
        for fault in listed.iter().take(PRINTED) {
            println!("{}:{}: {}", file.file, fault.line, fault.kind.as_str());
        }
        let more = file.faults.counts().values().sum::<u64>().saturating_sub(PRINTED as u64);
        if more > 0 {
            println!("{}: {more} more", file.file);
        }
    }
    let Some(path) = path else { return Ok(()) };
    std::fs::write(path, serde_json::to_vec_pretty(quality)?)
        .with_context(|| format!("cannot write {}", path.display()))
}

fn table(files: &[FileQuality]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header([
        "file",
        "lines",
        "accepted",
        "bad",
        "no person",
        "unknown person",
        "contradictory persons",
        "objected to",
        "faults",
    ]);
    for file in files {
        let several = file.contradictions;
        let faults: Vec<String> =
            file.faults.counts().iter().map(|(kind, count)| format!("{} {count}", kind.as_str())).collect();
        table.add_row([
            file.file.to_owned(),
            file.lines.to_string(),
            file.accepted.to_string(),
            file.bad().to_string(),
            file.without_person.to_string(),
            file.unknown_person.to_string(),
            format!(
                "sex {}, birth year {}, municipality {}",
                several.sex, several.birth_year, several.municipality
            ),
            format!("left out {}, reduced {}", file.objected.left_out, file.objected.reduced),
            faults.join("\n"),
        ]);
    }
    for column in table.column_iter_mut().skip(1).take(5) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Shows how far the ingest has come.
struct Bar(ProgressBar);

impl Progress for Bar {
    fn begin(&self, step: Step, bytes: u64) {
        let template = if bytes > 0 { "{msg} {wide_bar} {bytes}/{total_bytes}" } else { "{spinner} {msg}" };
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.0.set_style(style);
        }
        self.0.set_length(bytes);
        self.0.set_position(0);
        self.0.set_message(step.to_string());
    }

    fn advance(&self, bytes: u64) {
        self.0.inc(bytes);
    }
}
