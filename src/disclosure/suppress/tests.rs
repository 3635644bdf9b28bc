use super::*;
use crate::disclosure::attacker::computable;
use crate::disclosure::lattice::{Lattice, Tree};
use crate::disclosure::task::alone;
use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

/// A number below `n`.
fn below(n: usize, rng: &mut ChaCha20Rng) -> usize {
    usize::try_from(rng.next_u64() % n as u64).unwrap()
}

fn flat(leaves: usize) -> Tree {
    Tree::from_parents(std::iter::once(None).chain(std::iter::repeat_n(Some(0), leaves)).collect())
}

/// A dimension of so many leaves: flat, in groups, or in the groups of two hierarchies.
fn dimension(leaves: usize, rng: &mut ChaCha20Rng) -> Tree {
    let (hierarchies, groups) = (below(3, rng), 1 + below(3, rng));
    let mut parents = vec![Vec::new()];
    parents.extend(std::iter::repeat_n(vec![0], hierarchies * groups));
    let mut used = vec![false; parents.len()];
    for _ in 0..leaves {
        let mut above: Vec<usize> = (0..hierarchies).map(|h| 1 + h * groups + below(groups, rng)).collect();
        if above.is_empty() || below(6, rng) == 0 {
            above = vec![0];
        }
        above.iter().for_each(|&a| used[a] = true);
        parents.push(above);
    }
    // A group without leaves would be a leaf: give it one.
    let without = used.iter().enumerate().skip(1).filter(|(_, used)| !**used);
    parents.extend(without.map(|(group, _)| vec![group]));
    Tree::new(parents)
}

/// A table with everything the engine knows of.
struct Sample {
    lattice: Lattice,
    counts: Vec<u64>,
    primary: Vec<bool>,
    absent: Vec<bool>,
    fixed: Vec<bool>,
    alone: Vec<Option<u32>>,
}

impl Sample {
    /// A random table of 1 to 5 dimensions and not too many inner cells.
    fn random(seed: u64) -> Self {
        let rng = &mut ChaCha20Rng::seed_from_u64(seed);
        let mut trees = Vec::new();
        let (dimensions, mut inner, mut cells) = (1 + below(5, rng), 1, 1);
        for _ in 0..dimensions {
            let tree = dimension(1 + below(4, rng), rng);
            if inner * tree.leaves().len() <= 16 && cells * tree.len() <= 200 {
                (inner, cells) = (inner * tree.leaves().len(), cells * tree.len());
                trees.push(tree);
            }
        }
        if trees.is_empty() {
            trees.push(flat(4));
        }
        let lattice = Lattice::new(trees);
        let (mut counts, mut impossible) = (vec![0; lattice.cells()], vec![false; lattice.cells()]);
        for cell in lattice.inner() {
            counts[cell] = match below(10, rng) {
                0 | 1 => 0,
                2..5 => 1 + below(4, rng) as u64,
                _ => 5 + below(60, rng) as u64,
            };
            impossible[cell] = counts[cell] == 0 && below(3, rng) == 0;
        }
        lattice.fill(&mut counts);
        let protect_zeros = below(3, rng) == 0;
        let all_impossible = |c: usize| lattice.inner_below(c).into_iter().all(|i| impossible[i]);
        let fixed: Vec<bool> = (0..lattice.cells())
            .map(|c| if protect_zeros { all_impossible(c) } else { counts[c] == 0 })
            .collect();
        let linked = below(3, rng) == 0;
        let absent: Vec<bool> = (0..lattice.cells()).map(|_| linked && below(4, rng) == 0).collect();
        let primary = (0..lattice.cells()).map(|c| counts[c] < 5 && !fixed[c]).collect();
        let alone = if below(2, rng) == 0 { alone(&lattice, &counts) } else { vec![None; lattice.cells()] };
        Self { lattice, counts, primary, absent, fixed, alone }
    }

    fn counted(trees: Vec<Tree>, counts: &[u64]) -> Self {
        let lattice = Lattice::new(trees);
        let (none, counts) = (vec![false; lattice.cells()], counts.to_vec());
        assert!(lattice.is_additive(&counts));
        let primary = counts.iter().map(|c| (1..5).contains(c)).collect();
        let fixed = counts.iter().map(|c| *c == 0).collect();
        let alone = vec![None; lattice.cells()];
        Self { lattice, counts, primary, absent: none, fixed, alone }
    }

