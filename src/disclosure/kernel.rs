//! The kernel of what is published: every change to the counts that leaves each published cell as it is.
//!
//! An attacker who holds the published cells knows a sum of counts exactly if that sum is zero on the
//! whole kernel (it is then a linear combination of published cells), and a sum that is not zero on
//! the kernel vanishes on one random kernel vector with a chance of 2^-61. So one random vector finds
//! every cell that can be computed.
//!
//! The kernel is worked out along one dimension, the spine (the one with most leaves, the regions): for
//! each member of its family of nodes ([`super::junction`]), the space of changes to the other dimensions'
//! inner cells that everything published at and below it allows. A space is the sum of those right
//! below, cut by what is published here. From the top a random change is then dealt out to the members
//! below.
#![allow(
    clippy::indexing_slicing,
    reason = "nodes, cells and basis vectors are indices this module has made itself"
)]

use std::collections::BTreeSet;

use rand::Rng;

use super::field::{add, add_scaled, neg, random};
use super::junction::{Join, joins};
use super::lattice::Lattice;
use super::subspace::{Span, null_space};

/// Where the cells of a lattice lie along its spine.
#[derive(Debug)]
pub(super) struct Kernel<'a> {
    lattice: &'a Lattice,
    spine: usize,
    joins: Vec<Join>,
    /// The member at which each node of the spine is settled.
    settled_at: Vec<usize>,
    /// For each combination of nodes of the other dimensions: its offset, and its inner cells.
    rest: Vec<Rest>,
    inner: usize,
    spaces: Vec<Space>,
    stale: Vec<bool>,
    /// What was withheld at the last draw.
    withheld: Vec<bool>,
}

#[derive(Debug)]
struct Rest {
    offset: usize,
    inner: Vec<usize>,
}

/// What one member allows.
#[derive(Debug, Clone, Default)]
struct Space {
    /// A basis of the changes allowed, part by part.
    basis: Vec<Vec<u64>>,
    /// The basis vectors of the members below that span the sum of their spaces, and that span.
    generators: Vec<(usize, usize)>,
    sum: Span,
}

impl<'a> Kernel<'a> {
    /// Prepares for the cells of `lattice`.
    pub(super) fn new(lattice: &'a Lattice) -> Self {
        let trees = lattice.trees();
        let spine = (0..trees.len()).max_by_key(|&d| trees[d].leaves().len()).unwrap_or(0);
        let joins = joins(&trees[spine]);
        let mut settled_at = vec![0; trees[spine].len()];
        for (member, join) in joins.iter().enumerate() {
            for (node, _) in &join.settled {
                settled_at[*node] = member;
            }
        }
        let others: Vec<usize> = (0..trees.len()).filter(|&d| d != spine).collect();
        // Every combination of nodes of the other dimensions, each with the leaves in it.
        let mut rest = vec![Rest { offset: 0, inner: vec![0] }];
        let mut inner = 1;
        for &d in &others {
            let leaves = trees[d].leaves();
            let place = |leaf: &usize| leaves.binary_search(leaf).unwrap_or_default();
            let extended = |before: &Rest, node: usize| Rest {
                offset: before.offset + node * lattice.stride(d),
                inner: before
                    .inner
                    .iter()
                    .flat_map(|i| {
                        trees[d].leaves_below(node).iter().map(move |leaf| i * leaves.len() + place(leaf))
                    })
                    .collect(),
            };
            rest = rest.iter().flat_map(|r| (0..trees[d].len()).map(move |n| extended(r, n))).collect();
            inner *= leaves.len();
        }
        // Short sums first: elimination stays sparse longer.
        rest.sort_by_key(|r| r.inner.len());
        let members = joins.len();
        Self {
            lattice,
            spine,
            joins,
            settled_at,
            rest,
            inner,
            spaces: vec![Space::default(); members],
            stale: vec![true; members],
            withheld: Vec::new(),
        }
    }

    /// The node of the spine at which a cell lies.
    pub(super) fn node(&self, cell: usize) -> usize {
        self.lattice.node(cell, self.spine)
    }

    /// Whether one of these nodes of the spine lies above or below `node`, or is it.
    pub(super) fn is_near(&self, nodes: &BTreeSet<usize>, node: usize) -> bool {
        let tree = &self.lattice.trees()[self.spine];
        nodes.iter().any(|&n| tree.covers(n, node) || tree.covers(node, n))
    }

    /// A random kernel vector: for each cell by how much it changes. `withheld` tells for each cell
    /// whether it is withheld; all others are published.
    pub(super) fn draw(&mut self, withheld: &[bool], rng: &mut impl Rng) -> Vec<u64> {
        self.compare(withheld);
        self.refresh(withheld);
        let mut change: Vec<Vec<u64>> = vec![Vec::new(); self.joins.len()];
        change[0] = combination(&self.spaces[0].basis, self.joins[0].parts * self.inner, rng);
        let mut values = vec![0; self.lattice.cells()];
        for (member, join) in self.joins.iter().enumerate() {
            let mine = std::mem::take(&mut change[member]);
            for (node, parts) in &join.settled {
                let base = node * self.lattice.stride(self.spine);
                for rest in &self.rest {
                    values[base + rest.offset] = self.sum(&mine, parts, rest);
                }
            }
            self.deal(member, mine, &mut change, rng);
        }
        values
    }

