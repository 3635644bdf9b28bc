//! Small groups among the combinations of published cells.
//!
//! A *word* is a vector of the span of published cells in which every atom stands with 0 or 1: the group of
//! the atoms that stand with 1, whose count is then a combination of published values. It is *light* if
//! the group has 1..k-1 persons.
//!
//! The rows searched are reduced: each has a pivot, an atom that no other row has. So a word takes each
//! row not at all or once, and takes at most k-1 rows, as each brings the persons of its pivot with it.
//! Where an atom is not yet 0 or 1, some further row that has it must be taken; where it is 1, either it is
//! of the group, or a further row takes it away. Following both finds every light word that is not the sum
//! of two smaller ones; and a sum is new only if one of its parts is.
//!
//! Of the last row, and the last but one, only fingerprints are needed: what the rows taken leave beside their pivots
//! must be minus that of the row still missing, which is looked up. A fingerprint is a sum over the columns, so
//! none that fits is missed; what is found is summed up and checked.
#![allow(clippy::indexing_slicing, reason = "rows and columns are indices this module was given")]

use std::cell::Cell;
use std::collections::HashMap;

use super::echelon::Row;
use crate::disclosure::field::{P, add, mul, neg};

/// A light word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    /// Its atoms.
    pub(super) atoms: Vec<u32>,
    /// The columns beyond the width, which say what it is made of.
    pub(super) made_of: Vec<u32>,
}

/// The search was given up: nothing may be concluded from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GivenUp;

/// The rows to search, and what has been tried.
struct Search<'a> {
    rows: &'a [Row],
    /// For each column the rows that have it and not as their pivot, but for those that are done.
    with: Vec<Vec<usize>>,
    /// Whether a column is the pivot of some row: no other row has it.
    is_pivot: Vec<bool>,
    width: u32,
    weights: &'a [u32],
    /// The most persons of a light word.
    most: u32,
    /// The fingerprint of each row, and what is found by fingerprints.
    prints: Vec<u64>,
    row_with: HashMap<u64, Vec<usize>>,
    atom_with: HashMap<u64, u32>,
    taken: Vec<usize>,
    barred: Vec<bool>,
    /// How many steps the search may still take: entries of rows added up, and rows looked up.
    steps: &'a Cell<usize>,
    is_new: &'a mut dyn FnMut(&Word) -> bool,
}

/// Takes work from what may still be done.
pub(super) fn spend(left: &Cell<usize>, work: usize) -> Result<(), GivenUp> {
    left.set(left.get().saturating_sub(work));
    if left.get() == 0 { Err(GivenUp) } else { Ok(()) }
}

/// A well mixed number below the modulus for a column.
fn mark(column: u32) -> u64 {
    let mut x = u64::from(column).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (x ^ (x >> 31)) % P
}

/// Light words that are new and contain a row with a mark beyond the width: at least one for each such row
/// that is in any. `rows` are reduced; `weights` are the persons of each atom; a word has fewer than
/// `least` persons. The search is given up when its steps are used up.
pub(super) fn light_words(
    rows: &[Row],
    width: u32,
    weights: &[u32],
    least: u32,
    steps: &Cell<usize>,
    is_new: &mut dyn FnMut(&Word) -> bool,
) -> Result<Vec<Word>, GivenUp> {
    let mut search = Search::new(rows, width, weights, least, steps, is_new);
    let mut found = Vec::new();
    for (root, row) in rows.iter().enumerate() {
        if row.last().is_some_and(|(column, _)| *column >= width) {
            found.extend(search.take(root, &Row::new(), 0, 0, &mut Vec::new())?);
            search.done(root);
        }
    }
    Ok(found)
}

impl<'a> Search<'a> {
    fn new(
        rows: &'a [Row],
        width: u32,
        weights: &'a [u32],
        least: u32,
        steps: &'a Cell<usize>,
        is_new: &'a mut dyn FnMut(&Word) -> bool,
    ) -> Self {
        let mut with: Vec<Vec<usize>> = vec![Vec::new(); weights.len()];
        let mut prints = Vec::with_capacity(rows.len());
        let mut row_with: HashMap<u64, Vec<usize>> = HashMap::new();
        let mut atom_with = HashMap::new();
        let mut is_pivot = vec![false; weights.len()];
        for (at, row) in rows.iter().enumerate() {
            let mut print = 0;
            is_pivot[row[0].0 as usize] = true;
            for &(column, value) in row[1..].iter().filter(|(column, _)| *column < width) {
                if with[column as usize].is_empty() {
                    atom_with.insert(mark(column), column);
                }
                with[column as usize].push(at);
                print = add(print, mul(value, mark(column)));
            }
            prints.push(print);
            row_with.entry(print).or_default().push(at);
        }
        let (most, barred) = (least.saturating_sub(1), vec![false; rows.len()]);
        let taken = Vec::new();
        Self {
            rows,
            with,
            is_pivot,
            width,
            weights,
            most,
            prints,
            row_with,
            atom_with,
            taken,
            barred,
            steps,
            is_new,
        }
    }

