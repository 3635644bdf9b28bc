//! Strict configuration of the processes: TOML, unknown fields refused, secrets by file, relative
//! paths taken from the folder of the configuration file.

mod callers;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

pub use callers::{
    CallLimit, Enterprise, EnterpriseCaller, IssuerConfig, IssuerKind, TlsFiles, TokenClientConfig,
    TokenConfig,
};

use crate::domain::approval::StewardKey;
use crate::domain::canonical::Digest;
use crate::domain::cost::Rates;
use crate::domain::ids::{OrganisationId, RegisterId, StewardId};
use crate::domain::overview::Retention;

/// Why a configuration is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// The file is not what is expected.
    #[error("{path} is not a valid configuration: {reason}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        reason: String,
    },
    /// A secret file can be read by others than its owner.
    #[error("{0} holds a secret but others than its owner can read it: set its mode to 0600")]
    OpenSecret(PathBuf),
    /// A secret file has another length.
    #[error("{path} must hold a secret of exactly {bytes} bytes; it holds {found}")]
    SecretLength {
        /// The file.
        path: PathBuf,
        /// How many bytes it must have.
        bytes: usize,
        /// How many it has.
        found: usize,
    },
    /// A steward's key is not an Ed25519 public key.
    #[error("the key of steward {0} is not an Ed25519 public key in 64 hexadecimal digits")]
    StewardKey(StewardId),
}

/// Another party to dial.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// The name its certificate must carry.
    pub name: String,
}

/// A steward and the public half of the key the steward signs approvals with.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StewardEntry {
    /// The steward.
    pub steward: StewardId,
    /// The steward's organisation: a certificate of another one is not the steward's, whatever name it has.
    pub organisation: OrganisationId,
    /// The Ed25519 public key, 64 hexadecimal digits.
    pub key: String,
}

/// As a configuration lists it.
impl fmt::Display for StewardEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { steward, organisation, key } = self;
        writeln!(f, "[[stewards]]\nsteward = \"{steward}\"\norganisation = \"{organisation}\"")?;
        writeln!(f, "key = \"{key}\"")
    }
}

impl StewardEntry {
    /// The key, checked.
    ///
    /// # Errors
    /// [`ConfigError::StewardKey`].
    pub fn key(&self) -> Result<StewardKey, ConfigError> {
        let wrong = || ConfigError::StewardKey(self.steward.clone());
        let mut bytes = [0; 32];
        hex::decode_to_slice(&self.key, &mut bytes).map_err(|_| wrong())?;
        let key = ed25519_dalek::VerifyingKey::from_bytes(&bytes).map_err(|_| wrong())?;
        Ok(StewardKey { steward: self.steward.clone(), key })
    }
}

/// `kpr serve`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewayConfig {
    /// Where gRPC is served, client certificates required.
    pub listen: SocketAddr,
    /// Where published tables are served over HTTPS, to anyone.
    pub https_listen: SocketAddr,
    /// Certificates.
    pub tls: TlsFiles,
    /// The identity service.
    pub identity: Peer,
    /// The folder with the register's snapshots (`kpr ingest` writes them).
    pub register: PathBuf,
    /// The control database: `sqlite://file` or `postgres://...`.
    pub store: String,
    /// The folder with policies, register descriptions and code lists.
    pub policies: PathBuf,
    /// The folder for spilled intermediate results, emptied at start.
    pub scratch: PathBuf,
    /// The audit log's Ed25519 signing key, 32 bytes, mode 0600.
    pub audit_key: PathBuf,
    /// The audit log's origin, as checkpoints name it, for example `kpr.example/audit`.
    pub audit_origin: String,
    /// A file outside of the database, on another disk, for the latest checkpoint of the audit log: the gateway does not start
    /// on a database that is behind it.
    pub audit_checkpoint: Option<PathBuf>,
    /// The secret that breaks ties of suppression patterns, 32 bytes, mode 0600.
    pub pattern_key: PathBuf,
    /// The secret under which it is kept who is in released records, 32 bytes, mode 0600.
    pub persons_key: PathBuf,
    /// Whose deliveries are whose, by what their descriptions name as the sender: corrections go to that organisation.
    #[serde(default)]
    pub senders: BTreeMap<String, OrganisationId>,
    /// How many years the overview of disclosures is kept: five at least (KPR regulation 4-10).
    #[serde(default)]
    pub disclosure_years: Retention,
    /// The stewards.
    pub stewards: Vec<StewardEntry>,
    /// The witnesses that are asked to cosign the audit log's checkpoints.
    #[serde(default)]
    pub witnesses: Vec<WitnessEntry>,
    /// Callers with bearer tokens; none if not given.
    #[serde(default)]
    pub tokens: Option<TokenConfig>,
    /// What one caller may take, by role.
    #[serde(default)]
    pub limits: BTreeMap<String, CallLimit>,
    /// The digest of the file that this was read from.
    #[serde(skip, default = "unread")]
    pub digest: Digest,
    /// How long a partner may take for an order, in seconds; orders of more than an hour are refused.
    #[serde(default = "default_order_seconds")]
    pub order_seconds: u32,
    /// The most memory a query may use, in MiB.
    #[serde(default = "default_memory_mib")]
    pub memory_mib: u32,
    /// What an hour of a steward's work and of the machine costs the register keeper, in øre. Without it no cost
    /// statement is made.
    pub cost: Option<Rates>,
}

