//! The steward's report on a table: made with the table, and sealed until a steward reads it.
#![allow(clippy::indexing_slicing, reason = "cells and measures are indices of the table's shape")]

use super::pattern::PatternKey;
use super::proposed::Counts;
use super::protect::DisclosureError;
use crate::domain::canonical::Canonical;
use crate::domain::disclosure_report::{DisclosureReport, NarrowRange};
use crate::domain::ids::RunId;

impl Counts {
    /// The report on this table as these counts of it are withheld, sealed.
    pub(super) fn sealed_report(
        &self,
        withheld: &[bool],
        key: &PatternKey,
    ) -> Result<Vec<u8>, DisclosureError> {
        let report = self.report(withheld).canonical()?;
        Ok(key.report_key().seal(self.run.as_str(), &report)?)
    }

    fn report(&self, withheld: &[bool]) -> DisclosureReport {
        let small = |count: &u64| (1..u64::from(self.rule.min_persons())).contains(count);
        let hidden = self.counts.iter().zip(withheld).filter(|(_, withheld)| **withheld);
        let mut ranges: Vec<(u64, usize)> = (0..self.counts.len())
            .filter(|&at| small(&self.counts[at]))
            .filter_map(|at| self.ranges[at].map(|range| (range.high - range.low, at)))
            .collect();
        ranges.sort_unstable();
        ranges.truncate(DisclosureReport::MOST_RANGES);
        DisclosureReport {
            run: self.run.clone(),
            rule: self.rule.id().clone(),
            counts: self.counts.len() as u64,
            small: self.counts.iter().filter(|count| small(count)).count() as u64,
            withheld: hidden.clone().count() as u64,
            persons_withheld: hidden.map(|(count, _)| count).sum(),
            narrowest: ranges.into_iter().filter_map(|(_, at)| self.narrow(at)).collect(),
        }
    }

    fn narrow(&self, at: usize) -> Option<NarrowRange> {
        let range = self.ranges[at]?;
        let (cell, measure) = (at / self.shape.measures.len(), at % self.shape.measures.len());
        let positions = self.shape.positions(cell).into_iter().zip(&self.shape.dimensions);
        Some(NarrowRange {
            codes: positions.map(|(at, d)| d.codes.codes()[at].code.clone()).collect(),
            measure: self.shape.measures[measure].code.clone(),
            low: range.low,
            high: range.high,
        })
    }
}

/// Opens the report on the table of a run.
///
/// # Errors
/// [`DisclosureError::Sealed`] if it was sealed under another secret or for another run.
pub fn open_report(
    run: &RunId,
    sealed: &[u8],
    key: &PatternKey,
) -> Result<DisclosureReport, DisclosureError> {
    Ok(DisclosureReport::from_canonical(&key.report_key().open(run.as_str(), sealed)?)?)
}
