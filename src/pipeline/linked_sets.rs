//! Linked rows: gathered from the partner, or used again where the approval lets them be.

use super::Gateway;
use crate::audit::{Entry, Event, LinkedSetKept, LinkedSetUsed, LinkedSetsDeleted};
use crate::domain::canonical::Canonical;
use crate::domain::ids::RunId;
use crate::domain::linked_set::LinkedSet;
use crate::domain::refusal::{Refusal, RefusalKind};
use crate::linkage::Linked;
use crate::plan::QueryPlan;
use crate::registers::Snapshot;
use crate::store::{KeptRows, NewKeptRows};

/// The most bytes of rows that are kept, some two million rows; larger sets are gathered each time.
const MOST_BYTES: usize = 16 << 20;

impl Gateway {
    /// The linked rows of a plan: kept ones of an earlier run, if there are any that may be used, or else those that the
    /// partner sends for an order. Who is blocked today is in neither.
    pub(super) async fn linked(
        &self,
        plan: &QueryPlan,
        snapshot: &Snapshot,
        run: &RunId,
        log: impl Fn(Event) -> Entry,
    ) -> Result<Linked, Refusal> {
        let today = self.clock.today();
        let Some(set) = plan.linked_set().filter(|set| set.until >= today) else {
            return self.gather(plan, snapshot, run, log).await;
        };
        let digest = set.digest().map_err(|_| super::not_encodable())?;
        if let Some(kept) = self.store.kept_rows(digest, today).await? {
            let KeptRows { run: gathered, sealed } = kept;
            self.audit.append(log(LinkedSetUsed { set: digest, gathered: gathered.clone() }.into())).await?;
            self.engine.prepare(plan, snapshot).await?;
            let open = || self.persons_key.open_linked(digest, &gathered, &sealed);
            let linked = tokio::task::block_in_place(open).map_err(|_| not_opened())?;
            return Ok(linked.without(&self.blocked().await?)?);
        }
        let restrictions = self.store.last_restriction().await?;
        let linked = self.gather(plan, snapshot, run, &log).await?;
        if linked.memory() > MOST_BYTES {
            tracing::info!("linked rows are too many to be kept");
            return Ok(linked);
        }
        let seal = || self.persons_key.seal_linked(digest, run, &linked);
        let sealed = tokio::task::block_in_place(seal).map_err(|_| not_opened())?;
        let LinkedSet { approval, until, .. } = set;
        let project = &plan.approved().query().project;
        let mut recording = self.audit.begin().await?;
        recording.write().must_be_active(project, &approval, today).await?;
        let new = NewKeptRows { set: digest, project, approval, run, until, sealed: &sealed, restrictions };
        if recording.write().keep_rows(new).await? {
            recording.commit(log(LinkedSetKept { set: digest, until }.into())).await?;
        }
        Ok(linked)
    }

    /// Deletes kept rows whose day has passed, and those under approvals that are not in force today.
    pub(super) async fn reap_linked_sets(&self) -> Result<(), Refusal> {
        let today = self.clock.today();
        let mut over = Vec::new();
        for (project, approval) in self.store.approvals_with_kept_rows().await? {
            let stands = match self.in_force(&project).await {
                Ok((life, now)) => now.digest() == approval && life.active(now, today).is_ok(),
                Err(refusal) if refusal.kind == RefusalKind::Precondition => false,
                Err(refusal) => return Err(refusal),
            };
            if !stands {
                over.push(approval);
            }
        }
        let mut recording = self.audit.begin().await?;
        let deleted = recording.write().delete_kept_rows(today, &over).await?;
        if deleted > 0 {
            let event = LinkedSetsDeleted { deleted }.into();
            recording.commit(Entry { actor: self.actor.clone(), project: None, run: None, event }).await?;
        }
        Ok(())
    }
}

fn not_opened() -> Refusal {
    let hint = "the rows that are kept for this question cannot be opened; the register keeper finds the reason, and deletes them \
                by suspending the project and lifting the suspension";
    Refusal::new(RefusalKind::Internal, "linkage.kept_rows", hint)
}
