//! The partner's own policy: what it answers, and where its database keeps it.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::feed_table::FeedTable;
use super::lists::{ListTable, NumbersTable, Persons, is_table};
use crate::config::{self, ConfigError};
use crate::domain::approval::{Approval, Purpose, Tier};
use crate::domain::ids::{DatasetId, ProjectId, VariableId};
use crate::domain::order::LinkageOrder;
use crate::domain::period::Period;
use crate::domain::section::{LinkageTerms, Section};

/// Why a policy file is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// It cannot be read, or is not what is expected.
    #[error(transparent)]
    File(#[from] ConfigError),
    /// It allows a purpose that no register may serve.
    #[error("the policy allows the purpose {0}, which the regulation prohibits (4-1)")]
    Prohibited(&'static str),
    /// A name of the database is not one.
    #[error(
        "{0} must be letters, digits and '_', not starting with a digit; a table may have a schema before a '.'"
    )]
    Name(&'static str),
    /// Pseudonymous registers are not linked.
    #[error(
        "a register of {} is linked only where the gateway sees no direct identifier (KPR regulation 4-2), and there is no \
         blind linkage: this node cannot serve it",
        .0.as_str()
    )]
    Blind(Section),
    /// A list that the section asks for is not there.
    #[error("a register of {} needs {needed} in its policy (KPR regulation 4-2)", .section.as_str())]
    NoList {
        /// The section.
        section: Section,
        /// The tables of the policy file.
        needed: &'static str,
    },
    /// A list that the section does not ask for.
    #[error(
        "a register of {} has no use for {unused} in its policy: linkage asks for no other list than its section does, and \
         a reservation does not stop it (KPR regulation 4-2)",
        .section.as_str()
    )]
    OtherList {
        /// The section.
        section: Section,
        /// The table of the policy file.
        unused: &'static str,
    },
    /// The feed's basis is not that of the register.
    #[error(
        "the feed's basis must be the section that the register stands under, or national_summary_record for Nasjonal \
         kjernejournal (KPR regulation 4-7)"
    )]
    FeedBasis,
    /// A dataset has no variables, or takes no rows.
    #[error("the dataset {0} has no variables, or max_rows 0")]
    Empty(DatasetId),
}

/// How a column holds its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnKind {
    /// Codes as text.
    Text,
    /// Codes as whole numbers.
    Integer,
    /// Days: a date, or text that begins with YYYY-MM-DD.
    Date,
}

/// A column of the partner's table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Its name in the database.
    pub column: String,
    /// How it holds its values.
    pub kind: ColumnKind,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Dataset {
    table: String,
    /// The column with the identity number.
    number: String,
    max_rows: u64,
    variables: BTreeMap<VariableId, Column>,
}

/// The policy file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyFile {
    section: Section,
    consent: Option<ListTable>,
    opt_out: Option<ListTable>,
    numbers: Option<NumbersTable>,
    purposes: Vec<Purpose>,
    /// The kinds of result that rows are sent for; a policy that does not say so sends them for tables.
    #[serde(default = "tables")]
    tiers: Vec<Tier>,
    #[serde(default)]
    refused_projects: Vec<ProjectId>,
    datasets: BTreeMap<DatasetId, Dataset>,
    feed: Option<FeedTable>,
}

/// What the partner answers. Nothing that is not named in it.
#[derive(Debug, Clone)]
pub struct PartnerPolicy {
    section: Section,
    persons: Persons,
    purposes: Vec<Purpose>,
    tiers: Vec<Tier>,
    refused_projects: Vec<ProjectId>,
    datasets: BTreeMap<DatasetId, Dataset>,
    feed: Option<FeedTable>,
}

fn tables() -> Vec<Tier> {
    vec![Tier::ProtectedTables]
}

