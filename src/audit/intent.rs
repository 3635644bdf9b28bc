//! Intent and receipt: what must be durable before data are read, and what must be durable before a
//! result leaves.

use crate::disclosure::Judged;
use crate::domain::canonical::{Canonical, Digest};
use crate::domain::ids::{ProjectId, RunId};
use crate::domain::lifecycle::Inactive;
use crate::domain::overview::DisclosureFacts;
use crate::domain::refusal::Refusal;
use crate::domain::table::ResultTable;
use crate::store::{LedgerRelease, Phase, StoreError, StoredResult};

use super::error::AuditError;
use super::event::{Actor, Entry, Event, FeedOpened, QueryFailed, QueryOpened, QueryRefused, ResultReceived};
use super::leaf::Leaf;
use super::log::AuditLog;
use super::receipt::{AuditReceipt, Deposit};

/// A durable statement that a run is about to read data. It is closed by the receipt of the result, or
/// by a refusal or failure. One left open by a crash is closed at the next start.
#[derive(Debug)]
pub struct AuditIntent {
    index: u64,
    actor: Actor,
    project: ProjectId,
    run: RunId,
    query: Digest,
    approval: Digest,
}

impl AuditIntent {
    /// The index of its leaf.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// The run it is for.
    #[must_use]
    pub const fn run(&self) -> &RunId {
        &self.run
    }

    /// The intent of a feed, before its leaf has an index.
    pub(super) const fn of_feed(actor: Actor, project: ProjectId, run: RunId, opened: &FeedOpened) -> Self {
        Self { index: 0, actor, project, run, query: opened.order, approval: opened.approval }
    }

    /// Its leaf has come to stand there.
    pub(super) const fn set_index(&mut self, index: u64) {
        self.index = index;
    }

    /// The project it belongs to, and the digest of the approval it was opened under.
    pub(super) const fn under(&self) -> (&ProjectId, &Digest) {
        (&self.project, &self.approval)
    }

    pub(super) fn entry(&self, event: Event) -> Entry {
        Entry {
            actor: self.actor.clone(),
            project: Some(self.project.clone()),
            run: Some(self.run.clone()),
            event,
        }
    }
}

/// What goes into the release ledger with a result.
#[derive(Debug)]
pub struct LedgerRecord {
    /// The ledger's head that the result was judged on.
    pub head: u64,
    /// The release.
    pub release: LedgerRelease,
    /// Who is in it, sealed, if that may be kept.
    pub sealed: Option<Vec<u8>>,
    /// What stewards are told of it, sealed.
    pub report: Option<Vec<u8>>,
}

/// Why a result has no receipt.
#[derive(Debug)]
pub enum Unreceived {
    /// Something else was released since the judgement: judge again. The intent is still open.
    Moved(AuditIntent),
    /// Nothing may be released under the approval any more. The intent is still open, to be closed with the reason.
    Inactive(AuditIntent, Inactive),
    /// It could not be recorded. The intent is closed.
    Failed(AuditError),
}

/// The code and hint of a run that a stop of the gateway cut short.
const INTERRUPTED: (&str, &str) = (
    "run.interrupted",
    "the gateway stopped during the run; nothing was released; submit the query under a new request id",
);

impl AuditLog {
    /// Opens the intent of a run that has been submitted, if queries may still be asked under its approval. Data may be
    /// read once this has returned.
    ///
    /// # Errors
    /// [`AuditError`]; then nothing may be read.
    pub async fn open_intent(
        &self,
        actor: Actor,
        project: ProjectId,
        run: RunId,
        opened: QueryOpened,
    ) -> Result<AuditIntent, AuditError> {
        let (query, approval) = (opened.query, opened.approval);
        let mut intent = AuditIntent { index: 0, actor, project, run, query, approval };
        let mut recording = self.begin().await?;
        recording.write().must_be_active(&intent.project, &approval, self.clock.today()).await?;
        intent.index = recording.add(intent.entry(opened.into())).await?;
        recording.write().open_audit_intent(intent.index, &intent.run).await?;
        recording.finish().await?;
        Ok(intent)
    }

