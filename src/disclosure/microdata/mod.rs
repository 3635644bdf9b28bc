//! Microdata: every combination of quasi-identifiers occurs for at least k persons, or, where two stewards have approved
//! that under conditions (4-4), the values are as the approval grants them (`granted`).
//!
//! [`anonymise`] generalises the quasi-identifiers along their hierarchies with the least loss
//! (`search`), suppresses few rows last (`suppression`), sees to l-diversity in a way that does not betray
//! what it looked at (`choice`), puts the rows in the order of their serial numbers, and holds the result against the true rows
//! once more (`verify`). `docs/disclosure-control.md` has the guarantee, its proof and its limits.

#[cfg(test)]
mod attack;
mod choice;
mod classes;
mod diversity;
mod extract;
#[cfg(test)]
mod fixtures;
mod granted;
mod hierarchy;
mod records;
mod risk;
mod rule;
mod search;
mod suppression;
#[cfg(test)]
mod tests;
mod verify;

pub use extract::{Attribute, Extract, Kind, QuasiIdentifier};
pub use records::{RecordsError, serial_person};
pub(in crate::disclosure) use records::{granted_records, records};
pub use rule::{BadMicrodataRule, Diversity, MicrodataRule};
pub use verify::Fault;

use self::choice::{Chosen, bottom, choose};
use self::classes::Frame;
use super::pattern::PatternKey;
use crate::domain::canonical::{CanonicalError, Digest};
use crate::domain::ids::RunId;
use crate::domain::microdata::{Column, MicrodataReport, MicrodataTable, RiskReport, Role, Values};

/// Why microdata are not released. None of the texts tells a count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MicrodataError {
    /// Columns of different length, codes that are not leaves, serial numbers or variables twice, or a
    /// weight out of bounds.
    #[error("the rows are not an extract of one row a person")]
    NotAnExtract,
    /// The quasi-identifiers have more codes or levels than can be searched. Does not depend on the rows.
    #[error("the quasi-identifiers have too many codes or levels")]
    TooWide,
    /// Fewer than k persons, or fewer than k that differ from an earlier release.
    #[error("there are too few persons")]
    TooFew,
    /// A sensitive variable is not diverse even in all rows together.
    #[error("a sensitive variable cannot be made diverse")]
    NotDiverse,
    /// The release failed its check.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The quasi-identifiers have no canonical encoding.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
}

/// Microdata that have passed their check, not yet released.
pub struct Checked {
    /// The rows.
    pub table: MicrodataTable,
    /// What the stewards decide on.
    pub risk: RiskReport,
}

/// Makes microdata by a rule. The same extract, in any order, gives the same release under the same key.
///
/// # Errors
/// [`MicrodataError`]; nothing may leave then.
pub fn anonymise(
    run: RunId,
    title: String,
    extract: &Extract,
    rule: &MicrodataRule,
    key: &PatternKey,
) -> Result<Checked, MicrodataError> {
    extract.check()?;
    if extract.rows() < rule.min_persons() as usize {
        return Err(MicrodataError::TooFew);
    }
    let (frame, keys) = Frame::of(extract)?;
    let mut draws = key.draws(&choice_digest(extract, rule, &keys)?);
    let chosen = choose(extract, &frame, &keys, rule, &mut draws)?;
    let order = order(extract);
    let bounds = (u64::from(rule.min_persons()), rule.suppressed_limit(keys.len()));
    let risk = risk::risk(extract, &frame, &chosen, bounds);
    let table = MicrodataTable {
        run,
        title,
        serials: order.iter().filter_map(|&row| extract.serials.get(row).cloned()).collect(),
        columns: columns(extract, &frame, &keys, &chosen, &order),
        report: report(extract, &chosen, rule, &frame),
    };
    verify::verify(extract, &table, rule)?;
    Ok(Checked { table, risk })
}

/// A digest of what the choice of levels may depend on: the quasi-identifiers in no order, what the
/// recipient holds already, and the rule. Sensitive values are not in it.
fn choice_digest(extract: &Extract, rule: &MicrodataRule, keys: &[u64]) -> Result<Digest, MicrodataError> {
    let variables: Vec<_> = extract.quasi.iter().map(|q| (&q.variable, q.list.codes(), q.weight)).collect();
    let asked = (rule.min_persons(), rule.suppressed_limit(keys.len()));
    let mut bytes = serde_json::to_vec(&(variables, asked))
        .map_err(|_| CanonicalError::NotEncodable("list of quasi-identifiers"))?;
    for class in bottom(keys) {
        bytes.extend(class.key.to_be_bytes());
        bytes.extend(class.rows.to_be_bytes());
    }
    Ok(Digest::of_bytes("kpr/microdata-choice/v1", &bytes))
}

/// The order of release: by serial number, which is drawn by a key and tells nothing of the person. The order in
/// which rows came has no part in it.
fn order(extract: &Extract) -> Vec<usize> {
    let mut order: Vec<usize> = (0..extract.rows()).collect();
    order.sort_unstable_by_key(|&row| extract.serials.get(row));
    order
}

/// The released columns, in this order of rows.
fn columns(extract: &Extract, frame: &Frame, keys: &[u64], chosen: &Chosen, order: &[usize]) -> Vec<Column> {
    let levels = &chosen.choice.levels;
    let lift = frame.lift(&vec![0; levels.len()], levels);
    let released: Vec<Option<u64>> = order
        .iter()
        .map(|&row| keys.get(row).map(|&key| lift(key)).filter(|&key| !chosen.choice.suppressed.has(key)))
        .collect();
    let quasi = extract.quasi.iter().zip(levels).enumerate().map(|(v, (quasi, &level))| Column {
        variable: quasi.variable.clone(),
        label: quasi.label.clone(),
        role: Role::QuasiIdentifier {
            level: level as u32,
            highest: frame.trees.get(v).map_or(0, |t| t.highest() as u32),
        },
        values: Values::Codes {
            list: quasi.list.clone(),
            codes: released.iter().map(|key| key.map(|key| frame.code(key, v))).collect(),
        },
    });
    let attributes = extract.attributes.iter().map(|attribute| Column {
        variable: attribute.variable.clone(),
        label: attribute.label.clone(),
        role: if matches!(attribute.kind, Kind::Sensitive(_)) { Role::Sensitive } else { Role::Other },
        values: attribute.values.reordered(order),
    });
    quasi.chain(attributes).collect()
}

/// What the recipient is told of each quasi-identifier.
fn generalised(extract: &Extract, chosen: &Chosen, frame: &Frame) -> Vec<String> {
    let each = extract.quasi.iter().zip(&chosen.choice.levels).zip(&frame.trees);
    let told = each.map(|((quasi, &level), tree)| {
        let label = &quasi.label;
        match (level, tree.highest()) {
            (0, _) => format!("{label}: as delivered"),
            (level, highest) if level == highest => format!("{label}: left out, only the total is given"),
            (level, highest) => format!("{label}: coarser by {level} of {highest} levels"),
        }
    });
    told.collect()
}

/// What the recipient is told. It could count all of it in the rows.
fn report(extract: &Extract, chosen: &Chosen, rule: &MicrodataRule, frame: &Frame) -> MicrodataReport {
    MicrodataReport {
        rule: rule.id().clone(),
        rule_text: rule.text(),
        min_persons: rule.min_persons(),
        rows: extract.rows() as u64,
        suppressed: chosen.choice.suppressed.rows,
        generalised: generalised(extract, chosen, frame),
        terms: None,
    }
}