/// Why the partner's policy does not allow an order, by the code it answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    /// The order states another section than the partner stands under.
    #[error("policy.section")]
    Section,
    /// The partner has not approved the project.
    #[error("policy.not_approved")]
    NotApproved,
    /// The partner has withdrawn its approval.
    #[error("policy.approval_withdrawn")]
    Withdrawn,
    /// The partner has approved another version.
    #[error("policy.approval_of_another_version")]
    OtherVersion,
    /// The partner's approval has ended.
    #[error("policy.approval_expired")]
    Expired,
    /// The project is on the list of refused ones.
    #[error("policy.project")]
    Project,
    /// The project's purpose is not served.
    #[error("policy.purpose")]
    Purpose,
    /// Rows are not sent for results of the project's tier.
    #[error("policy.tier")]
    Tier,
    /// The dataset is not offered.
    #[error("policy.dataset")]
    Dataset,
    /// A variable is not offered.
    #[error("policy.variable")]
    Variable,
    /// A condition on a variable that has no such values, or on a date.
    #[error("policy.condition")]
    Condition,
    /// The order's date variable is no date.
    #[error("policy.date")]
    Date,
    /// More rows than the policy lets out.
    #[error("policy.too_many_rows")]
    TooManyRows,
    /// The policy says nothing of feeds.
    #[error("policy.no_feed")]
    Feed,
}

/// What to read for an order: names from the policy, values from the order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extract {
    /// The table.
    pub table: String,
    /// The column with the identity number.
    pub number: String,
    /// The date column.
    pub date: Column,
    /// The days it must lie in.
    pub period: Period,
    /// The columns to send, in the order's order.
    pub columns: Vec<Column>,
    /// What a row must fulfil: every column one of its values.
    pub conditions: Vec<(Column, Vec<String>)>,
    /// The most rows that are sent; with more, none is.
    pub max_rows: u64,
}

impl PartnerPolicy {
    /// Reads and checks a policy file.
    ///
    /// # Errors
    /// [`PolicyError`].
    pub fn load(path: &Path) -> Result<Self, PolicyError> {
        config::read::<PolicyFile>(path)?.checked()
    }

    /// Whose rows are sent.
    #[must_use]
    pub const fn persons(&self) -> &Persons {
        &self.persons
    }

    /// Which persons to name for a feed under its verified approval.
    ///
    /// # Errors
    /// [`NotAllowed`], the first rule that forbids it.
    pub fn feed(&self, approval: &Approval) -> Result<&FeedTable, NotAllowed> {
        if self.refused_projects.contains(&approval.project) {
            return Err(NotAllowed::Project);
        }
        if !self.purposes.contains(&approval.purpose) {
            return Err(NotAllowed::Purpose);
        }
        let table = self.feed.as_ref().ok_or(NotAllowed::Feed)?;
        if approval.feed.as_ref().is_none_or(|feed| feed.basis != table.basis) {
            return Err(NotAllowed::Section);
        }
        Ok(table)
    }

    /// What to read for an order under its verified approval.
    ///
    /// # Errors
    /// [`NotAllowed`], the first rule that forbids it.
    pub fn extract(&self, order: &LinkageOrder, approval: &Approval) -> Result<Extract, NotAllowed> {
        if order.section != self.section {
            return Err(NotAllowed::Section);
        }
        if self.refused_projects.contains(&approval.project) {
            return Err(NotAllowed::Project);
        }
        if !self.purposes.contains(&approval.purpose) {
            return Err(NotAllowed::Purpose);
        }
        if !self.tiers.contains(&approval.tier) {
            return Err(NotAllowed::Tier);
        }
        let dataset = self.datasets.get(&order.dataset).ok_or(NotAllowed::Dataset)?;
        let column = |id: &VariableId| dataset.variables.get(id).cloned().ok_or(NotAllowed::Variable);
        let date = column(&order.date)?;
        if date.kind != ColumnKind::Date {
            return Err(NotAllowed::Date);
        }
        let conditions = order
            .conditions
            .iter()
            .map(|condition| {
                let column = column(&condition.variable)?;
                let fits = match column.kind {
                    ColumnKind::Text => true,
                    ColumnKind::Integer => condition.any_of.iter().all(|v| v.parse::<i64>().is_ok()),
                    ColumnKind::Date => false,
                };
                if fits && !condition.any_of.is_empty() {
                    Ok((column, condition.any_of.clone()))
                } else {
                    Err(NotAllowed::Condition)
                }
            })
            .collect::<Result<_, _>>()?;
        Ok(Extract {
            table: dataset.table.clone(),
            number: dataset.number.clone(),
            date,
            period: order.period,
            columns: order.columns.iter().map(column).collect::<Result<_, _>>()?,
            conditions,
            max_rows: order.max_rows.min(dataset.max_rows),
        })
    }
}

