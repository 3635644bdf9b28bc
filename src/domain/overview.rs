//! The overview of disclosures (KPR regulation 4-10): who received what, on which legal basis, and how long that is kept.

use std::collections::BTreeSet;

use chrono::{Months, NaiveDate};
use serde::{Deserialize, Serialize};

use super::approval::{Approval, Purpose};
use super::canonical::{Canonical, Digest};
use super::ids::{DatasetId, OrganisationId, ProjectId, RegisterId, RunId};
use super::query::{Answer, Cohort, Query};

/// A dataset that a release was made from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The register.
    pub register: RegisterId,
    /// Its dataset.
    pub dataset: DatasetId,
}

/// What all releases of a project to one recipient about one population have in common. Kept once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DisclosureFacts {
    /// Tables, which are anonymous; records of persons, which are too if they stand under no conditions; or a feed.
    pub result: Answer,
    /// Who received it.
    pub recipient: OrganisationId,
    /// Under which project.
    pub project: ProjectId,
    /// The digest of the approval in force.
    pub approval: Digest,
    /// What the project is.
    pub title: String,
    /// For which purpose.
    pub purpose: Purpose,
    /// On which legal basis.
    pub legal_basis: String,
    /// Whom it is about: the definition of the population.
    pub population: Cohort,
    /// What it was made from, the population's own dataset included.
    pub sources: BTreeSet<Source>,
    /// Of indirectly identifiable records: the digest of the conditions under which they were given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conditions: Option<Digest>,
}

impl Canonical for DisclosureFacts {
    const LABEL: &'static str = "kpr/disclosure-facts/v1";
}

impl DisclosureFacts {
    /// The facts of a result of `query`, released to `recipient` under `approval`, which has the digest given.
    #[must_use]
    pub fn of(query: &Query, approval: &Approval, digest: Digest, recipient: &OrganisationId) -> Self {
        let source = |register: &RegisterId, dataset: &DatasetId| Source {
            register: register.clone(),
            dataset: dataset.clone(),
        };
        let cohort = &query.cohort;
        let followed = query.outcomes.iter().map(|outcome| source(&outcome.register, &outcome.dataset));
        Self {
            result: query.result,
            recipient: recipient.clone(),
            project: query.project.clone(),
            approval: digest,
            title: approval.title.clone(),
            purpose: approval.purpose,
            legal_basis: approval.legal_basis.clone(),
            population: cohort.clone(),
            sources: followed.chain([source(&cohort.register, &cohort.dataset)]).collect(),
            conditions: approval.indirect.as_ref().and_then(|terms| terms.digest().ok()),
        }
    }

    /// The facts of a feed, released under `approval`, which has the digest given: its population are the persons that
    /// its register holds, and its sources the granted datasets. None of an approval that is for no feed.
    #[must_use]
    pub fn of_feed(approval: &Approval, digest: Digest) -> Option<Self> {
        let recipient = approval.recipients.first()?;
        let asked = approval.feed.as_ref()?.asked(approval)?;
        let granted = approval.grants.iter();
        let sources =
            granted.map(|g| Source { register: g.register.clone(), dataset: g.dataset.clone() }).collect();
        Some(Self { sources, ..Self::of(&asked, approval, digest, recipient) })
    }
}

/// One release in the overview.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disclosure {
    /// The index of its receipt in the audit log, in whose order releases stand.
    pub receipt: u64,
    /// Its run.
    pub run: RunId,
    /// The day it was released.
    pub day: NaiveDate,
    /// Who, why and about whom.
    pub facts: DisclosureFacts,
    /// Of records of persons: the digest of the sealed set of persons who are in them.
    pub persons: Option<Digest>,
}

/// Releases of tables with the same facts, as everybody in the register is shown them: nothing is kept of who is in a
/// table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TablesReleased {
    /// Who, why and about whom.
    pub facts: DisclosureFacts,
    /// How many.
    pub tables: u64,
    /// The day of the first.
    pub first: NaiveDate,
    /// The day of the last.
    pub last: NaiveDate,
}

/// What the log commits to of a sealed set of persons. With it one chunk is known to be of the set without the others, and a
/// chunk that is not there to have been taken away or never to have been.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PersonSet {
    /// How many chunks it has: from number 0 to that of the highest person number.
    pub chunks: u32,
    /// The root of the Merkle tree over the sealed chunks.
    pub root: Digest,
}

impl PersonSet {
    /// The digest that stands in the log.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let chunks = self.chunks.to_be_bytes();
        Digest::of_bytes("kpr/disclosed-persons/v2", &[chunks.as_slice(), self.root.as_bytes()].concat())
    }
}

/// Fewer years than the law asks for, or more than anybody means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the overview of disclosures is kept at least {least} years (KPR regulation 4-10) and at most {most}: not {years} years",
    least = Retention::LEAST,
    most = Retention::MOST
)]
pub struct BadRetention {
    /// How many years were asked for.
    pub years: u32,
}

/// How many years the overview of disclosures is kept. Never fewer than five:
///
/// ```
/// use kpr::domain::overview::Retention;
/// assert!(Retention::new(4).is_err());
/// assert!(Retention::new(5).is_ok());
/// ```
///
/// ```compile_fail,E0423
/// let none = kpr::domain::overview::Retention(0);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u32")]
pub struct Retention(u32);

impl Retention {
    /// The fewest years (KPR regulation 4-10).
    pub const LEAST: u32 = 5;
    /// The most years.
    pub const MOST: u32 = 100;

    /// The shortest.
    pub const SHORTEST: Self = Self(Self::LEAST);

    /// So many years.
    ///
    /// # Errors
    /// [`BadRetention`].
    pub const fn new(years: u32) -> Result<Self, BadRetention> {
        if Self::LEAST <= years && years <= Self::MOST {
            Ok(Self(years))
        } else {
            Err(BadRetention { years })
        }
    }

    /// What was released before this day may be deleted today. `None` only at the end of the calendar.
    #[must_use]
    pub fn before(self, today: NaiveDate) -> Option<NaiveDate> {
        today.checked_sub_months(Months::new(12 * self.0))
    }
}

impl Default for Retention {
    /// Ten years, as long as linked sets may live.
    fn default() -> Self {
        Self(10)
    }
}

impl TryFrom<u32> for Retention {
    type Error = BadRetention;
    fn try_from(years: u32) -> Result<Self, BadRetention> {
        Self::new(years)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_younger_than_five_years_is_never_due() {
        let day = |text: &str| text.parse::<NaiveDate>().unwrap();
        let five = Retention::new(5).unwrap();
        assert_eq!(five.before(day("2026-11-22")), Some(day("2021-11-22")));
        assert_eq!(five.before(day("2028-02-29")), Some(day("2023-02-28")));
        for years in [0, 1, 4, 101, u32::MAX] {
            let refused = Retention::new(years).unwrap_err().to_string();
            assert!(refused.contains("4-10") && refused.contains("at least 5 years"), "{refused}");
        }
        assert_eq!(Retention::default(), Retention::new(10).unwrap());
    }
}
