//! `kpr pki`: a development authority, certificates and steward keys.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Subcommand;
use kpr::app::system::{SystemClock, SystemEntropy};
use kpr::authorise::Role;
use kpr::config::StewardEntry;
use kpr::domain::clock::Clock;
use kpr::domain::ids::OrganisationId;
use kpr::wire::pki::{self, Authority, CertificateRequest, RevocationList, Validity};

/// Arguments of `kpr pki`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a development authority: ca.pem, ca.key and an empty revocation list, ca.crl
    Init {
        /// The folder to write them to
        #[arg(long)]
        out: PathBuf,
        /// How many days its certificate holds
        #[arg(long, default_value_t = 3650)]
        days: u16,
    },
    /// Issue a certificate: PREFIX.pem and PREFIX.key
    Issue {
        /// The folder of the authority
        #[arg(long)]
        ca: PathBuf,
        /// The organisation, NTRNO- and nine digits
        #[arg(long, value_parser = organisation)]
        organisation: OrganisationId,
        /// steward, researcher, partner, consumer, ingest, gateway, identity, auditor or witness
        #[arg(long, value_parser = role)]
        role: Role,
        /// The common name; of a partner the id of its register, of a steward the steward's id
        #[arg(long)]
        name: String,
        /// A DNS name, for servers; can be given several times
        #[arg(long)]
        dns: Vec<String>,
        /// How many days it holds
        #[arg(long, default_value_t = 365)]
        days: u16,
        /// The files to write, without their endings
        #[arg(long, value_name = "PREFIX")]
        out: PathBuf,
    },
    /// Revoke a certificate: ca.crl
    Revoke {
        /// The folder of the authority
        #[arg(long)]
        ca: PathBuf,
        /// The certificate, PEM
        #[arg(long)]
        certificate: PathBuf,
        /// How many days the new list holds; without a newer one nobody is let in after that
        #[arg(long, default_value_t = 30)]
        days: u16,
    },
    /// Make the revocation list anew, with what is revoked already: ca.crl
    Crl {
        /// The folder of the authority
        #[arg(long)]
        ca: PathBuf,
        /// How many days it holds; without a newer one nobody is let in after that
        #[arg(long, default_value_t = 30)]
        days: u16,
    },
    /// Make the key that a steward signs approvals with, and print its public half for configurations
    StewardKey {
        /// The steward, as the certificate's common name has it
        #[arg(long)]
        name: String,
        /// The steward's organisation, as the certificate has it, for example NTRNO-983744516
        #[arg(long, value_parser = organisation)]
        organisation: OrganisationId,
        /// The file to write, mode 0600
        #[arg(long)]
        out: PathBuf,
    },
    /// Make everything that a gateway, an identity service, a register node and their users need
    All {
        /// The folder to write to
        #[arg(long)]
        out: PathBuf,
        /// How many days the certificates hold
        #[arg(long, default_value_t = 365)]
        days: u16,
    },
}

fn organisation(text: &str) -> Result<OrganisationId, String> {
    OrganisationId::new(text).map_err(|e| e.to_string())
}

fn role(text: &str) -> Result<Role, String> {
    text.parse().map_err(|e: kpr::authorise::UnknownRole| e.to_string())
}

/// Runs `kpr pki`.
///
/// # Errors
/// Says what went wrong.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let now = SystemClock.now();
    match args.command {
        Command::Init { out, days } => {
            let authority = Authority::new(Validity::days(now, days))?;
            authority.write(&out)?;
            RevocationList::default().write(&authority, &out, Validity::days(now, days))?;
            println!("{}", out.join(Authority::CERTIFICATE).display());
        }
        Command::Issue { ca, organisation, role, name, dns, days, out } => {
            let validity = Validity::days(now, days);
            let request = CertificateRequest { organisation, role, name, dns, validity };
            let files =
                Authority::read(&ca)?.issue(&request)?.write(&out, &ca.join(Authority::CERTIFICATE))?;
            println!("{}", files.certificate.display());
        }
        Command::Revoke { ca, certificate, days } => {
            let (authority, mut list) = (Authority::read(&ca)?, RevocationList::read(&ca)?);
            if !list.revoke(&authority, &certificate, now)? {
                println!("it was revoked already");
            }
            list.write(&authority, &ca, Validity::days(now, days))?;
            println!("{}", ca.join(Authority::REVOKED).display());
        }
        Command::Crl { ca, days } => {
            RevocationList::read(&ca)?.write(&Authority::read(&ca)?, &ca, Validity::days(now, days))?;
            println!("{}", ca.join(Authority::REVOKED).display());
        }
        Command::StewardKey { name, organisation, out } => steward_key(&name, organisation, &out)?,
        Command::All { out, days } => {
            for steward in pki::demo::write(&out, Validity::days(now, days), &SystemEntropy)? {
                print!("{steward}");
            }
        }
    }
    Ok(())
}

fn steward_key(name: &str, organisation: OrganisationId, out: &Path) -> anyhow::Result<()> {
    let steward = kpr::domain::ids::StewardId::new(name).context("--name")?;
    let key = pki::new_signing_key(out, &SystemEntropy)?;
    print!("{}", StewardEntry { steward, organisation, key: hex::encode(key.verifying_key().as_bytes()) });
    Ok(())
}
