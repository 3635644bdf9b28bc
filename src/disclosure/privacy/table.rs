//! Noisy tables of counts.
#![allow(
    clippy::indexing_slicing,
    reason = "cells and nodes are indices of the table's shape, which is checked"
)]

use super::contribution::Contribution;
use super::contribution::Sensitivity;
use super::fit::{fit, variances};
use super::law::Law;
use super::margins::{Margins, inner_below, inner_cells, possible_cells, sensitivity};
use super::mechanism::{Mechanism, Noisy, OUTSIDE, PrivacyError, suffices, with_noise};
use super::spending::Share;
use crate::domain::rho::Rho;
use crate::domain::table::TableShape;

/// A table with noise in every cell of its shape that somebody can be in, empty ones too; the others are 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoisyTable {
    /// The numbers, as [`TableShape`] numbers them.
    pub values: Vec<Noisy>,
    /// How many decimals they have: the numbers are in units of 10^-decimals.
    pub decimals: u32,
    /// What the table cost.
    pub cost: Rho,
}

/// How many decimals fitted numbers have: whole numbers do not add up to the fitted margins.
const FITTED_DECIMALS: u32 = 6;

/// Adds noise to the counts of a table over public code lists. One person changes it by no more than
/// `contribution`, in each measure. Blocks; spends the share.
///
/// # Errors
/// [`PrivacyError`].
pub fn noisy_table(
    shape: &TableShape,
    counts: &[u64],
    contribution: Contribution,
    mechanism: Mechanism,
    margins: Margins,
    share: Share,
) -> Result<NoisyTable, PrivacyError> {
    let (measures, cost) = (shape.measures.len(), share.rho());
    // Fitted noise would be moved into cells that nobody can be in.
    if margins == Margins::Fitted && shape.has_impossible() {
        return Err(PrivacyError::Margins);
    }
    if margins == Margins::Fitted && mechanism != Mechanism::Gaussian {
        return Err(PrivacyError::Margins);
    }
    if measures == 0 || counts.len() != shape.cells() * measures {
        return Err(PrivacyError::NotATable);
    }
    let counts: Vec<i64> = counts
        .iter()
        .map(|&count| i64::try_from(count).map_err(|_| PrivacyError::NotATable))
        .collect::<Result<_, _>>()?;
    let sensitivity = sensitivity(shape, contribution, margins)?;
    let values = noisy_cells(shape, &counts, sensitivity, mechanism, margins, OUTSIDE, share)?;
    let decimals = if margins == Margins::Fitted { FITTED_DECIMALS } else { 0 };
    Ok(NoisyTable { values, decimals, cost })
}

/// Whether a share suffices for [`noisy_table`], whatever the counts are.
///
/// # Errors
/// [`PrivacyError`].
pub fn suffices_for_table(
    shape: &TableShape,
    contribution: Contribution,
    mechanism: Mechanism,
    margins: Margins,
    share: Share,
) -> Result<(), PrivacyError> {
    suffices(sensitivity(shape, contribution, margins)?, mechanism, share)
}

/// Adds noise to numbers that add up to the margins of a table, one for each measure of each cell, of which one person
/// changes those that get noise by so much. Cells that nobody can be in get none: they stay 0. A number is outside its
/// interval with probability at most `outside`. Fitted ones are in units of 10^-6.
pub(super) fn noisy_cells(
    shape: &TableShape,
    numbers: &[i64],
    sensitivity: Sensitivity,
    mechanism: Mechanism,
    margins: Margins,
    outside: f64,
    share: Share,
) -> Result<Vec<Noisy>, PrivacyError> {
    let measures = shape.measures.len();
    Ok(match margins {
        Margins::Own => {
            let noise = (sensitivity, mechanism, share);
            let (values, law) = with_noise_in(&possible_cells(shape), measures, numbers, noise)?;
            let half_width = law.reach(outside);
            values.into_iter().map(|value| Noisy { value, half_width }).collect()
        }
        Margins::Added => {
            let noise = (sensitivity, mechanism, share);
            let (mut values, law) = with_noise_in(&inner_cells(shape), measures, numbers, noise)?;
            add_up(shape, &mut values);
            with_sums(shape, values, law, outside)
        }
        Margins::Fitted => {
            let (values, law) = with_noise(numbers, sensitivity, mechanism, share)?;
            fitted(shape, &values, law, outside)
        }
    })
}

/// Adds noise to the numbers of these cells, so many measures each; the others become 0.
fn with_noise_in(
    cells: &[bool],
    measures: usize,
    numbers: &[i64],
    (sensitivity, mechanism, share): (Sensitivity, Mechanism, Share),
) -> Result<(Vec<i64>, Law), PrivacyError> {
    let chosen: Vec<usize> = (0..numbers.len()).filter(|&at| cells[at / measures]).collect();
    let of: Vec<i64> = chosen.iter().map(|&at| numbers[at]).collect();
    let (noisy, law) = with_noise(&of, sensitivity, mechanism, share)?;
    let mut values = vec![0; numbers.len()];
    for (at, value) in chosen.into_iter().zip(noisy) {
        values[at] = value;
    }
    Ok((values, law))
}

/// Fills every margin with the sum of its inner cells.
fn add_up(shape: &TableShape, values: &mut [i64]) {
    shape.add_up(shape.measures.len(), values, i64::saturating_add);
}

/// Sums of inner cells, each with the reach of so many noises.
fn with_sums(shape: &TableShape, values: Vec<i64>, law: Law, outside: f64) -> Vec<Noisy> {
    let mut reaches = std::collections::BTreeMap::new();
    let below = inner_below(shape);
    let measures = shape.measures.len();
    values
        .into_iter()
        .enumerate()
        .map(|(at, value)| {
            let cells = below[at / measures];
            let reach = || if cells == 0 { 0 } else { law.reach_of_sum(cells, outside) };
            let half_width = *reaches.entry(cells).or_insert_with(reach);
            Noisy { value, half_width }
        })
        .collect()
}

/// The nearest table that adds up, in units of 10^-6.
fn fitted(shape: &TableShape, values: &[i64], law: Law, outside: f64) -> Vec<Noisy> {
    let unit = 10u64.pow(FITTED_DECIMALS);
    let measures = shape.measures.len();
    #[allow(clippy::cast_precision_loss, reason = "counts and their noise are far below 2^53")]
    let mut nearest: Vec<f64> = values.iter().map(|&value| value as f64).collect();
    fit(shape, &mut nearest);
    let inner = inner_cells(shape);
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "below 2^53")]
    let mut whole: Vec<i64> = nearest
        .iter()
        .enumerate()
        .map(|(at, value)| if inner[at / measures] { (value * unit as f64).round() as i64 } else { 0 })
        .collect();
    add_up(shape, &mut whole);
    let (below, variances) = (inner_below(shape), variances(shape));
    whole
        .into_iter()
        .enumerate()
        .map(|(at, value)| {
            let cell = at / measures;
            // Every inner cell was rounded by half a unit at most.
            let half_width = law.reach_of_mixture(variances[cell], outside) * unit + below[cell].div_ceil(2);
            Noisy { value, half_width }
        })
        .collect()
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
