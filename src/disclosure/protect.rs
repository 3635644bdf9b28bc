//! From true counts to values that may be released.
//!
//! The measures of a table are counts of the same persons, nested in each other: everyone in the
//! cohort, those with the outcome within 180 days, within 90, within 30. What is published of one
//! measure says nothing about another beyond that nesting, because cells add up only within a measure. So
//! each measure is an additive table of its own, and what ties them together is that an attacker can
//! subtract: persons without the outcome, or with it after day 30 but by day 90, are counted by the
//! difference of two measures in the same cell. Where such a difference is 1..k-1, one of the two
//! counts must not be computable. The measures are taken from the widest to the narrowest; where the
//! wider one is published, the narrower is withheld as if it were small itself.
#![allow(clippy::indexing_slicing, reason = "cells and measures are indices of the table's shape")]

use super::lattice::Lattice;
use super::pattern::PatternKey;
use super::released::Disclosed;
use super::suppress::{Unprotectable, suppress};
use super::warrant::Warrant;
use crate::domain::canonical::{CanonicalError, Digest};
use crate::domain::ids::RunId;
use crate::domain::refusal::{Refusal, RefusalKind};
use crate::domain::rule::Rule;
use crate::domain::table::{CellValue, LinkageQuality, RecipientReport, ResultTable, TableShape};
use crate::execute::{Counted, Protected};
use crate::linkage::Tally;
use crate::plan::QueryPlan;

/// Why a table is not released.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DisclosureError {
    /// The counts do not fit the shape, or do not add up.
    #[error("the counts do not add up to the table's margins")]
    NotATable,
    /// No pattern protects every small cell.
    #[error("no suppression pattern was found that protects every small cell")]
    Unprotectable,
    /// The result has no canonical encoding.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
}

impl From<Unprotectable> for DisclosureError {
    fn from(_: Unprotectable) -> Self {
        Self::Unprotectable
    }
}

impl From<DisclosureError> for Refusal {
    fn from(_: DisclosureError) -> Self {
        // One text for every cause: a refusal that depends on counts reads like one that does not.
        Self::new(
            RefusalKind::Internal,
            "disclosure.not_released",
            "the result could not be protected and is not released; ask with fewer or coarser dimensions",
        )
    }
}

/// Protects a counted table by the rule of its plan.
///
/// # Errors
/// [`DisclosureError`]; nothing is released then.
pub fn protect(
    plan: &QueryPlan,
    run: RunId,
    counted: Protected<Counted>,
    key: &PatternKey,
) -> Result<Disclosed<ResultTable>, DisclosureError> {
    let Counted { counts, tally } = counted.open(Warrant::new());
    let (shape, rule) = (plan.shape(), plan.approved().rule());
    let values = protect_counts(shape, &counts, rule, key)?;
    let withheld = values.iter().filter(|v| v.count().is_none()).count();
    let report = RecipientReport {
        rule: rule.id().clone(),
        rule_text: rule.text(),
        min_persons: rule.min_persons(),
        cells: values.len() as u64,
        withheld: withheld as u64,
        linkage: linkage_quality(&tally, values.first().copied(), rule),
    };
    let table = ResultTable { run, shape: shape.clone(), values, report };
    Ok(Disclosed::new(table)?)
}

/// The values that may be released of counts numbered as [`TableShape`] numbers them.
fn protect_counts(
    shape: &TableShape,
    counts: &[u64],
    rule: &Rule,
    key: &PatternKey,
) -> Result<Vec<CellValue>, DisclosureError> {
    let lattice = Lattice::of(shape);
    let measures = shape.measures.len();
    if counts.len() != lattice.cells() * measures {
        return Err(DisclosureError::NotATable);
    }
    let mut draws = key.draws(&table_digest(shape, counts, rule)?);
    let small = |count: u64| (1..u64::from(rule.min_persons())).contains(&count);
    let mut withheld: Vec<Vec<bool>> = vec![Vec::new(); measures];
    for measure in widest_first(shape) {
        let mine: Vec<u64> = counts.iter().skip(measure).step_by(measures).copied().collect();
        if !lattice.is_additive(&mine) {
            return Err(DisclosureError::NotATable);
        }
        let primary = (0..mine.len()).map(|cell| {
            small(mine[cell])
                || mine[cell] > 0
                    && shape.measures[measure].nested_in.iter().any(|&wider| {
                        let wider = wider as usize;
                        let difference = counts[cell * measures + wider].saturating_sub(mine[cell]);
                        small(difference) && !withheld[wider][cell]
                    })
        });
        let primary: Vec<bool> = primary.collect();
        withheld[measure] = suppress(&lattice, &mine, &primary, &mut draws)?;
    }
    let value = |(index, &count): (usize, &u64)| {
        if withheld[index % measures][index / measures] {
            CellValue::Withheld
        } else {
            CellValue::Count(count)
        }
    };
    Ok(counts.iter().enumerate().map(value).collect())
}

/// The measures, each after all those it is nested in.
fn widest_first(shape: &TableShape) -> Vec<usize> {
    let mut order: Vec<usize> = (0..shape.measures.len()).collect();
    order.sort_by_key(|&m| shape.measures[m].nested_in.len());
    order
}

fn table_digest(shape: &TableShape, counts: &[u64], rule: &Rule) -> Result<Digest, DisclosureError> {
    let mut bytes = serde_json::to_vec(shape).map_err(|_| CanonicalError::NotEncodable("table shape"))?;
    bytes.extend(rule.min_persons().to_be_bytes());
    bytes.extend(counts.iter().flat_map(|c| c.to_be_bytes()));
    Ok(Digest::of_bytes("kpr/counted-table/v1", &bytes))
}

/// How the linkage went, with every number of 1..k-1 withheld, and every number whose difference from
/// a published one is. The base of the table stands as it stands in the table.
fn linkage_quality(tally: &Tally, base: Option<CellValue>, rule: &Rule) -> LinkageQuality {
    let small = |count: u64| (1..u64::from(rule.min_persons())).contains(&count);
    let value = |count: u64| if small(count) { CellValue::Withheld } else { CellValue::Count(count) };
    let matched = base.unwrap_or(CellValue::Withheld);
    let complement = matched.count().map(|m| m.saturating_sub(tally.several_numbers));
    LinkageQuality {
        matched,
        unknown: value(tally.unknown),
        several_numbers: if complement.is_some_and(small) {
            CellValue::Withheld
        } else {
            value(tally.several_numbers)
        },
        invalid_rows: value(tally.invalid_rows),
    }
}
