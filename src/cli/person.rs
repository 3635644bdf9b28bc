//! `kpr person`: acts as a citizen portal for one person, to try out what a portal would show.

use std::io::BufRead;
use std::net::SocketAddr;

use anyhow::Context;
use clap::Subcommand;
use comfy_table::Table;
use kpr::domain::canonical::Digest;
use kpr::domain::ids::DatasetId;
use kpr::domain::person::{CorrectionOf, Restriction, Ticket};
use kpr::domain::query::Answer;
use kpr::wire::gateway_client::GatewayClient;
use kpr::wire::identity_client::IdentityLink;
use zeroize::Zeroizing;

use super::connection::Shown;
use super::disclosures::{kind, made_from};

/// Arguments of `kpr person`. The person's identity number is read from the standard input: on the command line other
/// users of the machine could see it.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show what was released about the person, and how the person's identity number was used
    Log {
        #[command(flatten)]
        portal: Portal,
    },
    /// Show the person's own rows
    Rows {
        #[command(flatten)]
        portal: Portal,
    },
    /// Ask the sender of a delivery to correct what it says of the person
    Correct {
        /// The delivery, as `rows` prints it
        #[arg(long)]
        delivery: Digest,
        /// The dataset, as `rows` prints it
        #[arg(long, value_parser = |text: &str| DatasetId::new(text))]
        dataset: DatasetId,
        /// The record, if it is about one: its `contact_no` or `answer_no`
        #[arg(long)]
        record: Option<String>,
        /// The column, if it is about one
        #[arg(long)]
        field: Option<String>,
        /// What is wrong and what is right, without an identity number
        #[arg(long)]
        text: String,
        #[command(flatten)]
        portal: Portal,
    },
    /// Set a restriction, or lift it: release_with_identity (reservation) or all_use (blocking)
    Restrict {
        /// Which
        restriction: Restriction,
        /// Lift it
        #[arg(long)]
        lift: bool,
        #[command(flatten)]
        portal: Portal,
    },
    /// Show the history of the person's restrictions
    Restrictions {
        #[command(flatten)]
        portal: Portal,
    },
    /// Have the person's rows erased, and the person blocked; erased rows do not come back
    Erase {
        #[command(flatten)]
        portal: Portal,
    },
}

/// Where gateway and identity service are, and the portal's certificate.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Connection")]
struct Portal {
    /// The gateway's address, for example 127.0.0.1:7443
    #[arg(long)]
    gateway: SocketAddr,
    /// The identity service's address; its certificate must carry the same name as the gateway's
    #[arg(long)]
    identity: SocketAddr,
    #[command(flatten)]
    shown: Shown,
}

/// A portal that has authenticated one person.
struct Session {
    gateway: GatewayClient,
    identity: IdentityLink,
    number: Zeroizing<String>,
}

impl Portal {
    async fn session(&self) -> anyhow::Result<Session> {
        let mut number = Zeroizing::new(String::new());
        std::io::stdin().lock().read_line(&mut number).context("cannot read the standard input")?;
        let files = self.shown.files()?;
        Ok(Session {
            gateway: GatewayClient::connect(&self.shown.peer(self.gateway), &files).await?,
            identity: IdentityLink::new(&self.shown.peer(self.identity), &files)?,
            number,
        })
    }
}

impl Session {
    /// A ticket, for one call.
    async fn ticket(&self) -> anyhow::Result<Ticket> {
        Ok(self.identity.open_ticket(self.number.trim()).await?)
    }
}

/// Runs `kpr person`.
///
/// # Errors
/// Says what went wrong.
pub async fn run(args: Args) -> anyhow::Result<()> {
    match args.command {
        Command::Log { portal } => log(&portal.session().await?).await,
        Command::Rows { portal } => rows(&portal.session().await?).await,
        Command::Correct { delivery, dataset, record, field, text, portal } => {
            let session = portal.session().await?;
            let of = CorrectionOf { delivery, dataset, record, field };
            let number = session.gateway.request_correction(&session.ticket().await?, &of, &text).await?;
            println!("correction {number} is asked for");
            Ok(())
        }
        Command::Restrict { restriction, lift, portal } => {
            let session = portal.session().await?;
            let changed = session.gateway.restrict(&session.ticket().await?, restriction, !lift).await?;
            let word = if lift { "lifted" } else { "set" };
            println!("{}{word}", if changed { "" } else { "already " });
            Ok(())
        }
        Command::Restrictions { portal } => {
            let session = portal.session().await?;
            for change in session.gateway.restrictions(&session.ticket().await?).await? {
                let word = if change.active { "set" } else { "lifted" };
                let at = change.at.format("%Y-%m-%d %H:%M");
                println!("{at} {} {word} through {}", change.restriction.as_str(), change.portal);
            }
            Ok(())
        }
        Command::Erase { portal } => {
            let session = portal.session().await?;
            session.gateway.erase_person(&session.ticket().await?).await?;
            println!("blocked; the rows are being erased");
            Ok(())
        }
    }
}

async fn rows(session: &Session) -> anyhow::Result<()> {
    for own in session.gateway.person_rows(&session.ticket().await?).await? {
        println!("\n{} of delivery {} from {}", own.dataset, own.delivery, own.sender);
        let mut table = Table::new();
        table.set_header(own.columns);
        for row in own.rows {
            table.add_row(row);
        }
        println!("{table}");
    }
    Ok(())
}

async fn log(session: &Session) -> anyhow::Result<()> {
    let log = session.gateway.person_log(&session.ticket().await?).await?;
    let mut records = Table::new();
    records.set_header([
        "day",
        "what",
        "recipient",
        "project",
        "purpose",
        "legal basis",
        "about",
        "made from",
    ]);
    for released in &log.records {
        let facts = &released.facts;
        let about = match facts.result {
            Answer::Feed => {
                let (register, days) = (&facts.population.register, facts.population.period);
                format!("persons whom {register} holds, {} to {}", days.from(), days.to())
            }
            Answer::Microdata | Answer::Table => facts.population.to_string(),
        };
        records.add_row([
            released.day.to_string(),
            kind(facts).to_owned(),
            facts.recipient.to_string(),
            facts.title.clone(),
            facts.purpose.as_str().to_owned(),
            facts.legal_basis.clone(),
            about,
            made_from(&facts.sources),
        ]);
    }
    println!("Records in which you are:\n{records}");
    let mut tables = Table::new();
    tables.set_header(["tables", "from", "to", "recipient", "project", "purpose", "about"]);
    for released in &log.tables {
        let facts = &released.facts;
        tables.add_row([
            released.tables.to_string(),
            released.first.to_string(),
            released.last.to_string(),
            facts.recipient.to_string(),
            facts.title.clone(),
            facts.purpose.as_str().to_owned(),
            facts.population.to_string(),
        ]);
    }
    println!("Tables that were made; they are anonymous, and nobody keeps who is in them:\n{tables}");
    let uses = session.identity.uses(&session.ticket().await?).await?;
    println!("Look-ups of your identity number:");
    for look_up in uses.look_ups {
        println!("  {} for {}", look_up.at.format("%Y-%m-%d %H:%M"), look_up.organisation);
    }
    println!("Linkage codes made from all identity numbers, yours among them:");
    for derived in uses.derivations {
        let (first, last) = (derived.first, derived.last);
        println!(
            "  {} runs of {} with {}, {first} to {last}",
            derived.runs, derived.project, derived.register
        );
    }
    Ok(())
}
