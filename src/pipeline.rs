//! The whole flow of one query, from an authorised question to a released table or to microdata that two stewards
//! release.
//!
//! Read [`Gateway::submit`], [`Gateway::run`], [`Gateway::count`], and for tables [`Gateway::let_out`], for microdata
//! [`Gateway::hold`] and [`Gateway::sign_held`]: each step takes the value that the step before has made, and nothing
//! else makes that value.

mod cost;
mod erasure;
mod feed;
mod feed_turns;
mod lifecycle;
mod linked_sets;
mod meter;
mod microdata;
mod overview;
mod partners;
mod person;
mod projects;
mod recall;
mod release;
mod resolution;
mod results;
mod runs;
mod statistics;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

pub use feed::OrderedFeed;
pub use feed_turns::FeedTurns;
pub use meter::Meter;
pub use results::Fetched;
pub use runs::{MOST_RUNS, RunState};

use crate::audit::{
    Actor, AuditError, AuditIntent, AuditLog, BudgetReserved, Entry, Event, OrderGiven, QueryOpened,
    QueryRefused, RecordKeysAsked,
};
use crate::authorise::{Action, ApprovedQuery, Caller, PoliciesInForce, authorise};
use crate::disclosure::persons::PersonsKey;
use crate::disclosure::{PatternKey, Recollection, protect, suffices};
use crate::domain::answer::{BudgetState, Checked, Submission};
use crate::domain::approval::StewardKey;
use crate::domain::canonical::{Canonical, Digest};
use crate::domain::clock::{Clock, Entropy, EntropyError};
use crate::domain::cost::Rates;
use crate::domain::ids::{OrderId, OrganisationId, ProjectId, RequestId, RunId};
use crate::domain::method::Method;
use crate::domain::overview::Retention;
use crate::domain::query::{Answer, Query};
use crate::domain::refusal::{Refusal, RefusalKind};
use crate::domain::rho::Rho;
use crate::execute::{Counted, Engine, Protected};
use crate::linkage::{CodeMapper, FeedMapper, Linked, Partners, ResolutionDesk, TicketDesk, link};
use crate::plan::{Catalogue, QueryPlan, plan};
use crate::registers::Snapshot;
use crate::store::{self, BudgetLease, Phase, Store, StoreError, Submitted, Write};

/// What a query passes through, and what its answer is recorded in.
pub struct Gateway {
    /// Control data.
    pub store: Store,
    /// The audit log, in the same database.
    pub audit: AuditLog,
    /// Who may do what, and the disclosure rules.
    pub policies: PoliciesInForce,
    /// Registers, variables, code lists.
    pub catalogue: Catalogue,
    /// The partner registers.
    pub partners: Arc<dyn Partners>,
    /// The identity service, for linkage codes.
    pub mapper: Arc<dyn CodeMapper>,
    /// The identity service, for the codes of feeds.
    pub feeds: Arc<dyn FeedMapper>,
    /// Whose feeds are under way.
    pub feed_turns: FeedTurns,
    /// The identity service, for the tickets of portals.
    pub tickets: Arc<dyn TicketDesk>,
    /// The identity service, for resolutions of serial numbers.
    pub resolutions: Arc<dyn ResolutionDesk>,
    /// Where counts are made.
    pub engine: Engine,
    /// The folder with the register's snapshots.
    pub register: PathBuf,
    /// The secret that breaks ties of suppression patterns.
    pub pattern_key: PatternKey,
    /// Earlier releases that were judged beside lately.
    pub recollection: Recollection,
    /// The secret under which it is kept who is in released records.
    pub persons_key: PersonsKey,
    /// Whose deliveries are whose, by the senders that deliveries name.
    pub senders: BTreeMap<String, OrganisationId>,
    /// How long the overview of disclosures is kept.
    pub retention: Retention,
    /// The stewards whose signatures count.
    pub stewards: Vec<StewardKey>,
    /// The gateway itself, as the audit log names it.
    pub actor: Actor,
    /// How long a partner may take for an order.
    pub order_lifetime: TimeDelta,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// The source of randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Tells watchers that some run has come to another phase.
    pub ticks: watch::Sender<u64>,
    /// Lets so many runs read data at the same time.
    pub slots: Semaphore,
    /// Lets one erasure rewrite the register at a time.
    pub erasing: tokio::sync::Mutex<()>,
    /// The runs in progress.
    pub running: Mutex<JoinSet<()>>,
    /// How much of the machine each of them takes.
    pub meter: Meter,
    /// What an hour costs, if projects are to pay.
    pub rates: Option<Rates>,
}

