//! Reads a file of cells: a column a dimension, a count column, and where asked for a sum and the contributor.
#![allow(clippy::indexing_slicing, reason = "columns and codes are indices this module has made itself")]

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::Read;

use super::dimension::{Dimension, Edge, edges};
use super::error::FileError;
use super::table::{Contribution, FileTable};
use crate::disclosure::lattice::Lattice;

/// The most cells, margins included, that are protected at once.
const MOST_CELLS: usize = 4_000_000;
/// The greatest count: every whole number up to it is exact wherever a table goes.
const GREATEST: u64 = 1 << 53;

/// Which columns hold what; every other one is a dimension.
#[derive(Debug, Clone, Default)]
pub struct Columns {
    /// The count of persons.
    pub count: String,
    /// The sum to publish instead of the count.
    pub sum: Option<String>,
    /// Who contributes the line.
    pub contributors: Option<String>,
    /// Which unit has reported it.
    pub units: Option<String>,
}

/// Where a hierarchy stands.
pub enum Hierarchy {
    /// In `child,parent` lines.
    Lines(Box<dyn Read>),
    /// In another column of the cells.
    Column(String),
}

/// A line of the file.
struct Row {
    line: u64,
    codes: Vec<usize>,
    contributor: usize,
    unit: usize,
    /// None for an impossible combination.
    count: Option<u64>,
    sum: u64,
}

/// The numbers of texts, by first appearance.
#[derive(Default)]
struct Numbers {
    texts: Vec<String>,
    places: HashMap<String, usize>,
}

impl Numbers {
    fn of(&mut self, text: &str) -> usize {
        if let Some(place) = self.places.get(text) {
            return *place;
        }
        self.places.insert(text.to_owned(), self.texts.len());
        self.texts.push(text.to_owned());
        self.texts.len() - 1
    }
}

impl FileTable {
    /// Reads the cells and their hierarchies, each named by its dimension.
    ///
    /// # Errors
    /// [`FileError`]: what is wrong with the files.
    pub fn read(
        cells: impl Read,
        columns: &Columns,
        hierarchies: Vec<(String, Hierarchy)>,
    ) -> Result<Self, FileError> {
        let csv = |e| FileError::Csv("the cells", e);
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(cells);
        let header: Vec<String> = reader.headers().map_err(csv)?.iter().map(ToOwned::to_owned).collect();
        if header.is_empty() {
            return Err(FileError::NoHeader);
        }
        let find = |name: &str| {
            header
                .iter()
                .position(|h| h == name)
                .ok_or_else(|| FileError::NoColumn { column: name.to_owned(), columns: header.join(", ") })
        };
        if let Some(twice) = header.iter().enumerate().find(|(i, h)| header[..*i].contains(h)) {
            return Err(FileError::ColumnTwice(twice.1.clone()));
        }
        let count = find(&columns.count)?;
        let sum = columns.sum.as_deref().map(find).transpose()?;
        let contributors = columns.contributors.as_deref().map(find).transpose()?;
        let units = columns.units.as_deref().map(find).transpose()?;
        let mut lists: HashMap<usize, Vec<Edge>> = HashMap::new();
        let mut above: Vec<(usize, usize)> = Vec::new();
        for (name, hierarchy) in hierarchies {
            let dimension = find(&name).map_err(|_| FileError::NoHierarchyDimension(name.clone()))?;
            match hierarchy {
                Hierarchy::Lines(source) => lists.entry(dimension).or_default().extend(edges(&name, source)?),
                Hierarchy::Column(parent) => above.push((dimension, find(&parent)?)),
            }
        }
        let special = |i: &usize| {
            *i == count || [sum, contributors, units].contains(&Some(*i)) || above.iter().any(|(_, p)| p == i)
        };
        let places: Vec<usize> = (0..header.len()).filter(|i| !special(i)).collect();
        if places.is_empty() {
            return Err(FileError::NoDimension);
        }
        if let Some((wrong, _)) = lists.iter().find(|(d, _)| !places.contains(d)) {
            return Err(FileError::NoHierarchyDimension(header[*wrong].clone()));
        }

        let mut codes: Vec<Numbers> = places.iter().map(|_| Numbers::default()).collect();
        let (mut who, mut whence) = (Numbers::default(), Numbers::default());
        let mut rows = Vec::new();
        let mut seen_above: HashSet<(usize, String, String)> = HashSet::new();
        for record in reader.records() {
            let record = record.map_err(csv)?;
            let line = record.position().map_or(0, csv::Position::line);
            let text = |column: usize| -> Result<&str, FileError> {
                record
                    .get(column)
                    .filter(|text| !text.is_empty())
                    .ok_or_else(|| FileError::NoCode { line, column: header[column].clone() })
            };
            let number = |column: usize| -> Result<u64, FileError> {
                let parsed = record.get(column).and_then(|text| text.parse().ok());
                parsed
                    .filter(|n| *n <= GREATEST)
                    .ok_or_else(|| FileError::NotACount { line, column: header[column].clone() })
            };
            let impossible = record.get(count) == Some(".");
            rows.push(Row {
                line,
                codes: places
                    .iter()
                    .zip(&mut codes)
                    .map(|(&c, n)| Ok(n.of(text(c)?)))
                    .collect::<Result<_, FileError>>()?,
                contributor: contributors.map(text).transpose()?.map_or(0, |name| who.of(name)),
                unit: units.map(text).transpose()?.map_or(0, |name| whence.of(name)),
                count: if impossible { None } else { Some(number(count)?) },
                sum: sum.filter(|_| !impossible).map(number).transpose()?.unwrap_or(0),
            });
            for &(child, parent) in &above {
                if seen_above.insert((child, text(child)?.to_owned(), text(parent)?.to_owned())) {
                    let edge = (text(child)?.to_owned(), text(parent)?.to_owned(), line);
                    lists.entry(child).or_default().push(edge);
                }
            }
        }
        if rows.is_empty() {
            return Err(FileError::Empty);
        }
        let dimensions = places
            .iter()
            .zip(&codes)
            .map(|(place, numbers)| {
                let edges = lists.get(place).map_or(&[][..], Vec::as_slice);
                Dimension::new(&header[*place], &numbers.texts, edges)
            })
            .collect::<Result<Vec<_>, _>>()?;
        build(dimensions, &codes, rows, columns, who.texts)
    }
}

