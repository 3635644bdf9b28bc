//! The protected table as a file, and an earlier one read again.
#![allow(clippy::indexing_slicing, reason = "cells are indices of the table")]

use std::io::{Read, Write};

use super::error::FileError;
use super::table::FileTable;
use crate::disclosure::inspection::Range;

/// The column of values.
const VALUE: &str = "value";
/// The column of status symbols, as Statistics Norway uses them.
const STATUS: &str = "status";
/// The status of a withheld cell.
const CONFIDENTIAL: &str = ":";
/// The status of an impossible combination.
const NOT_APPLICABLE: &str = ".";

impl FileTable {
    /// Writes every cell of every margin: its codes (`Total` for all), its value unless it is withheld, and
    /// its status: empty, `:` for withheld, `.` for impossible.
    ///
    /// # Errors
    /// [`FileError::Write`].
    pub fn write(&self, withheld: &[bool], out: impl Write) -> Result<(), FileError> {
        // A cell that is not known to be open is withheld.
        let open = |cell: usize| withheld.get(cell) == Some(&false);
        self.write_lines(&[], out, |cell| open(cell).then(|| [self.values[cell].to_string()]))
    }

    /// Writes every cell of every margin: its codes, the first of its numbers, its status (empty, or `.` for
    /// impossible), and its other numbers under the names of `more`.
    pub(super) fn write_cells<const N: usize>(
        &self,
        more: &[&str],
        out: impl Write,
        numbers: impl Fn(usize) -> [String; N],
    ) -> Result<(), FileError> {
        self.write_lines(more, out, |cell| Some(numbers(cell)))
    }

    /// Writes a line a cell; a cell without numbers is withheld.
    fn write_lines<const N: usize>(
        &self,
        more: &[&str],
        out: impl Write,
        numbers: impl Fn(usize) -> Option<[String; N]>,
    ) -> Result<(), FileError> {
        let mut writer = csv::Writer::from_writer(out);
        writer.write_record(self.header().chain(more.iter().copied())).map_err(FileError::Write)?;
        for cell in 0..self.cells() {
            let numbers = numbers(cell).filter(|_| !self.impossible[cell]);
            let status = match numbers {
                _ if self.impossible[cell] => NOT_APPLICABLE,
                Some(_) => "",
                None => CONFIDENTIAL,
            };
            let mut numbers = numbers.unwrap_or([const { String::new() }; N]).into_iter();
            let mut record: Vec<String> = self.codes(cell).map(ToOwned::to_owned).collect();
            record.extend(numbers.next());
            record.push(status.to_owned());
            record.extend(numbers);
            writer.write_record(record).map_err(FileError::Write)?;
        }
        writer.flush().map_err(|e| FileError::Write(e.into()))
    }

    /// Writes the range of each withheld cell: its codes, the least and the most that nobody can rule out.
    ///
    /// # Errors
    /// [`FileError::Write`].
    pub fn write_ranges(&self, ranges: &[Option<Range>], out: impl Write) -> Result<(), FileError> {
        let mut writer = csv::Writer::from_writer(out);
        let names = self.dimensions.iter().map(|d| d.name.as_str());
        writer.write_record(names.chain(["low", "high"])).map_err(FileError::Write)?;
        for (cell, range) in ranges.iter().enumerate().take(self.cells()) {
            let Some(Range { low, high }) = range else { continue };
            let (low, high) = (low.to_string(), high.to_string());
            let record = self.codes(cell).chain([low.as_str(), high.as_str()]);
            writer.write_record(record).map_err(FileError::Write)?;
        }
        writer.flush().map_err(|e| FileError::Write(e.into()))
    }

    /// Reads a table that was protected earlier: for each cell whether it was published. It may be a part of
    /// this table.
    ///
    /// # Errors
    /// [`FileError`] if its columns or codes are not those of this table, or a value has changed.
    pub fn published_in(&self, earlier: impl Read) -> Result<Vec<bool>, FileError> {
        let csv = |e| FileError::Csv("the earlier table", e);
        let mut reader = csv::Reader::from_reader(earlier);
        let header: Vec<String> = reader.headers().map_err(csv)?.iter().map(ToOwned::to_owned).collect();
        let wanted: Vec<&str> = self.header().collect();
        let columns = wanted.iter().map(|name| header.iter().position(|h| h == name));
        let columns: Vec<usize> =
            columns.collect::<Option<_>>().ok_or_else(|| FileError::OtherColumns(wanted.join(", ")))?;
        let (dimensions, last) = columns.split_at(self.dimensions.len());
        let mut published = vec![false; self.cells()];
        for record in reader.records() {
            let record = record.map_err(csv)?;
            let line = record.position().map_or(0, csv::Position::line);
            let field = |column: usize| record.get(column).unwrap_or_default();
            let nodes = self.dimensions.iter().zip(dimensions).map(|(d, &column)| d.position(field(column)));
            let nodes: Vec<usize> = nodes.collect::<Option<_>>().ok_or(FileError::NoSuchCell { line })?;
            let cell: usize = nodes.iter().enumerate().map(|(d, node)| node * self.lattice.stride(d)).sum();
            if field(last[1]).is_empty() {
                if field(last[0]).parse() != Ok(self.values[cell]) {
                    return Err(FileError::Changed { line });
                }
                published[cell] = true;
            }
        }
        Ok(published)
    }

    fn header(&self) -> impl Iterator<Item = &str> {
        self.dimensions.iter().map(|d| d.name.as_str()).chain([VALUE, STATUS])
    }

    /// The codes of a cell, one a dimension.
    pub fn codes(&self, cell: usize) -> impl Iterator<Item = &str> {
        let node = move |d: usize| self.lattice.node(cell, d);
        self.dimensions.iter().enumerate().map(move |(d, dimension)| dimension.codes[node(d)].as_str())
    }
}
