//! Whether every name in a query exists and stands where it can.

use std::collections::HashSet;
use std::fmt::Display;

use super::catalogue::{
    Catalogue, Dataset, Register, RegisterSource, Values, Variable, VariableKind, VariableRole,
};
use super::error::PlanError;
use crate::domain::ids::{DatasetId, RegisterId, VariableId};
use crate::domain::query::{Answer, By, Condition, Outcome, Query, ValueOf};

/// The most characters a title may have.
const MOST_TITLE: usize = 200;
/// The most accepted names or codes that a refusal lists.
const MOST_LISTED: usize = 30;

/// The accepted things as one text, cut off where it would no longer be read.
pub(super) fn listed<T: Display>(things: impl Iterator<Item = T>) -> String {
    let things: Vec<String> = things.map(|t| t.to_string()).collect();
    let more = things.len().saturating_sub(MOST_LISTED);
    let mut text = things.into_iter().take(MOST_LISTED).collect::<Vec<_>>().join(", ");
    if text.is_empty() {
        text.push_str("none");
    }
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

/// Checks everything in `query` against the catalogue.
pub(super) fn query(query: &Query, catalogue: &Catalogue) -> Result<(), PlanError> {
    let characters = query.title.chars().count();
    if !(1..=MOST_TITLE).contains(&characters) || query.title.chars().any(char::is_control) {
        return Err(PlanError::Title { most: MOST_TITLE });
    }
    if query.outcomes.len() > Query::MOST_OUTCOMES {
        return Err(PlanError::TooMany { what: "outcomes", most: Query::MOST_OUTCOMES });
    }
    if query.by.len() > Query::MOST_DIMENSIONS {
        return Err(PlanError::TooMany { what: "dimensions", most: Query::MOST_DIMENSIONS });
    }
    if query.result == Answer::Microdata && query.by.is_empty() {
        return Err(PlanError::NoQuasiIdentifier);
    }
    dimensions(&query.by, catalogue)?;
    cohort(query, catalogue)?;
    outcomes(query, catalogue)
}

fn dimensions(by: &[By], catalogue: &Catalogue) -> Result<(), PlanError> {
    let mut seen = HashSet::new();
    let mut last = None;
    for asked in by {
        let known = catalogue.dimensions().iter().enumerate().find(|(_, d)| d.variable == asked.variable);
        let (place, known) = known.ok_or_else(|| PlanError::Dimension {
            asked: asked.variable.clone(),
            accepted: listed(catalogue.dimensions().iter().map(|d| &d.variable)),
        })?;
        if !seen.insert(&asked.variable) {
            return Err(PlanError::DimensionTwice(asked.variable.clone()));
        }
        // One order, so that the same table asked for in another gets no pattern of its own.
        if last.replace(place).is_some_and(|last| last > place) {
            let order = catalogue.dimensions().iter().map(|d| d.variable.as_str());
            return Err(PlanError::DimensionOrder(order.collect::<Vec<_>>().join(", ")));
        }
        if !known.code_lists.contains(&asked.code_list) {
            return Err(PlanError::CodeList {
                variable: asked.variable.clone(),
                asked: asked.code_list.clone(),
                accepted: listed(known.code_lists.iter()),
            });
        }
    }
    Ok(())
}

fn cohort(query: &Query, catalogue: &Catalogue) -> Result<(), PlanError> {
    let cohort = &query.cohort;
    let register = register(&cohort.register, catalogue)?;
    if register.source != RegisterSource::Partner {
        return Err(PlanError::CohortRegister {
            asked: register.id.clone(),
            accepted: with_source(RegisterSource::Partner, catalogue),
        });
    }
    let dataset = dataset(register, &cohort.dataset)?;
    date(dataset, &cohort.index_date, "the index date")?;
    cohort.conditions.iter().try_for_each(|c| condition(dataset, c))
}

fn outcomes(query: &Query, catalogue: &Catalogue) -> Result<(), PlanError> {
    let mut names: HashSet<&str> = query.by.iter().map(|by| by.variable.as_str()).collect();
    names.extend(["persons", "measure"]);
    for (index, outcome) in query.outcomes.iter().enumerate() {
        let name = outcome.name.as_str();
        let figure = ["_share", "_status", "_low", "_high"].iter().any(|suffix| name.ends_with(suffix));
        if !names.insert(name) || figure {
            return Err(PlanError::OutcomeName(outcome.name.clone()));
        }
        let register = register(&outcome.register, catalogue)?;
        if register.source != RegisterSource::Own {
            return Err(PlanError::OutcomeRegister {
                outcome: outcome.name.clone(),
                asked: register.id.clone(),
                accepted: with_source(RegisterSource::Own, catalogue),
            });
        }
        let dataset = dataset(register, &outcome.dataset)?;
        date(dataset, &outcome.date, "the date of an outcome")?;
        outcome.conditions.iter().try_for_each(|c| condition(dataset, c))?;
        value(dataset, outcome)?;
        for other in query.outcomes.iter().take(index) {
            let names = || (other.name.clone(), outcome.name.clone());
            match (outcome.is_nested_in(other), other.is_nested_in(outcome)) {
                (true, true) if outcome.value == other.value => {
                    return Err(PlanError::SameOutcome(names().0, names().1));
                }
                // What is measured has noise, so nothing follows from how the events lie in each other.
                _ if outcome.value.is_some() || other.value.is_some() => {}
                (false, false) => return Err(PlanError::NotNested(names().0, names().1)),
                _ => {}
            }
        }
    }
    Ok(())
}

/// The most events of a person that any statistic counts.
const MOST_EVENTS: u32 = 1000;

/// What is measured of an outcome exists, and stays within public bounds.
fn value(dataset: &Dataset, outcome: &Outcome) -> Result<(), PlanError> {
    let Some(value) = &outcome.value else { return Ok(()) };
    let refused = |accepted| Err(PlanError::Value { outcome: outcome.name.clone(), accepted });
    let (low, high) = match &value.of {
        ValueOf::Events if value.events.is_some() => {
            return refused("the number of events is one value a person; leave `events` out".to_owned());
        }
        ValueOf::Events => (0, i64::from(MOST_EVENTS)),
        ValueOf::Variable(id) => {
            let bounded = |v: &&Variable| v.bounds.is_some() && v.role != VariableRole::Identifying;
            let Some(bounds) = dataset.variable(id).filter(bounded).and_then(|v| v.bounds) else {
                let accepted = listed(dataset.variables.iter().filter(bounded).map(|v| &v.id));
                return refused(format!("a value can be of events or of one of {accepted}; not of {id}"));
            };
            if !value.events.is_some_and(|events| (1..=MOST_EVENTS).contains(&events)) {
                return refused(format!(
                    "`events` must say how many events of a person count at most, from 1 to {MOST_EVENTS}"
                ));
            }
            bounds
        }
    };
    if low <= value.low && value.low < value.high && value.high <= high {
        return Ok(());
    }
    refused(format!("a value of {} has `low` less than `high`, both from {low} to {high}", value.of))
}

fn with_source(source: RegisterSource, catalogue: &Catalogue) -> String {
    listed(catalogue.registers().filter(|r| r.source == source).map(|r| &r.id))
}

pub(super) fn register<'a>(id: &RegisterId, catalogue: &'a Catalogue) -> Result<&'a Register, PlanError> {
    catalogue.register(id).ok_or_else(|| PlanError::Register {
        asked: id.clone(),
        accepted: listed(catalogue.registers().map(|r| &r.id)),
    })
}