/// Puts the lines in their cells.
fn build(
    dimensions: Vec<Dimension>,
    codes: &[Numbers],
    rows: Vec<Row>,
    columns: &Columns,
    names: Vec<String>,
) -> Result<FileTable, FileError> {
    let size = dimensions.iter().try_fold(1usize, |size, d| size.checked_mul(d.tree.len()));
    if size.is_none_or(|size| size > MOST_CELLS) {
        return Err(FileError::TooLarge(MOST_CELLS));
    }
    let lattice = Lattice::new(dimensions.iter().map(|d| d.tree.clone()).collect());
    let nodes: Vec<Vec<usize>> = dimensions
        .iter()
        .zip(codes)
        .map(|(d, numbers)| numbers.texts.iter().map(|code| d.position(code).unwrap_or_default()).collect())
        .collect();
    let cell = |row: &Row| -> usize {
        row.codes.iter().enumerate().map(|(d, &code)| nodes[d][code] * lattice.stride(d)).sum()
    };
    let is_inner =
        |cell: usize| dimensions.iter().enumerate().all(|(d, x)| x.tree.is_leaf(lattice.node(cell, d)));

    let mut persons = vec![0; lattice.cells()];
    let mut sums = vec![0; lattice.cells()];
    let mut impossible = vec![false; lattice.cells()];
    let mut contributions: HashMap<usize, Vec<Contribution>> = HashMap::new();
    let mut units: HashMap<usize, BTreeSet<usize>> = HashMap::new();
    let (mut seen, mut margins) = (HashSet::new(), Vec::new());
    let mut total = [0, 0];
    for row in &rows {
        let (cell, line) = (cell(row), row.line);
        total = [total[0] + row.count.unwrap_or(0), total[1] + row.sum];
        if total.iter().any(|total| *total > GREATEST) {
            return Err(FileError::TooMany { line });
        }
        if !seen.insert((cell, row.contributor)) {
            let hint = if columns.contributors.is_some() {
                " for this contributor"
            } else {
                "; several lines a cell need --contributors"
            };
            return Err(FileError::Twice { line, hint });
        }
        if !is_inner(cell) {
            if columns.contributors.is_some() {
                return Err(FileError::Margin { line });
            }
            margins.push((cell, row));
            continue;
        }
        impossible[cell] = row.count.is_none();
        let count = row.count.unwrap_or(0);
        persons[cell] += count;
        sums[cell] += row.sum;
        if columns.contributors.is_some() && count > 0 {
            if count > 1 {
                return Err(FileError::NotOne { line });
            }
            let contribution = Contribution { by: row.contributor, amount: row.sum };
            contributions.entry(cell).or_default().push(contribution);
            units.entry(cell).or_default().insert(row.unit);
        }
    }
    lattice.fill(&mut persons);
    lattice.fill(&mut sums);
    for (cell, row) in margins {
        let agrees = row.count.is_none_or(|count| count == persons[cell]) && row.sum == sums[cell];
        if !agrees || row.count.is_none() && persons[cell] > 0 {
            return Err(FileError::NotAdditive { line: row.line });
        }
    }
    let table =
        FileTable::new(dimensions, lattice, columns, persons, sums, impossible, (contributions, names));
    Ok(if columns.units.is_some() { table.reported_by(&units) } else { table })
}
