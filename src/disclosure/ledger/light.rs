//! What earlier releases tell of light atoms, and which of it can matter for the proposal.
//!
//! Take a row with atoms that no other row has and that can spare k-1 persons or more together. A word that takes the
//! row has all of these atoms, which are k persons or more, so no light word takes it; and whatever else changes, these
//! atoms give and take what keeps the row's sum, as atoms of k or more persons are taken to do. So the row is left
//! out; then atoms may be left that one other row alone has, and so on.
#![allow(clippy::indexing_slicing, reason = "atoms and rows are numbered by the echelon")]

use std::collections::{HashMap, HashSet};

use super::echelon::{Echelon, Row, Scratch, reduced};
use super::refine::Refined;
use super::words::GivenUp;
use crate::disclosure::field::neg;

/// The most rows that are looked at together; beyond them a release is refused.
const MOST_ROWS: usize = 20_000;
/// The most rows among which those are sought.
const MOST_CONNECTED: usize = 2_000_000;

/// The light rows of an echelon: those that each light atom is in.
pub(super) struct Light {
    from: u32,
    /// For each light atom where its rows begin in `with`, and at last where all end.
    first: Vec<u32>,
    with: Vec<u32>,
}

impl Light {
    pub(super) fn new(earlier: &Echelon<'_>, light_from: u32) -> Self {
        let rows: Vec<usize> = earlier.places(light_from).collect();
        let atoms = earlier.width().saturating_sub(light_from) as usize;
        let mut first = vec![0_u32; atoms + 1];
        for &(column, _) in rows.iter().flat_map(|&place| earlier.row(place)) {
            first[(column - light_from) as usize] += 1;
        }
        let mut end = 0;
        for place in &mut first {
            end += *place;
            *place = end;
        }
        // From the last to the first, so that each place ends up where its rows begin.
        let mut with = vec![0; end as usize];
        for row in rows {
            for &(column, _) in earlier.row(row) {
                let place = &mut first[(column - light_from) as usize];
                *place -= 1;
                with[*place as usize] = u32::try_from(row).unwrap_or(u32::MAX);
            }
        }
        Self { from: light_from, first, with }
    }

    /// The places of the rows that have a column; none have one beyond the atoms, or one that is not light.
    fn with(&self, column: u32) -> &[u32] {
        let Some(at) = column.checked_sub(self.from).map(|at| at as usize) else { return &[] };
        match self.first.get(at..at + 2) {
            Some(&[from, to]) => &self.with[from as usize..to as usize],
            _ => &[],
        }
    }

    /// Those of some rows, and of the earlier ones that are connected with them or with some atoms by light atoms, that
    /// can matter; reduced.
    pub(super) fn near(
        &self,
        earlier: &Echelon<'_>,
        rows: Vec<&Row>,
        atoms: &HashSet<u32>,
        (refined, least): (&Refined, u32),
    ) -> Result<Vec<Row>, GivenUp> {
        let marked = rows.len();
        let mut all = rows;
        let mut taken = vec![false; earlier.len()];
        let mut take = |column: u32, all: &mut Vec<_>| {
            for &other in self.with(column) {
                if !std::mem::replace(&mut taken[other as usize], true) {
                    all.push(earlier.row(other as usize));
                }
            }
        };
        for &atom in atoms {
            take(atom, &mut all);
        }
        let mut at = 0;
        while let Some(&row) = all.get(at) {
            at += 1;
            for (column, _) in row {
                take(*column, &mut all);
            }
            if all.len() > MOST_CONNECTED {
                return Err(GivenUp);
            }
        }
        let left = Left::new(&all, refined, least);
        let matter = left.connected(marked, atoms);
        if matter.len() > MOST_ROWS {
            return Err(GivenUp);
        }
        Ok(reduced(matter, &mut Scratch::default()))
    }
}

/// In which rows that are left a light atom is.
#[derive(Clone, Default)]
struct In {
    rows: Vec<u32>,
    left: u32,
    /// The exclusive or of the numbers of those left: of one alone, its number.
    mixed: u32,
}

/// Connected rows without those that cannot matter.
struct Left<'a> {
    rows: &'a [&'a Row],
    of: HashMap<u32, In>,
    gone: Vec<bool>,
    /// What the atoms that a row alone has can spare.
    own: Vec<u32>,
    open: Vec<u32>,
}

impl<'a> Left<'a> {
    fn new(rows: &'a [&'a Row], refined: &Refined, least: u32) -> Self {
        let is_atom = |column: u32| (column as usize) < refined.weights.len();
        let mut of: HashMap<u32, In> = HashMap::new();
        for (number, row) in (0..).zip(rows) {
            for &(column, _) in row.iter().filter(|(column, _)| is_atom(*column)) {
                let of = of.entry(column).or_default();
                of.rows.push(number);
                of.left += 1;
                of.mixed ^= number;
            }
        }
        let (own, gone) = (vec![0; rows.len()], vec![false; rows.len()]);
        let mut left = Self { rows, of, gone, own, open: Vec::new() };
        let alone: Vec<(u32, u32)> =
            left.of.iter().filter(|(_, of)| of.left == 1).map(|(atom, of)| (of.mixed, *atom)).collect();
        for (row, atom) in alone {
            left.has_alone(row, atom, &refined.spare, least);
        }
        while let Some(row) = left.open.pop() {
            left.gone[row as usize] = true;
            for &(column, _) in rows[row as usize].iter().filter(|(column, _)| is_atom(*column)) {
                let Some(of) = left.of.get_mut(&column) else { continue };
                of.left -= 1;
                of.mixed ^= row;
                if let In { left: 1, mixed, .. } = *of {
                    left.has_alone(mixed, column, &refined.spare, least);
                }
            }
        }
        left
    }

    /// Takes in that a row alone has an atom, which counts if it stands with 1 or -1: then it can give and take whole
    /// persons.
    fn has_alone(&mut self, row: u32, atom: u32, spare: &[u32], least: u32) {
        let entries = self.rows[row as usize];
        let value = entries.binary_search_by_key(&atom, |(column, _)| *column).map(|at| entries[at].1);
        let own = &mut self.own[row as usize];
        if value.is_ok_and(|value| value == 1 || value == neg(1)) && *own + 1 < least {
            *own += spare[atom as usize];
            if *own + 1 >= least {
                self.open.push(row);
            }
        }
    }

    /// The rows left that are connected with the first ones, or with some atoms.
    fn connected(&self, first: usize, atoms: &HashSet<u32>) -> Vec<&'a Row> {
        let rows_with = |atom: &u32| self.of.get(atom).into_iter().flat_map(|of| &of.rows).copied();
        let mut taken = self.gone.clone();
        let mut found: Vec<u32> = Vec::new();
        let seeds = (0..).take(first).chain(atoms.iter().flat_map(rows_with));
        found.extend(seeds.filter(|&row| !std::mem::replace(&mut taken[row as usize], true)));
        let mut at = 0;
        while let Some(&row) = found.get(at) {
            at += 1;
            for (column, _) in self.rows[row as usize] {
                found.extend(
                    rows_with(column).filter(|&row| !std::mem::replace(&mut taken[row as usize], true)),
                );
            }
        }
        found.into_iter().map(|row| self.rows[row as usize]).collect()
    }
}
