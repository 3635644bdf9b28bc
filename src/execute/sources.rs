//! The snapshot's datasets as relations.

use datafusion::prelude::{DataFrame, ParquetReadOptions, SessionContext, col};

use super::error::ExecuteError;
use crate::domain::ids::DatasetId;
use crate::plan::QueryPlan;
use crate::registers::Snapshot;

/// The parts of a dataset as one relation, with the order its rows are kept in declared: by person, then
/// by `date` where the dataset has one.
pub(super) async fn dataset(
    context: &SessionContext,
    snapshot: &Snapshot,
    id: &DatasetId,
    date: Option<&str>,
) -> Result<DataFrame, ExecuteError> {
    let parts = snapshot.parts(id.as_str());
    let paths = parts.iter().map(|p| p.to_str().map(str::to_owned)).collect::<Option<Vec<_>>>();
    let paths = paths.ok_or(ExecuteError::Engine("the path of a part is not UTF-8"))?;
    if paths.is_empty() {
        return Err(ExecuteError::NoData(id.clone()));
    }
    let order = ["person_no"].into_iter().chain(date).map(|column| col(column).sort(true, false));
    let options = ParquetReadOptions { file_sort_order: vec![order.collect()], ..Default::default() };
    Ok(context.read_parquet(paths, options).await?)
}

/// That every dataset the plan looks in has been delivered for all the days it looks at. A day that
/// nobody has delivered would else count as a day without an event.
pub(super) fn covered(plan: &QueryPlan, snapshot: &Snapshot) -> Result<(), ExecuteError> {
    let period = plan.approved().query().cohort.period;
    for follow in plan.follows() {
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
