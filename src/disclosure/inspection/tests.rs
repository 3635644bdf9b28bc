use super::*;
use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

use crate::disclosure::lattice::{Lattice, Tree};
use crate::disclosure::range::{Wanted, widen};
use crate::disclosure::suppress::{Effort, suppress, witnesses};
use crate::disclosure::task::{Task, alone};

/// A protected table with its proof.
#[derive(Clone)]
struct Case {
    parts: Vec<Part>,
    counts: Vec<u64>,
    withheld: Vec<bool>,
    none: Vec<bool>,
    alone: Vec<Option<u32>>,
    proof: Proof,
}

fn flat(leaves: usize) -> Tree {
    Tree::from_parents(std::iter::once(None).chain(std::iter::repeat_n(Some(0), leaves)).collect())
}

impl Case {
    /// A table of so many rows and columns, protected with ranges of five.
    fn new(rows: usize, columns: usize, inner: &[u64], seed: u64) -> Self {
        let lattice = Lattice::new(vec![flat(rows), flat(columns)]);
        let mut counts = vec![0; lattice.cells()];
        for (cell, &count) in lattice.inner().into_iter().zip(inner.iter().cycle()) {
            counts[cell] = count;
        }
        lattice.fill(&mut counts);
        let primary: Vec<bool> = counts.iter().map(|c| (1..5).contains(c)).collect();
        let fixed: Vec<bool> = counts.iter().map(|&c| c == 0).collect();
        let none = vec![false; counts.len()];
        let alone = alone(&lattice, &counts);
        let rng = &mut ChaCha20Rng::seed_from_u64(seed);
        let task = Task {
            lattice: &lattice,
            counts: &counts,
            primary: &primary,
            absent: &none,
            fixed: &fixed,
            alone: &alone,
        };
        let positive = vec![true; counts.len()];
        let wanted = Wanted { targets: &primary, width: 5, positive: &positive };
        let found = widen(&task, wanted, Effort::Thorough, &mut |_, _| {}, rng).ok().unwrap();
        let task = Task { absent: &found.changed, ..task };
        let withheld = suppress(task, Effort::Completion, rng).unwrap();
        let inner = lattice.inner();
        let place = |cell: usize| inner.iter().position(|&c| c == cell).unwrap();
        let alternatives = found
            .alternatives
            .iter()
            .map(|table| table.iter().map(|&(cell, by)| (place(cell), by)).collect())
            .collect();
        let changes = witnesses(task, &withheld, rng)
            .into_iter()
            .map(|change| inner.iter().map(|&cell| change[cell]).collect())
            .collect();
        // Each inner cell, its row, its column and all.
        let cells = |cell: usize| {
            let (row, column) = (cell / (columns + 1), cell % (columns + 1));
            vec![cell, row * (columns + 1), column, 0]
        };
        let parts = inner.iter().map(|&c| Part { persons: counts[c], cells: cells(c) }).collect();
        Self { parts, counts, withheld, none, alone, proof: Proof { changes, alternatives } }
    }

    fn verdict(&self) -> Result<Vec<Option<Range>>, Stopped> {
        let release = Release {
            parts: &self.parts,
            counts: &self.counts,
            withheld: &self.withheld,
            sensitive: &self.none,
            impossible: &self.none,
            alone: &self.alone,
            min_persons: 5,
            min_range: 5,
            zeros_shown: &vec![true; self.counts.len()],
        };
        inspect(&release, &self.proof, &mut ChaCha20Rng::seed_from_u64(9))
    }

    fn small(&self) -> Vec<usize> {
        (0..self.counts.len()).filter(|&c| (1..5).contains(&self.counts[c])).collect()
    }

    /// By search through whole tables that agree with all that is shown, none of whose withheld inner cells counts
    /// more than `most`: the least and the most of each cell.
    fn searched(&self, most: u64) -> Vec<Range> {
        let mut left: Vec<i64> = self.counts.iter().map(|&c| c as i64).collect();
        let open: Vec<&Part> = self.parts.iter().filter(|part| self.withheld[part.cells[0]]).collect();
        for part in self.parts.iter().filter(|part| !self.withheld[part.cells[0]]) {
            part.cells.iter().for_each(|&c| left[c] -= part.persons as i64);
        }
        let mut found: Vec<Range> = self.counts.iter().map(|&c| Range { low: c, high: c }).collect();
        let mut chosen = vec![0; open.len()];
        self.extend(&open, &mut left, &mut chosen, 0, most, &mut found);
        found
    }

