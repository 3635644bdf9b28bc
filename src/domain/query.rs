//! A query: whom it follows, what it looks for afterwards, and by what it divides the answer.
//!
//! It is data only. Whether the names in it exist is decided in `plan`, whether it may run in
//! `authorise`.

use serde::{Deserialize, Serialize};

use super::canonical::{Canonical, CanonicalError, Digest};
use super::ids::{CodeListId, DatasetId, ProjectId, RegisterId, VariableId};
use super::period::Period;
use super::rho::Rho;
use super::rule::Rule;

/// A question under a project: a cohort from one register, outcomes in another, and dimensions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// The project it is asked under.
    pub project: ProjectId,
    /// What it is about, for people; at most 200 characters.
    pub title: String,
    /// The persons it follows.
    pub cohort: Cohort,
    /// What is looked for after the index date, at most [`Query::MOST_OUTCOMES`].
    pub outcomes: Vec<Outcome>,
    /// The dimensions of the table, at most [`Query::MOST_DIMENSIONS`], evaluated at the index date.
    pub by: Vec<By>,
    /// A stricter least number of persons in a cell than the rule asks for; never a looser one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_persons: Option<u32>,
    /// Where data are protected by noise: a smaller privacy loss than the policies allow, so more noise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub privacy_loss: Option<Rho>,
    /// What the answer is. A table unless said otherwise.
    #[serde(default, skip_serializing_if = "Answer::is_table")]
    pub result: Answer,
}

/// What a query is answered with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Counts of persons by the dimensions, with all margins.
    #[default]
    Table,
    /// A record for each person: the dimensions are its quasi-identifiers, the outcomes, 0 or 1, are sensitive.
    Microdata,
}

impl Answer {
    /// The name it has in queries.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Microdata => "microdata",
        }
    }

    /// Whether it is a table.
    #[must_use]
    pub const fn is_table(&self) -> bool {
        matches!(self, Self::Table)
    }
}

impl Query {
    /// The most outcomes one query may have.
    pub const MOST_OUTCOMES: usize = 8;
    /// The most dimensions one query may have.
    pub const MOST_DIMENSIONS: usize = 5;
    /// The most values one condition may list.
    pub const MOST_VALUES: usize = 1000;

    /// The digest of what is asked, whatever its title and the project it is asked under, with what the rule asks of
    /// the answer. A table and microdata are two questions.
    ///
    /// # Errors
    /// [`CanonicalError::NotEncodable`], which no query reaches.
    pub fn question(&self, rule: &Rule) -> Result<Digest, CanonicalError> {
        let label = match self.result {
            Answer::Table => "kpr/question/v1",
            Answer::Microdata => "kpr/microdata-question/v1",
        };
        let strict = (rule.min_persons(), rule.min_range(), rule.group_disclosure());
        let asked = (&self.cohort, &self.outcomes, &self.by, strict);
        let bytes = serde_json::to_vec(&asked).map_err(|_| CanonicalError::NotEncodable(label))?;
        Ok(Digest::of_bytes(label, &bytes))
    }
}

impl Canonical for Query {
    const LABEL: &'static str = "kpr/query/v1";
}

/// The persons with at least one event in the period; each enters once, at the first such event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cohort {
    /// The register that holds the events.
    pub register: RegisterId,
    /// The dataset of that register.
    pub dataset: DatasetId,
    /// What an event must fulfil: every condition.
    #[serde(rename = "where", default)]
    pub conditions: Vec<Condition>,
    /// The date variable that is the event's date. The earliest in the period is the index date.
    pub index_date: VariableId,
    /// The days in which the event's date must lie.
    pub period: Period,
}

/// A variable takes one of these values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// The variable.
    pub variable: VariableId,
    /// The values it may take, as the catalogue writes its codes.
    #[serde(rename = "in")]
    pub any_of: Vec<String>,
}

impl Condition {
    /// Whether every row that fulfils this fulfils `other` too.
    #[must_use]
    pub fn implies(&self, other: &Self) -> bool {
        self.variable == other.variable && self.any_of.iter().all(|value| other.any_of.contains(value))
    }
}

/// Whether a person had at least one event within so many days of the index date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// The name of the measure in the table, for example `gp_30`.
    pub name: VariableId,
    /// The register that holds the events.
    pub register: RegisterId,
    /// The dataset of that register.
    pub dataset: DatasetId,
    /// What an event must fulfil: every condition.
    #[serde(rename = "where", default)]
    pub conditions: Vec<Condition>,
    /// The date variable of the event.
    pub date: VariableId,
    /// An event counts on the index date and on each of so many days after it.
    pub within_days: u16,
}

impl Outcome {
    /// Whether everyone who has this outcome is sure to have `other` too: events of the same dataset, in a
    /// window that is no longer, under conditions that are no wider. It looks at sets of values, so no
    /// other way of writing a condition makes another outcome of it.
    #[must_use]
    pub fn is_nested_in(&self, other: &Self) -> bool {
        self.register == other.register
            && self.dataset == other.dataset
            && self.date == other.date
            && self.within_days <= other.within_days
            && other.conditions.iter().all(|wide| self.conditions.iter().any(|narrow| narrow.implies(wide)))
    }
}

/// A dimension: a variable of the population register at the index date, grouped by a code list.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct By {
    /// `sex`, `age` or `municipality`.
    pub variable: VariableId,
    /// The code list it is grouped by, with its hierarchy.
    pub code_list: CodeListId,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(name: &str, values: &[&str], within_days: u16) -> Outcome {
        Outcome {
            name: VariableId::new(name).unwrap(),
            register: RegisterId::new("KPR").unwrap(),
            dataset: DatasetId::new("kuhr_contact").unwrap(),
            conditions: vec![Condition {
                variable: VariableId::new("tjenestetype").unwrap(),
                any_of: values.iter().map(|&v| v.to_owned()).collect(),
            }],
            date: VariableId::new("dato").unwrap(),
            within_days,
        }
    }

    #[test]
    fn nesting_is_about_events_and_not_about_spelling() {
        let (a, b) = (outcome("a", &["1", "2"], 30), outcome("b", &["2", "1", "1"], 30));
        assert!(a.is_nested_in(&b) && b.is_nested_in(&a));
        let narrower = outcome("c", &["1"], 30);
        assert!(narrower.is_nested_in(&a) && !a.is_nested_in(&narrower));
        assert!(!narrower.is_nested_in(&outcome("d", &["1", "2"], 29)));
        let mut unconditional = a.clone();
        unconditional.conditions.clear();
        assert!(a.is_nested_in(&unconditional) && !unconditional.is_nested_in(&a));
    }
}
