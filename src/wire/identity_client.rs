//! The identity service as the gateway and ingest see it.

use std::path::Path;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};
use zeroize::{Zeroize, Zeroizing};

use super::client::{self, ConnectError};
use super::decode;
use super::encode;
use super::proto::identity_client::IdentityClient;
use super::proto::map_codes_request::Part as MapPart;
use super::proto::resolve_request::Part;
use super::proto::{self, resolve_begin, resolve_response};
use super::serve::MESSAGE_BYTES;
use super::status::PeerRefusal;
use crate::config::{Peer, TlsFiles};
use crate::domain::approval::StewardSignature;
use crate::domain::canonical::{Canonical, Digest};
use crate::domain::feed::FeedOrder;
use crate::domain::ids::{DomainId, PersonNo};
use crate::domain::order::LinkageOrder;
use crate::domain::person::{IdentityUses, Portal, Ticket};
use crate::domain::record_key::RecordKey;
use crate::domain::refusal::{Refusal, RefusalKind};
use crate::domain::resolution::ResolutionStatement;
use crate::linkage::{
    CodeMapper, FeedMapper, LinkageCode, LinkageError, MappedCodes, RegisteredPerson, ResolutionDesk,
    TicketDesk,
};
use crate::registers::IdentityIntake;
use crate::registers::intake::{
    IdentityFault, IdentityFaultKind, IdentityFile, IdentityLayout, IntakeError, PendingIdentity, Resolved,
    SerialMap,
};

/// The most time that mapping the codes of an order may take.
const MAPPING: Duration = Duration::from_secs(10 * 60);
/// The most time that an identity file may take, until it is committed.
const RESOLVING: Duration = Duration::from_secs(2 * 60 * 60);
/// The most time that a ticket may take.
const REDEEMING: Duration = Duration::from_secs(10);
/// How many bytes of an identity file go into one message.
const CHUNK: usize = 256 << 10;
/// How many codes go into one message: 1 MiB.
const CODES: usize = 1 << 16;
/// How many messages are made ahead of the connection.
const QUEUE: usize = 4;

/// A connection to the identity service.
#[derive(Debug, Clone)]
pub struct IdentityLink {
    client: IdentityClient<Channel>,
}

impl IdentityLink {
    /// A connection that comes up with the first call and again after it has broken.
    ///
    /// # Errors
    /// [`ConnectError`] for files or a name that cannot be used.
    pub fn new(peer: &Peer, files: &TlsFiles) -> Result<Self, ConnectError> {
        let channel = client::connect_lazy(peer, files)?;
        Ok(Self { client: IdentityClient::new(channel).max_decoding_message_size(MESSAGE_BYTES) })
    }
}

impl CodeMapper for IdentityLink {
    fn map<'a>(
        &'a self,
        order: &'a LinkageOrder,
        codes: &'a [LinkageCode],
        record_keys_of: Option<&'a DomainId>,
    ) -> BoxFuture<'a, Result<MappedCodes, LinkageError>> {
        Box::pin(async move {
            let begin = encode::order(order).map(|order| proto::MapBegin {
                order: Some(order),
                record_keys_of: record_keys_of.map(ToString::to_string),
                feed: None,
            });
            self.mapped(begin.map_err(LinkageError::Identity)?, codes).await
        })
    }
}

impl FeedMapper for IdentityLink {
    fn map_feed<'a>(
        &'a self,
        order: &'a FeedOrder,
        codes: &'a [LinkageCode],
    ) -> BoxFuture<'a, Result<MappedCodes, LinkageError>> {
        Box::pin(async move {
            let feed = Some(encode::feed_order(order).map_err(LinkageError::Identity)?);
            self.mapped(proto::MapBegin { order: None, record_keys_of: None, feed }, codes).await
        })
    }
}