    fn extend(
        &self,
        open: &[&Part],
        left: &mut Vec<i64>,
        chosen: &mut Vec<u64>,
        depth: usize,
        most: u64,
        found: &mut Vec<Range>,
    ) {
        // A sum that is shown is neither passed nor missed when nothing more is to come.
        for (cell, &left) in left.iter().enumerate().filter(|(c, _)| !self.withheld[*c]) {
            let to_come = open[depth..].iter().filter(|part| part.cells.contains(&cell)).count() as i64;
            if left < to_come || left > to_come * most as i64 {
                return;
            }
        }
        if depth == open.len() {
            let mut table = vec![0; self.counts.len()];
            for part in self.parts.iter().filter(|part| !self.withheld[part.cells[0]]) {
                part.cells.iter().for_each(|&c| table[c] += part.persons);
            }
            for (part, &count) in open.iter().zip(chosen.iter()) {
                part.cells.iter().for_each(|&c| table[c] += count);
            }
            for (range, count) in found.iter_mut().zip(table) {
                *range = Range { low: range.low.min(count), high: range.high.max(count) };
            }
            return;
        }
        for count in 1..=most {
            chosen[depth] = count;
            open[depth].cells.iter().for_each(|&c| left[c] -= count as i64);
            self.extend(open, left, chosen, depth + 1, most, found);
            open[depth].cells.iter().for_each(|&c| left[c] += count as i64);
        }
    }
}

/// What is done to an alternative table.
type Forging<'a> = &'a dyn Fn(&mut Vec<(usize, i64)>);

/// The most that the attacker's search tries in an inner cell.
const MOST: u64 = 16;

fn inner() -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec(prop_oneof![1 => Just(0u64), 4 => 1u64..5, 5 => 5u64..60], 1..20)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]
    #[test]
    fn what_the_engine_protects_passes_and_what_is_shown_besides_does_not(
        inner in inner(), rows in 2usize..5, columns in 2usize..5, seed in any::<u64>()
    ) {
        let case = Case::new(rows, columns, &inner, seed);
        let ranges = case.verdict().unwrap();
        for cell in case.small() {
            let range = ranges[cell].unwrap();
            prop_assert!(range.high - range.low >= 5);
        }
        // A withheld cell that is shown after all is small, or some table of the proof changes it.
        for cell in (0..case.counts.len()).filter(|&c| case.withheld[c]) {
            let mut leak = case.clone();
            leak.withheld[cell] = false;
            prop_assert!(leak.verdict().is_err());
        }
        // Without one of its tables the proof may hold, but without any it does not.
        let mut bare = case.clone();
        bare.proof.alternatives.clear();
        prop_assert_eq!(bare.verdict().is_ok(), case.small().is_empty());
        let mut bare = case.clone();
        bare.proof.changes.clear();
        prop_assert_eq!(bare.verdict().is_ok(), case.small().is_empty());
    }

    #[test]
    fn a_table_that_is_not_possible_is_no_proof(inner in inner(), at in any::<prop::sample::Index>()) {
        let case = Case::new(3, 4, &inner, 1);
        // With the total published no cell can change alone.
        prop_assume!(!case.proof.alternatives.is_empty() && !case.withheld[0]);
        let place = at.index(case.proof.alternatives.len());
        let forged = |change: Forging<'_>| {
            let mut forged = case.clone();
            change(&mut forged.proof.alternatives[place]);
            forged.verdict()
        };
        // One cell more or less by one, a cell twice, too few persons, a cell that is not there.
        prop_assert!(forged(&|table| table[0].1 += 1).is_err());
        prop_assert!(forged(&|table| table.push(table[0])).is_err());
        prop_assert!(forged(&|table| table.iter_mut().for_each(|(_, by)| *by *= 1000)).is_err());
        prop_assert!(forged(&|table| table.push((99, 0))).is_err());
    }

    #[test]
    fn the_attacker_finds_no_narrower_range(inner in prop::collection::vec(0u64..9, 4), seed in any::<u64>()) {
        let case = Case::new(2, 2, &inner, seed);
        let proved = case.verdict().unwrap();
        let found = case.searched(MOST);
        for cell in case.small() {
            prop_assert!(found[cell].high - found[cell].low >= 5);
        }
        for (proved, found) in proved.iter().zip(&found).filter_map(|(p, f)| Some((p.as_ref()?, f))) {
            prop_assert!(found.low <= proved.low && found.high >= proved.high || proved.high > MOST);
        }
    }
}

#[test]
fn two_cells_that_sum_to_two_are_stopped() {
    let parts = [1, 1, 7].map(|persons| Part { persons, cells: vec![] });
    let parts: Vec<Part> =
        parts.into_iter().enumerate().map(|(i, p)| Part { cells: vec![0, i + 1], ..p }).collect();
    let case = Case {
        parts,
        counts: vec![9, 1, 1, 7],
        withheld: vec![false, true, true, false],
        none: vec![false; 4],
        alone: vec![None; 4],
        proof: Proof { changes: vec![vec![1, PRIME - 1, 0]], alternatives: Vec::new() },
    };
    assert_eq!(case.verdict(), Err(Stopped::TooNarrow));
    // One of them empty would be a range of two, if empty cells were not shown.
    let mut false_table = case.clone();
    false_table.proof.alternatives = vec![vec![(0, 1), (1, -1)]];
    assert_eq!(false_table.verdict(), Err(Stopped::FalseTable));
    let mut inside = case;
    inside.alone[1] = Some(7);
    assert_eq!(inside.verdict(), Err(Stopped::ComputableInside));
    let mut shown = inside.clone();
    shown.withheld[1] = false;
    assert_eq!(shown.verdict(), Err(Stopped::Shown));
}
