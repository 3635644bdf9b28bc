//! One dimension of a table: leaves, and nodes that each stand for a set of leaves. Several hierarchies
//! may lie over the same leaves: a municipality in a county and in a health region.
#![allow(clippy::indexing_slicing, reason = "nodes are indices this module has made itself")]

use crate::domain::codelist::CodeList;

/// The nodes of one dimension; node 0 is the total, and every node comes after those above it.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    parents: Vec<Vec<usize>>,
    children: Vec<Vec<usize>>,
    /// For each node the leaves in it, ascending.
    below: Vec<Vec<usize>>,
    /// For each node the nodes whose leaves include all of its own, ascending; itself included.
    above: Vec<Vec<usize>>,
}

impl Tree {
    /// The tree of a code list.
    pub(super) fn of(list: &CodeList) -> Self {
        Self::from_parents((0..list.len()).map(|node| list.parent(node)).collect())
    }

    /// A tree from each node's parent, parents before children.
    pub(super) fn from_parents(parent: Vec<Option<usize>>) -> Self {
        Self::new(parent.into_iter().map(|above| above.into_iter().collect()).collect())
    }

    /// Nodes from each one's parents, parents before children. Node 0, and no other, has none. A node with
    /// two parents lies in two hierarchies.
    pub(super) fn new(parents: Vec<Vec<usize>>) -> Self {
        let nodes = parents.len();
        let mut children = vec![Vec::new(); nodes];
        for (node, above) in parents.iter().enumerate() {
            for &above in above {
                children[above].push(node);
            }
        }
        let mut below: Vec<Vec<usize>> = vec![Vec::new(); nodes];
        for node in (0..nodes).rev() {
            if children[node].is_empty() {
                below[node].push(node);
            }
            let mut leaves = std::mem::take(&mut below[node]);
            leaves.sort_unstable();
            leaves.dedup();
            for &above in &parents[node] {
                below[above].extend(&leaves);
            }
            below[node] = leaves;
        }
        let mut containing: Vec<Vec<usize>> = vec![Vec::new(); nodes];
        for (node, leaves) in below.iter().enumerate() {
            for &leaf in leaves {
                containing[leaf].push(node);
            }
        }
        let includes = |above: usize, node: usize| {
            below[node].iter().all(|leaf| below[above].binary_search(leaf).is_ok())
        };
        // Whatever includes a node contains its first leaf.
        let above = (0..nodes)
            .map(|node| containing[below[node][0]].iter().copied().filter(|&a| includes(a, node)).collect())
            .collect();
        Self { parents, children, below, above }
    }

    /// How many nodes it has.
    pub(super) fn len(&self) -> usize {
        self.children.len()
    }

    /// Whether nothing is below.
    pub(super) fn is_leaf(&self, node: usize) -> bool {
        self.children[node].is_empty()
    }

    /// The nodes right above a node: more than one where hierarchies cross.
    pub(super) fn parents(&self, node: usize) -> &[usize] {
        &self.parents[node]
    }

    /// The nodes right below a node.
    pub(super) fn children(&self, node: usize) -> &[usize] {
        &self.children[node]
    }

    /// All leaves, ascending.
    pub(super) fn leaves(&self) -> &[usize] {
        self.leaves_below(0)
    }

    /// The leaves at or below a node, ascending.
    pub(super) fn leaves_below(&self, node: usize) -> &[usize] {
        &self.below[node]
    }

    /// The nodes whose leaves include all of this node's, itself and the total included, ascending.
    pub(super) fn above(&self, node: usize) -> &[usize] {
        &self.above[node]
    }

    /// Whether the leaves of `above` include all of `node`'s.
    pub(super) fn covers(&self, above: usize, node: usize) -> bool {
        self.above[node].binary_search(&above).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaf_lies_in_two_hierarchies() {
        // 1 and 2 are counties, 3 and 4 regions; the leaves are 5, 6, 7.
        let parents = vec![vec![], vec![0], vec![0], vec![0], vec![0], vec![1, 3], vec![1, 4], vec![2, 4]];
        let tree = Tree::new(parents);
        assert_eq!(tree.leaves(), [5, 6, 7]);
        assert_eq!(tree.leaves_below(1), [5, 6]);
        assert_eq!(tree.leaves_below(4), [6, 7]);
        assert_eq!(tree.above(6), [0, 1, 4, 6]);
        assert!(tree.covers(1, 5) && !tree.covers(2, 5));
        // The county of one municipality and that municipality include each other.
        assert!(tree.covers(7, 2) && tree.covers(2, 7));
    }
}
