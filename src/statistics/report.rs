//! The recipient's report as JSON. A withheld number is null and named under `status`, as in JSON-stat.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::domain::ids::{RuleId, RunId};
use crate::domain::period::Period;
use crate::domain::table::{NoiseReport, RecipientReport, ResultTable};

#[derive(Serialize)]
struct File<'a> {
    title: &'a str,
    run: &'a RunId,
    period: Period,
    #[serde(flatten)]
    report: Report<'a>,
}

/// The report, as it stands alone and in a JSON-stat extension.
#[derive(Serialize)]
pub(super) struct Report<'a> {
    rule: &'a RuleId,
    rule_text: &'a str,
    min_persons: u32,
    cells: u64,
    withheld: u64,
    linkage: BTreeMap<&'static str, Option<u64>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    linkage_status: BTreeMap<&'static str, &'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    noise: Option<&'a NoiseReport>,
}

impl<'a> From<&'a RecipientReport> for Report<'a> {
    fn from(report: &'a RecipientReport) -> Self {
        let quality = &report.linkage;
        let linkage = BTreeMap::from([
            ("matched", quality.matched.count()),
            ("unknown", quality.unknown.count()),
            ("several_numbers", quality.several_numbers.count()),
            ("invalid_rows", quality.invalid_rows.count()),
        ]);
        let withheld = linkage.iter().filter(|(_, count)| count.is_none());
        Self {
            rule: &report.rule,
            rule_text: &report.rule_text,
            min_persons: report.min_persons,
            cells: report.cells,
            withheld: report.withheld,
            linkage_status: withheld.map(|(name, _)| (*name, ":")).collect(),
            linkage,
            noise: report.noise.as_ref(),
        }
    }
}

pub(super) fn write(table: &ResultTable) -> Option<Vec<u8>> {
    let shape = &table.shape;
    let file = File {
        title: &shape.title,
        run: &table.run,
        period: shape.period,
        report: Report::from(&table.report),
    };
    let mut bytes = serde_json::to_vec_pretty(&file).ok()?;
    bytes.push(b'\n');
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::table;

    #[test]
    fn the_report_as_json() {
        let report: serde_json::Value = serde_json::from_slice(&super::write(&table()).unwrap()).unwrap();
        assert_eq!(
            report,
            json!({
                "title": "GP follow-up",
                "run": format!("r-{}", "ab".repeat(16)),
                "period": {"from": "2024-01-01", "to": "2024-12-31"},
                "rule": "tables-5",
                "rule_text": "Counts of 1 to 4 persons are withheld.",
                "min_persons": 5,
                "cells": 18,
                "withheld": 6,
                "linkage": {"matched": 40, "unknown": null, "several_numbers": 0, "invalid_rows": 7},
                "linkage_status": {"unknown": ":"},
            })
        );
    }
}
