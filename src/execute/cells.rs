//! From persons to leaf cells, and from these to every cell and margin.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Int32Type, UInt8Type, UInt32Type};
use arrow::record_batch::RecordBatch;

use super::error::ExecuteError;
use crate::domain::ids::PersonNo;
use crate::domain::record_key::RecordKeyMap;
use crate::domain::table::TableShape;
use crate::linkage::Tally;
use crate::plan::{Follow, Grouping, QueryPlan};

/// Distinct persons, as the engine seals them.
pub struct Counted {
    /// The count of each measure in each cell, margins included, as the shape numbers them.
    pub counts: Vec<u64>,
    /// Who is counted, each person once.
    pub persons: Vec<Placed>,
    /// What is measured of events, in the order of the plan. Such a measure has no counts.
    pub values: Vec<Vec<PlacedValue>>,
    /// How well the rows found their persons. `matched` are those in the table.
    pub tally: Tally,
    /// The record keys of the persons, where noise is made of them.
    pub record_keys: Option<RecordKeyMap>,
}

/// Where a person is counted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// The person.
    pub person: PersonNo,
    /// The cell of the table that has no other below it.
    pub leaf: u32,
    /// A bit for each measure the person counts in.
    pub measures: u16,
}

/// A value, and the inner cell of the person it belongs to.
pub type PlacedValue = (u32, i64);

/// The names of the columns in which the engine gives persons.
pub(super) const PERSON: &str = "person";
pub(super) const SEX: &str = "sex";
pub(super) const AGE: &str = "age";
pub(super) const MUNICIPALITY: &str = "municipality";

/// The column with the days to the first event of a search.
pub(super) fn days(follow: usize) -> String {
    format!("days_{follow}")
}

/// The counts of a table being filled in.
pub(super) struct Cells<'a> {
    shape: &'a TableShape,
    groupings: &'a [Grouping],
    follows: &'a [Follow],
    counts: Vec<u64>,
    persons: Vec<Placed>,
}

impl<'a> Cells<'a> {
    pub(super) fn new(plan: &'a QueryPlan) -> Self {
        let shape = plan.shape();
        let counts = vec![0; shape.cells() * shape.measures.len()];
        let (groupings, follows) = (plan.groupings(), plan.follows());
        Self { shape, groupings, follows, counts, persons: Vec::new() }
    }

    /// Adds persons, a row each: sex, age and municipality (those of them that are dimensions), and the days
    /// to the first event of each search. Persons who fall in no leaf are left out.
    pub(super) fn add(&mut self, rows: &RecordBatch) -> Result<(), ExecuteError> {
        let person = rows.column_by_name(PERSON).and_then(|c| c.as_primitive_opt::<UInt32Type>());
        let person = person.ok_or_else(wrong)?;
        let sex = rows.column_by_name(SEX).map(|c| c.as_primitive_opt::<UInt8Type>().ok_or_else(wrong));
        let age = rows.column_by_name(AGE).map(|c| c.as_primitive_opt::<Int32Type>().ok_or_else(wrong));
        let (sex, age) = (sex.transpose()?, age.transpose()?);
        let municipality = rows.column_by_name(MUNICIPALITY);
        let municipality =
            municipality.map(|c| arrow::compute::cast(c, &DataType::Utf8).map_err(|_| wrong()));
        let municipality = municipality.transpose()?;
        let municipality = municipality.as_ref().and_then(|c| c.as_string_opt::<i32>());
        let first_event = (0..self.follows.len())
            .map(|f| rows.column_by_name(&days(f))?.as_primitive_opt::<Int32Type>())
            .collect::<Option<Vec<_>>>()
            .ok_or_else(wrong)?;

        for row in 0..rows.num_rows() {
            let sex = sex.filter(|c| c.is_valid(row)).map(|c| c.value(row));
            let age = age.filter(|c| c.is_valid(row)).map(|c| c.value(row));
            let municipality = municipality.filter(|c| c.is_valid(row)).map(|c| c.value(row));
            let leaves: Option<Vec<usize>> =
                self.groupings.iter().map(|g| g.leaf(sex, age, municipality)).collect();
            let Some(leaves) = leaves else { continue };
            let leaf = self.shape.cell(&leaves);
            // Everyone counts in the first measure.
            let mut measures = 1_u16;
            for (follow, days) in self.follows.iter().zip(&first_event) {
                let days = days.is_valid(row).then(|| days.value(row));
                for (measure, window) in &follow.windows {
                    if days.is_some_and(|days| days <= i32::from(*window)) {
                        measures |= 1_u16
                            .checked_shl(u32::try_from(*measure).map_err(|_| wrong())?)
                            .ok_or_else(wrong)?;
                    }
                }
            }
            let block = self.counts.iter_mut().skip(leaf * self.shape.measures.len());
            for (measure, count) in block.take(self.shape.measures.len()).enumerate() {
                *count += u64::from(measures >> measure & 1);
            }
            let person = PersonNo(person.value(row));
            let leaf = u32::try_from(leaf).map_err(|_| wrong())?;
            self.persons.push(Placed { person, leaf, measures });
        }
        Ok(())
    }

    /// Fills in the margins. Each person is one row and falls in exactly one leaf of each dimension, so the persons of
    /// a margin are the disjoint union of those of the inner cells under it, and their number is the sum.
    pub(super) fn with_margins(mut self) -> (Vec<u64>, Vec<Placed>) {
        self.shape.add_up(self.shape.measures.len(), &mut self.counts, |above, below| above + below);
        (self.counts, self.persons)
    }
}

const fn wrong() -> ExecuteError {
    ExecuteError::Engine("a column is missing or of another type")
}
