//! The last step of a run: the table is judged beside what its recipient has received, recorded and let out.

use chrono::NaiveDate;

use super::recall::Recalls;
use super::{Gateway, MOST_JUDGEMENTS, actor};
use crate::audit::{Actor, AuditIntent, LedgerRecord, Unreceived};
use crate::disclosure::ledger::Refused;
use crate::disclosure::{DisclosureError, Earlier, Judged, Proposed, Released, Remembered, may_publish};
use crate::domain::canonical::{Canonical, CanonicalError, Digest};
use crate::domain::ids::{OrganisationId, RunId};
use crate::domain::overview::DisclosureFacts;
use crate::domain::query::Query;
use crate::domain::refusal::{Refusal, RefusalKind};
use crate::domain::table::ResultTable;
use crate::plan::QueryPlan;
use crate::registers::Snapshot;
use crate::store::{LedgerEntry, LedgerRefusal, LedgerRelease, StoreError};

/// What a result that is about to be recorded answers.
pub(super) struct Answered<'a> {
    /// Its run.
    pub(super) run: &'a RunId,
    /// Who receives it.
    pub(super) organisation: &'a OrganisationId,
    /// What was asked.
    pub(super) query: &'a Query,
    /// The digest of the data it is made from.
    pub(super) snapshot: Digest,
    /// The digest of what was asked, by which the same question is found again.
    pub(super) question: Digest,
    /// The last day on which who is in it may be kept; none if it may not be.
    pub(super) kept: Option<NaiveDate>,
}

impl Gateway {
    /// Proposed table -> judged beside the recipient's earlier ones -> recorded with its receipt -> released. Of
    /// two tables that may stand alone but not together, one alone is recorded: the ledger's head tells.
    pub(super) async fn let_out(
        &self,
        plan: &QueryPlan,
        snapshot: &Snapshot,
        mut intent: AuditIntent,
        mut proposed: Proposed,
    ) -> Result<Released<ResultTable>, Refusal> {
        let mut recalls = Recalls::default();
        let approved = plan.approved();
        let (approval, recipient) = (approved.approval(), approved.caller().organisation());
        let facts = DisclosureFacts::of(approved.query(), approval.approval(), approval.digest(), recipient);
        for _ in 0..MOST_JUDGEMENTS {
            // Earlier queries may be evaluated again for it, which takes as long as their partner does.
            let judged = tokio::select! {
                biased;
                revoked = self.revoked(plan.approved()) => Err(revoked),
                judged = self.judge(plan, snapshot, intent.run(), &mut proposed, &mut recalls) => judged,
            };
            let (judged, record) = match judged {
                Ok(judged) => judged,
                Err(refusal) => return self.close(intent, refusal).await,
            };
            match self.audit.receive(intent, &judged, record.as_ref(), &facts).await {
                Ok(receipt) => {
                    return judged.into_disclosed().release(&receipt).map_err(|_| not_released());
                }
                Err(Unreceived::Moved(open)) => intent = open,
                Err(Unreceived::Inactive(open, why)) => return self.close(open, why.into()).await,
                Err(Unreceived::Failed(error)) => return Err(error.into()),
            }
        }
        self.close(intent, busy()).await
    }

    /// Judges a table on what the ledger holds now.
    async fn judge(
        &self,
        plan: &QueryPlan,
        snapshot: &Snapshot,
        run: &RunId,
        proposed: &mut Proposed,
        recalls: &mut Recalls,
    ) -> Result<(Judged, Option<LedgerRecord>), Refusal> {
        let approved = plan.approved();
        let organisation = approved.caller().organisation();
        let question = question(plan)?;
        self.forget().await?;
        // Before what the judgement is made on.
        let head = self.store.ledger_head().await?;
        let known = self.store.known_to(organisation).await?;
        self.recall(recalls, &known, (run, &actor(approved.caller()))).await?;
        let earlier = recalls.all(&known, Some(question));
        let judged = tokio::task::block_in_place(|| proposed.judge(&earlier, &self.pattern_key));
        let judged = match judged {
            Ok(judged) => judged,
            Err(error) => {
                if matches!(error, DisclosureError::Refused(_)) {
                    self.remember_refusal(organisation, snapshot.id(), question).await?;
                }
                return Err(error.into());
            }
        };
        let answer = Answered {
            run,
            organisation,
            query: approved.query(),
            snapshot: snapshot.id(),
            question,
            kept: approved.approval().approval().linked_sets_until,
        };
        let record = judged.remembered().map(|remembered| self.record(head, &answer, remembered));
        let record = record.transpose()?;
        Ok((judged, record))
    }

