//! The identity service over gRPC.

use std::pin::Pin;
use std::sync::Arc;

use chrono::SecondsFormat;
use futures::Stream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};
use tonic_health::server::HealthReporter;
use zeroize::Zeroizing;

use super::access::caller;
use super::decode::{self, FieldError};
use super::linkage::register;
use super::proto::identity_server::{Identity, IdentityServer};
use super::proto::map_codes_request::Part as MapPart;
use super::proto::resolve_request::Part;
use super::proto::{self, resolve_begin, resolve_response};
use super::serve::MESSAGE_BYTES;
use super::standard::{self, DescriptorError};
use crate::authorise::Caller;
use crate::domain::canonical::{Canonical, Digest};
use crate::domain::feed::FeedOrder;
use crate::domain::ids::{DomainId, PersonNo};
use crate::domain::order::{KeyedOrder, LinkageOrder};
use crate::domain::person::{Derivations, LookUp, Portal};
use crate::domain::refusal::{Refusal, RefusalKind};
use crate::identity::{
    AcceptedOrder, Answers, Fault, FaultKind, Fnr, IdentityError, IdentityService, Intake, Layout, Totals,
};
use crate::linkage::LinkageCode;

/// The full name of the service.
const NAME: &str = "kpr.v1.Identity";
/// How many pairs, faults or person numbers one message carries: well under [`MESSAGE_BYTES`].
const ITEMS: usize = 1 << 16;
/// How many messages wait for a slow reader.
const QUEUE: usize = 4;

/// Everything the identity service's server serves: itself, health, reflection.
///
/// # Errors
/// [`DescriptorError`].
pub async fn routes(service: Arc<IdentityService>) -> Result<(Routes, HealthReporter), DescriptorError> {
    let server = IdentityServer::new(Service(service)).max_decoding_message_size(MESSAGE_BYTES);
    standard::add(Routes::new(server), &[NAME]).await
}

struct Service(Arc<IdentityService>);

type Messages<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The answer of a task that works for as long as there is someone to answer.
fn answer<T, F, R>(work: F) -> Response<Messages<T>>
where
    T: Send + 'static,
    F: FnOnce(mpsc::Sender<Result<T, Status>>) -> R,
    R: Future<Output = Result<(), Status>> + Send + 'static,
{
    let (answers, messages) = mpsc::channel(QUEUE);
    let work = work(answers.clone());
    tokio::spawn(async move {
        let ended = tokio::select! {
            ended = work => ended,
            // Nobody is there any more: what was not committed is dropped.
            () = answers.closed() => Ok(()),
        };
        if let Err(status) = ended {
            // If nobody hears it, nobody needs it.
            answers.send(Err(status)).await.ok();
        }
    });
    Response::new(Box::pin(ReceiverStream::new(messages)))
}

#[tonic::async_trait]
impl Identity for Service {
    type ResolveStream = Messages<proto::ResolveResponse>;
    type MapCodesStream = Messages<proto::MapCodesResponse>;

    async fn resolve(
        &self,
        request: Request<Streaming<proto::ResolveRequest>>,
    ) -> Result<Response<Self::ResolveStream>, Status> {
        let service = Arc::clone(&self.0);
        Ok(answer(|answers| resolve(service, request.into_inner(), answers)))
    }

    async fn issue_key(
        &self,
        request: Request<proto::IssueKeyRequest>,
    ) -> Result<Response<proto::IssueKeyResponse>, Status> {
        let caller = caller(&request)?;
        let register = register(&caller)?;
        let message = request.into_inner();
        let key = match ordered(message.order, message.feed)? {
            Ordered::Rows(order) => self.0.issue_key(&register, &order).await,
            Ordered::Feed(order) => self.0.issue_feed_key((caller.organisation(), &register), &order).await,
        };
        let key = key.map_err(refuse)?;
        Ok(Response::new(proto::IssueKeyResponse { key: key.to_wire().to_vec() }))
    }

    async fn map_codes(
        &self,
        request: Request<Streaming<proto::MapCodesRequest>>,
    ) -> Result<Response<Self::MapCodesStream>, Status> {
        let service = Arc::clone(&self.0);
        Ok(answer(|answers| map_codes(service, request.into_inner(), answers)))
    }

