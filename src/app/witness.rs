//! A witness of the audit log as a process: `kpr witness serve`.

use std::net::SocketAddr;
use std::sync::Arc;

use ed25519_dalek::SigningKey;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::audit::cosignature::{CosignatureVerifier, Cosigner};
use crate::audit::note::NoteError;
use crate::audit::witness::{Witness, WitnessError};
use crate::audit::{KeyError, write_key};
use crate::authorise::Role;
use crate::config::{self, ConfigError, WitnessConfig};
use crate::domain::clock::{Clock, Entropy};
use crate::wire::shares::{BadLimit, Shares};
use crate::wire::standard::DescriptorError;
use crate::wire::tls::TlsError;
use crate::wire::watched::Watched;
use crate::wire::{access, serve, tls, witness};

/// Why the witness does not run.
#[derive(Debug, thiserror::Error)]
pub enum WitnessAppError {
    /// The configuration, or the secret it names.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The key file cannot be made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The witness's name, or the key of the log.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// What it holds.
    #[error(transparent)]
    Witness(#[from] WitnessError),
    /// The TLS files.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The certificate is for something else.
    #[error("the witness's certificate must have the role witness; it has the role {0}")]
    Role(Role),
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
}

/// Makes the witness's key (32 bytes, mode 0600) and its empty state, where the configuration wants them.
/// Neither is ever written over. Returns the key that verifies its cosignatures.
///
/// # Errors
/// [`WitnessAppError`].
pub fn init(config: &WitnessConfig, entropy: &dyn Entropy) -> Result<CosignatureVerifier, WitnessAppError> {
    Witness::init(&config.state)?;
    let secret = write_key(&config.key, entropy)?;
    Ok(Cosigner::new(&config.name, SigningKey::from_bytes(&secret))?.verifier())
}

/// Serves until `stop` is cancelled. `ready` hears the address once calls are taken.
///
/// # Errors
/// [`WitnessAppError`].
pub async fn run(
    config: &WitnessConfig,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
    ready: impl FnOnce(SocketAddr),
) -> Result<(), WitnessAppError> {
    let role = tls::own_caller(&config.tls)?.role();
    if role != Role::Witness {
        return Err(WitnessAppError::Role(role));
    }
    let shares = Arc::new(Shares::new(&config.limits)?);
    let key = SigningKey::from_bytes(&*config::read_secret(&config.key)?);
    let cosigner = Cosigner::new(&config.name, key)?;
    let held = Witness::open(&config.state, config.log.parse()?, cosigner, clock)?;
    let tls = Watched::open(&config.tls, tls::server_config)?;
    let (routes, health) = witness::routes(Arc::new(held)).await?;
    let listen = |source| WitnessAppError::Listen { address: config.listen, source };
    let listener = TcpListener::bind(config.listen).await.map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    tracing::info!(%address, "the witness is ready");
    ready(address);
    let mut door = serve::Door::new(tls, access::WITNESS, serve::Limits::default());
    door.shares = shares;
    serve::grpc(listener, door, routes, stop).await;
    drop(health);
    tracing::info!("the witness has stopped");
    Ok(())
}
