//! Tables with noise.

use super::DisclosureError;
use crate::disclosure::privacy::{Contribution, Margins, Spending, noisy_table};
use crate::domain::ids::RunId;
use crate::domain::method::{Method, Noise};
use crate::domain::table::{CellValue, LinkageQuality, NoiseReport, RecipientReport, ResultTable};
use crate::execute::Counted;
use crate::plan::QueryPlan;
use crate::store::BudgetLease;

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
    let report = NoiseReport {
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
        .map(|number| CellValue::Noisy { value: number.value, half_width: number.half_width })
        .collect();
    // True numbers of the same persons would take the noise off.
    let unsaid = CellValue::Withheld;
    let linkage =
        LinkageQuality { matched: unsaid, unknown: unsaid, several_numbers: unsaid, invalid_rows: unsaid };
    let report = RecipientReport {
        rule: approved.rule().id().clone(),
        rule_text: Method::Noise(noise).text(approved.rule()),
        min_persons: 0,
        cells: values.len() as u64,
        withheld: 0,
        linkage,
        noise: Some(report),
    };
    Ok(ResultTable { run, shape: plan.shape().clone(), values, report })
}
