//! What the gateway's doors leave in the audit log: calls that were turned away, and certificates that were replaced.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::gateway::record;
use crate::audit::{Actor, AuditError, CallTurnedAway, CertificatesReplaced, Entry, UnknownTurnedAway};
use crate::pipeline::Gateway;
use crate::wire::tls::ServerTls;
use crate::wire::turned_away::{Turned, TurnedAway};
use crate::wire::watched::Watched;

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(1);

/// Records what the doors have seen, until `stop`.
pub(super) async fn follow(
    gateway: &Gateway,
    actor: &Actor,
    tls: &Watched<ServerTls>,
    turned_away: &TurnedAway,
    stop: CancellationToken,
) {
    while tokio::time::timeout(EVERY, stop.cancelled()).await.is_err() {
        tell(gateway, actor, turned_away.due(Instant::now())).await;
        for certificates in tls.replaced() {
            if let Err(error) = record(gateway, actor, CertificatesReplaced { certificates }).await {
                tracing::error!(%error, "that certificates were replaced is not recorded");
            }
        }
    }
}

/// Records calls that were turned away.
pub(super) async fn tell(gateway: &Gateway, actor: &Actor, turned: Vec<Turned>) {
    for one in turned {
        if let Err(error) = turned_away(gateway, actor, one).await {
            tracing::error!(%error, "that calls were turned away is not recorded");
        }
    }
}

async fn turned_away(gateway: &Gateway, actor: &Actor, turned: Turned) -> Result<(), AuditError> {
    let Turned { caller, method, code, calls } = turned;
    let method = method.to_owned();
    let (actor, event) = match caller {
        None => (actor.clone(), UnknownTurnedAway { method, code, calls }.into()),
        Some(caller) => {
            let (organisation, role, name) = (caller.organisation().clone(), caller.role(), caller.name());
            let actor = Actor { organisation, role: role.as_str(), name: name.to_owned() };
            (actor, CallTurnedAway { method, code, calls }.into())
        }
    };
    gateway.audit.append(Entry { actor, project: None, run: None, event }).await.map(|_| ())
}
