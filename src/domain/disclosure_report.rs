//! What a steward is told of a released table and its recipient is not: how much is withheld, and how closely the
//! worst protected counts can be known.

use serde::{Deserialize, Serialize};

use super::canonical::Canonical;
use super::ids::{RuleId, RunId, VariableId};

/// The report on one table with true counts. It is an equation more for whoever holds the table, so it is for stewards
/// only, and has no Debug form.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DisclosureReport {
    /// The run.
    pub run: RunId,
    /// The rule.
    pub rule: RuleId,
    /// How many counts the table has, over all measures.
    pub counts: u64,
    /// How many are of 1 to k-1 persons.
    pub small: u64,
    /// How many are withheld.
    pub withheld: u64,
    /// How many persons are in withheld counts, each as often as a count has them.
    pub persons_withheld: u64,
    /// The narrowest ranges of small counts, at most [`DisclosureReport::MOST_RANGES`] of them, the narrowest first.
    pub narrowest: Vec<NarrowRange>,
}

/// What nobody can rule out of a small count: two tables that agree with all that is published have these counts.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NarrowRange {
    /// The codes of its cell, one a dimension.
    pub codes: Vec<String>,
    /// Its measure.
    pub measure: VariableId,
    /// The least proved.
    pub low: u64,
    /// The most proved.
    pub high: u64,
}

impl DisclosureReport {
    /// The most ranges a report names.
    pub const MOST_RANGES: usize = 20;
}

impl Canonical for DisclosureReport {
    const LABEL: &'static str = "kpr/disclosure-report/v1";
}
