//! The command line of the KPR query gateway.

mod cli;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A query gateway over health registers: distributed linkage without identity numbers, and results
/// that have passed disclosure control.
#[derive(Debug, Parser)]
#[command(name = "kpr", version)]
struct Kpr {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the whole flow on this machine: three processes, two registers, one protected table
    Demo(cli::demo::Args),
    /// Write synthetic register deliveries
    Synth(cli::synth::Args),
    /// Take a delivery into the register
    Ingest(cli::ingest::Args),
    /// Make a development certificate authority and certificates
    Pki(cli::pki::Args),
    /// Check policies, and explain what they decide
    Policy(cli::policy::Args),
    /// Run the identity service
    Identity(cli::identity::Args),
    /// Load a partner register's database, or run its register node
    Register(cli::register::Args),
    /// Run the gateway
    Serve(cli::serve::Args),
    /// Copy the gateway's database while the gateway runs
    Backup(cli::backup::Args),
    /// Keep projects: applications, signatures, suspension and closure, worklist, cost
    Project(cli::project::Args),
    /// Check, submit, watch and fetch queries
    Query(cli::query::Args),
    /// List, sign and refuse microdata that wait for two stewards
    Microdata(cli::microdata::Args),
    /// List who received what, on which legal basis, about whom
    Disclosures(cli::disclosures::Args),
    /// Act as a citizen portal for one person
    Person(cli::person::Args),
    /// Resolve a serial number of released records, two stewards together
    Resolve(cli::resolve::Args),
    /// Protect a table in a file
    Protect(cli::protect::Args),
    /// Publish a released table, list and fetch published ones
    Statistics(cli::statistics::Args),
    /// Export and verify the audit log
    Audit(cli::audit::Args),
    /// Cosign the checkpoints of an audit log
    Witness(cli::witness::Args),
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Kpr::parse().command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {}", told(&error));
            ExitCode::FAILURE
        }
    }
}

/// The causes on one line, each once, and never a backtrace: whoever reads this has run a command.
fn told(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |told, cause| match cause.to_string() {
        cause if told.contains(&cause) => told,
        cause if told.is_empty() => cause,
        cause => format!("{told}: {cause}"),
    })
}

async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Demo(args) => cli::demo::run(args).await,
        Command::Synth(args) => cli::synth::run(args).await,
        Command::Ingest(args) => cli::ingest::run(args).await,
        Command::Pki(args) => cli::pki::run(args).await,
        Command::Policy(args) => cli::policy::run(args),
        Command::Identity(args) => cli::identity::run(args).await,
        Command::Disclosures(args) => cli::disclosures::run(args).await,
        Command::Person(args) => cli::person::run(args).await,
        Command::Register(args) => cli::register::run(args).await,
        Command::Serve(args) => cli::serve::run(args).await,
        Command::Backup(args) => cli::backup::run(args).await,
        Command::Project(args) => cli::project::run(args).await,
        Command::Query(args) => cli::query::run(args).await,
        Command::Microdata(args) => cli::microdata::run(args).await,
        Command::Resolve(args) => cli::resolve::run(args).await,
        Command::Protect(args) => cli::protect::run(args),
        Command::Statistics(args) => cli::statistics::run(args).await,
        Command::Audit(args) => cli::audit::run(args).await,
        Command::Witness(args) => cli::witness::run(args).await,
    }
}
