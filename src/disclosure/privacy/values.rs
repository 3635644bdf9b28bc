//! The values of a bounded variable in the cells of a table, and what can be released of them.
#![allow(clippy::indexing_slicing, reason = "cells are checked against the table's shape on construction")]

use std::num::NonZeroU32;

use super::contribution::{Contribution, Sensitivity};
use super::margins::{Margins, inner_cells, sensitivity};
use super::mechanism::PrivacyError;
use crate::domain::table::TableShape;

/// The public bounds of a variable. A value outside is taken as the bound it lies beyond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    pub(super) low: i64,
    pub(super) high: i64,
}

impl Bounds {
    /// Values from `low` to `high`.
    ///
    /// # Errors
    /// [`PrivacyError::NotATable`] unless `low` is less than `high` and both are within ±2^40.
    pub fn new(low: i64, high: i64) -> Result<Self, PrivacyError> {
        let most = 1 << 40;
        if -most <= low && low < high && high <= most {
            Ok(Self { low, high })
        } else {
            Err(PrivacyError::NotATable)
        }
    }

    /// The value within the bounds.
    #[must_use]
    pub fn clamped(self, value: i64) -> i64 {
        value.clamp(self.low, self.high)
    }

    /// Twice the distance of the clamped value from the middle of the bounds: a person changes sums of these by no
    /// more than the width of the bounds.
    pub(super) fn centred(self, value: i64) -> i64 {
        2 * self.clamped(value) - self.low - self.high
    }

    /// How far the bounds lie apart.
    pub(super) const fn width(self) -> u64 {
        self.high.abs_diff(self.low)
    }

    /// The largest absolute value.
    pub(super) fn largest(self) -> u64 {
        self.low.unsigned_abs().max(self.high.unsigned_abs())
    }
}

/// A number with noise, and an interval that has the true one in it with 95 % probability.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// The number.
    pub value: i64,
    /// The low end of the interval.
    pub low: i64,
    /// The high end.
    pub high: i64,
}

/// Values of one variable, each in an inner cell of a table. All values of a person lie in one inner cell, and
/// there are at most so many of them: the plan sees to it.
pub struct CellValues<'a> {
    /// The table, with one measure.
    pub(super) shape: TableShape,
    pub(super) values: &'a [(u32, i64)],
    pub(super) bounds: Bounds,
    contribution: Contribution,
}

impl<'a> CellValues<'a> {
    /// Values with the inner cells that they lie in.
    ///
    /// # Errors
    /// [`PrivacyError::NotATable`] for a value in no inner cell, or a table without measures.
    pub fn new(
        shape: &TableShape,
        values: &'a [(u32, i64)],
        bounds: Bounds,
        per_person: NonZeroU32,
    ) -> Result<Self, PrivacyError> {
        let inner = inner_cells(shape);
        let placed = |(cell, _): &(u32, i64)| inner.get(*cell as usize) == Some(&true);
        if !values.iter().all(placed) {
            return Err(PrivacyError::NotATable);
        }
        let mut shape = shape.clone();
        shape.measures.truncate(1);
        let contribution = Contribution::of_events(NonZeroU32::MIN, per_person);
        Ok(Self { shape, values, bounds, contribution })
    }

    /// By how much one person changes the numbers of values of all cells that get noise.
    pub(super) fn sensitivity(&self, margins: Margins) -> Result<Sensitivity, PrivacyError> {
        sensitivity(&self.shape, self.contribution, margins)
    }

    /// For every cell, margins included, the sum over its values.
    pub(super) fn added(&self, of: impl Fn(i64) -> i64) -> Vec<i64> {
        let mut sums = vec![0_i64; self.shape.cells()];
        for &(cell, value) in self.values {
            let sum = &mut sums[cell as usize];
            *sum = sum.saturating_add(of(value));
        }
        self.shape.add_up(1, &mut sums, i64::saturating_add);
        sums
    }
}
