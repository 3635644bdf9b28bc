use super::*;
use crate::disclosure::lattice::{Lattice, Tree};
use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

/// A table with zeros published or protected, and some cells published earlier.
struct Sample {
    lattice: Lattice,
    counts: Vec<u64>,
    primary: Vec<bool>,
    fixed: Vec<bool>,
    zeros_published: bool,
}

fn below(n: u64, rng: &mut ChaCha20Rng) -> u64 {
    rng.next_u64() % n
}

/// A dimension: flat, in groups, or with leaves in the groups of two hierarchies.
fn dimension(rng: &mut ChaCha20Rng) -> Tree {
    let leaves = 2 + below(3, rng) as usize;
    let mut parents = vec![vec![]];
    match below(4, rng) {
        0 => {
            parents.extend([vec![0], vec![0]]);
            parents.extend((0..leaves).map(|leaf| vec![1 + leaf % 2]));
        }
        1 => {
            parents.extend([vec![0], vec![0], vec![0]]);
            parents.extend((0..leaves).map(|leaf| if leaf == 0 { vec![1, 3] } else { vec![2] }));
            parents.push(vec![1]);
            parents.push(vec![3]);
        }
        _ => parents.extend(std::iter::repeat_n(vec![0], leaves)),
    }
    Tree::new(parents)
}

impl Sample {
    fn random(seed: u64, published: bool) -> Self {
        let rng = &mut ChaCha20Rng::seed_from_u64(seed);
        let (mut trees, mut cells) = (vec![dimension(rng)], 1);
        for _ in 0..below(4, rng) {
            let tree = dimension(rng);
            if cells * tree.len() <= 40 {
                cells *= tree.len();
                trees.push(tree);
            }
        }
        let lattice = Lattice::new(trees);
        let mut counts = vec![0; lattice.cells()];
        for cell in lattice.inner() {
            counts[cell] = match below(10, rng) {
                0 => 0,
                1..5 => 1 + below(4, rng),
                _ => 5 + below(40, rng),
            };
        }
        lattice.fill(&mut counts);
        let zeros_published = below(4, rng) > 0;
        let primary: Vec<bool> = counts.iter().map(|&c| c < 5 && (c > 0 || !zeros_published)).collect();
        let fixed = counts.iter().zip(&primary).map(|(&count, primary)| {
            count == 0 && zeros_published || published && !primary && below(5, rng) == 0
        });
        Self { fixed: fixed.collect(), lattice, counts, primary, zeros_published }
    }

    fn widened(&self, width: u64, seed: u64) -> Result<Widened, Unprotectable> {
        let none = vec![false; self.counts.len()];
        let task = Task {
            lattice: &self.lattice,
            counts: &self.counts,
            primary: &self.primary,
            absent: &none,
            fixed: &self.fixed,
            alone: &vec![None; none.len()],
        };
        let positive = vec![self.zeros_published; none.len()];
        let wanted = Wanted { targets: &self.primary, width, positive: &positive };
        widen(&task, wanted, Effort::Thorough, &mut |_, _| {}, &mut ChaCha20Rng::seed_from_u64(seed))
    }

    fn is_withheld(&self, found: &Widened, cell: usize) -> bool {
        self.primary[cell] || found.changed[cell]
    }

    /// What the alternative tables count, each checked against all that is published.
    fn tables(&self, found: &Widened) -> Vec<Vec<u64>> {
        let mut tables = vec![self.counts.clone()];
        for alternative in &found.alternatives {
            let mut table = self.counts.clone();
            for &(cell, by) in alternative {
                table[cell] = table[cell].checked_add_signed(by).unwrap();
            }
            self.lattice.fill(&mut table);
            for (cell, &count) in table.iter().enumerate() {
                let kept = count == self.counts[cell];
                let possible = self.is_withheld(found, cell) && !self.fixed[cell];
                assert!(kept || possible && (count > 0 || !self.zeros_published), "cell {cell}");
            }
            tables.push(table);
        }
        tables
    }
}

/// How far a cell goes at least, in tables.
fn width(tables: &[Vec<u64>], cell: usize) -> u64 {
    let counts = tables.iter().map(|table| table[cell]);
    counts.clone().max().unwrap() - counts.min().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, ..ProptestConfig::default() })]
    #[test]
    fn every_small_count_has_its_range_in_tables_that_agree_with_all_that_is_published(
        seed in any::<u64>(),
        wide in 1u64..12,
    ) {
        let sample = Sample::random(seed, false);
        let found = sample.widened(wide, seed).ok().unwrap();
        let tables = sample.tables(&found);
        for cell in (0..sample.counts.len()).filter(|&c| sample.primary[c]) {
            prop_assert!(width(&tables, cell) >= wide);
        }
        let again = sample.widened(wide, seed).ok().unwrap();
        prop_assert_eq!(found.alternatives, again.alternatives);
    }

    #[test]
    fn what_stays_published_is_not_changed(seed in any::<u64>()) {
        let sample = Sample::random(seed, true);
        if let Ok(found) = sample.widened(5, seed) {
            let tables = sample.tables(&found);
            for cell in (0..sample.counts.len()).filter(|&c| sample.primary[c]) {
                prop_assert!(width(&tables, cell) >= 5);
            }
        }
    }
}

#[test]
fn a_count_that_others_must_make_room_for_takes_the_least_of_them() {
    let tree = Tree::from_parents(vec![None, Some(0), Some(0), Some(0)]);
    let lattice = Lattice::new(vec![tree]);
    let counts = vec![69, 1, 18, 50];
    let primary = vec![false, true, false, false];
    let fixed = vec![false; 4];
    let sample = Sample { lattice, counts, primary, fixed, zeros_published: true };
    let found = sample.widened(5, 1).ok().unwrap();
    assert_eq!(found.changed, [false, true, true, false]);
    // The other cell cannot go below one.
    let found = sample.widened(18, 1).ok().unwrap();
    assert_eq!(found.changed, [false, true, false, true]);
}

#[test]
fn a_range_that_nothing_gives_is_refused() {
    let tree = Tree::from_parents(vec![None, Some(0), Some(0)]);
    let sample = Sample {
        lattice: Lattice::new(vec![tree]),
        counts: vec![7, 3, 4],
        primary: vec![false, true, true],
        fixed: vec![true, false, false],
        zeros_published: true,
    };
    // Each is 1 to 6.
    assert!(sample.widened(5, 1).is_ok());
    assert_eq!(sample.widened(6, 1).err(), Some(Unprotectable { cells: 2 }));
}
