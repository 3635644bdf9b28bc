//! One knowledge set over common atoms, and the search for what a pattern of the proposal would give away beside it.
#![allow(clippy::indexing_slicing, reason = "cells are indices of the proposal")]

use std::cell::{Cell, OnceCell};
use std::collections::{HashMap, HashSet};

use rand::Rng;

use super::divisible::bound;
use super::echelon::{Echelon, Row, Scratch};
use super::judge::enough;
use super::light::{Light, idle};
use super::moves::{self, Stuck};
use super::refine::Refined;
use super::words::{GivenUp, Word, light_words};

/// How much work a judgement may take, in steps of the search for small groups; beyond it a release is refused.
const MOST_WORK: usize = 150_000_000;
/// How many patterns that withhold less are tried at the end; what they leave withheld may not all be needed.
const MOST_TRIALS: usize = 40;

/// One knowledge set, ready for any pattern of the proposal.
pub(super) struct Ground<'a> {
    refined: &'a Refined,
    counts: &'a [u64],
    least: u32,
    earlier: Echelon<'a>,
    /// What earlier releases tell of light atoms; worked out when first needed.
    light: OnceCell<Light>,
    /// The proposal's cells, small ones first.
    order: Vec<usize>,
    /// How often a pattern that withholds less may still be tried.
    trials: usize,
    /// How much work is still done before the release is refused.
    work: Cell<usize>,
    scratch: Scratch,
}

impl<'a> Ground<'a> {
    /// The ground of these atoms. `counts` are those of the proposal's cells.
    pub(super) fn new(refined: &'a Refined, counts: &'a [u64], least: u32) -> Self {
        let mut scratch = Scratch::default();
        let mut earlier = Echelon::new(u32::try_from(refined.weights.len()).unwrap_or(u32::MAX));
        let all: Vec<&Row> = refined.earlier.iter().chain(&refined.cells).collect();
        let idle = idle(&all, refined, enough(least));
        let rows = refined.earlier.iter().zip(idle);
        let mut rows: Vec<&Row> = rows.filter(|(_, idle)| !idle).map(|(row, _)| row).collect();
        rows.sort_by_key(|row| row.len());
        for row in rows {
            earlier.insert(row, &mut scratch);
        }
        let mut order: Vec<usize> = (0..counts.len()).collect();
        order.sort_by_key(|&cell| refined.cells[cell].len());
        let light = OnceCell::new();
        Self {
            refined,
            counts,
            least,
            earlier,
            light,
            order,
            trials: MOST_TRIALS,
            work: Cell::new(MOST_WORK),
            scratch,
        }
    }

    /// Whether nothing that can matter of earlier releases is connected with the proposal's cells. A light word of all persons
    /// that takes a cell is one on these atoms too, and takes it there, as long as each cell that is a combination of
    /// others, or of earlier ones, on the atoms is one on all persons.
    pub(super) fn has_room(&mut self, withheld: &[bool]) -> bool {
        let Refined { light_from, cells, earlier, whole, .. } = self.refined;
        let (mut known, mut told) = (Echelon::new(self.earlier.width()), Echelon::over(&self.earlier));
        for (row, _) in earlier.iter().zip(whole).filter(|(_, whole)| **whole) {
            known.insert(row, &mut self.scratch);
        }
        for &cell in self.order.iter().filter(|&&cell| !withheld[cell]) {
            let mut row = cells[cell].clone();
            if known.insert(&row, &mut self.scratch) {
                row.push((self.mark(cell), 1));
                if !told.insert(&row, &mut self.scratch) {
                    return false;
                }
            }
        }
        // The marks among what large atoms must make up for: what is published may change by one with what lies beyond.
        let divided = told.divided(*light_from, &mut self.scratch);
        if !bound(&divided, *light_from, u32::MAX).is_empty() {
            return false;
        }
        let rows = told.rows(*light_from, Some(&self.earlier));
        self.near(rows, &self.told(withheld)).is_ok_and(|rows| rows.is_empty())
    }

