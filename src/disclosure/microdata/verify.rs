//! The gate: microdata are held against the true rows once more, by code that shares nothing with the
//! choice of levels. It reads what is about to be released, joins it to the truth by serial number, and
//! counts anew.

use std::collections::HashMap;

use super::extract::{Extract, Kind};
use super::rule::{Diversity, MicrodataRule};
use crate::domain::codelist::CodeList;
use crate::domain::microdata::{Column, MicrodataTable, Role, Values};

/// What is wrong with microdata that must not leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Not every person has exactly one row.
    #[error("the rows are not those of the extract")]
    Rows,
    /// The columns, or the values of one that is released as it is, are others than the extract's.
    #[error("the columns are not those of the extract")]
    Columns,
    /// A code is neither the true one nor above it.
    #[error("a quasi-identifier is not a generalisation of the true one")]
    Hierarchy,
    /// A row has lost some of its quasi-identifiers and kept others, or too many rows have lost theirs.
    #[error("rows are suppressed otherwise than the rule allows")]
    Suppression,
    /// A combination of quasi-identifiers has too few persons.
    #[error("a class has too few persons")]
    TooFew,
    /// A value that can harm makes up too much of a class.
    #[error("a class is not diverse enough")]
    NotDiverse,
    /// The report says something else than the rows.
    #[error("the report does not fit the rows")]
    Report,
}

/// The rows of released microdata: for each the true one, and what is told of its quasi-identifiers, one list a variable.
struct Told<'a> {
    truth: Vec<usize>,
    released: Vec<&'a [Option<u32>]>,
}

/// Whether the rows are those of the extract, each once, with codes that are the true ones or above them, and all other
/// values the true ones.
fn told<'a>(extract: &Extract, table: &'a MicrodataTable) -> Result<Told<'a>, Fault> {
    let truth = truth(extract, table)?;
    let (quasi, attributes) = table.columns.split_at_checked(extract.quasi.len()).ok_or(Fault::Columns)?;
    if attributes.len() != extract.attributes.len()
        || table.columns.iter().any(|c| c.values.len() != truth.len())
    {
        return Err(Fault::Columns);
    }
    let mut released: Vec<&[Option<u32>]> = Vec::with_capacity(quasi.len());
    for (column, of) in quasi.iter().zip(&extract.quasi) {
        let Values::Codes { list, codes } = &column.values else { return Err(Fault::Columns) };
        let is_quasi = matches!(column.role, Role::QuasiIdentifier { .. });
        if !is_quasi || column.variable != of.variable || *list != of.list {
            return Err(Fault::Columns);
        }
        for (code, &row) in codes.iter().zip(&truth) {
            let leaf = of.codes.get(row).copied().ok_or(Fault::Rows)?;
            if code.is_some_and(|code| !covers(list, code, leaf)) {
                return Err(Fault::Hierarchy);
            }
        }
        released.push(codes);
    }
    for (column, of) in attributes.iter().zip(&extract.attributes) {
        let role = if matches!(of.kind, Kind::Sensitive(_)) { Role::Sensitive } else { Role::Other };
        if column.role != role || column.variable != of.variable || !same(column, &of.values, &truth) {
            return Err(Fault::Columns);
        }
    }
    Ok(Told { truth, released })
}

/// Looks for a fault in microdata that are given as they are: every value is the true one. Gives the sizes of the groups of
/// rows with the same quasi-identifiers.
pub(super) fn verify_granted(extract: &Extract, table: &MicrodataTable) -> Result<Vec<usize>, Fault> {
    let Told { truth, released } = told(extract, table)?;
    for (codes, of) in released.iter().zip(&extract.quasi) {
        if !codes.iter().zip(&truth).all(|(code, &row)| code.is_some() && *code == of.codes.get(row).copied())
        {
            return Err(Fault::Hierarchy);
        }
    }
    let report = &table.report;
    let fits = report.rows == truth.len() as u64
        && (report.suppressed, report.min_persons) == (0, 1)
        && report.terms.is_some();
    if !fits {
        return Err(Fault::Report);
    }
    Ok(classes(&released, truth.len())?.iter().map(Vec::len).collect())
}

