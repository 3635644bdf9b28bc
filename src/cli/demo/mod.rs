//! `kpr demo`: the whole flow on this machine, with real sockets, TLS, files and three processes.

mod findings;
mod show;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use kpr::app::stage::{Process, Running, Stage, StageOptions, example_approval, example_query};
use kpr::app::system::{SystemClock, SystemEntropy};
use kpr::audit;
use kpr::domain::clock::Clock;
use kpr::domain::ids::{RequestId, RunId, TableId, VariableId};
use kpr::domain::lifecycle::{Standing, Step};
use kpr::domain::query::{Condition, Query};
use kpr::registers::synth::{self, SynthOptions};
use kpr::statistics::Format;
use kpr::store::Phase;
use kpr::wire::gateway_client::{ClientError, GatewayClient};
use kpr::wire::identity_client::IdentityLink;
use kpr::wire::web_client;

/// The county of the demo: Østfold, twelve municipalities.
const COUNTY: &str = "31";
/// The share of persons discharged from psychiatric inpatient care in a year, raised from about 0.6 % so
/// that the table of one county has something to say.
const DISCHARGE_RATE: f64 = 0.2;
const TABLE: &str = "gp-after-psychiatric-discharge";

/// Arguments of `kpr demo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How many synthetic persons live in the county
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(1000..=1_000_000))]
    persons: u32,
    /// The same seed gives the same deliveries and the same answer
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Add the faults that real deliveries have
    #[arg(long)]
    messy: bool,
    /// Keep deliveries/, released/ and logs/ in this folder, which must be empty or not there yet
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Runs `kpr demo`.
///
/// # Errors
/// Says what went wrong.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let temporary = tempfile::Builder::new().prefix("kpr-demo-").tempdir().context("no temporary folder")?;
    if let Some(out) = &args.out {
        std::fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
        ensure!(
            std::fs::read_dir(out)?.next().is_none(),
            "{} is not empty; name an empty or a new folder",
            out.display()
        );
    }
    let result = play(&args, temporary.path()).await;
    // What the processes wrote is kept also when the demo fails: it says why.
    if let Some(out) = &args.out {
        for part in ["deliveries", "released", "logs"] {
            copy(&temporary.path().join(part), &out.join(part))?;
        }
        println!("\nKept in {}: deliveries/, released/, logs/", out.display());
    }
    result
}

async fn play(args: &Args, folder: &Path) -> anyhow::Result<()> {
    let stage = Stage::build(
        folder,
        &std::env::current_exe()?,
        &StageOptions::default(),
        &SystemClock,
        &SystemEntropy,
    )?;
    let deliveries = stage.path("deliveries");

    let mut options = SynthOptions::new(args.persons, args.seed, &deliveries);
    options.counties = vec![COUNTY.to_owned()];
    options.messy = args.messy;
    options.discharge_rate = DISCHARGE_RATE;
    let bar = ProgressBar::new(1).with_style(ProgressStyle::with_template("  {wide_bar} {msg}")?);
    let summary = tokio::task::block_in_place(|| {
        synth::write(&options, |progress| {
            bar.set_length(progress.persons.into());
            bar.set_position(progress.done.into());
            bar.set_message(progress.delivery.to_owned());
        })
    })?;
    bar.finish_and_clear();
    done(&format!(
        "synthetic registers: {} persons, {} contacts in KUHR, {} episodes in NPR",
        summary.persons, summary.contacts, summary.episodes
    ));

    let identity = stage.start(Process::Identity).await?;
    done("identity service started");
    let kpr = ["folkeregisteret", "kuhr-2024", "kuhr-2025", "iplos-2024", "iplos-2025"];
    for delivery in kpr {
        let waiting = spinner(&format!("taking {delivery} into KPR"));
        stage.deliver(&deliveries.join(delivery)).await?;
        waiting.finish_and_clear();
        done(&format!("{delivery} taken into KPR"));
    }
    let waiting = spinner("loading NPR's own database");
    stage.deliver(&deliveries.join("npr-2024")).await?;
    waiting.finish_and_clear();
    done("NPR's own database loaded, with its identity numbers");

    let gateway = stage.start(Process::Gateway).await?;
    let npr = stage.start(Process::Npr).await?;
    done("gateway and NPR's register node started");
    let processes = [npr, gateway, identity];
    let story = story(&stage).await;
    for process in processes {
        stop(process).await?;
    }
    let run = story?;
    findings::show(&stage, &run)
}

/// The project from approval to publication.
async fn story(stage: &Stage) -> anyhow::Result<RunId> {
    let client = async |party: &str| {
        GatewayClient::connect(&stage.gateway(), &stage.tls(party))
            .await
            .with_context(|| format!("as {party}"))
    };
    let (anna, bjorn, researcher) =
        (client("anna").await?, client("bjorn").await?, client("researcher").await?);

    let approval = example_approval()?;
    let digest = anna.enter_project(&approval, None).await?.digest;
    let complete = Step::Complete { version: approval.version, day: SystemClock.today() };
    let due = anna.record_step(&approval.project, &complete).await?.due.context("a due day")?;
    done(&format!(
        "application for project {} received and complete: an answer is due {due}",
        approval.project
    ));
    anna.sign_project(&approval.project, digest, &stage.sign(&approval, "anna")?).await?;
    let state = bjorn.sign_project(&approval.project, digest, &stage.sign(&approval, "bjorn")?).await?;
    ensure!(state.standing == Standing::Active, "the approval should be in force");
    done(&format!("project {} approved by two stewards", approval.project));

    stage.partner_approves(&approval).await?;
    done("approved by NPR too, which answers no order without");

    let query = example_query()?;
    let checked = researcher.check(&query).await?;
    println!("\nThe question: {}", query.title);
    println!("It would run under approval {} and rule {}:", short(&checked.approval_digest), checked.rule);
    for step in &checked.steps {
        println!("  - {step}");
    }
    println!();

    let run = researcher.submit(&RequestId::new("demo-1")?, &query).await?.run;
    follow(&researcher, &run).await?;
    let folder = stage.path("released");
    std::fs::create_dir_all(&folder)?;
    let files =
        [(Format::Csv, "table.csv"), (Format::JsonStat, "table.json"), (Format::Report, "report.json")];
    for (format, name) in files {
        std::fs::write(folder.join(name), researcher.fetch(&run, format).await?)?;
    }
    show::table(&folder.join("table.csv"))?;
    show::report(&folder.join("report.json"))?;

    refused(&researcher, &query).await?;
    publish(stage, &anna, &run).await?;
    person(stage, &client("portal").await?).await?;
    proof(stage, &client("auditor").await?).await?;
    Ok(run)
}

