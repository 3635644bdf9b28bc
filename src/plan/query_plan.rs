//! The plan of an approved query.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use chrono::{DateTime, TimeDelta, Utc};

use super::catalogue::Catalogue;
use super::error::PlanError;
use super::grouping::Grouping;
use super::{shape, validate};
use crate::authorise::ApprovedQuery;
use crate::domain::canonical::{Canonical, CanonicalError, Digest};
use crate::domain::ids::{DatasetId, OrderId, RegisterId, RunId, VariableId};
use crate::domain::linked_set::LinkedSet;
use crate::domain::method::Method;
use crate::domain::order::LinkageOrder;
use crate::domain::query::{Answer, Condition, Outcome, OutcomeValue, Query};
use crate::domain::section::{LinkageTerms, Section};
use crate::domain::table::TableShape;

/// In how many inner cells one person is.
const CELLS_A_PERSON: NonZeroU32 = NonZeroU32::MIN;

/// One search for events after the index date. Outcomes that differ only in their window share it: the
/// first event decides all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Follow {
    /// The register that holds the events.
    pub register: RegisterId,
    /// The dataset that holds the events.
    pub dataset: DatasetId,
    /// What an event must fulfil.
    pub conditions: Vec<Condition>,
    /// The date variable of the event.
    pub date: VariableId,
    /// The outcomes it decides: the index of the measure, and the days an event counts after the index
    /// date.
    pub windows: Vec<(usize, u16)>,
}

impl Follow {
    /// The longest window, in days.
    #[must_use]
    pub fn longest(&self) -> u16 {
        self.windows.iter().map(|(_, days)| *days).max().unwrap_or(0)
    }
}

/// What is measured of the events of one search. Its bounds are applied where the rows are read: one person has
/// values in one inner cell, so many at most, each within its bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measured {
    /// The index of the measure.
    pub measure: usize,
    /// The search.
    pub follow: Follow,
    /// What is measured.
    pub value: OutcomeValue,
}

/// An approved query all of whose names exist, the table it makes and how. Made only by [`plan`]:
///
/// ```compile_fail,E0451
/// fn forge(approved: kpr::authorise::ApprovedQuery, honest: kpr::plan::QueryPlan) -> kpr::plan::QueryPlan {
///     kpr::plan::QueryPlan { approved, ..honest }
/// }
/// ```
#[derive(Debug, Clone)]
pub struct QueryPlan {
    approved: ApprovedQuery,
    shape: TableShape,
    groupings: Vec<Grouping>,
    follows: Vec<Follow>,
    measured: Vec<Measured>,
    steps: Vec<String>,
    section: Section,
    digest: Digest,
}

/// Plans an approved query over a population that lives in these municipalities.
///
/// # Errors
/// [`PlanError`]: a name that does not exist or stands where it cannot, or a table that is too large.
pub fn plan(
    approved: ApprovedQuery,
    catalogue: &Catalogue,
    municipalities: &BTreeSet<String>,
) -> Result<QueryPlan, PlanError> {
    let query = approved.query();
    let parts = Parts::of(query, catalogue, municipalities)?;
    let digest = Digest::of_bytes(
        "kpr/query-plan/v1",
        &[
            *query.digest()?.as_bytes(),
            *approved.approval().digest().as_bytes(),
            *approved.policy_digest().as_bytes(),
            *catalogue.digest().as_bytes(),
            *Digest::of_bytes("kpr/table-shape/v1", &encoded(&parts.shape)?).as_bytes(),
        ]
        .concat(),
    );
    let cohort = &query.cohort.register;
    let section = catalogue.register(cohort).map(|register| register.section);
    let section = section.ok_or_else(|| PlanError::Catalogue(format!("{cohort} has no section")))?;
    let steps = steps(&approved, &parts, catalogue, section);
    let Parts { shape, groupings, follows, measured } = parts;
    Ok(QueryPlan { approved, shape, groupings, follows, measured, steps, section, digest })
}

fn encoded(shape: &TableShape) -> Result<Vec<u8>, PlanError> {
    serde_json::to_vec(shape).map_err(|_| CanonicalError::NotEncodable("table shape").into())
}

/// What follows from the query and the catalogue alone.
pub(super) struct Parts {
    pub(super) shape: TableShape,
    pub(super) groupings: Vec<Grouping>,
    pub(super) follows: Vec<Follow>,
    pub(super) measured: Vec<Measured>,
}

