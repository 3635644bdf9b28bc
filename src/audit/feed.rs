//! Feeds: the intent before a register's rows are read for one, and the receipt with which it is released.

use chrono::NaiveDate;

use super::error::AuditError;
use super::event::{Actor, FeedOpened, ResultReceived};
use super::intent::{AuditIntent, Unreceived};
use super::log::AuditLog;
use super::receipt::{AuditReceipt, Deposit};
use crate::authorise::ApprovedFeed;
use crate::disclosure::DisclosedFeed;
use crate::domain::canonical::Canonical;
use crate::domain::feed_data::FeedData;
use crate::domain::ids::RunId;
use crate::domain::overview::DisclosureFacts;
use crate::store::{Phase, StoreError, StoredResult};

impl AuditLog {
    /// Starts the run of a feed and opens its intent, in one transaction: if its project is active, it is due, and its
    /// recipient has received nothing of its data domain another way. Data may be read once this has returned.
    ///
    /// # Errors
    /// [`AuditError`]; then there is no run, and nothing may be read.
    pub async fn open_feed(
        &self,
        actor: Actor,
        approved: &ApprovedFeed,
        run: &RunId,
        opened: FeedOpened,
    ) -> Result<AuditIntent, AuditError> {
        let (approval, feed, now) = (approved.approval(), approved.feed(), self.clock.now());
        let project = &approval.approval().project;
        let mut recording = self.begin().await?;
        let write = recording.write();
        write.must_be_active(project, &approval.digest(), now.date_naive()).await?;
        write.feed_must_be_due(project, feed, now.date_naive()).await?;
        let organisation = approved.caller().organisation();
        write.begin_feed(run, organisation, approval, now).await?;
        write.use_feed(run, organisation, approved.domain()).await?;
        let mut intent = AuditIntent::of_feed(actor, project.clone(), run.clone(), &opened);
        intent.set_index(recording.add(intent.entry(opened.into())).await?);
        recording.write().open_audit_intent(intent.index(), run).await?;
        recording.finish().await?;
        Ok(intent)
    }

    /// Closes an intent with the receipt of a feed. That its project is active and the feed due is looked up again, and
    /// receipt, checkpoint, the feed's bytes, its entry in the overview with the persons in it and the run's last phase
    /// are written, in one transaction. The bytes are kept until `kept`.
    ///
    /// # Errors
    /// [`Unreceived`].
    pub async fn receive_feed(
        &self,
        intent: AuditIntent,
        approved: &ApprovedFeed,
        feed: &DisclosedFeed,
        facts: &DisclosureFacts,
        kept: NaiveDate,
    ) -> Result<AuditReceipt, Unreceived> {
        match self.try_receive_feed(&intent, approved, feed, facts, kept).await {
            Ok(receipt) => Ok(receipt),
            Err(AuditError::Store(StoreError::Inactive(why))) => Err(Unreceived::Inactive(intent, why)),
            Err(error) => {
                let hint = "the feed could not be recorded, so it is not released";
                // If this fails too, the intent stays open until the next start.
                let _ = self.fail_with(&intent, "audit.receipt", hint).await;
                Err(Unreceived::Failed(error))
            }
        }
    }

    async fn try_receive_feed(
        &self,
        intent: &AuditIntent,
        approved: &ApprovedFeed,
        feed: &DisclosedFeed,
        facts: &DisclosureFacts,
        kept: NaiveDate,
    ) -> Result<AuditReceipt, AuditError> {
        let (digest, bytes) = (feed.disclosed().digest(), feed.disclosed().deposit(&Deposit::new()));
        let data = FeedData::from_canonical(bytes)?;
        let (project, approval) = intent.under();
        if data.run != *intent.run() || data.project != *project || data.digest()? != digest {
            return Err(AuditError::OtherRun(intent.run().clone()));
        }
        drop(data);
        let now = self.clock.now();
        let mut recording = self.begin().await?;
        let event = ResultReceived { intent: intent.index(), result: digest };
        let receipt = recording.add(intent.entry(event.into())).await?;
        let write = recording.write();
        write.must_be_active(project, approval, now.date_naive()).await?;
        write.feed_must_be_due(project, approved.feed(), now.date_naive()).await?;
        if !write.close_audit_intent(intent.index(), receipt).await? {
            return Err(AuditError::IntentClosed(intent.run().clone()));
        }
        write.store_result(intent.run(), &StoredResult { digest, bytes: bytes.to_vec(), receipt }).await?;
        write.set_phase(intent.run(), Phase::Released, None).await?;
        let persons = Some((feed.persons(), kept));
        recording.disclose(|event| intent.entry(event), receipt, intent.run(), facts, persons).await?;
        recording.finish().await?;
        Ok(AuditReceipt::new(digest, receipt))
    }
}
