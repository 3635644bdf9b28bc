//! A table read from a file, and its protection by suppression.
#![allow(clippy::indexing_slicing, reason = "cells are indices of the lattice")]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use super::dimension::Dimension;
use super::error::FileError;
use super::read::Columns;
use crate::disclosure::lattice::Lattice;
use crate::disclosure::primary::{Facts, Rules};
use crate::disclosure::task::alone;
use crate::domain::canonical::{CanonicalError, Digest};

/// What a contributor adds to a cell.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Contribution {
    pub(super) by: usize,
    pub(super) amount: u64,
}

/// A table read from a file: every cell of every margin.
pub struct FileTable {
    pub(super) dimensions: Vec<Dimension>,
    pub(super) lattice: Lattice,
    pub(super) persons: Vec<u64>,
    /// What is published: the persons, or a sum.
    pub(super) values: Vec<u64>,
    pub(super) impossible: Vec<bool>,
    pub(super) is_sum: bool,
    /// Who is in each cell that is not empty, if the file tells; each contributor once.
    contributors: Option<HashMap<usize, Vec<Contribution>>>,
    /// What the file calls its contributors.
    names: Vec<String>,
    /// How many units have reported the contributors of each cell, if the file tells.
    units: Option<Vec<u64>>,
}

/// It holds true counts, so it shows none.
impl fmt::Debug for FileTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileTable(redacted)")
    }
}

impl FileTable {
    pub(super) fn new(
        dimensions: Vec<Dimension>,
        lattice: Lattice,
        columns: &Columns,
        mut persons: Vec<u64>,
        sums: Vec<u64>,
        mut impossible: Vec<bool>,
        (inner, names): (HashMap<usize, Vec<Contribution>>, Vec<String>),
    ) -> Self {
        for cell in 0..lattice.cells() {
            impossible[cell] = lattice.inner_below(cell).into_iter().all(|c| impossible[c]);
        }
        let contributors = columns.contributors.is_some().then(|| gathered(&lattice, inner));
        if let Some(contributors) = &contributors {
            for (cell, persons) in persons.iter_mut().enumerate() {
                *persons = contributors.get(&cell).map_or(0, |list| list.len() as u64);
            }
        }
        let is_sum = columns.sum.is_some();
        let values = if is_sum { sums } else { persons.clone() };
        Self { dimensions, lattice, persons, values, impossible, is_sum, contributors, names, units: None }
    }

    /// The table with the units that have reported each inner cell.
    pub(super) fn reported_by(mut self, inner: &HashMap<usize, BTreeSet<usize>>) -> Self {
        let of = |cell: usize| {
            let below = self.lattice.inner_below(cell);
            below.iter().filter_map(|c| inner.get(c)).flatten().collect::<BTreeSet<_>>().len() as u64
        };
        self.units = Some((0..self.cells()).map(of).collect());
        self
    }

    /// A table of counts that add up, without impossible cells.
    pub(super) fn counted(dimensions: Vec<Dimension>, lattice: Lattice, persons: Vec<u64>) -> Self {
        let (values, impossible) = (persons.clone(), vec![false; lattice.cells()]);
        let (is_sum, contributors, names, units) = (false, None, Vec::new(), None);
        Self { dimensions, lattice, persons, values, impossible, is_sum, contributors, names, units }
    }

    /// Whether a sum is published instead of the persons.
    pub(super) const fn is_sum(&self) -> bool {
        self.is_sum
    }

    /// What the file calls its contributors, if it says who is in each cell.
    pub(super) fn contributor_names(&self) -> Option<&[String]> {
        self.contributors.is_some().then_some(&self.names)
    }

    /// How many cells there are, margins included.
    #[must_use]
    pub const fn cells(&self) -> usize {
        self.lattice.cells()
    }

    /// How many persons are in these cells altogether.
    #[must_use]
    pub fn mass(&self, cells: &[bool]) -> u64 {
        self.persons.iter().zip(cells).filter(|(_, chosen)| **chosen).map(|(persons, _)| persons).sum()
    }

    /// The inner cells that a cell is the sum of; the first cell is the total of all.
    #[must_use]
    pub fn inner_cells(&self, cell: usize) -> Vec<usize> {
        self.lattice.inner_below(cell)
    }

