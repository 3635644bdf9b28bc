//! Microdata: held when they are protected, released when two stewards have signed, refused by one or by time.

use chrono::Days;

use super::recall::Recalls;
use super::release::{Answered, busy, not_encodable, question};
use super::{Gateway, MOST_JUDGEMENTS, actor};
use crate::audit::{AuditError, AuditIntent, HeldRecord, HeldRun};
use crate::authorise::{Action, Caller, Resource};
use crate::disclosure::ledger::Refused;
use crate::disclosure::{DisclosureError, Held, hold, release_held};
use crate::domain::approval::{ApprovalError, StewardSignature};
use crate::domain::canonical::{Canonical, Digest};
use crate::domain::held::{HeldRefusal, HeldResult, ReleaseStatement, VerifiedRelease};
use crate::domain::ids::RunId;
use crate::domain::lifecycle::Inactive;
use crate::domain::microdata::RiskReport;
use crate::domain::overview::DisclosureFacts;
use crate::domain::refusal::{Refusal, RefusalKind};
use crate::execute::{Counted, Protected};
use crate::plan::QueryPlan;
use crate::registers::Snapshot;
use crate::store::{HeldRow, Run, StoreError};

/// How many days microdata wait for two stewards; then they are erased.
pub const HELD_DAYS: u64 = 30;

/// The code and hint of a run whose microdata waited too long.
const LAPSED: (&str, &str) = (
    "microdata.lapsed",
    "two stewards did not release the records in time, and they were erased; submit the query under a new request id",
);

/// The code and hint of a run whose microdata hold somebody who has been blocked since.
const CHANGED: (&str, &str) = (
    "microdata.changed",
    "what the records were made from has changed while they waited, and they were erased; submit the query under a new \
     request id",
);

impl Gateway {
    /// Protected persons -> microdata, judged beside what their recipient has received -> sealed and held. Gives the
    /// digest of what is held.
    pub(super) async fn hold(
        &self,
        plan: &QueryPlan,
        snapshot: &Snapshot,
        intent: AuditIntent,
        counted: Protected<Counted>,
    ) -> Result<Digest, Refusal> {
        let making = tokio::select! {
            biased;
            revoked = self.revoked(plan.approved()) => Err(revoked),
            made = self.made(plan, snapshot, intent.run(), counted) => made,
        };
        let (held, question) = match making {
            Ok(made) => made,
            Err(refusal) => return self.close(intent, refusal).await,
        };
        let lapses = self.clock.today() + Days::new(HELD_DAYS);
        let record = HeldRecord { snapshot: snapshot.id(), question, lapses };
        self.audit.hold(intent, &held, record).await?;
        Ok(held.statement().result)
    }

    async fn made(
        &self,
        plan: &QueryPlan,
        snapshot: &Snapshot,
        run: &RunId,
        counted: Protected<Counted>,
    ) -> Result<(Held, Digest), Refusal> {
        let organisation = plan.approved().caller().organisation();
        let question = question(plan)?;
        if plan.approved().indirect().is_some() {
            // Their recipient has nothing of the data domain beside which they would be judged.
            let held =
                tokio::task::block_in_place(|| hold(plan, run.clone(), counted, &[], &self.pattern_key))?;
            return Ok((held, question));
        }
        self.forget().await?;
        let known = self.store.known_to(organisation).await?;
        let mut recalls = Recalls::default();
        self.recall(&mut recalls, &known, (run, &actor(plan.approved().caller()))).await?;
        let earlier = recalls.all(&known, Some(question));
        let held =
            tokio::task::block_in_place(|| hold(plan, run.clone(), counted, &earlier, &self.pattern_key));
        match held {
            Ok(held) => Ok((held, question)),
            Err(error) => {
                if matches!(error, DisclosureError::Refused(_)) {
                    self.remember_refusal(organisation, snapshot.id(), question).await?;
                }
                Err(error.into())
            }
        }
    }

    /// An organisation receives one set of anonymous records; another question is refused before any partner is asked.
    pub(super) async fn first_microdata(&self, plan: &QueryPlan) -> Result<(), Refusal> {
        let question = question(plan)?;
        let known = self.store.known_to(plan.approved().caller().organisation()).await?;
        let recalls = Recalls::default();
        if recalls
            .all(&known, Some(question))
            .iter()
            .any(|earlier| earlier.microdata && !earlier.same_question)
        {
            return Err(Refused::MicrodataOnce.into());
        }
        Ok(())
    }