    fn step(&mut self, entries: usize) -> Result<(), GivenUp> {
        spend(self.steps, 1 + entries)
    }

    /// Words with this row have all been looked at.
    fn done(&mut self, row: usize) {
        self.barred[row] = true;
        for (column, _) in self.rows[row][1..].iter().filter(|(column, _)| *column < self.width) {
            self.with[*column as usize].retain(|&other| other != row);
        }
    }

    /// The persons of a row's pivot.
    fn pivot_weight(&self, row: usize) -> u32 {
        self.weights[self.rows[row][0].0 as usize]
    }

    /// Looks for a word that takes this row on top of what is taken. `cost` are the persons of the pivots
    /// taken and of the atoms kept; `print` is the fingerprint of what is neither.
    fn take(
        &mut self,
        row: usize,
        sum: &[(u32, u64)],
        cost: u32,
        print: u64,
        kept: &mut Vec<u32>,
    ) -> Result<Option<Word>, GivenUp> {
        let cost = cost.saturating_add(self.pivot_weight(row));
        if cost > self.most {
            return Ok(None);
        }
        self.step(sum.len() + self.rows[row].len())?;
        let sum = added(sum, &self.rows[row]);
        self.barred[row] = true;
        self.taken.push(row);
        let found = self.settle(&sum, cost, add(print, self.prints[row]), kept);
        self.taken.pop();
        self.barred[row] = false;
        found
    }

    /// Looks for a word among what is taken and further rows that are not barred.
    fn settle(
        &mut self,
        sum: &[(u32, u64)],
        cost: u32,
        print: u64,
        kept: &mut Vec<u32>,
    ) -> Result<Option<Word>, GivenUp> {
        let left = self.most - cost;
        if print == 0 || left < 2 {
            return self.finish(left, print);
        }
        // The atoms still to be settled: those that nothing can take away cost what they weigh.
        let (mut bound, mut next): (u32, Option<(bool, usize, u32)>) = (cost, None);
        for &(column, value) in sum.iter().take_while(|(column, _)| *column < self.width) {
            let rows = &self.with[column as usize];
            if self.is_pivot[column as usize] || value == 1 && kept.contains(&column) {
                continue;
            }
            let open = rows.iter().any(|&r| !self.barred[r]);
            if !open {
                bound = bound.saturating_add(self.weights[column as usize]);
                if value != 1 || bound > self.most {
                    return Ok(None);
                }
            } else {
                let this = (value == 1, rows.len(), column);
                next = Some(next.map_or(this, |best| best.min(this)));
            }
        }
        let Some((is_one, _, column)) = next else {
            // Nothing can take away what is left, and it is light.
            return Ok(self.checked(&[]));
        };
        if is_one {
            let more = cost.saturating_add(self.weights[column as usize]);
            if more <= self.most {
                kept.push(column);
                let found = self.settle(sum, more, add(print, neg(mark(column))), kept)?;
                kept.pop();
                if found.is_some() {
                    return Ok(found);
                }
            }
        }
        let ways: Vec<usize> =
            self.with[column as usize].iter().copied().filter(|&r| !self.barred[r]).collect();
        let (mut found, mut tried) = (None, 0);
        for &row in &ways {
            found = if left > 2 {
                self.take(row, sum, cost, print, kept)?
            } else {
                self.finish_with(row, left, print)?
            };
            if found.is_some() {
                break;
            }
            self.barred[row] = true;
            tried += 1;
        }
        for &row in &ways[..tried] {
            self.barred[row] = false;
        }
        Ok(found)
    }

    /// Looks for a word that takes this row and, of two persons left, at most one more.
    fn finish_with(&mut self, row: usize, left: u32, print: u64) -> Result<Option<Word>, GivenUp> {
        let Some(left) = left.checked_sub(self.pivot_weight(row)) else { return Ok(None) };
        self.barred[row] = true;
        self.taken.push(row);
        let found = self.finish(left, add(print, self.prints[row]));
        self.taken.pop();
        self.barred[row] = false;
        found
    }

    /// Looks for a word with at most one person more: none, an atom of one person, or a row with such a pivot.
    fn finish(&mut self, left: u32, print: u64) -> Result<Option<Word>, GivenUp> {
        self.step(0)?;
        if print == 0 {
            return Ok(self.checked(&[]));
        }
        if left == 0 {
            return Ok(None);
        }
        if self.atom_with.contains_key(&print)
            && let Some(word) = self.checked(&[])
        {
            return Ok(Some(word));
        }
        let Some(rows) = self.row_with.get(&neg(print)) else { return Ok(None) };
        let rows: Vec<usize> =
            rows.iter().copied().filter(|&r| !self.barred[r] && self.pivot_weight(r) <= left).collect();
        Ok(rows.into_iter().find_map(|row| self.checked(&[row])))
    }

