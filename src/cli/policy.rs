//! `kpr policy`: policies checked before they are used, and decisions explained.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Subcommand;
use kpr::app::stage::example_approval;
use kpr::authorise::{Case, Policies, lines};
use kpr::domain::approval::Approval;
use kpr::plan::Catalogue;

use super::connection;

/// Arguments of `kpr policy`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check a folder of policies as the gateway does when it starts, and decide the cases in its tests
    Check {
        /// The folder
        #[arg(long)]
        policies: PathBuf,
    },
    /// Say how policies decide a request: which of them, and by which facts
    Explain {
        /// The folder of policies
        #[arg(long)]
        policies: PathBuf,
        /// Who asks, such as "researcher of recipient", "steward of NTRNO-983744516" or "partner NPR"
        #[arg(long)]
        who: String,
        /// What is asked, such as submit_query
        #[arg(long)]
        what: String,
        /// On what: gateway, "project: research, protected_tables" (with a query also the sections of the registers it
        /// links: "project: research, protected_tables, section_9a section_11"), "run of recipient: research,
        /// protected_tables" or "register NPR"
        #[arg(long)]
        on: String,
        /// The approval that `recipient` and the project are of, YAML or TOML; an example if left out
        #[arg(long)]
        approval: Option<PathBuf>,
    },
}

/// Runs `kpr policy`.
///
/// # Errors
/// Says which file, line or word is wrong.
pub fn run(args: Args) -> anyhow::Result<()> {
    match args.command {
        Command::Check { policies } => check(&policies),
        Command::Explain { policies, who, what, on, approval } => {
            let approval: Approval = match approval {
                Some(path) => connection::read(&path)?,
                None => example_approval()?,
            };
            let case = Case::read([&who, &what, &on].map(String::as_str), &approval)?;
            let explained = Policies::load(&policies)?.explain(&case)?;
            println!("{}", if explained.allowed { "allow" } else { "deny" });
            if explained.decided.is_empty() {
                println!("no policy permits it");
            }
            for (policy, words) in &explained.decided {
                println!("{policy}: {words}");
            }
            println!("facts: {}", explained.facts);
            Ok(())
        }
    }
}

/// Decides every case of the tables in the folder `tests`; each policy must decide one.
fn check(folder: &Path) -> anyhow::Result<()> {
    let policies = Policies::load(folder)?;
    Catalogue::load(folder)?;
    let approval = example_approval()?;
    let (mut cases, mut wrong) = (0, 0);
    let mut shown = BTreeSet::new();
    let tables = folder.join("tests");
    let entries = std::fs::read_dir(&tables).with_context(|| format!("cannot read {}", tables.display()))?;
    for entry in entries {
        let path = entry?.path();
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        for line in lines(&text).with_context(|| path.display().to_string())? {
            let place = format!("{}:{}", path.display(), line.number);
            let case =
                Case::read(line.words.each_ref().map(String::as_str), &approval).context(place.clone())?;
            let decided = policies.explain(&case).context(place.clone())?;
            let by: Vec<String> = decided.decided.into_iter().map(|(policy, _)| policy).collect();
            cases += 1;
            if (decided.allowed, by.join(", ")) != (line.allowed, line.policies) {
                let decision = if decided.allowed { "allowed" } else { "denied" };
                println!(
                    "{place}: {decision} by {}",
                    if by.is_empty() { "no policy".into() } else { by.join(", ") }
                );
                wrong += 1;
            }
            shown.extend(by);
        }
    }
    for policy in policies.names().filter(|policy| !shown.contains(policy)) {
        println!("no case shows policy {policy}");
        wrong += 1;
    }
    if wrong > 0 {
        bail!("{wrong} of the policies' own tests do not hold");
    }
    println!("policies {}: {cases} cases hold", policies.digest());
    Ok(())
}
