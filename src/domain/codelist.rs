//! Code lists with a hierarchy: from the total down to the finest codes.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::ids::CodeListId;

/// One code of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Code {
    /// The code, for example `0301`. The root's is `Total`.
    pub code: String,
    /// Its label.
    pub label: String,
    /// The index of its parent; none for the root.
    pub parent: Option<u32>,
}

/// A tree of codes: the root first, every parent before its children.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Bare", into = "Bare")]
pub struct CodeList {
    id: CodeListId,
    label: String,
    codes: Vec<Code>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bare {
    id: CodeListId,
    label: String,
    codes: Vec<Code>,
}

/// Why codes do not form a list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodeListError {
    /// There is no root, or not exactly one, or it is not first.
    #[error("code list {0}: the first code, and no other, must be without a parent")]
    Root(CodeListId),
    /// A parent does not come before its child.
    #[error("code list {0}: every parent must come before its children")]
    Order(CodeListId),
    /// A code occurs twice.
    #[error("code list {0}: code {1} occurs twice")]
    Twice(CodeListId, String),
}

impl CodeList {
    /// The code of the root of every list.
    pub const TOTAL: &'static str = "Total";

    /// Checks that the codes form a tree, root first and parents before children.
    ///
    /// # Errors
    /// [`CodeListError`].
    pub fn new(id: CodeListId, label: String, codes: Vec<Code>) -> Result<Self, CodeListError> {
        let mut seen = HashMap::new();
        for (index, code) in codes.iter().enumerate() {
            match code.parent {
                None if index == 0 => {}
                Some(parent) if (parent as usize) < index => {}
                Some(_) if index > 0 => return Err(CodeListError::Order(id)),
                _ => return Err(CodeListError::Root(id)),
            }
            if seen.insert(code.code.as_str(), index).is_some() {
                return Err(CodeListError::Twice(id, code.code.clone()));
            }
        }
        if codes.is_empty() {
            return Err(CodeListError::Root(id));
        }
        Ok(Self { id, label, codes })
    }

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> &CodeListId {
        &self.id
    }

    /// Its label.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Its codes, the root first.
    #[must_use]
    pub fn codes(&self) -> &[Code] {
        &self.codes
    }

    /// How many codes it has, the root included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.codes.len()
    }

    /// Never: a list has at least its root.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.codes.is_empty()
    }

    /// The index of a code.
    #[must_use]
    pub fn position(&self, code: &str) -> Option<usize> {
        self.codes.iter().position(|c| c.code == code)
    }

    /// The parent of the code at `index`, as an index.
    #[must_use]
    pub fn parent(&self, index: usize) -> Option<usize> {
        self.codes.get(index).and_then(|c| c.parent).map(|p| p as usize)
    }

    /// For each code whether it is a leaf: no code has it as its parent.
    #[must_use]
    pub fn leaves(&self) -> Vec<bool> {
        let mut leaf = vec![true; self.codes.len()];
        for parent in self.codes.iter().filter_map(|c| c.parent) {
            if let Some(flag) = leaf.get_mut(parent as usize) {
                *flag = false;
            }
        }
        leaf
    }

    /// The codes from `index` up to the root, itself first.
    pub fn ancestry(&self, index: usize) -> impl Iterator<Item = usize> + '_ {
        std::iter::successors(Some(index), |&i| self.parent(i))
    }

    /// The positions, ascending, of the codes that `holds` names, of those below them, and of every code that has
    /// nothing else below it.
    #[must_use]
    pub fn covered(&self, holds: impl Fn(&Code) -> bool) -> Vec<u32> {
        let mut covered: Vec<bool> = Vec::with_capacity(self.codes.len());
        for (index, code) in self.codes.iter().enumerate() {
            let above = self.parent(index).and_then(|parent| covered.get(parent).copied());
            covered.push(holds(code) || above.unwrap_or(false));
        }
        // Children stand after their parents: from the last on, what is below a code is settled before the code.
        let mut open = vec![(0_u32, 0_u32); self.codes.len()];
        for index in (0..self.codes.len()).rev() {
            let (below, covered_below) = open.get(index).copied().unwrap_or_default();
            if below > 0
                && below == covered_below
                && let Some(flag) = covered.get_mut(index)
            {
                *flag = true;
            }
            if let Some((below, covered_below)) = self.parent(index).and_then(|parent| open.get_mut(parent)) {
                *below += 1;
                *covered_below += u32::from(covered.get(index) == Some(&true));
            }
        }
        covered.into_iter().zip(0..).filter_map(|(covered, index)| covered.then_some(index)).collect()
    }

    /// The list cut down to the leaves for which `keep` holds, and what lies above them.
    #[must_use]
    pub fn restricted(&self, keep: impl Fn(&Code) -> bool) -> Self {
        let mut wanted = vec![false; self.codes.len()];
        for (index, leaf) in self.leaves().into_iter().enumerate() {
            if leaf && self.codes.get(index).is_some_and(&keep) {
                for above in self.ancestry(index) {
                    if let Some(flag) = wanted.get_mut(above) {
                        *flag = true;
                    }
                }
            }
        }
        if let Some(root) = wanted.first_mut() {
            *root = true;
        }
        let mut renumbered: Vec<u32> = Vec::with_capacity(self.codes.len());
        let mut codes: Vec<Code> = Vec::new();
        for (code, wanted) in self.codes.iter().zip(&wanted) {
            renumbered.push(u32::try_from(codes.len()).unwrap_or(u32::MAX));
            if *wanted {
                let parent = code.parent.and_then(|p| renumbered.get(p as usize).copied());
                codes.push(Code { parent, ..code.clone() });
            }
        }
        Self { id: self.id.clone(), label: self.label.clone(), codes }
    }
}

impl TryFrom<Bare> for CodeList {
    type Error = CodeListError;
    fn try_from(bare: Bare) -> Result<Self, CodeListError> {
        Self::new(bare.id, bare.label, bare.codes)
    }
}

impl From<CodeList> for Bare {
    fn from(list: CodeList) -> Self {
        Self { id: list.id, label: list.label, codes: list.codes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_covered_goes_down_and_up_the_tree() {
        // Total(0): a(1): x(2), y(3); b(4): z(5).
        let parents = [None, Some(0), Some(1), Some(1), Some(0), Some(4)];
        let codes = ["Total", "a", "x", "y", "b", "z"].into_iter().zip(parents);
        let codes = codes.map(|(code, parent)| Code { code: code.to_owned(), label: String::new(), parent });
        let list = CodeList::new(CodeListId::new("l").unwrap(), String::new(), codes.collect()).unwrap();
        let covered = |named: &[&str]| list.covered(|code| named.contains(&code.code.as_str()));
        assert_eq!(covered(&[]), [0_u32; 0]);
        assert_eq!(covered(&["x"]), [2]);
        assert_eq!(covered(&["x", "y"]), [1, 2, 3]);
        assert_eq!(covered(&["b"]), [4, 5]);
        assert_eq!(covered(&["z"]), [4, 5]);
        assert_eq!(covered(&["a", "z"]), [0, 1, 2, 3, 4, 5]);
    }
}