impl PolicyFile {
    fn checked(self) -> Result<PartnerPolicy, PolicyError> {
        for purpose in &self.purposes {
            if matches!(purpose, Purpose::Police | Purpose::Insurance | Purpose::Employer) {
                return Err(PolicyError::Prohibited(purpose.as_str()));
            }
        }
        for (id, dataset) in &self.datasets {
            if !is_table(&dataset.table) {
                return Err(PolicyError::Name("a table"));
            }
            let columns = dataset.variables.values().map(|v| &v.column);
            if !columns.chain([&dataset.number]).all(|column| is_name(column)) {
                return Err(PolicyError::Name("a column"));
            }
            if dataset.variables.is_empty() || dataset.max_rows == 0 {
                return Err(PolicyError::Empty(id.clone()));
            }
        }
        if let Some(feed) = &self.feed {
            if !feed.is_named() {
                return Err(PolicyError::Name("the feed's table or column"));
            }
            if feed.basis.section().is_some_and(|section| section != self.section) {
                return Err(PolicyError::FeedBasis);
            }
        }
        let persons = persons(self.section, self.consent, self.opt_out, self.numbers)?;
        let Self { section, purposes, tiers, refused_projects, datasets, feed, .. } = self;
        Ok(PartnerPolicy { section, persons, purposes, tiers, refused_projects, datasets, feed })
    }
}

/// Whose rows are sent, out of the lists that the section asks for: these and no others.
fn persons(
    section: Section,
    consent: Option<ListTable>,
    opt_out: Option<ListTable>,
    numbers: Option<NumbersTable>,
) -> Result<Persons, PolicyError> {
    let none = |list: Option<()>, unused| match list {
        Some(()) => Err(PolicyError::OtherList { section, unused }),
        None => Ok(()),
    };
    let (has_consent, has_opt_out) = (consent.as_ref().map(|_| ()), opt_out.as_ref().map(|_| ()));
    let persons = match section.terms() {
        LinkageTerms::Blind => return Err(PolicyError::Blind(section)),
        LinkageTerms::Free => {
            none(has_consent, "[consent]")?;
            none(has_opt_out, "[opt_out]")?;
            none(numbers.map(|_| ()), "[numbers]")?;
            return Ok(Persons::All);
        }
        LinkageTerms::Consent => {
            none(has_opt_out, "[opt_out]")?;
            let needed = "[consent] with a column `from`, and [numbers]";
            let list = consent.filter(|list| list.from.is_some()).zip(numbers);
            let (list, numbers) = list.ok_or(PolicyError::NoList { section, needed })?;
            Persons::Consented(list, numbers)
        }
        LinkageTerms::OptOut => {
            none(has_consent, "[consent]")?;
            let needed = "[opt_out] without a column `withdrawn`, and [numbers]";
            let list = opt_out.filter(|list| list.withdrawn.is_none()).zip(numbers);
            let (list, numbers) = list.ok_or(PolicyError::NoList { section, needed })?;
            Persons::NotOptedOut(list, numbers)
        }
    };
    match &persons {
        Persons::Consented(list, numbers) | Persons::NotOptedOut(list, numbers)
            if !(list.is_named() && numbers.is_named()) =>
        {
            Err(PolicyError::Name("a list's table or column"))
        }
        _ => Ok(persons),
    }
}

/// Names go into SQL between double quotes, so they hold none.
pub(super) fn is_name(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !text.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
pub(super) mod tests;
