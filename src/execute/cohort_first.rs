//! The order in which the Parquet reader evaluates conditions.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::datasource::physical_plan::{FileScanConfigBuilder, FileSource, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result;
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr, conjunction, split_conjunction};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;

use super::expressions::IN_COHORT;

/// Lets the reader ask for the cohort before anything else. It evaluates conditions one after the other,
/// each on the rows the last one left, and the logical optimizer, which takes every function for costly,
/// would have it decode all other columns of all persons first.
#[derive(Debug)]
pub(super) struct CohortFirst;

impl PhysicalOptimizerRule for CohortFirst {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_down(|node| {
            let scan = node.downcast_ref::<DataSourceExec>();
            let Some((config, source)) =
                scan.and_then(DataSourceExec::downcast_to_file_source::<ParquetSource>)
            else {
                return Ok(Transformed::no(node));
            };
            let Some(predicate) = source.filter() else { return Ok(Transformed::no(node)) };
            let mut parts: Vec<Arc<dyn PhysicalExpr>> =
                split_conjunction(&predicate).into_iter().map(Arc::clone).collect();
            // The sort is stable: the others keep their order.
            parts.sort_by_key(|part| !is_in_cohort(part));
            let source = source.with_predicate(conjunction(parts));
            let config = FileScanConfigBuilder::from(config.clone()).with_source(Arc::new(source)).build();
            Ok(Transformed::yes(DataSourceExec::from_data_source(config)))
        })
        .map(|changed| changed.data)
    }

    fn name(&self) -> &str {
        "cohort_first"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn is_in_cohort(part: &Arc<dyn PhysicalExpr>) -> bool {
    part.downcast_ref::<ScalarFunctionExpr>().is_some_and(|call| call.name() == IN_COHORT)
}
