//! The perturbation table: for each count, which noise has which share of the keys.
#![allow(clippy::indexing_slicing, reason = "rows end with a cumulative share of the whole")]

use super::entropy::greatest;
use super::quantise::{WHOLE, shares};
use crate::domain::method::Cellkey;
use crate::domain::record_key::CellKey;
use crate::domain::rule::Rule;

/// What the noise is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Design {
    /// The least number of persons a value may show, zero aside: no result lies between.
    pub min_persons: u32,
    /// The most by which a value may differ from its count.
    pub bound: u32,
    /// The variance, in tenths. Counts near zero have the nearest variance that the other conditions
    /// allow: with 5 persons at least, a count of 1 becomes 0 or 5 and more, with a variance of 4 at least.
    pub variance_tenths: u32,
}

/// A design for which there is no table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DesignError {
    /// A count of 1 must be able to become the least number shown, and the least number to become 0.
    #[error("the noise's bound must be from min_persons to {most}, and min_persons at least {least}", most = Design::MOST, least = Rule::LEAST)]
    Bound,
    /// More variance than the evenest distribution within the bound has, or none.
    #[error("the noise's variance must be from 0.5 to bound·(bound + 1)/3")]
    Variance,
    /// The distribution for some count was not found.
    #[error("there is no perturbation table of this bound and variance; change the variance a little")]
    NotFound,
}

impl From<Cellkey> for Design {
    fn from(Cellkey { min_persons, bound, variance }: Cellkey) -> Self {
        Self { min_persons, bound, variance_tenths: variance.tenths() }
    }
}

impl Design {
    /// The most that the bound may be.
    pub const MOST: u32 = 200;
}

/// The noise of one count: outcomes with the shares of 2^32 below which their keys lie.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    outcomes: Vec<i64>,
    below: Vec<u64>,
    /// The least t such that the noise is larger than t in at most one case in [`ONE_IN`].
    reach: u64,
}

/// Intervals miss the true count in at most one case in so many: they hold with 95 %.
const ONE_IN: u64 = 20;

/// For each count the noise with mean exactly zero, the design's variance, and under these the greatest
/// entropy: nothing is added to what is known of the noise. Zero stays zero; no value is negative or
/// 1 to k-1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PerturbationTable {
    design: Design,
    rows: Vec<Row>,
}

impl PerturbationTable {
    /// The table of a design.
    ///
    /// # Errors
    /// [`DesignError`].
    pub fn new(design: Design) -> Result<Self, DesignError> {
        let Design { min_persons: k, bound, variance_tenths } = design;
        if k < Rule::LEAST || bound < k || bound > Design::MOST {
            return Err(DesignError::Bound);
        }
        if variance_tenths < 5 || 3 * variance_tenths > 10 * bound * (bound + 1) {
            return Err(DesignError::Variance);
        }
        // From this count on, no outcome comes near what may not be shown.
        let last = i64::from(bound + k);
        let rows = (0..=last).map(|count| Row::new(count, design).ok_or(DesignError::NotFound));
        Ok(Self { design, rows: rows.collect::<Result<_, _>>()? })
    }

    /// What it was made for.
    #[must_use]
    pub const fn design(&self) -> Design {
        self.design
    }

    /// The value to be released of a count of persons, with the key of these persons.
    #[must_use]
    pub fn perturb(&self, count: u64, key: CellKey) -> u64 {
        let row = self.row(count);
        // The upper half of the key; the sum of record keys is as even there as below.
        let position = key.value() >> 32;
        let place = row.below.partition_point(|&below| below <= position);
        row.outcomes.get(place).map_or(0, |&noise| count.saturating_add_signed(noise))
    }

    /// The noise of a count with its shares of 2^32, ascending; a recipient may know it.
    pub fn law(&self, count: u64) -> impl Iterator<Item = (i64, u64)> + '_ {
        let row = self.row(count);
        let before = std::iter::once(&0).chain(&row.below);
        row.outcomes.iter().zip(row.below.iter().zip(before)).map(|(&e, (below, before))| (e, below - before))
    }

    /// The least and the most that the count behind a value can be, with 95 % probability: the counts from which the
    /// value is no farther than their noise goes with that probability. Whatever the count, it is among them with
    /// at least 95 % (Neyman 1937).
    #[must_use]
    pub fn interval(&self, value: u64) -> (u64, u64) {
        let bound = u64::from(self.design.bound);
        let may_be = |count: &u64| value.abs_diff(*count) <= self.row(*count).reach;
        let counts = || (value.saturating_sub(bound)..=value.saturating_add(bound)).filter(may_be);
        (counts().next().unwrap_or(value), counts().next_back().unwrap_or(value))
    }

    fn row(&self, count: u64) -> &Row {
        let last = self.rows.len() - 1;
        &self.rows[usize::try_from(count).map_or(last, |count| count.min(last))]
    }
}

impl Row {
    fn new(count: i64, design: Design) -> Option<Self> {
        let (k, bound) = (i64::from(design.min_persons), i64::from(design.bound));
        let support: Vec<i64> = if count == 0 {
            vec![0]
        } else {
            (-bound..=bound).filter(|e| count + e == 0 || count + e >= k).collect()
        };
        let shares = shares(&support, &greatest(&support, f64::from(design.variance_tenths) / 10.0)?)?;
        let outside = |t: i64| -> u64 {
            support.iter().zip(&shares).filter(|(noise, _)| noise.abs() > t).map(|(_, share)| share).sum()
        };
        let whole = u64::try_from(WHOLE).ok()?;
        let reach = (0..=bound).find(|&t| outside(t) * ONE_IN <= whole)?.unsigned_abs();
        let (mut outcomes, mut below, mut sum) = (Vec::new(), Vec::new(), 0);
        for (outcome, share) in support.into_iter().zip(shares).filter(|(_, share)| *share > 0) {
            sum += share;
            outcomes.push(outcome);
            below.push(sum);
        }
        (i64::try_from(sum) == Ok(WHOLE)).then_some(Self { outcomes, below, reach })
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
