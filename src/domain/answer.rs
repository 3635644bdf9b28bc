//! What the gateway answers, results aside: the same types on both sides of the wire.

use chrono::{DateTime, NaiveDate, Utc};

use super::approval::SignedApproval;
use super::canonical::Digest;
use super::ids::{RuleId, RunId, TableId};
use super::lifecycle::{Recorded, Standing};
use super::rho::Rho;

/// A project: a version of its approval, its history, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectState {
    /// The approval with the signatures gathered so far.
    pub approval: SignedApproval,
    /// The approval's digest, which is what stewards sign.
    pub digest: Digest,
    /// Where the project stands today.
    pub standing: Standing,
    /// The version in force.
    pub in_force: Option<u32>,
    /// The last day to answer the application for this version, once it is complete.
    pub due: Option<NaiveDate>,
    /// What was recorded of the project, the first step first.
    pub history: Vec<Recorded>,
}

/// What would run, as `check` says it without touching data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The query's digest.
    pub query_digest: Digest,
    /// The digest of the approval it falls under.
    pub approval_digest: Digest,
    /// The disclosure rule that applies.
    pub rule: RuleId,
    /// The rule in words.
    pub rule_text: String,
    /// The least number of persons in a published cell, zero aside; 0 where every number has noise.
    pub min_persons: u32,
    /// Where every number has noise: what it would cost, and what there is.
    pub budget: Option<BudgetState>,
    /// What each party would be asked for, in words.
    pub steps: Vec<String>,
    /// How many cells the table would have, over all measures.
    pub cells: u64,
}

/// A project's privacy budget before a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetState {
    /// What the query would cost.
    pub cost: Rho,
    /// The project's whole budget.
    pub allowance: Rho,
    /// What its runs have not reserved yet.
    pub left: Rho,
}

/// A query on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// Its run.
    pub run: RunId,
    /// Its digest.
    pub query_digest: Digest,
}

/// A released table that a steward has published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedTable {
    /// The id it is published under.
    pub table: TableId,
    /// Its title.
    pub title: String,
    /// The digest of the result.
    pub result_digest: Digest,
    /// When it was published.
    pub published: DateTime<Utc>,
}

/// One entry of the audit log, as it stands there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// Its index, from 0.
    pub index: u64,
    /// Its bytes.
    pub leaf: Vec<u8>,
}