impl ResolutionDesk for IdentityLink {
    fn deposit<'a>(
        &'a self,
        statement: &'a ResolutionStatement,
        signatures: &'a [StewardSignature],
        persons: &'a [PersonNo],
    ) -> BoxFuture<'a, Result<(), Refusal>> {
        Box::pin(async move {
            let failed = |hint: String| Refusal::new(RefusalKind::Unavailable, "identity.refused", hint);
            let signatures = signatures.iter().map(encode::steward_signature).collect::<Result<_, _>>()?;
            let mut request = Request::new(proto::DepositResolutionRequest {
                statement: statement.canonical().map_err(|error| failed(error.to_string()))?,
                signatures,
                person_no: persons.iter().map(|person| person.0).collect(),
            });
            request.set_timeout(REDEEMING);
            let answer =
                tokio::time::timeout(REDEEMING, self.client.clone().deposit_resolution(request)).await;
            let answer = answer.unwrap_or_else(|_| Err(Status::deadline_exceeded("")));
            answer.map(drop).map_err(|status| failed(PeerRefusal::from(status).to_string()))
        })
    }
}

impl TicketDesk for IdentityLink {
    fn redeem<'a>(
        &'a self,
        portal: &'a Portal,
        ticket: &'a Ticket,
    ) -> BoxFuture<'a, Result<Option<RegisteredPerson>, Refusal>> {
        Box::pin(async move {
            let mut request = Request::new(proto::RedeemTicketRequest {
                ticket: ticket.as_bytes().to_vec(),
                organisation: portal.organisation.to_string(),
                name: portal.name.clone(),
            });
            request.set_timeout(REDEEMING);
            let answer = tokio::time::timeout(REDEEMING, self.client.clone().redeem_ticket(request)).await;
            let answer = answer.unwrap_or_else(|_| Err(Status::deadline_exceeded("")));
            let answer = answer.map_err(|status| {
                let peer = PeerRefusal::from(status);
                if peer.code == "identity.ticket" {
                    return Refusal::new(RefusalKind::Denied, "person.ticket", peer.hint);
                }
                Refusal::new(RefusalKind::Unavailable, "identity.refused", peer.to_string())
            })?;
            let person = answer.into_inner().person_no.map(PersonNo);
            if person.is_some_and(PersonNo::is_unknown) {
                return Err(LinkageError::Mapping.into());
            }
            Ok(person.map(RegisteredPerson::redeemed))
        })
    }
}

impl IdentityLink {
    /// A ticket for a person whom this portal has authenticated, by the identity number; for portals.
    ///
    /// # Errors
    /// [`PeerRefusal`].
    pub async fn open_ticket(&self, number: &str) -> Result<Ticket, PeerRefusal> {
        let request = proto::OpenTicketRequest { identity_number: number.as_bytes().to_vec() };
        let answer = self.client.clone().open_ticket(request).await?.into_inner();
        Ok(decode::ticket(&answer.ticket).map_err(Status::from)?)
    }

    /// How the identity number of the person behind a ticket was used; for portals.
    ///
    /// # Errors
    /// [`PeerRefusal`].
    pub async fn uses(&self, ticket: &Ticket) -> Result<IdentityUses, PeerRefusal> {
        let request = proto::ReadUsesRequest { ticket: ticket.as_bytes().to_vec() };
        let answer = self.client.clone().read_uses(request).await?.into_inner();
        Ok(decode::identity_uses(answer).map_err(Status::from)?)
    }

    /// The identity numbers of the persons that a resolution was about, each one's newest first; for the steward who signed last.
    ///
    /// # Errors
    /// [`PeerRefusal`].
    pub async fn collect_resolution(
        &self,
        statement: &Digest,
    ) -> Result<Vec<Zeroizing<Vec<u8>>>, PeerRefusal> {
        let request = proto::CollectResolutionRequest { statement: statement.to_string() };
        let answer = self.client.clone().collect_resolution(request).await?.into_inner();
        Ok(answer.identity_number.into_iter().map(Zeroizing::new).collect())
    }

