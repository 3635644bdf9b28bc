//! Cell suppression in one additive table: which cells to withhold beside the primary ones, so that no
//! primary cell can be computed from what is published, and none withheld without need.
//!
//! First cycles are laid through every primary cell that can still be computed ([`super::cycle`]), then
//! what was withheld too much is published again: two cells stand or fall together exactly if they are
//! proportional on the kernel, so a class of proportional cells without a primary one is not needed
//! (Langsrud 2024 decides the same by elimination). When no such class is left, publishing any one
//! secondary cell would expose the primary cells of its class: the pattern is minimal.
#![allow(clippy::indexing_slicing, reason = "cells are indices of the lattice")]

use std::collections::{HashMap, HashSet};

use rand::Rng;
use rand::seq::SliceRandom;

use super::cycle::{self, Ground, cheapest};
use super::field::{add, inv, mul, neg};
use super::kernel::Kernel;
use super::lattice::Lattice;

/// No pattern was found that protects every primary cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no pattern was found that protects every small cell")]
pub(super) struct Unprotectable;

/// A table to protect. Every slice has an entry for each cell of the lattice.
#[derive(Debug, Clone, Copy)]
pub(super) struct Task<'a> {
    pub(super) lattice: &'a Lattice,
    /// The counts, additive over the lattice. A cell with nobody in it is taken to be known.
    pub(super) counts: &'a [u64],
    /// Cells that must not be computable, all with somebody in them.
    pub(super) primary: &'a [bool],
    /// Cells that the table does not have, though its other cells may give them away.
    pub(super) absent: &'a [bool],
    /// Pairs of cells, the first above the second, whose difference must not be computable either.
    pub(super) differences: &'a [(usize, usize)],
}

impl Task<'_> {
    /// Every sum that must not be computable: its cell, and the cell to take away from it.
    fn targets(&self) -> impl Iterator<Item = (usize, Option<usize>)> + '_ {
        let cells = (0..self.counts.len()).filter(|&c| self.primary[c]).map(|c| (c, None));
        cells.chain(self.differences.iter().map(|&(above, below)| (above, Some(below))))
    }

    /// Whether any of them is zero on a kernel vector, and so can be computed.
    fn is_exposed(&self, vector: &[u64]) -> bool {
        self.targets().any(|target| change(vector, target) == 0)
    }
}

/// By how much a kernel vector changes a sum.
fn change(vector: &[u64], (cell, less): (usize, Option<usize>)) -> u64 {
    less.map_or(vector[cell], |less| add(vector[cell], neg(vector[less])))
}

/// Chooses the cells to withhold: tells for each cell whether it is, absent ones with somebody in them
/// included.
pub(super) fn suppress(task: Task<'_>, rng: &mut impl Rng) -> Result<Vec<bool>, Unprotectable> {
    let mut kernel = Kernel::new(task.lattice);
    let hidden = |c: usize| task.primary[c] || task.absent[c] && task.counts[c] > 0;
    let mut withheld: Vec<bool> = (0..task.counts.len()).map(hidden).collect();
    repair(&mut kernel, task, &mut withheld, rng)?;
    relax(&mut kernel, task, &mut withheld, rng);
    Ok(withheld)
}

/// Lays cycles until nothing that must not be computable can be computed: through each primary cell,
/// and through the lower cell of each difference, leaving its upper cell as it is.
fn repair(
    kernel: &mut Kernel<'_>,
    task: Task<'_>,
    withheld: &mut [bool],
    rng: &mut impl Rng,
) -> Result<(), Unprotectable> {
    let Task { lattice, counts, primary, .. } = task;
    let vector = kernel.draw(withheld, rng);
    let mut open: Vec<bool> = vector.iter().zip(primary).map(|(&v, &p)| p && v == 0).collect();
    let mut order: Vec<(usize, Option<usize>)> =
        (0..counts.len()).filter(|&c| open[c]).map(|c| (c, None)).collect();
    order.shuffle(rng);
    let mut rest: Vec<(usize, Option<usize>)> =
        task.differences.iter().map(|&(above, below)| (below, Some(above))).collect();
    rest.shuffle(rng);
    order.extend(rest);
    for (cell, fixed) in order {
        // A cycle laid for another may have protected it.
        let done = match fixed {
            None => !open[cell],
            Some(above) => change(&kernel.draw(withheld, rng), (above, Some(cell))) != 0,
        };
        if done {
            continue;
        }
        let ground = Ground { lattice, counts, withheld, exposed: &open };
        let found = cheapest(&ground, cell, fixed, rng).ok_or(Unprotectable)?;
        for cell in found.cells {
            withheld[cell] = true;
            open[cell] = false;
            kernel.touch(cell);
        }
    }
    // The cycles prove it already; a draw costs little and shuts the door on a mistake.
    if task.is_exposed(&kernel.draw(withheld, rng)) { Err(Unprotectable) } else { Ok(()) }
}

