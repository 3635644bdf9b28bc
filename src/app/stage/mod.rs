//! A whole installation on one machine: certificates, secrets, configurations and the three processes,
//! all on loopback. The demo plays on it, and so do the integration tests.

mod files;
mod policies;
mod process;

use std::ffi::{OsStr, OsString};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

pub use files::StageError;
pub use policies::{example_approval, example_query};
use process::Launcher;
pub use process::{Process, Running};

use ed25519_dalek::SigningKey;

use crate::audit::note::NoteSigner;
use crate::config::{Peer, TlsFiles, read_secret};
use crate::domain::approval::Approval;
use crate::domain::approval::StewardSignature;
use crate::domain::canonical::Canonical;
use crate::domain::clock::{Clock, Entropy};
use crate::domain::held::ReleaseStatement;
use crate::domain::ids::{ProjectId, StewardId};
use crate::wire::pki::{self, Validity};

/// An installation in a folder.
pub struct Stage {
    folder: PathBuf,
    launcher: Launcher,
    addresses: Addresses,
}

/// Where the processes listen.
#[derive(Debug, Clone, Copy)]
struct Addresses {
    identity: SocketAddr,
    gateway: SocketAddr,
    https: SocketAddr,
    witness: SocketAddr,
}

/// What can be chosen about an installation.
#[derive(Debug, Clone, Default)]
pub struct StageOptions {
    /// The partner's database; a SQLite file in the partner's folder if not given.
    pub partner_database: Option<String>,
    /// How long the partner may take for an order, in seconds.
    pub order_seconds: Option<u32>,
    /// Whether the audit log has a witness.
    pub witness: bool,
    /// Environment variables of every process and command, beside those of this process.
    pub environment: Vec<(OsString, OsString)>,
}

/// The DNS name in every server's development certificate.
const LOCALHOST: &str = "localhost";

impl Stage {
    /// Makes certificates, secrets and configurations in `folder`, which must be empty or not there yet.
    /// `program` is the `kpr` binary that its processes will run.
    ///
    /// # Errors
    /// [`StageError`].
    pub fn build(
        folder: &Path,
        program: &Path,
        options: &StageOptions,
        clock: &dyn Clock,
        entropy: &dyn Entropy,
    ) -> Result<Self, StageError> {
        let addresses = Addresses { identity: free()?, gateway: free()?, https: free()?, witness: free()? };
        let launcher = Launcher {
            program: program.to_owned(),
            logs: folder.join("logs"),
            environment: options.environment.clone(),
        };
        let stage = Self { folder: folder.to_owned(), launcher, addresses };
        for part in ["identity", "gateway", "npr", "witness", "logs", "configurations"] {
            files::folder(&stage.path(part))?;
        }
        let stewards = pki::demo::write(&stage.path("pki"), Validity::days(clock.now(), 30), entropy)?;
        files::secrets(&stage, entropy)?;
        let witness = if options.witness { Some(files::witness(&stage, entropy)?) } else { None };
        files::configurations(&stage, &stewards, options, witness.as_ref())?;
        policies::lay_out(&stage)?;
        Ok(stage)
    }

    /// A path in the installation's folder.
    #[must_use]
    pub fn path(&self, relative: &str) -> PathBuf {
        self.folder.join(relative)
    }

    /// The configuration of a process: `identity`, `gateway`, `npr`, `ingest` or `witness`.
    #[must_use]
    pub fn configuration(&self, name: &str) -> PathBuf {
        self.path("configurations").join(format!("{name}.toml"))
    }

    /// The TLS files of a party, as [`pki::demo::files`] names them.
    #[must_use]
    pub fn tls(&self, party: &str) -> TlsFiles {
        pki::demo::files(&self.path("pki"), party)
    }

    /// The gateway, for clients.
    #[must_use]
    pub fn gateway(&self) -> Peer {
        Peer { address: self.addresses.gateway, name: LOCALHOST.to_owned() }
    }

    /// The identity service, for clients.
    #[must_use]
    pub fn identity(&self) -> Peer {
        Peer { address: self.addresses.identity, name: LOCALHOST.to_owned() }
    }

    /// The witness, for clients.
    #[must_use]
    pub fn witness(&self) -> Peer {
        Peer { address: self.addresses.witness, name: LOCALHOST.to_owned() }
    }

    /// Where published tables are served over HTTPS.
    #[must_use]
    pub fn https(&self) -> Peer {
        Peer { address: self.addresses.https, name: LOCALHOST.to_owned() }
    }

    /// The folder with the register's snapshots.
    #[must_use]
    pub fn register(&self) -> PathBuf {
        self.path("gateway/register")
    }

