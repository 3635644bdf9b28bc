//! What whole numbers leave open of the light atoms that large ones stand beside.
//!
//! In 4d + b = 81 the count of b is known but for multiples of four, however many d has. A row that begins with 1 and
//! goes on in whole numbers asks nothing of its other atoms: whatever whole numbers they change by, the first one changes
//! by one too. So only rows with fractions matter, without the first atoms of all other rows. Each of them asks
//! that a sum over the atoms be divisible by its denominator. A light atom is free if the large ones can make up for a
//! change of it by one in all these rows at once: if its column lies in the group that their columns span, modulo
//! the denominators.
#![allow(clippy::indexing_slicing, reason = "rows are numbered by this module")]

use std::collections::{BTreeMap, BTreeSet};

use super::echelon::Row;
use crate::disclosure::field::{P, mul};

/// The largest size of a number that is taken for whole.
const MOST: u64 = 1 << 20;
/// The largest denominator that is looked for.
const MOST_DENOMINATOR: i64 = 60;
/// The most rows that are looked at together.
const MOST_ROWS: usize = 200;

/// A field element as a small whole number.
pub(super) fn whole(value: u64) -> Option<i64> {
    let size = if value <= MOST { value } else { P - value };
    let size = i64::try_from(size).ok().filter(|_| value <= MOST || P - value <= MOST)?;
    Some(if value <= MOST { size } else { -size })
}

/// The light atoms of some rows that may not change by one alone, whatever the large ones change by. Of rows with
/// no small denominator, or too many together, these are all. `rows` have the first atom of no other row, and begin with
/// 1; columns at and after `until` do not count.
pub(super) fn bound(rows: &[Row], light_from: u32, until: u32) -> Vec<u32> {
    let light = |rows: &mut dyn Iterator<Item = &Row>| -> Vec<u32> {
        let light: BTreeSet<u32> =
            rows.flatten().map(|(c, _)| *c).filter(|c| (light_from..until).contains(c)).collect();
        light.into_iter().collect()
    };
    let mut asked = Asked::default();
    for row in rows {
        let entries: Vec<(u32, u64)> = row.iter().copied().filter(|(column, _)| *column < until).collect();
        if !asked.add(&entries) {
            return light(&mut rows.iter());
        }
    }
    asked.make_up(light_from);
    let left = asked.left();
    if left.len() > MOST_ROWS {
        return light(&mut left.iter().map(|&row| &rows[row]));
    }
    let mut group = Group::new(left.iter().map(|&row| asked.denominators[row]).collect());
    let large: BTreeSet<Vec<i64>> =
        asked.columns.range(..light_from).map(|(_, column)| dense(column, &left)).collect();
    for column in large {
        group.insert(column);
    }
    let light = asked.columns.range(light_from..);
    light.filter(|(_, column)| !group.contains(dense(column, &left))).map(|(atom, _)| *atom).collect()
}

/// A column as it is in some rows, ascending.
fn dense(column: &[(usize, i64)], rows: &[usize]) -> Vec<i64> {
    let at = |row: &usize| column.iter().find(|(of, _)| of == row).map_or(0, |(_, value)| *value);
    rows.iter().map(at).collect()
}

/// What rows ask of their atoms: in each, that their sum be divisible.
#[derive(Default)]
struct Asked {
    denominators: Vec<i64>,
    /// For each atom the rows that it is in and with what, by their denominators.
    columns: BTreeMap<u32, Vec<(usize, i64)>>,
    /// Rows in which an atom of their own makes up for everything.
    made_up: Vec<bool>,
}

impl Asked {
    /// Takes in a row; false if it has no small denominator.
    fn add(&mut self, entries: &[(u32, u64)]) -> bool {
        let times = |by: i64| {
            entries
                .iter()
                .map(|&(_, value)| whole(mul(value, by.unsigned_abs())))
                .collect::<Option<Vec<i64>>>()
        };
        let Some((denominator, values)) = (1..=MOST_DENOMINATOR).find_map(|by| Some((by, times(by)?))) else {
            return false;
        };
        let row = self.denominators.len();
        for (&(column, _), value) in entries.iter().zip(values) {
            let value = value.rem_euclid(denominator);
            if value != 0 {
                self.columns.entry(column).or_default().push((row, value));
            }
        }
        self.denominators.push(denominator);
        self.made_up.push(denominator == 1);
        true
    }

    /// Leaves out rows with a large atom that no other row has, and whose multiples are everything; then those for which that
    /// is so without these, and so on.
    fn make_up(&mut self, light_from: u32) {
        loop {
            let before = self.left().len();
            for column in self.columns.range(..light_from).map(|(_, column)| column) {
                let mut left = column.iter().filter(|(row, _)| !self.made_up[*row]);
                if let (Some(&(row, value)), None) = (left.next(), left.next())
                    && gcd(value, self.denominators[row]) == 1
                {
                    self.made_up[row] = true;
                }
            }
            if self.left().len() == before {
                return;
            }
        }
    }