    /// A person for each code, in the time that this may take.
    async fn mapped(
        &self,
        begin: proto::MapBegin,
        codes: &[LinkageCode],
    ) -> Result<MappedCodes, LinkageError> {
        let mapped = tokio::time::timeout(MAPPING, self.map_codes(begin, codes)).await;
        let mapped = mapped.unwrap_or_else(|_| Err(Status::deadline_exceeded("")));
        let mapped = mapped.map_err(|status| {
            let peer = PeerRefusal::from(status);
            LinkageError::Identity(Refusal::new(peer.kind, "identity.refused", peer.to_string()))
        })?;
        if mapped.person_no.len() == codes.len() { Ok(mapped) } else { Err(LinkageError::Mapping) }
    }

    async fn map_codes(&self, begin: proto::MapBegin, codes: &[LinkageCode]) -> Result<MappedCodes, Status> {
        let with_keys = begin.record_keys_of.is_some();
        let begin = MapPart::Begin(begin);
        let (parts, requests) = mpsc::channel(QUEUE);
        let feed = async move {
            let mut next = Some(begin);
            let mut codes = codes.chunks(CODES);
            while let Some(part) = next {
                // If the service has ended the stream, its answer says why.
                if parts.send(proto::MapCodesRequest { part: Some(part) }).await.is_err() {
                    break;
                }
                next = codes.next().map(|codes| {
                    MapPart::Codes(codes.iter().flat_map(LinkageCode::as_bytes).copied().collect())
                });
            }
        };
        let read = async {
            let mut request = Request::new(ReceiverStream::new(requests));
            request.set_timeout(MAPPING);
            let mut answers = self.client.clone().map_codes(request).await?.into_inner();
            let mut mapped = MappedCodes {
                person_no: Vec::with_capacity(codes.len()),
                several_numbers: 0,
                record_keys: with_keys.then(|| Zeroizing::new(Vec::with_capacity(codes.len()))),
            };
            while let Some(mut answer) = answers.message().await? {
                mapped.person_no.extend(answer.person_no.into_iter().map(PersonNo));
                if let Some(keys) = &mut mapped.record_keys {
                    keys.extend(answer.record_key.iter().copied().map(RecordKey));
                }
                answer.record_key.zeroize();
                mapped.several_numbers = answer.several_numbers;
                if mapped.person_no.len() > codes.len() {
                    break;
                }
            }
            Ok(mapped)
        };
        tokio::join!(feed, read).1
    }
}

impl IdentityIntake for IdentityLink {
    fn resolve<'a>(&'a self, file: IdentityFile<'a>) -> BoxFuture<'a, Result<Resolved, IntakeError>> {
        Box::pin(async move {
            let (parts, requests) = mpsc::channel(QUEUE);
            let read = async {
                let mut request = Request::new(ReceiverStream::new(requests));
                request.set_timeout(RESOLVING);
                let mut answers = self.client.clone().resolve(request).await.map_err(refused)?.into_inner();
                let resolved = collect(&mut answers).await?;
                Ok((resolved, answers))
            };
            let (sent, read) = tokio::join!(send_file(file, parts), read);
            // A file that cannot be read is the first cause; a stream that the service ended is not.
            let (parts, ((persons, faults, all), answers)) = (sent?, read?);
            let pending = Box::new(Pending { parts, answers });
            Ok(Resolved { persons, faults, lines: all.lines, distinct: all.persons, pending })
        })
    }
}

type Parts = mpsc::Sender<proto::ResolveRequest>;