    /// Ends a run that never came to an intent, because nothing may be asked under its approval any more.
    ///
    /// # Errors
    /// [`AuditError`].
    pub async fn refuse_unopened(
        &self,
        actor: Actor,
        project: ProjectId,
        run: &RunId,
        query: Digest,
        refusal: &Refusal,
    ) -> Result<(), AuditError> {
        let event = QueryRefused { intent: None, query, code: refusal.code.to_owned() };
        let mut recording = self.begin().await?;
        let (project, of) = (Some(project), Some(run.clone()));
        recording.add(Entry { actor, project, run: of, event: event.into() }).await?;
        let ending = Some((refusal.code, refusal.hint.as_str()));
        recording.write().set_phase(run, Phase::Refused, ending).await?;
        recording.finish().await
    }

    /// Closes an intent with the receipt of its result. That results may be released under the approval is looked up,
    /// and receipt, checkpoint, the result's bytes, its entries in
    /// the release ledger and the overview of disclosures and the run's last phase are written, in one transaction: a revocation comes before it and
    /// stops it, or after it. If that fails, the intent is
    /// closed as failed where possible, and nothing may be released; if the ledger has moved since the
    /// result was judged, the intent comes back for another judgement.
    ///
    /// # Errors
    /// [`Unreceived`], also without a record for a result that the ledger has to keep.
    pub async fn receive(
        &self,
        intent: AuditIntent,
        judged: &Judged,
        ledger: Option<&LedgerRecord>,
        facts: &DisclosureFacts,
    ) -> Result<AuditReceipt, Unreceived> {
        let disclosed = judged.disclosed();
        if judged.remembered().is_some() != ledger.is_some() {
            let _ = self.fail_with(&intent, "audit.receipt", "the result has no entry for the ledger").await;
            return Err(Unreceived::Failed(AuditError::NoLedger(intent.run)));
        }
        let bytes = disclosed.deposit(&Deposit::new());
        self.receive_bytes(intent, disclosed.digest(), bytes, ledger, facts).await
    }

    pub(super) async fn receive_bytes(
        &self,
        intent: AuditIntent,
        digest: Digest,
        bytes: &[u8],
        ledger: Option<&LedgerRecord>,
        facts: &DisclosureFacts,
    ) -> Result<AuditReceipt, Unreceived> {
        match self.try_receive(&intent, digest, bytes, ledger, facts).await {
            Ok(receipt) => Ok(receipt),
            Err(AuditError::Store(StoreError::LedgerMoved)) => Err(Unreceived::Moved(intent)),
            Err(AuditError::Store(StoreError::Inactive(why))) => Err(Unreceived::Inactive(intent, why)),
            Err(error) => {
                let hint = "the result could not be recorded, so it is not released";
                // If this fails too, the intent stays open until the next start.
                let _ = self.fail_with(&intent, "audit.receipt", hint).await;
                Err(Unreceived::Failed(error))
            }
        }
    }

    async fn try_receive(
        &self,
        intent: &AuditIntent,
        digest: Digest,
        bytes: &[u8],
        ledger: Option<&LedgerRecord>,
        facts: &DisclosureFacts,
    ) -> Result<AuditReceipt, AuditError> {
        let table = ResultTable::from_canonical(bytes)?;
        if table.run != intent.run || table.digest()? != digest {
            return Err(AuditError::OtherRun(intent.run.clone()));
        }
        let now = self.clock.now();
        let mut recording = self.begin().await?;
        let event = ResultReceived { intent: intent.index, result: digest };
        let receipt = recording.add(intent.entry(event.into())).await?;
        let write = recording.write();
        write.must_be_active(&intent.project, &intent.approval, now.date_naive()).await?;
        if !write.close_audit_intent(intent.index, receipt).await? {
            return Err(AuditError::IntentClosed(intent.run.clone()));
        }
        write.store_result(&intent.run, &StoredResult { digest, bytes: bytes.to_vec(), receipt }).await?;
        if let Some(LedgerRecord { head, release, sealed, report }) = ledger {
            if release.run != intent.run {
                return Err(AuditError::OtherRun(intent.run.clone()));
            }
            write.record_release(*head, release, sealed.as_deref(), now).await?;
            if let Some(report) = report {
                write.keep_report(&intent.run, report).await?;
            }
        }
        write.set_phase(&intent.run, Phase::Released, None).await?;
        recording.disclose(|event| intent.entry(event), receipt, &intent.run, facts, None).await?;
        recording.finish().await?;
        Ok(AuditReceipt::new(digest, receipt))
    }

