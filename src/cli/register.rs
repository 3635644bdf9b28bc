//! `kpr register`: a partner's register node.

use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use kpr::app::system::SystemClock;
use kpr::app::{register, shutdown};
use kpr::config::RegisterConfig;
use kpr::domain::approval::Approval;
use kpr::domain::canonical::Digest;
use kpr::domain::clock::Clock;
use kpr::domain::ids::{ProjectId, VariableId};
use kpr::partner::{
    self, Act, Approvals, FeedProgress, FeedReport, Journal, JournalEntry, ListKind, LoadOptions, LoadReport,
    Outcome,
};
use kpr::telemetry;

use super::connection;

/// Arguments of `kpr register`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

/// The list that a file holds.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Kind {
    /// fnr;project;purpose;from;to;withdrawn
    Consents,
    /// fnr;project;purpose;from;to
    OptOuts,
    /// fnr;person
    Numbers,
}

impl From<Kind> for ListKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Consents => Self::Consents,
            Kind::OptOuts => Self::OptOuts,
            Kind::Numbers => Self::Numbers,
        }
    }
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
    /// Replace a list of persons in the register's own database by that of a file, whole or not at all
    List {
        /// The configuration of the register node
        #[arg(long)]
        config: PathBuf,
        /// Which list
        #[arg(long, value_enum)]
        kind: Kind,
        /// The file: a header line, then lines with fields between semicolons
        #[arg(long)]
        file: PathBuf,
    },
    /// Approve a version of a project: without it no order of the project is answered
    Approve {
        /// The configuration of the register node
        #[arg(long)]
        config: PathBuf,
        /// The approval, YAML or TOML, exactly as the stewards sign it
        #[arg(long)]
        file: PathBuf,
        /// The last day on which rows are sent; the approval's own if left out
        #[arg(long)]
        until: Option<NaiveDate>,
    },
    /// Withdraw the approval of a project at once, also in the middle of an answer
    Withdraw {
        /// The configuration of the register node
        #[arg(long)]
        config: PathBuf,
        /// The project
        #[arg(long)]
        project: String,
    },
    /// List what was approved and withdrawn
    Approvals {
        /// The configuration of the register node
        #[arg(long)]
        config: PathBuf,
    },
    /// Show the orders that the node saw, and verify that no line of its journal has been changed
    Log {
        /// The configuration of the register node
        #[arg(long)]
        config: PathBuf,
        /// The head that an earlier reading printed: that line must still be there
        #[arg(long)]
        head: Option<Digest>,
        /// Show the orders of feeds, which have a journal of their own
        #[arg(long)]
        feeds: bool,
    },
    /// Take the feed of a project: name the persons that the register holds by codes, and write what is given of them.
    /// Run it again after it was broken off, and as often as the approval says
    Feed {
        /// The configuration of the register node
        #[arg(long)]
        config: PathBuf,
        /// The project
        #[arg(long)]
        project: String,
        /// The folder to write into; each feed has a folder of its own in it
        #[arg(long)]
        out: PathBuf,
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
        Command::List { config, kind, file } => {
            let config = RegisterConfig::load(&config)?;
            let lines = partner::load_list(kind.into(), &file, &config.database).await?;
            println!("{lines} lines; they replace the list that was there");
        }
        Command::Approve { config, file, until } => {
            let approval: Approval = connection::read(&file)?;
            let act = approvals(&config).await?.approve(&approval, until, SystemClock.now()).await?;
            print(&act);
        }
        Command::Withdraw { config, project } => {
            let project = ProjectId::new(project)?;
            print(&approvals(&config).await?.withdraw(&project, SystemClock.now()).await?);
        }
        Command::Approvals { config } => approvals(&config).await?.acts().await?.iter().for_each(print),
        Command::Log { config, head, feeds } => {
            let config = RegisterConfig::load(&config)?;
            let journal = if feeds { register::feed_journal(&config) } else { config.journal };
            let verified = Journal::verify(&journal, head, &mut |entry| println!("{}", line(entry)))?;
            println!("{} lines, each follows from those before; head {}", verified.entries, verified.head);
        }
        Command::Feed { config, project, out } => {
            // It says itself what comes of it; what the journal or the lists have to say comes here, on the standard error.
            telemetry::init(None)?;
            let bar = ProgressBar::new_spinner()
                .with_style(ProgressStyle::with_template("{spinner} {msg} {elapsed}")?);
            let report = register::take_feed(
                RegisterConfig::load(&config)?,
                &ProjectId::new(project)?,
                &out,
                &|progress| bar.set_message(said(progress)),
            )
            .await;
            bar.finish_and_clear();
            show_feed(&report?);
        }
        Command::Serve { config } => {
            telemetry::init(None)?;
            let config = RegisterConfig::load(&config)?;
            register::run(config, shutdown::on_signal()?).await?;
        }
    }
    Ok(())
}