    async fn open_ticket(
        &self,
        request: Request<proto::OpenTicketRequest>,
    ) -> Result<Response<proto::OpenTicketResponse>, Status> {
        let portal = portal(&caller(&request)?);
        let bytes = Zeroizing::new(request.into_inner().identity_number);
        let number = Fnr::parse(&bytes).map_err(|error| refuse(error.into()))?;
        let ticket = self.0.open_ticket(portal, number).await.map_err(refuse)?;
        Ok(Response::new(proto::OpenTicketResponse { ticket: ticket.as_bytes().to_vec() }))
    }

    async fn redeem_ticket(
        &self,
        request: Request<proto::RedeemTicketRequest>,
    ) -> Result<Response<proto::RedeemTicketResponse>, Status> {
        let message = request.into_inner();
        let organisation = decode::id("organisation", message.organisation)?;
        let ticket = decode::ticket(&message.ticket)?;
        let portal = Portal { organisation, name: message.name };
        let person = self.0.redeem(&portal, &ticket).map_err(refuse)?;
        Ok(Response::new(proto::RedeemTicketResponse { person_no: person.map(|person| person.0) }))
    }

    async fn read_uses(
        &self,
        request: Request<proto::ReadUsesRequest>,
    ) -> Result<Response<proto::ReadUsesResponse>, Status> {
        let portal = portal(&caller(&request)?);
        let ticket = decode::ticket(&request.into_inner().ticket)?;
        let uses = self.0.uses(&portal, &ticket).await.map_err(refuse)?;
        Ok(Response::new(proto::ReadUsesResponse {
            look_ups: uses.look_ups.into_iter().map(look_up).collect(),
            derivations: uses.derivations.into_iter().map(derivations).collect(),
        }))
    }

    async fn deposit_resolution(
        &self,
        request: Request<proto::DepositResolutionRequest>,
    ) -> Result<Response<proto::DepositResolutionResponse>, Status> {
        let message = request.into_inner();
        let statement = decode::resolution_statement("statement", &message.statement)?;
        let signatures = message.signatures.into_iter().map(decode::steward_signature);
        let signatures = signatures.collect::<Result<Vec<_>, _>>().map_err(|e| e.under("signatures"))?;
        let persons: Vec<PersonNo> = message.person_no.into_iter().map(PersonNo).collect();
        self.0.deposit_resolution(&statement, &signatures, &persons).await.map_err(refuse)?;
        Ok(Response::new(proto::DepositResolutionResponse {}))
    }

    async fn collect_resolution(
        &self,
        request: Request<proto::CollectResolutionRequest>,
    ) -> Result<Response<proto::CollectResolutionResponse>, Status> {
        let steward = portal(&caller(&request)?);
        let statement = decode::digest("statement", &request.into_inner().statement)?;
        let numbers = self.0.collect_resolution(&steward, &statement).await.map_err(refuse)?;
        let identity_number = numbers.iter().map(|number| number.to_wire().to_vec()).collect();
        Ok(Response::new(proto::CollectResolutionResponse { identity_number }))
    }
}

/// The party that calls, by organisation and name.
fn portal(caller: &Caller) -> Portal {
    Portal { organisation: caller.organisation().clone(), name: caller.name().to_owned() }
}

fn look_up(used: LookUp) -> proto::LookUp {
    let at = used.at.to_rfc3339_opts(SecondsFormat::Secs, true);
    proto::LookUp { at, organisation: used.organisation.to_string() }
}

fn derivations(derived: Derivations) -> proto::Derivations {
    proto::Derivations {
        project: derived.project.to_string(),
        register: derived.register.to_string(),
        runs: derived.runs,
        first: derived.first.to_string(),
        last: derived.last.to_string(),
    }
}

