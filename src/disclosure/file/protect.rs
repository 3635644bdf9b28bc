//! The protection of a table read from a file: ranges, then the pattern, then the last look.
#![allow(clippy::indexing_slicing, reason = "cells are indices of the lattice")]

use rand::Rng;

use super::atoms::Atoms;
use super::error::FileError;
use super::table::FileTable;
use crate::disclosure::inspection::{Part, Proof, Range, Release, inspect};
use crate::disclosure::pattern::PatternKey;
use crate::disclosure::primary::{Rules, Zeros};
use crate::disclosure::range::{Wanted, widen};
use crate::disclosure::suppress::{Effort, suppress, witnesses};
use crate::disclosure::task::Task;

/// What is asked of the protection of a table.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// Which cells must not be known.
    pub rules: &'a Rules,
    /// How wide the range of a small count must be at least: the greatest and the least that nobody can rule out
    /// differ by so much. 0 for exact protection only.
    pub min_range: u64,
    /// For each cell whether it was published earlier and stays so; empty if none was.
    pub published: &'a [bool],
}

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

/// A protected table.
#[derive(Debug)]
pub struct ProtectedTable {
    /// For each cell whether it is withheld.
    pub withheld: Vec<bool>,
    /// For each withheld cell what nobody can narrow down further, as far as alternative tables were made: an
    /// attacker's bounds include it.
    pub ranges: Vec<Option<Range>>,
}

impl FileTable {
    /// Chooses the cells to withhold: those that must not be known, those without which these could be computed,
    /// and those without which a small count would be known too closely. Released is only what passes the last look.
    ///
    /// # Errors
    /// [`FileError::Unprotectable`] if what stays published gives a cell away, [`FileError::NoRange`] if it
    /// narrows one down; [`FileError::NoContributors`], [`FileError::RangeOfSum`]; [`FileError::Stopped`].
    pub fn protect(
        &self,
        ask: Ask<'_>,
        key: &PatternKey,
        progress: &mut dyn FnMut(Stage),
    ) -> Result<ProtectedTable, FileError> {
        let rules = ask.rules;
        if self.is_sum && ask.min_range > 0 {
            return Err(FileError::RangeOfSum);
        }
        let primary = self.primary(rules)?;
        let empty: Vec<bool> = (0..self.cells())
            .map(|c| self.impossible[c] || self.persons[c] == 0 && rules.zeros == Zeros::Published)
            .collect();
        let fixed: Vec<bool> = empty
            .iter()
            .enumerate()
            .map(|(c, empty)| *empty || ask.published.get(c) == Some(&true))
            .collect();
        let mut draws = key.draws(&self.digest()?);
        let alone = if rules.singletons { self.alone(&empty) } else { vec![None; self.cells()] };
        let task = Task {
            lattice: &self.lattice,
            counts: if self.is_sum { &self.values } else { &self.persons },
            primary: &primary,
            absent: &vec![false; self.cells()],
            fixed: &fixed,
            differences: &[],
            alone: &alone,
        };
        let (withheld, parts, proof) = if self.is_sum {
            // The persons in a cell, not the sum, tell how much is lost.
            self.choose(Task { counts: &self.persons, ..task }, &self.values, ask, progress, &mut draws)?
        } else if self.lattice.is_additive(&self.persons) {
            self.choose(task, task.counts, ask, progress, &mut draws)?
        } else {
            let atoms = Atoms::of(&self.lattice, self.memberships().values(), &empty);
            let told = atoms.told(&task);
            let over = atoms.task(&told);
            self.choose(over, over.counts, ask, progress, &mut draws)?
        };
        progress(Stage::Inspection);
        let release = Release {
            parts: &parts,
            counts: task.counts,
            withheld: &withheld,
            sensitive: &primary,
            impossible: &self.impossible,
            alone: &alone,
            // Of a sum nobody knows how many persons it is of.
            min_persons: if self.is_sum { 0 } else { rules.min_persons },
            min_range: ask.min_range,
            zeros_shown: !self.is_sum && rules.zeros == Zeros::Published,
        };
        let ranges = inspect(&release, &proof, &mut draws)?;
        Ok(ProtectedTable { withheld, ranges })
    }

    /// The pattern for a task over this table or over its atoms, with the parts that its cells are sums of (`values`
    /// are those of the task's cells) and the proof that it leaks nothing.
    fn choose(
        &self,
        task: Task<'_>,
        values: &[u64],
        ask: Ask<'_>,
        progress: &mut dyn FnMut(Stage),
        draws: &mut impl Rng,
    ) -> Result<(Vec<bool>, Vec<Part>, Proof), FileError> {
        let inner = task.lattice.inner();
        let mut absent = task.absent.to_vec();
        let mut proof = Proof::default();
        if ask.min_range > 0 {
            let is_target =
                |c: usize| c < self.cells() && ask.rules.is_small(self.persons[c]) && !self.impossible[c];
            let targets: Vec<bool> = (0..task.counts.len()).map(is_target).collect();
            let zeros_published = ask.rules.zeros == Zeros::Published;
            let wanted = Wanted { targets: &targets, width: ask.min_range, zeros_published };
            let found = widen(&task, wanted, &mut |done, of| progress(Stage::Ranges { done, of }), draws);
            let found = found.map_err(|e| FileError::NoRange(e.cells))?;
            for (absent, changed) in absent.iter_mut().zip(&found.changed) {
                *absent |= changed;
            }
            let place = |cell: usize| inner.binary_search(&cell).unwrap_or(usize::MAX);
            let numbered =
                |table: Vec<(usize, i64)>| table.into_iter().map(|(c, by)| (place(c), by)).collect();
            proof.alternatives = found.alternatives.into_iter().map(numbered).collect();
        }
        progress(Stage::Pattern);
        // What ranges need is withheld whatever the pattern; little is left to search for then.
        let effort = if ask.min_range > 0 { Effort::Completion } else { Effort::Thorough };
        let task = Task { absent: &absent, ..task };
        let mut withheld = suppress(task, effort, draws).map_err(|e| FileError::Unprotectable(e.cells))?;
        let changes = witnesses(task, &withheld, draws).into_iter();
        proof.changes = changes.map(|change| inner.iter().map(|&cell| change[cell]).collect()).collect();
        withheld.truncate(self.cells());
        let part = |&cell: &usize| {
            let trees = task.lattice.trees().iter().enumerate();
            let above = trees.map(|(d, tree)| tree.above(task.lattice.node(cell, d)));
            let cells = task.lattice.product(above).into_iter().filter(|&c| c < self.cells()).collect();
            Part { persons: values[cell], cells }
        };
        Ok((withheld, inner.iter().map(part).collect(), proof))
    }
}
