//! Tables with cell-key noise.

use super::DisclosureError;
use super::noisy::unsaid;
use crate::disclosure::cellkey::PerturbationTable;
use crate::domain::ids::RunId;
use crate::domain::method::{Cellkey, Method};
use crate::domain::record_key::{CellKey, RecordKeyMap};
use crate::domain::table::{CellValue, NoiseReport, RecipientReport, ResultTable, TableShape};
use crate::execute::{Counted, Placed};
use crate::plan::QueryPlan;

/// The table of a plan with cell-key noise in every cell that somebody can be in: who is counted decides the noise, and
/// nothing else does.
pub(super) fn table(
    plan: &QueryPlan,
    noise: Cellkey,
    run: RunId,
    counted: &Counted,
) -> Result<ResultTable, DisclosureError> {
    let (shape, rule) = (plan.shape(), plan.approved().rule());
    let keys = counted.record_keys.as_ref().ok_or(DisclosureError::RecordKey)?;
    let values = perturbed(shape, counted, keys, noise)?;
    let report = RecipientReport {
        rule: rule.id().clone(),
        rule_text: Method::Cellkey(noise).text(rule),
        min_persons: noise.min_persons,
        cells: values.len() as u64,
        withheld: 0,
        linkage: unsaid(),
        noise: Some(NoiseReport::Cellkey(noise)),
    };
    Ok(ResultTable { run, shape: shape.clone(), values, report })
}

/// The values, with intervals.
fn perturbed(
    shape: &TableShape,
    counted: &Counted,
    keys: &RecordKeyMap,
    noise: Cellkey,
) -> Result<Vec<CellValue>, DisclosureError> {
    let table = PerturbationTable::new(noise.into())?;
    let cells = cell_keys(shape, &counted.persons, keys)?;
    if cells.len() != counted.counts.len()
        || cells.iter().zip(&counted.counts).any(|((persons, _), count)| persons != count)
    {
        return Err(DisclosureError::NotATable);
    }
    let value = |(at, (persons, key)): (usize, (u64, CellKey))| {
        if shape.is_impossible(at / shape.measures.len().max(1)) {
            return CellValue::NotApplicable;
        }
        let value = table.perturb(persons, key);
        let (low, high) = table.interval(value);
        let [value, low, high] = [value, low, high].map(|n| i64::try_from(n).unwrap_or(i64::MAX));
        CellValue::Noisy { value, low, high }
    };
    Ok(cells.into_iter().enumerate().map(value).collect())
}

/// How many persons each measure of each cell counts, margins included, and their key.
fn cell_keys(
    shape: &TableShape,
    persons: &[Placed],
    keys: &RecordKeyMap,
) -> Result<Vec<(u64, CellKey)>, DisclosureError> {
    let measures = shape.measures.len();
    let mut cells = vec![(0, CellKey::default()); shape.cells() * measures];
    for placed in persons {
        let key = keys.of(placed.person).ok_or(DisclosureError::RecordKey)?;
        let block = cells.iter_mut().skip(placed.leaf as usize * measures).take(measures);
        for (_, (count, sum)) in block.enumerate().filter(|(measure, _)| placed.measures >> measure & 1 == 1)
        {
            *count += 1;
            *sum = sum.with(key);
        }
    }
    shape.add_up(measures, &mut cells, |(count, key), (more, others)| (count + more, key.and(others)));
    Ok(cells)
}

#[cfg(test)]
#[path = "perturbed_tests.rs"]
mod tests;