async fn approvals(config: &Path) -> anyhow::Result<Approvals> {
    Ok(Approvals::open(&RegisterConfig::load(config)?.database).await?)
}

fn print(act: &Act) {
    let Act { project, version, digest, valid_until, withdrawn, at } = act;
    let what = if *withdrawn { "withdrawn" } else { "approved" };
    println!("{at} {project} version {version} {what}, until {valid_until}, approval {digest}");
}

/// A line of the journal, for people.
fn line(entry: &JournalEntry) -> String {
    let JournalEntry { at, order, project, version, dataset, digest, outcome, .. } = entry;
    let said = match outcome {
        Outcome::Received { ordered } => {
            let variables: Vec<&str> = ordered.columns.iter().map(VariableId::as_str).collect();
            let stewards: Vec<&str> =
                ordered.approval.signatures.iter().map(|signed| signed.steward.as_str()).collect();
            format!(
                "received: {} of {dataset}, {} to {}, query {}, order {digest}, signed by {}",
                variables.join(", "),
                ordered.period.from(),
                ordered.period.to(),
                ordered.query,
                stewards.join(" and "),
            )
        }
        Outcome::FeedReceived { ordered } => {
            let stewards: Vec<&str> =
                ordered.approval.signatures.iter().map(|signed| signed.steward.as_str()).collect();
            format!("received: a feed, order {digest}, signed by {}", stewards.join(" and "))
        }
        Outcome::FeedTaken { persons } => format!("taken: {persons} numbers were named by codes"),
        Outcome::Verified => "signed by two stewards; no higher version has been seen".to_owned(),
        Outcome::Sent { rows, invalid_rows, undated_rows, withheld_rows } => format!(
            "sent: {rows} rows; left out: {withheld_rows} by consent or opting out, {invalid_rows} without an \
             identity number, {undated_rows} without a date"
        ),
        Outcome::Declined { reason, code, rows } => {
            format!("declined ({reason}): {code}, after {rows} rows")
        }
        Outcome::Failed { code, rows } => format!("failed: {code}, after {rows} rows"),
    };
    format!("{at} {order} {project} version {version}: {said}")
}

/// What a feed has come to, for people.
fn said(progress: FeedProgress) -> String {
    match progress {
        FeedProgress::Coding(persons) => format!("{persons} numbers read and coded,"),
        FeedProgress::Waiting => "the gateway has the codes and makes the feed,".to_owned(),
        FeedProgress::Fetching => "fetching the feed,".to_owned(),
    }
}

fn show_feed(report: &FeedReport) {
    let FeedReport { run, folder, named, unknown, invalid, rows, kept } = report;
    match (named, unknown) {
        (Some(named), Some(unknown)) => println!(
            "{named} numbers named, {unknown} of them unknown to the identity service; {invalid} left out: not an \
             identity number"
        ),
        _ => println!("an earlier feed that was broken off has been fetched"),
    }
    for (dataset, rows) in rows {
        println!("{dataset}: {rows} rows");
    }
    println!("run {run}, written to {}", folder.display());
    if let Some(kept) = kept {
        println!("the gateway erases it after {kept}");
    }
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
