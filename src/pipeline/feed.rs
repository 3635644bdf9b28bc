//! Feeds: a register's node asks, is ordered to name the persons it holds by codes, and is given the granted rows of those.
//!
//! Read [`Gateway::order_feed`], then [`Gateway::take_feed`]: a register that asks -> approved feed -> order -> codes ->
//! persons held -> persons given -> rows, sealed -> disclosed with who is in it -> receipt -> released.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError};

use chrono::Days;
use tokio::sync::oneshot;

use super::feed_turns::FeedTurn;
use super::release::{busy, not_encodable, not_released};
use super::runs::{MOST_TIME, ended};
use super::{Gateway, actor, entry, no_entropy};
use crate::audit::{AuditIntent, FeedOpened, FeedOrderGiven, ResultFetched, Unreceived};
use crate::authorise::{Action, Caller, Resource, authorise_feed};
use crate::disclosure::{DisclosedFeed, Released, disclose_feed};
use crate::domain::canonical::Canonical;
use crate::domain::feed::{Feed, FeedOrder};
use crate::domain::feed_data::{FeedData, FeedTaken};
use crate::domain::ids::{OrderId, PersonNo, ProjectId, RunId};
use crate::domain::order::KeyedOrder;
use crate::domain::overview::DisclosureFacts;
use crate::domain::person::Restriction;
use crate::domain::query::Answer;
use crate::domain::refusal::{Refusal, RefusalKind};
use crate::linkage::{LinkageCode, LinkageError, hold};
use crate::plan::{FeedPlan, plan_feed};
use crate::registers::Snapshot;
use crate::store::{Phase, StoreError};
use crate::telemetry::logged;

/// An order that a register's node has been given for its feed, and the codes by which it has named persons so far. It is
/// good for one run. While there is one, its organisation gets no other: so codes are received for an order only, and one
/// cannot be made anew or copied.
///
/// ```compile_fail,E0451
/// fn renew(honest: kpr::pipeline::OrderedFeed) -> kpr::pipeline::OrderedFeed {
///     kpr::pipeline::OrderedFeed { codes: Vec::new(), ..honest }
/// }
/// ```
///
/// ```compile_fail,E0599
/// fn copy(honest: &kpr::pipeline::OrderedFeed) -> kpr::pipeline::OrderedFeed {
///     honest.clone()
/// }
/// ```
pub struct OrderedFeed {
    order: FeedOrder,
    codes: Vec<LinkageCode>,
    turn: FeedTurn,
}

impl OrderedFeed {
    /// The order.
    #[must_use]
    pub const fn order(&self) -> &FeedOrder {
        &self.order
    }

    /// How many codes have been named.
    #[must_use]
    pub fn named(&self) -> u64 {
        self.codes.len() as u64
    }

    /// Takes in more codes. No more memory is taken than the codes of the order need.
    ///
    /// # Errors
    /// A [`Refusal`] for more than the order takes.
    pub fn name(&mut self, codes: &[[u8; LinkageCode::LENGTH]]) -> Result<(), Refusal> {
        let most = usize::try_from(self.order.most_codes()).unwrap_or(usize::MAX);
        let room = most.saturating_sub(self.codes.len());
        if codes.len() > room {
            return Err(LinkageError::TooManyRows(self.order.most_codes()).into());
        }
        if self.codes.capacity() - self.codes.len() < codes.len() {
            // Doubled, as a vector grows by itself, but not beyond what may still come.
            self.codes.reserve_exact(self.codes.len().max(codes.len()).min(room));
        }
        self.codes.extend(codes.iter().map(|code| LinkageCode::from_bytes(*code)));
        Ok(())
    }
}

impl Gateway {
    /// Gives a register's node the order by which it takes its feed: if the approval in force is for one, to this register,
    /// it is due, and no other of its organisation is under way. That the order is given is recorded first.
    ///
    /// # Errors
    /// A [`Refusal`], recorded in the audit log: which rule, and what would be accepted.
    pub async fn order_feed(&self, caller: &Caller, project: &ProjectId) -> Result<OrderedFeed, Refusal> {
        let plan = match self.plan_feed(caller, project).await {
            Ok(plan) => plan,
            Err(refusal) => return self.refused(caller, Action::TakeFeed, Some(project), refusal).await,
        };
        let turn = match self.feed_turns.begin(caller.organisation()) {
            Ok(turn) => turn,
            Err(refusal) => return self.refused(caller, Action::TakeFeed, Some(project), refusal).await,
        };
        let (approved, issued) = (plan.approved(), self.clock.now());
        let order = FeedOrder {
            id: OrderId::random(&*self.entropy).map_err(no_entropy)?,
            run: RunId::random(&*self.entropy).map_err(no_entropy)?,
            register: approved.feed().register.clone(),
            issued,
            expires: issued + self.order_lifetime,
            max_codes: Feed::MOST_PERSONS,
            approval: approved.approval().signed(),
        };
        let given = FeedOrderGiven {
            order: order.id.clone(),
            digest: order.digest().map_err(not_encodable)?,
            register: order.register.clone(),
        };
        self.audit.append(entry(caller, Some(project.clone()), Some(order.run.clone()), given)).await?;
        Ok(OrderedFeed { order, codes: Vec::new(), turn })
    }