    /// All microdata that wait, with their reports.
    ///
    /// # Errors
    /// A [`Refusal`] by policy.
    pub async fn held(&self, caller: &Caller) -> Result<Vec<HeldResult>, Refusal> {
        self.may(caller, Action::ListHeld, Resource::Gateway, None).await?;
        self.lapse().await?;
        let mut all = Vec::new();
        for row in self.store.all_held().await? {
            let run = self.store.run(&row.statement.run).await?;
            all.push(HeldResult {
                project: run.project,
                organisation: run.organisation,
                title: run.query.title,
                risk: RiskReport::from_canonical(&row.risk).map_err(not_encodable)?,
                held: row.held,
                lapses: row.lapses,
                signed_by: row.signatures.into_iter().map(|given| given.steward).collect(),
                statement: row.statement,
            });
        }
        Ok(all)
    }

    /// A steward signs that microdata may be released. The second steward's signature releases them, if they can
    /// still stand beside what their recipient has received. Returns whether they are released.
    ///
    /// # Errors
    /// A [`Refusal`]: by policy; because they no longer wait; because the signature is another's, is on something
    /// else, or is the same steward's again; or because they cannot be released any more, which ends the run.
    pub async fn sign_held(
        &self,
        caller: &Caller,
        statement: ReleaseStatement,
        signature: StewardSignature,
    ) -> Result<bool, Refusal> {
        let run = self.permitted_run(caller, Action::SignHeld, &statement.run).await?;
        if signature.steward.as_str() != caller.name() {
            let hint = "a steward signs with the own name: the one in the certificate of the call";
            let refusal = Refusal::new(RefusalKind::Denied, "microdata.other_steward", hint);
            return self.refused(caller, Action::SignHeld, Some(&run.project), refusal).await;
        }
        self.lapse().await?;
        // The keys that signatures verify under may be others than when the run began.
        self.in_force(&run.project).await?;
        let actor = actor(caller);
        for _ in 0..MOST_JUDGEMENTS {
            let row = self.store.held(&run.run).await?;
            let by = HeldRun { actor: &actor, run: &run, intent: row.intent };
            if row.statement != statement {
                let hint = "what waits has other digests; read its report again and sign that";
                return Err(Refusal::new(RefusalKind::Precondition, "microdata.other_result", hint));
            }
            if row.signatures.iter().any(|given| given.steward == signature.steward) {
                let hint = "this steward has signed; another steward must sign too";
                return Err(Refusal::new(RefusalKind::Precondition, "microdata.signed_already", hint));
            }
            let signatures = [row.signatures.as_slice(), std::slice::from_ref(&signature)].concat();
            match statement.verify(&signatures, &self.stewards) {
                Ok(release) => {
                    if self.release_signed(by, &row, &release, &signature).await? {
                        return Ok(true);
                    }
                }
                Err(ApprovalError::TooFewSignatures(_)) if row.signatures.is_empty() => {
                    // Another steward may sign at the same moment: then this one is the second.
                    if self.audit.sign_held(by, &statement, &signature).await? {
                        return Ok(false);
                    }
                }
                Err(ApprovalError::TooFewSignatures(_)) => {
                    let hint = "the key is that of the steward who has signed; another person must sign";
                    return Err(Refusal::new(RefusalKind::Precondition, "microdata.same_key", hint));
                }
                Err(ApprovalError::BadSignature | ApprovalError::Canonical(_)) => {
                    let hint = "the signature does not verify under the key configured for this steward";
                    return Err(Refusal::new(RefusalKind::Precondition, "microdata.bad_signature", hint));
                }
            }
        }
        Err(busy())
    }

