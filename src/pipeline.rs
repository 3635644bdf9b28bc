//! The whole flow of one query, from an authorised question to a released table.
//!
//! Read [`Gateway::submit`], [`Gateway::answer`] and [`Gateway::let_out`]: each step takes the value that the step before
//! has made, and nothing else makes that value.

mod projects;
mod release;
mod results;
mod runs;
mod statistics;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

pub use runs::{MOST_RUNS, RunState};

use crate::audit::{
    Actor, AuditIntent, AuditLog, BudgetReserved, Entry, Event, OrderGiven, QueryOpened, QueryRefused,
    RecordKeysAsked,
};
use crate::authorise::{ApprovedQuery, Caller, Policies, authorise};
use crate::disclosure::{PatternKey, Proposed, Released, protect};
use crate::domain::answer::{BudgetState, Checked, Submission};
use crate::domain::approval::StewardKey;
use crate::domain::canonical::Canonical;
use crate::domain::clock::{Clock, Entropy, EntropyError};
use crate::domain::ids::{OrderId, ProjectId, RequestId, RunId};
use crate::domain::method::Method;
use crate::domain::query::Query;
use crate::domain::refusal::{Refusal, RefusalKind};
use crate::domain::rho::Rho;
use crate::domain::table::ResultTable;
use crate::execute::Engine;
use crate::linkage::{CodeMapper, Partners, link};
use crate::plan::{Catalogue, QueryPlan, plan};
use crate::registers::Snapshot;
use crate::store::{self, BudgetLease, Phase, Store, Submitted, Write};

/// What a query passes through, and what its answer is recorded in.
pub struct Gateway {
    /// Control data.
    pub store: Store,
    /// The audit log, in the same database.
    pub audit: AuditLog,
    /// Who may do what, and the disclosure rules.
    pub policies: Policies,
    /// Registers, variables, code lists.
    pub catalogue: Catalogue,
    /// The partner registers.
    pub partners: Arc<dyn Partners>,
    /// The identity service, for linkage codes.
    pub mapper: Arc<dyn CodeMapper>,
    /// Where counts are made.
    pub engine: Engine,
    /// The folder with the register's snapshots.
    pub register: PathBuf,
    /// The secret that breaks ties of suppression patterns.
    pub pattern_key: PatternKey,
    /// The stewards whose signatures count.
    pub stewards: Vec<StewardKey>,
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
    /// The runs in progress.
    pub running: Mutex<JoinSet<()>>,
}

