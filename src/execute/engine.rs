//! The engine itself: its limits, and one run.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use datafusion::execution::SessionStateBuilder;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::TryStreamExt;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::cells::{Cells, Counted};
use super::cohort_first::CohortFirst;
use super::error::ExecuteError;
use super::person_index::PersonIndexes;
use super::protected::Protected;
use super::sources::Register;
use super::{measured, persons, sources};
use crate::linkage::{Linked, Tally};
use crate::plan::QueryPlan;
use crate::registers::Snapshot;

/// The folder under the scratch folder that is the engine's alone, so that emptying it can hit nothing
/// else.
const SPILL: &str = "engine";

/// The stack of a worker. Planning recurses over the plan, and a build that is not optimised has large
/// frames.
const STACK_BYTES: usize = 16 * 1024 * 1024;

/// Carries out plans with bounded memory, on scratch space where that is not enough, and on threads of
/// its own, so that a long question does not hold up the gateway's answers.
pub struct Engine {
    runtime: Arc<RuntimeEnv>,
    config: SessionConfig,
    indexes: Arc<PersonIndexes>,
    workers: Workers,
}

struct Workers(Option<Runtime>);

impl Drop for Workers {
    fn drop(&mut self) {
        // An engine can be dropped inside an async task, where waiting is not allowed.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Engine {
    /// An engine that uses at most `memory_mib` MiB and `threads` threads, and scratch space under
    /// `scratch`, of which what an earlier process left is removed.
    ///
    /// # Errors
    /// [`ExecuteError::Scratch`].
    pub fn new(memory_mib: u32, scratch: &Path, threads: NonZeroUsize) -> Result<Self, ExecuteError> {
        let folder = scratch.join(SPILL);
        prepare(&folder).map_err(|source| ExecuteError::Scratch { path: folder.clone(), source })?;
        let bytes = (memory_mib as usize).saturating_mul(1024 * 1024);
        let disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Directories(vec![folder]));
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(FairSpillPool::new(bytes)))
            .with_disk_manager_builder(disk)
            .build_arc()?;
        let workers = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads.get())
            .thread_stack_size(STACK_BYTES)
            .thread_name("engine")
            .enable_all()
            .build()
            .map_err(|_| ExecuteError::Engine("its threads cannot be started"))?;
        Ok(Self {
            runtime,
            config: config(threads),
            indexes: Arc::default(),
            workers: Workers(Some(workers)),
        })
    }

    /// A session of its own for each run; memory, scratch space and limits are shared.
    pub(super) fn context(&self) -> SessionContext {
        let state = SessionStateBuilder::new()
            .with_config(self.config.clone())
            .with_runtime_env(Arc::clone(&self.runtime))
            .with_default_features()
            .with_physical_optimizer_rule(Arc::new(CohortFirst::new(Arc::clone(&self.indexes))))
            .build();
        SessionContext::new_with_state(state)
    }

    /// Indexes the parts that a plan looks in, so that this is done while its rows are still on their way.
    ///
    /// # Errors
    /// [`ExecuteError::Engine`].
    pub async fn prepare(&self, plan: &QueryPlan, snapshot: &Snapshot) -> Result<(), ExecuteError> {
        let followed = plan.searches().map(|follow| follow.dataset.as_str());
        let datasets: BTreeSet<String> = followed.chain(persons::OF_PERSONS).map(str::to_owned).collect();
        let register = self.register(snapshot);
        let read = move || datasets.iter().try_for_each(|dataset| register.index(dataset).map(drop));
        self.beside(read).await?
    }

    /// Does work that blocks on the engine's own threads.
    pub(super) async fn beside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ExecuteError> {
        let workers = self.workers.0.as_ref().ok_or(ExecuteError::Engine("it has been shut down"))?;
        workers.handle().spawn_blocking(work).await.map_err(|_| ExecuteError::Engine("its task ended early"))
    }

    /// A snapshot with what has been indexed of it.
    pub(super) fn register(&self, snapshot: &Snapshot) -> Register {
        Register { snapshot: snapshot.clone(), indexes: Arc::clone(&self.indexes) }
    }

    /// Counts distinct persons for every cell and margin of the plan.
    ///
    /// Persons whom the identity service knows but the population does not, or of whom the population
    /// does not know sex or age where the table asks for it, are in no cell and counted as unknown.
    ///
    /// # Errors
    /// [`ExecuteError`].
    pub async fn run(
        &self,
        plan: &QueryPlan,
        linked: Linked,
        snapshot: &Snapshot,
    ) -> Result<Protected<Counted>, ExecuteError> {
        sources::covered(plan, snapshot)?;
        let workers = self.workers.0.as_ref().ok_or(ExecuteError::Engine("it has been shut down"))?;
        let work = count(self.context(), plan.clone(), linked, self.register(snapshot));
        // The set ends what it runs when the caller stops waiting.
        let mut running = JoinSet::new();
        running.spawn_on(work, workers.handle());
        match running.join_next().await {
            Some(Ok(counted)) => counted.map(Protected::seal),
            _ => Err(ExecuteError::Engine("its task ended early")),
        }
    }
}

async fn count(
    context: SessionContext,
    plan: QueryPlan,
    mut linked: Linked,
    register: Register,
) -> Result<Counted, ExecuteError> {
    let tally = linked.tally();
    let record_keys = linked.take_record_keys();
    let cohort = persons::cohort(&context, &plan, linked).await?;
    let rows = persons::rows_of_persons(&context, &plan, &register, &cohort).await?;
    let mut cells = Cells::new(&plan);
    let mut stream = rows.execute_stream().await?;
    while let Some(batch) = stream.try_next().await? {
        cells.add(&batch)?;
    }
    let (counts, persons) = cells.with_margins();
    let mut values = Vec::with_capacity(plan.measured().len());
    for asked in plan.measured() {
        values.push(measured::values(&context, &plan, &register, &cohort, asked, &persons).await?);
    }
    // The first cell is the total over every dimension, its first measure everyone.
    let placed = counts.first().copied().unwrap_or(0);
    let nowhere = cohort.persons.saturating_sub(placed);
    Ok(Counted {
        counts,
        persons,
        values,
        tally: Tally { matched: placed, unknown: tally.unknown + nowhere, ..tally },
        record_keys,
    })
}

fn prepare(folder: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    std::fs::create_dir_all(folder)
}

fn config(threads: NonZeroUsize) -> SessionConfig {
    let mut config = SessionConfig::new().with_target_partitions(threads.get()).with_batch_size(8192);
    let options = config.options_mut();
    // Rows outside the cohort are dropped inside the Parquet reader, before their other columns are
    // decoded. The conditions are evaluated in the order the plan states them ([`CohortFirst`]).
    options.execution.parquet.pushdown_filters = true;
    options.execution.parquet.reorder_filters = false;
    // What is kept of the columns of conditions for the answer is kept in whole batches, most of whose rows nobody
    // has asked for; to decode the few rows again costs less.
    options.execution.parquet.max_predicate_cache_size = Some(0);
    // What a join's own filter would drop, the cohort's has dropped already.
    options.optimizer.enable_dynamic_filter_pushdown = false;
    options.optimizer.enable_join_dynamic_filter_pushdown = false;
    // The cohort is the side that is built, whole and once: nothing is moved between threads for it.
    options.optimizer.join_reordering = false;
    options.optimizer.hash_join_single_partition_threshold = usize::MAX;
    options.optimizer.hash_join_single_partition_threshold_rows = usize::MAX;
    config
}
