//! Folding a table of a file, and suppressing what is small in the folded one.
//!
//! Folding tells that every category shown has k persons at least, or none in a group where nothing is folded, and
//! that an «øvrig» has k + 2. Suppression does not reckon with that. So the total of every category that the
//! folded table shows, over all other dimensions, stays published: what folding tells of it follows from its
//! number, and the attacker on the folded table is the one that suppression protects against. The tables that prove a range
//! have the same totals, so they are folded alike.
#![allow(clippy::indexing_slicing, reason = "cells are indices of the lattice")]

use super::dimension::Dimension;
use super::error::FileError;
use super::protect::{Ask, ProtectedTable};
use super::table::FileTable;
use crate::disclosure::fold::{FoldRule, fold};
use crate::disclosure::lattice::Lattice;
use crate::disclosure::pattern::PatternKey;
use crate::disclosure::primary::{Rules, Zeros};
use crate::disclosure::proved::Stage;
use crate::domain::ids::RuleId;
use crate::domain::rule::Rule;

/// A folded table, and which of its cells are withheld.
#[derive(Debug)]
pub struct FoldedFile {
    /// The table, with «øvrig» for what was folded.
    pub table: FileTable,
    /// Which of its cells are withheld, and their ranges.
    pub protected: ProtectedTable,
    /// How many codes of the file are no longer shown.
    pub codes_folded: usize,
}

impl FileTable {
    /// Folds each dimension by its margin and withholds what is small in the folded table, and what must be so that a
    /// small count there has a range of at least `min_range`.
    ///
    /// # Errors
    /// [`FileError::SumAsked`], [`FileError::Impossible`], [`FileError::SeveralHierarchies`], [`FileError::Rule`],
    /// [`FileError::Fold`] where persons do not add up, [`FileError::FoldUnprotectable`], [`FileError::FoldNoRange`].
    pub fn fold(
        &self,
        rules: &Rules,
        min_range: u64,
        key: &PatternKey,
        progress: &mut dyn FnMut(Stage),
    ) -> Result<FoldedFile, FileError> {
        if self.is_sum() {
            return Err(FileError::SumAsked);
        }
        // One who knows that men cannot be in one of two folded categories knows how many are in the other.
        if self.has_impossible() {
            return Err(FileError::Impossible("«øvrig» can be taken apart"));
        }
        let rule = Rule::new(rule_id(), u32::try_from(rules.min_persons).unwrap_or(u32::MAX))?;
        let rule = rule.with_range(u32::try_from(min_range).unwrap_or(u32::MAX));
        let rule = FoldRule::new(&rule, rules.zeros == Zeros::Protected);
        let (mut shape, mut counts, mut codes_folded) = (self.shape()?, self.persons.clone(), 0);
        for dimension in 0..shape.dimensions.len() {
            let folded = fold(&shape, &counts, dimension, rule, key)?;
            (shape, counts) = (folded.shape, folded.counts);
            codes_folded += folded.codes_folded;
        }
        let dimensions: Vec<Dimension> =
            shape.dimensions.iter().map(|d| Dimension::of_list(&d.label, &d.codes)).collect();
        let lattice = Lattice::new(dimensions.iter().map(|d| d.tree.clone()).collect());
        let table = Self::counted(dimensions, lattice, counts);
        let shown = table.margins_of_one();
        let ask = Ask { rules, min_range, published: &shown };
        let protected = table.protect(ask, key, progress).map_err(|error| match error {
            FileError::Unprotectable(cells) => FileError::FoldUnprotectable(cells),
            FileError::NoRange(cells) => FileError::FoldNoRange(cells),
            other => other,
        })?;
        Ok(FoldedFile { table, protected, codes_folded })
    }

    /// For each cell whether it is the total of a category over all other dimensions.
    fn margins_of_one(&self) -> Vec<bool> {
        let beyond =
            |cell: usize| (0..self.dimensions.len()).filter(|&d| self.lattice.node(cell, d) > 0).count();
        (0..self.cells()).map(|cell| beyond(cell) < 2).collect()
    }
}

/// The name under which a file's rule goes.
#[allow(clippy::expect_used, reason = "four letters are a name")]
fn rule_id() -> RuleId {
    RuleId::new("file").expect("a name")
}

#[cfg(test)]
#[path = "fold_tests.rs"]
mod tests;
