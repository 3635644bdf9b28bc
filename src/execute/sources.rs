//! The snapshot's datasets as relations.

use std::path::Path;
use std::sync::Arc;

use datafusion::datasource::listing::ListingTableUrl;
use datafusion::prelude::{DataFrame, ParquetReadOptions, SessionContext, col};

use super::error::ExecuteError;
use super::person_index::{PERSON_NO, PersonIndex, PersonIndexes};
use crate::domain::ids::DatasetId;
use crate::plan::QueryPlan;
use crate::registers::Snapshot;

/// A snapshot, with what the engine has indexed of it.
pub(super) struct Register {
    pub(super) snapshot: Snapshot,
    pub(super) indexes: Arc<PersonIndexes>,
}

impl Register {
    /// Indexes the parts of a dataset, where that has not been done; how the engine names them.
    pub(super) fn index(&self, dataset: &str) -> Result<Vec<ListingTableUrl>, ExecuteError> {
        let parts = self.snapshot.parts(dataset);
        parts
            .iter()
            .map(|part| {
                let path = part.to_str().ok_or(ExecuteError::Engine("the path of a part is not UTF-8"))?;
                let url = ListingTableUrl::parse(path)?;
                self.indexes.prepare(url.prefix().as_ref(), part)?;
                Ok(url)
            })
            .collect()
    }

    /// The index of a part, read where that has not been done.
    pub(super) fn index_of(&self, part: &Path) -> Result<Arc<PersonIndex>, ExecuteError> {
        let path = part.to_str().ok_or(ExecuteError::Engine("the path of a part is not UTF-8"))?;
        let url = ListingTableUrl::parse(path)?;
        self.indexes.prepare(url.prefix().as_ref(), part)?;
        let index = self.indexes.get(url.prefix().as_ref());
        index.ok_or(ExecuteError::Engine("an index was dropped before it was read"))
    }

    /// The parts of a dataset as one relation, with the order its rows are kept in declared: by person, then
    /// by `date` where the dataset has one.
    pub(super) async fn dataset(
        &self,
        context: &SessionContext,
        id: &DatasetId,
        date: Option<&str>,
    ) -> Result<DataFrame, ExecuteError> {
        let urls = self.index(id.as_str())?;
        if urls.is_empty() {
            return Err(ExecuteError::NoData(id.clone()));
        }
        let order = [PERSON_NO].into_iter().chain(date).map(|column| col(column).sort(true, false));
        let options = ParquetReadOptions { file_sort_order: vec![order.collect()], ..Default::default() };
        Ok(context.read_parquet(urls, options).await?)
    }
}

/// That every dataset the plan looks in has been delivered for all the days it looks at. A day that
/// nobody has delivered would else count as a day without an event.
pub(super) fn covered(plan: &QueryPlan, snapshot: &Snapshot) -> Result<(), ExecuteError> {
    let period = plan.approved().query().cohort.period;
    for follow in plan.searches() {
        let delivered = snapshot.coverage(follow.dataset.as_str());
        let delivered = delivered.ok_or_else(|| ExecuteError::NoData(follow.dataset.clone()))?;
        let last = period.to() + chrono::Days::new(u64::from(follow.longest()));
        if !(delivered.contains(period.from()) && delivered.contains(last)) {
            return Err(ExecuteError::NotCovered {
                dataset: follow.dataset.clone(),
                from: delivered.from(),
                to: delivered.to(),
                first: period.from(),
                last,
            });
        }
    }
    Ok(())
}
