//! What a feed is made of: rows of the persons a register holds, under that register's own codes of one run.

use std::fmt;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::canonical::{Canonical, Digest};
use super::ids::{DatasetId, ProjectId, RegisterId, RunId, VariableId};
use super::microdata::SerialNumber;
use super::period::Period;

/// The linkage code by which the recipient has named a person, in its one spelling in a feed: two letters from a to p a
/// byte. Its `Debug` is redacted: codes are not logged.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FeedCode(SerialNumber);

impl FeedCode {
    /// The code with these bytes; none if there are not 16 to 64 of them.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        SerialNumber::new(bytes).ok().map(Self)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for FeedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FeedCode(redacted)")
    }
}

/// A row of a dataset.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedRow {
    /// Whose it is.
    pub code: FeedCode,
    /// The values of the granted variables, as text; nothing where nothing is known.
    pub values: Vec<Option<String>>,
}

/// Rows are not shown.
impl fmt::Debug for FeedRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FeedRow(redacted)")
    }
}

/// The rows of a dataset, in the order of their codes, which tells nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedDataset {
    /// The dataset.
    pub dataset: DatasetId,
    /// The granted variables, in the order of the approval.
    pub variables: Vec<VariableId>,
    /// The rows.
    pub rows: Vec<FeedRow>,
}

/// A feed, as it is released.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedData {
    /// The project.
    pub project: ProjectId,
    /// The run.
    pub run: RunId,
    /// The register that takes it.
    pub register: RegisterId,
    /// The digest of the approval in force.
    pub approval: Digest,
    /// The digest of the data it was made from.
    pub snapshot: Digest,
    /// The days that its rows are about.
    pub period: Period,
    /// Its datasets.
    pub datasets: Vec<FeedDataset>,
}

impl Canonical for FeedData {
    const LABEL: &'static str = "kpr/feed/v1";
}

impl FeedData {
    /// How many rows it has.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.datasets.iter().map(|dataset| dataset.rows.len()).sum()
    }
}

/// A feed that is released and waits to be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedTaken {
    /// Its run.
    pub run: RunId,
    /// The digest of the feed.
    pub digest: Digest,
    /// How many of the codes are of nobody whom the identity service knows.
    pub unknown: u64,
    /// The last day on which it can be fetched.
    pub kept: NaiveDate,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_no_digits_and_are_not_shown() {
        let code = FeedCode::new(&[0x19; 16]).unwrap();
        assert_eq!(format!("{code:?}"), "FeedCode(redacted)");
        assert_eq!(serde_json::to_string(&code).unwrap(), format!("\"{}\"", "bj".repeat(16)));
        assert_eq!(FeedCode::new(&[1; 15]), None);
    }
}
