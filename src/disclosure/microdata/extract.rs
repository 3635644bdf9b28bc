//! The true rows that microdata are made of.

use std::collections::HashSet;

use super::MicrodataError;
use super::rule::Diversity;
use crate::domain::codelist::CodeList;
use crate::domain::ids::VariableId;
use crate::domain::microdata::{SerialNumber, Values};

/// A variable that others may know of a person.
pub struct QuasiIdentifier {
    /// The variable.
    pub variable: VariableId,
    /// Its label.
    pub label: String,
    /// The codes and their hierarchy.
    pub list: CodeList,
    /// The true codes, one a row: positions of leaves.
    pub codes: Vec<u32>,
    /// How much its detail is worth beside the other variables'; from policy, 1 to 1000.
    pub weight: u32,
}

/// Whether a variable must not be learnt of a person.
pub enum Kind {
    /// It must not; within a class it is as diverse as policy asks, if policy asks.
    Sensitive(Option<Diversity>),
    /// It is neither known nor harmful.
    Other,
}

/// A variable that is released as it is.
pub struct Attribute {
    /// The variable.
    pub variable: VariableId,
    /// Its label.
    pub label: String,
    /// Its values, one a row.
    pub values: Values,
    /// What it is to an attacker.
    pub kind: Kind,
}

/// The rows of an extract, one a person. It has no `Debug` form and cannot be written out.
pub struct Extract {
    /// The serial number of each row's person in the project.
    pub serials: Vec<SerialNumber>,
    /// What others may know.
    pub quasi: Vec<QuasiIdentifier>,
    /// What is released as it is.
    pub attributes: Vec<Attribute>,
}

impl Extract {
    /// How many rows there are.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.serials.len()
    }

    /// Checks that every column has a value for each row, every code is a leaf, every serial number and
    /// every variable is there once.
    pub(super) fn check(&self) -> Result<(), MicrodataError> {
        let rows = self.rows();
        let lengths =
            (self.quasi.iter().map(|q| q.codes.len())).chain(self.attributes.iter().map(|a| a.values.len()));
        let names =
            (self.quasi.iter().map(|q| &q.variable)).chain(self.attributes.iter().map(|a| &a.variable));
        let mut once = HashSet::new();
        let mut serials = HashSet::with_capacity(rows);
        let width = self.serials.first().map(|s| s.as_bytes().len());
        let sound = u32::try_from(rows).is_ok()
            && lengths.into_iter().all(|length| length == rows)
            && names.into_iter().all(|name| once.insert(name))
            && self.serials.iter().all(|s| Some(s.as_bytes().len()) == width && serials.insert(s))
            && self.quasi.iter().all(|q| (1..=1000).contains(&q.weight) && leaves_only(&q.list, &q.codes))
            && self.attributes.iter().all(|a| in_list(&a.values));
        if sound { Ok(()) } else { Err(MicrodataError::NotAnExtract) }
    }

    /// Every sensitive variable that must be diverse.
    pub(super) fn diverse(&self) -> impl Iterator<Item = (&Values, &Diversity)> {
        self.attributes.iter().filter_map(|a| match &a.kind {
            Kind::Sensitive(Some(diversity)) => Some((&a.values, diversity)),
            _ => None,
        })
    }
}

fn leaves_only(list: &CodeList, codes: &[u32]) -> bool {
    let leaf = list.leaves();
    codes.iter().all(|&code| leaf.get(code as usize).copied().unwrap_or(false))
}

fn in_list(values: &Values) -> bool {
    match values {
        Values::Codes { list, codes } => codes.iter().flatten().all(|&code| (code as usize) < list.len()),
        Values::Numbers(_) => true,
    }
}
