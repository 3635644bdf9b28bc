//! Persons who are in several cells at once: the atoms, sets of persons who are in the same inner cells.
//!
//! Counts of distinct persons do not add up over such cells, but every count is a sum of atoms. So the table
//! is protected as one with a single dimension, whose leaves are the atoms and whose nodes are the cells.
//! Nobody else knows which atoms have somebody in them. The engine takes those to be possible that have, and
//! those of persons in one cell only; an attacker who allows for more knows less.
#![allow(clippy::indexing_slicing, reason = "cells are indices of the lattice")]

use std::collections::{BTreeMap, BTreeSet};

use crate::disclosure::lattice::Lattice;
use crate::disclosure::task::Task;
use crate::disclosure::tree::Tree;

/// A table over atoms: its cells first, in their order, then the atoms.
pub(super) struct Atoms {
    pub(super) lattice: Lattice,
    counts: Vec<u64>,
    cells: usize,
}

/// What the engine is told of each cell and atom.
pub(super) struct Told {
    primary: Vec<bool>,
    absent: Vec<bool>,
    fixed: Vec<bool>,
    alone: Vec<Option<u32>>,
}

impl Atoms {
    /// The atoms of a table, from the inner cells that each person is in. Cells that are empty and known to
    /// be so have no atoms.
    pub(super) fn of<'a>(
        table: &Lattice,
        persons: impl Iterator<Item = &'a BTreeSet<usize>>,
        known_empty: &[bool],
    ) -> Self {
        let mut atoms: BTreeMap<BTreeSet<usize>, u64> = BTreeMap::new();
        for cell in table.inner().into_iter().filter(|&c| !known_empty[c]) {
            atoms.insert(BTreeSet::from([cell]), 0);
        }
        for cells in persons {
            *atoms.entry(cells.clone()).or_insert(0) += 1;
        }
        let mut counts = vec![0; table.cells()];
        let mut parents: Vec<Vec<usize>> =
            (0..table.cells()).map(|c| if c == 0 { vec![] } else { vec![0] }).collect();
        for (inner, count) in &atoms {
            let above: BTreeSet<usize> = inner
                .iter()
                .flat_map(|&cell| {
                    let trees = table.trees().iter().enumerate();
                    table.product(trees.map(|(d, tree)| tree.above(table.node(cell, d))))
                })
                .collect();
            for &cell in &above {
                counts[cell] += count;
            }
            counts.push(*count);
            parents.push(above.into_iter().collect());
        }
        Self { lattice: Lattice::new(vec![Tree::new(parents)]), counts, cells: table.cells() }
    }

    /// What holds of the cells, and that the atoms are not in the table.
    pub(super) fn told(&self, task: &Task<'_>) -> Told {
        let atoms = self.counts.len() - self.cells;
        let with = |flags: &[bool], flag: bool| [flags, &vec![flag; atoms]].concat();
        Told {
            primary: with(task.primary, false),
            absent: with(task.absent, true),
            fixed: with(task.fixed, false),
            alone: [task.alone, &vec![None; atoms]].concat(),
        }
    }

    /// The task over atoms.
    pub(super) fn task<'a>(&'a self, told: &'a Told) -> Task<'a> {
        Task {
            lattice: &self.lattice,
            counts: &self.counts,
            primary: &told.primary,
            absent: &told.absent,
            fixed: &told.fixed,
            alone: &told.alone,
        }
    }
}
