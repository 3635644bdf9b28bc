//! Sparse changes that are known to leave all published cells as they are: the cycles laid so far, and what
//! becomes of them as cells are published.
#![allow(clippy::indexing_slicing, reason = "cells and changes are indices this module has made itself")]

use super::cycle::Change;
use super::field::{add, inv, mul, neg};

/// Changes longer than this are forgotten: they serve no single cell well.
const LONGEST: usize = 1000;

/// A set of sparse changes. A change that is used up or forgotten is empty.
#[derive(Debug)]
pub(super) struct Changes {
    all: Vec<Change>,
    /// For each cell the changes that may pass through it.
    through: Vec<Vec<usize>>,
}

/// What one of the changes was before a step.
pub(super) type Before = (usize, Change);

impl Changes {
    /// No changes, in a table of so many cells.
    pub(super) fn new(cells: usize) -> Self {
        Self { all: Vec::new(), through: vec![Vec::new(); cells] }
    }

    /// Adds a change.
    pub(super) fn push(&mut self, change: Change) -> Before {
        self.all.push(Vec::new());
        self.set(self.all.len() - 1, change)
    }

    /// The shortest change through a cell.
    pub(super) fn shortest(&mut self, cell: usize) -> Option<Change> {
        self.clean(cell);
        self.through[cell].iter().map(|&id| &self.all[id]).min_by_key(|change| change.len()).cloned()
    }

    /// Takes from every change through a cell the multiple of `used` that leaves the cell as it is. Returns
    /// what they were.
    pub(super) fn clear(&mut self, cell: usize, used: &Change) -> Vec<Before> {
        self.clean(cell);
        let Some(by) = at(used, cell) else { return Vec::new() };
        let scale = neg(inv(by));
        let changed: Vec<usize> = std::mem::take(&mut self.through[cell]);
        changed
            .into_iter()
            .map(|id| {
                let factor = mul(at(&self.all[id], cell).unwrap_or(0), scale);
                let mut combined = combine(&self.all[id], used, factor);
                if combined.len() > LONGEST {
                    combined.clear();
                }
                self.set(id, combined)
            })
            .collect()
    }

    /// Takes a step back.
    pub(super) fn restore(&mut self, (id, change): Before) {
        self.set(id, change);
    }

    /// Forgets what is empty. Steps before this cannot be taken back.
    pub(super) fn compacted(self) -> Self {
        let mut kept = Self::new(self.through.len());
        for change in self.all.into_iter().filter(|change| !change.is_empty()) {
            kept.push(change);
        }
        kept
    }

    fn set(&mut self, id: usize, change: Change) -> Before {
        for &(cell, _) in &change {
            self.through[cell].push(id);
        }
        (id, std::mem::replace(&mut self.all[id], change))
    }

    /// Drops what no longer passes through a cell from its list.
    fn clean(&mut self, cell: usize) {
        let Self { all, through } = self;
        let list = &mut through[cell];
        list.sort_unstable();
        list.dedup();
        list.retain(|&id| all.get(id).is_some_and(|change| at(change, cell).is_some()));
    }
}

/// By how much a change changes a cell, if it does.
fn at(change: &Change, cell: usize) -> Option<u64> {
    let place = change.binary_search_by_key(&cell, |(c, _)| *c).ok()?;
    Some(change[place].1)
}

/// `one + factor * other`, both sorted by cell.
fn combine(one: &Change, other: &Change, factor: u64) -> Change {
    let mut sum = Vec::with_capacity(one.len() + other.len());
    let (mut i, mut j) = (0, 0);
    while i < one.len() || j < other.len() {
        let cell = match (one.get(i), other.get(j)) {
            (Some(a), Some(b)) => a.0.min(b.0),
            (Some(a), None) => a.0,
            (None, Some(b)) => b.0,
            (None, None) => break,
        };
        let mut by = 0;
        if let Some((_, own)) = one.get(i).filter(|(c, _)| *c == cell) {
            by = *own;
            i += 1;
        }
        if let Some((_, own)) = other.get(j).filter(|(c, _)| *c == cell) {
            by = add(by, mul(*own, factor));
            j += 1;
        }
        if by != 0 {
            sum.push((cell, by));
        }
    }
    sum
}
