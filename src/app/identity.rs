//! The identity service as a process: `kpr identity`.

use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use crate::config::{self, ConfigError, IdentityConfig};
use crate::domain::clock::{Clock, Entropy, EntropyError};
use crate::identity::{BadKeyRing, IdentityError, IdentityService, KeyEvent, KeyRing, ROOT_LENGTH, RootKey};
use crate::wire::shares::{BadLimit, Shares};
use crate::wire::standard::DescriptorError;
use crate::wire::tls::TlsError;
use crate::wire::watched::Watched;
use crate::wire::{access, identity, serve, tls};

/// Why the identity service does not run.
#[derive(Debug, thiserror::Error)]
pub enum IdentityAppError {
    /// The configuration, or a secret it names.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The versions of the root secrets.
    #[error(transparent)]
    KeyRing(#[from] BadKeyRing),
    /// The vault.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The TLS files.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// What callers may take.
    #[error(transparent)]
    Limit(#[from] BadLimit),
    /// The standard services.
    #[error(transparent)]
    Descriptor(#[from] DescriptorError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's word.
        source: std::io::Error,
    },
    /// The root secret cannot be written, or is there already.
    #[error("cannot make the root secret {path}: {source}; one that exists is never overwritten")]
    Root {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// The root secret is recorded as destroyed, but its file cannot be erased.
    #[error("cannot erase the root secret {path}: {source}; run the command again")]
    Erase {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// There is no randomness for a root secret.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}

/// Serves until `stop` is cancelled. `ready` hears the address once calls are taken.
///
/// # Errors
/// [`IdentityAppError`].
pub async fn run(
    config: &IdentityConfig,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    stop: CancellationToken,
    ready: impl FnOnce(SocketAddr),
) -> Result<(), IdentityAppError> {
    let shares = Arc::new(Shares::new(&config.limits)?);
    let stewards = config.stewards.iter().map(config::StewardEntry::key).collect::<Result<_, _>>()?;
    let service = IdentityService::open(&config.vault, key_ring(config)?, stewards, clock, entropy).await?;
    let tls = Watched::open(&config.tls, tls::server_config)?;
    let (routes, health) = identity::routes(Arc::new(service)).await?;
    let listen = |source| IdentityAppError::Listen { address: config.listen, source };
    let listener = TcpListener::bind(config.listen).await.map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    tracing::info!(%address, "the identity service is ready");
    ready(address);
    let mut door = serve::Door::new(tls, access::IDENTITY, serve::Limits::default());
    door.shares = shares;
    door.stewards = Some(Arc::new(access::Stewards::new(&config.stewards)));
    serve::grpc(listener, door, routes, stop).await;
    drop(health);
    tracing::info!("the identity service has stopped");
    Ok(())
}

/// Seals the vault anew under the configured root secret. `progress` hears how many of how many identifiers are done.
/// Returns whether there was anything to do.
///
/// # Errors
/// [`IdentityAppError`].
pub async fn rotate(
    config: &IdentityConfig,
    clock: &dyn Clock,
    progress: impl FnMut(u64, u64),
) -> Result<bool, IdentityAppError> {
    Ok(IdentityService::rotate(&config.vault, &key_ring(config)?, clock, progress).await?)
}

/// Destroys an older version of the root secret: records that it is destroyed, then overwrites and removes its file. Gives the
/// file.
///
/// # Errors
/// [`IdentityAppError`]; while anything needs the version, and then the file stays.
pub async fn destroy(
    config: &IdentityConfig,
    version: u32,
    clock: &dyn Clock,
) -> Result<PathBuf, IdentityAppError> {
    IdentityService::destroy(&config.vault, &key_ring(config)?, version, clock).await?;
    let older = config.older_root_secrets.iter().find(|older| older.version == version);
    let path = older.map_or(&config.root_secret, |older| &older.file);
    let failed = |source| IdentityAppError::Erase { path: path.clone(), source };
    let mut file = std::fs::OpenOptions::new().write(true).open(path).map_err(failed)?;
    file.write_all(&[0; ROOT_LENGTH]).and_then(|()| file.sync_all()).map_err(failed)?;
    std::fs::remove_file(path).map_err(failed)?;
    Ok(path.clone())
}

/// What was done with versions of the root secret, the oldest act first.
///
/// # Errors
/// [`IdentityAppError`].
pub async fn key_events(
    config: &IdentityConfig,
    clock: &dyn Clock,
) -> Result<Vec<KeyEvent>, IdentityAppError> {
    Ok(IdentityService::key_events(&config.vault, clock).await?)
}

fn key_ring(config: &IdentityConfig) -> Result<KeyRing, IdentityAppError> {
    let root = |version, file| Ok::<_, ConfigError>(RootKey::new(version, config::read_secret(file)?));
    let older = config.older_root_secrets.iter().map(|older| root(older.version, &older.file));
    Ok(KeyRing::new(root(config.root_version, &config.root_secret)?, older.collect::<Result<_, _>>()?)?)
}

/// Makes a fresh root secret where the configuration wants it, mode 0600. Never overwrites one.
///
/// # Errors
/// [`IdentityAppError::Root`], [`IdentityAppError::Entropy`].
pub fn init(config: &IdentityConfig, entropy: &dyn Entropy) -> Result<(), IdentityAppError> {
    let mut secret = Zeroizing::new([0; ROOT_LENGTH]);
    entropy.fill(secret.as_mut_slice())?;
    let path = &config.root_secret;
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| {
            file.write_all(secret.as_slice())?;
            file.sync_all()
        })
        .map_err(|source| IdentityAppError::Root { path: path.clone(), source })
}