    /// A steward's signature on an approval.
    ///
    /// # Errors
    /// [`StageError`].
    pub fn sign(&self, approval: &Approval, steward: &str) -> Result<StewardSignature, StageError> {
        let key = pki::read_signing_key(&pki::demo::signing_key(&self.path("pki"), steward))?;
        Ok(StewardSignature::sign(approval, StewardId::new(steward)?, &key)?)
    }

    /// A steward's signature on the release of microdata.
    ///
    /// # Errors
    /// [`StageError`].
    pub fn sign_release(
        &self,
        statement: &ReleaseStatement,
        steward: &str,
    ) -> Result<StewardSignature, StageError> {
        let key = pki::read_signing_key(&pki::demo::signing_key(&self.path("pki"), steward))?;
        Ok(statement.sign(StewardId::new(steward)?, &key)?)
    }

    /// The key that verifies the gateway's audit log, as text. An auditor has it from the register keeper,
    /// not from the gateway.
    ///
    /// # Errors
    /// [`StageError`].
    pub fn audit_key(&self) -> Result<String, StageError> {
        let secret = read_secret::<32>(&self.path("gateway/audit.key"))?;
        let signer = NoteSigner::new(files::AUDIT_ORIGIN, SigningKey::from_bytes(&secret))?;
        Ok(signer.verifier().to_string())
    }

    /// Runs a `kpr` command to its end, its output going to `logs/<name>.log`.
    ///
    /// # Errors
    /// [`StageError::Start`], [`StageError::Command`] if it ends with an error.
    pub async fn run(&self, name: &'static str, arguments: &[&OsStr]) -> Result<(), StageError> {
        self.launcher.run(name, arguments).await
    }

    /// Takes a delivery into the register, or into the partner's database if it is NPR's.
    ///
    /// # Errors
    /// As [`Stage::run`].
    pub async fn deliver(&self, delivery: &Path) -> Result<(), StageError> {
        let arg = OsStr::new;
        let npr = delivery.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b"npr"));
        let configuration = self.configuration(if npr { "npr" } else { "ingest" });
        let register = self.register();
        if npr {
            let load = [arg("register"), arg("load"), arg("--config"), configuration.as_os_str()];
            self.run("npr-load", &[&load[..], &[arg("--delivery"), delivery.as_os_str()]].concat()).await
        } else {
            let ingest = [arg("ingest"), arg("--config"), configuration.as_os_str(), arg("--register")];
            let rest = [register.as_os_str(), arg("--delivery"), delivery.as_os_str()];
            self.run("ingest", &[&ingest[..], &rest].concat()).await
        }
    }

    /// The partner's own approval of a version of a project, without which it sends no rows.
    ///
    /// # Errors
    /// As [`Stage::run`].
    pub async fn partner_approves(&self, approval: &Approval) -> Result<(), StageError> {
        let file = self.path(&format!("npr/{}-{}.yaml", approval.project, approval.version));
        std::fs::write(&file, approval.canonical()?)
            .map_err(|source| StageError::File { path: file.clone(), source })?;
        let (config, arg) = (self.configuration("npr"), OsStr::new);
        let approve = [arg("register"), arg("approve"), arg("--config"), config.as_os_str()];
        self.run("npr-approve", &[&approve[..], &[arg("--file"), file.as_os_str()]].concat()).await
    }

    /// The partner takes its approval of a project back.
    ///
    /// # Errors
    /// As [`Stage::run`].
    pub async fn partner_withdraws(&self, project: &ProjectId) -> Result<(), StageError> {
        let (config, arg) = (self.configuration("npr"), OsStr::new);
        let withdraw = [arg("register"), arg("withdraw"), arg("--config"), config.as_os_str()];
        self.run("npr-withdraw", &[&withdraw[..], &[arg("--project"), arg(project.as_str())]].concat()).await
    }

    /// Starts a process, its log going to `logs/`, and waits until it answers.
    ///
    /// # Errors
    /// [`StageError::Start`], [`StageError::NotReady`].
    pub async fn start(&self, process: Process) -> Result<Running, StageError> {
        let address = match process {
            Process::Identity => Some(self.addresses.identity),
            Process::Gateway => Some(self.addresses.gateway),
            Process::Witness => Some(self.addresses.witness),
            Process::Npr => None,
        };
        self.launcher.start(&self.configuration(process.name()), process, address).await
    }
}

/// A loopback address that nobody listens on at this moment.
fn free() -> Result<SocketAddr, StageError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(StageError::Port)?;
    listener.local_addr().map_err(StageError::Port)
}