/// Looks for a fault.
pub(super) fn verify(extract: &Extract, table: &MicrodataTable, rule: &MicrodataRule) -> Result<(), Fault> {
    let Told { truth, released } = told(extract, table)?;
    let classes = classes(&released, truth.len())?;
    let is_unknown = |class: &&Vec<usize>| {
        class
            .first()
            .is_some_and(|&at| released.iter().any(|codes| codes.get(at).is_some_and(Option::is_none)))
    };
    let unknown: usize = classes.iter().filter(is_unknown).map(Vec::len).sum();
    if unknown as u64 > rule.suppressed_limit(truth.len()) {
        return Err(Fault::Suppression);
    }
    if classes.iter().any(|class| class.len() < rule.min_persons() as usize) {
        return Err(Fault::TooFew);
    }
    for (values, asked) in extract.diverse() {
        if !classes.iter().all(|class| is_diverse(class, &truth, values, asked)) {
            return Err(Fault::NotDiverse);
        }
    }
    let report = &table.report;
    let fits = report.rows == truth.len() as u64
        && report.suppressed == unknown as u64
        && report.min_persons == rule.min_persons()
        && report.terms.is_none()
        && report.rule == *rule.id();
    if fits { Ok(()) } else { Err(Fault::Report) }
}

/// For each released row the true one: the same serial numbers, each once.
fn truth(extract: &Extract, table: &MicrodataTable) -> Result<Vec<usize>, Fault> {
    let mut by_serial: HashMap<_, usize> = extract.serials.iter().zip(0..).collect();
    if by_serial.len() != extract.serials.len() || by_serial.len() != table.serials.len() {
        return Err(Fault::Rows);
    }
    table.serials.iter().map(|serial| by_serial.remove(serial).ok_or(Fault::Rows)).collect()
}

/// Whether `code` is `leaf` or above it.
fn covers(list: &CodeList, code: u32, leaf: u32) -> bool {
    let mut at = Some(leaf as usize);
    while let Some(here) = at {
        if here == code as usize {
            return true;
        }
        at = list.parent(here);
    }
    false
}

fn same(column: &Column, values: &Values, truth: &[usize]) -> bool {
    let lists = match (&column.values, values) {
        (Values::Codes { list: a, .. }, Values::Codes { list: b, .. }) => a == b,
        (Values::Numbers(_), Values::Numbers(_)) => true,
        _ => false,
    };
    lists && truth.iter().enumerate().all(|(at, &row)| column.values.value(at) == values.value(row))
}

/// Released rows that look alike to the recipient.
fn classes(released: &[&[Option<u32>]], rows: usize) -> Result<Vec<Vec<usize>>, Fault> {
    let mut classes: HashMap<Vec<Option<u32>>, Vec<usize>> = HashMap::new();
    for at in 0..rows {
        let told: Vec<Option<u32>> = released.iter().map(|codes| codes.get(at).copied().flatten()).collect();
        let unknown = told.iter().filter(|code| code.is_none()).count();
        if unknown != 0 && unknown != told.len() {
            return Err(Fault::Suppression);
        }
        classes.entry(told).or_default().push(at);
    }
    Ok(classes.into_values().collect())
}

fn is_diverse(class: &[usize], truth: &[usize], values: &Values, asked: &Diversity) -> bool {
    let mut counts: HashMap<i64, u64> = HashMap::new();
    for value in class.iter().filter_map(|&at| values.value(*truth.get(at)?)) {
        *counts.entry(value).or_default() += 1;
    }
    let known: u64 = counts.values().sum();
    counts.iter().all(|(&value, &n)| asked.is_harmless(value) || n * u64::from(asked.l()) <= known)
}