impl GatewayConfig {
    /// Reads the configuration of the gateway, relative paths taken from its folder.
    ///
    /// # Errors
    /// As [`read`].
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let (mut config, digest) = read_digest::<Self>(path)?;
        config.digest = digest;
        let folder = path.parent().unwrap_or(Path::new(""));
        config.tls = config.tls.under(folder);
        config.store = database_under(&config.store, folder);
        for issuer in config.tokens.iter_mut().flat_map(|tokens| &mut tokens.issuers) {
            issuer.authority = issuer.authority.take().map(|file| folder.join(file));
        }
        for file in [
            &mut config.register,
            &mut config.policies,
            &mut config.scratch,
            &mut config.audit_key,
            &mut config.pattern_key,
            &mut config.persons_key,
        ]
        .into_iter()
        .chain(&mut config.audit_checkpoint)
        {
            *file = folder.join(&*file);
        }
        Ok(config)
    }
}

const fn unread() -> Digest {
    Digest::from_bytes([0; 32])
}

/// A witness, as the gateway knows it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WitnessEntry {
    /// The key that verifies its cosignatures, as `kpr witness init` prints it.
    pub key: String,
    /// Its address.
    pub address: SocketAddr,
    /// The name its certificate must carry.
    pub name: String,
}

impl WitnessEntry {
    /// The witness to dial.
    #[must_use]
    pub fn peer(&self) -> Peer {
        Peer { address: self.address, name: self.name.clone() }
    }
}

const fn default_order_seconds() -> u32 {
    300
}

const fn default_memory_mib() -> u32 {
    4096
}

/// `kpr identity`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityConfig {
    /// Where gRPC is served, client certificates required.
    pub listen: SocketAddr,
    /// Certificates.
    pub tls: TlsFiles,
    /// The vault's database file (SQLite).
    pub vault: PathBuf,
    /// The current root secret, 32 bytes, mode 0600.
    pub root_secret: PathBuf,
    /// Its version, from 1; a newer secret has a higher one.
    #[serde(default = "first_version")]
    pub root_version: u32,
    /// Older root secrets that are still held: the founding one always, the one before the current one until `kpr
    /// identity rotate` has sealed the vault anew and `kpr identity destroy` has put an end to it.
    #[serde(default)]
    pub older_root_secrets: Vec<OlderSecret>,
    /// The stewards.
    pub stewards: Vec<StewardEntry>,
    /// What one caller may take, by role.
    #[serde(default)]
    pub limits: BTreeMap<String, CallLimit>,
}

const fn first_version() -> u32 {
    1
}

/// An older version of the root secret.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OlderSecret {
    /// Its version.
    pub version: u32,
    /// The file, 32 bytes, mode 0600.
    pub file: PathBuf,
}

impl IdentityConfig {
    /// Reads the configuration of the identity service, relative paths taken from its folder.
    ///
    /// # Errors
    /// As [`read`].
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let mut config: Self = read(path)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        config.tls = config.tls.under(folder);
        let older = config.older_root_secrets.iter_mut().map(|older| &mut older.file);
        for file in [&mut config.vault, &mut config.root_secret].into_iter().chain(older) {
            *file = folder.join(&*file);
        }
        Ok(config)
    }
}

/// `kpr witness`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WitnessConfig {
    /// Where gRPC is served, client certificates required.
    pub listen: SocketAddr,
    /// Certificates.
    pub tls: TlsFiles,
    /// The file with the checkpoint it holds.
    pub state: PathBuf,
    /// Its Ed25519 signing key, 32 bytes, mode 0600.
    pub key: PathBuf,
    /// Its name, as its cosignatures carry it, for example `kpr.example/witness`.
    pub name: String,
    /// The key that verifies the log, as `kpr audit key` prints it.
    pub log: String,
    /// What one caller may take, by role.
    #[serde(default)]
    pub limits: BTreeMap<String, CallLimit>,
}

impl WitnessConfig {
    /// Reads the configuration of a witness, relative paths taken from its folder.
    ///
    /// # Errors
    /// As [`read`].
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let mut config: Self = read(path)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        config.tls = config.tls.under(folder);
        config.state = folder.join(&config.state);
        config.key = folder.join(&config.key);
        Ok(config)
    }
}

/// `kpr ingest`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IngestConfig {
    /// Certificates.
    pub tls: TlsFiles,
    /// The identity service.
    pub identity: Peer,
    /// The share of bad lines in one file, from 0 to 1, beyond which a delivery is refused.
    #[serde(default = "default_max_bad_share")]
    pub max_bad_share: f64,
}

const fn default_max_bad_share() -> f64 {
    0.02
}

