//! What the catalogue knows to be impossible: codes of a dimension that persons with certain rows cannot have.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;

use super::catalogue::{Dataset, Values, Variable, VariableKind, VariableRole};
use crate::domain::codelist::CodeList;
use crate::domain::ids::{CodeListId, VariableId};
use crate::domain::query::Condition;

/// A statement about a dataset: who has a row with one of these codes has none of those of a dimension.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Impossible {
    /// The variable of the dataset.
    pub variable: VariableId,
    /// Its codes; of a classification that is not listed, what its codes begin with.
    pub any_of: Vec<String>,
    /// The code list that a dimension is grouped by.
    pub code_list: CodeListId,
    /// The codes of that list which such persons cannot have, each with all below it.
    pub codes: Vec<String>,
}

impl Impossible {
    /// Whether the statement speaks of names that exist, and leaves some code possible. `lists` are all code lists, of
    /// which `dimensions` group dimensions.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub(super) fn check(
        &self,
        variables: &[Variable],
        lists: &HashMap<CodeListId, CodeList>,
        dimensions: &HashSet<&CodeListId>,
    ) -> Result<(), String> {
        let Self { variable: id, code_list, .. } = self;
        let usable = |v: &&Variable| v.kind == VariableKind::Code && v.role != VariableRole::Identifying;
        let values = variables.iter().find(|v| v.id == *id).filter(usable).and_then(|v| v.values.as_ref());
        let values = values.ok_or_else(|| format!("{id} is no variable with codes of the dataset"))?;
        if self.any_of.is_empty() || !self.any_of.iter().all(|code| values.accept(code)) {
            return Err(format!("`any_of` must list codes of {id}"));
        }
        let list = lists.get(code_list).filter(|list| dimensions.contains(list.id()));
        let list = list.ok_or_else(|| format!("no dimension is grouped by a code list {code_list}"))?;
        if self.codes.is_empty() || !self.codes.iter().all(|code| list.position(code).is_some()) {
            return Err(format!("`codes` must list codes of {code_list}"));
        }
        match list.covered(|code| self.codes.contains(&code.code)).first() {
            Some(0) => Err(format!("some code of {code_list} must be left possible")),
            _ => Ok(()),
        }
    }

    /// Whether every row that fulfils the condition has one of the codes.
    fn holds_under(&self, condition: &Condition, values: &Values) -> bool {
        let named = |code: &String| match values {
            Values::Listed(_) => self.any_of.contains(code),
            Values::Open => self.any_of.iter().any(|start| code.starts_with(start.as_str())),
        };
        condition.variable == self.variable
            && !condition.any_of.is_empty()
            && condition.any_of.iter().all(named)
    }
}

/// The positions, ascending, of the codes of a dimension that nobody can have who has a row of the dataset under all
/// these conditions.
pub(super) fn positions(dataset: &Dataset, conditions: &[Condition], codes: &CodeList) -> Vec<u32> {
    let holds = |statement: &&Impossible| {
        let values = dataset.variable(&statement.variable).and_then(|variable| variable.values.as_ref());
        statement.code_list == *codes.id()
            && values.is_some_and(|values| conditions.iter().any(|c| statement.holds_under(c, values)))
    };
    let held = dataset.impossible.iter().filter(holds);
    let named: HashSet<&str> = held.flat_map(|statement| &statement.codes).map(String::as_str).collect();
    codes.covered(|code| named.contains(code.code.as_str()))
}
