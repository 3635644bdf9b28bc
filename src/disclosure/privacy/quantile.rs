//! Quantiles of bounded whole numbers, by noisy bisection.
//!
//! The quantile at a/b of n values is the greatest number c within the bounds such that at most a/b of the values
//! are below c. With l of them below, that is: the score (b - a)l - a(n - l) is not positive. The score rises with c, so
//! bisection over public candidates finds the greatest. Each step releases one noisy score a cell; a value changes it
//! by max(a, b - a) at most, and the steps, each of which may depend on the ones before, compose by adding
//! their losses (Bun and Steinke 2016, lemma 2.3). A score that is farther from zero than its noise reaches tells
//! for sure on which side the quantile lies: these are the ends of the interval.
#![allow(clippy::indexing_slicing, reason = "cells and candidates are indices that this module has made")]

use std::collections::HashMap;

use super::contribution::Sensitivity;
use super::margins::Margins;
use super::mechanism::{Mechanism, OUTSIDE, PrivacyError, suffices, with_noise};
use super::spending::Share;
use super::values::{Bounds, CellValues, Estimate};

/// Which part of the values lies below a quantile: so many of so many parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    part: u32,
    of: u32,
}

impl Place {
    /// One of four parts.
    pub const LOWER_QUARTILE: Self = Self { part: 1, of: 4 };
    /// One of two parts.
    pub const MEDIAN: Self = Self { part: 1, of: 2 };
    /// Three of four parts.
    pub const UPPER_QUARTILE: Self = Self { part: 3, of: 4 };
}

/// The most candidates: seven bisections.
const MOST_CANDIDATES: u64 = 128;

/// The candidates: every `step`th number from the low bound on. Public, since the bounds are.
#[derive(Clone, Copy)]
struct Grid {
    bounds: Bounds,
    step: u64,
    count: u64,
}

impl Grid {
    fn new(bounds: Bounds) -> Self {
        let numbers = bounds.width() + 1;
        let step = numbers.div_ceil(MOST_CANDIDATES);
        Self { bounds, step, count: numbers.div_ceil(step) }
    }

    /// How many bisections find one of them.
    const fn steps(self) -> u32 {
        self.count.next_power_of_two().trailing_zeros()
    }

    fn at(self, place: u64) -> i64 {
        self.bounds.low.saturating_add_unsigned(place * self.step)
    }

    /// The greatest number that is less than the candidate at `place`, or the high bound after the last.
    fn before(self, place: u64) -> i64 {
        if place < self.count { self.at(place) - 1 } else { self.bounds.high }
    }
}

/// Where the quantile of a cell may be: at a candidate from the first on, before the second.
type Bracket = (u64, u64);

