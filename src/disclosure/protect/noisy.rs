//! Tables with noise for differential privacy.
#![allow(clippy::indexing_slicing, reason = "cells and measures are indices of the table's shape")]

use super::DisclosureError;
use crate::disclosure::privacy::{
    Bounds, CellValues, Contribution, Estimate, Margins, Place, PrivacyError, Share, Spending, noisy_table,
    suffices_for_table,
};
use crate::domain::ids::RunId;
use crate::domain::method::{Method, Noise};
use crate::domain::query::{OutcomeValue, Statistic};
use crate::domain::refusal::{Refusal, RefusalKind};
use crate::domain::rho::Rho;
use crate::domain::table::{
    CellValue, LinkageQuality, NoiseReport, PrivateNoise, RecipientReport, ResultTable, TableShape,
};
use crate::execute::{Counted, PlacedValue};
use crate::plan::QueryPlan;
use crate::store::BudgetLease;

/// Nothing about the linkage: true numbers of the same persons would take the noise off.
pub(super) const fn unsaid() -> LinkageQuality {
    let unsaid = CellValue::Withheld;
    LinkageQuality { matched: unsaid, unknown: unsaid, several_numbers: unsaid, invalid_rows: unsaid }
}

/// The table of a plan with noise in every cell that somebody can be in. The lease must be the run's, and of what the
/// noise costs; every measure has an equal part of it.
pub(super) fn table(
    plan: &QueryPlan,
    noise: Noise,
    run: RunId,
    counted: &Counted,
    lease: BudgetLease,
) -> Result<ResultTable, DisclosureError> {
    let approved = plan.approved();
    if *lease.run() != run || *lease.project() != approved.query().project || lease.rho() != noise.rho {
        return Err(DisclosureError::OtherLease);
    }
    let report = PrivateNoise {
        mechanism: noise.mechanism,
        rho: noise.rho,
        left_before: lease.left_before(),
        left_after: lease.left_after(),
    };
    let shape = plan.shape();
    let measures = shape.measures.len();
    let mut values = vec![CellValue::Withheld; shape.cells() * measures];
    let mut put = |measure: usize, estimates: &mut dyn Iterator<Item = Estimate>| {
        for (cell, Estimate { value, low, high }) in estimates.enumerate() {
            let noisy = CellValue::Noisy { value, low, high };
            let value = if shape.is_impossible(cell) { CellValue::NotApplicable } else { noisy };
            values[cell * measures + measure] = value;
        }
    };

    let mut spending = Spending::new(lease);
    let part = part(noise, shape);
    if counted.values.len() != plan.measured().len() {
        return Err(DisclosureError::NotATable);
    }
    for (asked, of_cells) in plan.measured().iter().zip(&counted.values) {
        let share = spending.take(part).map_err(|_| DisclosureError::OtherLease)?;
        let estimates = estimates(shape, &asked.value, of_cells, noise, share)?;
        put(asked.measure, &mut estimates.into_iter());
    }

    let counts: Vec<usize> = (0..measures).filter(|&m| shape.measures[m].statistic.is_none()).collect();
    let of_counts: Vec<u64> =
        counted.counts.chunks(measures).flat_map(|cell| counts.iter().map(move |&m| cell[m])).collect();
    let noisy = noisy_table(
        &of_persons(shape),
        &of_counts,
        Contribution::of_persons(plan.cells_a_person()),
        noise.mechanism,
        margins(noise),
        spending.rest(),
    )?;
    for (place, &measure) in counts.iter().enumerate() {
        let of_measure = noisy.values.iter().skip(place).step_by(counts.len());
        put(measure, &mut of_measure.map(|number| Estimate::from(*number)));
    }

    let report = RecipientReport {
        rule: approved.rule().id().clone(),
        rule_text: Method::Noise(noise).text(approved.rule()),
        min_persons: 0,
        cells: values.len() as u64,
        withheld: 0,
        linkage: unsaid(),
        noise: Some(NoiseReport::Private(report)),
    };
    Ok(ResultTable { run, shape: shape.clone(), values, report })
}

