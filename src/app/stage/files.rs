//! The files of an installation: folders, secrets, configurations.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::{Stage, StageOptions};
use crate::app::witness::WitnessAppError;
use crate::audit::cosignature::CosignatureVerifier;
use crate::audit::note::NoteError;
use crate::config::{ConfigError, Peer, StewardEntry, WitnessConfig};
use crate::domain::canonical::CanonicalError;
use crate::domain::clock::{Entropy, EntropyError};
use crate::domain::ids::BadName;
use crate::wire::pki::{PkiError, demo};

/// The name of the stage's audit log.
pub(super) const AUDIT_ORIGIN: &str = "kpr.example/audit";

/// The name of the stage's witness.
const WITNESS_NAME: &str = "kpr.example/witness";

/// What an hour costs on a stage.
const COST: &str = "[cost]\nore_an_hour = 95000\nore_a_machine_hour = 4000\n";

/// Why an installation is not made or a process of it does not run.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// A file or folder.
    #[error("cannot write {path}: {source}")]
    File {
        /// The path.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// No loopback port.
    #[error("no free port on loopback: {0}")]
    Port(std::io::Error),
    /// Certificates.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// Randomness.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// A steward's name.
    #[error(transparent)]
    Name(#[from] BadName),
    /// An approval that cannot be signed.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
    /// An example of the documentation.
    #[error("an example in docs/examples does not hold: {0}")]
    Example(String),
    /// A secret that cannot be read back.
    #[error(transparent)]
    Secret(#[from] ConfigError),
    /// The audit log's name.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The witness's key and state.
    #[error(transparent)]
    Witness(#[from] WitnessAppError),
    /// A command that ended with an error.
    #[error("kpr {command} failed: see {log}")]
    Command {
        /// The command.
        command: &'static str,
        /// Its output.
        log: PathBuf,
    },
    /// A process does not start.
    #[error("cannot start {process}: {source}")]
    Start {
        /// The process.
        process: &'static str,
        /// The system's word.
        source: std::io::Error,
    },
    /// A process ended or did not answer in time.
    #[error("{process} did not come up: see {log}")]
    NotReady {
        /// The process.
        process: &'static str,
        /// Its log.
        log: PathBuf,
    },
}

pub(super) fn folder(path: &Path) -> Result<(), StageError> {
    std::fs::create_dir_all(path).map_err(|source| StageError::File { path: path.to_owned(), source })
}

pub(super) fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), StageError> {
    let failed = |source| StageError::File { path: path.to_owned(), source };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(failed)?;
    file.write_all(bytes).map_err(failed)
}

/// Root secret, audit key, pattern key and persons key: 32 random bytes each.
pub(super) fn secrets(stage: &Stage, entropy: &dyn Entropy) -> Result<(), StageError> {
    for name in ["identity/root.secret", "gateway/audit.key", "gateway/pattern.key", "gateway/persons.key"] {
        let mut secret = zeroize::Zeroizing::new([0; 32]);
        entropy.fill(secret.as_mut_slice())?;
        write(&stage.path(name), secret.as_slice(), 0o600)?;
    }
    Ok(())
}

/// Writes the configuration of the witness, and makes its key and empty state.
pub(super) fn witness(stage: &Stage, entropy: &dyn Entropy) -> Result<CosignatureVerifier, StageError> {
    let path = |relative: &str| stage.path(relative).display().to_string();
    let text = format!(
        "listen = \"{}\"\nstate = {:?}\nkey = {:?}\nname = \"{WITNESS_NAME}\"\nlog = \"{}\"\n{}",
        stage.addresses.witness,
        path("witness/held.checkpoint"),
        path("witness/witness.key"),
        stage.audit_key()?,
        tls(stage, "witness"),
    );
    let configuration = stage.configuration("witness");
    write(&configuration, text.as_bytes(), 0o600)?;
    Ok(crate::app::witness::init(&WitnessConfig::load(&configuration)?, entropy)?)
}

fn tls(stage: &Stage, party: &str) -> String {
    let files = stage.tls(party);
    format!(
        "[tls]\ncertificate = {:?}\nkey = {:?}\nauthority = {:?}\nrevocation = {:?}\n",
        files.certificate, files.key, files.authority, files.revocation
    )
}

/// Writes the configurations of identity service, gateway, register node and ingest.
pub(super) fn configurations(
    stage: &Stage,
    stewards: &[StewardEntry],
    options: &StageOptions,
    witness: Option<&CosignatureVerifier>,
) -> Result<(), StageError> {
    let path = |relative: &str| stage.path(relative).display().to_string();
    let tls = |party: &str| tls(stage, party);
    let peer = |section: &str, peer: Peer| {
        format!("[{section}]\naddress = \"{}\"\nname = \"{}\"\n", peer.address, peer.name)
    };
    let keys: String = stewards.iter().map(StewardEntry::to_string).collect();
    let identity = format!(
        "listen = \"{}\"\nvault = {:?}\nroot_secret = {:?}\n{}{keys}",
        stage.addresses.identity,
        path("identity/vault.sqlite"),
        path("identity/root.secret"),
        tls("identity"),
    );
    let gateway = format!(
        "listen = \"{}\"\nhttps_listen = \"{}\"\nregister = {:?}\nstore = {:?}\npolicies = {:?}\n\
         scratch = {:?}\naudit_key = {:?}\naudit_origin = \"{AUDIT_ORIGIN}\"\npattern_key = {:?}\npersons_key = {:?}\n\
         order_seconds = {}\n{COST}[senders]\n\"Helfo (syntetisk)\" = \"{}\"\n{}{}{keys}",
        stage.addresses.gateway,
        stage.addresses.https,
        stage.register(),
        format!("sqlite://{}", path("gateway/control.sqlite")),
        path("policies"),
        path("gateway/scratch"),
        path("gateway/audit.key"),
        path("gateway/pattern.key"),
        path("gateway/persons.key"),
        options.order_seconds.unwrap_or(120),
        demo::HELFO,
        tls("gateway"),
        peer("identity", stage.identity()),
    );
    let witnesses = witness.map(|key| {
        let Peer { address, name } = stage.witness();
        format!("[[witnesses]]\nkey = \"{key}\"\naddress = \"{address}\"\nname = \"{name}\"\n")
    });
    let gateway = gateway + witnesses.as_deref().unwrap_or_default();
    let sqlite = || format!("sqlite://{}", path("npr/register.sqlite"));
    let npr = format!(
        "register = \"NPR\"\ndatabase = {:?}\npolicy = {:?}\njournal = {:?}\n{}{}{}{keys}",
        options.partner_database.clone().unwrap_or_else(sqlite),
        path("npr/policy.toml"),
        path("npr/orders.jsonl"),
        tls("npr"),
        peer("gateway", stage.gateway()),
        peer("identity", stage.identity()),
    );
    let ingest = format!("{}{}", tls("ingest"), peer("identity", stage.identity()));
    for (name, text) in [("identity", identity), ("gateway", gateway), ("npr", npr), ("ingest", ingest)] {
        write(&stage.configuration(name), text.as_bytes(), 0o600)?;
    }
    Ok(())
}
