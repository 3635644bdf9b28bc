//! Two dimensions as a network: every cell an arc, so that the changes that keep all sums are circulations.
//!
//! A leaf of the first dimension is a vertex, into which flows what its total over the second gains and out of
//! which flow its inner cells; these flow into a vertex for their leaf of the second dimension and the node
//! right above their leaf of the first, and so on up to the grand total, which closes the circle. That works
//! for any tree beside a flat dimension. One dimension alone, and none, are networks too.
#![allow(clippy::indexing_slicing, reason = "vertices and arcs are indices this module has made itself")]

use std::collections::HashMap;

use crate::disclosure::lattice::Lattice;

/// The arcs of a network.
#[derive(Debug)]
pub(super) struct Network {
    /// The dimensions it is over.
    pub(super) dimensions: Vec<usize>,
    /// For each arc where it starts and ends, and how far its cell lies from that of the first nodes.
    arcs: Vec<(usize, usize, usize)>,
    /// For each vertex the arcs at it, and whether they start there.
    at: Vec<Vec<(usize, bool)>>,
}

/// A way through a network: arcs, each with whether it is followed from start to end.
pub(super) type Path = Vec<(usize, bool)>;

/// What is kept of one search after another.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    distance: Vec<f32>,
    by: Vec<Option<(usize, bool)>>,
    open: Vec<usize>,
}

impl Network {
    /// The network without dimensions: one arc, which closes in itself.
    pub(super) fn point() -> Self {
        Self::of(Vec::new(), vec![(0, 0, 0)])
    }

    /// The network over one dimension, as far as these nodes go (parents before children, the first a root).
    pub(super) fn line(lattice: &Lattice, p: usize, nodes: &[usize]) -> Self {
        let (tree, stride) = (&lattice.trees()[p], lattice.stride(p));
        // A vertex for each node that is no leaf; leaves and the total share the last.
        let inner: HashMap<usize, usize> =
            nodes.iter().filter(|n| !tree.is_leaf(**n)).enumerate().map(|(v, &n)| (n, v)).collect();
        let outside = inner.len();
        let arcs = nodes.iter().map(|&n| {
            let start = inner.get(&n).copied().unwrap_or(outside);
            let end = tree.parents(n).first().and_then(|a| inner.get(a)).copied().unwrap_or(outside);
            (start, end, n * stride)
        });
        Self::of(vec![p], arcs.collect())
    }

    /// The network over two dimensions, the second flat, as far as these nodes of the first go.
    pub(super) fn plane(lattice: &Lattice, p: usize, nodes: &[usize], q: usize) -> Self {
        let (rows, columns) = (&lattice.trees()[p], &lattice.trees()[q]);
        let place: HashMap<usize, usize> = nodes.iter().enumerate().map(|(v, &n)| (n, v)).collect();
        let leaves = columns.leaves();
        // A vertex for each node; one for each node that is no leaf beside each leaf of the second dimension.
        let crossed = |row: usize, column: usize| nodes.len() * (column + 1) + place[&row];
        let top = nodes.len() * (leaves.len() + 1);
        let mut arcs = Vec::new();
        for &row in nodes {
            let above = rows.parents(row).first().copied();
            let base = row * lattice.stride(p);
            let from = above.map_or(top, |a| place[&a]);
            arcs.push((from, place[&row], base));
            for (column, leaf) in leaves.iter().enumerate() {
                let start = if rows.is_leaf(row) { place[&row] } else { crossed(row, column) };
                let end = above.map_or(top, |a| crossed(a, column));
                arcs.push((start, end, base + leaf * lattice.stride(q)));
            }
        }
        Self::of(vec![p, q], arcs)
    }

    fn of(dimensions: Vec<usize>, arcs: Vec<(usize, usize, usize)>) -> Self {
        let vertices = arcs.iter().map(|&(start, end, _)| start.max(end) + 1).max().unwrap_or(0);
        let mut at = vec![Vec::new(); vertices];
        for (arc, &(start, end, _)) in arcs.iter().enumerate() {
            at[start].push((arc, true));
            at[end].push((arc, false));
        }
        Self { dimensions, arcs, at }
    }

    /// The arc of a cell, as far from that of the first nodes.
    pub(super) fn arc(&self, offset: usize) -> Option<usize> {
        self.arcs.iter().position(|&(_, _, o)| o == offset)
    }

    /// How far the cell of an arc lies from that of the first nodes.
    pub(super) fn offset(&self, arc: usize) -> usize {
        self.arcs[arc].2
    }

    /// The shortest way that closes a circulation through an arc, and its length; none longer than `limit`.
    /// `length` tells how long it is to follow an arc (from its cell's offset, and whether forwards).
    pub(super) fn close(
        &self,
        arc: usize,
        limit: f32,
        scratch: &mut Scratch,
        mut length: impl FnMut(usize, bool) -> f32,
    ) -> Option<(f32, Path)> {
        let (goal, start, _) = self.arcs[arc];
        let Scratch { distance, by, open } = scratch;
        distance.clear();
        distance.resize(self.at.len(), f32::INFINITY);
        by.clear();
        by.resize(self.at.len(), None);
        open.clear();
        distance[start] = 0.0;
        open.push(start);
        while !open.is_empty() {
            let mut next = 0;
            for place in 1..open.len() {
                if distance[open[place]] < distance[open[next]] {
                    next = place;
                }
            }
            let vertex = open.swap_remove(next);
            let so_far = distance[vertex];
            if vertex == goal {
                let mut path = Vec::new();
                let mut at = goal;
                while let Some((arc, forwards)) = by[at].filter(|_| at != start) {
                    path.push((arc, forwards));
                    at = if forwards { self.arcs[arc].0 } else { self.arcs[arc].1 };
                }
                return Some((so_far, path));
            }
            for &(other, forwards) in &self.at[vertex] {
                let (from, to, offset) = self.arcs[other];
                let end = if forwards { to } else { from };
                if other == arc || distance[end] <= so_far {
                    continue;
                }
                let reached = so_far + length(offset, forwards);
                if reached < distance[end] && reached < limit {
                    if distance[end] == f32::INFINITY {
                        open.push(end);
                    }
                    distance[end] = reached;
                    by[end] = Some((other, forwards));
                }
            }
        }
        None
    }
}
