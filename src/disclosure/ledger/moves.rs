//! Other populations that would have given the same published counts.
//!
//! Counts are whole numbers, not negative, and the attacker is taken to know which atoms are empty. So a
//! combination can leave several values open and only one of them be possible. A *move* changes the
//! atoms by whole numbers so that every published count stays and every atom keeps somebody. A group that
//! some move changes has two possible counts.
#![allow(clippy::indexing_slicing, reason = "atoms are columns of the echelon")]

use std::collections::{BTreeMap, HashMap, HashSet};

use super::divisible::whole;
use super::echelon::Row;
use crate::disclosure::field::neg;

/// An atom that no move was found for, though sums alone leave it open.
#[derive(Debug)]
pub(super) struct Stuck {
    pub(super) atom: u32,
    /// The atoms that would have to change with it.
    pub(super) with: Vec<u32>,
}

/// The light atoms of marked rows, and of rows with some of `told`, that may change freely by the sums alone, one at a time with the light
/// atoms that must follow, and for which that is no move, nor the difference of two. All other changes that the
/// sums leave open to light atoms are combinations of these. Atoms of k or more persons are taken to give and
/// take what a move needs. `spare` tells by how many persons each atom can become smaller. `rows` are reduced and
/// have light columns only, but for marks beyond the width.
pub(super) fn stuck(rows: &[Row], spare: &[u32], told: &HashSet<u32>) -> Vec<Stuck> {
    let is_atom = |column: u32| (column as usize) < spare.len();
    let is_marked = |row: &&Row| {
        row.last().is_some_and(|(column, _)| !is_atom(*column)) || row.iter().any(|(c, _)| told.contains(c))
    };
    let marked: Vec<&Row> = rows.iter().filter(is_marked).collect();
    let mut follow: BTreeMap<u32, Vec<(u32, u64)>> = marked
        .iter()
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
    let mut open: Vec<(u32, Change)> = Vec::new();
    let mut moves: Vec<Change> = Vec::new();
    let mut with_atom: HashMap<u32, Vec<usize>> = HashMap::new();
    // What is published of an atom alone is all that its pieces have, and they may have no more than they must.
    let alone = marked.iter().filter(|row| row.get(1).is_none_or(|(column, _)| !is_atom(*column)));
    let full = alone.map(|row| row[0].0).filter(|atom| spare[*atom as usize] == 0);
    let mut stuck: Vec<Stuck> = full.map(|atom| Stuck { atom, with: vec![atom] }).collect();
    for (atom, with) in follow {
        let whole = with.iter().map(|&(a, v)| Some((a, whole(v)?))).chain([Some((atom, 1))]);
        match whole.collect::<Option<Change>>() {
            Some(mut change) => {
                change.sort_unstable();
                open.push((atom, change));
            }
            None => {
                stuck.push(Stuck { atom, with: with.into_iter().map(|(a, _)| a).chain([atom]).collect() })
            }
        }
    }
    // What is no move by itself may be one together with a move: then it is the difference of two moves.
    loop {
        let before = open.len();
        open.retain(|(_, change)| {
            let found = is_move(spare, change) || mended(spare, change, &moves, &with_atom);
            if found {
                for &(atom, _) in change {
                    with_atom.entry(atom).or_default().push(moves.len());
                }
                moves.push(change.clone());
            }
            !found
        });
        if open.is_empty() || open.len() == before {
            break;
        }
    }
    stuck.extend(
        open.into_iter()
            .map(|(atom, change)| Stuck { atom, with: change.into_iter().map(|(a, _)| a).collect() }),
    );
    stuck
}

/// By how much each atom changes, ascending.
type Change = Vec<(u32, i64)>;

/// The most moves that are tried together with a change.
const MOST_TRIED: usize = 24;

/// Whether a change or its opposite is possible.
fn is_move(spare: &[u32], change: &[(u32, i64)]) -> bool {
    let stays = |sign: i64| change.iter().all(|&(a, c)| i64::from(spare[a as usize]) + sign * c >= 0);
    stays(1) || stays(-1)
}

/// Whether a change is a move together with one of the moves, which change an atom that it makes too small.
fn mended(
    spare: &[u32],
    change: &[(u32, i64)],
    moves: &[Change],
    with_atom: &HashMap<u32, Vec<usize>>,
) -> bool {
    [1, -1].into_iter().any(|sign| {
        let emptied = change.iter().find(|&&(a, c)| i64::from(spare[a as usize]) + sign * c < 0);
        let others = emptied.and_then(|(a, _)| with_atom.get(a)).into_iter().flatten().take(MOST_TRIED);
        others
            .flat_map(|&other| [(other, 1), (other, -1)])
            .any(|(other, factor)| together_stays(spare, change, sign, &moves[other], factor))
    })
}

/// Whether a change times its sign and another times its factor, both ascending, are possible together.
fn together_stays(
    spare: &[u32],
    change: &[(u32, i64)],
    sign: i64,
    other: &[(u32, i64)],
    factor: i64,
) -> bool {
    let (mut a, mut b) = (change.iter().peekable(), other.iter().peekable());
    loop {
        let (x, y) = (a.peek().map_or(u32::MAX, |e| e.0), b.peek().map_or(u32::MAX, |e| e.0));
        let atom = x.min(y);
        if atom == u32::MAX {
            return true;
        }
        let by = a.next_if(|e| e.0 == atom).map_or(0, |e| sign * e.1)
            + b.next_if(|e| e.0 == atom).map_or(0, |e| factor * e.1);
        if i64::from(spare[atom as usize]) + by < 0 {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disclosure::ledger::echelon::{Echelon, Scratch, reduced};

    /// Published sums of neighbours leave one change open: the atoms by turns one up and one down.
    fn chain(spare: &[u32]) -> Vec<Stuck> {
        let (scratch, atoms) = (&mut Scratch::default(), spare.len() as u32);
        let mut echelon = Echelon::new(atoms);
        for atom in 1..atoms {
            echelon.insert(&vec![(atom - 1, 1), (atom, 1), (atoms + atom, 1)], scratch);
        }
        stuck(&reduced(echelon.rows(0, None), scratch), spare, &HashSet::new())
    }

    #[test]
    fn a_change_that_takes_too_many_either_way_is_no_move() {
        let stuck = chain(&[0, 8, 8, 0]);
        assert_eq!(stuck.len(), 1);
        assert_eq!((stuck[0].atom, stuck[0].with.len()), (3, 4));
        assert!(chain(&[0, 8, 8, 1]).is_empty());
        assert!(chain(&[0, 8, 0]).is_empty());
    }
}
