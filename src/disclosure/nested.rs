//! The table of a query as one additive table: its nested measures are a dimension more.
//!
//! The measures count the same persons, nested in each other: everyone in the cohort, those with the outcome within
//! 180 days, within 90, within 30. An attacker can subtract: persons without the outcome, or with it after day 30
//! but by day 90, are the difference of two measures. So each person of the cohort lies in one of as many leaves as
//! there are measures, by the narrowest that counts it; a measure is the sum of the leaves from its own on, the
//! difference of two measures the sum of those between. All are nodes of the dimension. The differences are not in
//! the released table, but must not be computable either where they are small.
#![allow(clippy::indexing_slicing, reason = "cells and measures are indices of the table's shape")]

use super::lattice::{Lattice, Tree};
use super::protect::DisclosureError;
use crate::domain::rule::Rule;
use crate::domain::table::TableShape;

/// A query's counts as an additive table. Cells are numbered as the shape numbers them, each with all nodes.
pub(super) struct Nested {
    pub(super) lattice: Lattice,
    pub(super) counts: Vec<u64>,
    /// The nodes of the last dimension: which leaves they are the sum of, from and up to but without.
    nodes: Vec<(usize, usize)>,
    /// For each measure of the shape its node.
    places: Vec<usize>,
}

impl Nested {
    /// The table of these counts, numbered as [`TableShape`] numbers them.
    pub(super) fn of(shape: &TableShape, counts: &[u64]) -> Result<Self, DisclosureError> {
        let chain = chain(shape)?;
        let measures = chain.len();
        let nodes = nodes(measures);
        let mut trees: Vec<Tree> = shape.dimensions.iter().map(|d| Tree::of(&d.codes)).collect();
        trees.push(tree(&nodes));
        let lattice = Lattice::new(trees);
        if counts.len() != shape.cells() * measures || lattice.cells() != shape.cells() * nodes.len() {
            return Err(DisclosureError::NotATable);
        }
        let mut all = Vec::with_capacity(lattice.cells());
        for cell in counts.chunks_exact(measures) {
            for &(from, to) in &nodes {
                let narrower = chain.get(to).map_or(0, |&measure| cell[measure]);
                all.push(cell[chain[from]].checked_sub(narrower).ok_or(DisclosureError::NotATable)?);
            }
        }
        if !lattice.is_additive(&all) {
            return Err(DisclosureError::NotATable);
        }
        let mut places = vec![0; measures];
        for (node, &(from, _)) in nodes.iter().enumerate().filter(|(_, (_, to))| *to == measures) {
            places[chain[from]] = node;
        }
        Ok(Self { lattice, counts: all, nodes, places })
    }

    /// For each cell whether the released table has it: it is a measure, no difference.
    pub(super) fn is_released(&self, cell: usize) -> bool {
        self.nodes[cell % self.nodes.len()].1 == self.places.len()
    }

    /// The measure of the shape that a cell counts; none for a difference.
    #[cfg(test)]
    pub(super) fn measure(&self, cell: usize) -> Option<usize> {
        self.places.iter().position(|&node| node == cell % self.nodes.len())
    }

    /// For each cell whether it is the count of the widest measure.
    pub(super) fn is_widest(&self, cell: usize) -> bool {
        cell.is_multiple_of(self.nodes.len())
    }

    /// Whether a cell tells by being empty that all who are in a wider measure are in the narrower one too: group
    /// disclosure.
    fn is_complement(&self, cell: usize) -> bool {
        let (_, to) = self.nodes[cell % self.nodes.len()];
        let narrower = self.nodes.iter().position(|&node| node == (to, self.places.len()));
        narrower.is_some_and(|node| self.counts[cell - cell % self.nodes.len() + node] > 0)
    }

    /// For each cell whether that it counts nobody may be known.
    pub(super) fn zeros_shown(&self, rule: &Rule) -> Vec<bool> {
        (0..self.counts.len()).map(|cell| !(rule.group_disclosure() && self.is_complement(cell))).collect()
    }

    /// What is known of each count of the shape, from what is known of each cell.
    pub(super) fn of_measures<T: Copy>(&self, of_cells: &[T]) -> Vec<T> {
        let cells = of_cells.chunks_exact(self.nodes.len());
        cells.flat_map(|cell| self.places.iter().map(|&node| cell[node])).collect()
    }
}

/// All runs of so many leaves that follow each other, the longest first: first those that include their parents'.
fn nodes(leaves: usize) -> Vec<(usize, usize)> {
    (1..=leaves).rev().flat_map(|long| (0..=leaves - long).map(move |from| (from, from + long))).collect()
}

/// The tree of these nodes: each below the two that are longer by one leaf.
fn tree(nodes: &[(usize, usize)]) -> Tree {
    let place = |node: (usize, usize)| nodes.iter().position(|&n| n == node);
    let above = |&(from, to): &(usize, usize)| {
        let earlier = from.checked_sub(1).and_then(|from| place((from, to)));
        earlier.into_iter().chain(place((from, to + 1))).collect()
    };
    Tree::new(nodes.iter().map(above).collect())
}

/// The measures from the widest to the narrowest. A query's outcomes are one chain; the plan sees to it.
fn chain(shape: &TableShape) -> Result<Vec<usize>, DisclosureError> {
    let mut order: Vec<usize> = (0..shape.measures.len()).collect();
    order.sort_by_key(|&m| shape.measures[m].nested_in.len());
    let chained = order.iter().enumerate().all(|(place, &m)| {
        let wider = &shape.measures[m].nested_in;
        wider.len() == place && order[..place].iter().all(|&w| wider.iter().any(|&n| n as usize == w))
    });
    if chained && !order.is_empty() { Ok(order) } else { Err(DisclosureError::NotATable) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disclosure::protect::tests::shape;

    #[test]
    fn measures_and_their_differences_are_one_additive_table() {
        // 20 persons, of them 19, of them 17; and 5, 5, 0.
        let counts = [25, 24, 17, 20, 19, 17, 5, 5, 0];
        let nested = Nested::of(&shape(2, 3), &counts).unwrap();
        assert_eq!(nested.nodes, [(0, 3), (0, 2), (1, 3), (0, 1), (1, 2), (2, 3)]);
        assert_eq!(nested.counts[6..], [20, 3, 19, 1, 2, 17, 5, 5, 5, 0, 5, 0]);
        let flags: Vec<bool> = (0..nested.counts.len()).map(|c| nested.is_released(c)).collect();
        assert!(nested.of_measures(&flags).iter().all(|released| *released));
        assert_eq!(flags.iter().filter(|released| **released).count(), counts.len());
        let wrong = Nested::of(&shape(2, 3), &[25, 24, 17, 20, 19, 17, 5, 5, 1]);
        assert!(matches!(wrong, Err(DisclosureError::NotATable)));
    }

    #[test]
    fn everybody_in_a_group_having_it_must_not_be_known() {
        // Of 20 all have it, of 5 nobody; of nobody nobody.
        let nested = Nested::of(&shape(3, 2), &[25, 20, 20, 20, 5, 0, 0, 0]).unwrap();
        let rule = Rule::new("r".to_owned().try_into().unwrap(), 5).unwrap();
        assert!(nested.zeros_shown(&rule).iter().all(|shown| *shown));
        let hidden = nested.zeros_shown(&rule.with_group_disclosure());
        // Nodes: the base, those without it, those with it.
        assert_eq!(hidden[3..], [true, false, true, true, true, true, true, true, true]);
    }
}