    /// Waits for the codes of an order, which `naming` puts into it, until the order expires at the latest.
    ///
    /// # Errors
    /// What `naming` gives, or a [`Refusal`] for an order that has expired.
    pub async fn named_in_time<E: From<Refusal>>(
        &self,
        ordered: OrderedFeed,
        naming: impl AsyncFnOnce(&mut OrderedFeed) -> Result<(), E>,
    ) -> Result<OrderedFeed, E> {
        let mut ordered = ordered;
        let left = (ordered.order.expires - self.clock.now()).to_std().unwrap_or_default();
        match tokio::time::timeout(left, naming(&mut ordered)).await {
            Ok(named) => named.map(|()| ordered),
            Err(_) => Err(stale().into()),
        }
    }

    /// Releases the feed of an order, of the persons whom the register has named by its codes. A call that is dropped leaves
    /// a released feed, which can be fetched, or none.
    ///
    /// # Errors
    /// A [`Refusal`]; nothing is released then, and the feed can be taken anew.
    pub async fn take_feed(
        self: &Arc<Self>,
        caller: &Caller,
        ordered: OrderedFeed,
    ) -> Result<FeedTaken, Refusal> {
        let (gateway, caller) = (Arc::clone(self), caller.clone());
        let (answer, answered) = oneshot::channel();
        // In a task of its own: a call that is dropped must not leave a run that never ends.
        let taking = async move {
            let OrderedFeed { order, codes, turn } = ordered;
            let taken = gateway.run_feed(&caller, order, codes).await;
            drop(turn);
            // If nobody hears it, a released feed can be fetched.
            answer.send(taken).ok();
        };
        self.beside(taking);
        answered.await.map_err(|_| stopped())?
    }

    /// Runs a feed beside the call that asked for it, among the runs in progress, which end with the gateway.
    fn beside(&self, taking: impl Future<Output = ()> + Send + 'static) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        while running.try_join_next().is_some() {}
        running.spawn(taking);
    }

    /// Project -> approved feed -> plan, if it is due.
    async fn plan_feed(&self, caller: &Caller, project: &ProjectId) -> Result<FeedPlan, Refusal> {
        let (life, approval) = self.in_force(project).await?;
        let policies = self.policies.now();
        // Who may not take it is told that, and not how the project stands.
        policies.may(caller, Action::TakeFeed, Resource::Project(approval.approval()))?;
        let active = life.active(approval, self.clock.today())?;
        let approved = authorise_feed(caller, &active, &policies, self.catalogue.sections())?;
        self.store.feed_is_due(project, approved.feed(), self.clock.today()).await?;
        Ok(plan_feed(approved, &self.catalogue)?)
    }

    async fn run_feed(
        &self,
        caller: &Caller,
        order: FeedOrder,
        codes: Vec<LinkageCode>,
    ) -> Result<FeedTaken, Refusal> {
        let left = (order.expires - self.clock.now()).to_std().unwrap_or_default();
        let project = &order.approval.approval.project;
        let Ok(slot) = tokio::time::timeout(left, self.slots.acquire()).await else {
            return self.refused(caller, Action::TakeFeed, Some(project), stale()).await;
        };
        let _slot = slot.map_err(|_| stopped())?;
        let taken = match self.open_feed(caller, &order).await {
            Ok((plan, snapshot, intent)) => {
                let releasing = self.release_feed(&plan, &snapshot, intent, &order, codes);
                let ended = ended(MOST_TIME, releasing).await;
                if let Err(refusal) = &ended {
                    self.end_unrecorded(&order.run, refusal).await;
                }
                ended
            }
            Err(refusal) => self.refused(caller, Action::TakeFeed, Some(project), refusal).await,
        };
        self.keep_work(&order.run).await;
        self.tick();
        match &taken {
            Ok(taken) => {
                tracing::info!(run = %logged(&order.run), digest = %logged(&taken.digest), "feed released");
            }
            Err(refusal) => {
                tracing::info!(run = %logged(&order.run), code = %logged(&refusal.code), "feed not released");
            }
        }
        taken
    }

