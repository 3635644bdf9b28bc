//! A disclosure rule, as `policies/disclosure.toml` states it.

use serde::{Deserialize, Serialize};

use super::ids::RuleId;

/// What must hold for every published cell. There is no rule called "none": the least number of
/// persons is at least [`Rule::LEAST`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Bare")]
pub struct Rule {
    id: RuleId,
    min_persons: u32,
    min_range: u32,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    group_disclosure: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    microdata: Option<Microdata>,
}

/// What a rule says of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Microdata {
    /// They are given as the approval grants them, indirectly identifiable (4-4): the least number of persons is what
    /// stewards are told of, and nothing that holds.
    AsApproved,
    /// Each is like so many others.
    #[serde(untagged)]
    Generalised(Records),
}

/// What a rule for anonymous microdata says beside the least number of persons with the same quasi-identifiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Records {
    /// The most records that may lose all their quasi-identifiers, per mille.
    pub suppressed_permille: u32,
    /// If given, the l of l-diversity: of the records with the same quasi-identifiers at most one in l has an
    /// outcome. That a person does not have it may be learnt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diversity: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bare {
    id: RuleId,
    min_persons: u32,
    min_range: Option<u32>,
    #[serde(default)]
    group_disclosure: bool,
    #[serde(default)]
    microdata: Option<Microdata>,
}

/// A rule that is looser than any rule may be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "rule {0}: min_persons must be from {min} to {max}, and min_range at most {max}; of microdata, suppressed_permille \
     must be at most 1000 and diversity from 2 to 100, without min_range and group_disclosure",
    min = Rule::LEAST,
    max = Rule::MOST
)]
pub struct LooseRule(RuleId);

impl Rule {
    /// The least a least number of persons may be (KPR regulation 4.5.5: at least 3-5 in each cell).
    pub const LEAST: u32 = 3;
    /// The most it may be.
    pub const MOST: u32 = 1000;

    /// A rule with ranges as wide as its least number of persons, under which all of a group may have an outcome.
    ///
    /// # Errors
    /// [`LooseRule`].
    pub fn new(id: RuleId, min_persons: u32) -> Result<Self, LooseRule> {
        if (Self::LEAST..=Self::MOST).contains(&min_persons) {
            Ok(Self { id, min_persons, min_range: min_persons, group_disclosure: false, microdata: None })
        } else {
            Err(LooseRule(id))
        }
    }

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> &RuleId {
        &self.id
    }

    /// The least number of persons in a published cell, zero aside.
    #[must_use]
    pub const fn min_persons(&self) -> u32 {
        self.min_persons
    }

    /// What it says of microdata; nothing if it is a rule for tables.
    #[must_use]
    pub const fn microdata(&self) -> Option<Microdata> {
        self.microdata
    }

    /// How wide the range of a withheld small count is at least: the greatest and the least that nobody can rule out
    /// differ by so much. 0 for protection against exact recovery only.
    #[must_use]
    pub const fn min_range(&self) -> u32 {
        self.min_range
    }

    /// Whether it must not be known that everyone in a group has an outcome, or all but fewer than the least number
    /// of persons.
    #[must_use]
    pub const fn group_disclosure(&self) -> bool {
        self.group_disclosure
    }

    /// The same rule with ranges of another least width.
    #[must_use]
    pub fn with_range(self, min_range: u32) -> Self {
        Self { min_range, ..self }
    }

    /// The same rule against group disclosure too.
    #[must_use]
    pub fn with_group_disclosure(self) -> Self {
        Self { group_disclosure: true, ..self }
    }

    /// The stricter of this rule and what a query asks for. Ranges are as wide as counts are large at least.
    #[must_use]
    pub fn tightened(&self, asked: Option<u32>) -> Self {
        let min_persons = asked.unwrap_or(0).max(self.min_persons).min(Self::MOST);
        let min_range = if self.min_range == 0 { 0 } else { self.min_range.max(min_persons) };
        Self { id: self.id.clone(), min_persons, min_range, ..*self }
    }

    /// Whether this rule lets out nothing that the other would withhold.
    #[must_use]
    pub fn is_as_strict_as(&self, other: &Self) -> bool {
        let diversity = |rule: &Self| match rule.microdata {
            Some(Microdata::Generalised(records)) => records.diversity,
            Some(Microdata::AsApproved) | None => None,
        };
        self.min_persons >= other.min_persons
            && self.min_range >= other.min_range
            && (self.group_disclosure || !other.group_disclosure)
            && diversity(self) >= diversity(other)
    }

    /// The rule in words, for the recipient's report.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!(
            "Counts of 1 to {most} persons are withheld, also where the count is the difference of two \
             published ones: those without an outcome, and those with it in a longer window but not in a \
             shorter. So many other cells are withheld that none of these can be computed from what is \
             published",
            most = self.min_persons - 1
        );
        if self.min_range > 0 {
            text += &format!(
                ", nor narrowed down: between the least and the most that any of them can be lie {} persons or more",
                self.min_range
            );
        }
        text += ". Zeros are published.";
        if self.group_disclosure {
            text += &format!(
                " That all of a group have an outcome, or all but 1 to {}, is withheld too.",
                self.min_persons - 1
            );
        }
        text
    }
}

impl Records {
    /// What the rule asks of records, in words, for the recipient's report.
    #[must_use]
    pub fn text(self, least: u32) -> String {
        let diverse = self.diversity.map_or_else(String::new, |l| {
            format!(" Of the records with the same quasi-identifiers at most one in {l} has an outcome.")
        });
        format!(
            "Every combination of the quasi-identifiers occurs in at least {least} records, each of another person. \
             Quasi-identifiers are given at a coarser level where that takes less away than other ways; in records \
             that would still stand out all of them are unknown (..), and these records are none or at least \
             {least}.{diverse} The order of the records tells nothing."
        )
    }
}

impl TryFrom<Bare> for Rule {
    type Error = LooseRule;
    fn try_from(bare: Bare) -> Result<Self, LooseRule> {
        let rule = Self::new(bare.id, bare.min_persons)?;
        let min_range = bare.min_range.unwrap_or(bare.min_persons);
        let sound = |microdata: &Microdata| match microdata {
            Microdata::AsApproved => true,
            Microdata::Generalised(Records { suppressed_permille, diversity }) => {
                *suppressed_permille <= 1000 && diversity.is_none_or(|l| (2..=100).contains(&l))
            }
        };
        // What protects withheld counts says nothing of records.
        let of_tables = bare.min_range.is_some() || bare.group_disclosure;
        if min_range > Self::MOST || bare.microdata.is_some_and(|records| of_tables || !sound(&records)) {
            return Err(LooseRule(rule.id));
        }
        Ok(Self { min_range, group_disclosure: bare.group_disclosure, microdata: bare.microdata, ..rule })
    }
}
