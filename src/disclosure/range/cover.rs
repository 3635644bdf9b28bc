//! The alternative tables found so far: which cells they change and which targets have their range by them.
#![allow(clippy::indexing_slicing, reason = "cells and tables are indices this module has made itself")]

use super::ground::Ground;
use super::route::PER_CELL;

/// What it is worth to give a target its whole range while another one's is sought: so much of what it costs.
const WORTH: f32 = 0.5;

/// By how much each cell differs from the true table, ascending by cell; cells that do not are not named.
pub(super) type Difference = Vec<(usize, i64)>;

/// The tables in use. Tables keep their number for good.
pub(super) struct Cover<'a> {
    pub(super) ground: &'a Ground<'a>,
    tables: Vec<Option<Difference>>,
    /// For each cell the tables that change it, and by how much.
    through: Vec<Vec<(usize, i64)>>,
    /// For each cell what it costs to change it.
    price: Vec<f32>,
    loss: f64,
    /// For each cell what it is worth to move it: what its range lacks, if it is a target.
    worth: Vec<f32>,
}

/// How far a target is known to go, and by which table; none where the true one goes as far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) low: (i64, Option<usize>),
    pub(super) high: (i64, Option<usize>),
}

impl<'a> Cover<'a> {
    pub(super) fn new(ground: &'a Ground<'a>) -> Self {
        let price = ground.loss.iter().map(|&loss| loss.max(PER_CELL)).collect();
        let through = vec![Vec::new(); ground.loss.len()];
        let worth = ground.targets.iter().map(|&target| if target { WORTH } else { 0.0 }).collect();
        Self { ground, tables: Vec::new(), through, price, loss: 0.0, worth }
    }

    /// What is lost by all that is withheld for the tables.
    pub(super) const fn loss(&self) -> f64 {
        self.loss
    }

    /// For each cell what it costs to change it: lent to one who spends, and given back.
    pub(super) fn swap_prices(&mut self, with: &mut Vec<f32>) {
        std::mem::swap(&mut self.price, with);
    }

    /// What it is worth to move each cell.
    pub(super) fn worth(&self) -> &[f32] {
        &self.worth
    }

    /// Whether a cell is withheld only for tables.
    pub(super) fn is_secondary(&self, cell: usize) -> bool {
        self.ground.loss[cell] > 0.0 && !self.through[cell].is_empty()
    }

    /// The tables that change a cell, and by how much.
    pub(super) fn through(&self, cell: usize) -> &[(usize, i64)] {
        &self.through[cell]
    }

    /// A table.
    pub(super) fn table(&self, id: usize) -> Option<&Difference> {
        self.tables.get(id)?.as_ref()
    }

    /// The tables in use.
    pub(super) fn tables(&self) -> impl Iterator<Item = (usize, &Difference)> {
        self.tables.iter().enumerate().filter_map(|(id, table)| Some((id, table.as_ref()?)))
    }

    /// How far a cell is known to go.
    pub(super) fn extent(&self, cell: usize) -> Extent {
        let mut extent = Extent::default();
        for &(id, by) in &self.through[cell] {
            if by > extent.high.0 {
                extent.high = (by, Some(id));
            } else if by < extent.low.0 {
                extent.low = (by, Some(id));
            }
        }
        extent
    }

    /// What a target lacks in width.
    pub(super) fn lacking(&self, cell: usize) -> i64 {
        let extent = self.extent(cell);
        (self.ground.width - extent.high.0 + extent.low.0).max(0)
    }

    /// Adds a table.
    pub(super) fn add(&mut self, table: Difference) -> usize {
        let id = self.tables.len();
        self.tables.push(None);
        self.put(id, table);
        id
    }

    /// Puts a table that was taken away back in its place.
    pub(super) fn put(&mut self, id: usize, table: Difference) {
        for &(cell, by) in &table {
            if self.through[cell].is_empty() && self.ground.loss[cell] > 0.0 {
                self.loss += f64::from(self.ground.loss[cell]);
                self.price[cell] = PER_CELL;
            }
            self.through[cell].push((id, by));
            self.value(cell);
        }
        self.tables[id] = Some(table);
    }

    /// Takes a table away. What it alone changed is no longer withheld for it.
    pub(super) fn take(&mut self, id: usize) -> Option<Difference> {
        let table = self.tables.get_mut(id)?.take()?;
        for &(cell, _) in &table {
            self.through[cell].retain(|&(other, _)| other != id);
            self.value(cell);
            if self.through[cell].is_empty() && self.ground.loss[cell] > 0.0 {
                self.loss -= f64::from(self.ground.loss[cell]);
                self.price[cell] = self.ground.loss[cell];
            }
        }
        Some(table)
    }

    /// Values a cell anew.
    fn value(&mut self, cell: usize) {
        if self.ground.targets[cell] {
            self.worth[cell] = WORTH * self.lacking(cell) as f32 / self.ground.width as f32;
        }
    }

    /// Forbids to change a cell that no table changes, or allows it again.
    pub(super) fn forbid(&mut self, cell: usize, forbidden: bool) {
        self.price[cell] = if forbidden { f32::INFINITY } else { self.ground.loss[cell].max(PER_CELL) };
    }
}
