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
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bare {
    id: RuleId,
    min_persons: u32,
}

/// A rule that is looser than any rule may be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("rule {0}: min_persons must be from {min} to {max}", min = Rule::LEAST, max = Rule::MOST)]
pub struct LooseRule(RuleId);

impl Rule {
    /// The least a least number of persons may be (KPR regulation 4.5.5: at least 3-5 in each cell).
    pub const LEAST: u32 = 3;
    /// The most it may be.
    pub const MOST: u32 = 1000;

    /// A rule.
    ///
    /// # Errors
    /// [`LooseRule`].
    pub fn new(id: RuleId, min_persons: u32) -> Result<Self, LooseRule> {
        if (Self::LEAST..=Self::MOST).contains(&min_persons) {
            Ok(Self { id, min_persons })
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

    /// The stricter of this rule and what a query asks for.
    #[must_use]
    pub fn tightened(&self, asked: Option<u32>) -> Self {
        let min_persons = asked.unwrap_or(0).max(self.min_persons).min(Self::MOST);
        Self { id: self.id.clone(), min_persons }
    }

    /// The rule in words, for the recipient's report.
    #[must_use]
    pub fn text(&self) -> String {
        format!(
            "Counts of 1 to {most} persons are withheld, also where the count is the difference of two \
             published ones: those without an outcome, and those with it in a longer window but not in a \
             shorter. So many other cells are withheld that none of these can be computed from what is \
             published. Zeros are published.",
            most = self.min_persons - 1
        )
    }
}

impl TryFrom<Bare> for Rule {
    type Error = LooseRule;
    fn try_from(bare: Bare) -> Result<Self, LooseRule> {
        Self::new(bare.id, bare.min_persons)
    }
}