/// A privacy loss is too small for what a query asks. This follows from the query alone, and no data are read for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a privacy loss of rho = {rho} for {measures} measures needs noise larger than any register: ask for fewer \
     measures, or for values within narrower bounds and of fewer events, or, as far as the policies allow, for a greater \
     privacy loss"
)]
pub struct TooLittleLoss {
    /// The loss.
    pub rho: Rho,
    /// How many measures share it.
    pub measures: usize,
}

impl From<TooLittleLoss> for Refusal {
    fn from(error: TooLittleLoss) -> Self {
        Self::new(RefusalKind::Precondition, "budget.too_little_loss", error.to_string())
    }
}

/// Whether a plan's privacy loss suffices for all of its noise, before any of the budget is reserved: what is reserved
/// is never given back.
///
/// # Errors
/// [`TooLittleLoss`].
pub fn suffices(plan: &QueryPlan) -> Result<(), TooLittleLoss> {
    match plan.approved().method() {
        Method::Noise(noise) => tried(plan, noise)
            .map_err(|_| TooLittleLoss { rho: noise.rho, measures: plan.shape().measures.len() }),
        Method::Suppress | Method::Fold | Method::Cellkey(_) | Method::Generalise(_) | Method::AsApproved => {
            Ok(())
        }
    }
}

/// Makes the noise of each measure ready, with the shares that [`table`] gives them.
fn tried(plan: &QueryPlan, noise: Noise) -> Result<(), PrivacyError> {
    let (shape, mechanism) = (plan.shape(), noise.mechanism);
    let mut spending = Spending::trial(noise.rho);
    for asked in plan.measured() {
        let share = spending.take(part(noise, shape)).map_err(|_| PrivacyError::TooLittle)?;
        let values = values(shape, &asked.value, &[])?;
        let quantile = |place, share| values.suffices_for_quantiles(place, mechanism, share);
        match asked.value.statistic {
            Statistic::Sum => values.suffices_for_sums(mechanism, margins(noise), share),
            Statistic::Mean => values.suffices_for_means(mechanism, margins(noise), share),
            Statistic::LowerQuartile => quantile(Place::LOWER_QUARTILE, share),
            Statistic::Median => quantile(Place::MEDIAN, share),
            Statistic::UpperQuartile => quantile(Place::UPPER_QUARTILE, share),
        }?;
    }
    let contribution = Contribution::of_persons(plan.cells_a_person());
    suffices_for_table(&of_persons(shape), contribution, mechanism, margins(noise), spending.rest())
}

/// The privacy loss of each measure of values; what is left is for all that count persons.
fn part(noise: Noise, shape: &TableShape) -> Rho {
    Rho::from_units(noise.rho.units() / (shape.measures.len() as u64).max(1)).unwrap_or(Rho::ZERO)
}

/// The table without its measures of values.
fn of_persons(shape: &TableShape) -> TableShape {
    let mut shape = shape.clone();
    shape.measures.retain(|measure| measure.statistic.is_none());
    shape
}

/// Values in the cells of the table, within the bounds of what one person contributes.
fn values<'a>(
    shape: &TableShape,
    asked: &OutcomeValue,
    of_cells: &'a [PlacedValue],
) -> Result<CellValues<'a>, PrivacyError> {
    CellValues::new(shape, of_cells, Bounds::new(asked.low, asked.high)?, asked.per_person())
}

const fn margins(noise: Noise) -> Margins {
    if noise.consistent_margins { Margins::Added } else { Margins::Own }
}

/// A statistic of the values of every cell.
fn estimates(
    shape: &TableShape,
    asked: &OutcomeValue,
    of_cells: &[PlacedValue],
    noise: Noise,
    share: Share,
) -> Result<Vec<Estimate>, PrivacyError> {
    let values = values(shape, asked, of_cells)?;
    let quantile = |place, share| values.noisy_quantiles(place, noise.mechanism, share);
    match asked.statistic {
        Statistic::Sum => values.noisy_sums(noise.mechanism, margins(noise), share),
        Statistic::Mean => values.noisy_means(noise.mechanism, margins(noise), share),
        Statistic::LowerQuartile => quantile(Place::LOWER_QUARTILE, share),
        Statistic::Median => quantile(Place::MEDIAN, share),
        Statistic::UpperQuartile => quantile(Place::UPPER_QUARTILE, share),
    }
}

#[cfg(test)]
mod tests;
