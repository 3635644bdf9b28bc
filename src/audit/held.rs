//! Microdata between protection and release: what must be durable when they are held, when a steward signs, and when
//! they are released or refused.

use chrono::NaiveDate;

use super::error::AuditError;
use super::event::{Actor, Entry, QueryRefused, ReleaseSigned, ResultHeld, ResultReceived};
use super::intent::{AuditIntent, LedgerRecord};
use super::log::AuditLog;
use super::receipt::{AuditReceipt, Deposit};
use crate::disclosure::{Held, Judged};
use crate::domain::approval::StewardSignature;
use crate::domain::canonical::{Canonical, Digest};
use crate::domain::held::{ReleaseStatement, VerifiedRelease};
use crate::domain::microdata::MicrodataTable;
use crate::domain::overview::DisclosureFacts;
use crate::store::{HeldRow, Phase, Run, StoreError, StoredResult};

/// What is kept beside held microdata for their release.
#[derive(Debug, Clone, Copy)]
pub struct HeldRecord {
    /// The digest of the data they were made from.
    pub snapshot: Digest,
    /// The digest of what was asked.
    pub question: Digest,
    /// The last day on which they can be released.
    pub lapses: NaiveDate,
}

/// A run whose microdata are held, and who decides on them.
#[derive(Debug, Clone, Copy)]
pub struct HeldRun<'a> {
    /// The steward, or the gateway itself.
    pub actor: &'a Actor,
    /// The run.
    pub run: &'a Run,
    /// The index of its intent.
    pub intent: u64,
}

impl HeldRun<'_> {
    fn entry(&self, event: impl Into<super::Event>) -> Entry {
        Entry {
            actor: self.actor.clone(),
            project: Some(self.run.project.clone()),
            run: Some(self.run.run.clone()),
            event: event.into(),
        }
    }
}

fn signed(statement: &ReleaseStatement, signature: &StewardSignature) -> ReleaseSigned {
    ReleaseSigned { result: statement.result, risk: statement.risk, steward: signature.steward.clone() }
}

impl AuditLog {
    /// Closes an intent with microdata that are held: the event, the sealed records and the run's phase in one
    /// transaction. If nothing may be released under the approval any more, the intent is closed with that reason; if
    /// it fails otherwise, as failed where possible.
    ///
    /// # Errors
    /// [`AuditError`]; then nothing is held.
    pub async fn hold(&self, intent: AuditIntent, held: &Held, record: HeldRecord) -> Result<(), AuditError> {
        let kept =
            self.hold_sealed(&intent, held.statement(), held.risk(), held.deposit(&Deposit::new()), record);
        if let Err(error) = kept.await {
            if let AuditError::Store(StoreError::Inactive(why)) = &error {
                self.refuse(intent, &why.clone().into()).await?;
                return Err(error);
            }
            let hint = "the result could not be recorded, so it is not held for release";
            // If this fails too, the intent stays open until the next start.
            let _ = self.fail_with(&intent, "audit.held", hint).await;
            return Err(error);
        }
        Ok(())
    }

    async fn hold_sealed(
        &self,
        intent: &AuditIntent,
        statement: &ReleaseStatement,
        risk: &[u8],
        sealed: &[u8],
        record: HeldRecord,
    ) -> Result<(), AuditError> {
        if statement.run != *intent.run() {
            return Err(AuditError::OtherRun(intent.run().clone()));
        }
        let row = HeldRow {
            intent: intent.index(),
            statement: statement.clone(),
            risk: risk.to_vec(),
            snapshot: record.snapshot,
            question: record.question,
            held: self.clock.now(),
            lapses: record.lapses,
            signatures: Vec::new(),
        };
        let event = ResultHeld { intent: row.intent, result: statement.result, risk: statement.risk };
        let mut recording = self.begin().await?;
        let leaf = recording.add(intent.entry(event.into())).await?;
        let write = recording.write();
        let (project, approval) = intent.under();
        write.must_be_active(project, approval, row.held.date_naive()).await?;
        if !write.close_audit_intent(row.intent, leaf).await? {
            return Err(AuditError::IntentClosed(intent.run().clone()));
        }
        write.hold(&row, sealed).await?;
        write.set_phase(intent.run(), Phase::Held, None).await?;
        recording.finish().await
    }

