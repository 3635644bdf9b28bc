//! The judgement of a release together with what its recipients know already.
#![allow(clippy::indexing_slicing, reason = "cells are indices of the proposal")]

use std::cell::{Cell, OnceCell};
use std::collections::{HashMap, HashSet};

use rand::Rng;

use super::echelon::{Echelon, Row, Scratch};
use super::family::Family;
use super::light::{Light, idle};
use super::membership::Membership;
use super::moves;
use super::peel::peel;
use super::refine::{Refined, refine};
use super::release::{Release, WrongPattern};
use super::words::{GivenUp, Word, light_words};
use crate::domain::refusal::{Refusal, RefusalKind};

/// What is judged.
#[derive(Debug, Clone, Copy)]
pub struct Proposal<'a> {
    /// Who is in its cells.
    pub membership: &'a Membership,
    /// For each cell whether it is to be withheld.
    pub withheld: &'a [bool],
    /// The least number of persons k of the rule.
    pub least: u32,
}

/// What a recipient knows: what is public, and what was released to any project of its organisation.
#[derive(Debug, Clone, Default)]
pub struct KnowledgeSet<'a> {
    releases: Vec<&'a Release>,
    cells: usize,
    lacking: bool,
}

impl KnowledgeSet<'_> {
    /// The same set with a release more, of which neither the membership is kept nor can the definition be
    /// evaluated again. Nothing can be judged beside it.
    #[must_use]
    pub fn lacking_one(self) -> Self {
        Self { lacking: true, ..self }
    }
}

impl<'a> FromIterator<&'a Release> for KnowledgeSet<'a> {
    fn from_iter<I: IntoIterator<Item = &'a Release>>(releases: I) -> Self {
        let releases: Vec<&Release> = releases.into_iter().collect();
        let cells = releases.iter().map(|release| release.membership().cells()).sum();
        Self { releases, cells, lacking: false }
    }
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// It may be released as proposed.
    Release,
    /// It may be released if these further cells are withheld too.
    WithholdMore(Vec<usize>),
    /// It may not be released.
    Refuse(Refused),
}

/// Why a release is refused. The texts name what would be accepted and depend on no count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// By definition: more releases or cells than are judged together.
    #[error(
        "the recipient has received more than is judged together; ask under an earlier table's definition"
    )]
    TooMuchKnown,
    /// By definition: an earlier release can no longer be evaluated.
    #[error(
        "an earlier release to the recipient can no longer be compared with; ask on data of which nothing has \
         been released to it"
    )]
    EarlierGone,
    /// Nothing would be left of it, or no pattern is found.
    #[error(
        "the table cannot be released beside what the recipient has received; ask for coarser dimensions, or \
         for groups that differ less finely from those of earlier tables"
    )]
    NotBesideEarlier,
    /// By definition: the organisation has received other microdata.
    #[error("an organisation receives microdata once; ask the question they answered, or for a table")]
    MicrodataOnce,
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        if refused == Refused::MicrodataOnce {
            return Self::new(RefusalKind::Precondition, "disclosure.microdata_once", refused.to_string());
        }
        // One text for all: one that depends on counts reads like those that do not.
        let hint = "the result cannot be released beside what its recipients have received; ask for coarser \
                    dimensions, for groups that differ less finely from those of earlier tables, or on data \
                    of which nothing has been released to them";
        Self::new(RefusalKind::Precondition, "disclosure.not_beside_earlier", hint)
    }
}

/// The most releases that are judged together.
pub const MOST_RELEASES: usize = 10_000;
/// The most cells that are judged together.
pub const MOST_CELLS: usize = 2_000_000;
/// How many persons must be able to leave a group for it to give and take whatever a change to fewer than `least` persons
/// needs.
const fn enough(least: u32) -> u32 {
    2 * least.saturating_sub(1)
}

/// How much work a judgement may take, in steps of the search for small groups; beyond it a release is refused.
const MOST_WORK: usize = 150_000_000;
/// How many patterns that withhold less are tried at the end; what they leave withheld may not all be needed.
const MOST_TRIALS: usize = 40;

/// Judges a proposal against each knowledge set that it would become part of: its recipient's, or every
/// one if it is to be published. The draws break ties; they belong to the table (`PatternKey`), so that
/// the same table is answered the same way.
///
/// # Errors
/// [`WrongPattern`].
pub fn judge(
    proposal: Proposal<'_>,
    knowledge: &[KnowledgeSet<'_>],
    rng: &mut impl Rng,
) -> Result<Judgement, WrongPattern> {
    let Proposal { membership, withheld: proposed, least } = proposal;
    if proposed.len() != membership.cells() {
        return Err(WrongPattern);
    }
    let too_much = |set: &KnowledgeSet<'_>| {
        set.releases.len() >= MOST_RELEASES || set.cells + membership.cells() > MOST_CELLS
    };
    if knowledge.iter().any(too_much) {
        return Ok(Judgement::Refuse(Refused::TooMuchKnown));
    }
    if knowledge.iter().any(|set| set.lacking) {
        return Ok(Judgement::Refuse(Refused::EarlierGone));
    }
    let counts = membership.counts();
    let mut withheld = proposed.to_vec();
    for set in knowledge {
        // Withholding more never tells more, so what one set needs does not undo what another needed.
        let mut families = Family::all(&set.releases);
        let few: Vec<&[u32]> = set.releases.iter().flat_map(|release| release.few()).collect();
        peel(&mut families, &membership.population.persons, &few, enough(least));
        let refined = refine(&families, membership, &few, enough(least), rng);
        drop(families);
        let mut ground = Ground::new(&refined, &counts, least);
        if ground.protect(&mut withheld, rng).is_err() {
            return Ok(Judgement::Refuse(Refused::NotBesideEarlier));
        }
    }
    let more: Vec<usize> = (0..withheld.len()).filter(|&c| withheld[c] && !proposed[c]).collect();
    let nothing_left = (0..withheld.len()).all(|c| withheld[c] || counts[c] == 0);
    Ok(match more.is_empty() {
        true => Judgement::Release,
        false if nothing_left => Judgement::Refuse(Refused::NotBesideEarlier),
        false => Judgement::WithholdMore(more),
    })
}

/// One knowledge set, ready for any pattern of the proposal.
struct Ground<'a> {
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
    fn new(refined: &'a Refined, counts: &'a [u64], least: u32) -> Self {
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

    /// Withholds more until no small group can be counted anew, and then no more than is needed.
    fn protect(&mut self, withheld: &mut [bool], rng: &mut impl Rng) -> Result<(), GivenUp> {
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
        // That a withheld cell is not empty is told too: its atoms must be able to change like those of published ones.
        let told: HashSet<u32> = (0..cells.len())
            .filter(|&cell| withheld[cell] && self.counts[cell] < u64::from(self.least))
            .flat_map(|cell| cells[cell].iter().map(|(atom, _)| *atom).filter(|atom| atom >= light_from))
            .collect();
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
        for stuck in moves::stuck(&rows, spare, &told) {
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
    use crate::disclosure::ledger::tests::world::{draws, person, primary, query};
    use proptest::prelude::*;

    /// Whether a release gives a small group away beside these families by sums.
    fn exposes(families: &[Family<'_>], few: &[&[u32]], asked: &Release, least: u32) -> bool {
        let refined = refine(families, asked.membership(), few, enough(least), &mut draws());
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
