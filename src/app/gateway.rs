//! The gateway as a process: `kpr serve`.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::TimeDelta;
use ed25519_dalek::SigningKey;
use futures::future::OptionFuture;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{checkpoint, doors, policies, witnesses};
use crate::audit::note::{NoteError, NoteSigner};
use crate::audit::{
    Actor, AuditError, AuditLog, ConfigurationInForce, Disagreement, Entry, Event, GatewayStarted,
    GatewayStopped,
};
use crate::authorise::{PoliciesInForce, PolicyError, Role};
use crate::config::{self, ConfigError, GatewayConfig, StewardEntry};
use crate::disclosure::cellkey::DesignError;
use crate::disclosure::persons::PersonsKey;
use crate::disclosure::{PatternKey, Recollection};
use crate::domain::clock::{Clock, Entropy};
use crate::execute::{Engine, ExecuteError};
use crate::linkage::{DeskLimits, OrderDesk};
use crate::pipeline::{FeedTurns, Gateway, MOST_RUNS, Meter};
use crate::plan::{Catalogue, CatalogueError};
use crate::store::{Store, StoreError};
use crate::wire::client::ConnectError;
use crate::wire::identity_client::IdentityLink;
use crate::wire::serve::{Door, Limits};
use crate::wire::shares::{BadLimit, Shares};
use crate::wire::standard::DescriptorError;
use crate::wire::tls::TlsError;
use crate::wire::token::{BadIssuers, Times, Tokens};
use crate::wire::watched::Watched;
use crate::wire::{access, gateway, https, serve, tls};

/// How much of earlier releases, opened, is kept in memory between judgements.
const RECOLLECTION_BYTES: usize = 1 << 30;

/// How often what has been kept long enough is looked for.
const LAPSE: Duration = Duration::from_secs(3600);

