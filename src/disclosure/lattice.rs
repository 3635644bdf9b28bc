//! The cells of an additive table: one node of a tree in each dimension, and which cells add up to which.
//! Cells are numbered row-major, the last dimension fastest.
#![allow(clippy::indexing_slicing, reason = "nodes and cells are indices this module has made itself")]

use crate::domain::codelist::CodeList;

/// The tree of one dimension; node 0 is the total.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    parent: Vec<Option<usize>>,
    children: Vec<Vec<usize>>,
}

impl Tree {
    /// The tree of a code list.
    pub(super) fn of(list: &CodeList) -> Self {
        Self::from_parents((0..list.len()).map(|node| list.parent(node)).collect())
    }

    /// A tree from each node's parent, parents before children.
    pub(super) fn from_parents(parent: Vec<Option<usize>>) -> Self {
        let mut children = vec![Vec::new(); parent.len()];
        for (node, above) in parent.iter().enumerate() {
            if let Some(above) = above {
                children[*above].push(node);
            }
        }
        Self { parent, children }
    }

    /// How many nodes it has.
    pub(super) fn len(&self) -> usize {
        self.parent.len()
    }

    /// The nodes right below.
    pub(super) fn children(&self, node: usize) -> &[usize] {
        &self.children[node]
    }

    /// The node right above.
    pub(super) fn parent(&self, node: usize) -> Option<usize> {
        self.parent[node]
    }

    /// Whether nothing is below.
    pub(super) fn is_leaf(&self, node: usize) -> bool {
        self.children[node].is_empty()
    }

    /// The node and all above it, up to the total.
    pub(super) fn ancestry(&self, node: usize) -> impl Iterator<Item = usize> + '_ {
        std::iter::successors(Some(node), |&n| self.parent[n])
    }

    /// Whether `above` is `node` or above it.
    pub(super) fn covers(&self, above: usize, node: usize) -> bool {
        self.ancestry(node).any(|n| n == above)
    }

    /// The leaves at or below a node.
    pub(super) fn leaves_below(&self, node: usize) -> Vec<usize> {
        (0..self.len()).filter(|&n| self.is_leaf(n) && self.covers(node, n)).collect()
    }
}

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

    /// The trees of the dimensions.
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

    /// Whether every cell is the sum of the cells right below it, in each dimension.
    pub(super) fn is_additive(&self, counts: &[u64]) -> bool {
        (0..self.cells).all(|cell| {
            self.trees.iter().enumerate().all(|(d, tree)| {
                let node = self.node(cell, d);
                let at = |n: usize| counts[cell - node * self.strides[d] + n * self.strides[d]];
                tree.is_leaf(node) || tree.children(node).iter().map(|&n| at(n)).sum::<u64>() == counts[cell]
            })
        })
    }
}