async fn resolve(
    service: Arc<IdentityService>,
    mut parts: Streaming<proto::ResolveRequest>,
    answers: mpsc::Sender<Result<proto::ResolveResponse, Status>>,
) -> Result<(), Status> {
    let Some(Part::Begin(begin)) = next_part(&mut parts).await? else { return Err(out_of_order()) };
    let delivery = decode::digest("begin.delivery", &begin.delivery)?;
    let layout = match begin.layout() {
        resolve_begin::Layout::Population => Layout::Population,
        resolve_begin::Layout::Serial => Layout::Serial,
        resolve_begin::Layout::Unspecified => {
            return Err(FieldError::new("begin.layout", "must be given").into());
        }
    };
    let mut intake = service.begin_intake(layout).map_err(refuse)?;
    let finished = loop {
        match next_part(&mut parts).await? {
            Some(Part::Chunk(bytes)) => {
                let read = working(move || {
                    let read = intake.push(&bytes)?;
                    Ok((intake, read))
                });
                let (back, read) = read.await?;
                intake = back;
                send_answers(&answers, read).await?;
            }
            Some(Part::End(_)) => {
                let (read, finished) = working(move || Intake::finish(intake)).await?;
                send_answers(&answers, read).await?;
                break finished;
            }
            _ => return Err(out_of_order()),
        }
    };
    let Totals { lines, persons } = finished.totals();
    let all = proto::ResolvedAll { lines, persons };
    send_part(&answers, resolve_response::Part::All(all)).await?;
    match next_part(&mut parts).await? {
        Some(Part::Commit(_)) => {}
        // The caller has thought better of it.
        None => return Ok(()),
        Some(_) => return Err(out_of_order()),
    }
    finished.commit().await.map_err(refuse)?;
    log_kept(delivery);
    send_part(&answers, resolve_response::Part::Committed(proto::Committed {})).await
}

fn log_kept(delivery: Digest) {
    tracing::info!(%delivery, "identity file kept");
}

/// Runs work that takes a processor for a while beside the threads that serve connections.
async fn working<T, F>(work: F) -> Result<T, Status>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, IdentityError> + Send + 'static,
{
    tokio::task::spawn_blocking(work).await.map_err(|_| refuse(IdentityError::Stopped))?.map_err(refuse)
}

async fn send_answers(
    answers: &mpsc::Sender<Result<proto::ResolveResponse, Status>>,
    read: Answers,
) -> Result<(), Status> {
    for pairs in read.persons.chunks(ITEMS) {
        let (serial, person_no) = pairs.iter().map(|(serial, person)| (serial, person.0)).unzip();
        let persons = proto::ResolvedPersons { serial, person_no };
        send_part(answers, resolve_response::Part::Persons(persons)).await?;
    }
    for faults in read.faults.chunks(ITEMS) {
        let faults = proto::ResolvedFaults { faults: faults.iter().map(fault).collect() };
        send_part(answers, resolve_response::Part::Faults(faults)).await?;
    }
    Ok(())
}

async fn send_part(
    answers: &mpsc::Sender<Result<proto::ResolveResponse, Status>>,
    part: resolve_response::Part,
) -> Result<(), Status> {
    send(answers, proto::ResolveResponse { part: Some(part) }).await
}

async fn send<T>(answers: &mpsc::Sender<Result<T, Status>>, message: T) -> Result<(), Status> {
    answers.send(Ok(message)).await.map_err(|_| Status::cancelled("identity.gone: the caller has gone"))
}

fn fault(fault: &Fault) -> proto::IdentityFault {
    use proto::identity_fault::Kind;
    let kind = match fault.kind {
        FaultKind::Malformed => Kind::Malformed,
        FaultKind::NotANumber => Kind::NotANumber,
        FaultKind::Conflict => Kind::Conflict,
        FaultKind::Duplicate => Kind::Duplicate,
        FaultKind::Encoding => Kind::Encoding,
    };
    proto::IdentityFault { line: fault.line, kind: kind.into() }
}

async fn next_part(parts: &mut Streaming<proto::ResolveRequest>) -> Result<Option<Part>, Status> {
    match parts.message().await? {
        None => Ok(None),
        Some(proto::ResolveRequest { part: Some(part) }) => Ok(Some(part)),
        Some(proto::ResolveRequest { part: None }) => Err(out_of_order()),
    }
}

