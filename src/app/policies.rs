//! The gateway's policies: read when it starts, and anew at SIGHUP. A folder with a fault changes nothing.

use std::path::Path;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::gateway::{GatewayAppError, record};
use crate::audit::{Actor, PoliciesReplaced};
use crate::authorise::Policies;
use crate::disclosure::cellkey::PerturbationTable;
use crate::pipeline::Gateway;
use crate::plan::Catalogue;

/// The policies of a folder, each noise of which can be made.
pub(super) fn load(folder: &Path) -> Result<Policies, GatewayAppError> {
    let policies = Policies::load(folder)?;
    policies.cellkeys().try_for_each(|noise| PerturbationTable::new(noise.into()).map(drop))?;
    Ok(policies)
}

/// Reads the policies anew at every SIGHUP, until the gateway stops.
pub(super) async fn follow(gateway: Arc<Gateway>, folder: &Path, actor: &Actor, stop: CancellationToken) {
    let mut hangup = match signal(SignalKind::hangup()) {
        Ok(hangup) => hangup,
        Err(error) => return tracing::error!(%error, "no SIGHUP reaches the gateway: its policies stay"),
    };
    while let Some(Some(())) = stop.run_until_cancelled(hangup.recv()).await {
        match replace(&gateway, folder, actor).await {
            Ok(()) => {
                tracing::info!(policies = %gateway.policies.now().digest(), "other policies decide now")
            }
            Err(error) => tracing::error!(%error, "the policies stay as they were"),
        }
    }
}

/// Lets the policies of the folder decide from now on. That they do is recorded first.
async fn replace(gateway: &Gateway, folder: &Path, actor: &Actor) -> Result<(), GatewayAppError> {
    let policies = load(folder)?;
    if Catalogue::load(folder)?.digest() != gateway.catalogue.digest() {
        return Err(GatewayAppError::OtherCatalogue);
    }
    record(gateway, actor, PoliciesReplaced { policies: policies.digest() }).await?;
    gateway.policies.replace(policies);
    Ok(())
}