/// Why the gateway does not run.
#[derive(Debug, thiserror::Error)]
pub enum GatewayAppError {
    /// The configuration, or a secret it names.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The policies.
    #[error(transparent)]
    Policies(#[from] PolicyError),
    /// The cell-key noise of a data domain.
    #[error("disclosure.toml, method cellkey: {0}")]
    Cellkey(#[from] DesignError),
    /// The registers and code lists.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// Registers or code lists have changed beside the policies.
    #[error(
        "registers or code lists have changed beside the policies: they are read when the gateway starts"
    )]
    OtherCatalogue,
    /// The control database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The name of the audit log, or the key of a witness.
    #[error(transparent)]
    Origin(#[from] NoteError),
    /// The audit log.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// A witness holds a checkpoint that the audit log in the database does not extend.
    #[error("the audit log was tampered with or put back: the witness {witness} {said}")]
    Tampered {
        /// The witness.
        witness: String,
        /// What its checkpoint says.
        said: Disagreement,
    },
    /// The file with the latest checkpoint.
    #[error("the checkpoint kept outside of the database, {path}, cannot be read or written: {source}")]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// The engine.
    #[error(transparent)]
    Engine(#[from] ExecuteError),
    /// The identity service's address or name, or a witness's.
    #[error(transparent)]
    Identity(#[from] ConnectError),
    /// The TLS files.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The issuers of tokens.
    #[error(transparent)]
    Issuers(#[from] BadIssuers),
    /// What one caller may take.
    #[error(transparent)]
    Limits(#[from] BadLimit),
    /// The certificate is for something else.
    #[error("the gateway's certificate must have the role gateway; it has the role {0}")]
    Role(Role),
    /// The standard services.
    #[error(transparent)]
    Descriptor(#[from] DescriptorError),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's word.
        source: std::io::Error,
    },
}

/// Where a gateway that runs can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// gRPC, with a client certificate.
    pub grpc: SocketAddr,
    /// Published tables over HTTPS.
    pub https: SocketAddr,
}

/// Serves until `stop` is cancelled and the calls in progress have ended or been cut. `ready` hears the
/// addresses once calls are taken.
///
/// # Errors
/// [`GatewayAppError`].
pub async fn run(
    config: &GatewayConfig,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    stop: CancellationToken,
    ready: impl FnOnce(Addresses),
) -> Result<(), GatewayAppError> {
    let actor = actor(config)?;
    let grpc_tls = Watched::open(&config.tls, tls::server_config)?;
    let https_tls = Watched::open(&config.tls, tls::https_config)?;
    let shares = Arc::new(Shares::new(&config.limits)?);
    let tokens = match &config.tokens {
        None => None,
        Some(issuers) => {
            let tls = Watched::open(&config.tls, tls::token_config)?;
            let tokens = Tokens::new(issuers, Times::default(), Arc::clone(&clock))?;
            Some((issuers.listen, tls, Arc::new(tokens)))
        }
    };
    let desk = OrderDesk::new(Arc::clone(&clock), DeskLimits::default());
    let gateway = Arc::new(build(config, &desk, actor.clone(), clock, entropy).await?);

    let checkpoint_file = config.audit_checkpoint.as_deref();
    checkpoint::meet(checkpoint_file, &gateway.audit).await?;
    let witnesses = witnesses::meet(config, &gateway.audit).await?;
    let interrupted = gateway.audit.recover(&actor).await?;
    if interrupted > 0 {
        tracing::warn!(runs = interrupted, "runs that a stop had cut short were marked as failed");
    }
    lapse(&gateway).await;
    let (routes, health) = gateway::routes(&gateway, desk.clone()).await?;
    let (grpc_listener, grpc) = listen(config.listen).await?;
    let (https_listener, https) = listen(config.https_listen).await?;
    let started = GatewayStarted {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        policies: gateway.policies.now().digest(),
        catalogue: gateway.catalogue.digest(),
    };
    record(&gateway, &actor, started).await?;
    record(&gateway, &actor, ConfigurationInForce { configuration: config.digest }).await?;
    tracing::info!(%grpc, %https, "the gateway is ready");
    ready(Addresses { grpc, https });

    let limits = Limits::default();
    let mut door = Door::new(grpc_tls.clone(), access::GATEWAY, limits);
    door.shares = shares;
    door.stewards = Some(Arc::new(access::Stewards::new(&config.stewards)));
    let turned_away = Arc::clone(&door.turned_away);
    let with_tokens = match tokens {
        None => None,
        Some((address, tls, tokens)) => {
            let (listener, tokens_at) = listen(address).await?;
            tracing::info!(%tokens_at, "callers with tokens are let in");
            Some(serve::grpc(listener, door.with_tokens(tls, tokens), routes.clone(), stop.clone()))
        }
    };
    let end = async {
        stop.cancelled().await;
        for service in gateway::SERVICES {
            health.set_service_status(service, tonic_health::ServingStatus::NotServing).await;
        }
        desk.close();
        gateway.stop().await;
    };
    let lapsing = async {
        loop {
            erase(&gateway, &stop).await;
            if tokio::time::timeout(LAPSE, stop.cancelled()).await.is_ok() {
                break;
            }
            lapse(&gateway).await;
        }
    };
    let ((), _, (), (), (), (), (), (), witnesses) = tokio::join!(
        serve::grpc(grpc_listener, door, routes, stop.clone()),
        OptionFuture::from(with_tokens),
        serve::https(https_listener, https_tls, https::router(Arc::clone(&gateway)), limits, stop.clone()),
        end,
        lapsing,
        doors::follow(&gateway, &actor, &grpc_tls, &turned_away, stop.clone()),
        policies::follow(Arc::clone(&gateway), &config.policies, &actor, stop.clone()),
        checkpoint::keep(checkpoint_file, &gateway.audit, stop.clone()),
        witnesses::keep(Arc::clone(&gateway), witnesses, stop.clone()),
    );
    // A query that came in while the calls were drained.
    gateway.stop().await;
    doors::tell(&gateway, &actor, turned_away.rest()).await;
    record(&gateway, &actor, GatewayStopped {}).await?;
    checkpoint::last(checkpoint_file, &gateway.audit).await;
    witnesses::last(&gateway.audit, witnesses).await;
    gateway.store.close().await;
    tracing::info!("the gateway has stopped");
    Ok(())
}

async fn build(
    config: &GatewayConfig,
    desk: &OrderDesk,
    actor: Actor,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
) -> Result<Gateway, GatewayAppError> {
    let stewards = config.stewards.iter().map(StewardEntry::key).collect::<Result<_, _>>()?;
    let policies = PoliciesInForce::new(policies::load(&config.policies)?);
    let catalogue = Catalogue::load(&config.policies)?;
    let audit_key = SigningKey::from_bytes(&*config::read_secret(&config.audit_key)?);
    let signer = NoteSigner::new(&config.audit_origin, audit_key)?;
    let pattern_key = PatternKey::new(config::read_secret(&config.pattern_key)?);
    let persons_key = PersonsKey::new(&config::read_secret(&config.persons_key)?);
    let identity = IdentityLink::new(&config.identity, &config.tls)?;
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let engine = Engine::new(config.memory_mib, &config.scratch, threads)?;
    let store = Store::open(&config.store).await?;
    let audit = AuditLog::open(store.clone(), signer, Arc::clone(&clock), Arc::clone(&entropy)).await?;
    Ok(Gateway {
        store,
        audit,
        policies,
        catalogue,
        partners: Arc::new(desk.clone()),
        mapper: Arc::new(identity.clone()),
        feeds: Arc::new(identity.clone()),
        feed_turns: FeedTurns::default(),
        tickets: Arc::new(identity.clone()),
        resolutions: Arc::new(identity),
        engine,
        register: config.register.clone(),
        pattern_key,
        recollection: Recollection::new(RECOLLECTION_BYTES),
        persons_key,
        senders: config.senders.clone(),
        retention: config.disclosure_years,
        stewards,
        actor,
        order_lifetime: TimeDelta::seconds(i64::from(config.order_seconds)),
        clock,
        entropy,
        ticks: watch::Sender::new(0),
        slots: Semaphore::new(MOST_RUNS),
        erasing: tokio::sync::Mutex::default(),
        running: Mutex::new(JoinSet::new()),
        meter: Meter::default(),
        rates: config.cost,
    })
}

/// The gateway itself, as its certificate names it to others.
fn actor(config: &GatewayConfig) -> Result<Actor, GatewayAppError> {
    let own = tls::own_caller(&config.tls)?;
    if own.role() != Role::Gateway {
        return Err(GatewayAppError::Role(own.role()));
    }
    Ok(Actor {
        organisation: own.organisation().clone(),
        role: own.role().as_str(),
        name: own.name().to_owned(),
    })
}

pub(super) async fn record(
    gateway: &Gateway,
    actor: &Actor,
    event: impl Into<Event>,
) -> Result<(), AuditError> {
    let entry = Entry { actor: actor.clone(), project: None, run: None, event: event.into() };
    gateway.audit.append(entry).await.map(|_| ())
}

/// Erases microdata that have waited too long for stewards, and deletes what need not or may not be kept any longer.
async fn lapse(gateway: &Gateway) {
    if let Err(refusal) = gateway.reap().await {
        tracing::error!(code = refusal.code, "what is kept too long could not be deleted");
    }
    if let Err(refusal) = gateway.lapse().await {
        tracing::error!(code = refusal.code, "microdata whose time is up could not be erased");
    }
}

/// Carries out erasures that a stop or an ingest had held up.
async fn erase(gateway: &Gateway, stop: &CancellationToken) {
    if let Some(Err(refusal)) = stop.run_until_cancelled(gateway.carry_out_erasures()).await {
        tracing::warn!(code = refusal.code, "an erasure waits: it is tried again every hour");
    }
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), GatewayAppError> {
    let failed = |source| GatewayAppError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}
