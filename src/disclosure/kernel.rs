//! The kernel of what is published: every change to the counts that leaves each published cell as it is.
//!
//! An attacker who holds the published cells knows a sum of counts exactly if that sum is zero on the
//! whole kernel (it is then a linear combination of published cells), and a sum that is not zero on
//! the kernel vanishes on one random kernel vector with a chance of 2^-61. So one random vector finds
//! every cell that can be computed.
//!
//! The kernel is worked out along one dimension, the spine (the one with most leaves, the regions): for
//! each node of it, the space of changes to the other dimensions' inner cells that everything
//! published at and below the node allows. A parent's space is the sum of its children's, cut by what
//! is published at the parent. From the top a random change is then dealt out to the children.
#![allow(
    clippy::indexing_slicing,
    reason = "nodes, cells and basis vectors are indices this module has made itself"
)]

use rand::Rng;

use super::field::{add, add_scaled, neg, random};
use super::lattice::Lattice;
use super::subspace::{Span, null_space};

/// Where the cells of a lattice lie along its spine.
#[derive(Debug)]
pub(super) struct Kernel<'a> {
    lattice: &'a Lattice,
    spine: usize,
    /// For each combination of nodes of the other dimensions: its offset, and its inner cells.
    rest: Vec<Rest>,
    inner: usize,
    spaces: Vec<Space>,
    stale: Vec<bool>,
}

#[derive(Debug)]
struct Rest {
    offset: usize,
    inner: Vec<usize>,
}

/// What one node of the spine allows.
#[derive(Debug, Clone, Default)]
struct Space {
    /// A basis of the changes allowed.
    basis: Vec<Vec<u64>>,
    /// The children's basis vectors that span the sum of their spaces, and that span.
    generators: Vec<(usize, usize)>,
    sum: Span,
}

impl<'a> Kernel<'a> {
    /// Prepares for the cells of `lattice`.
    pub(super) fn new(lattice: &'a Lattice) -> Self {
        let leaves = |d: &usize| {
            let tree = &lattice.trees()[*d];
            (0..tree.len()).filter(|&n| tree.is_leaf(n)).count()
        };
        let dimensions = 0..lattice.trees().len();
        let spine = dimensions.clone().max_by_key(leaves).unwrap_or(0);
        let others: Vec<usize> = dimensions.filter(|&d| d != spine).collect();
        // Every combination of nodes of the other dimensions, and of leaves among them.
        let mut combinations: Vec<Vec<usize>> = vec![Vec::new()];
        for &d in &others {
            combinations = combinations
                .into_iter()
                .flat_map(|nodes| {
                    (0..lattice.trees()[d].len()).map(move |n| [nodes.as_slice(), &[n]].concat())
                })
                .collect();
        }
        let tree = |k: usize| &lattice.trees()[others[k]];
        let inner: Vec<&Vec<usize>> = combinations
            .iter()
            .filter(|nodes| nodes.iter().enumerate().all(|(k, &n)| tree(k).is_leaf(n)))
            .collect();
        let covers = |above: &[usize], leaf: &[usize]| {
            above.iter().zip(leaf).enumerate().all(|(k, (&a, &l))| tree(k).covers(a, l))
        };
        let rest = combinations
            .iter()
            .map(|nodes| Rest {
                offset: nodes.iter().zip(&others).map(|(&n, &d)| n * lattice.stride(d)).sum(),
                inner: (0..inner.len()).filter(|&i| covers(nodes, inner[i])).collect(),
            })
            .collect();
        let nodes = lattice.trees()[spine].len();
        Self {
            lattice,
            spine,
            rest,
            inner: inner.len(),
            spaces: vec![Space::default(); nodes],
            stale: vec![true; nodes],
        }
    }

    /// Tells that a cell has been withheld or published since the last draw.
    pub(super) fn touch(&mut self, cell: usize) {
        let node = self.lattice.node(cell, self.spine);
        for above in self.lattice.trees()[self.spine].ancestry(node) {
            self.stale[above] = true;
        }
    }