    /// The light atoms of small withheld cells: that a withheld cell is not empty is told too, so that they must be able to
    /// change like those of published ones.
    fn told(&self, withheld: &[bool]) -> HashSet<u32> {
        let Refined { light_from, cells, .. } = self.refined;
        (0..cells.len())
            .filter(|&cell| withheld[cell] && self.counts[cell] < u64::from(self.least))
            .flat_map(|cell| cells[cell].iter().map(|(atom, _)| *atom).filter(|atom| atom >= light_from))
            .collect()
    }

    /// Withholds more until no small group can be counted anew, and then no more than is needed.
    pub(super) fn protect(&mut self, withheld: &mut [bool], rng: &mut impl Rng) -> Result<(), GivenUp> {
        let mut added = Vec::new();
        for round in 0.. {
            let mut words = self.exposed(withheld)?;
            if words.is_empty() {
                break;
            }
            let before = added.len();
            // Where words come again and again in other forms, more of the cells of each are withheld.
            for _ in 0..1_u64 << (round / 4).min(32_u32) {
                let mut open: Vec<Word> = Vec::new();
                while let Some(cell) = self.best(&words, rng) {
                    withheld[cell] = true;
                    added.push(cell);
                    for word in words.extract_if(.., |word| word.made_of.contains(&self.mark(cell))) {
                        open.push(word);
                    }
                }
                let is_open = |cell: u32| {
                    let cell = (cell as usize).checked_sub(self.refined.weights.len());
                    cell.is_some_and(|cell| withheld.get(cell) == Some(&false))
                };
                for word in &mut open {
                    word.made_of.retain(|&column| is_open(column));
                }
                words = open;
                words.retain(|word| !word.made_of.is_empty());
                if words.is_empty() {
                    break;
                }
            }
            if added.len() == before {
                return Err(GivenUp);
            }
        }
        let mut costs: Vec<(f64, usize)> =
            added.into_iter().map(|cell| (self.cost(cell, rng), cell)).collect();
        costs.sort_by(|a, b| b.0.total_cmp(&a.0));
        let added: Vec<usize> = costs.into_iter().map(|(_, cell)| cell).collect();
        self.publish_again(&added, withheld);
        Ok(())
    }

    /// Publishes again those of the cells that need not be withheld, in halves.
    fn publish_again(&mut self, cells: &[usize], withheld: &mut [bool]) {
        let Some(trials) = self.trials.checked_sub(1) else { return };
        self.trials = trials;
        for &cell in cells {
            withheld[cell] = false;
        }
        // Where the work is used up, what was withheld stays so.
        if cells.is_empty() || self.exposed(withheld).is_ok_and(|words| words.is_empty()) {
            return;
        }
        for &cell in cells {
            withheld[cell] = true;
        }
        if cells.len() > 1 {
            let (first, second) = cells.split_at(cells.len() / 2);
            self.publish_again(first, withheld);
            self.publish_again(second, withheld);
        }
    }

