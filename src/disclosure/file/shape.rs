//! A table of a file as one over code lists, which is what folding and noise are about.
#![allow(clippy::indexing_slicing, reason = "cells are indices of the lattice")]

use chrono::NaiveDate;

use super::error::FileError;
use super::table::FileTable;
use crate::domain::canonical::Digest;
use crate::domain::ids::{CodeListId, VariableId};
use crate::domain::period::Period;
use crate::domain::table::{Dimension, Measure, TableShape};

impl FileTable {
    /// Its shape, with one measure: the persons. Cells have the same numbers.
    ///
    /// # Errors
    /// [`FileError::SeveralHierarchies`].
    pub(super) fn shape(&self) -> Result<TableShape, FileError> {
        let dimensions = self.dimensions.iter().map(|d| {
            let (variable, list) = names(&d.name);
            Ok(Dimension { variable, label: d.name.clone(), codes: d.list(list)?, impossible: Vec::new() })
        });
        let (code, _) = names("persons");
        Ok(TableShape {
            title: String::new(),
            dimensions: dimensions.collect::<Result<_, FileError>>()?,
            measures: vec![Measure {
                code,
                label: "Persons".to_owned(),
                nested_in: Vec::new(),
                statistic: None,
            }],
            period: any_period(),
        })
    }

    /// Whether the file says of any inner cell that it is impossible.
    pub(super) fn has_impossible(&self) -> bool {
        self.lattice.inner().into_iter().any(|cell| self.impossible[cell])
    }
}

/// A column's name in the letters that a name of the catalogue may have, the same for the same column.
#[allow(clippy::expect_used, reason = "64 letters from a to p are a name of either kind")]
fn names(column: &str) -> (VariableId, CodeListId) {
    let digest = Digest::of_bytes("kpr/file-column/v1", column.as_bytes());
    let halves = digest.as_bytes().iter().flat_map(|b| [b >> 4, b & 15]);
    let name: String = halves.map(|half| char::from(b'a' + half)).collect();
    (VariableId::new(name.clone()).expect("a name"), CodeListId::new(name).expect("a name"))
}

/// A file says nothing of its period, and neither folding nor noise asks.
#[allow(clippy::expect_used, reason = "the first day comes before the last")]
fn any_period() -> Period {
    Period::new(NaiveDate::MIN, NaiveDate::MAX).expect("a period")
}
