//! The protection of a table read from a file: ranges, then the pattern, then the last look.
#![allow(clippy::indexing_slicing, reason = "cells are indices of the lattice")]

use super::atoms::Atoms;
use super::error::FileError;
use super::table::FileTable;
use crate::disclosure::inspection::{Range, Release, inspect};
use crate::disclosure::pattern::PatternKey;
use crate::disclosure::primary::{Rules, Zeros};
use crate::disclosure::proved::{Proved, Stage, prove};
use crate::disclosure::range::Wanted;
use crate::disclosure::suppress::Effort;
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
            alone: &alone,
        };
        let known_positive = rules.zeros == Zeros::Published;
        let is_target = |c: usize| rules.is_small(self.persons[c]) && !self.impossible[c];
        let mut targets: Vec<bool> = (0..self.cells()).map(is_target).collect();
        let mut positive = vec![known_positive; self.cells()];
        let mut seek = |task: Task<'_>, values: &[u64]| {
            // Nobody knows whether there is somebody in an atom.
            positive.resize(values.len(), false);
            targets.resize(values.len(), false);
            let wanted = Wanted { targets: &targets, width: ask.min_range, positive: &positive };
            let wanted = Some(wanted).filter(|_| ask.min_range > 0);
            prove(task, (values, self.cells()), wanted, Effort::Thorough, progress, &mut draws)
        };
        let Proved { withheld, parts, proof } = if self.is_sum {
            // The persons in a cell, not the sum, tell how much is lost.
            seek(Task { counts: &self.persons, ..task }, &self.values)?
        } else if self.lattice.is_additive(&self.persons) {
            seek(task, task.counts)?
        } else {
            let atoms = Atoms::of(&self.lattice, self.memberships().values(), &empty);
            let told = atoms.told(&task);
            let over = atoms.task(&told);
            seek(over, over.counts)?
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
            zeros_shown: &vec![!self.is_sum && known_positive; self.cells()],
        };
        let ranges = inspect(&release, &proof, &mut draws)?;
        Ok(ProtectedTable { withheld, ranges })
    }
}