    /// What goes into the ledger with a result that was judged on this head of it.
    pub(super) fn record(
        &self,
        head: u64,
        answer: &Answered<'_>,
        remembered: &Remembered,
    ) -> Result<LedgerRecord, Refusal> {
        let release = LedgerRelease {
            run: answer.run.clone(),
            organisation: answer.organisation.clone(),
            project: answer.query.project.clone(),
            snapshot: answer.snapshot,
            question: answer.question,
            definition: answer.query.canonical().map_err(not_encodable)?,
            pattern: remembered.pattern.clone(),
            lives_until: answer.kept.unwrap_or_else(|| self.clock.today()),
        };
        let sealed = answer.kept.map(|_| remembered.sealed.clone());
        Ok(LedgerRecord { head, release, sealed, report: remembered.report.clone() })
    }

    /// Deletes who was in releases whose time is up.
    pub(crate) async fn forget(&self) -> Result<(), StoreError> {
        let mut write = self.store.write().await?;
        let forgotten = write.forget_memberships(self.clock.today()).await?;
        write.commit().await?;
        if forgotten > 0 {
            self.recollection.forget();
        }
        Ok(())
    }

    /// A question that was refused beside earlier releases is refused again on the same data, before any
    /// partner is asked: its answer would tell what has changed.
    pub(super) async fn not_refused_before(
        &self,
        plan: &QueryPlan,
        snapshot: &Snapshot,
    ) -> Result<(), Refusal> {
        let organisation = plan.approved().caller().organisation();
        match self.store.refused_before(organisation, snapshot.id(), question(plan)?).await? {
            None => Ok(()),
            Some(_) => Err(Refused::NotBesideEarlier.into()),
        }
    }

    pub(super) async fn remember_refusal(
        &self,
        organisation: &OrganisationId,
        snapshot: Digest,
        question: Digest,
    ) -> Result<(), Refusal> {
        let refusal: Refusal = Refused::NotBesideEarlier.into();
        let refused = LedgerRefusal {
            organisation: organisation.clone(),
            snapshot,
            question,
            code: refusal.code.to_owned(),
        };
        let mut write = self.store.write().await?;
        write.record_refusal(&refused, self.clock.now()).await?;
        Ok(write.commit().await?)
    }

    /// Judges a released table beside everything that anybody has received. Gives the ledger's head that this was
    /// judged on.
    pub(super) async fn publishable(&self, run: &RunId, least: u32, by: &Actor) -> Result<u64, Refusal> {
        self.forget().await?;
        let head = self.store.ledger_head().await?;
        let entries = self.store.ledger().await?;
        let Some(table) = entries.iter().find(|entry| entry.release.run == *run) else {
            return Err(Refusal::from(DisclosureError::from(Refused::EarlierGone)));
        };
        // Its own recipient knows it already; somebody with no project knows what is public.
        let mut readers: Vec<Option<&OrganisationId>> =
            entries.iter().map(|entry| Some(&entry.release.organisation)).chain([None]).collect();
        readers.sort_unstable();
        readers.dedup();
        readers.retain(|reader| *reader != Some(&table.release.organisation));
        let knows = |reader: &Option<&OrganisationId>| -> Vec<&LedgerEntry> {
            let known = |entry: &&LedgerEntry| {
                entry.release.run != *run && (entry.published || Some(&entry.release.organisation) == *reader)
            };
            entries.iter().filter(known).collect()
        };
        let known: Vec<Vec<&LedgerEntry>> = readers.iter().map(knows).collect();
        let mut recalls = Recalls::default();
        if known.iter().any(|known| !known.is_empty()) {
            self.recall(&mut recalls, &entries, (run, by)).await?;
        }
        let earlier = |known: Vec<&LedgerEntry>| -> Vec<Earlier<'_>> {
            known.into_iter().map(|entry| recalls.earlier(entry, None)).collect()
        };
        let sets: Vec<Vec<Earlier<'_>>> = known.into_iter().map(earlier).collect();
        let table = recalls.earlier(table, None);
        tokio::task::block_in_place(|| may_publish(table, least, &sets, &self.pattern_key))?;
        Ok(head)
    }
}

/// The digest of what a plan asks.
pub(super) fn question(plan: &QueryPlan) -> Result<Digest, Refusal> {
    let approved = plan.approved();
    approved.query().question(approved.rule()).map_err(not_encodable)
}

pub(super) fn not_encodable(_: CanonicalError) -> Refusal {
    super::not_encodable()
}

pub(super) fn not_released() -> Refusal {
    Refusal::new(RefusalKind::Internal, "result.not_released", "the result has no receipt of its own")
}

pub(super) fn busy() -> Refusal {
    let hint = "other results were released all the while; try again, a query under a new request id";
    Refusal::new(RefusalKind::Unavailable, "disclosure.ledger_busy", hint)
}