impl Parts {
    pub(super) fn of(
        query: &Query,
        catalogue: &Catalogue,
        municipalities: &BTreeSet<String>,
    ) -> Result<Self, PlanError> {
        validate::query(query, catalogue)?;
        let shape = shape::shape(query, catalogue, municipalities)?;
        let groupings = shape
            .dimensions
            .iter()
            .map(|d| Grouping::of(d).map_err(|e| PlanError::Catalogue(e.to_string())))
            .collect::<Result<_, _>>()?;
        let (follows, measured) = (follows(&query.outcomes), measured(&query.outcomes));
        Ok(Self { shape, groupings, follows, measured })
    }
}

fn follows(outcomes: &[Outcome]) -> Vec<Follow> {
    let mut follows: Vec<Follow> = Vec::new();
    for (outcome, measure) in outcomes.iter().zip(1..).filter(|(outcome, _)| outcome.value.is_none()) {
        let window = (measure, outcome.within_days);
        let same = |f: &&mut Follow| {
            f.register == outcome.register
                && f.dataset == outcome.dataset
                && f.conditions == outcome.conditions
                && f.date == outcome.date
        };
        match follows.iter_mut().find(same) {
            Some(follow) => follow.windows.push(window),
            None => follows.push(search(outcome, measure)),
        }
    }
    follows
}

fn measured(outcomes: &[Outcome]) -> Vec<Measured> {
    let of = |(outcome, measure): (&Outcome, usize)| {
        let value = outcome.value.clone()?;
        Some(Measured { measure, follow: search(outcome, measure), value })
    };
    outcomes.iter().zip(1..).filter_map(of).collect()
}

/// The search for the events of one outcome.
fn search(outcome: &Outcome, measure: usize) -> Follow {
    Follow {
        register: outcome.register.clone(),
        dataset: outcome.dataset.clone(),
        conditions: outcome.conditions.clone(),
        date: outcome.date.clone(),
        windows: vec![(measure, outcome.within_days)],
    }
}

fn described(conditions: &[Condition]) -> String {
    let one = |c: &Condition| format!("{} in {}", c.variable, c.any_of.join("/"));
    match conditions {
        [] => "all rows".to_owned(),
        some => some.iter().map(one).collect::<Vec<_>>().join(" and "),
    }
}

/// What would be done, for people. Only names and codes of the catalogue: no data has been touched.
fn steps(approved: &ApprovedQuery, parts: &Parts, catalogue: &Catalogue, section: Section) -> Vec<String> {
    let query = approved.query();
    let cohort = &query.cohort;
    let paragraph = |id| catalogue.register(id).map_or("", |r| r.paragraph.as_str());
    let (from, to) = (cohort.period.from(), cohort.period.to());
    let mut steps = vec![
        format!(
            "order from {} ({}): dataset {}, {}, {} from {from} to {to}; column {} and a linkage code; {}",
            cohort.register,
            paragraph(&cohort.register),
            cohort.dataset,
            described(&cohort.conditions),
            cohort.index_date,
            cohort.index_date,
            section.terms().text(),
        ),
        format!("index date: each person's earliest {}", cohort.index_date),
    ];
    for follow in parts.follows.iter().chain(parts.measured.iter().map(|m| &m.follow)) {
        let days: Vec<String> = follow.windows.iter().map(|(_, days)| days.to_string()).collect();
        steps.push(format!(
            "look in {} ({}), dataset {}: {}, {} within {} days after the index date",
            follow.register,
            paragraph(&follow.register),
            follow.dataset,
            described(&follow.conditions),
            follow.date,
            days.join(", "),
        ));
    }
    for dimension in parts.shape.dimensions.iter().filter(|d| !d.impossible.is_empty()) {
        let codes = dimension.codes.codes().iter().enumerate();
        let named = codes.filter(|(at, _)| dimension.is_impossible(*at)).map(|(_, code)| code.code.as_str());
        steps.push(format!(
            "leave out whom wrong data put in {} {}: nobody in this cohort can be there, as the catalogue says",
            dimension.variable,
            named.collect::<Vec<_>>().join(", ")
        ));
    }
    let by: Vec<String> = query.by.iter().map(|by| format!("{} ({})", by.variable, by.code_list)).collect();
    let by = if by.is_empty() { "nothing".to_owned() } else { by.join(", ") };
    let measures = parts.shape.measures.len();
    steps.push(match query.result {
        Answer::Table => format!(
            "count distinct persons by {by}, with all margins: {} cells of {measures} measures",
            parts.shape.cells()
        ),
        Answer::Microdata => format!(
            "make a record for each person: quasi-identifiers {by}, {} sensitive outcomes",
            measures - 1
        ),
        Answer::Feed => {
            "give no answer: a feed is taken by its register, and no query asks for it".to_owned()
        }
    });
    steps.push(format!(
        "count distinct persons by {by}, with all margins: {} cells of {measures} measures",
        parts.shape.cells()
    ));
    for Measured { value, .. } in &parts.measured {
        let OutcomeValue { of, statistic, low, high, .. } = value;
        steps.push(format!(
            "give the {} of {of} for the same cells: at most {} of a person, each from {low} to {high}",
            statistic.as_str().replace('_', " "),
            value.per_person()
        ));
    }
    let rule = approved.rule();
    steps.push(match approved.method() {
        Method::Suppress => format!("protect under rule {} with at least {} persons", rule.id(), rule.min_persons()),
        Method::Fold => format!(
            "fold and protect under rule {} with at least {} persons",
            rule.id(),
            rule.min_persons()
        ),
        Method::Cellkey(noise) => format!(
            "ask the identity service for the record keys of these persons; add cell-key noise of variance {} and at \
             most {} to every number; no number from 1 to {}",
            noise.variance,
            noise.bound,
            noise.min_persons.saturating_sub(1)
        ),
        Method::Noise(noise) => format!(
            "add {} noise to every number; each person is in {CELLS_A_PERSON} inner cell; reserve the privacy loss of \
             rho = {} before any data are read",
            noise.mechanism.as_str(),
            noise.rho
        ),
        Method::Generalise(records) => format!(
            "generalise under rule {} until at least {} records have the same quasi-identifiers, with at most {} per \
             mille suppressed; hold until two stewards have signed",
            rule.id(),
            rule.min_persons(),
            records.suppressed_permille
        ),
        Method::AsApproved => format!(
            "give the values as the approval grants them, by rule {}: the records are indirectly identifiable; hold until two \
             stewards have signed; the recipient accepts the conditions of the approval before it fetches",
            rule.id()
        ),
    });
    steps
}

