//! The shape of the table that a valid query makes.

use std::collections::BTreeSet;

use super::catalogue::Catalogue;
use super::error::PlanError;
use super::grouping::UNKNOWN_MUNICIPALITY;
use super::impossible;
use crate::domain::codelist::CodeList;
use crate::domain::ids::VariableId;
use crate::domain::query::{By, Cohort, Outcome, Query, ValueOf};
use crate::domain::table::{Dimension, Measure, TableShape};

/// The most counts a table may have, margins and measures included.
pub(super) const MOST_COUNTS: usize = 400_000;

/// The shape, with every margin. The list of municipalities is cut down to those of the population, a
/// public domain: a municipality without any patient still has its row of zeros.
pub(super) fn shape(
    query: &Query,
    catalogue: &Catalogue,
    municipalities: &BTreeSet<String>,
) -> Result<TableShape, PlanError> {
    let dimensions = query
        .by
        .iter()
        .map(|by| dimension(by, &query.cohort, catalogue, municipalities))
        .collect::<Result<Vec<_>, PlanError>>()?;
    let shape = TableShape {
        title: query.title.clone(),
        dimensions,
        measures: measures(query, catalogue)?,
        period: query.cohort.period,
    };
    let lengths = shape.dimensions.iter().map(|d| d.codes.len());
    let counts = lengths.chain([shape.measures.len()]).fold(1_usize, usize::saturating_mul);
    if counts > MOST_COUNTS {
        return Err(PlanError::Cells { cells: counts, most: MOST_COUNTS });
    }
    Ok(shape)
}

fn dimension(
    by: &By,
    cohort: &Cohort,
    catalogue: &Catalogue,
    municipalities: &BTreeSet<String>,
) -> Result<Dimension, PlanError> {
    let known = catalogue.dimensions().iter().find(|d| d.variable == by.variable);
    let (known, list) = known
        .zip(catalogue.code_list(&by.code_list))
        .ok_or_else(|| PlanError::Catalogue(format!("{} has no list {}", by.variable, by.code_list)))?;
    let codes: CodeList = if by.variable.as_str() == "municipality" {
        list.restricted(|code| code.code == UNKNOWN_MUNICIPALITY || municipalities.contains(&code.code))
    } else {
        list.clone()
    };
    let dataset = catalogue.dataset(&cohort.register, &cohort.dataset);
    let impossible = dataset.map_or_else(Vec::new, |d| impossible::positions(d, &cohort.conditions, &codes));
    if impossible.first() == Some(&0) {
        return Err(PlanError::Nobody { variable: by.variable.clone(), list: by.code_list.clone() });
    }
    Ok(Dimension { variable: by.variable.clone(), label: known.label.clone(), codes, impossible })
}

fn measures(query: &Query, catalogue: &Catalogue) -> Result<Vec<Measure>, PlanError> {
    let everyone = VariableId::new("persons").map_err(|e| PlanError::Catalogue(e.to_string()))?;
    let everyone =
        Measure { code: everyone, label: "Persons".to_owned(), nested_in: Vec::new(), statistic: None };
    let outcomes = query.outcomes.iter().map(|outcome| {
        let longer = query.outcomes.iter().zip(1_u32..).filter(|(other, _)| {
            other.value.is_none() && other.name != outcome.name && outcome.is_nested_in(other)
        });
        Measure {
            code: outcome.name.clone(),
            label: label(outcome, catalogue),
            nested_in: [0].into_iter().chain(longer.map(|(_, index)| index)).collect(),
            statistic: outcome.value.as_ref().map(|value| value.statistic),
        }
    });
    Ok([everyone].into_iter().chain(outcomes).collect())
}

fn label(outcome: &Outcome, catalogue: &Catalogue) -> String {
    let dataset = catalogue.dataset(&outcome.register, &outcome.dataset);
    let events = dataset.map_or(outcome.dataset.as_str(), |d| d.label.as_str());
    let days = outcome.within_days;
    if let Some(value) = &outcome.value {
        let variable = match &value.of {
            ValueOf::Events => "events a person".to_owned(),
            ValueOf::Variable(id) => {
                let label = dataset.and_then(|d| d.variable(id)).map_or(id.as_str(), |v| v.label.as_str());
                format!("{label}, of the first {} events of a person", value.per_person())
            }
        };
        return format!(
            "{} of {variable} (from {} to {}), events within {days} days of the index date: {events} ({})",
            value.statistic.as_str().replace('_', " "),
            value.low,
            value.high,
            outcome.register
        );
    }
    format!("Persons with an event within {days} days of the index date: {events} ({})", outcome.register)
}