impl Gateway {
    /// What would run, under which approval and rule. Touches no data: the shape of the table comes from
    /// the catalogue and the municipalities that exist.
    ///
    /// # Errors
    /// The [`Refusal`] that `submit` would give, recorded in the audit log.
    pub async fn check(&self, caller: &Caller, query: Query) -> Result<Checked, Refusal> {
        let project = query.project.clone();
        let (plan, _) = match self.plan(caller, query).await {
            Ok(planned) => planned,
            Err(refusal) => return self.refused(caller, Action::CheckQuery, Some(&project), refusal).await,
        };
        let (approved, shape) = (plan.approved(), plan.shape());
        let budget = match approved.method() {
            Method::Noise(noise) => {
                let (cost, allowance) = (noise.rho, allowance(approved));
                let spent = self.store.budget_spent(&approved.query().project).await?;
                Some(BudgetState { cost, allowance, left: allowance.minus(spent).unwrap_or(Rho::ZERO) })
            }
            Method::Suppress
            | Method::Fold
            | Method::Cellkey(_)
            | Method::Generalise(_)
            | Method::AsApproved => None,
        };
        Ok(Checked {
            query_digest: approved.query_digest(),
            approval_digest: approved.approval().digest(),
            rule: approved.rule().id().clone(),
            rule_text: approved.method().text(approved.rule()),
            min_persons: least_persons(approved),
            budget,
            steps: plan.steps().to_vec(),
            cells: match approved.query().result {
                Answer::Table => (shape.cells() * shape.measures.len()) as u64,
                Answer::Microdata | Answer::Feed => 0,
            },
        })
    }

    /// Starts a query. The same request id with the same query of the same caller is the same submission
    /// and starts nothing anew, also when its approval has expired since.
    ///
    /// # Errors
    /// A [`Refusal`], recorded in the audit log: which rule, and what would be accepted.
    pub async fn submit(
        self: &Arc<Self>,
        caller: &Caller,
        request_id: RequestId,
        query: Query,
    ) -> Result<Submission, Refusal> {
        let query_digest = query.digest().map_err(|_| not_encodable())?;
        let before =
            self.store.submitted(caller.organisation(), &request_id, caller.name(), query_digest).await?;
        if let Some(run) = before {
            return Ok(Submission { run, query_digest });
        }
        let (plan, snapshot) = match self.plan(caller, query.clone()).await {
            Ok(planned) => planned,
            Err(refusal) => {
                let project = Some(query.project);
                let event = QueryRefused { intent: None, query: query_digest, code: refusal.code.to_owned() };
                self.audit.append(entry(caller, project, None, event)).await?;
                return Err(refusal);
            }
        };
        let project = query.project.clone();
        let submission = store::Submission {
            organisation: caller.organisation().clone(),
            caller: caller.name().to_owned(),
            request_id,
            query,
            approval_digest: plan.approved().approval().digest(),
        };
        // In a task of its own: a call that is dropped must not leave a run that is never started.
        let gateway = Arc::clone(self);
        let accepting = tokio::spawn(async move { gateway.accept(submission, plan, snapshot).await });
        let accepted = accepting.await.map_err(|_| not_submitted())?;
        if let Err(refusal) = &accepted
            && matches!(refusal.kind, RefusalKind::Precondition | RefusalKind::Limit)
        {
            let event = QueryRefused { intent: None, query: query_digest, code: refusal.code.to_owned() };
            self.audit.append(entry(caller, Some(project), None, event)).await?;
        }
        Ok(Submission { run: accepted?, query_digest })
    }

    /// Makes a submission durable and starts its run. Where its result will have noise, its privacy loss is reserved
    /// and recorded in the same transaction: before any data are read, once for a request id, and never given back.
    async fn accept(
        self: Arc<Self>,
        submission: store::Submission,
        plan: QueryPlan,
        snapshot: Snapshot,
    ) -> Result<RunId, Refusal> {
        let run = RunId::random(&*self.entropy).map_err(no_entropy)?;
        let (approved, now) = (plan.approved(), self.clock.now());
        let lease = match approved.method() {
            Method::Noise(noise) => {
                let mut recording = self.audit.begin().await?;
                let write = recording.write();
                if let Some(before) = take_in(write, &submission, &run, approved, now).await? {
                    return Ok(before);
                }
                let left = write.reserve_budget(&run, noise.rho, allowance(approved), now).await?;
                let event = BudgetReserved { rho: noise.rho, left };
                let project = Some(submission.query.project.clone());
                let reserved = entry(approved.caller(), project, Some(run.clone()), event);
                Some(recording.commit_lease(reserved).await?)
            }
            Method::Suppress
            | Method::Fold
            | Method::Cellkey(_)
            | Method::Generalise(_)
            | Method::AsApproved => {
                let mut write = self.store.write().await?;
                if let Some(before) = take_in(&mut write, &submission, &run, approved, now).await? {
                    return Ok(before);
                }
                write.commit().await?;
                None
            }
        };
        self.start(plan, snapshot, run.clone(), lease);
        Ok(run)
    }