async fn map_codes(
    service: Arc<IdentityService>,
    mut parts: Streaming<proto::MapCodesRequest>,
    answers: mpsc::Sender<Result<proto::MapCodesResponse, Status>>,
) -> Result<(), Status> {
    let first = parts.message().await?.map(|message| message.part);
    let Some(Some(MapPart::Begin(begin))) = first else { return Err(out_of_order()) };
    let record_keys_of: Option<DomainId> =
        begin.record_keys_of.map(|domain| decode::id("begin.record_keys_of", domain)).transpose()?;
    // Nothing of an order is taken in before it is known to be one.
    match ordered(begin.order, begin.feed)? {
        Ordered::Rows(order) => {
            let accepted = service.accept(order).await.map_err(refuse)?;
            map_accepted(&service, &accepted, record_keys_of, parts, answers).await
        }
        // A feed has no noise.
        Ordered::Feed(_) if record_keys_of.is_some() => Err(FieldError::new(
            "begin.record_keys_of",
            "must be left out: no record keys are given for a feed",
        )
        .into()),
        Ordered::Feed(order) => {
            let accepted = service.accept(order).await.map_err(refuse)?;
            map_accepted(&service, &accepted, None, parts, answers).await
        }
    }
}

async fn map_accepted(
    service: &IdentityService,
    accepted: &AcceptedOrder<impl KeyedOrder + Sync>,
    record_keys_of: Option<DomainId>,
    mut parts: Streaming<proto::MapCodesRequest>,
    answers: mpsc::Sender<Result<proto::MapCodesResponse, Status>>,
) -> Result<(), Status> {
    let mut codes = Vec::new();
    while let Some(part) = parts.message().await?.map(|message| message.part) {
        let Some(MapPart::Codes(bytes)) = part else { return Err(out_of_order()) };
        let (whole, rest) = bytes.as_chunks::<{ LinkageCode::LENGTH }>();
        if !rest.is_empty() {
            return Err(FieldError::new("codes", "must be codes of 16 bytes, one after the other").into());
        }
        if (codes.len() + whole.len()) as u64 > accepted.order().most_codes() {
            return Err(refuse(IdentityError::TooManyCodes));
        }
        codes.extend(whole.iter().map(|code| LinkageCode::from_bytes(*code)));
    }
    let (mapped, keys) = service.map_codes(accepted, codes, record_keys_of.as_ref()).await.map_err(refuse)?;
    let mut keys = keys.chunks(ITEMS);
    for persons in mapped.persons.chunks(ITEMS) {
        let person_no = persons.iter().map(|person| person.0).collect();
        let record_key = keys.next().unwrap_or_default().iter().map(|key| key.0).collect();
        send(&answers, proto::MapCodesResponse { person_no, several_numbers: 0, record_key }).await?;
    }
    let several_numbers = mapped.several_numbers;
    let last = proto::MapCodesResponse { person_no: Vec::new(), several_numbers, record_key: Vec::new() };
    send(&answers, last).await
}

/// The order that a key is asked for, or codes are mapped for.
enum Ordered {
    Rows(LinkageOrder),
    Feed(FeedOrder),
}

fn ordered(rows: Option<proto::Order>, feed: Option<proto::FeedOrder>) -> Result<Ordered, Status> {
    match (rows, feed) {
        (rows, None) => order(rows).map(Ordered::Rows),
        (None, Some(feed)) => {
            decode::feed_order("feed.canonical", &feed.canonical).map(Ordered::Feed).map_err(Status::from)
        }
        (Some(_), Some(_)) => Err(FieldError::new("feed", "must not stand beside another order").into()),
    }
}

/// The order of a request. Its canonical encoding is what its digest is taken over, so no other is read.
fn order(order: Option<proto::Order>) -> Result<LinkageOrder, Status> {
    let order = order.ok_or_else(|| FieldError::new("order", "must be given"))?;
    LinkageOrder::from_canonical(&order.canonical)
        .map_err(|rule| FieldError::new("order.canonical", rule).into())
}

fn out_of_order() -> Status {
    let hint = "the parts of the stream are not in the order the service description gives";
    Refusal::new(RefusalKind::Invalid, "identity.order_of_parts", hint).into()
}

fn refuse(error: IdentityError) -> Status {
    Refusal::from(error).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_spelling_of_an_order_is_read() {
        for canonical in [b"{}".to_vec(), b"".to_vec(), b"\xff".to_vec()] {
            let status = order(Some(proto::Order { canonical })).unwrap_err();
            assert_eq!(status.code(), tonic::Code::InvalidArgument);
        }
        assert_eq!(order(None).unwrap_err().code(), tonic::Code::InvalidArgument);
    }
}
