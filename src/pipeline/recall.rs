//! Earlier releases as a judgement needs them: with who is in them.
//!
//! Where that may be kept, the ledger has it. Where it may not, because partner rows must be gone when a run ends (KPR
//! regulation 4-6), the earlier query is evaluated again for the judgement: on the register's data of that time, and on
//! what the partner sends for an order of its own. If that does not give the numbers that were released then, nobody
//! knows any more who is in them, and nothing can be judged beside them.

use std::collections::HashMap;

use super::Gateway;
use crate::audit::{Actor, Entry};
use crate::authorise::authorise_again;
use crate::disclosure::{Earlier, Recalled, recall, recall_again};
use crate::domain::canonical::{Canonical, Digest};
use crate::domain::ids::RunId;
use crate::domain::query::{Answer, Query};
use crate::domain::refusal::{Refusal, RefusalKind};
use crate::plan::plan;
use crate::registers::Snapshot;
use crate::store::{LedgerEntry, Phase};

/// The most earlier queries that are evaluated again for one judgement. With more, none is.
const MOST_AGAIN: usize = 24;

/// Earlier releases, by their runs, as they are recalled for the judgements of one run. None is kept longer.
#[derive(Default)]
pub(super) struct Recalls(HashMap<RunId, Option<Recalled>>);

impl Recalls {
    /// An entry as disclosure control reads it. One whose definition does not read back is taken for microdata, beside
    /// which least may be released.
    pub(super) fn earlier(&self, entry: &LedgerEntry, question: Option<Digest>) -> Earlier<'_> {
        Earlier {
            recalled: self.0.get(&entry.release.run).and_then(Option::as_ref),
            same_question: question == Some(entry.release.question),
            microdata: definition(entry).is_none_or(|query| query.result == Answer::Microdata),
        }
    }

    /// All entries as disclosure control reads them.
    pub(super) fn all(&self, entries: &[LedgerEntry], question: Option<Digest>) -> Vec<Earlier<'_>> {
        entries.iter().map(|entry| self.earlier(entry, question)).collect()
    }
}

fn definition(entry: &LedgerEntry) -> Option<Query> {
    Query::from_canonical(&entry.release.definition).ok()
}

impl Gateway {
    /// Recalls those entries that have not been yet. `on` is the run, and the actor, for whose judgement.
    pub(super) async fn recall(
        &self,
        recalls: &mut Recalls,
        entries: &[LedgerEntry],
        on: (&RunId, &Actor),
    ) -> Result<(), Refusal> {
        let again = entries.iter().filter(|entry| !entry.kept).count();
        for entry in entries {
            let run = &entry.release.run;
            if recalls.0.contains_key(run) {
                continue;
            }
            let recalled = match entry.kept {
                true => self.kept(entry).await?,
                false if again <= MOST_AGAIN => self.evaluate_again(entry, on).await?,
                false => None,
            };
            recalls.0.insert(run.clone(), recalled);
        }
        Ok(())
    }

    /// What the ledger keeps.
    async fn kept(&self, entry: &LedgerEntry) -> Result<Option<Recalled>, Refusal> {
        let run = &entry.release.run;
        if let Some(lately) = self.recollection.of(run) {
            return Ok(Some(lately));
        }
        let since = self.recollection.forgotten();
        let Some(sealed) = self.store.membership(entry.entry).await? else { return Ok(None) };
        let kept = (entry.release.pattern.as_slice(), sealed.as_slice());
        let open = || recall(&self.recollection, run, kept, &self.pattern_key, since);
        Ok(Some(tokio::task::block_in_place(open)?))
    }

    /// An earlier query, evaluated again by itself. Nothing if it is no longer approved, if its data are gone, or if
    /// they have changed.
    async fn evaluate_again(
        &self,
        entry: &LedgerEntry,
        (on, actor): (&RunId, &Actor),
    ) -> Result<Option<Recalled>, Refusal> {
        let release = &entry.release;
        let Some(query) = definition(entry).filter(|query| query.result == Answer::Table) else {
            return Ok(None);
        };
        let earlier = self.store.run(&release.run).await?;
        // By what its project permits today: under one that is suspended or closed nothing is run.
        let (life, approval) = match self.in_force(&earlier.project).await {
            Ok(in_force) => in_force,
            Err(refusal) if refusal.kind == RefusalKind::Precondition => return Ok(None),
            Err(refusal) => return Err(refusal),
        };
        let Ok(active) = life.active(approval, self.clock.today()) else { return Ok(None) };
        let name = self.store.asked_by(&release.run).await?;
        let asked_by = (&earlier.organisation, name.as_str());
        let (policies, sections) = (self.policies.now(), self.catalogue.sections());
        let Ok(approved) = authorise_again(asked_by, query, &active, &policies, sections) else {
            return Ok(None);
        };
        let Ok(snapshot) = Snapshot::open(&self.register, release.snapshot) else { return Ok(None) };
        let Ok(plan) = plan(approved, &self.catalogue, snapshot.municipalities()) else { return Ok(None) };
        // The partner knows it as a run of its own, under a key of its own.
        let ordered_as = RunId::random(&*self.entropy).map_err(super::no_entropy)?;
        let project = earlier.project.clone();
        let log = |event| Entry {
            actor: actor.clone(),
            project: Some(project.clone()),
            run: Some(on.clone()),
            event,
        };
        let gathered = tokio::select! {
            biased;
            _ = self.revoked(plan.approved()) => return Ok(None),
            gathered = self.gather(&plan, &snapshot, &ordered_as, log) => gathered,
        };
        let linked = match gathered {
            Ok(linked) => linked,
            // A partner that does not answer now may answer later: that is no answer to the question.
            Err(refusal) if refusal.kind == RefusalKind::Unavailable => return Err(refusal),
            Err(_) => return Ok(None),
        };
        let counted = self.engine.run(&plan, linked, &snapshot).await?;
        let released = self.released(&release.run, Phase::Released).await?;
        let (pattern, table) = (release.pattern.as_slice(), released.table());
        let again = || recall_again(&plan, counted, pattern, table, &self.pattern_key);
        Ok(tokio::task::block_in_place(again)?)
    }
}
