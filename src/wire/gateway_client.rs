//! A client of the gateway for researchers, stewards, consumers and auditors, in domain types.

mod person;
mod projects;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::{Stream, StreamExt, TryStreamExt};
use tonic::{Status, Streaming};

use super::client::{self, ConnectError};
use super::decode::{self, FieldError};
use super::encode;
use super::proto;
use super::proto::audit_client::AuditClient;
use super::proto::disclosures_client::DisclosuresClient;
use super::proto::microdata_client::MicrodataClient;
use super::proto::phase::Name;
use super::proto::queries_client::QueriesClient;
use super::proto::resolutions_client::ResolutionsClient;
use super::proto::statistics_client::StatisticsClient;
use super::status::PeerRefusal;
use super::token_client::{Line, TokenSource};
use crate::config::{Peer, TlsFiles};
use crate::domain::answer::{Checked, LogEntry, PublishedTable, Submission};
use crate::domain::approval::StewardSignature;
use crate::domain::canonical::{Canonical, CanonicalError, Digest};
use crate::domain::disclosure_report::DisclosureReport;
use crate::domain::held::{HeldRefusal, HeldResult, ReleaseStatement};
use crate::domain::ids::{PersonNo, RequestId, RunId, TableId};
use crate::domain::indirect::IndirectTerms;
use crate::domain::overview::Disclosure;
use crate::domain::person::Correction;
use crate::domain::query::Query;
use crate::domain::refusal::Refusal;
use crate::domain::resolution::{ResolutionStatement, WaitingResolution};
use crate::statistics::Format;
use crate::store::Phase;

/// Why a call to the gateway gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The gateway cannot be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The gateway refused, or the connection broke.
    #[error(transparent)]
    Refused(#[from] PeerRefusal),
    /// What is to be sent has no encoding.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
    /// A signature to be sent is not one.
    #[error("the signature to send is not one: {0}")]
    Signature(Refusal),
    /// The gateway's answer is not as the protocol says.
    #[error("the gateway's answer cannot be read: {0}")]
    Answer(String),
}

impl From<Status> for ClientError {
    fn from(status: Status) -> Self {
        Self::Refused(status.into())
    }
}

impl From<FieldError> for ClientError {
    fn from(error: FieldError) -> Self {
        Self::Answer(error.to_string())
    }
}

/// A phase that a run has reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The phase.
    pub phase: Phase,
    /// Of a run that was refused or failed: a fixed code. Otherwise empty.
    pub code: String,
    /// Of a run that was refused or failed: what would be accepted. Otherwise empty.
    pub hint: String,
}

/// A client of the gateway. Clones share the connection.
#[derive(Debug, Clone)]
pub struct GatewayClient {
    line: Line,
}

/// The most bytes of a result that are taken: the largest table that the limits of a query allow is far
/// smaller.
const MOST_RESULT: usize = 1 << 30;