    /// Closes an intent whose run was refused, and ends the run with the refusal's code and hint.
    ///
    /// # Errors
    /// [`AuditError`].
    pub async fn refuse(&self, intent: AuditIntent, refusal: &Refusal) -> Result<(), AuditError> {
        let closing =
            QueryRefused { intent: Some(intent.index), query: intent.query, code: refusal.code.to_owned() };
        let entry = intent.entry(closing.into());
        self.end(intent.index, &intent.run, entry, Some((Phase::Refused, refusal.code, &refusal.hint))).await
    }

    /// Closes an intent whose run failed, and ends the run with the refusal's code and hint.
    ///
    /// # Errors
    /// [`AuditError`].
    pub async fn fail(&self, intent: AuditIntent, refusal: &Refusal) -> Result<(), AuditError> {
        self.fail_with(&intent, refusal.code, &refusal.hint).await
    }

    pub(super) async fn fail_with(
        &self,
        intent: &AuditIntent,
        code: &str,
        hint: &str,
    ) -> Result<(), AuditError> {
        let closing = QueryFailed { intent: intent.index, code: code.to_owned() };
        let entry = intent.entry(closing.into());
        self.end(intent.index, &intent.run, entry, Some((Phase::Failed, code, hint))).await
    }

    /// Closes the intent at `intent` by the leaf of `entry`, and ends the run unless it has ended already.
    async fn end(
        &self,
        intent: u64,
        run: &RunId,
        entry: Entry,
        ending: Option<(Phase, &str, &str)>,
    ) -> Result<(), AuditError> {
        let mut recording = self.begin().await?;
        let leaf = recording.add(entry).await?;
        if !recording.write().close_audit_intent(intent, leaf).await? {
            return Err(AuditError::IntentClosed(run.clone()));
        }
        if let Some((phase, code, hint)) = ending {
            recording.write().set_phase(run, phase, Some((code, hint))).await?;
        }
        recording.finish().await
    }

    /// Ends what a stop cut short: closes intents left open and marks their runs, and runs that had not
    /// come to an intent, as failed. To be called once at start, before any query. Returns how many runs
    /// it has marked.
    ///
    /// # Errors
    /// [`AuditError`].
    pub async fn recover(&self, actor: &Actor) -> Result<u64, AuditError> {
        let (code, hint) = INTERRUPTED;
        let mut ended = 0;
        for open in self.store.open_audit_intents().await? {
            let closing = QueryFailed { intent: open.index, code: code.to_owned() };
            let entry = Entry {
                actor: actor.clone(),
                project: Leaf::from_canonical(&open.leaf)?.project,
                run: Some(open.run.clone()),
                event: closing.into(),
            };
            // A run can have ended without the log having been able to say so; it keeps its ending.
            let unfinished = !self.store.run(&open.run).await?.phase.is_end();
            let ending = unfinished.then_some((Phase::Failed, code, hint));
            self.end(open.index, &open.run, entry, ending).await?;
            ended += u64::from(unfinished);
        }
        for run in self.store.unfinished_runs().await? {
            let mut write = self.store.write().await?;
            write.set_phase(&run, Phase::Failed, Some((code, hint))).await?;
            write.commit().await?;
            ended += 1;
        }
        Ok(ended)
    }

    /// The bytes of a run's result with the receipt that lets them out, after checking that the log's
    /// leaf commits to exactly this result.
    ///
    /// # Errors
    /// [`AuditError::NoReceipt`], [`AuditError::Expired`], [`AuditError::Store`].
    pub async fn released<T: Canonical>(&self, run: &RunId) -> Result<(AuditReceipt, Vec<u8>), AuditError> {
        let stored = self.store.result(run).await?;
        if stored.bytes.is_empty() {
            return Err(AuditError::Expired);
        }
        let wrong = || AuditError::NoReceipt(run.clone());
        let leaf = self.store.audit_leaves(stored.receipt, 1).await?;
        let leaf = leaf.first().filter(|(index, _)| *index == stored.receipt).ok_or_else(wrong)?;
        let detail = self.store.audit_detail(stored.receipt).await?.ok_or_else(wrong)?;
        let received: ResultReceived = Leaf::opened(&leaf.1, run, &detail)?.ok_or_else(wrong)?;
        let stands =
            received.result == stored.digest && Digest::of_bytes(T::LABEL, &stored.bytes) == stored.digest;
        if stands {
            Ok((AuditReceipt::new(stored.digest, stored.receipt), stored.bytes))
        } else {
            Err(wrong())
        }
    }
}

#[cfg(test)]
mod tests;
