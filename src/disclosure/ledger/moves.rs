//! Other populations that would have given the same published counts.
//!
//! Counts are whole numbers, not negative, and the attacker is taken to know which atoms are empty. So a
//! combination can leave several values open and only one of them be possible. A *move* changes the
//! atoms by whole numbers so that every published count stays and every atom keeps somebody. A group that
//! some move changes has two possible counts.
#![allow(clippy::indexing_slicing, reason = "atoms are columns of the echelon")]

use std::collections::BTreeMap;

use super::echelon::Row;
use crate::disclosure::field::{P, neg};

/// The largest change of an atom that is taken for a whole number.
const MOST: u64 = 1 << 20;

/// An atom that no move was found for, though sums alone leave it open.
#[derive(Debug)]
pub(super) struct Stuck {
    pub(super) atom: u32,
    /// The atoms that would have to change with it.
    pub(super) with: Vec<u32>,
}

/// A field element as a small whole number.
fn whole(value: u64) -> Option<i64> {
    let size = if value <= MOST { value } else { P - value };
    let size = i64::try_from(size).ok().filter(|_| value <= MOST || P - value <= MOST)?;
    Some(if value <= MOST { size } else { -size })
}

/// The light atoms of marked rows that may change freely by the sums alone, one at a time with the light
/// atoms that must follow, and for which that is no move in either direction. All other changes that the
/// sums leave open to light atoms are combinations of these. Atoms of k or more persons are taken to give and
/// take what a move needs. `rows` are reduced and have light columns only, but for marks beyond the width.
pub(super) fn stuck(rows: &[Row], weights: &[u32]) -> Vec<Stuck> {
    let is_atom = |column: u32| (column as usize) < weights.len();
    let marked = rows.iter().filter(|row| row.last().is_some_and(|(column, _)| !is_atom(*column)));
    let mut follow: BTreeMap<u32, Vec<(u32, u64)>> = marked
        .flat_map(|row| &row[1..])
        .filter(|(c, _)| is_atom(*c))
        .map(|(c, _)| (*c, Vec::new()))
        .collect();
    for row in rows {
        for &(column, value) in &row[1..] {
            if let Some(with) = follow.get_mut(&column) {
                with.push((row[0].0, neg(value)));
            }
        }
    }
    let is_move = |atom: u32, with: &[(u32, u64)]| {
        let stays = |direction: i64| {
            with.iter().map(|&(a, v)| (a, whole(v))).chain([(atom, Some(1))]).all(|(a, change)| {
                change.is_some_and(|change| i64::from(weights[a as usize]) + direction * change >= 1)
            })
        };
        stays(1) || stays(-1)
    };
    follow
        .into_iter()
        .filter(|(atom, with)| !is_move(*atom, with))
        .map(|(atom, with)| Stuck { atom, with: with.into_iter().map(|(a, _)| a).collect() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disclosure::ledger::echelon::{Echelon, Scratch, reduced};

    /// Published sums of neighbours leave one change open: the atoms by turns one up and one down.
    fn chain(weights: &[u32]) -> Vec<Stuck> {
        let (scratch, atoms) = (&mut Scratch::default(), weights.len() as u32);
        let mut echelon = Echelon::new(atoms);
        for atom in 1..atoms {
            echelon.insert(&vec![(atom - 1, 1), (atom, 1), (atoms + atom, 1)], scratch);
        }
        stuck(&reduced(echelon.rows(0, None), scratch), weights)
    }

    #[test]
    fn a_change_that_would_empty_an_atom_either_way_is_no_move() {
        let stuck = chain(&[1, 9, 9, 1]);
        assert_eq!(stuck.len(), 1);
        assert_eq!((stuck[0].atom, stuck[0].with.len()), (3, 3));
        assert!(chain(&[1, 9, 9, 2]).is_empty());
        assert!(chain(&[1, 9, 1]).is_empty());
    }

    #[test]
    fn elements_near_zero_are_whole_numbers() {
        assert_eq!((whole(0), whole(3), whole(neg(3))), (Some(0), Some(3), Some(-3)));
        assert_eq!(whole(crate::disclosure::field::inv(2)), None);
    }
}