impl GatewayClient {
    /// Connects with the caller's certificate.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn connect(gateway: &Peer, files: &TlsFiles) -> Result<Self, ConnectError> {
        Ok(Self { line: client::connect(gateway, files).await?.into() })
    }

    /// Connects to the gateway's side for callers with tokens.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn connect_with_tokens(
        gateway: &Peer,
        authority: &Path,
        revoked: &[PathBuf],
        tokens: Arc<TokenSource>,
    ) -> Result<Self, ConnectError> {
        Ok(Self { line: client::connect_with_tokens(gateway, authority, revoked, tokens).await? })
    }

    fn queries(&self) -> QueriesClient<Line> {
        QueriesClient::new(self.line.clone())
    }

    fn microdata(&self) -> MicrodataClient<Line> {
        MicrodataClient::new(self.line.clone())
    }

    fn statistics(&self) -> StatisticsClient<Line> {
        StatisticsClient::new(self.line.clone())
    }

    fn resolutions(&self) -> ResolutionsClient<Line> {
        ResolutionsClient::new(self.line.clone())
    }

    fn audit(&self) -> AuditClient<Line> {
        AuditClient::new(self.line.clone())
    }

    /// What would run, without touching data; for researchers.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn check(&self, query: &Query) -> Result<Checked, ClientError> {
        let request = proto::CheckRequest { query: Some(encode::query(query)) };
        Ok(decode::checked(self.queries().check(request).await?.into_inner())?)
    }

    /// Starts a query; for researchers. The same request id with the same query is the same submission.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn submit(&self, request_id: &RequestId, query: &Query) -> Result<Submission, ClientError> {
        let request =
            proto::SubmitRequest { request_id: request_id.to_string(), query: Some(encode::query(query)) };
        Ok(decode::submission(self.queries().submit(request).await?.into_inner())?)
    }

    /// The phases of a run, from the first to the last, as they come.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn watch(
        &self,
        run: &RunId,
    ) -> Result<impl Stream<Item = Result<Progress, ClientError>> + Send + Unpin + use<>, ClientError> {
        let request = proto::WatchRequest { run: run.to_string() };
        let phases = self.queries().watch(request).await?.into_inner();
        Ok(phases.map(|phase| progress(phase?)).boxed())
    }

    /// Waits for the last phase of a run.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn wait(&self, run: &RunId) -> Result<Progress, ClientError> {
        let phases = self.watch(run).await?;
        let last = phases.try_fold(None, |_, progress| async { Ok(Some(progress)) }).await?;
        last.ok_or_else(|| ClientError::Answer("a run must have a phase".to_owned()))
    }

    /// What stewards are told of a released table; for stewards.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn disclosure_report(&self, run: &RunId) -> Result<DisclosureReport, ClientError> {
        let request = proto::ReadDisclosureReportRequest { run: run.to_string() };
        let report = self.queries().read_disclosure_report(request).await?.into_inner().report;
        DisclosureReport::from_canonical(&report).map_err(|e| ClientError::Answer(e.to_string()))
    }

    /// A released result; for the researcher's organisation.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn fetch(&self, run: &RunId, format: Format) -> Result<Vec<u8>, ClientError> {
        self.fetch_under(run, format, None).await
    }

    /// A released result whose conditions, with this digest, the researcher's organisation accepts.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn fetch_accepting(
        &self,
        run: &RunId,
        format: Format,
        conditions: Digest,
    ) -> Result<Vec<u8>, ClientError> {
        self.fetch_under(run, format, Some(conditions)).await
    }

    /// Why and under which conditions the released records of a run are given; for the researcher's organisation.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn conditions(&self, run: &RunId) -> Result<IndirectTerms, ClientError> {
        let request = proto::ReadConditionsRequest { run: run.to_string() };
        let read = self.queries().read_conditions(request).await?.into_inner().conditions;
        IndirectTerms::from_canonical(&read).map_err(|e| ClientError::Answer(e.to_string()))
    }

    async fn fetch_under(
        &self,
        run: &RunId,
        format: Format,
        accepted: Option<Digest>,
    ) -> Result<Vec<u8>, ClientError> {
        let request = proto::FetchRequest {
            run: run.to_string(),
            format: encode::format(format).into(),
            accepted_conditions: accepted.map(|digest| digest.to_string()).unwrap_or_default(),
        };
        gather(self.queries().fetch(request).await?.into_inner()).await
    }

    /// All microdata that wait for stewards, with the reports on them; for stewards.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn held(&self) -> Result<Vec<HeldResult>, ClientError> {
        let answer = self.microdata().list_held(proto::ListHeldRequest {}).await?.into_inner();
        Ok(answer.held.into_iter().map(decode::held).collect::<Result<_, _>>()?)
    }

    /// Signs that a serial number be resolved; for stewards. Returns whether it was handed to the identity service: the
    /// second signature does it.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn sign_resolution(
        &self,
        statement: &ResolutionStatement,
        signature: &StewardSignature,
    ) -> Result<bool, ClientError> {
        let request = proto::SignResolutionRequest {
            statement: statement.canonical()?,
            signature: Some(encode::steward_signature(signature).map_err(ClientError::Signature)?),
        };
        Ok(self.resolutions().sign(request).await?.into_inner().handed_over)
    }

    /// The resolutions that wait for a second steward; for stewards.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn waiting_resolutions(&self) -> Result<Vec<WaitingResolution>, ClientError> {
        let answer = self.resolutions().list(proto::ListResolutionsRequest {}).await?.into_inner();
        Ok(answer.resolutions.into_iter().map(decode::waiting_resolution).collect::<Result<_, _>>()?)
    }

    /// Signs that microdata may be released; for stewards. Returns whether they are: the second signature does it.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn sign_held(
        &self,
        statement: &ReleaseStatement,
        signature: &StewardSignature,
    ) -> Result<bool, ClientError> {
        let request = proto::SignHeldRequest {
            statement: Some(encode::release_statement(statement)),
            signature: Some(encode::steward_signature(signature).map_err(ClientError::Signature)?),
        };
        Ok(self.microdata().sign_held(request).await?.into_inner().released)
    }

    /// Refuses microdata that wait; for stewards. They are erased.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn refuse_held(&self, run: &RunId, reason: HeldRefusal) -> Result<(), ClientError> {
        let reason = encode::held_refusal(reason).into();
        self.microdata().refuse_held(proto::RefuseHeldRequest { run: run.to_string(), reason }).await?;
        Ok(())
    }

    /// Publishes a released result; for stewards.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn publish(&self, run: &RunId, table: &TableId) -> Result<PublishedTable, ClientError> {
        let request = proto::PublishRequest { run: run.to_string(), table: table.to_string() };
        Ok(decode::published_table(self.statistics().publish(request).await?.into_inner())?)
    }

    /// All published tables.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn list_tables(&self) -> Result<Vec<PublishedTable>, ClientError> {
        let answer = self.statistics().list_tables(proto::ListTablesRequest {}).await?.into_inner();
        Ok(answer.tables.into_iter().map(decode::published_table).collect::<Result<_, _>>()?)
    }

    /// A published table.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn table(&self, table: &TableId, format: Format) -> Result<Vec<u8>, ClientError> {
        let request =
            proto::GetTableRequest { table: table.to_string(), format: encode::format(format).into() };
        gather(self.statistics().get_table(request).await?.into_inner()).await
    }

    /// The latest signed checkpoint of the audit log that so many witnesses have cosigned, a C2SP signed
    /// note; for auditors and stewards.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn checkpoint(&self, cosignatures: u32) -> Result<Vec<u8>, ClientError> {
        let request = proto::GetCheckpointRequest { cosignatures };
        Ok(self.audit().get_checkpoint(request).await?.into_inner().note)
    }

    /// Releases of the overview after a receipt, or from the first one on, as many as one answer holds; for stewards and
    /// auditors.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn disclosures(&self, after: Option<u64>) -> Result<Vec<Disclosure>, ClientError> {
        let mut client = DisclosuresClient::new(self.line.clone());
        let answer = client.list(proto::ListDisclosuresRequest { after }).await?.into_inner();
        Ok(answer.disclosures.into_iter().map(decode::disclosure).collect::<Result<_, _>>()?)
    }

    /// The corrections that persons have asked for after the one numbered `after`, or from the first one on, as many as one
    /// answer holds; for stewards.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn corrections(&self, after: Option<u64>) -> Result<Vec<Correction>, ClientError> {
        let mut client = DisclosuresClient::new(self.line.clone());
        let answer = client.list_corrections(proto::ListCorrectionsRequest { after }).await?.into_inner();
        Ok(answer.corrections.into_iter().map(decode::correction).collect::<Result<_, _>>()?)
    }

    /// The corrections after the one numbered `after` that the caller's own organisation is asked for, as many as one answer
    /// holds; for senders.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn fetch_corrections(&self, after: Option<u64>) -> Result<Vec<Correction>, ClientError> {
        let mut client = DisclosuresClient::new(self.line.clone());
        let mut parts =
            client.fetch_corrections(proto::FetchCorrectionsRequest { after }).await?.into_inner();
        let mut corrections = Vec::new();
        while let Some(part) = parts.message().await? {
            corrections.push(decode::correction(part)?);
        }
        Ok(corrections)
    }

    /// The persons whose data may not be released with their identity; for stewards.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn reservations(&self) -> Result<Vec<PersonNo>, ClientError> {
        let mut client = DisclosuresClient::new(self.line.clone());
        let answer = client.list_reservations(proto::ListReservationsRequest {}).await?.into_inner();
        Ok(answer.person_no.into_iter().map(PersonNo).collect())
    }

    /// At most so many entries of the audit log from an index on; for auditors.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn entries(&self, from: u64, most: u32) -> Result<Vec<LogEntry>, ClientError> {
        let request = proto::ReadEntriesRequest { from, most };
        let entries = self.audit().read_entries(request).await?.into_inner();
        Ok(entries.map_ok(decode::log_entry).try_collect().await?)
    }
}

async fn gather(mut chunks: Streaming<proto::FetchResponse>) -> Result<Vec<u8>, ClientError> {
    let mut bytes = Vec::new();
    while let Some(message) = chunks.message().await? {
        bytes.extend_from_slice(&message.chunk);
        if bytes.len() > MOST_RESULT {
            return Err(ClientError::Answer("the result is larger than any table can be".to_owned()));
        }
    }
    Ok(bytes)
}

fn progress(message: proto::Phase) -> Result<Progress, ClientError> {
    let phase = match message.name() {
        Name::Authorised => Phase::Authorised,
        Name::Linking => Phase::Linking,
        Name::Executing => Phase::Executing,
        Name::Protecting => Phase::Protecting,
        Name::Held => Phase::Held,
        Name::Released => Phase::Released,
        Name::Refused => Phase::Refused,
        Name::Failed => Phase::Failed,
        Name::Unspecified => return Err(ClientError::Answer("name: must be a phase".to_owned())),
    };
    Ok(Progress { phase, code: message.code, hint: message.hint })
}