    /// The small groups whose counts become computable with this pattern and were not before; if there
    /// are none, those whose counts no other population could have changed.
    fn exposed(&mut self, withheld: &[bool]) -> Result<Vec<Word>, GivenUp> {
        let Refined { light_from, cells, weights, spare, .. } = self.refined;
        let mut all = Echelon::over(&self.earlier);
        for &cell in self.order.iter().filter(|&&cell| !withheld[cell]) {
            let mut row = cells[cell].clone();
            row.push((self.mark(cell), 1));
            all.insert(&row, &mut self.scratch);
        }
        let told = self.told(withheld);
        let rows = self.near(all.rows(*light_from, Some(&self.earlier)), &told)?;
        let words = self.new_words(&rows)?;
        if !words.is_empty() {
            return Ok(words);
        }
        // An atom without a move counts as known, by the published cells around it, or whatever is published.
        let mut pinned = Echelon::over(&all);
        let mut in_pieces: Vec<Word> = Vec::new();
        let mut around: HashMap<u32, Vec<usize>> = HashMap::new();
        for cell in (0..cells.len()).filter(|&cell| !withheld[cell]) {
            for &(atom, _) in cells[cell].iter().filter(|(atom, _)| atom >= light_from) {
                around.entry(atom).or_default().push(cell);
            }
        }
        let bound = bound(&all.divided(*light_from, &mut self.scratch), *light_from, all.width());
        let bound = bound.iter().map(|&atom| Stuck { atom, with: bound.clone() });
        for stuck in moves::stuck(&rows, spare, &told).into_iter().chain(bound) {
            let mut row = vec![(stuck.atom, 1)];
            let mut of: Vec<usize> =
                stuck.with.iter().filter_map(|atom| around.get(atom)).flatten().copied().collect();
            of.sort_unstable();
            of.dedup();
            for cell in of {
                // Different factors, so that marks of several rows do not cancel out.
                row.push((self.mark(cell), 2 + u64::from(stuck.atom) * 1_000_003 + cell as u64));
            }
            if row.len() == 1 {
                row.push((self.mark(cells.len()), 1));
            }
            let at = stuck.atom as usize;
            if weights[at] >= self.least && spare[at] == 0 {
                // It has somebody in each of its pieces and nobody else: these are known.
                let made_of = row[1..].iter().map(|(column, _)| *column).collect();
                in_pieces.push(Word { atoms: vec![stuck.atom], made_of });
            }
            pinned.insert(&row, &mut self.scratch);
        }
        if pinned.is_empty() {
            return Ok(in_pieces);
        }
        let rows = self.near(pinned.rows(*light_from, Some(&self.earlier)), &HashSet::new())?;
        let mut words = self.new_words(&rows)?;
        words.append(&mut in_pieces);
        Ok(words)
    }

    /// Rows reduced together with the earlier ones that can matter for them or for some atoms.
    fn near(&self, rows: Vec<&Row>, atoms: &HashSet<u32>) -> Result<Vec<Row>, GivenUp> {
        if rows.is_empty() && atoms.is_empty() {
            return Ok(Vec::new());
        }
        let light = self.light.get_or_init(|| Light::new(&self.earlier, self.refined.light_from));
        light.near(&self.earlier, rows, atoms, (self.refined, enough(self.least)), &self.work)
    }

    /// The light words among rows that earlier releases do not span.
    fn new_words(&self, rows: &[Row]) -> Result<Vec<Word>, GivenUp> {
        let weights = &self.refined.weights;
        let width = u32::try_from(weights.len()).unwrap_or(u32::MAX);
        let mut scratch = Scratch::default();
        let mut is_new = |word: &Word| {
            let row = word.atoms.iter().map(|&atom| (atom, 1)).collect();
            !self.earlier.spans(&row, &mut scratch)
        };
        light_words(rows, width, weights, self.least, &self.work, &mut is_new)
    }

    /// The column that stands for a cell; one beyond the cells, for what no cell alone is the cause of.
    fn mark(&self, cell: usize) -> u32 {
        u32::try_from(self.refined.weights.len() + cell).unwrap_or(u32::MAX)
    }