pub(super) fn dataset<'a>(register: &'a Register, id: &DatasetId) -> Result<&'a Dataset, PlanError> {
    register.datasets.iter().find(|d| d.id == *id).ok_or_else(|| PlanError::Dataset {
        register: register.id.clone(),
        asked: id.clone(),
        accepted: listed(register.datasets.iter().map(|d| &d.id)),
    })
}

fn date(dataset: &Dataset, id: &VariableId, place: &'static str) -> Result<(), PlanError> {
    usable(dataset, id, VariableKind::Date, place).map(|_| ())
}

pub(super) fn condition(dataset: &Dataset, condition: &Condition) -> Result<(), PlanError> {
    let values = usable(dataset, &condition.variable, VariableKind::Code, "a condition")?;
    if !(1..=Query::MOST_VALUES).contains(&condition.any_of.len()) {
        return Err(PlanError::Values {
            variable: condition.variable.clone(),
            values: condition.any_of.len(),
            most: Query::MOST_VALUES,
        });
    }
    let Some(values) = values else { return Ok(()) };
    if condition.any_of.iter().all(|code| values.accept(code)) {
        return Ok(());
    }
    let accepted = match values {
        Values::Listed(codes) => listed(codes.iter().map(|(code, _)| code)),
        Values::Open => format!("1 to {} letters, digits, '.' or '-'", Values::LONGEST_OPEN),
    };
    Err(PlanError::Code { variable: condition.variable.clone(), accepted })
}

/// The codes of a variable that exists, is of this kind and identifies nobody.
fn usable<'a>(
    dataset: &'a Dataset,
    id: &VariableId,
    kind: VariableKind,
    place: &'static str,
) -> Result<Option<&'a Values>, PlanError> {
    let variable = dataset.variable(id).ok_or_else(|| PlanError::Variable {
        dataset: dataset.id.clone(),
        asked: id.clone(),
        accepted: listed(dataset.variables.iter().map(|v| &v.id)),
    })?;
    let fits = |v: &Variable| v.kind == kind && v.role != VariableRole::Identifying;
    if fits(variable) {
        Ok(variable.values.as_ref())
    } else {
        Err(PlanError::Kind {
            variable: id.clone(),
            place,
            accepted: listed(dataset.variables.iter().filter(|v| fits(v)).map(|v| &v.id)),
        })
    }
}
