//! The witness over gRPC, behind [`super::access::WITNESS`].

use std::sync::Arc;

use tonic::service::Routes;
use tonic::{Request, Response, Status};
use tonic_health::server::HealthReporter;

use super::proto::witness_server::{Witness as Service, WitnessServer};
use super::proto::{AddCheckpointRequest, Cosignature, GetHeldRequest, Held};
use super::standard::{self, DescriptorError};
use crate::audit::merkle::Hash;
use crate::audit::witness::Witness;
use crate::domain::refusal::{Refusal, RefusalKind};

/// The full name of the service.
const NAME: &str = "kpr.v1.Witness";
/// The most bytes of a request: a proof has at most 64 hashes, and a note is a few lines.
const MESSAGE_BYTES: usize = 16 << 10;

/// Everything the witness's server serves: itself, health, reflection.
///
/// # Errors
/// [`DescriptorError`].
pub async fn routes(witness: Arc<Witness>) -> Result<(Routes, HealthReporter), DescriptorError> {
    let server = WitnessServer::new(WitnessService(witness)).max_decoding_message_size(MESSAGE_BYTES);
    standard::add(Routes::new(server), &[NAME]).await
}

struct WitnessService(Arc<Witness>);

#[tonic::async_trait]
impl Service for WitnessService {
    async fn add_checkpoint(
        &self,
        request: Request<AddCheckpointRequest>,
    ) -> Result<Response<Cosignature>, Status> {
        let AddCheckpointRequest { old_size, proof, note } = request.into_inner();
        let note = String::from_utf8(note).map_err(|_| invalid("note: must be text"))?;
        let proof: Result<Vec<Hash>, _> = proof.into_iter().map(Hash::try_from).collect();
        let proof = proof.map_err(|_| invalid("proof: each hash must have 32 bytes"))?;
        let witness = Arc::clone(&self.0);
        // What is signed is first forced to the disk.
        let added = tokio::task::spawn_blocking(move || witness.add(old_size, &proof, &note));
        let added = added.await.map_err(|_| Status::internal("witness.failed: nothing was signed"))?;
        if let Err(error) = &added {
            tracing::error!(%error, "a checkpoint was not cosigned");
        }
        Ok(Response::new(Cosignature { line: added.map_err(Refusal::from)?.into_bytes() }))
    }

    async fn get_held(&self, _: Request<GetHeldRequest>) -> Result<Response<Held>, Status> {
        Ok(Response::new(Held { note: self.0.held().unwrap_or_default().into_bytes() }))
    }
}

fn invalid(hint: &str) -> Refusal {
    Refusal::new(RefusalKind::Invalid, "witness.request", hint)
}