    /// The sum of what is taken and these rows, if it is a light word and new.
    fn checked(&mut self, more: &[usize]) -> Option<Word> {
        let mut sum = Row::new();
        for &row in self.taken.iter().chain(more) {
            sum = added(&sum, &self.rows[row]);
        }
        let atoms = sum.partition_point(|(column, _)| *column < self.width);
        let (atoms, made_of) = sum.split_at(atoms);
        let persons = atoms
            .iter()
            .fold(0, |persons: u32, (atom, _)| persons.saturating_add(self.weights[*atom as usize]));
        if persons > self.most || atoms.iter().any(|(_, value)| *value != 1) {
            return None;
        }
        let columns = |entries: &[(u32, u64)]| entries.iter().map(|(column, _)| *column).collect();
        let word = Word { atoms: columns(atoms), made_of: columns(made_of) };
        (self.is_new)(&word).then_some(word)
    }
}

/// The sum of two rows.
fn added(a: &[(u32, u64)], b: &[(u32, u64)]) -> Row {
    let mut sum = Row::with_capacity(a.len() + b.len());
    let (mut i, mut j) = (0, 0);
    while let (Some(&(x, v)), Some(&(y, w))) = (a.get(i), b.get(j)) {
        if x == y {
            let value = add(v, w);
            if value != 0 {
                sum.push((x, value));
            }
        } else {
            sum.push(if x < y { (x, v) } else { (y, w) });
        }
        i += usize::from(x <= y);
        j += usize::from(y <= x);
    }
    sum.extend_from_slice(&a[i..]);
    sum.extend_from_slice(&b[j..]);
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disclosure::ledger::echelon::{Echelon, Scratch, reduced};
    use proptest::prelude::*;

    fn steps() -> Cell<usize> {
        Cell::new(usize::MAX)
    }

    /// Every light word, by trying every group.
    fn all_words(rows: &[Vec<u64>], weights: &[u32], least: u32) -> Vec<Vec<u32>> {
        let mut span = crate::disclosure::subspace::Span::default();
        for row in rows {
            span.insert(row.clone());
        }
        let mut words = Vec::new();
        for group in 1_u32..1 << weights.len() {
            let of = |atom: usize| group >> atom & 1;
            let persons: u32 = weights.iter().enumerate().map(|(a, w)| of(a) * w).sum();
            let mut vector: Vec<u64> = (0..weights.len()).map(|a| of(a).into()).collect();
            span.reduce(&mut vector);
            if persons < least && vector.iter().all(|&v| v == 0) {
                words.push((0..weights.len() as u32).filter(|&a| of(a as usize) == 1).collect());
            }
        }
        words
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]
        #[test]
        fn the_search_finds_a_word_exactly_if_there_is_one(
            rows in prop::collection::vec(prop::collection::vec(0u64..2, 9), 1..7),
            weights in prop::collection::vec(1u32..4, 9),
            least in 2u32..8,
        ) {
            let scratch = &mut Scratch::default();
            let mut echelon = Echelon::new(9);
            for (tag, row) in (9..).zip(&rows) {
                let mut sparse: Row = (0..).zip(row.iter().copied()).filter(|(_, v)| *v != 0).collect();
                sparse.push((tag, 1));
                echelon.insert(&sparse, scratch);
            }
            let rows_reduced = reduced(echelon.rows(0, None), scratch);
            let expected = all_words(&rows, &weights, least);
            let found = light_words(&rows_reduced, 9, &weights, least, &steps(), &mut |_| true).unwrap();
            prop_assert_eq!(found.is_empty(), expected.is_empty(), "{:?} {:?}", found, expected);
            for word in &found {
                prop_assert!(expected.contains(&word.atoms) && !word.made_of.is_empty());
            }
            // Telling it of all words shows that it comes to each of them.
            let mut seen = Vec::new();
            light_words(&rows_reduced, 9, &weights, least, &steps(), &mut |word| { seen.push(word.atoms.clone()); false }).unwrap();
            // What is left of a word beside a smaller one in it is a word too.
            let within = |inner: &Vec<u32>, outer: &Vec<u32>| inner != outer && inner.iter().all(|a| outer.contains(a));
            for word in expected.iter().filter(|word| !expected.iter().any(|other| within(other, word))) {
                prop_assert!(seen.contains(word), "{word:?} was not looked at");
            }
        }
    }
}