    /// Decides anew, now that the codes have come, and makes it durable that this run is about to read data.
    async fn open_feed(
        &self,
        caller: &Caller,
        order: &FeedOrder,
    ) -> Result<(FeedPlan, Snapshot, AuditIntent), Refusal> {
        let plan = self.plan_feed(caller, &order.approval.approval.project).await?;
        let (approved, digest) = (plan.approved(), order.approval.approval.digest().map_err(not_encodable)?);
        if approved.approval().digest() != digest || order.expires < self.clock.now() {
            return Err(stale());
        }
        let snapshot = Snapshot::open_current(&self.register)?;
        let opened = FeedOpened {
            order: order.digest().map_err(not_encodable)?,
            approval: digest,
            policies: approved.policy_digest(),
            snapshot: snapshot.id(),
            register: order.register.clone(),
        };
        let intent = self.audit.open_feed(actor(caller), approved, &order.run, opened).await?;
        Ok((plan, snapshot, intent))
    }

    async fn release_feed(
        &self,
        plan: &FeedPlan,
        snapshot: &Snapshot,
        intent: AuditIntent,
        order: &FeedOrder,
        codes: Vec<LinkageCode>,
    ) -> Result<FeedTaken, Refusal> {
        self.meter.enter(&order.run, Phase::Linking);
        let approved = plan.approved();
        let made = tokio::select! {
            biased;
            revoked = self.stopped_under(approved.approval().approval()) => Err(revoked),
            made = self.make_feed(plan, snapshot, order, codes) => made,
        };
        let (feed, unknown) = match made {
            Ok(made) => made,
            Err(refusal) => return self.close(intent, refusal).await,
        };
        let approval = approved.approval();
        let Some(facts) = DisclosureFacts::of_feed(approval.approval(), approval.digest()) else {
            return self.close(intent, not_released()).await;
        };
        let kept = self.clock.today() + Days::new(Feed::DAYS_KEPT);
        match self.audit.receive_feed(intent, approved, &feed, &facts, kept).await {
            Ok(receipt) => {
                let released = feed.into_disclosed().release(&receipt).map_err(|_| not_released())?;
                Ok(FeedTaken { run: order.run.clone(), digest: released.digest(), unknown, kept })
            }
            Err(Unreceived::Inactive(intent, why)) => self.close(intent, why.into()).await,
            Err(Unreceived::Moved(intent)) => self.close(intent, busy()).await,
            Err(Unreceived::Failed(error)) => Err(error.into()),
        }
    }

    /// Codes -> persons held -> persons given -> rows, sealed -> the feed, disclosed.
    async fn make_feed(
        &self,
        plan: &FeedPlan,
        snapshot: &Snapshot,
        order: &FeedOrder,
        codes: Vec<LinkageCode>,
    ) -> Result<(DisclosedFeed, u64), Refusal> {
        let held = hold(order, codes, &*self.feeds).await?;
        let unknown = held.unknown();
        let given = held.without(&self.left_out().await?);
        self.enter(&order.run, Phase::Executing).await?;
        let rows = self.engine.feed(plan, &given, snapshot).await?;
        self.enter(&order.run, Phase::Protecting).await?;
        // A restriction takes effect at once, also while the rows were read.
        let left_out = self.left_out().await?;
        if given.persons().any(|person| left_out.contains(&person)) {
            let hint = "what the feed may give has changed while it was made; take it anew";
            return Err(Refusal::new(RefusalKind::Unavailable, "feed.changed", hint));
        }
        let (run, key) = (order.run.clone(), &self.persons_key);
        let feed =
            tokio::task::block_in_place(|| disclose_feed(plan, run, snapshot.id(), rows, &given, key))?;
        Ok((feed, unknown))
    }

    /// Who is in no feed: who is blocked (section 25), and who has reserved against release with identity. The recipient
    /// of a feed can name everybody in it, as under 4-5.
    async fn left_out(&self) -> Result<HashSet<PersonNo>, Refusal> {
        let mut left_out = self.blocked().await?;
        left_out.extend(self.store.restricted(Restriction::ReleaseWithIdentity).await?);
        Ok(left_out)
    }

