//! The gateway's witnesses: compared with at start, asked to cosign while it runs. One that cannot be
//! reached holds nothing up; one that holds another log than this stops the start.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::gateway::GatewayAppError;
use crate::audit::{AuditLog, Disagreement, Witnessed};
use crate::config::GatewayConfig;
use crate::pipeline::Gateway;
use crate::wire::witness_client::WitnessChannel;

/// How often a witness is asked whether the log has grown. All that was added in between is one checkpoint.
const EVERY: Duration = Duration::from_secs(1);

/// The witnesses of the configuration, each asked what it holds.
///
/// # Errors
/// [`GatewayAppError::Tampered`] if one holds a checkpoint that this log does not extend.
pub(super) async fn meet(config: &GatewayConfig, log: &AuditLog) -> Result<Vec<Witnessed>, GatewayAppError> {
    let mut witnesses = Vec::new();
    for entry in &config.witnesses {
        let link = WitnessChannel::new(&entry.peer(), &config.tls)?;
        witnesses.push(Witnessed::new(Box::new(link), entry.key.parse()?));
    }
    let met = join_all(witnesses.iter_mut().map(|witness| witness.compare(log))).await;
    for (witness, met) in witnesses.iter().zip(met) {
        match met {
            Ok(()) => {}
            Err(said) if said.is_tampering() => {
                return Err(GatewayAppError::Tampered { witness: witness.name().to_owned(), said });
            }
            Err(said) => tracing::warn!(witness = witness.name(), %said, "a witness does not answer"),
        }
    }
    Ok(witnesses)
}

/// Has the witnesses cosign the log as it grows, until `stop`; gives them back then.
pub(super) async fn keep(
    gateway: Arc<Gateway>,
    witnesses: Vec<Witnessed>,
    stop: CancellationToken,
) -> Vec<Witnessed> {
    let mut tasks = JoinSet::new();
    for mut witness in witnesses {
        let (gateway, stop) = (Arc::clone(&gateway), stop.clone());
        tasks.spawn(async move {
            let mut said = None;
            while !stop.is_cancelled() {
                let result = witness.cosign(&gateway.audit).await;
                said = tell(&witness, result, said);
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(EVERY) => {}
                }
            }
            witness
        });
    }
    tasks.join_all().await
}

/// The last checkpoint, with which the gateway stops.
pub(super) async fn last(log: &AuditLog, mut witnesses: Vec<Witnessed>) {
    let results = join_all(witnesses.iter_mut().map(|witness| witness.cosign(log))).await;
    for (witness, result) in witnesses.iter().zip(results) {
        tell(witness, result, None);
    }
}

/// Says in the log what has changed with a witness, once. Gives what it said last.
fn tell(witness: &Witnessed, result: Result<u64, Disagreement>, before: Option<String>) -> Option<String> {
    let now = result.as_ref().err().map(ToString::to_string);
    let witness = witness.name();
    match result {
        _ if now == before => {}
        Ok(_) => tracing::info!(witness, "a witness cosigns again"),
        Err(said) if said.is_tampering() => tracing::error!(witness, %said, "a witness holds another log"),
        Err(said) => tracing::warn!(witness, %said, "a witness does not cosign"),
    }
    now
}
