//! The latest checkpoint in a file outside of the database, by which a database that was put back from a copy is known.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::gateway::GatewayAppError;
use crate::audit::AuditLog;

/// How often the file is brought up to the log.
const EVERY: Duration = Duration::from_secs(1);

/// Checks that the log extends the checkpoint in the file, if there is one.
pub(super) async fn meet(file: Option<&Path>, log: &AuditLog) -> Result<(), GatewayAppError> {
    let Some(file) = file else { return Ok(()) };
    match std::fs::read_to_string(file) {
        Ok(note) => Ok(log.extends(&note).await?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => write(file, log).await,
        Err(source) => Err(GatewayAppError::Checkpoint { path: file.to_owned(), source }),
    }
}

/// Keeps the file up to the log until `stop`. That it cannot be written is told and holds up nothing.
pub(super) async fn keep(file: Option<&Path>, log: &AuditLog, stop: CancellationToken) {
    let Some(file) = file else { return };
    while tokio::time::timeout(EVERY, stop.cancelled()).await.is_err() {
        last(Some(file), log).await;
    }
}

/// The checkpoint with which the gateway stops.
pub(super) async fn last(file: Option<&Path>, log: &AuditLog) {
    let Some(file) = file else { return };
    if let Err(error) = write(file, log).await {
        tracing::error!(%error, "the checkpoint kept outside of the database is not up to date");
    }
}

/// Replaces the file as a whole, so that a stop in the middle leaves the one before.
async fn write(file: &Path, log: &AuditLog) -> Result<(), GatewayAppError> {
    let note = log.checkpoint(0).await?;
    let failed = |source| GatewayAppError::Checkpoint { path: file.to_owned(), source };
    if std::fs::read_to_string(file).is_ok_and(|before| before == note) {
        return Ok(());
    }
    let next = file.with_extension("next");
    std::fs::File::create(&next)
        .and_then(|mut to| to.write_all(note.as_bytes()).and_then(|()| to.sync_all()))
        .and_then(|()| std::fs::rename(&next, file))
        .map_err(failed)
}
