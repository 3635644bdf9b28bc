//! What is to be protected: the table, which of its cells must not be computable, which stay published.
#![allow(clippy::indexing_slicing, reason = "cells are indices of the lattice")]

use super::lattice::Lattice;

/// A table to protect. Every slice has an entry for each cell of the lattice.
#[derive(Clone, Copy)]
pub(super) struct Task<'a> {
    pub(super) lattice: &'a Lattice,
    /// The persons in each cell: withholding a cell loses the more the more they are.
    pub(super) counts: &'a [u64],
    /// Cells that must not be computable.
    pub(super) primary: &'a [bool],
    /// Cells that the table does not have, though its other cells may give them away.
    pub(super) absent: &'a [bool],
    /// Cells that stay published or are known anyway: counted zeros where zeros are published, impossible
    /// combinations, cells published earlier.
    pub(super) fixed: &'a [bool],
    /// The contributor who is alone in a cell, and so knows it. None of them may compute a primary cell that
    /// holds others.
    pub(super) alone: &'a [Option<u32>],
}

impl Task<'_> {
    /// Every cell that must not be computable.
    pub(super) fn targets(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.counts.len()).filter(|&c| self.primary[c])
    }

    /// Whether a cell is withheld from the start: primary, or not in the table.
    pub(super) fn is_hidden(&self, cell: usize) -> bool {
        !self.fixed[cell] && (self.primary[cell] || self.absent[cell])
    }

    /// What is lost by withholding a cell: one for the cell, and more the more persons it counts.
    pub(super) fn loss(&self, cell: usize) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "an order of magnitude is enough")]
        let count = self.counts[cell] as f64;
        1.0 + count / EVEN_COUNT
    }
}

/// The count of a cell that is as much a loss for its persons as for being a cell.
const EVEN_COUNT: f64 = 14.0;

/// Who is alone in each cell of persons that add up: the one person of an inner cell that counts one, in it and
/// in all cells that count nobody else. Numbered by that inner cell.
pub(super) fn alone(lattice: &Lattice, counts: &[u64]) -> Vec<Option<u32>> {
    let lone = |&c: &usize| counts[c] == 1;
    (0..counts.len())
        .map(|cell| (counts[cell] == 1).then(|| lattice.inner_below(cell).into_iter().find(lone)).flatten())
        .map(|inner| inner.and_then(|c| u32::try_from(c).ok()))
        .collect()
}