    fn task(&self) -> Task<'_> {
        let Self { lattice, counts, primary, absent, fixed, alone } = self;
        Task { lattice, counts, primary, absent, fixed, alone }
    }

    fn suppress(&self, seed: u64) -> Result<Vec<bool>, Unprotectable> {
        suppress(self.task(), Effort::Thorough, &mut ChaCha20Rng::seed_from_u64(seed))
    }

    /// How many cells somebody learns who must not.
    fn leaks(&self, withheld: &[bool]) -> usize {
        let fixed: Vec<usize> = self.lattice.inner().into_iter().filter(|&c| self.fixed[c]).collect();
        let known = computable(&self.lattice, withheld, &fixed);
        let cells = 0..self.counts.len();
        let outside = cells.clone().filter(|&c| self.primary[c] && known[c]).count();
        let mut contributors: Vec<u32> = self.alone.iter().flatten().copied().collect();
        contributors.sort_unstable();
        contributors.dedup();
        let inside = contributors.into_iter().map(|contributor| {
            let own = cells.clone().filter(|&c| self.alone[c] == Some(contributor) && self.primary[c]);
            let known = computable(&self.lattice, withheld, &[fixed.clone(), own.collect()].concat());
            cells
                .clone()
                .filter(|&c| self.primary[c] && self.alone[c] != Some(contributor) && known[c])
                .count()
        });
        outside + inside.sum::<usize>()
    }

    /// Nobody learns what must not be known, what is fixed is published, and nothing is withheld without need.
    fn check(&self, withheld: &[bool]) {
        assert_eq!(self.leaks(withheld), 0, "a cell can be computed");
        for cell in 0..self.counts.len() {
            assert!(!(withheld[cell] && self.fixed[cell]), "a fixed cell is withheld");
            if withheld[cell] && !self.primary[cell] && !self.absent[cell] {
                let mut less = withheld.to_vec();
                less[cell] = false;
                assert!(self.leaks(&less) > 0, "a cell is withheld without need");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, ..ProptestConfig::default() })]
    #[test]
    fn nobody_learns_a_hidden_count_and_nothing_is_withheld_without_need(seed in any::<u64>()) {
        let sample = Sample::random(seed);
        match sample.suppress(seed) {
            Ok(withheld) => {
                sample.check(&withheld);
                prop_assert_eq!(Ok(withheld), sample.suppress(seed));
            }
            // Only what no pattern can hide is refused.
            Err(_) => {
                let everything: Vec<bool> = sample.fixed.iter().map(|fixed| !fixed).collect();
                prop_assert!(sample.leaks(&everything) > 0);
            }
        }
    }

    #[test]
    fn what_stays_published_is_reckoned_with(seed in any::<u64>()) {
        let mut sample = Sample::random(seed);
        let rng = &mut ChaCha20Rng::seed_from_u64(seed);
        for cell in 0..sample.counts.len() {
            sample.fixed[cell] |= !sample.primary[cell] && below(3, rng) == 0;
        }
        let everything: Vec<bool> = sample.fixed.iter().map(|fixed| !fixed).collect();
        let possible = sample.leaks(&everything) == 0;
        match sample.suppress(seed) {
            Ok(withheld) => sample.check(&withheld),
            Err(refused) => prop_assert!(!possible && refused.cells > 0),
        }
    }
}

/// A table in which what was withheld against two cells together became needless by what was withheld after.
#[test]
fn what_several_cells_together_asked_for_goes_when_others_do_it() {
    let sample = Sample::random(7_541_921_434_573_717_278);
    assert!(sample.alone.iter().any(Option::is_some));
    sample.check(&sample.suppress(7_541_921_434_573_717_278).unwrap());
}

#[test]
fn the_attacker_does_compute_a_cell_whose_complement_is_published() {
    let lattice = Lattice::new(vec![flat(3)]);
    let known = computable(&lattice, &[false, true, false, false], &[]);
    assert!(known[1]);
    let known = computable(&lattice, &[false, true, true, false], &[]);
    assert!(!known[1] && !known[2]);
    let known = computable(&lattice, &[false, true, true, false], &[2]);
    assert!(known[1]);
}

#[test]
fn a_lone_small_cell_takes_the_smallest_partner_along() {
    let sample = Sample::counted(vec![flat(3)], &[60, 2, 8, 50]);
    assert_eq!(sample.suppress(1), Ok(vec![false, true, true, false]));
}

#[test]
fn who_is_alone_in_a_cell_does_not_learn_the_one_beside_it() {
    let mut sample = Sample::counted(vec![flat(3)], &[24, 1, 3, 20]);
    assert_eq!(sample.suppress(1), Ok(vec![false, true, true, false]));
    sample.alone = alone(&sample.lattice, &sample.counts);
    let withheld = sample.suppress(1).unwrap();
    assert!(withheld[0] || withheld[3]);
    sample.check(&withheld);
}

#[test]
fn an_earlier_table_that_gives_a_cell_away_is_named_by_how_many() {
    let mut sample = Sample::counted(vec![flat(3)], &[60, 2, 8, 50]);
    sample.fixed = vec![true, false, true, true];
    assert_eq!(sample.suppress(1), Err(Unprotectable { cells: 1 }));
}

#[test]
fn tables_linked_by_a_dimension_are_protected_together() {
    // Place by sex and place by age, without sex by age: what both leave of a place must agree.
    let rng = &mut ChaCha20Rng::seed_from_u64(3);
    for _ in 0..20 {
        let lattice = Lattice::new(vec![flat(3), flat(2), flat(2)]);
        let mut counts = vec![0; lattice.cells()];
        for cell in lattice.inner() {
            counts[cell] = below(14, rng) as u64;
        }
        lattice.fill(&mut counts);
        let mut sample = Sample::counted(vec![flat(3), flat(2), flat(2)], &counts);
        for cell in 0..counts.len() {
            sample.absent[cell] = lattice.node(cell, 1) > 0 && lattice.node(cell, 2) > 0;
            sample.primary[cell] &= !sample.absent[cell];
            // Nobody sees that a cell no table has is empty.
            sample.fixed[cell] &= !sample.absent[cell];
        }
        let withheld = sample.suppress(1).unwrap();
        sample.check(&withheld);
    }
}

#[test]
fn who_is_alone_in_two_cells_does_not_learn_a_third_by_both() {
    let mut sample = Sample::counted(vec![flat(4)], &[60, 2, 3, 4, 51]);
    (sample.alone[1], sample.alone[2]) = (Some(7), Some(7));
    let without = [false, true, true, true, false];
    assert!(sample.leaks(&without) > 0);
    let withheld = sample.suppress(1).unwrap();
    assert_ne!(withheld, without);
    assert_eq!(sample.leaks(&withheld), 0);
}