    /// The cells that must not be known.
    ///
    /// # Errors
    /// [`FileError::NoContributors`] if a rule for sums lacks what it is about.
    pub fn primary(&self, rules: &Rules) -> Result<Vec<bool>, FileError> {
        if !(rules.sums.is_empty() || self.is_sum && self.contributors.is_some()) {
            return Err(FileError::NoContributors);
        }
        let is_sensitive = |cell: usize| {
            let mut contributions: Vec<u64> = self.contributors_of(cell).iter().map(|c| c.amount).collect();
            contributions.sort_unstable_by(|a, b| b.cmp(a));
            let units = self.units.as_ref().map(|units| units[cell]);
            let facts = Facts { persons: self.persons[cell], units, contributions: &contributions };
            !self.impossible[cell] && rules.is_sensitive(facts)
        };
        let mut primary: Vec<bool> = (0..self.cells()).map(is_sensitive).collect();
        if self.is_sum {
            // A sum of zero over somebody tells every sum below it.
            let inner: Vec<bool> = primary.clone();
            for cell in (0..self.cells()).filter(|&c| self.persons[c] > 0 && self.values[c] == 0) {
                primary[cell] |= self.lattice.inner_below(cell).into_iter().any(|c| inner[c]);
            }
        }
        Ok(primary)
    }

    /// Who is in a cell, each contributor once; nobody if the file does not tell.
    pub(super) fn contributors_of(&self, cell: usize) -> &[Contribution] {
        self.contributors.as_ref().and_then(|all| all.get(&cell)).map_or(&[], Vec::as_slice)
    }

    /// The inner cells that each contributor is in.
    pub(super) fn memberships(&self) -> BTreeMap<usize, BTreeSet<usize>> {
        let mut all: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        for cell in self.lattice.inner() {
            for contribution in self.contributors_of(cell) {
                all.entry(contribution.by).or_default().insert(cell);
            }
        }
        all
    }

    /// The contributor who is alone in each cell, as far as the contributor can tell: not in a sum of cells of
    /// which another one, for all that is known, may hold somebody too.
    pub(super) fn alone(&self, known_empty: &[bool]) -> Vec<Option<u32>> {
        let mut all = if self.contributors.is_some() {
            let only = |cell: usize| match self.contributors_of(cell) {
                [one] => u32::try_from(one.by).ok(),
                _ => None,
            };
            (0..self.cells()).map(only).collect()
        } else {
            alone(&self.lattice, &self.persons)
        };
        for (cell, alone) in all.iter_mut().enumerate().filter(|(_, alone)| alone.is_some()) {
            let unknown = |c: &usize| self.persons[*c] == 0 && !known_empty[*c];
            if self.lattice.inner_below(cell).iter().any(unknown) {
                *alone = None;
            }
        }
        all
    }

    /// A digest of what the table counts and how it divides it.
    pub(super) fn digest(&self) -> Result<Digest, FileError> {
        let divided: Vec<_> = self.dimensions.iter().map(|d| (&d.name, &d.codes)).collect();
        let mut bytes =
            serde_json::to_vec(&divided).map_err(|_| CanonicalError::NotEncodable("table shape"))?;
        bytes.extend(self.values.iter().chain(&self.persons).flat_map(|count| count.to_be_bytes()));
        Ok(Digest::of_bytes("kpr/cell-file/v1", &bytes))
    }
}

/// The contributors of all cells from those of the inner cells, each once in a cell, in their order.
pub(super) fn gathered(
    lattice: &Lattice,
    inner: HashMap<usize, Vec<Contribution>>,
) -> HashMap<usize, Vec<Contribution>> {
    let mut all: HashMap<usize, Vec<Contribution>> = HashMap::new();
    for (cell, list) in inner {
        let above = lattice.trees().iter().enumerate().map(|(d, tree)| tree.above(lattice.node(cell, d)));
        for cell in lattice.product(above) {
            all.entry(cell).or_default().extend(&list);
        }
    }
    for list in all.values_mut() {
        list.sort_unstable_by_key(|c| c.by);
        list.dedup_by(|next, kept| {
            let same = next.by == kept.by;
            kept.amount += if same { next.amount } else { 0 };
            same
        });
    }
    all
}