/// Publishes again what is withheld without need.
fn relax(kernel: &mut Kernel<'_>, task: Task<'_>, withheld: &mut [bool], rng: &mut impl Rng) {
    let mut batch = usize::MAX;
    loop {
        let classes = needless(kernel, task, withheld, rng);
        if classes.is_empty() {
            return;
        }
        // One class is always safe. Several may each be needless but not together, so they are tried
        // together and fewer at a time when that goes wrong.
        loop {
            batch = batch.clamp(1, classes.len());
            let cells = || classes[..batch].iter().flatten().copied();
            for cell in cells() {
                withheld[cell] = false;
                kernel.touch(cell);
            }
            if batch == 1 || !task.is_exposed(&kernel.draw(withheld, rng)) {
                batch *= 2;
                break;
            }
            for cell in cells() {
                withheld[cell] = true;
                kernel.touch(cell);
            }
            batch /= 2;
        }
    }
}

/// The classes of withheld cells, proportional on the kernel, to which nothing that must not be computable
/// is proportional; those whose
/// publication gains most come first.
fn needless(
    kernel: &mut Kernel<'_>,
    task: Task<'_>,
    withheld: &[bool],
    rng: &mut impl Rng,
) -> Vec<Vec<usize>> {
    let Task { counts, absent, .. } = task;
    let (first, second) = (kernel.draw(withheld, rng), kernel.draw(withheld, rng));
    // Zero on the kernel, a cell can be computed as it is: publishing it tells nothing.
    let ratio = |target| {
        let change = (change(&first, target), change(&second, target));
        (change.0 != 0).then(|| mul(change.1, inv(change.0)))
    };
    let needed: HashSet<Option<u64>> = task.targets().map(ratio).collect();
    let mut classes: HashMap<Option<u64>, Vec<usize>> = HashMap::new();
    for cell in (0..counts.len()).filter(|&c| withheld[c]) {
        classes.entry(ratio((cell, None))).or_default().push(cell);
    }
    let mut needless: Vec<(f64, Vec<usize>)> = classes
        .into_iter()
        .filter(|(ratio, _)| !needed.contains(ratio))
        .map(|(_, cells)| cells)
        .map(|cells| cells.into_iter().filter(|&c| !absent[c]).collect::<Vec<usize>>())
        .filter(|cells| !cells.is_empty())
        .map(|cells| (cells.iter().map(|&c| cycle::loss(counts[c])).sum(), cells))
        .collect();
    // The order of the map is random; the keyed order decides between equals.
    needless.sort_by(|a, b| a.1.cmp(&b.1));
    needless.shuffle(rng);
    needless.sort_by(|a, b| b.0.total_cmp(&a.0));
    needless.into_iter().map(|(_, cells)| cells).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disclosure::attacker::computable;
    use crate::disclosure::lattice::Tree;
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    /// A tree: the total, groups below it, leaves below those; groups of one leaf included.
    fn tree(groups: &[usize]) -> Tree {
        let mut parents = vec![None];
        for &leaves in groups {
            parents.push(Some(0));
            let group = parents.len() - 1;
            parents.extend(std::iter::repeat_n(Some(group), leaves));
        }
        Tree::from_parents(parents)
    }

    fn flat(leaves: usize) -> Tree {
        Tree::from_parents(std::iter::once(None).chain(std::iter::repeat_n(Some(0), leaves)).collect())
    }

    /// All margins of inner counts, computed cell by cell.
    fn filled(lattice: &Lattice, inner: impl Fn(usize) -> u64) -> Vec<u64> {
        let is_inner =
            |c: usize| lattice.trees().iter().enumerate().all(|(d, t)| t.is_leaf(lattice.node(c, d)));
        let covers = |above: usize, c: usize| {
            lattice
                .trees()
                .iter()
                .enumerate()
                .all(|(d, t)| t.covers(lattice.node(above, d), lattice.node(c, d)))
        };
        let leaves: Vec<usize> = (0..lattice.cells()).filter(|&c| is_inner(c)).collect();
        (0..lattice.cells())
            .map(|a| leaves.iter().filter(|&&c| covers(a, c)).map(|&c| inner(c)).sum())
            .collect()
    }

    fn small(counts: &[u64]) -> Vec<bool> {
        counts.iter().map(|c| (1..5).contains(c)).collect()
    }

    fn run(lattice: &Lattice, counts: &[u64], rng: &mut ChaCha20Rng) -> Vec<bool> {
        let absent = vec![false; counts.len()];
        suppress(Task { lattice, counts, primary: &small(counts), absent: &absent, differences: &[] }, rng)
            .unwrap()
    }

    /// No primary cell can be computed, and publishing any one secondary cell exposes a primary one.
    fn check(lattice: &Lattice, counts: &[u64], withheld: &[bool]) {
        let primary = small(counts);
        let known = computable(lattice, withheld);
        for cell in 0..counts.len() {
            assert!(!(primary[cell] && known[cell]), "a small cell can be computed");
            assert!(counts[cell] > 0 || !withheld[cell], "an empty cell is withheld");
        }
        for cell in (0..counts.len()).filter(|&c| withheld[c] && !primary[c]) {
            let mut less = withheld.to_vec();
            less[cell] = false;
            let known = computable(lattice, &less);
            assert!((0..counts.len()).any(|c| primary[c] && known[c]), "a cell is withheld without need");
        }
    }

    fn counts_strategy() -> impl Strategy<Value = (Vec<usize>, usize, usize, Vec<u64>)> {
        (prop::collection::vec(1usize..5, 1..4), 1usize..4, 1usize..4).prop_flat_map(|(groups, a, b)| {
            let inner = groups.iter().sum::<usize>() * a * b;
            let count = prop_oneof![2 => Just(0u64), 3 => 1u64..5, 5 => 5u64..60];
            (Just(groups), Just(a), Just(b), prop::collection::vec(count, inner))
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
        #[test]
        fn the_attacker_learns_no_small_count_and_nothing_is_withheld_without_need(
            (groups, a, b, values) in counts_strategy(), seed in any::<u64>(),
        ) {
            let lattice = Lattice::new(vec![flat(a), flat(b), tree(&groups)]);
            let values = std::cell::RefCell::new(values.into_iter());
            let inner: Vec<u64> = {
                let leaf = |c: usize| lattice.trees().iter().enumerate().all(|(d, t)| t.is_leaf(lattice.node(c, d)));
                (0..lattice.cells()).map(|c| if leaf(c) { values.borrow_mut().next().unwrap() } else { 0 }).collect()
            };
            let counts = filled(&lattice, |c| inner[c]);
            prop_assert!(lattice.is_additive(&counts));
            let mut rng = ChaCha20Rng::seed_from_u64(seed);
            let withheld = run(&lattice, &counts, &mut rng);
            check(&lattice, &counts, &withheld);
            let mut again = ChaCha20Rng::seed_from_u64(seed);
            prop_assert_eq!(&withheld, &run(&lattice, &counts, &mut again));
        }
    }

    #[test]
    fn the_attacker_does_compute_a_cell_whose_complement_is_published() {
        let lattice = Lattice::new(vec![flat(3)]);
        let known = computable(&lattice, &[false, true, false, false]);
        assert!(known[1]);
        let known = computable(&lattice, &[false, true, true, false]);
        assert!(!known[1] && !known[2]);
    }

    #[test]
    fn a_lone_small_cell_takes_the_smallest_partner_along() {
        let lattice = Lattice::new(vec![flat(3)]);
        let counts = [60, 2, 8, 50];
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let withheld = run(&lattice, &counts, &mut rng);
        assert_eq!(withheld, [false, true, true, false]);
    }
}
