//! Ranges: what an attacker can compute of a withheld small count is at least so wide.
//!
//! A range is proved by two tables that agree with everything published and in which the count lies that far
//! apart. Such tables are made of routes, cheap changes that leave most cells as they are ([`route`]); every cell
//! that a table changes is withheld, and serves the counts that come after. Then cell after cell is
//! published in spite of being needed, the tables that change it are taken away, and their counts get their
//! range anew: what loses less is kept.
#![allow(clippy::indexing_slicing, reason = "cells are indices of the lattice")]

mod cover;
mod exchange;
mod ground;
mod network;
mod route;
#[cfg(test)]
mod tests;
mod widener;

use rand::Rng;
use rand::seq::SliceRandom;

use super::suppress::{Effort, Unprotectable};
use super::task::Task;
use cover::Cover;
use ground::Ground;
use widener::Widener;

/// How many cells are tried to do without: in a small table many times each, in a large one, where each trial takes
/// longer, fewer; and how often each at most.
const EXCHANGES: usize = 40_000;
const FEWEST_EXCHANGES: usize = 14_000;
const EXCHANGES_BY_CELLS: usize = 190_000_000;
const MOST_PASSES: usize = 46;
/// The same where somebody waits.
const QUICK_EXCHANGES: usize = 500;
/// By how much doing without a cell may lose more, on average, when the search begins.
const HEAT: f32 = 1.5;
/// After how many steps the search tells how far it is.
const STEPS_TOLD: usize = 500;

/// What every target of a task shall have.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// For each cell whether it is one of them: its range must be wide.
    pub(super) targets: &'a [bool],
    /// How wide: the greatest and the least count that the attacker cannot rule out differ by this at least.
    pub(super) width: u64,
    /// For each cell whether it is known to count somebody if it is withheld: its zeros are published.
    pub(super) positive: &'a [bool],
}

/// How far the search is, as done and all.
pub(super) type Progress<'a> = &'a mut dyn FnMut(usize, usize);

/// Alternative tables, and what must be withheld for them.
pub(super) struct Widened {
    /// For each cell whether an alternative table changes it.
    pub(super) changed: Vec<bool>,
    /// For each table by how much which inner cells differ from the true one.
    pub(super) alternatives: Vec<Vec<(usize, i64)>>,
}

/// Finds alternative tables that give every target its range, and that change as little as possible of what need
/// not be withheld anyway.
pub(super) fn widen(
    task: &Task<'_>,
    wanted: Wanted<'_>,
    effort: Effort,
    progress: Progress<'_>,
    rng: &mut impl Rng,
) -> Result<Widened, Unprotectable> {
    let ground = Ground::new(task, wanted);
    let mut cover = Cover::new(&ground);
    let mut widener = Widener::new(&cover);
    let mut order: Vec<usize> = (0..ground.targets.len()).filter(|&c| ground.targets[c]).collect();
    order.shuffle(rng);
    let exchanges = match effort {
        Effort::Thorough => {
            (EXCHANGES_BY_CELLS / task.counts.len().max(1)).clamp(FEWEST_EXCHANGES, EXCHANGES)
        }
        Effort::Quick | Effort::Completion => QUICK_EXCHANGES,
    };
    let steps = order.len() + exchanges;
    let mut without = 0;
    for (done, &cell) in order.iter().enumerate() {
        if done % STEPS_TOLD == 0 {
            progress(done, steps);
        }
        let covered = cover.lacking(cell) == 0
            || widener.widen(&mut cover, cell, f32::MAX, rng).is_some()
            || widener.insist(&mut cover, cell, rng);
        without += usize::from(!covered);
    }
    if without > 0 {
        return Err(Unprotectable { cells: without });
    }
    exchange::prune(&mut cover, rng);
    improve(&mut cover, &mut widener, exchanges, &mut |done| progress(order.len() + done, steps), rng);
    let is_inner = |cell: usize| {
        task.lattice.trees().iter().enumerate().all(|(d, tree)| tree.is_leaf(task.lattice.node(cell, d)))
    };
    let inner = |table: &cover::Difference| table.iter().copied().filter(|&(c, _)| is_inner(c)).collect();
    Ok(Widened {
        changed: (0..ground.targets.len()).map(|c| !cover.through(c).is_empty()).collect(),
        alternatives: cover.tables().map(|(_, table)| inner(table)).collect(),
    })
}

/// Tries to do without each cell in turn, the greatest loss first, again and again in small tables (simulated
/// annealing: a little more is lost now and then at first).
fn improve(
    cover: &mut Cover<'_>,
    widener: &mut Widener,
    exchanges: usize,
    progress: &mut dyn FnMut(usize),
    rng: &mut impl Rng,
) {
    let secondary = |cover: &Cover<'_>, rng: &mut _| {
        let mut cells: Vec<usize> = (0..cover.ground.loss.len()).filter(|&c| cover.is_secondary(c)).collect();
        cells.shuffle(rng);
        cells.sort_by(|&a, &b| cover.ground.loss[b].total_cmp(&cover.ground.loss[a]));
        cells
    };
    let passes = (exchanges / (1 + secondary(cover, rng).len())).clamp(1, MOST_PASSES);
    let mut done = 0;
    for pass in 0..passes {
        let heat = HEAT * (1.0 - (pass + 1) as f32 / passes as f32);
        for cell in secondary(cover, rng) {
            if done == exchanges {
                break;
            }
            done += 1;
            if done % STEPS_TOLD == 0 {
                progress(done);
            }
            if cover.is_secondary(cell) {
                exchange::exchange(cover, widener, cell, -heat * uniform(rng).ln(), rng);
            }
        }
        exchange::prune(cover, rng);
    }
}

/// A uniform random number above 0, up to 1.
fn uniform(rng: &mut impl Rng) -> f32 {
    ((rng.next_u64() >> 40) + 1) as f32 / (1u64 << 24) as f32
}