impl IngestConfig {
    /// Reads the configuration of an ingest, relative paths taken from its folder.
    ///
    /// # Errors
    /// As [`read`].
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let mut config: Self = read(path)?;
        config.tls = config.tls.under(path.parent().unwrap_or(Path::new("")));
        Ok(config)
    }
}

/// `kpr register serve` and `kpr register load`: the register node of a partner.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegisterConfig {
    /// The register.
    pub register: RegisterId,
    /// Certificates.
    pub tls: TlsFiles,
    /// The gateway.
    pub gateway: Peer,
    /// The identity service.
    pub identity: Peer,
    /// The register's own database: `sqlite://file` or `postgres://...`.
    pub database: String,
    /// The partner's own policy file.
    pub policy: PathBuf,
    /// The node's own journal of the orders it saw: one JSON object a line, appended to.
    #[serde(default = "default_journal")]
    pub journal: PathBuf,
    /// The stewards of the register keeper whose signatures this partner accepts.
    pub stewards: Vec<StewardEntry>,
}

fn default_journal() -> PathBuf {
    PathBuf::from("orders.jsonl")
}

impl RegisterConfig {
    /// Reads the configuration of a register node, relative paths taken from its folder.
    ///
    /// # Errors
    /// As [`read`].
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let read: Self = read(path)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Ok(Self {
            tls: read.tls.under(folder),
            database: database_under(&read.database, folder),
            policy: folder.join(&read.policy),
            journal: folder.join(&read.journal),
            ..read
        })
    }
}

/// A database URL whose file, if it is SQLite with a relative path, is taken from `folder`.
#[must_use]
pub fn database_under(url: &str, folder: &Path) -> String {
    match url.strip_prefix("sqlite://") {
        Some(file) => format!("sqlite://{}", folder.join(file).display()),
        None => url.to_owned(),
    }
}

/// Reads a configuration and the folder that its relative paths are taken from.
///
/// # Errors
/// [`ConfigError::Read`], [`ConfigError::Parse`].
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    Ok(read_digest(path)?.0)
}

/// As [`read`], with the digest of the file under the label `kpr/configuration/v1`.
fn read_digest<T: DeserializeOwned>(path: &Path) -> Result<(T, Digest), ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    let read = toml::from_str(&text)
        .map_err(|e| ConfigError::Parse { path: path.to_owned(), reason: e.message().to_owned() })?;
    Ok((read, Digest::of_bytes("kpr/configuration/v1", text.as_bytes())))
}

/// Reads a secret of exactly `N` bytes from a file that only its owner can read.
///
/// # Errors
/// [`ConfigError::Read`], [`ConfigError::OpenSecret`], [`ConfigError::SecretLength`].
pub fn read_secret<const N: usize>(path: &Path) -> Result<zeroize::Zeroizing<[u8; N]>, ConfigError> {
    use std::os::unix::fs::PermissionsExt;
    let read = |source| ConfigError::Read { path: path.to_owned(), source };
    let mode = std::fs::metadata(path).map_err(read)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(ConfigError::OpenSecret(path.to_owned()));
    }
    let bytes = zeroize::Zeroizing::new(std::fs::read(path).map_err(read)?);
    let array: [u8; N] = bytes.as_slice().try_into().map_err(|_| ConfigError::SecretLength {
        path: path.to_owned(),
        bytes: N,
        found: bytes.len(),
    })?;
    Ok(zeroize::Zeroizing::new(array))
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDENTITY: &str = r#"
        listen = "127.0.0.1:0"
        vault = "vault.db"
        root_secret = "/secrets/root.2"
        root_version = 2
        tls = { certificate = "identity.pem", key = "identity.key", authority = "ca.pem" }
        stewards = []
        [[older_root_secrets]]
        version = 1
        file = "root.1"
    "#;

    #[test]
    fn relative_paths_start_from_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity.toml");
        std::fs::write(&path, IDENTITY).unwrap();
        let config = IdentityConfig::load(&path).unwrap();
        assert_eq!(config.vault, folder.path().join("vault.db"));
        assert_eq!(config.tls.key, folder.path().join("identity.key"));
        assert_eq!(config.older_root_secrets[0].file, folder.path().join("root.1"));
        assert_eq!(config.root_secret, Path::new("/secrets/root.2"));
    }

    #[test]
    fn unknown_fields_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity.toml");
        std::fs::write(&path, format!("verbose = true\n{IDENTITY}")).unwrap();
        assert!(matches!(IdentityConfig::load(&path), Err(ConfigError::Parse { .. })));
    }

    #[test]
    fn a_secret_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root");
        std::fs::write(&path, [7; 32]).unwrap();
        let set = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        for mode in [0o640, 0o604, 0o610] {
            set(mode);
            assert!(matches!(read_secret::<32>(&path), Err(ConfigError::OpenSecret(_))), "{mode:o}");
        }
        set(0o600);
        assert_eq!(*read_secret::<32>(&path).unwrap(), [7; 32]);
        assert!(matches!(
            read_secret::<31>(&path),
            Err(ConfigError::SecretLength { bytes: 31, found: 32, .. })
        ));
    }
}
