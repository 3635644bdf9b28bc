//! The cells of an additive table: one node of each dimension, and which cells add up to which. Cells
//! are numbered row-major, the last dimension fastest.
//!
//! Linked tables that share dimensions are one lattice in which the combinations that no table has are
//! absent. An inner cell is a combination of leaves; every cell is a sum of inner cells.
#![allow(clippy::indexing_slicing, reason = "nodes and cells are indices this module has made itself")]

pub(super) use super::tree::Tree;

/// All cells of a table, margins included.
#[derive(Debug, Clone)]
pub(super) struct Lattice {
    trees: Vec<Tree>,
    strides: Vec<usize>,
    cells: usize,
}

impl Lattice {
    /// The cells of these dimensions. A table without dimensions has one cell, as if it had one
    /// dimension with a total only.
    pub(super) fn new(mut trees: Vec<Tree>) -> Self {
        if trees.is_empty() {
            trees.push(Tree::from_parents(vec![None]));
        }
        let mut strides = vec![1; trees.len()];
        for d in (1..trees.len()).rev() {
            strides[d - 1] = strides[d] * trees[d].len();
        }
        let cells = strides[0] * trees[0].len();
        Self { trees, strides, cells }
    }

    /// How many cells there are.
    pub(super) const fn cells(&self) -> usize {
        self.cells
    }

    /// The dimensions.
    pub(super) fn trees(&self) -> &[Tree] {
        &self.trees
    }

    /// How far apart cells lie that differ by one in this dimension.
    pub(super) fn stride(&self, dimension: usize) -> usize {
        self.strides[dimension]
    }

    /// The node of a cell in a dimension.
    pub(super) fn node(&self, cell: usize, dimension: usize) -> usize {
        cell / self.strides[dimension] % self.trees[dimension].len()
    }

    /// The cells of a product: one of these nodes in each dimension.
    pub(super) fn product<'a>(&self, nodes: impl IntoIterator<Item = &'a [usize]>) -> Vec<usize> {
        let mut cells = vec![0];
        for (nodes, &stride) in nodes.into_iter().zip(&self.strides) {
            cells = cells.iter().flat_map(|c| nodes.iter().map(move |n| c + n * stride)).collect();
        }
        cells
    }

    /// The inner cells, ascending.
    pub(super) fn inner(&self) -> Vec<usize> {
        self.product(self.trees.iter().map(Tree::leaves))
    }

    /// The inner cells that a cell is the sum of, ascending.
    pub(super) fn inner_below(&self, cell: usize) -> Vec<usize> {
        self.product(self.trees.iter().enumerate().map(|(d, tree)| tree.leaves_below(self.node(cell, d))))
    }

    /// Sets every cell to the sum of its inner cells, the only ones that are read.
    pub(super) fn fill(&self, values: &mut [u64]) {
        for (d, tree) in self.trees.iter().enumerate() {
            for cell in 0..self.cells {
                let node = self.node(cell, d);
                // Dimensions still to come are at their leaves: other cells wait for their turn.
                let ready = (d + 1..self.trees.len()).all(|e| self.trees[e].is_leaf(self.node(cell, e)));
                if ready && !tree.is_leaf(node) {
                    let base = cell - node * self.strides[d];
                    values[cell] =
                        tree.leaves_below(node).iter().map(|n| values[base + n * self.strides[d]]).sum();
                }
            }
        }
    }

    /// Whether every cell is the sum of its inner cells.
    pub(super) fn is_additive(&self, counts: &[u64]) -> bool {
        let mut filled = counts.to_vec();
        self.fill(&mut filled);
        counts.len() == self.cells && filled == counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn margins_are_sums_of_inner_cells_in_every_hierarchy() {
        // Two leaves a and b; groups 1 = {a}, 2 = {a, b} of another hierarchy; beside it a flat dimension.
        let crossed = Tree::new(vec![vec![], vec![0], vec![0], vec![1, 2], vec![0, 2]]);
        let flat = Tree::from_parents(vec![None, Some(0), Some(0)]);
        let lattice = Lattice::new(vec![crossed, flat]);
        assert_eq!(lattice.inner(), [10, 11, 13, 14]);
        let mut counts = vec![99; lattice.cells()];
        for (cell, count) in lattice.inner().into_iter().zip([1, 2, 4, 8]) {
            counts[cell] = count;
        }
        lattice.fill(&mut counts);
        assert_eq!(counts, [15, 5, 10, 3, 1, 2, 15, 5, 10, 3, 1, 2, 12, 4, 8]);
        assert!(lattice.is_additive(&counts));
        for cell in 0..lattice.cells() {
            assert_eq!(lattice.inner_below(cell).iter().map(|&c| counts[c]).sum::<u64>(), counts[cell]);
        }
        counts[3] += 1;
        assert!(!lattice.is_additive(&counts));
    }
}