    /// Records a steward's signature that does not release anything yet. The caller has verified it. Returns whether
    /// it is the only one; if not, nothing is recorded.
    ///
    /// # Errors
    /// [`AuditError`], also if the microdata are no longer held.
    pub async fn sign_held(
        &self,
        of: HeldRun<'_>,
        statement: &ReleaseStatement,
        signature: &StewardSignature,
    ) -> Result<bool, AuditError> {
        let mut recording = self.begin().await?;
        // The leaf first: it holds the log's head, so that of two stewards at once the second sees the first.
        recording.add(of.entry(signed(statement, signature))).await?;
        let (project, approval) = (&of.run.project, &of.run.approval_digest);
        recording.write().must_be_active(project, approval, self.clock.today()).await?;
        if recording.write().sign_held(&statement.run, signature, self.clock.now()).await? != 1 {
            return Ok(false);
        }
        recording.finish().await?;
        Ok(true)
    }

    /// Releases microdata that two stewards have signed, `signature` being the second, if results may be released under
    /// the run's approval: the signature, the receipt, the result's bytes, its entry in the release ledger, that in the
    /// overview of disclosures with the set of persons, and the run's last phase are written in one transaction, in which
    /// the sealed records are erased.
    ///
    /// # Errors
    /// [`AuditError`], also without a record for a result that the ledger has to keep; then nothing is released. If the
    /// ledger has moved since the judgement, judge again.
    pub async fn release_held(
        &self,
        of: HeldRun<'_>,
        signature: &StewardSignature,
        release: &VerifiedRelease,
        judged: &Judged<MicrodataTable>,
        ledger: Option<&LedgerRecord>,
        (facts, kept_until): (&DisclosureFacts, NaiveDate),
    ) -> Result<AuditReceipt, AuditError> {
        let (statement, disclosed, run, intent) =
            (release.statement(), judged.disclosed(), of.run, of.intent);
        let of_another = ledger.is_some_and(|ledger| ledger.release.run != run.run);
        if disclosed.digest() != statement.result || run.run != statement.run || of_another {
            return Err(AuditError::OtherRun(run.run.clone()));
        }
        if judged.remembered().is_some() != ledger.is_some() {
            return Err(AuditError::NoLedger(run.run.clone()));
        }
        let persons = judged.persons().ok_or_else(|| AuditError::NoLedger(run.run.clone()))?;
        let bytes = disclosed.deposit(&Deposit::new()).to_vec();
        if MicrodataTable::from_canonical(&bytes)?.run != run.run {
            return Err(AuditError::OtherRun(run.run.clone()));
        }
        let now = self.clock.now();
        let mut recording = self.begin().await?;
        recording.add(of.entry(signed(statement, signature))).await?;
        let event = ResultReceived { intent, result: statement.result };
        let receipt = recording.add(of.entry(event)).await?;
        let write = recording.write();
        write.must_be_active(&run.project, &run.approval_digest, now.date_naive()).await?;
        write.sign_held(&run.run, signature, now).await?;
        write.erase_held(&run.run).await?;
        write.store_result(&run.run, &StoredResult { digest: statement.result, bytes, receipt }).await?;
        if let Some(LedgerRecord { head, release, sealed, .. }) = ledger {
            write.record_release(*head, release, sealed.as_deref(), now).await?;
        }
        write.set_phase(&run.run, Phase::Released, None).await?;
        recording
            .disclose(|event| of.entry(event), receipt, &run.run, facts, Some((persons, kept_until)))
            .await?;
        recording.finish().await?;
        Ok(AuditReceipt::new(statement.result, receipt))
    }

    /// Ends a run whose microdata are held, as refused, and erases them.
    ///
    /// # Errors
    /// [`AuditError`], also if they are no longer held.
    pub async fn refuse_held(&self, of: HeldRun<'_>, code: &str, hint: &str) -> Result<(), AuditError> {
        let (run, intent) = (of.run, of.intent);
        let event = QueryRefused { intent: Some(intent), query: run.query.digest()?, code: code.to_owned() };
        let mut recording = self.begin().await?;
        recording.add(of.entry(event)).await?;
        recording.write().erase_held(&run.run).await?;
        recording.write().set_phase(&run.run, Phase::Refused, Some((code, hint))).await?;
        recording.finish().await
    }
}

#[cfg(test)]
mod tests;
