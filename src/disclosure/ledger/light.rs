//! What earlier releases tell of light atoms, and which of it can matter for the proposal.
//!
//! Take a row with atoms that no other row has and that can spare enough persons together, twice k-1. A word that takes the
//! row has all of these atoms, which are k persons or more, so no light word takes it; and whatever else changes, these
//! atoms give and take what keeps the row's sum, as an atom that enough can leave is taken to do. So the row is left
//! out; then atoms may be left that one other row alone has, and so on.
#![allow(clippy::indexing_slicing, reason = "atoms and rows are numbered by the echelon")]

use std::cell::Cell;
use std::collections::{HashMap, HashSet};

use super::divisible::whole;
use super::echelon::{Echelon, Row, Scratch, reduced};
use super::refine::Refined;
use super::words::{GivenUp, spend};
use crate::disclosure::field::neg;

/// The most rows that are looked at together; beyond them a release is refused.
const MOST_ROWS: usize = 20_000;
/// The most rows among which those are sought.
const MOST_CONNECTED: usize = 2_000_000;
/// What an entry of a row counts for, in steps of the search for small groups.
const WORK_AN_ENTRY: usize = 16;

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
        (refined, enough): (&Refined, u32),
        work: &Cell<usize>,
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
        spend(work, all.iter().map(|row| WORK_AN_ENTRY * row.len()).sum())?;
        let idle = idle(&all, refined, enough);
        let marked = idle.iter().take(marked).filter(|idle| !**idle).count();
        let all: Vec<&Row> =
            all.into_iter().zip(idle).filter(|(_, idle)| !idle).map(|(row, _)| row).collect();
        let matter = connected(&all, marked, atoms);
        if matter.len() > MOST_ROWS {
            return Err(GivenUp);
        }
        let rows = reduced(matter, &mut Scratch::default());
        spend(work, rows.iter().map(|row| WORK_AN_ENTRY * row.len()).sum())?;
        Ok(rows)
    }
}

/// Which of some rows cannot matter.
pub(super) fn idle(rows: &[&Row], refined: &Refined, enough: u32) -> Vec<bool> {
    let mut left = Left::new(rows, &refined.spare, enough);
    for (number, row) in (0..).zip(rows) {
        for &(column, _) in *row {
            if left.of.get(column as usize).is_some_and(|of| of.left == 1) {
                left.has_alone(number, column);
            }
        }
    }
    while let Some(row) = left.open.pop() {
        left.leave_out(row);
    }
    left.gone
}

/// In how many rows that are left an atom is.
#[derive(Clone, Default)]
struct In {
    left: u32,
    /// The exclusive or of their numbers: of one alone, its number.
    mixed: u32,
}

/// Rows without those that were found not to matter.
struct Left<'a> {
    rows: &'a [&'a Row],
    spare: &'a [u32],
    enough: u32,
    of: Vec<In>,
    gone: Vec<bool>,
    /// What the atoms that a row alone has can spare.
    own: Vec<u32>,
    open: Vec<u32>,
}

impl<'a> Left<'a> {
    fn new(rows: &'a [&'a Row], spare: &'a [u32], enough: u32) -> Self {
        let mut of = vec![In::default(); spare.len()];
        for (number, row) in (0..).zip(rows) {
            for &(column, _) in *row {
                if let Some(of) = of.get_mut(column as usize) {
                    of.left += 1;
                    of.mixed ^= number;
                }
            }
        }
        let (own, gone) = (vec![0; rows.len()], vec![false; rows.len()]);
        Self { rows, spare, enough, of, gone, own, open: Vec::new() }
    }

    fn leave_out(&mut self, row: u32) {
        self.gone[row as usize] = true;
        for &(column, _) in self.rows[row as usize] {
            let Some(of) = self.of.get_mut(column as usize) else { continue };
            of.left -= 1;
            of.mixed ^= row;
            if let In { left: 1, mixed } = *of {
                self.has_alone(mixed, column);
            }
        }
    }

    /// Takes in that a row alone has an atom, which counts if it stands with 1 or -1, and all others with whole numbers: then
    /// it can give and take whole persons.
    fn has_alone(&mut self, row: u32, atom: u32) {
        let entries = self.rows[row as usize];
        let value = entries.binary_search_by_key(&atom, |(column, _)| *column).map(|at| entries[at].1);
        let own = &mut self.own[row as usize];
        if value.is_ok_and(|value| value == 1 || value == neg(1)) && *own < self.enough {
            *own += self.spare[atom as usize];
            let is_atom = |column: u32| (column as usize) < self.spare.len();
            let mut atoms = entries.iter().filter(|(column, _)| is_atom(*column));
            if *own >= self.enough && atoms.all(|(_, value)| whole(*value).is_some()) {
                self.open.push(row);
            }
        }
    }
}

/// Those of some rows that are connected with the first ones, or with some atoms.
fn connected<'r>(rows: &[&'r Row], first: usize, atoms: &HashSet<u32>) -> Vec<&'r Row> {
    let mut with: HashMap<u32, Vec<usize>> = HashMap::new();
    for (number, row) in rows.iter().enumerate() {
        for (column, _) in *row {
            with.entry(*column).or_default().push(number);
        }
    }
    let rows_with = |atom: &u32| with.get(atom).into_iter().flatten().copied();
    let mut taken = vec![false; rows.len()];
    let mut is_new = |row: &usize| !std::mem::replace(&mut taken[*row], true);
    let mut found: Vec<usize> =
        (0..first).chain(atoms.iter().flat_map(rows_with)).filter(&mut is_new).collect();
    let mut at = 0;
    while let Some(&row) = found.get(at) {
        at += 1;
        for (column, _) in rows[row] {
            found.extend(rows_with(column).filter(&mut is_new));
        }
    }
    found.into_iter().map(|row| rows[row]).collect()
}