    /// A released feed, for the register it was released to, until it is erased. That it is fetched is recorded first, in the
    /// transaction that looks whether the project is suspended or closed.
    ///
    /// # Errors
    /// A [`Refusal`]; who may not fetch a feed is not told whether there is one. `feed.under_way` is of a run that may
    /// still release it, `feed.not_released` of one that never will, `feed.unknown` of one that has not begun or is not
    /// the caller's.
    pub async fn fetch_feed(&self, caller: &Caller, run: &RunId) -> Result<Released<FeedData>, Refusal> {
        let found = match self.store.run(run).await {
            Ok(found) => found,
            Err(StoreError::NoSuchRun(_)) => return Err(no_feed()),
            Err(error) => return Err(error.into()),
        };
        if found.query.result != Answer::Feed || found.organisation != *caller.organisation() {
            return self.refused(caller, Action::TakeFeed, None, no_feed()).await;
        }
        let approval = self.stored(&found.project, &found.approval_digest).await?.signed.approval;
        self.may(caller, Action::TakeFeed, Resource::Project(&approval), Some(&found.project)).await?;
        fetchable(found.phase)?;
        let feed = self.released::<FeedData>(run, found.phase).await?;
        let event = ResultFetched { result: feed.digest(), format: "feed".to_owned() };
        let mut recording = self.audit.begin().await?;
        match self.may_receive(recording.write(), caller, &found.project).await {
            Ok(_) => {
                recording.commit(entry(caller, Some(found.project), Some(run.clone()), event)).await?;
                Ok(feed)
            }
            Err(StoreError::Inactive(why)) => {
                drop(recording);
                self.refused(caller, Action::TakeFeed, Some(&found.project), why.into()).await
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn no_feed() -> Refusal {
    Refusal::new(RefusalKind::NotFound, "feed.unknown", "no such feed, or not one of the caller's register")
}

/// Whether a run in this phase has released its feed; else whether it still may.
fn fetchable(phase: Phase) -> Result<(), Refusal> {
    if phase == Phase::Released {
        return Ok(());
    }
    if phase.is_end() {
        let hint = "the run of this feed ended without releasing it; take the feed anew";
        return Err(Refusal::new(RefusalKind::Precondition, "feed.not_released", hint));
    }
    let hint = "the feed is still being made; fetch it again later";
    Err(Refusal::new(RefusalKind::Unavailable, "feed.under_way", hint))
}

fn stale() -> Refusal {
    let hint =
        "the order was given under another version of the approval, or has expired; take the feed anew";
    Refusal::new(RefusalKind::Precondition, "feed.stale_order", hint)
}

fn stopped() -> Refusal {
    let hint = "the gateway is shutting down; take the feed again when it is back";
    Refusal::new(RefusalKind::Unavailable, "feed.stopped", hint)
}

#[cfg(test)]
mod tests {
    use super::super::FeedTurns;
    use super::*;
    use crate::domain::feed::tests::{approval, order};

    /// A register that sends more than its order takes is cut off, and never holds more memory than that.
    #[test]
    fn no_more_codes_are_taken_in_than_the_order_takes() {
        let order = FeedOrder { max_codes: 1000, ..order(&approval(), "NPR") };
        let turn = FeedTurns::default().begin(&approval().recipients[0]).unwrap();
        let mut ordered = OrderedFeed { order, codes: Vec::new(), turn };
        let message = [[7; LinkageCode::LENGTH]; 300];
        for (count, capacity) in [(300, 300), (600, 600), (900, 1000)] {
            ordered.name(&message).unwrap();
            assert_eq!((ordered.named(), ordered.codes.capacity()), (count, capacity));
        }
        let refusal = ordered.name(&message[..101]).unwrap_err();
        assert_eq!((refusal.code, ordered.named()), ("linkage.too_many_rows", 900));
        ordered.name(&message[..100]).unwrap();
        assert_eq!((ordered.named(), ordered.codes.capacity()), (1000, 1000));
    }

    #[test]
    fn a_feed_under_way_is_told_from_one_that_never_comes() {
        for phase in Phase::ALL {
            let code = fetchable(phase).err().map(|refusal| (refusal.kind, refusal.code));
            let expected = match phase {
                Phase::Released => None,
                Phase::Refused | Phase::Failed => Some((RefusalKind::Precondition, "feed.not_released")),
                _ => Some((RefusalKind::Unavailable, "feed.under_way")),
            };
            assert_eq!(code, expected, "{phase}");
        }
    }
}
