//! Runs in progress: started, followed, ended.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::stream::{self, BoxStream, StreamExt};

use super::Gateway;
use crate::authorise::{Action, Caller, Resource};
use crate::domain::ids::RunId;
use crate::domain::query::Answer;
use crate::domain::refusal::{Refusal, RefusalKind};
use crate::plan::QueryPlan;
use crate::registers::Snapshot;
use crate::store::{BudgetLease, Phase, Run};
use crate::telemetry::logged;

/// Where a run is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunState {
    /// Its phase.
    pub phase: Phase,
    /// For a refused or failed run: the code, and what would be accepted.
    pub ending: Option<(String, String)>,
}

/// How long a watcher waits for a tick before it looks at the database anyway.
pub(super) const LOOK: Duration = Duration::from_secs(2);
/// How many runs may read data at the same time, each with its linked rows in memory; others wait their
/// turn before their intent is opened.
pub const MOST_RUNS: usize = 4;
/// The most time a run may take.
pub(super) const MOST_TIME: Duration = Duration::from_secs(3600);

impl Gateway {
    /// Starts a run beside the call that asked for it.
    pub(super) fn start(
        self: &Arc<Self>,
        plan: QueryPlan,
        snapshot: Snapshot,
        run: RunId,
        lease: Option<BudgetLease>,
    ) {
        let gateway = Arc::clone(self);
        let task = async move {
            let turn = tokio::select! {
                biased;
                revoked = gateway.revoked(plan.approved()) => Err(revoked),
                slot = gateway.slots.acquire() => Ok(slot),
            };
            let end = match turn {
                Ok(Ok(_slot)) => ended(MOST_TIME, gateway.run(plan, snapshot, &run, lease)).await,
                Ok(Err(_)) => return,
                Err(revoked) => gateway.refuse_unopened(plan.approved(), &run, revoked).await,
            };
            gateway.keep_work(&run).await;
            match end {
                Ok((phase, digest)) => {
                    tracing::info!(run = %logged(&run), digest = %logged(&digest), %phase, "run answered");
                }
                Err(refusal) => {
                    let code = refusal.code;
                    tracing::info!(run = %logged(&run), code = %logged(&code), "run ended without a result");
                    gateway.end_unrecorded(&run, &refusal).await;
                }
            }
            gateway.tick();
        };
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        // Ended runs are let go of here, so that the set holds those in progress only.
        while running.try_join_next().is_some() {}
        running.spawn(task);
    }

    /// Ends a run whose end the audit log could not record, or that never came to an intent. An intent
    /// left open is closed at the next start.
    pub(super) async fn end_unrecorded(&self, run: &RunId, refusal: &Refusal) {
        let ended = async {
            if self.store.run(run).await?.phase.is_end() {
                return Ok(());
            }
            let mut write = self.store.write().await?;
            write.set_phase(run, Phase::Failed, Some((refusal.code, &refusal.hint))).await?;
            write.commit().await
        };
        if ended.await.is_err() {
            tracing::error!(run = %logged(run), "the end of a run could not be recorded");
        }
    }

    /// Ends all runs in progress at once; what they held is dropped, and they are marked at the next
    /// start.
    pub async fn stop(&self) {
        let mut running = std::mem::take(&mut *self.running.lock().unwrap_or_else(PoisonError::into_inner));
        running.shutdown().await;
    }

    /// Takes a run to its next phase.
    pub(super) async fn enter(&self, run: &RunId, phase: Phase) -> Result<(), Refusal> {
        let mut write = self.store.write().await?;
        write.set_phase(run, phase, None).await?;
        write.commit().await?;
        self.meter.enter(run, phase);
        self.tick();
        Ok(())
    }

    pub(super) fn tick(&self) {
        self.ticks.send_modify(|n| *n = n.wrapping_add(1));
    }

