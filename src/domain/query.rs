//! A query: whom it follows, what it looks for afterwards, and by what it divides the answer.
//!
//! It is data only. Whether the names in it exist is decided in `plan`, whether it may run in
//! `authorise`.

use std::fmt;
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::canonical::{Canonical, CanonicalError, Digest};
use super::ids::{BadName, CodeListId, DatasetId, ProjectId, RegisterId, VariableId};
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
    /// What a register is given of the persons it holds (4-7). No query is answered with it: it is how the run of a
    /// feed stands among the runs and in the overview of disclosures.
    Feed,
}

impl Answer {
    /// The name it has in queries.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Microdata => "microdata",
            Self::Feed => "feed",
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
            Answer::Feed => "kpr/feed-question/v1",
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

impl fmt::Display for Cohort {
    /// In words, for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = (self.period.from(), self.period.to());
        write!(f, "{} {} with {} from {from} to {to}", self.register, self.dataset, self.index_date)?;
        self.conditions
            .iter()
            .try_for_each(|condition| write!(f, ", {} {}", condition.variable, condition.any_of.join(" or ")))
    }
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
    /// What is measured of these events, instead of counting the persons who have one. Only where the data are
    /// protected by noise with a privacy budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<OutcomeValue>,
}

/// What is measured of a person's events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutcomeValue {
    /// Of what.
    pub of: ValueOf,
    /// Which statistic of the values is given for each cell.
    pub statistic: Statistic,
    /// The least a value counts as, within the catalogue's bounds.
    pub low: i64,
    /// The most a value counts as.
    pub high: i64,
    /// Of a variable: how many events of a person count at most, the first ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<u32>,
}

impl OutcomeValue {
    /// How many values one person has at most.
    #[must_use]
    pub fn per_person(&self) -> NonZeroU32 {
        let of_variable = self.events.and_then(NonZeroU32::new);
        of_variable.filter(|_| self.of != ValueOf::Events).unwrap_or(NonZeroU32::MIN)
    }
}

/// What the values are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ValueOf {
    /// How many events a person has, written `events`: one value a person, 0 for one who has none.
    Events,
    /// This variable of each event: a value an event, and none for a person without one.
    Variable(VariableId),
}

impl TryFrom<String> for ValueOf {
    type Error = BadName;
    fn try_from(text: String) -> Result<Self, BadName> {
        if text == "events" { Ok(Self::Events) } else { VariableId::new(text).map(Self::Variable) }
    }
}

impl From<ValueOf> for String {
    fn from(of: ValueOf) -> Self {
        of.to_string()
    }
}

impl fmt::Display for ValueOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Events => f.write_str("events"),
            Self::Variable(variable) => fmt::Display::fmt(variable, f),
        }
    }
}

/// A statistic of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Statistic {
    /// Their sum.
    Sum,
    /// Their mean.
    Mean,
    /// The value that a quarter of them lies below.
    LowerQuartile,
    /// The value that half of them lies below.
    Median,
    /// The value that three quarters of them lie below.
    UpperQuartile,
}

impl Statistic {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Sum, Self::Mean, Self::LowerQuartile, Self::Median, Self::UpperQuartile];

    /// The name it has in queries.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Mean => "mean",
            Self::LowerQuartile => "lower_quartile",
            Self::Median => "median",
            Self::UpperQuartile => "upper_quartile",
        }
    }

    /// How many decimals it is given with.
    #[must_use]
    pub const fn decimals(self) -> u32 {
        match self {
            Self::Mean => 3,
            Self::Sum | Self::LowerQuartile | Self::Median | Self::UpperQuartile => 0,
        }
    }
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
            value: None,
        }
    }

    #[test]
    fn a_value_reads_as_it_is_written_and_changes_no_other_query() {
        let plain = serde_json::to_string(&outcome("a", &["1"], 30)).unwrap();
        assert!(!plain.contains("value"));
        let text = r#"{"of":"refusjon_ore","statistic":"upper_quartile","low":0,"high":9,"events":4}"#;
        let value: OutcomeValue = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&value).unwrap(), text);
        assert_eq!(value.per_person().get(), 4);
        let events = OutcomeValue { of: "events".to_owned().try_into().unwrap(), ..value };
        assert_eq!((&events.of, events.per_person().get()), (&ValueOf::Events, 1));
        assert!(ValueOf::try_from("02813299997".to_owned()).is_err());
        for statistic in Statistic::ALL {
            let text = format!("\"{}\"", statistic.as_str());
            assert_eq!(serde_json::from_str::<Statistic>(&text).unwrap(), statistic);
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