    /// Query -> approved query -> plan, with the snapshot it is made for. A plan that could never be carried out with
    /// its privacy loss is refused here, before any budget is reserved.
    async fn plan(&self, caller: &Caller, query: Query) -> Result<(QueryPlan, Snapshot), Refusal> {
        let approval = self.active_approval(caller, &query).await?;
        let (policies, sections) = (self.policies.now(), self.catalogue.sections());
        let approved: ApprovedQuery = authorise(caller, query, &approval, &policies, sections)?;
        let (organisation, domain) = (caller.organisation(), approved.domain());
        self.store.may_use_method(organisation, domain, approved.domain_method()).await?;
        let snapshot = Snapshot::open_current(&self.register)?;
        let plan = plan(approved, &self.catalogue, snapshot.municipalities())?;
        suffices(&plan)?;
        Ok((plan, snapshot))
    }

    /// A plan's whole run: intent, counts, and the receipt that lets a table out, the leaf that says that microdata
    /// are held, or the one that says why there is no result. Gives the digest of the result, and the run's phase.
    async fn run(
        &self,
        plan: QueryPlan,
        snapshot: Snapshot,
        run: &RunId,
        lease: Option<BudgetLease>,
    ) -> Result<(Phase, Digest), Refusal> {
        let intent = self.open_intent(&plan, run).await?;
        // What is dropped here takes the partner's order and all its rows with it.
        let counting = tokio::select! {
            biased;
            revoked = self.revoked(plan.approved()) => Err(revoked),
            counted = self.count(&plan, &snapshot, &intent) => counted,
        };
        let counted = match counting {
            Ok(counted) => counted,
            Err(refusal) => return self.close(intent, refusal).await,
        };
        if plan.approved().query().result == Answer::Microdata {
            return Ok((Phase::Held, self.hold(&plan, &snapshot, intent, counted).await?));
        }
        // Protection computes without waiting; the other calls go on meanwhile.
        let key = &self.pattern_key;
        match tokio::task::block_in_place(|| protect(&plan, run.clone(), counted, key, lease)) {
            Ok(proposed) => {
                let released = self.let_out(&plan, &snapshot, intent, proposed).await?;
                Ok((Phase::Released, released.digest()))
            }
            Err(error) => self.close(intent, error.into()).await,
        }
    }

    /// Records why there is no result.
    async fn close<T>(&self, intent: AuditIntent, refusal: Refusal) -> Result<T, Refusal> {
        let refused = matches!(refusal.kind, RefusalKind::Precondition | RefusalKind::Denied);
        let closed = if refused {
            self.audit.refuse(intent, &refusal).await
        } else {
            self.audit.fail(intent, &refusal).await
        };
        closed.map_err(Refusal::from).and(Err(refusal))
    }

    /// With the intent durable: plan -> coded rows -> linked rows -> counted persons, sealed. They become a table that is
    /// judged beside earlier ones ([`Gateway::let_out`]), or microdata ([`Gateway::hold`]).
    async fn count(
        &self,
        plan: &QueryPlan,
        snapshot: &Snapshot,
        intent: &AuditIntent,
    ) -> Result<Protected<Counted>, Refusal> {
        let (approved, run) = (plan.approved(), intent.run());
        self.not_refused_before(plan, snapshot).await?;
        if matches!(approved.method(), Method::Generalise(_)) {
            self.first_microdata(plan).await?;
        }
        self.enter(run, Phase::Linking).await?;
        let project = approved.query().project.clone();
        let on_run = |event: Event| entry(approved.caller(), Some(project.clone()), Some(run.clone()), event);
        let linked = self.linked(plan, snapshot, run, on_run).await?;

        self.enter(run, Phase::Executing).await?;
        let counted = self.engine.run(plan, linked, snapshot).await?;

        self.enter(run, Phase::Protecting).await?;
        Ok(counted)
    }

