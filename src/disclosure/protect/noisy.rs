//! Tables with noise.

use super::DisclosureError;
use crate::disclosure::privacy::{Contribution, Margins, Noisy, Spending, noisy_table};
use crate::domain::ids::RunId;
use crate::domain::method::{Method, Noise};
use crate::domain::table::{
    CellValue, LinkageQuality, NoiseReport, PrivateNoise, RecipientReport, ResultTable,
};
use crate::execute::Counted;
use crate::plan::QueryPlan;
use crate::store::BudgetLease;

/// Nothing about the linkage: true numbers of the same persons would take the noise off.
pub(super) const fn unsaid() -> LinkageQuality {
    let unsaid = CellValue::Withheld;
    LinkageQuality { matched: unsaid, unknown: unsaid, several_numbers: unsaid, invalid_rows: unsaid }
}

/// The table of a plan with noise in every cell. The lease must be the run's, and of what the noise costs.
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
    let noisy = noisy_table(
        plan.shape(),
        &counted.counts,
        Contribution::of_persons(plan.cells_a_person()),
        noise.mechanism,
        if noise.consistent_margins { Margins::Added } else { Margins::Own },
        Spending::new(lease).rest(),
    )?;
    let values: Vec<CellValue> = noisy
        .values
        .iter()
        .map(|&Noisy { value, half_width }| {
            let half_width = i64::try_from(half_width).unwrap_or(i64::MAX);
            let (low, high) = (value.saturating_sub(half_width), value.saturating_add(half_width));
            CellValue::Noisy { value, low, high }
        })
        .collect();
    let report = RecipientReport {
        rule: approved.rule().id().clone(),
        rule_text: Method::Noise(noise).text(approved.rule()),
        min_persons: 0,
        cells: values.len() as u64,
        withheld: 0,
        linkage: unsaid(),
        noise: Some(NoiseReport::Private(report)),
    };
    Ok(ResultTable { run, shape: plan.shape().clone(), values, report })
}