    /// The phases of a run, from the first to the last, as they come.
    ///
    /// # Errors
    /// A [`Refusal`]; a caller that may not follow a run is not told whether there is one.
    pub async fn watch(
        self: &Arc<Self>,
        caller: &Caller,
        run: RunId,
    ) -> Result<BoxStream<'static, Result<RunState, Refusal>>, Refusal> {
        self.permitted_run(caller, Action::WatchRun, &run).await?;
        let ticks = self.ticks.subscribe();
        let state = (Arc::clone(self), run, ticks, Vec::<RunState>::new(), None::<Phase>);
        let phases = stream::try_unfold(state, |(gateway, run, mut ticks, mut due, mut last)| async move {
            loop {
                if let Some(next) = due.pop() {
                    last = Some(next.phase);
                    return Ok(Some((next, (gateway, run, ticks, due, last))));
                }
                if last.is_some_and(Phase::is_end) {
                    return Ok(None);
                }
                ticks.borrow_and_update();
                due = passed(&gateway.store.run(&run).await?, last);
                if due.is_empty() {
                    // A missed tick costs a moment, not the watcher.
                    let _ = tokio::time::timeout(LOOK, ticks.changed()).await;
                }
            }
        });
        Ok(phases.boxed())
    }

    /// A run that the caller may act on.
    pub(super) async fn permitted_run(
        &self,
        caller: &Caller,
        action: Action,
        run: &RunId,
    ) -> Result<Run, Refusal> {
        let found = self.store.run(run).await.map_err(|_| no_run())?;
        let approval = self.stored(&found.project, &found.approval_digest).await?.signed.approval;
        let resource =
            Resource::Run { run: &found.run, approval: &approval, organisation: &found.organisation };
        let permitted = self.may(caller, action, resource, Some(&found.project)).await;
        match permitted {
            Ok(()) => Ok(found),
            Err(_) if found.organisation != *caller.organisation() => Err(no_run()),
            Err(refusal) => Err(refusal),
        }
    }
}

/// How the work of a run ends. Too long a run and a panic are endings too, so that none is left
/// unfinished. The work stays in the caller's task and is dropped with it.
pub(super) async fn ended<T>(
    most: Duration,
    work: impl Future<Output = Result<T, Refusal>>,
) -> Result<T, Refusal> {
    match tokio::time::timeout(most, AssertUnwindSafe(work).catch_unwind()).await {
        Ok(Ok(ended)) => ended,
        Ok(Err(_)) => Err(failed()),
        Err(_) => Err(too_long()),
    }
}

/// The phases that a run has passed since `last`, the latest first.
fn passed(run: &Run, last: Option<Phase>) -> Vec<RunState> {
    let new = |phase: &Phase| last.is_none_or(|last| last < *phase);
    let mut due = Vec::new();
    if new(&run.phase) {
        due.push(RunState { phase: run.phase, ending: run.ending.clone() });
        // Of a refused or failed run it is not known which phases it came to, beyond the first.
        let before = Phase::ALL.into_iter().filter(|p| {
            let passed = *p < run.phase && (run.phase == Phase::Released || !run.phase.is_end());
            passed && !p.is_end() && (*p != Phase::Held || run.query.result == Answer::Microdata)
        });
        due.extend(before.filter(new).map(|phase| RunState { phase, ending: None }).rev());
    }
    due
}

fn no_run() -> Refusal {
    Refusal::new(RefusalKind::NotFound, "run.unknown", "no such run, or not one of the caller's organisation")
}

fn too_long() -> Refusal {
    let hint = "the run took longer than an hour and was ended; ask for a shorter period or fewer dimensions";
    Refusal::new(RefusalKind::Unavailable, "run.too_long", hint)
}

fn failed() -> Refusal {
    let hint = "the run broke off by a fault of the gateway; nothing was released; its keeper finds the \
                reason in the log";
    Refusal::new(RefusalKind::Internal, "run.failed", hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_run_ends() {
        let hour = Duration::from_secs(3600);
        assert_eq!(ended(hour, async { Ok(7) }).await, Ok(7));
        assert_eq!(ended(hour, async { Err::<(), _>(no_run()) }).await, Err(no_run()));
        let broken = ended::<()>(hour, async { panic!("a fault") }).await;
        assert_eq!(broken.unwrap_err().code, "run.failed");
        let endless = ended::<()>(Duration::from_millis(1), std::future::pending()).await;
        assert_eq!(endless.unwrap_err().code, "run.too_long");
    }
}
