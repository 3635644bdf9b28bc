//! Which cells of a table get noise of their own, and what that costs.

use super::contribution::{Contribution, Sensitivity};
use super::mechanism::PrivacyError;
use crate::domain::table::{Dimension, TableShape};

/// Where the margins of a noisy table come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Margins {
    /// Noise goes to the inner cells, and margins are their sums: consistent, and the least noise for inner
    /// cells; a margin has the noise of all cells under it.
    Added,
    /// Every cell has noise of its own, all of one scale; margins are not sums.
    Own,
    /// As `Own`, and then moved to the nearest table that adds up, by least squares: consistent, and
    /// every cell nearer to the truth than before.
    Fitted,
}

/// The depth of each code: the root's is 0.
fn depths(dimension: &Dimension) -> Vec<usize> {
    let codes = &dimension.codes;
    (0..codes.len()).map(|node| codes.ancestry(node).count() - 1).collect()
}

/// The sensitivity of the cells that get noise. An inner cell lies in one cell of each level, a level
/// being one depth in each dimension, so all margins are so many vectors released together.
pub(super) fn sensitivity(
    shape: &TableShape,
    contribution: Contribution,
    margins: Margins,
) -> Result<Sensitivity, PrivacyError> {
    if margins != Margins::Own && !contribution.is_additive() {
        return Err(PrivacyError::Margins);
    }
    let one_measure = match margins {
        Margins::Added => contribution.of_inner_cells(),
        Margins::Own | Margins::Fitted => of_all_levels(shape, contribution),
    };
    // A person counted by one measure may be counted by all.
    Ok(one_measure.repeated(shape.measures.len() as u64))
}

fn of_all_levels(shape: &TableShape, contribution: Contribution) -> Sensitivity {
    // For each combination of depths: how many cells it has, and whether it is the deepest.
    let mut levels = vec![(1u64, true)];
    for dimension in &shape.dimensions {
        let depths = depths(dimension);
        let deepest = depths.iter().copied().max().unwrap_or(0);
        levels = levels
            .into_iter()
            .flat_map(|(cells, inner)| {
                let depths = &depths;
                (0..=deepest).map(move |depth| {
                    let here = depths.iter().filter(|d| **d == depth).count() as u64;
                    (cells.saturating_mul(here), inner && depth == deepest)
                })
            })
            .collect();
    }
    levels.into_iter().fold(Sensitivity::default(), |sum, (cells, inner)| {
        // At the deepest level all cells are inner ones, and different.
        sum.and(if inner { contribution.of_inner_cells() } else { contribution.of_margin(cells) })
    })
}

/// The leaves of a dimension that somebody can have.
fn leaves(dimension: &Dimension) -> Vec<bool> {
    let leaves = dimension.codes.leaves().into_iter().enumerate();
    leaves.map(|(at, leaf)| leaf && !dimension.is_impossible(at)).collect()
}

/// For each cell of a shape, whether it is an inner one that somebody can be in.
pub(super) fn inner_cells(shape: &TableShape) -> Vec<bool> {
    shape.dimensions.iter().fold(vec![true], |inner, dimension| {
        let leaves = leaves(dimension);
        inner.into_iter().flat_map(|i| leaves.iter().map(move |&leaf| i && leaf)).collect()
    })
}

/// For each cell of a shape, whether somebody can be in it.
pub(super) fn possible_cells(shape: &TableShape) -> Vec<bool> {
    (0..shape.cells()).map(|cell| !shape.is_impossible(cell)).collect()
}

/// For each cell of a shape, how many inner cells that somebody can be in it is the sum of.
pub(super) fn inner_below(shape: &TableShape) -> Vec<u64> {
    shape.dimensions.iter().fold(vec![1], |sums, dimension| {
        let codes = &dimension.codes;
        let mut below: Vec<u64> = leaves(dimension).into_iter().map(u64::from).collect();
        // Children come after their parents.
        for node in (1..codes.len()).rev() {
            let count = below.get(node).copied().unwrap_or(0);
            if let Some(above) = codes.parent(node).and_then(|p| below.get_mut(p)) {
                *above += count;
            }
        }
        sums.into_iter().flat_map(|s| below.iter().map(move |b| s * b).collect::<Vec<u64>>()).collect()
    })
}