    /// Judges what two stewards have signed on what the ledger holds now, indirectly identifiable records aside, and releases it. Not, if something else was
    /// released since the judgement: then it has to be judged again.
    async fn release_signed(
        &self,
        by: HeldRun<'_>,
        row: &HeldRow,
        release: &VerifiedRelease,
        signature: &StewardSignature,
    ) -> Result<bool, Refusal> {
        let run = by.run;
        self.forget().await?;
        // Before what the judgement is made on.
        let head = self.store.ledger_head().await?;
        let known = self.store.known_to(&run.organisation).await?;
        let mut recalls = Recalls::default();
        self.recall(&mut recalls, &known, (&run.run, by.actor)).await?;
        let earlier = recalls.all(&known, Some(row.question));
        let sealed = self.store.sealed(&run.run).await?;
        let keys = (&self.pattern_key, &self.persons_key);
        let judged = tokio::task::block_in_place(|| release_held(&sealed, release, &earlier, keys));
        let judged = match judged {
            Ok(judged) => judged,
            Err(error) => {
                let refused = matches!(error, DisclosureError::Refused(_));
                let refusal = Refusal::from(error);
                if refused {
                    self.remember_refusal(&run.organisation, row.snapshot, row.question).await?;
                    let (code, hint) = (refusal.code, refusal.hint.as_str());
                    self.audit.refuse_held(by, code, hint).await?;
                    self.tick();
                }
                return Err(refusal);
            }
        };
        if self.any_blocked(&run.run, judged.persons()).await? {
            let (code, hint) = CHANGED;
            self.audit.refuse_held(by, code, hint).await?;
            self.tick();
            return Err(Refusal::new(RefusalKind::Precondition, code, hint));
        }
        let approval = self.stored(&run.project, &run.approval_digest).await?.signed.approval;
        let answer = Answered {
            run: &run.run,
            organisation: &run.organisation,
            query: &run.query,
            snapshot: row.snapshot,
            question: row.question,
            kept: approval.linked_sets_until,
        };
        let ledger =
            judged.remembered().map(|remembered| self.record(head, &answer, remembered)).transpose()?;
        let facts = DisclosureFacts::of(&run.query, &approval, run.approval_digest, &run.organisation);
        let entered = (&facts, approval.records_until(self.clock.today()));
        match self.audit.release_held(by, signature, release, &judged, ledger.as_ref(), entered).await {
            Ok(_) => {
                self.tick();
                Ok(true)
            }
            Err(AuditError::Store(StoreError::LedgerMoved)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// A steward refuses microdata that wait: the run ends, and they are erased.
    ///
    /// # Errors
    /// A [`Refusal`]: by policy, or because they no longer wait.
    pub async fn refuse_held(
        &self,
        caller: &Caller,
        run: &RunId,
        reason: HeldRefusal,
    ) -> Result<(), Refusal> {
        let run = self.permitted_run(caller, Action::RefuseHeld, run).await?;
        let row = self.store.held(&run.run).await?;
        let by = HeldRun { actor: &actor(caller), run: &run, intent: row.intent };
        self.audit.refuse_held(by, reason.code(), reason.hint()).await?;
        self.tick();
        Ok(())
    }

    /// Ends the runs whose microdata have waited too long, or can never be released by the life of their project, and
    /// erases these.
    pub(crate) async fn lapse(&self) -> Result<(), Refusal> {
        for row in self.store.all_held().await? {
            let run = self.store.run(&row.statement.run).await?;
            let Some((code, hint)) = self.lapsed(&row, &run).await? else { continue };
            let by = HeldRun { actor: &self.actor, run: &run, intent: row.intent };
            match self.audit.refuse_held(by, code, &hint).await {
                // A steward was quicker.
                Err(AuditError::Store(StoreError::NotHeld(_))) => {}
                done => done?,
            }
            self.tick();
        }
        Ok(())
    }

    /// Why microdata that wait can never be released, if so: code and hint.
    async fn lapsed(&self, row: &HeldRow, run: &Run) -> Result<Option<(&'static str, String)>, Refusal> {
        let today = self.clock.today();
        if row.has_lapsed(today) {
            return Ok(Some((LAPSED.0, LAPSED.1.to_owned())));
        }
        let approval = self.stored(&run.project, &run.approval_digest).await?.signed.approval;
        let life = self.store.life(&run.project).await?;
        let why = life.permits(approval.version, approval.valid, today).err().filter(Inactive::is_final);
        Ok(why.map(|why| (why.code(), why.to_string())))
    }
}