    /// The rows that nothing makes up for yet.
    fn left(&self) -> Vec<usize> {
        (0..self.made_up.len()).filter(|&row| !self.made_up[row]).collect()
    }
}

const fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// A group of columns modulo the denominators of their rows.
struct Group {
    denominators: Vec<i64>,
    /// For each row a member that is zero in the rows before it, and in this row a divisor of what every such member has. They
    /// span the group together with the denominators.
    basis: Vec<Vec<i64>>,
}

impl Group {
    /// The group of zero alone.
    fn new(denominators: Vec<i64>) -> Self {
        let only = |row: usize| {
            (0..denominators.len()).map(|at| if at == row { denominators[row] } else { 0 }).collect()
        };
        Self { basis: (0..denominators.len()).map(only).collect(), denominators }
    }

    /// Takes a column in with its multiples, by Euclid's algorithm row by row.
    fn insert(&mut self, mut column: Vec<i64>) {
        for row in 0..column.len() {
            while column[row] != 0 {
                let basis = &mut self.basis[row];
                let times = basis[row] / column[row];
                for (at, value) in column.iter().enumerate().skip(row) {
                    basis[at] -= times * value;
                    // In its own row it may be the denominator itself.
                    if at > row {
                        basis[at] = basis[at].rem_euclid(self.denominators[at]);
                    }
                }
                std::mem::swap(basis, &mut column);
            }
        }
    }

    /// Whether a column is in the group.
    fn contains(&self, mut column: Vec<i64>) -> bool {
        (0..column.len()).all(|row| {
            let basis = &self.basis[row];
            let (times, rest) = (column[row] / basis[row], column[row] % basis[row]);
            for (at, value) in basis.iter().enumerate().skip(row) {
                column[at] = (column[at] - times * value).rem_euclid(self.denominators[at]);
            }
            rest == 0
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;
    use crate::disclosure::field::{inv, neg};

    #[test]
    fn what_large_atoms_cannot_make_up_for_is_bound() {
        let half = inv(2);
        let bound = |rows: &[&[(u32, u64)]]| {
            let rows: Vec<Row> = rows.iter().map(|row| row.to_vec()).collect();
            bound(&rows, 4, 8)
        };
        // 0 to 3 are large, 4 to 7 light, 8 is a mark.
        assert_eq!(bound(&[&[(0, 1), (4, 1), (5, neg(2)), (8, 1)]]), [0_u32; 0]);
        assert_eq!(bound(&[&[(0, 1), (4, half), (5, 1), (8, half)]]), [4]);
        assert_eq!(bound(&[&[(0, 1), (1, half), (4, half)]]), [0_u32; 0]);
        assert_eq!(bound(&[&[(0, 1), (4, 0x1234_5678_9ABC)]]), [4]);
        // One large atom makes up for either, and not for both.
        let rows: [&[(u32, u64)]; 2] = [&[(0, 1), (2, half), (4, half)], &[(1, 1), (2, half), (5, half)]];
        assert_eq!(bound(&rows[..1]), [0_u32; 0]);
        assert_eq!(bound(&rows), [4, 5]);
        let three: &[(u32, u64)] = &[(1, 1), (2, inv(3)), (3, inv(3)), (5, inv(3))];
        assert_eq!(bound(&[rows[0], three]), [0_u32; 0]);
    }

    #[test]
    fn elements_near_zero_are_whole_numbers() {
        assert_eq!((whole(0), whole(3), whole(neg(3))), (Some(0), Some(3), Some(-3)));
        assert_eq!(whole(inv(2)), None);
    }

    proptest! {
        /// Beside going through all sums.
        #[test]
        fn a_group_has_the_sums_of_its_columns(
            denominators in prop::collection::vec(1_i64..7, 3),
            columns in prop::collection::vec(prop::collection::vec(0_i64..7, 3), 0..4),
        ) {
            let by = |column: &[i64]| -> Vec<i64> {
                column.iter().zip(&denominators).map(|(value, by)| value.rem_euclid(*by)).collect()
            };
            let mut group = Group::new(denominators.clone());
            let mut sums: HashSet<Vec<i64>> = HashSet::from([vec![0; 3]]);
            for column in &columns {
                group.insert(by(column));
                loop {
                    let more = sums.iter().map(|sum| {
                        by(&sum.iter().zip(column).map(|(a, b)| a + b).collect::<Vec<_>>())
                    });
                    let more: Vec<Vec<i64>> = more.filter(|sum| !sums.contains(sum)).collect();
                    if more.is_empty() {
                        break;
                    }
                    sums.extend(more);
                }
            }
            for (a, b, c) in (0..7).flat_map(|a| (0..7).flat_map(move |b| (0..7).map(move |c| (a, b, c)))) {
                let column = by(&[a, b, c]);
                prop_assert_eq!(group.contains(column.clone()), sums.contains(&column), "{:?}", column);
            }
        }
    }
}
