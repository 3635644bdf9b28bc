//! What must hold for microdata.

use std::collections::BTreeSet;

use crate::domain::ids::RuleId;
use crate::domain::rule::{Records, Rule};

/// A rule that is looser than any rule may be, or that no rows can meet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a microdata rule has 3 to 1000 persons a class, at most 1000 per mille suppressed rows, and an l of 2 to 100"
)]
pub struct BadMicrodataRule;

/// Every combination of quasi-identifiers occurs for at least so many persons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MicrodataRule {
    id: RuleId,
    min_persons: u32,
    records: Records,
}

impl MicrodataRule {
    /// A rule: its id, the least number of persons in a class, and the most rows that may lose all their
    /// quasi-identifiers, per mille.
    ///
    /// # Errors
    /// [`BadMicrodataRule`]; the least number is bound as in tables.
    pub fn new(id: RuleId, min_persons: u32, suppressed_permille: u32) -> Result<Self, BadMicrodataRule> {
        let sound = (Rule::LEAST..=Rule::MOST).contains(&min_persons) && suppressed_permille <= 1000;
        let records = Records { suppressed_permille, diversity: None };
        if sound { Ok(Self { id, min_persons, records }) } else { Err(BadMicrodataRule) }
    }

    /// What a rule of the policies asks of records.
    #[must_use]
    pub fn of(rule: &Rule, records: Records) -> Self {
        Self { id: rule.id().clone(), min_persons: rule.min_persons(), records }
    }

    /// The diversity that it asks of an outcome that is 0 or 1; a 0 does not harm.
    ///
    /// # Errors
    /// [`BadMicrodataRule`].
    pub fn diversity(&self) -> Result<Option<Diversity>, BadMicrodataRule> {
        self.records.diversity.map(|l| Diversity::new(l, [0].into())).transpose()
    }

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> &RuleId {
        &self.id
    }

    /// The least number of persons in a class.
    #[must_use]
    pub const fn min_persons(&self) -> u32 {
        self.min_persons
    }

    /// The most rows that may be suppressed of so many.
    #[must_use]
    pub const fn suppressed_limit(&self, rows: usize) -> u64 {
        rows as u64 * self.records.suppressed_permille as u64 / 1000
    }

    /// The rule in words, for the recipient's report.
    #[must_use]
    pub fn text(&self) -> String {
        self.records.text(self.min_persons)
    }
}

/// l-diversity of a sensitive variable: within a class, no value that can harm makes up more than 1/l of
/// the known values (Xiao & Tao 2006). It implies distinct, entropy and recursive (c,l)-diversity for any
/// c above 1 where every value can harm, and (1/l,k)-anonymity (Wong 2006) otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diversity {
    l: u32,
    harmless: BTreeSet<i64>,
}

impl Diversity {
    /// At most a share of 1/l for each value that is not harmless ("no such diagnosis").
    ///
    /// # Errors
    /// [`BadMicrodataRule`] unless l is 2 to 100.
    pub fn new(l: u32, harmless: BTreeSet<i64>) -> Result<Self, BadMicrodataRule> {
        if (2..=100).contains(&l) { Ok(Self { l, harmless }) } else { Err(BadMicrodataRule) }
    }

    /// The l.
    #[must_use]
    pub const fn l(&self) -> u32 {
        self.l
    }

    /// Whether one may learn this value of a person.
    #[must_use]
    pub fn is_harmless(&self, value: i64) -> bool {
        self.harmless.contains(&value)
    }
}