    /// A random kernel vector: for each cell by how much it changes. `withheld` tells for each cell
    /// whether it is withheld; all others are published.
    pub(super) fn draw(&mut self, withheld: &[bool], rng: &mut impl Rng) -> Vec<u64> {
        self.refresh(withheld);
        let tree = &self.lattice.trees()[self.spine];
        let mut change: Vec<Vec<u64>> = vec![Vec::new(); tree.len()];
        change[0] = self.combination(0, rng);
        let mut values = vec![0; self.lattice.cells()];
        for node in 0..tree.len() {
            let mine = std::mem::take(&mut change[node]);
            let base = node * self.lattice.stride(self.spine);
            for rest in &self.rest {
                values[base + rest.offset] = rest.inner.iter().fold(0, |sum, &i| add(sum, mine[i]));
            }
            self.deal(node, mine, &mut change, rng);
        }
        values
    }

    /// Splits a node's change among its children: each gets a random change of its own space, and what
    /// then remains is made up from the generators.
    fn deal(&self, node: usize, mut left: Vec<u64>, change: &mut [Vec<u64>], rng: &mut impl Rng) {
        for &child in self.lattice.trees()[self.spine].children(node) {
            change[child] = self.combination(child, rng);
            for (l, &c) in left.iter_mut().zip(&change[child]) {
                *l = add(*l, neg(c));
            }
        }
        let space = &self.spaces[node];
        let coefficients = space.sum.reduce(&mut left);
        for (&(child, vector), &coefficient) in space.generators.iter().zip(&coefficients) {
            add_scaled(&mut change[child], &self.spaces[child].basis[vector], coefficient);
        }
    }

    /// A random vector of a node's space.
    fn combination(&self, node: usize, rng: &mut impl Rng) -> Vec<u64> {
        let mut vector = vec![0; self.inner];
        for basis in &self.spaces[node].basis {
            add_scaled(&mut vector, basis, random(rng));
        }
        vector
    }

    /// Works out anew the spaces of the nodes at or above a touched cell, children before parents.
    fn refresh(&mut self, withheld: &[bool]) {
        let tree = &self.lattice.trees()[self.spine];
        for node in (0..tree.len()).rev() {
            if !std::mem::replace(&mut self.stale[node], false) {
                continue;
            }
            let base = node * self.lattice.stride(self.spine);
            let mut space = Space::default();
            if tree.is_leaf(node) {
                for rest in self.rest.iter().filter(|rest| withheld[base + rest.offset]) {
                    if let [inner] = rest.inner[..] {
                        let mut unit = vec![0; self.inner];
                        unit[inner] = 1;
                        space.sum.insert(unit);
                    }
                }
            } else {
                'children: for &child in tree.children(node) {
                    for (index, vector) in self.spaces[child].basis.iter().enumerate() {
                        if space.sum.dimension() == self.inner {
                            break 'children;
                        }
                        if space.sum.insert(vector.clone()) {
                            space.generators.push((child, index));
                        }
                    }
                }
            }
            space.basis = self.cut(&space.sum, base, withheld);
            self.spaces[node] = space;
        }
    }

    /// The part of a span on which every published cell of the node is zero.
    fn cut(&self, sum: &Span, base: usize, withheld: &[bool]) -> Vec<Vec<u64>> {
        let rows: Vec<&[u64]> = sum.basis().collect();
        let published = self.rest.iter().filter(|rest| !withheld[base + rest.offset]);
        let constraints = published.map(|rest| {
            rows.iter().map(|row| rest.inner.iter().fold(0, |s, &i| add(s, row[i]))).collect::<Vec<u64>>()
        });
        null_space(constraints, rows.len())
            .into_iter()
            .map(|coefficients| {
                let mut vector = vec![0; self.inner];
                for (row, &c) in rows.iter().zip(&coefficients) {
                    add_scaled(&mut vector, row, c);
                }
                vector
            })
            .collect()
    }
}
