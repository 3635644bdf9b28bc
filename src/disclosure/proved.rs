//! A pattern with its proof: alternative tables for the ranges, then the cells to withhold, then the changes that
//! show that nobody computes what must not be known.
#![allow(clippy::indexing_slicing, reason = "cells are indices of the lattice")]

use rand::Rng;

use super::inspection::{Part, Proof};
use super::range::{Wanted, widen};
use super::suppress::{Effort, suppress, witnesses};
use super::task::Task;

/// What a protection is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It looks for alternative tables.
    Ranges {
        /// How many steps are done.
        done: usize,
        /// How many there are.
        of: usize,
    },
    /// It looks for cells to withhold.
    Pattern,
    /// It examines what it has found.
    Inspection,
}

/// A pattern, the parts that its cells are sums of, and why it protects.
pub(super) struct Proved {
    pub(super) withheld: Vec<bool>,
    pub(super) parts: Vec<Part>,
    pub(super) proof: Proof,
}

/// No pattern was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unproved {
    /// So many small counts have no range that is wide enough.
    NoRange(usize),
    /// So many cells can be computed whatever is withheld.
    Unprotectable(usize),
}

/// Seeks a pattern for a task: with ranges, if any are wanted. `values` are those of the lattice's cells; so many
/// of these, the first, are in the release.
pub(super) fn prove(
    task: Task<'_>,
    (values, released): (&[u64], usize),
    wanted: Option<Wanted<'_>>,
    effort: Effort,
    progress: &mut dyn FnMut(Stage),
    draws: &mut impl Rng,
) -> Result<Proved, Unproved> {
    let inner = task.lattice.inner();
    let mut absent = task.absent.to_vec();
    let mut proof = Proof::default();
    if let Some(wanted) = wanted {
        let found = widen(&task, wanted, effort, &mut |done, of| progress(Stage::Ranges { done, of }), draws);
        let found = found.map_err(|e| Unproved::NoRange(e.cells))?;
        for (absent, changed) in absent.iter_mut().zip(&found.changed) {
            *absent |= changed;
        }
        let place = |cell: usize| inner.binary_search(&cell).unwrap_or(usize::MAX);
        let numbered = |table: Vec<(usize, i64)>| table.into_iter().map(|(c, by)| (place(c), by)).collect();
        proof.alternatives = found.alternatives.into_iter().map(numbered).collect();
    }
    progress(Stage::Pattern);
    // What ranges need is withheld whatever the pattern; little is left to search for then.
    let effort = if wanted.is_some() { Effort::Completion } else { effort };
    let task = Task { absent: &absent, ..task };
    let mut withheld = suppress(task, effort, draws).map_err(|e| Unproved::Unprotectable(e.cells))?;
    let changes = witnesses(task, &withheld, draws).into_iter();
    proof.changes = changes.map(|change| inner.iter().map(|&cell| change[cell]).collect()).collect();
    withheld.truncate(released);
    let part = |&cell: &usize| {
        let trees = task.lattice.trees().iter().enumerate();
        let above = trees.map(|(d, tree)| tree.above(task.lattice.node(cell, d)));
        let cells = task.lattice.product(above).into_iter().filter(|&c| c < released).collect();
        Part { persons: values[cell], cells }
    };
    Ok(Proved { withheld, parts: inner.iter().map(part).collect(), proof })
}