impl CellValues<'_> {
    /// The quantile of the values of every cell. With more than 128 numbers within the bounds it is one of 128 even
    /// steps, and the interval holds the exact one. Every cell has noise of its own. Blocks; spends the share.
    ///
    /// # Errors
    /// [`PrivacyError`].
    pub fn noisy_quantiles(
        &self,
        place: Place,
        mechanism: Mechanism,
        share: Share,
    ) -> Result<Vec<Estimate>, PrivacyError> {
        let grid = Grid::new(self.bounds);
        let steps = grid.steps();
        let sensitivity = self.sensitivity_of_scores(place)?;
        let above = self.cells_above();
        let mut brackets: Vec<Bracket> = vec![(0, grid.count); self.shape.cells()];
        let mut certain = brackets.clone();
        for share in share.parts(steps) {
            let tried: Vec<u64> = brackets.iter().map(|(from, to)| u64::midpoint(*from, *to)).collect();
            let scores = self.scores(place, &above, |cell| grid.at(tried[cell]));
            let (scores, law) = with_noise(&scores, sensitivity, mechanism, share)?;
            let reach = i64::try_from(law.reach(OUTSIDE / f64::from(steps))).unwrap_or(i64::MAX);
            for (cell, (&tried, score)) in tried.iter().zip(scores).enumerate() {
                let ((from, to), (first, end)) = (&mut brackets[cell], &mut certain[cell]);
                if *to - *from < 2 {
                    continue;
                }
                *(if score > 0 { to } else { from }) = tried;
                if score > reach {
                    *end = (*end).min(tried);
                } else if score <= -reach {
                    *first = (*first).max(tried);
                }
            }
        }
        let found = |((from, _), (first, end)): (Bracket, Bracket)| Estimate {
            value: grid.at(from),
            low: grid.at(first),
            high: grid.before(end),
        };
        Ok(brackets.into_iter().zip(certain).map(found).collect())
    }

    /// Whether a share suffices for [`CellValues::noisy_quantiles`], whatever the values are.
    ///
    /// # Errors
    /// [`PrivacyError`].
    pub fn suffices_for_quantiles(
        &self,
        place: Place,
        mechanism: Mechanism,
        share: Share,
    ) -> Result<(), PrivacyError> {
        let sensitivity = self.sensitivity_of_scores(place)?;
        let mut steps = share.parts(Grid::new(self.bounds).steps());
        steps.try_for_each(|share| suffices(sensitivity, mechanism, share))
    }

    fn sensitivity_of_scores(&self, place: Place) -> Result<Sensitivity, PrivacyError> {
        let change = u64::from(place.part.max(place.of - place.part));
        Ok(self.sensitivity(Margins::Own)?.times(change))
    }

    /// For each inner cell with a value: the cells that the value is counted in.
    fn cells_above(&self) -> HashMap<u32, Vec<usize>> {
        let mut above: HashMap<u32, Vec<usize>> = HashMap::new();
        for &(leaf, _) in self.values {
            above.entry(leaf).or_insert_with(|| {
                let positions = self.shape.positions(leaf as usize);
                let dimensions = self.shape.dimensions.iter().zip(positions);
                dimensions.fold(vec![0], |cells, (dimension, position)| {
                    let codes = &dimension.codes;
                    let within =
                        |cell: usize| codes.ancestry(position).map(move |node| cell * codes.len() + node);
                    cells.into_iter().flat_map(within).collect()
                })
            });
        }
        above
    }

    /// The score of a number in each cell.
    fn scores(&self, place: Place, above: &HashMap<u32, Vec<usize>>, of: impl Fn(usize) -> i64) -> Vec<i64> {
        let (below, others) = (i64::from(place.of - place.part), -i64::from(place.part));
        let mut scores = vec![0; self.shape.cells()];
        for (leaf, value) in self.values {
            let value = self.bounds.clamped(*value);
            for &cell in above.get(leaf).into_iter().flatten() {
                scores[cell] += if value < of(cell) { below } else { others };
            }
        }
        scores
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use proptest::prelude::*;

    use super::*;
    use crate::disclosure::protect::tests::{shape, shape_of};

    fn events(many: u32) -> NonZeroU32 {
        NonZeroU32::new(many).unwrap()
    }

    /// The greatest number within the bounds with at most its part of the values below it.
    fn plain(values: &[i64], place: Place, bounds: Bounds) -> i64 {
        let fits = |c: &i64| {
            let below = values.iter().filter(|v| bounds.clamped(**v) < *c).count() as u64;
            below * u64::from(place.of) <= values.len() as u64 * u64::from(place.part)
        };
        (bounds.low..=bounds.high).rfind(fits).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 30, ..ProptestConfig::default() })]
        /// With next to no noise it is the plain quantile, in every cell of every margin.
        #[test]
        fn without_noise_it_is_the_quantile(
            values in prop::collection::vec((0usize..3, 0usize..2, -4i64..30), 0..40), quarter in 0usize..3,
        ) {
            let place = [Place::LOWER_QUARTILE, Place::MEDIAN, Place::UPPER_QUARTILE][quarter];
            // A quartile's score has three times the noise: fewer margins and steps, and there is next to none again.
            let (table, high) = if quarter == 1 { (shape_of(&[3, 2], 1), 25) } else { (shape_of(&[3], 1), 5) };
            let bounds = Bounds::new(-2, high).unwrap();
            let placed: Vec<(u32, i64)> =
                values.iter().map(|&(a, b, value)| (table.cell(&[a + 1, b + 1]) as u32, value)).collect();
            let of = CellValues::new(&table, &placed, bounds, events(1)).unwrap();
            let found = of.noisy_quantiles(place, Mechanism::Gaussian, Share::of("1000")).unwrap();
            for (cell, found) in found.iter().enumerate() {
                let at = table.positions(cell);
                let within: Vec<i64> = values
                    .iter()
                    .filter(|(a, b, _)| at.iter().zip([a, b]).all(|(at, own)| [0, own + 1].contains(at)))
                    .map(|(_, _, value)| *value)
                    .collect();
                let truth = plain(&within, place, bounds);
                prop_assert!(found.low <= truth && truth <= found.high, "{within:?} {found:?}");
                prop_assert_eq!(found.value, truth);
            }
        }
    }

    #[test]
    fn intervals_hold_the_quantile_as_often_as_they_say() {
        let (cells, bounds) = (200_u32, Bounds::new(0, 999).unwrap());
        let table = shape(cells as usize, 1);
        // 0, 7, 14, ... 693 in each cell: the median is 350, and the steps are 8 wide.
        let values: Vec<(u32, i64)> =
            (1..=cells).flat_map(|cell| (0..100).map(move |n| (cell, 7 * n))).collect();
        let of = CellValues::new(&table, &values, bounds, events(1)).unwrap();
        let truth = plain(&(0..100).map(|n| 7 * n).collect::<Vec<_>>(), Place::MEDIAN, bounds);
        for mechanism in [Mechanism::Gaussian, Mechanism::Laplace] {
            let found = of.noisy_quantiles(Place::MEDIAN, mechanism, Share::of("1")).unwrap();
            let inner = &found[1..];
            let hold = inner.iter().filter(|e| e.low <= truth && truth <= e.high).count();
            assert!(hold > 165, "{mechanism:?}: {hold}");
            assert!(inner.iter().all(|e| e.low <= e.value && e.value <= e.high));
            assert!(inner.iter().filter(|e| e.high - e.low < 700).count() > 100, "{mechanism:?}: too wide");
            let near = inner.iter().filter(|e| (e.value - truth).abs() < 150).count();
            assert!(near > 100, "{mechanism:?}: {near}");
        }
    }

    #[test]
    fn nobody_in_a_cell_and_few_candidates() {
        let table = shape(2, 1);
        for (low, high) in [(0, 1), (0, 2), (-5, 127), (0, 1_000_000)] {
            let bounds = Bounds::new(low, high).unwrap();
            let of = CellValues::new(&table, &[], bounds, events(3)).unwrap();
            let found = of.noisy_quantiles(Place::MEDIAN, Mechanism::Gaussian, Share::of("0.1")).unwrap();
            assert!(found.iter().all(|e| low <= e.low && e.value <= e.high && e.high <= high));
            let grid = Grid::new(bounds);
            assert!(
                grid.count <= MOST_CANDIDATES
                    && grid.at(grid.count - 1) <= high
                    && 1 << grid.steps() >= grid.count
            );
            assert_eq!(grid.before(grid.count), high);
        }
        let of = CellValues::new(&table, &[], Bounds::new(0, 9).unwrap(), events(1)).unwrap();
        let none = of.noisy_quantiles(Place::MEDIAN, Mechanism::Gaussian, Share::of("0"));
        assert_eq!(none.unwrap_err(), PrivacyError::TooLittle);
    }
}
