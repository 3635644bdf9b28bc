//! Sparse rows over the field and their echelon form.
//!
//! Columns are numbered by the caller in the order in which they may become pivots, so that a row whose
//! pivot lies at or after some column is zero on all columns before it.
#![allow(clippy::indexing_slicing, reason = "columns are below the width the echelon was made for")]

use std::cmp::Reverse;

use super::divisible::whole;
use super::queue::Queue;
use crate::disclosure::field::{add, inv, mul, neg};

/// A sparse row: columns ascending, no zero.
pub(super) type Row = Vec<(u32, u64)>;

/// Rows with different pivots, a pivot being the first column of its row, where the row is 1. Columns at
/// and after the width are carried along and never become pivots: they say what a row is made of.
#[derive(Debug)]
pub(super) struct Echelon<'a> {
    width: u32,
    below: Option<&'a Echelon<'a>>,
    rows: Vec<Row>,
    pivots: Places,
    /// The places of the rows that are not of whole numbers, columns beyond the width included.
    divided: Vec<usize>,
}

/// For each pivot the place of its row.
#[derive(Debug, Default)]
struct Places(Vec<u32>);

impl Places {
    const NONE: u32 = u32::MAX;

    fn of(&self, column: u32) -> Option<usize> {
        self.0.get(column as usize).filter(|place| **place != Self::NONE).map(|&place| place as usize)
    }

    fn set(&mut self, column: u32, place: usize) {
        let at = column as usize;
        if at >= self.0.len() {
            self.0.resize(at + 1, Self::NONE);
        }
        self.0[at] = u32::try_from(place).unwrap_or(Self::NONE);
    }
}

/// Room to work in, kept between rows.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    values: Vec<u64>,
    queue: Queue,
}

impl Scratch {
    fn put(&mut self, column: u32, value: u64) {
        let at = column as usize;
        if at >= self.values.len() {
            self.values.resize(at + 1, 0);
        }
        self.values[at] = add(self.values[at], value);
        self.queue.push(column);
    }

    fn add_scaled(&mut self, row: &Row, factor: u64) {
        for &(column, value) in row {
            self.put(column, mul(value, factor));
        }
    }

    fn pop(&mut self) -> Option<(u32, u64)> {
        let column = self.queue.pop()?;
        Some((column, std::mem::take(&mut self.values[column as usize])))
    }

    /// What is left, in order.
    fn drain(&mut self, into: &mut Row) {
        while let Some((column, value)) = self.pop() {
            if value != 0 {
                into.push((column, value));
            }
        }
    }
}

impl<'a> Echelon<'a> {
    /// No rows over so many columns.
    pub(super) fn new(width: u32) -> Self {
        Self { width, below: None, rows: Vec::new(), pivots: Places::default(), divided: Vec::new() }
    }

    /// On top of another, whose rows it uses and does not change.
    pub(super) fn over(below: &'a Echelon<'a>) -> Self {
        Self {
            width: below.width,
            below: Some(below),
            rows: Vec::new(),
            pivots: Places::default(),
            divided: Vec::new(),
        }
    }

    /// How many columns there are that can be pivots.
    pub(super) const fn width(&self) -> u32 {
        self.width
    }

    /// Whether it has no rows of its own.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn with_pivot(&self, column: u32) -> Option<&Row> {
        match self.pivots.of(column) {
            Some(at) => Some(&self.rows[at]),
            None => self.below.and_then(|below| below.with_pivot(column)),
        }
    }

    /// Takes the row's pivots away until its first column is no pivot, and gives what is left: empty, but
    /// for columns beyond the width, exactly if the row lies in the span.
    fn reduce(&self, row: &Row, scratch: &mut Scratch) -> Row {
        scratch.add_scaled(row, 1);
        let mut left = Row::new();
        while let Some((column, value)) = scratch.pop() {
            if value == 0 {
                continue;
            }
            match self.with_pivot(column) {
                Some(pivot) => {
                    // The pivot itself has just been taken out.
                    for &(c, v) in &pivot[1..] {
                        scratch.put(c, mul(v, neg(value)));
                    }
                }
                None => {
                    left.push((column, value));
                    scratch.drain(&mut left);
                }
            }
        }
        left
    }

    /// Its rows and those below it that are not of whole numbers and have a pivot before a column, each without the pivots
    /// of other rows. (Whole rows say what their pivots are whatever whole numbers the other columns have.)
    pub(super) fn divided(&self, before: u32, scratch: &mut Scratch) -> Vec<Row> {
        let mut divided = Vec::new();
        let mut level = Some(self);
        while let Some(echelon) = level {
            let rows = echelon.divided.iter().map(|&place| &echelon.rows[place]);
            divided.extend(rows.filter(|row| row[0].0 < before).map(|row| self.apart(row, scratch)));
            level = echelon.below;
        }
        divided
    }

    /// One of its rows without the pivots of the others.
    fn apart(&self, row: &Row, scratch: &mut Scratch) -> Row {
        let mut left = Row::new();
        scratch.add_scaled(row, 1);
        while let Some((column, value)) = scratch.pop() {
            match self.with_pivot(column).filter(|_| column != row[0].0) {
                Some(pivot) if value != 0 => {
                    for &(c, v) in &pivot[1..] {
                        scratch.put(c, mul(v, neg(value)));
                    }
                }
                _ if value != 0 => left.push((column, value)),
                _ => {}
            }
        }
        left
    }

    /// Inserts a row; false if it lay in the span.
    pub(super) fn insert(&mut self, row: &Row, scratch: &mut Scratch) -> bool {
        let mut left = self.reduce(row, scratch);
        let Some(&(pivot, value)) = left.first().filter(|(column, _)| *column < self.width) else {
            return false;
        };
        let scale = inv(value);
        for (_, value) in &mut left {
            *value = mul(*value, scale);
        }
        if left.iter().any(|(_, value)| whole(*value).is_none()) {
            self.divided.push(self.rows.len());
        }
        self.pivots.set(pivot, self.rows.len());
        self.rows.push(left);
        true
    }

    /// Whether a row lies in the span.
    pub(super) fn spans(&self, row: &Row, scratch: &mut Scratch) -> bool {
        self.reduce(row, scratch).first().is_none_or(|(column, _)| *column >= self.width)
    }

    /// How many rows of its own it has.
    pub(super) const fn len(&self) -> usize {
        self.rows.len()
    }

    /// The places of those of its own rows whose pivot is at or after a column.
    pub(super) fn places(&self, from: u32) -> impl Iterator<Item = usize> + '_ {
        (0..self.rows.len()).filter(move |&place| self.rows[place][0].0 >= from)
    }

    /// The row at a place.
    pub(super) fn row(&self, place: usize) -> &Row {
        &self.rows[place]
    }

    /// Its rows and those below it, down to but not including `base`, whose pivot is at or after a column.
    pub(super) fn rows(&self, from: u32, base: Option<&Echelon<'_>>) -> Vec<&Row> {
        let mut rows = Vec::new();
        let mut level = Some(self);
        while let Some(echelon) = level.filter(|level| base.is_none_or(|base| !std::ptr::eq(*level, base))) {
            rows.extend(echelon.rows.iter().filter(|row| row[0].0 >= from));
            level = echelon.below;
        }
        rows
    }
}

