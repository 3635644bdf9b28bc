//! Differential privacy for a table of a file.
#![allow(clippy::indexing_slicing, reason = "cells are indices of the lattice")]

use std::collections::HashMap;
use std::io::Write;
use std::num::NonZeroU32;

use rand::Rng;
use rand::seq::SliceRandom;

use super::error::FileError;
use super::table::{Contribution as Contributed, FileTable, gathered};
use crate::disclosure::privacy::{Contribution, Margins, Mechanism, NoisyTable, Share, noisy_table};
use crate::domain::rho::Rho;

/// What noise a steward asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoiseAsked {
    /// The privacy loss of the whole table. A file belongs to no project: the steward keeps the account.
    pub rho: Rho,
    /// The law of the noise.
    pub mechanism: Mechanism,
    /// In how many inner cells a person counts at most.
    pub cells_a_person: NonZeroU32,
    /// Whether margins are to be the sums of their cells.
    pub consistent: bool,
}

impl FileTable {
    /// Adds noise to every cell that is not impossible; the codes of the file are taken to be public. Of a contributor
    /// in more cells than asked for some are drawn and the others do not count: the draws, one for each
    /// contributor, are independent, so nobody changes what is kept of another.
    ///
    /// # Errors
    /// [`FileError::SumAsked`]; [`FileError::WhoContributes`] if persons can be in several cells and the file does
    /// not say who is; [`FileError::MarginsNotSums`], [`FileError::Impossible`] for consistent margins that cannot
    /// be; [`FileError::SeveralHierarchies`], [`FileError::Privacy`].
    pub fn noisy(&self, asked: NoiseAsked, rng: &mut impl Rng) -> Result<NoisyTable, FileError> {
        if self.is_sum() {
            return Err(FileError::SumAsked);
        }
        let contribution = Contribution::of_persons(asked.cells_a_person);
        if asked.consistent && !contribution.is_additive() {
            return Err(FileError::MarginsNotSums);
        }
        if asked.consistent && self.has_impossible() {
            return Err(FileError::Impossible("consistent margins would put noise into them"));
        }
        let counts = match self.contributor_names() {
            Some(_) => self.bounded(asked.cells_a_person, rng),
            // Each line counts its persons once, and no other line counts them.
            None if asked.cells_a_person == NonZeroU32::MIN => self.persons.clone(),
            None => return Err(FileError::WhoContributes("noise for persons in several cells")),
        };
        let margins = match (asked.consistent, asked.mechanism) {
            (false, _) => Margins::Own,
            (true, Mechanism::Gaussian) => Margins::Fitted,
            (true, Mechanism::Laplace) => Margins::Added,
        };
        let share = Share::stated(asked.rho);
        Ok(noisy_table(&self.shape()?, &counts, contribution, asked.mechanism, margins, share)?)
    }

    /// The persons of each cell, margins included, with each contributor in so many inner cells at most.
    fn bounded(&self, most: NonZeroU32, rng: &mut impl Rng) -> Vec<u64> {
        let mut kept: HashMap<usize, Vec<Contributed>> = HashMap::new();
        for (by, cells) in self.memberships() {
            let mut cells: Vec<usize> = cells.into_iter().collect();
            cells.shuffle(rng);
            cells.truncate(most.get() as usize);
            for cell in cells {
                kept.entry(cell).or_default().push(Contributed { by, amount: 0 });
            }
        }
        let all = gathered(&self.lattice, kept);
        (0..self.cells()).map(|cell| all.get(&cell).map_or(0, |list| list.len() as u64)).collect()
    }

    /// Writes every cell of every margin: its value under noise, and the ends of its 95 % interval. An impossible one
    /// has the status `.`.
    ///
    /// # Errors
    /// [`FileError::Write`].
    pub fn write_noisy(&self, noisy: &NoisyTable, out: impl Write) -> Result<(), FileError> {
        self.write_cells(&["low", "high"], out, |cell| {
            let number = noisy.values[cell];
            let half_width = i64::try_from(number.half_width).unwrap_or(i64::MAX);
            let ends = [number.value.saturating_sub(half_width), number.value.saturating_add(half_width)];
            [number.value, ends[0], ends[1]].map(|n| decimal(n, noisy.decimals))
        })
    }
}

/// A number of units of 10^-decimals.
fn decimal(number: i64, decimals: u32) -> String {
    if decimals == 0 {
        return number.to_string();
    }
    let (unit, sign) = (10u64.pow(decimals), if number < 0 { "-" } else { "" });
    let (whole, part) = (number.unsigned_abs() / unit, number.unsigned_abs() % unit);
    format!("{sign}{whole}.{part:0width$}", width = decimals as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_below_zero_have_their_decimals() {
        assert_eq!(decimal(-1_500_000, 6), "-1.500000");
        assert_eq!(decimal(-5, 6), "-0.000005");
        assert_eq!(decimal(12, 0), "12");
    }
}