impl QueryPlan {
    /// The approved query.
    #[must_use]
    pub const fn approved(&self) -> &ApprovedQuery {
        &self.approved
    }

    /// The shape of the table, with every margin.
    #[must_use]
    pub const fn shape(&self) -> &TableShape {
        &self.shape
    }

    /// How each dimension of the shape places a person, in the same order.
    #[must_use]
    pub fn groupings(&self) -> &[Grouping] {
        &self.groupings
    }

    /// The searches for events after the index date.
    #[must_use]
    pub fn follows(&self) -> &[Follow] {
        &self.follows
    }

    /// What is measured of events.
    #[must_use]
    pub fn measured(&self) -> &[Measured] {
        &self.measured
    }

    /// All searches: [`QueryPlan::follows`] and those of [`QueryPlan::measured`].
    pub fn searches(&self) -> impl Iterator<Item = &Follow> {
        self.follows.iter().chain(self.measured.iter().map(|measured| &measured.follow))
    }

    /// In how many inner cells of the table one person is at most, whatever its rows: each person enters once, at
    /// the index date, with one sex, age and municipality. The engine counts one row a person.
    #[must_use]
    pub const fn cells_a_person(&self) -> NonZeroU32 {
        CELLS_A_PERSON
    }

    /// What would be done, for people.
    #[must_use]
    pub fn steps(&self) -> &[String] {
        &self.steps
    }

    /// The digest of query, approval, policies, catalogue and shape.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// Which linked rows may be kept and used again, if the approval says so. Not those for which somebody's consent or opting
    /// out counts, since that must be asked about each time, nor such as come with record keys.
    #[must_use]
    pub fn linked_set(&self) -> Option<LinkedSet> {
        let (approval, cohort) = (self.approved.approval(), &self.approved.query().cohort);
        let free = self.section.terms() == LinkageTerms::Free && self.approved.record_keys_of().is_none();
        let until = approval.approval().linked_sets_until?;
        (approval.approval().reuse_linked_sets && free).then(|| LinkedSet {
            approval: approval.digest(),
            register: cohort.register.clone(),
            dataset: cohort.dataset.clone(),
            columns: vec![cohort.index_date.clone()],
            conditions: cohort.conditions.clone(),
            date: cohort.index_date.clone(),
            period: cohort.period,
            until,
        })
    }

    /// The order to the partner register for one run. The partner sends the index date only: everything
    /// else it is asked about is in the filter.
    #[must_use]
    pub fn order(&self, id: OrderId, run: RunId, now: DateTime<Utc>, lifetime: TimeDelta) -> LinkageOrder {
        let cohort = &self.approved.query().cohort;
        LinkageOrder {
            id,
            run,
            query: self.approved.query_digest(),
            register: cohort.register.clone(),
            section: self.section,
            dataset: cohort.dataset.clone(),
            columns: vec![cohort.index_date.clone()],
            conditions: cohort.conditions.clone(),
            date: cohort.index_date.clone(),
            period: cohort.period,
            issued: now,
            expires: now + lifetime,
            max_rows: LinkageOrder::MOST_ROWS,
            approval: self.approved.approval().signed(),
        }
    }
}
