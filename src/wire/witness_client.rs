//! A witness as the gateway and auditors see it.

use std::time::Duration;

use futures::future::BoxFuture;
use tonic::transport::Channel;
use tonic::{Response, Status};

use super::client::{self, ConnectError};
use super::proto::witness_client::WitnessClient;
use super::proto::{AddCheckpointRequest, GetHeldRequest};
use super::status::PeerRefusal;
use crate::audit::WitnessLink;
use crate::audit::merkle::Hash;
use crate::config::{Peer, TlsFiles};
use crate::domain::refusal::{Refusal, RefusalKind};

/// The most time a call may take.
const MOST: Duration = Duration::from_secs(5);

/// A connection to a witness.
#[derive(Debug, Clone)]
pub struct WitnessChannel {
    client: WitnessClient<Channel>,
}

impl WitnessChannel {
    /// A connection that comes up with the first call and again after it has broken.
    ///
    /// # Errors
    /// [`ConnectError`] for files or a name that cannot be used.
    pub fn new(peer: &Peer, files: &TlsFiles) -> Result<Self, ConnectError> {
        Ok(Self { client: WitnessClient::new(client::connect_lazy(peer, files)?) })
    }
}

impl WitnessLink for WitnessChannel {
    fn held(&self) -> BoxFuture<'_, Result<Option<String>, Refusal>> {
        Box::pin(async move {
            let mut client = self.client.clone();
            let note = text(within(client.get_held(GetHeldRequest {})).await?.note)?;
            Ok((!note.is_empty()).then_some(note))
        })
    }

    fn add<'a>(
        &'a self,
        from: u64,
        proof: &'a [Hash],
        note: &'a str,
    ) -> BoxFuture<'a, Result<String, Refusal>> {
        Box::pin(async move {
            let proof = proof.iter().map(|hash| hash.to_vec()).collect();
            let request = AddCheckpointRequest { old_size: from, proof, note: note.as_bytes().to_vec() };
            let mut client = self.client.clone();
            text(within(client.add_checkpoint(request)).await?.line)
        })
    }
}

/// An answer in time, the time to connect included.
async fn within<T>(call: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, Refusal> {
    let answer = tokio::time::timeout(MOST, call).await;
    let answer = answer.unwrap_or_else(|_| Err(Status::deadline_exceeded("witness.time: no answer in time")));
    Ok(answer.map_err(refused)?.into_inner())
}

fn text(bytes: Vec<u8>) -> Result<String, Refusal> {
    let wrong = |_| Refusal::new(RefusalKind::Internal, "witness.answer", "the answer is not text");
    String::from_utf8(bytes).map_err(wrong)
}

fn refused(status: Status) -> Refusal {
    let peer = PeerRefusal::from(status);
    Refusal::new(peer.kind, "witness.refused", peer.to_string())
}