    /// The cells of the proposal that a word is made of.
    fn made_of<'w>(&self, word: &'w Word) -> impl Iterator<Item = usize> + 'w {
        let (width, cells) = (self.refined.weights.len(), self.counts.len());
        word.made_of.iter().map(move |&column| column as usize - width).filter(move |&cell| cell < cells)
    }

    /// The cell that takes part in most words for what is lost by withholding it.
    fn best(&self, words: &[Word], rng: &mut impl Rng) -> Option<usize> {
        let mut cells: Vec<usize> = words.iter().flat_map(|word| self.made_of(word)).collect();
        cells.sort_unstable();
        let gain = |of: &[usize], rng: &mut _| {
            let cell = *of.first()?;
            #[allow(clippy::cast_precision_loss, reason = "there are few words")]
            Some((of.len() as f64 / self.cost(cell, rng), cell))
        };
        let gains = cells.chunk_by(|a, b| a == b).filter_map(|of| gain(of, rng));
        gains.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, cell)| cell)
    }

    /// What is lost by withholding a cell: more the more binary digits its count has, times a draw from 1 to
    /// 2, so that what is withheld shows no order of hidden counts.
    fn cost(&self, cell: usize, rng: &mut impl Rng) -> f64 {
        let digits = u64::BITS - self.counts[cell].leading_zeros();
        let draw = f64::from(rng.next_u32()) / f64::from(u32::MAX);
        f64::from(1 + digits) * (1.0 + draw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disclosure::ledger::family::Family;
    use crate::disclosure::ledger::peel::peel;
    use crate::disclosure::ledger::refine::{Reach, refine};
    use crate::disclosure::ledger::release::Release;
    use crate::disclosure::ledger::tests::world::{draws, person, primary, query};
    use proptest::prelude::*;

    /// Whether a release gives a small group away beside these families by sums.
    fn exposes(families: &[Family<'_>], few: &[&[u32]], asked: &Release, least: u32) -> bool {
        let reach = Reach::Connected;
        let refined = refine(families, asked.membership(), reach, few, enough(least), &mut draws());
        let counts = asked.membership().counts();
        let ground = Ground::new(&refined, &counts, least);
        let mut all = Echelon::over(&ground.earlier);
        for cell in (0..counts.len()).filter(|&cell| !asked.withheld()[cell]) {
            let mut row = refined.cells[cell].clone();
            row.push((ground.mark(cell), 1));
            all.insert(&row, &mut Scratch::default());
        }
        let rows = ground.near(all.rows(refined.light_from, Some(&ground.earlier)), &HashSet::new()).unwrap();
        !ground.new_words(&rows).unwrap().is_empty()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
        /// Where the persons around a question show that nothing can be counted anew, all persons show it.
        #[test]
        fn room_beside_what_is_around_is_room_beside_all(
            people in prop::collection::vec((person(), 1..14_usize), 10..40),
            queries in prop::collection::vec(query(), 2..7),
            least in 2..6_u32,
        ) {
            let people: Vec<_> = people.into_iter().flat_map(|(p, times)| vec![p; times]).collect();
            let releases: Vec<Release> = queries
                .iter()
                .map(|query| query.run(&people))
                .map(|m| Release::new(m.clone(), primary(&m, least)).unwrap())
                .collect();
            let (asked, earlier) = releases.split_last().unwrap();
            let earlier: Vec<&Release> = earlier.iter().collect();
            let few: Vec<&[u32]> = earlier.iter().flat_map(|release| release.few()).collect();
            let families = Family::all(&earlier);
            let counts = asked.membership().counts();
            let over = |reach| refine(&families, asked.membership(), reach, &few, enough(least), &mut draws());
            let (around, all) = (over(Reach::Asked), over(Reach::Connected));
            let mut ground = Ground::new(&all, &counts, least);
            let divided = ground.earlier.divided(all.light_from, &mut Scratch::default());
            // What earlier releases, which nobody has judged here, bind by themselves.
            prop_assume!(bound(&divided, all.light_from, ground.earlier.width()).is_empty());
            if Ground::new(&around, &counts, least).has_room(asked.withheld()) {
                let exposed = ground.exposed(asked.withheld()).unwrap();
                prop_assert!(exposed.is_empty(), "{exposed:?}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]
        /// Beside all that is known and beside what peeling leaves of it, sums give the same away.
        #[test]
        fn what_is_left_out_had_no_part(
            people in prop::collection::vec(person(), 10..80),
            queries in prop::collection::vec(query(), 1..7),
            least in 2..6_u32,
        ) {
            let releases: Vec<Release> = queries
                .iter()
                .map(|query| {
                    let membership = query.run(&people);
                    let withheld = primary(&membership, least);
                    Release::new(membership, withheld).unwrap()
                })
                .collect();
            let (asked, earlier) = releases.split_last().unwrap();
            let earlier: Vec<&Release> = earlier.iter().collect();
            let few: Vec<&[u32]> = earlier.iter().flat_map(|release| release.few()).collect();
            let plain = exposes(&Family::all(&earlier), &few, asked, least);
            let mut families = Family::all(&earlier);
            peel(&mut families, &asked.membership().population.persons, &few, enough(least));
            prop_assert_eq!(exposes(&families, &few, asked, least), plain);
        }
    }
}
