//! Least squares on the margins of a noisy table.
//!
//! All cells have been measured with noise of one variance. The nearest table that adds up is the
//! projection of the measured one on the additive ones, and the best linear unbiased estimate of the true
//! one (Gauss and Markov). The additive tables are a Kronecker product of one space for each dimension, so
//! the projection is the projection along each dimension in turn. Along one dimension's tree it takes two
//! passes (Hay, Rastogi, Miklau and Suciu 2010): upwards, each node's own measurement is averaged with the
//! sum of its children by their precisions; downwards, what a node differs from the sum of its
//! children is shared among these by their variances.
#![allow(clippy::indexing_slicing, reason = "nodes and cells are indices of the table's shape")]

use crate::domain::codelist::CodeList;
use crate::domain::table::TableShape;

/// The fit along one dimension.
struct TreeFit {
    parent: Vec<Option<usize>>,
    children: Vec<Vec<usize>>,
    /// The variance of the upward estimate of each node, and that of the final one, in units of one
    /// measurement's.
    upward: Vec<f64>,
    last: Vec<f64>,
}

impl TreeFit {
    fn new(codes: &CodeList) -> Self {
        let nodes = codes.len();
        let parent: Vec<Option<usize>> = (0..nodes).map(|node| codes.parent(node)).collect();
        let mut children = vec![Vec::new(); nodes];
        for (node, above) in parent.iter().enumerate() {
            if let Some(above) = above {
                children[*above].push(node);
            }
        }
        let mut upward = vec![1.0; nodes];
        for node in (0..nodes).rev().filter(|&n| !children[n].is_empty()) {
            let below: f64 = children[node].iter().map(|&c| upward[c]).sum();
            upward[node] = below / (below + 1.0);
        }
        let mut last = upward.clone();
        for node in 0..nodes {
            let below: f64 = children[node].iter().map(|&c| upward[c]).sum();
            for &child in &children[node] {
                let part = upward[child] / below;
                last[child] = upward[child] - part * upward[child] + part * part * last[node];
            }
        }
        Self { parent, children, upward, last }
    }

    /// Projects the values at `at(node)`.
    fn project(&self, values: &mut [f64], at: impl Fn(usize) -> usize) {
        let nodes = self.parent.len();
        let sum =
            |values: &[f64], node: usize| self.children[node].iter().map(|&c| values[at(c)]).sum::<f64>();
        for node in (0..nodes).rev().filter(|&n| !self.children[n].is_empty()) {
            let below: f64 = self.children[node].iter().map(|&c| self.upward[c]).sum();
            values[at(node)] = (values[at(node)] * below + sum(values, node)) / (below + 1.0);
        }
        for node in (0..nodes).filter(|&n| !self.children[n].is_empty()) {
            let below: f64 = self.children[node].iter().map(|&c| self.upward[c]).sum();
            let missing = values[at(node)] - sum(values, node);
            for &child in &self.children[node] {
                values[at(child)] += missing * self.upward[child] / below;
            }
        }
    }
}

/// Projects the cells of a shape, for each of its measures.
pub(super) fn fit(shape: &TableShape, values: &mut [f64]) {
    let mut stride = shape.measures.len();
    for dimension in shape.dimensions.iter().rev() {
        let (tree, length) = (TreeFit::new(&dimension.codes), dimension.codes.len());
        for start in (0..values.len()).step_by(stride * length) {
            for offset in start..start + stride {
                tree.project(values, |node| offset + node * stride);
            }
        }
        stride *= length;
    }
}

/// For each cell the variance of its fitted value, in units of one measurement's: at most one.
pub(super) fn variances(shape: &TableShape) -> Vec<f64> {
    shape.dimensions.iter().fold(vec![1.0], |all, dimension| {
        let last = TreeFit::new(&dimension.codes).last;
        all.into_iter().flat_map(|v| last.iter().map(move |l| v * l).collect::<Vec<f64>>()).collect()
    })
}