/// Shows the phases of a run as they come.
async fn follow(client: &GatewayClient, run: &RunId) -> anyhow::Result<()> {
    use futures::StreamExt;
    let mut phases = client.watch(run).await?;
    while let Some(progress) = phases.next().await {
        let progress = progress?;
        match progress.phase {
            Phase::Refused | Phase::Failed => bail!("{}: {}", progress.code, progress.hint),
            phase => done(&format!("query {phase}")),
        }
    }
    Ok(())
}

/// A question that the approval does not cover.
async fn refused(researcher: &GatewayClient, query: &Query) -> anyhow::Result<()> {
    let mut wider = query.clone();
    wider
        .cohort
        .conditions
        .push(Condition { variable: VariableId::new("hovedtilstand")?, any_of: vec!["F20".to_owned()] });
    match researcher.submit(&RequestId::new("demo-2")?, &wider).await {
        Err(ClientError::Refused(refusal)) => {
            println!(
                "\nThe same question about patients with schizophrenia (F20) only is refused:\n  {refusal}"
            );
            Ok(())
        }
        Err(error) => Err(error.into()),
        Ok(_) => bail!("a query outside the approval was accepted"),
    }
}

/// A steward publishes the table, and a consumer without any certificate pulls it.
async fn publish(stage: &Stage, steward: &GatewayClient, run: &RunId) -> anyhow::Result<()> {
    steward.publish(run, &TableId::new(TABLE)?).await?;
    println!("\nPublished. Pulled by a consumer with nothing but HTTPS:");
    for format in [Format::JsonStat, Format::Csv] {
        let path = format!("/tables/{TABLE}/data?outputFormat={format}");
        let authority = stage.tls("consumer").authority;
        let answer = web_client::get(&stage.https(), &authority, &path).await?;
        ensure!(answer.status.is_success(), "{path}: {}", answer.status);
        println!("  GET {path}: {} bytes of {}", answer.body.len(), answer.media_type);
    }
    Ok(())
}

/// A citizen portal asks for a person it has authenticated: what was released, and how the identity number was used.
async fn person(stage: &Stage, portal: &GatewayClient) -> anyhow::Result<()> {
    let file = stage.path("deliveries/folkeregisteret/identitet.csv");
    let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let number = text.lines().nth(1).and_then(|line| line.split(';').nth(1)).context("nobody lives there")?;
    let identity = IdentityLink::new(&stage.identity(), &stage.tls("portal"))?;
    let log = portal.person_log(&identity.open_ticket(number).await?).await?;
    println!(
        "\nA registered person, through a citizen portal that never learns the person's number at the gateway:"
    );
    println!("  in {} releases of records; tables that were made:", log.records.len());
    for tables in &log.tables {
        let facts = &tables.facts;
        println!(
            "  {} for {} ({}), of {}",
            tables.tables,
            facts.recipient,
            facts.purpose.as_str(),
            facts.population
        );
    }
    let uses = identity.uses(&identity.open_ticket(number).await?).await?;
    println!("  the identity number was looked up {} times, for this portal", uses.look_ups.len());
    for derived in &uses.derivations {
        println!("  and was among those of {} bulk derivation for {}", derived.runs, derived.project);
    }
    Ok(())
}

/// Exports the audit log as an auditor and verifies it with the public key alone.
async fn proof(stage: &Stage, auditor: &GatewayClient) -> anyhow::Result<()> {
    let folder = stage.path("released/audit-log");
    let note = String::from_utf8(auditor.checkpoint(0).await?)?;
    let mut export = audit::Export::create(&folder)?;
    for entry in auditor.entries(0, 10_000).await? {
        export.add(&entry.leaf)?;
    }
    export.finish(&note)?;
    let key = stage.audit_key()?;
    let verified = audit::verify(&folder, &key, &audit::Demands::default())?;
    println!("\nThe audit log, exported and verified offline with the public key {key}:");
    println!("  {} entries, root {}", verified.size, hex::encode(verified.root));
    for (kind, count) in &verified.events {
        println!("  {count:>3} x {}", audit::Verified::event_name(*kind));
    }
    Ok(())
}

async fn stop(process: Running) -> anyhow::Result<()> {
    let name = process.process().name();
    ensure!(process.stop().await, "{name} did not end in order");
    Ok(())
}

fn done(what: &str) {
    println!("  ✓ {what}");
}

fn spinner(what: &str) -> ProgressBar {
    let spinner = ProgressBar::new_spinner().with_message(what.to_owned());
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner
}

fn short(digest: &kpr::domain::canonical::Digest) -> String {
    digest.to_string().chars().take(12).collect()
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    if !from.is_dir() {
        return Ok(());
    }
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), &target)
                .with_context(|| format!("cannot write {}", target.display()))?;
        }
    }
    Ok(())
}
