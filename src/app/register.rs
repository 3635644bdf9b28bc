//! `kpr register serve`: a partner's register node.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::system::SystemClock;
use crate::config::{ConfigError, RegisterConfig, StewardEntry};
use crate::domain::ids::ProjectId;
use crate::partner::{
    FeedError, FeedProgress, FeedReport, FeedTaker, Journal, JournalError, Node, PartnerPolicy, PolicyError,
    Source, SourceError,
};
use crate::wire::client::ConnectError;
use crate::wire::feed_client::FeedChannel;
use crate::wire::partner_client::{GatewayChannel, IdentityChannel};

/// Why the node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Its policy.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// Its database.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Its journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Its TLS files.
    #[error(transparent)]
    Connection(#[from] ConnectError),
    /// A feed was not taken.
    #[error(transparent)]
    Feed(#[from] FeedError),
}

/// Where the orders of feeds are written down: beside the journal of the node that answers orders, which it alone writes.
#[must_use]
pub fn feed_journal(config: &RegisterConfig) -> PathBuf {
    config.journal.with_extension("feeds.jsonl")
}

/// Takes the feed of a project into a folder under `out`.
///
/// # Errors
/// [`StartError`].
pub async fn take_feed(
    config: RegisterConfig,
    project: &ProjectId,
    out: &Path,
    progress: &dyn Fn(FeedProgress),
) -> Result<FeedReport, StartError> {
    let taker = FeedTaker {
        journal: Journal::open(&feed_journal(&config))?,
        stewards: config.stewards.iter().map(StewardEntry::key).collect::<Result<_, _>>()?,
        policy: PartnerPolicy::load(&config.policy)?,
        source: Source::open(&config.database).await?,
        gateway: Arc::new(FeedChannel::new(&config.gateway, &config.tls)?),
        keys: Arc::new(IdentityChannel::new(&config.identity, &config.tls)?),
        clock: Arc::new(SystemClock),
        register: config.register,
    };
    Ok(taker.take(project, out, progress).await?)
}

/// Runs the node until `stop`.
///
/// # Errors
/// [`StartError`]; once started it does not fail but dials again.
pub async fn run(config: RegisterConfig, stop: CancellationToken) -> Result<(), StartError> {
    let (policy, source) = (PartnerPolicy::load(&config.policy)?, Source::open(&config.database).await?);
    source.has_lists(policy.persons()).await?;
    let node = Node {
        stewards: config.stewards.iter().map(StewardEntry::key).collect::<Result<_, _>>()?,
        policy,
        source,
        gateway: Arc::new(GatewayChannel::new(config.register.clone(), &config.gateway, &config.tls)?),
        keys: Arc::new(IdentityChannel::new(&config.identity, &config.tls)?),
        journal: Journal::open(&config.journal)?,
        clock: Arc::new(SystemClock),
        register: config.register,
    };
    Arc::new(node).run(stop).await;
    Ok(())
}