impl Gateway {
    /// What would run, under which approval and rule. Touches no data: the shape of the table comes from
    /// the catalogue and the municipalities that exist.
    ///
    /// # Errors
    /// The [`Refusal`] that `submit` would give.
    pub async fn check(&self, caller: &Caller, query: Query) -> Result<Checked, Refusal> {
        let (plan, _) = self.plan(caller, query).await?;
        let (approved, shape) = (plan.approved(), plan.shape());
        let budget = match approved.method() {
            Method::Noise(noise) => {
                let (cost, allowance) = (noise.rho, allowance(approved));
                let spent = self.store.budget_spent(&approved.query().project).await?;
                Some(BudgetState { cost, allowance, left: allowance.minus(spent).unwrap_or(Rho::ZERO) })
            }
            Method::Suppress | Method::Fold | Method::Cellkey(_) => None,
        };
        Ok(Checked {
            query_digest: approved.query_digest(),
            approval_digest: approved.approval().digest(),
            rule: approved.rule().id().clone(),
            rule_text: approved.method().text(approved.rule()),
            min_persons: least_persons(approved),
            budget,
            steps: plan.steps().to_vec(),
            cells: (shape.cells() * shape.measures.len()) as u64,
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
            && [BUDGET_EXCEEDED, OTHER_METHOD].contains(&refusal.code)
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
            Method::Suppress | Method::Fold | Method::Cellkey(_) => {
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

    /// Query -> approved query -> plan, with the snapshot it is made for.
    async fn plan(&self, caller: &Caller, query: Query) -> Result<(QueryPlan, Snapshot), Refusal> {
        let approval = self.approval_in_force(&query.project).await?;
        let today = self.clock.today();
        let approved: ApprovedQuery = authorise(caller, query, &approval, &self.policies, today)?;
        let (organisation, domain) = (caller.organisation(), approved.domain());
        self.store.may_use_method(organisation, domain, approved.method()).await?;
        let snapshot = Snapshot::open_current(&self.register)?;
        Ok((plan(approved, &self.catalogue, snapshot.municipalities())?, snapshot))
    }

    /// A plan's whole run: intent, answer, and the receipt that lets the result out, or the leaf that says
    /// why there is none.
    async fn run(
        &self,
        plan: QueryPlan,
        snapshot: Snapshot,
        run: &RunId,
        lease: Option<BudgetLease>,
    ) -> Result<Released<ResultTable>, Refusal> {
        let intent = self.open_intent(&plan, run).await?;
        match self.answer(&plan, &snapshot, &intent, lease).await {
            Ok(proposed) => self.let_out(&plan, &snapshot, intent, proposed).await,
            Err(refusal) => self.close(intent, refusal).await,
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

    /// With the intent durable: plan -> coded rows -> linked rows -> protected counts -> proposed table, which
    /// is then judged beside earlier ones ([`Gateway::let_out`]).
    async fn answer(
        &self,
        plan: &QueryPlan,
        snapshot: &Snapshot,
        intent: &AuditIntent,
        lease: Option<BudgetLease>,
    ) -> Result<Proposed, Refusal> {
        let (approved, run) = (plan.approved(), intent.run());
        self.not_refused_before(plan, snapshot).await?;
        self.enter(run, Phase::Linking).await?;
        let order = OrderId::random(&*self.entropy).map_err(no_entropy)?;
        let order = plan.order(order, run.clone(), self.clock.now(), self.order_lifetime);
        let id = order.id.clone();
        let given = OrderGiven {
            order: id.clone(),
            digest: order.digest().map_err(|_| not_encodable())?,
            register: order.register.clone(),
            dataset: order.dataset.clone(),
        };
        let project = approved.query().project.clone();
        let on_run = |event: Event| entry(approved.caller(), Some(project.clone()), Some(run.clone()), event);
        self.audit.append(on_run(given.into())).await?;
        // The partner takes its time; the register's own part can be made ready meanwhile.
        let (coded, ready) = tokio::join!(self.partners.collect(order), self.engine.prepare(plan, snapshot));
        let coded = coded?;
        let record_keys_of = approved.record_keys_of();
        if let Some(domain) = record_keys_of {
            let asked = RecordKeysAsked { order: id, domain: domain.clone() };
            self.audit.append(on_run(asked.into())).await?;
        }
        let linked = link(coded, &*self.mapper, record_keys_of).await?;
        ready?;

        self.enter(run, Phase::Executing).await?;
        let counted = self.engine.run(plan, linked, snapshot).await?;

        self.enter(run, Phase::Protecting).await?;
        // Protection computes without waiting; the other calls go on meanwhile.
        let proposed =
            tokio::task::block_in_place(|| protect(plan, run.clone(), counted, &self.pattern_key, lease))?;
        Ok(proposed)
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
        Ok(self.audit.open_intent(actor(approved.caller()), project, run.clone(), opened).await?)
    }
}

/// The code of a refusal because the privacy budget does not suffice.
const BUDGET_EXCEEDED: &str = "budget.exceeded";
/// The code of a refusal because tables of the domain have another method already.
const OTHER_METHOD: &str = "rule.other_method";

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
            let organisation = approved.caller().organisation();
            write.use_method(run, organisation, approved.domain(), approved.method()).await?;
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
        Method::Suppress | Method::Fold => approved.rule().min_persons(),
        Method::Cellkey(noise) => noise.min_persons,
        Method::Noise(_) => 0,
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
