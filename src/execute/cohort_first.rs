//! How the Parquet reader comes to the rows of the cohort.

use std::sync::Arc;

use arrow::buffer::BooleanBuffer;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::ParquetRowSelection;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, FileSource, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr, conjunction, split_conjunction};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;

use super::expressions::InCohort;
use super::person_index::{PERSON_NO, PersonIndexes};

/// Lets the reader ask for the cohort before anything else. It evaluates conditions one after the other,
/// each on the rows the last one left, and the logical optimizer, which takes every function for costly,
/// would have it decode all other columns of all persons first. Rows of others are skipped before that where the
/// part's index is there ([`super::person_index`]).
#[derive(Debug)]
pub(super) struct CohortFirst {
    indexes: Arc<PersonIndexes>,
}

impl CohortFirst {
    /// With the indexes of the engine's parts.
    pub(super) const fn new(indexes: Arc<PersonIndexes>) -> Self {
        Self { indexes }
    }

    /// The file, with the rows of it that belong to members.
    fn narrowed(&self, file: &PartitionedFile, members: &BooleanBuffer) -> PartitionedFile {
        match self.indexes.get(file.object_meta.location.as_ref()) {
            Some(index) => file.clone().with_extension(ParquetRowSelection::new(index.rows_of(members))),
            None => file.clone(),
        }
    }
}

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
            parts.sort_by_key(|part| in_cohort(part).is_none());
            let scanned = &config.file_groups;
            let mut config = FileScanConfigBuilder::from(config.clone());
            if let Some(members) = parts.first().and_then(in_cohort) {
                let narrow =
                    |group: &FileGroup| group.iter().map(|file| self.narrowed(file, members)).collect();
                config = config.with_file_groups(scanned.iter().map(narrow).collect());
            }
            let source = source.with_predicate(conjunction(parts));
            let config = config.with_source(Arc::new(source)).build();
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

/// The members, if a condition asks who is in the cohort.
fn in_cohort(part: &Arc<dyn PhysicalExpr>) -> Option<&BooleanBuffer> {
    let call = part.downcast_ref::<ScalarFunctionExpr>()?;
    let person = call.args().first()?.downcast_ref::<Column>()?;
    (person.name() == PERSON_NO).then_some(call.fun().inner().downcast_ref::<InCohort>()?.members())
}
