//! From leaf cells to every cell and margin.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Int32Type, Int64Type, UInt8Type};
use arrow::record_batch::RecordBatch;

use super::error::ExecuteError;
use crate::domain::table::TableShape;
use crate::linkage::Tally;
use crate::plan::{Grouping, QueryPlan};

/// Distinct persons, as the engine seals them.
pub struct Counted {
    /// The count of each measure in each cell, margins included, as the shape numbers them.
    pub counts: Vec<u64>,
    /// How well the rows found their persons. `matched` are those in the table.
    pub tally: Tally,
}

/// The names of the columns in which the engine gives leaf counts.
pub(super) const SEX: &str = "sex";
pub(super) const AGE: &str = "age";
pub(super) const MUNICIPALITY: &str = "municipality";

/// The column of a measure.
pub(super) fn measure(index: usize) -> String {
    format!("measure_{index}")
}

/// The counts of a table being filled in.
pub(super) struct Cells<'a> {
    shape: &'a TableShape,
    groupings: &'a [Grouping],
    counts: Vec<u64>,
}

impl<'a> Cells<'a> {
    pub(super) fn new(plan: &'a QueryPlan) -> Self {
        let shape = plan.shape();
        let counts = vec![0; shape.cells() * shape.measures.len()];
        Self { shape, groupings: plan.groupings(), counts }
    }

    /// Adds groups of persons: a row for each sex, age and municipality that occurs (those of them that
    /// are dimensions), with the persons of each measure. Persons who fall in no leaf are left out.
    pub(super) fn add(&mut self, groups: &RecordBatch) -> Result<(), ExecuteError> {
        let sex = groups.column_by_name(SEX).map(|c| c.as_primitive_opt::<UInt8Type>().ok_or_else(wrong));
        let age = groups.column_by_name(AGE).map(|c| c.as_primitive_opt::<Int32Type>().ok_or_else(wrong));
        let (sex, age) = (sex.transpose()?, age.transpose()?);
        let municipality = groups.column_by_name(MUNICIPALITY);
        let municipality =
            municipality.map(|c| arrow::compute::cast(c, &DataType::Utf8).map_err(|_| wrong()));
        let municipality = municipality.transpose()?;
        let municipality = municipality.as_ref().and_then(|c| c.as_string_opt::<i32>());
        let measures = (0..self.shape.measures.len())
            .map(|m| groups.column_by_name(&measure(m))?.as_primitive_opt::<Int64Type>())
            .collect::<Option<Vec<_>>>()
            .ok_or_else(wrong)?;

        for row in 0..groups.num_rows() {
            let sex = sex.filter(|c| c.is_valid(row)).map(|c| c.value(row));
            let age = age.filter(|c| c.is_valid(row)).map(|c| c.value(row));
            let municipality = municipality.filter(|c| c.is_valid(row)).map(|c| c.value(row));
            let leaves: Option<Vec<usize>> =
                self.groupings.iter().map(|g| g.leaf(sex, age, municipality)).collect();
            let Some(leaves) = leaves else { continue };
            let first = self.shape.cell(&leaves) * measures.len();
            for (count, measure) in self.counts.iter_mut().skip(first).zip(&measures) {
                // A sum over nobody is null.
                let persons = if measure.is_valid(row) { measure.value(row) } else { 0 };
                *count += u64::try_from(persons).map_err(|_| wrong())?;
            }
        }
        Ok(())
    }

    /// Fills in the margins.
    ///
    /// Each person is one row and falls in exactly one leaf of each dimension, so the persons of a margin
    /// are the disjoint union of those of the leaves under it, and the number of distinct persons of a
    /// margin is the sum over them. Summing along one dimension after the other, children before their
    /// parents, adds every leaf cell exactly once to every margin above it.
    pub(super) fn with_margins(mut self) -> Vec<u64> {
        let mut inner = self.shape.measures.len();
        for dimension in self.shape.dimensions.iter().rev() {
            let codes = &dimension.codes;
            for block in self.counts.chunks_mut(inner * codes.len()) {
                for (code, parent) in (0..codes.len()).rev().filter_map(|c| codes.parent(c).map(|p| (c, p))) {
                    // Parents stand before their children.
                    let (above, below) = block.split_at_mut(code * inner);
                    let sums = above.iter_mut().skip(parent * inner).take(inner);
                    for (sum, count) in sums.zip(below.iter()) {
                        *sum += count;
                    }
                }
            }
            inner *= codes.len();
        }
        self.counts
    }
}

const fn wrong() -> ExecuteError {
    ExecuteError::Engine("a column is missing or of another type")
}