/// Sends a file as it is. Gives the open stream back, for the commit.
async fn send_file(file: IdentityFile<'_>, parts: Parts) -> Result<Parts, IntakeError> {
    let layout = match file.layout {
        IdentityLayout::Population => resolve_begin::Layout::Population,
        IdentityLayout::Serial => resolve_begin::Layout::Serial,
    };
    let begin = proto::ResolveBegin { delivery: file.delivery.to_string(), layout: layout.into() };
    let mut open = send_part(&parts, Part::Begin(begin)).await;
    let mut source = open_file(file.path).await?;
    while open {
        let mut chunk = Vec::with_capacity(CHUNK);
        let limit = CHUNK as u64;
        (&mut source).take(limit).read_to_end(&mut chunk).await.map_err(|e| IntakeError::Read(e.kind()))?;
        if chunk.is_empty() {
            break;
        }
        open = send_part(&parts, Part::Chunk(chunk)).await;
    }
    if open {
        send_part(&parts, Part::End(proto::ResolveEnd {})).await;
    }
    Ok(parts)
}

async fn open_file(path: &Path) -> Result<tokio::fs::File, IntakeError> {
    tokio::fs::File::open(path).await.map_err(|e| IntakeError::Read(e.kind()))
}

/// Whether the stream is still open; if not, the service's answer says why.
async fn send_part(parts: &Parts, part: Part) -> bool {
    parts.send(proto::ResolveRequest { part: Some(part) }).await.is_ok()
}

type Collected = (SerialMap, Vec<IdentityFault>, proto::ResolvedAll);

async fn collect(answers: &mut Streaming<proto::ResolveResponse>) -> Result<Collected, IntakeError> {
    let (mut persons, mut faults) = (SerialMap::default(), Vec::new());
    loop {
        match next_part(answers).await? {
            resolve_response::Part::Persons(pairs) => {
                if pairs.serial.len() != pairs.person_no.len() {
                    return Err(IntakeError::Answer("the lists of a pair differ in length"));
                }
                for (serial, person) in pairs.serial.into_iter().zip(pairs.person_no) {
                    persons.insert(serial, PersonNo(person));
                }
            }
            resolve_response::Part::Faults(more) => {
                for fault in more.faults {
                    faults.push(IdentityFault { line: fault.line, kind: kind(fault.kind())? });
                }
            }
            resolve_response::Part::All(all) => return Ok((persons, faults, all)),
            resolve_response::Part::Committed(_) => {
                return Err(IntakeError::Answer("committed before it was asked to"));
            }
        }
    }
}

fn kind(kind: proto::identity_fault::Kind) -> Result<IdentityFaultKind, IntakeError> {
    use proto::identity_fault::Kind;
    Ok(match kind {
        Kind::Malformed => IdentityFaultKind::Malformed,
        Kind::NotANumber => IdentityFaultKind::NotANumber,
        Kind::Conflict => IdentityFaultKind::Conflict,
        Kind::Duplicate => IdentityFaultKind::Duplicate,
        Kind::Encoding => IdentityFaultKind::Encoding,
        Kind::Unspecified => return Err(IntakeError::Answer("a fault without a kind")),
    })
}

async fn next_part(
    answers: &mut Streaming<proto::ResolveResponse>,
) -> Result<resolve_response::Part, IntakeError> {
    answers
        .message()
        .await
        .map_err(refused)?
        .ok_or_else(|| IntakeError::Unavailable("the stream ended early".to_owned()))?
        .part
        .ok_or(IntakeError::Answer("an empty message"))
}

fn refused(status: Status) -> IntakeError {
    let peer = PeerRefusal::from(status);
    match peer.kind {
        RefusalKind::Unavailable => IntakeError::Unavailable(peer.to_string()),
        _ => IntakeError::Refused(peer.to_string()),
    }
}

/// An answered file, its stream still open. Dropped, the service keeps nothing.
struct Pending {
    parts: Parts,
    answers: Streaming<proto::ResolveResponse>,
}

impl PendingIdentity for Pending {
    fn commit(self: Box<Self>) -> BoxFuture<'static, Result<(), IntakeError>> {
        let Self { parts, mut answers } = *self;
        Box::pin(async move {
            send_part(&parts, Part::Commit(proto::ResolveCommit {})).await;
            match next_part(&mut answers).await? {
                resolve_response::Part::Committed(_) => Ok(()),
                _ => Err(IntakeError::Answer("something else than a commit")),
            }
        })
    }
}
