//! Rows that a partner has sent and that may be used again (KPR regulation 4-11).

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::canonical::{Canonical, Digest};
use super::ids::{DatasetId, RegisterId, VariableId};
use super::period::Period;
use super::query::Condition;

/// Which rows a linked set holds: those of an order, whatever run and question it was given for. Two orders under one approval
/// with the same definition ask for the same rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkedSet {
    /// The digest of the approval that lets them be used again.
    pub approval: Digest,
    /// The register.
    pub register: RegisterId,
    /// Its dataset.
    pub dataset: DatasetId,
    /// The columns beside the person.
    pub columns: Vec<VariableId>,
    /// What a row fulfils.
    pub conditions: Vec<Condition>,
    /// The date variable that lies in the period.
    pub date: VariableId,
    /// The period.
    pub period: Period,
    /// The last day on which they may be used.
    pub until: NaiveDate,
}

impl Canonical for LinkedSet {
    const LABEL: &'static str = "kpr/linked-set/v1";
}