    /// Plan -> linkage order -> coded rows -> linked rows. `ordered_as` is the run as the partner knows it.
    async fn gather(
        &self,
        plan: &QueryPlan,
        snapshot: &Snapshot,
        ordered_as: &RunId,
        log: impl Fn(Event) -> Entry,
    ) -> Result<Linked, Refusal> {
        let approved = plan.approved();
        let order = OrderId::random(&*self.entropy).map_err(no_entropy)?;
        let order = plan.order(order, ordered_as.clone(), self.clock.now(), self.order_lifetime);
        let id = order.id.clone();
        let given = OrderGiven {
            order: id.clone(),
            digest: order.digest().map_err(|_| not_encodable())?,
            register: order.register.clone(),
            dataset: order.dataset.clone(),
        };
        self.audit.append(log(given.into())).await?;
        // The partner takes its time; the register's own part can be made ready meanwhile.
        let (coded, ready) = tokio::join!(self.partners.collect(order), self.engine.prepare(plan, snapshot));
        let coded = coded?;
        let record_keys_of = approved.record_keys_of();
        if let Some(domain) = record_keys_of {
            let asked = RecordKeysAsked { order: id, domain: domain.clone() };
            self.audit.append(log(asked.into())).await?;
        }
        let linked = link(coded, &*self.mapper, record_keys_of).await?;
        // A person is in a result because of a partner's row: who is blocked has none from here on.
        let linked = linked.without(&self.blocked().await?)?;
        ready?;
        Ok(linked)
    }

    /// Makes it durable that this run is about to read data.
    async fn open_intent(&self, plan: &QueryPlan, run: &RunId) -> Result<AuditIntent, Refusal> {
        let approved = plan.approved();
        let opened = QueryOpened {
            query: approved.query_digest(),
            approval: approved.approval().digest(),
            policies: approved.policy_digest(),
            plan: plan.digest(),
            rule: approved.rule().id().clone(),
            min_persons: least_persons(approved),
        };
        let project = approved.query().project.clone();
        match self.audit.open_intent(actor(approved.caller()), project, run.clone(), opened).await {
            Ok(intent) => Ok(intent),
            Err(AuditError::Store(StoreError::Inactive(why))) => {
                self.refuse_unopened(approved, run, why.into()).await
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Ends a run that has read nothing yet.
    async fn refuse_unopened<T>(
        &self,
        approved: &ApprovedQuery,
        run: &RunId,
        refusal: Refusal,
    ) -> Result<T, Refusal> {
        let (actor, project) = (actor(approved.caller()), approved.query().project.clone());
        self.audit.refuse_unopened(actor, project, run, approved.query_digest(), &refusal).await?;
        Err(refusal)
    }
}

/// How often a result is judged, if others are released meanwhile, before that is given up.
const MOST_JUDGEMENTS: usize = 20;

/// Writes a submission as a new run, with the method of its table. Gives the run it has already, if it was taken in
/// before.
async fn take_in(
    write: &mut Write,
    submission: &store::Submission,
    run: &RunId,
    approved: &ApprovedQuery,
    now: DateTime<Utc>,
) -> Result<Option<RunId>, Refusal> {
    match write.submit(submission, run.clone(), now).await? {
        Submitted::Before(run) => Ok(Some(run)),
        Submitted::New(_) => {
            let approval = approved.approval();
            write.must_be_active(&approval.approval().project, &approval.digest(), now.date_naive()).await?;
            let organisation = approved.caller().organisation();
            write.use_method(run, organisation, approved.domain(), approved.domain_method()).await?;
            Ok(None)
        }
    }
}

/// A project's whole privacy budget; nothing if the approval has none.
fn allowance(approved: &ApprovedQuery) -> Rho {
    approved.approval().approval().privacy_budget.unwrap_or(Rho::ZERO)
}

/// The least number of persons in a published cell; 0 where every number has noise that shows any number.
const fn least_persons(approved: &ApprovedQuery) -> u32 {
    match approved.method() {
        Method::Suppress | Method::Fold | Method::Generalise(_) => approved.rule().min_persons(),
        Method::Cellkey(noise) => noise.min_persons,
        Method::Noise(_) => 0,
        Method::AsApproved => 1,
    }
}

/// A caller as the audit log names it.
fn actor(caller: &Caller) -> Actor {
    Actor {
        organisation: caller.organisation().clone(),
        role: caller.role().as_str(),
        name: caller.name().to_owned(),
    }
}

/// An entry of the audit log for what a caller has done.
fn entry(caller: &Caller, project: Option<ProjectId>, run: Option<RunId>, event: impl Into<Event>) -> Entry {
    Entry { actor: actor(caller), project, run, event: event.into() }
}

fn no_entropy(_: EntropyError) -> Refusal {
    Refusal::new(RefusalKind::Internal, "gateway.entropy", "no randomness is available, so nothing was done")
}

fn not_submitted() -> Refusal {
    let hint = "the gateway could not take the query; submit it again under the same request id";
    Refusal::new(RefusalKind::Internal, "query.not_submitted", hint)
}

fn not_encodable() -> Refusal {
    Refusal::new(RefusalKind::Invalid, "query.encoding", "the query cannot be encoded")
}

#[cfg(test)]
mod feed_tests;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod rights_model_tests;
