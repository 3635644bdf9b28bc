//! Whether the changes of a proof show that nothing secret can be computed.
//!
//! If a change leaves all that is shown as it is, but not a cell, then the cell is no combination of what is
//! shown. To a contributor the own cells are shown too.
#![allow(clippy::indexing_slicing, reason = "cells are checked against the release, rows are made here")]

use std::collections::{BTreeMap, HashMap};

use rand::Rng;

use super::{PRIME, Release, Stopped};

fn times(a: u64, b: u64) -> u64 {
    #[allow(clippy::cast_possible_truncation, reason = "a remainder of 61 bits")]
    let product = (u128::from(a) * u128::from(b) % u128::from(PRIME)) as u64;
    product
}

fn minus(a: u64, b: u64) -> u64 {
    (a + (PRIME - b)) % PRIME
}

/// 1 / a, for a other than 0.
fn inverse(a: u64) -> u64 {
    let (mut result, mut base, mut exponent) = (1, a, PRIME - 2);
    while exponent > 0 {
        if exponent % 2 == 1 {
            result = times(result, base);
        }
        base = times(base, base);
        exponent /= 2;
    }
    result
}

/// Numbers that are not all zero, scaled so that the first other than zero is one.
fn direction(values: &[u64]) -> Vec<u64> {
    let scale = values.iter().find(|&&x| x != 0).map_or(0, |&x| inverse(x));
    values.iter().map(|&x| times(x, scale)).collect()
}

/// Checks every change, and what they show.
pub(super) fn check(
    release: &Release<'_>,
    changes: &[Vec<u64>],
    secret: &[usize],
    rng: &mut impl Rng,
) -> Result<(), Stopped> {
    // For each secret cell by how much each change changes it.
    let mut values: Vec<Vec<u64>> = vec![Vec::with_capacity(changes.len()); secret.len()];
    for change in changes {
        let sums = sums(release, change).ok_or(Stopped::FalseChange)?;
        for (&cell, values) in secret.iter().zip(&mut values) {
            values.push(sums[cell]);
        }
    }
    if values.iter().any(|values| values.iter().all(|&x| x == 0)) {
        return Err(Stopped::Computable);
    }
    let mut own: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (place, &cell) in secret.iter().enumerate() {
        if let Some(contributor) = release.alone[cell] {
            own.entry(contributor).or_default().push(place);
        }
    }
    // Secret cells that are proportional to each other in all changes.
    let directions: Vec<Vec<u64>> = values.iter().map(|values| direction(values)).collect();
    let mut classes: HashMap<&[u64], Vec<usize>> = HashMap::new();
    for (place, direction) in directions.iter().enumerate() {
        classes.entry(direction).or_default().push(place);
    }
    for (contributor, places) in own {
        let others = |place: usize| release.alone[secret[place]] != Some(contributor);
        let first = places.first().map(|&place| directions[place].as_slice());
        if let Some(first) = first.filter(|first| places.iter().all(|&place| directions[place] == *first)) {
            // What follows from one number are its multiples.
            if classes.get(first).into_iter().flatten().any(|&place| others(place)) {
                return Err(Stopped::ComputableInside);
            }
            continue;
        }
        let known: Vec<&[u64]> = places.iter().map(|&place| values[place].as_slice()).collect();
        let combination = vanishing(&known, changes.len(), rng);
        for place in (0..values.len()).filter(|&place| others(place)) {
            let value =
                combination.iter().zip(&values[place]).fold(0, |sum, (&c, &x)| (sum + times(c, x)) % PRIME);
            if value == 0 {
                return Err(Stopped::ComputableInside);
            }
        }
    }
    Ok(())
}

/// By how much a change changes each cell; none if it changes one that is shown.
fn sums(release: &Release<'_>, change: &[u64]) -> Option<Vec<u64>> {
    if change.len() != release.parts.len() || change.iter().any(|&by| by >= PRIME) {
        return None;
    }
    let mut sums = vec![0; release.counts.len()];
    for (part, &by) in release.parts.iter().zip(change).filter(|(_, by)| **by != 0) {
        for &cell in &part.cells {
            sums[cell] = (sums[cell] + by) % PRIME;
        }
    }
    sums.iter().zip(release.withheld).all(|(&sum, &withheld)| withheld || sum == 0).then_some(sums)
}

/// A random combination of the columns that is zero in every row.
fn vanishing(rows: &[&[u64]], columns: usize, rng: &mut impl Rng) -> Vec<u64> {
    let mut echelon: Vec<(usize, Vec<u64>)> = Vec::new();
    for row in rows {
        let mut row = row.to_vec();
        for (pivot, earlier) in &echelon {
            let factor = row[*pivot];
            row.iter_mut().zip(earlier).for_each(|(x, &e)| *x = minus(*x, times(factor, e)));
        }
        if let Some(pivot) = row.iter().position(|&x| x != 0) {
            let scale = inverse(row[pivot]);
            row.iter_mut().for_each(|x| *x = times(*x, scale));
            echelon.push((pivot, row));
        }
    }
    let mut combination: Vec<u64> = (0..columns).map(|_| rng.next_u64() % PRIME).collect();
    // The pivots, latest first: no row has an entry at the pivot of an earlier one.
    for (pivot, row) in echelon.iter().rev() {
        combination[*pivot] = 0;
        let sum = row.iter().zip(&combination).fold(0, |sum, (&x, &c)| (sum + times(x, c)) % PRIME);
        combination[*pivot] = minus(0, sum) % PRIME;
    }
    combination
}