    /// Marks what has to be worked out anew since the last draw.
    fn compare(&mut self, withheld: &[bool]) {
        for (cell, now) in withheld.iter().enumerate() {
            if self.withheld.get(cell) == Some(now) {
                continue;
            }
            let mut member = Some(self.settled_at[self.lattice.node(cell, self.spine)]);
            while let Some(m) = member.filter(|&m| !self.stale[m]) {
                self.stale[m] = true;
                member = self.joins[m].parent;
            }
        }
        self.withheld = withheld.to_vec();
    }

    /// The sum of a change over parts and inner cells.
    fn sum(&self, change: &[u64], parts: &[usize], rest: &Rest) -> u64 {
        parts.iter().fold(0, |sum, part| {
            rest.inner.iter().fold(sum, |sum, &i| add(sum, change[part * self.inner + i]))
        })
    }

    /// Splits a member's change among those right in it: each gets a random change of its own space, and
    /// what then remains is made up from the generators.
    fn deal(&self, member: usize, mut left: Vec<u64>, change: &mut [Vec<u64>], rng: &mut impl Rng) {
        let join = &self.joins[member];
        if join.children.is_empty() {
            return;
        }
        let minus_one = neg(1);
        for (child, map) in &join.children {
            change[*child] = self.random_change(*child, rng);
            let given = self.seen(*child, &change[*child]);
            self.add_mapped(&mut left, &given, map, minus_one);
        }
        let space = &self.spaces[member];
        let coefficients = space.sum.reduce(&mut left);
        for (&(place, vector), &coefficient) in space.generators.iter().zip(&coefficients) {
            let (child, _) = join.children[place];
            add_scaled(&mut change[child], &self.spaces[child].basis[vector], coefficient);
        }
    }

    fn random_change(&self, member: usize, rng: &mut impl Rng) -> Vec<u64> {
        combination(&self.spaces[member].basis, self.joins[member].parts * self.inner, rng)
    }

    /// A change as the member around sees it.
    fn seen(&self, member: usize, change: &[u64]) -> Vec<u64> {
        let join = &self.joins[member];
        if join.parts == join.outer_parts {
            return change.to_vec();
        }
        let mut outer = vec![0; join.outer_parts * self.inner];
        self.add_mapped(&mut outer, change, &join.outer, 1);
        outer
    }

    /// `to += factor * from`, the parts of `from` mapped.
    fn add_mapped(&self, to: &mut [u64], from: &[u64], map: &[usize], factor: u64) {
        for (from, &part) in from.chunks_exact(self.inner).zip(map) {
            add_scaled(&mut to[part * self.inner..(part + 1) * self.inner], from, factor);
        }
    }

    /// Works out anew the spaces of the members at or around a touched cell, inner ones first.
    fn refresh(&mut self, withheld: &[bool]) {
        for member in (0..self.joins.len()).rev() {
            if !std::mem::replace(&mut self.stale[member], false) {
                continue;
            }
            self.spaces[member] = Space::default();
            let mut space = Space::default();
            let join = &self.joins[member];
            if let Some(leaf) = join.leaf {
                let base = leaf * self.lattice.stride(self.spine);
                for rest in self.rest.iter().filter(|rest| withheld[base + rest.offset]) {
                    if let [inner] = rest.inner[..] {
                        let mut unit = vec![0; self.inner];
                        unit[inner] = 1;
                        space.sum.insert(unit);
                    }
                }
            }
            for (place, (child, map)) in join.children.iter().enumerate() {
                for (index, vector) in self.spaces[*child].basis.iter().enumerate() {
                    let mut mapped = vec![0; join.parts * self.inner];
                    self.add_mapped(&mut mapped, &self.seen(*child, vector), map, 1);
                    if space.sum.insert(mapped) {
                        space.generators.push((place, index));
                    }
                }
            }
            space.basis = self.cut(&space.sum, join, withheld);
            self.spaces[member] = space;
        }
    }

    /// The part of a span on which every published cell that is settled here is zero.
    fn cut(&self, sum: &Span, join: &Join, withheld: &[bool]) -> Vec<Vec<u64>> {
        let rows: Vec<&[u64]> = sum.basis().collect();
        let published = join.settled.iter().flat_map(|(node, parts)| {
            let base = node * self.lattice.stride(self.spine);
            self.rest.iter().filter(move |rest| !withheld[base + rest.offset]).map(move |rest| (parts, rest))
        });
        let constraints = published
            .map(|(parts, rest)| rows.iter().map(|row| self.sum(row, parts, rest)).collect::<Vec<u64>>());
        null_space(constraints, rows.len())
            .into_iter()
            .map(|coefficients| {
                let mut vector = vec![0; join.parts * self.inner];
                for (row, &c) in rows.iter().zip(&coefficients) {
                    add_scaled(&mut vector, row, c);
                }
                vector
            })
            .collect()
    }
}

/// A random vector of the space with this basis.
fn combination(basis: &[Vec<u64>], length: usize, rng: &mut impl Rng) -> Vec<u64> {
    let mut vector = vec![0; length];
    for basis in basis {
        add_scaled(&mut vector, basis, random(rng));
    }
    vector
}
