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
#![allow(clippy::indexing_slicing, reason = "rows and columns are indices this module was given")]

use std::collections::{BTreeMap, HashMap};

use super::echelon::Row;
use crate::disclosure::field::add;

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

/// How many steps the search for one table may take.
const MOST_STEPS: usize = 2_000_000;

/// The rows to search, and what has been tried.
struct Search<'a> {
    rows: &'a [Row],
    with: HashMap<u32, Vec<usize>>,
    width: u32,
    weights: &'a [u32],
    /// The most persons of a light word.
    most: u32,
    steps: usize,
    is_new: &'a mut dyn FnMut(&Word) -> bool,
}

/// Light words that are new and contain a row with a mark beyond the width: at least one for each such row
/// that is in any. `rows` are reduced; `weights` are the persons of each atom; a word has fewer than
/// `least` persons.
pub(super) fn light_words(
    rows: &[Row],
    width: u32,
    weights: &[u32],
    least: u32,
    is_new: &mut dyn FnMut(&Word) -> bool,
) -> Result<Vec<Word>, GivenUp> {
    let mut with: HashMap<u32, Vec<usize>> = HashMap::new();
    for (at, row) in rows.iter().enumerate() {
        for &(column, _) in row[1..].iter().filter(|(column, _)| *column < width) {
            with.entry(column).or_default().push(at);
        }
    }
    let most = least.saturating_sub(1);
    let mut search = Search { rows, with, width, weights, most, steps: 0, is_new };
    let mut barred = vec![false; rows.len()];
    let mut found = Vec::new();
    for root in 0..rows.len() {
        if rows[root].last().is_some_and(|(column, _)| *column >= width) {
            let taken = BTreeMap::new();
            if let Some(word) = search.take(root, &taken, 0, &mut Vec::new(), &mut barred)? {
                found.push(word);
            }
            // Words with this row have all been looked at.
            barred[root] = true;
        }
    }
    Ok(found)
}

impl Search<'_> {
    /// Looks for a word that takes this row on top of what is taken. `cost` are the persons of the pivots
    /// taken and of the atoms kept.
    fn take(
        &mut self,
        row: usize,
        taken: &BTreeMap<u32, u64>,
        cost: u32,
        kept: &mut Vec<u32>,
        barred: &mut [bool],
    ) -> Result<Option<Word>, GivenUp> {
        let cost = cost + self.weights[self.rows[row][0].0 as usize];
        if cost > self.most {
            return Ok(None);
        }
        let mut sum = taken.clone();
        for &(column, value) in &self.rows[row] {
            let entry = sum.entry(column).or_insert(0);
            *entry = add(*entry, value);
            if *entry == 0 {
                sum.remove(&column);
            }
        }
        barred[row] = true;
        let found = self.settle(&sum, cost, kept, barred);
        barred[row] = false;
        found
    }

    /// Looks for a word among what is taken and further rows that are not barred.
    fn settle(
        &mut self,
        sum: &BTreeMap<u32, u64>,
        cost: u32,
        kept: &mut Vec<u32>,
        barred: &mut [bool],
    ) -> Result<Option<Word>, GivenUp> {
        self.steps += 1;
        if self.steps > MOST_STEPS {
            return Err(GivenUp);
        }
        // The atoms still to be settled: those that nothing can take away cost what they weigh.
        let (mut bound, mut next): (u32, Option<(bool, usize, u32)>) = (cost, None);
        for (&column, &value) in sum.range(..self.width) {
            let Some(rows) = self.with.get(&column) else { continue };
            if value == 1 && kept.contains(&column) {
                continue;
            }
            let ways = rows.iter().filter(|&&r| !barred[r]).count();
            if ways == 0 {
                bound = bound.saturating_add(self.weights[column as usize]);
                if value != 1 || bound > self.most {
                    return Ok(None);
                }
            } else {
                let this = (value == 1, ways, column);
                next = Some(next.map_or(this, |best| best.min(this)));
            }
        }
        let Some((is_one, _, column)) = next else {
            let word = self.word(sum);
            return Ok((self.weigh(&word) <= self.most && (self.is_new)(&word)).then_some(word));
        };
        if is_one {
            let more = cost + self.weights[column as usize];
            if more <= self.most {
                kept.push(column);
                let found = self.settle(sum, more, kept, barred)?;
                kept.pop();
                if found.is_some() {
                    return Ok(found);
                }
            }
        }
        let ways: Vec<usize> = self.with[&column].iter().copied().filter(|&r| !barred[r]).collect();
        let mut found = None;
        let mut tried = 0;
        for &row in &ways {
            found = self.take(row, sum, cost, kept, barred)?;
            if found.is_some() {
                break;
            }
            barred[row] = true;
            tried += 1;
        }
        for &row in &ways[..tried] {
            barred[row] = false;
        }
        Ok(found)
    }

    fn word(&self, sum: &BTreeMap<u32, u64>) -> Word {
        let (atoms, made_of) = sum.keys().partition(|column| **column < self.width);
        Word { atoms, made_of }
    }

    fn weigh(&self, word: &Word) -> u32 {
        word.atoms.iter().fold(0, |sum: u32, &atom| sum.saturating_add(self.weights[atom as usize]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disclosure::ledger::echelon::{Echelon, Scratch, reduced};
    use proptest::prelude::*;

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
            let found = light_words(&rows_reduced, 9, &weights, least, &mut |_| true).unwrap();
            prop_assert_eq!(found.is_empty(), expected.is_empty(), "{:?} {:?}", found, expected);
            for word in &found {
                prop_assert!(expected.contains(&word.atoms) && !word.made_of.is_empty());
            }
            // Telling it of all words shows that it comes to each of them.
            let mut seen = Vec::new();
            light_words(&rows_reduced, 9, &weights, least, &mut |word| { seen.push(word.atoms.clone()); false }).unwrap();
            // What is left of a word beside a smaller one in it is a word too.
            let within = |inner: &Vec<u32>, outer: &Vec<u32>| inner != outer && inner.iter().all(|a| outer.contains(a));
            for word in expected.iter().filter(|word| !expected.iter().any(|other| within(other, word))) {
                prop_assert!(seen.contains(word), "{word:?} was not looked at");
            }
        }
    }
}
