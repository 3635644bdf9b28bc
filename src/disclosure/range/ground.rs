//! What the search for ranges knows of a table.
#![allow(clippy::indexing_slicing, reason = "cells are indices of the lattice")]

use super::Wanted;
use crate::disclosure::lattice::Lattice;
use crate::disclosure::task::Task;

/// The most that a cell can change: more than any range that is asked for, and small enough that sums of a
/// few thousand fit.
pub(super) const FAR: i64 = 1 << 30;

/// The count of a cell that is as much a loss for its persons as for being a cell. Ranges ask for cells that can
/// go down by some persons: small ones do not serve, and to look for them costs more cells.
const EVEN_COUNT: f32 = 30.0;

/// The table as the search sees it. Every vector has an entry for each cell.
pub(super) struct Ground<'a> {
    pub(super) lattice: &'a Lattice,
    /// How far a cell can go down: to the least that it can count for all that the attacker knows.
    pub(super) room: Vec<i64>,
    /// What is lost by withholding it: nothing if it is withheld in any case; infinite if it must not change.
    pub(super) loss: Vec<f32>,
    /// Cells whose range must be wide.
    pub(super) targets: Vec<bool>,
    /// How wide.
    pub(super) width: i64,
}

impl<'a> Ground<'a> {
    /// The ground of a task.
    pub(super) fn new(task: &Task<'a>, wanted: Wanted<'_>) -> Self {
        let cells = 0..task.counts.len();
        let floor = |c: usize| u64::from(wanted.positive[c]);
        let room = |c: usize| i64::try_from(task.counts[c].saturating_sub(floor(c))).unwrap_or(FAR).min(FAR);
        #[allow(clippy::cast_precision_loss, reason = "a loss is no exact figure")]
        let loss = |c: usize| match () {
            () if task.fixed[c] => f32::INFINITY,
            () if task.is_hidden(c) => 0.0,
            () => 1.0 + task.counts[c] as f32 / EVEN_COUNT,
        };
        Self {
            lattice: task.lattice,
            room: cells.clone().map(room).collect(),
            loss: cells.map(loss).collect(),
            targets: wanted.targets.to_vec(),
            width: i64::try_from(wanted.width).unwrap_or(FAR).min(FAR),
        }
    }
}