/// Rows of an echelon reduced among each other: each pivot is a column of one row only.
pub(super) fn reduced(mut rows: Vec<&Row>, scratch: &mut Scratch) -> Vec<Row> {
    // From the last pivot to the first, so that what is taken away has no pivots left in it.
    rows.sort_by_key(|row| Reverse(row[0].0));
    let mut pivots = Places::default();
    let mut reduced: Vec<Row> = Vec::with_capacity(rows.len());
    for row in rows {
        scratch.add_scaled(row, 1);
        let mut left = Row::with_capacity(row.len());
        while let Some((column, value)) = scratch.pop() {
            match pivots.of(column) {
                Some(pivot) if value != 0 => {
                    for &(c, v) in &reduced[pivot][1..] {
                        scratch.put(c, mul(v, neg(value)));
                    }
                }
                _ if value != 0 => left.push((column, value)),
                _ => {}
            }
        }
        pivots.set(left[0].0, reduced.len());
        reduced.push(left);
    }
    reduced
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sparse(dense: &[u64]) -> Row {
        (0..).zip(dense.iter().copied()).filter(|(_, v)| *v != 0).collect()
    }

    proptest! {
        #[test]
        fn rank_and_span_are_those_of_dense_elimination(
            below in prop::collection::vec(prop::collection::vec(0u64..3, 7), 0..5),
            above in prop::collection::vec(prop::collection::vec(0u64..3, 7), 0..5),
            asked in prop::collection::vec(0u64..3, 7),
        ) {
            let mut dense = crate::disclosure::subspace::Span::default();
            let scratch = &mut Scratch::default();
            let mut first = Echelon::new(7);
            for row in &below {
                prop_assert_eq!(first.insert(&sparse(row), scratch), dense.insert(row.clone()));
            }
            let mut second = Echelon::over(&first);
            for row in &above {
                prop_assert_eq!(second.insert(&sparse(row), scratch), dense.insert(row.clone()));
            }
            let mut left = asked.clone();
            dense.reduce(&mut left);
            prop_assert_eq!(second.spans(&sparse(&asked), scratch), left.iter().all(|&v| v == 0));
            let all = reduced(second.rows(0, None), scratch);
            prop_assert_eq!(all.len(), dense.dimension());
            for row in &all {
                prop_assert!(second.spans(row, scratch));
                let others = all.iter().filter(|other| other[0].0 == row[0].0
                    || other.iter().any(|(c, _)| *c == row[0].0));
                prop_assert_eq!(others.count(), 1, "a pivot is a column of one row");
            }
            for row in reduced(second.rows(4, None), scratch) {
                prop_assert!(row[0].0 >= 4);
            }
        }

        #[test]
        fn columns_beyond_the_width_tell_what_a_row_is_made_of(
            rows in prop::collection::vec(prop::collection::vec(0u64..3, 5), 1..6),
        ) {
            let scratch = &mut Scratch::default();
            let mut echelon = Echelon::new(5);
            for (at, row) in rows.iter().enumerate() {
                let mut tagged = sparse(row);
                tagged.push((5 + at as u32, 1));
                echelon.insert(&tagged, scratch);
            }
            for row in reduced(echelon.rows(0, None), scratch) {
                let mut sum = [0; 5];
                for &(tag, factor) in row.iter().filter(|(c, _)| *c >= 5) {
                    for (s, &v) in sum.iter_mut().zip(&rows[tag as usize - 5]) {
                        *s = add(*s, mul(v, factor));
                    }
                }
                let carried: Row = row.into_iter().filter(|(c, _)| *c < 5).collect();
                prop_assert_eq!(sparse(&sum), carried);
            }
        }
    }
}
