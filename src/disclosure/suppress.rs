//! Cell suppression in one additive table: which cells to withhold beside the primary ones, so that no
//! primary cell can be computed from what is published, and none withheld without need.
//!
//! First cycles are laid through every primary cell that can still be computed ([`super::cycle`]), or, where
//! somebody waits, all that may be is withheld; then what was withheld too much is published again: two cells stand or fall together exactly if they are
//! proportional on the kernel, so a class of proportional cells without a primary one is not needed
//! (Langsrud 2024 decides the same by elimination). Then single classes are published in spite of being
//! needed, what that exposes is protected anew, and the better of the two patterns is kept. In the end
//! the kernel is worked out once more, and no class without a primary cell is left: the pattern is
//! minimal.
#![allow(clippy::indexing_slicing, reason = "cells are indices of the lattice")]

use std::collections::{BTreeMap, BTreeSet};

use rand::Rng;
use rand::seq::SliceRandom;

use super::changes::Changes;
use super::cycle::Change;
use super::draft::Draft;
use super::field::mul;
use super::kernel::Kernel;
use super::task::Task;

mod joint;
#[cfg(test)]
mod tests;

/// No pattern protects every primary cell: what stays published gives some away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "no pattern protects every cell: {cells} that must not be known follow from cells that stay published"
)]
pub(super) struct Unprotectable {
    /// How many cells can be computed whatever is withheld.
    pub(super) cells: usize,
}

/// How many exchanges of a cell for others are tried in all, and how often each cell is tried at least and at
/// most.
const EXCHANGES: usize = 60_000;
const FEWEST_PASSES: usize = 2;
const MOST_PASSES: usize = 20;
/// In a small table the search begins anew this often at most, and how many secondary cells are sought in all.
const MOST_BEGINNINGS: usize = 4;
const CELLS_SOUGHT: usize = 2400;
/// By how much an exchange may lose more, on average, when the search begins.
const HEAT: f64 = 0.5;
/// How many cells are gone through, in tables begun anew, where no search follows.
const QUICK_CELLS: usize = 40_000;
const MOST_QUICK: usize = 20;
/// How many needless classes are published at once at a node of the spine.
const AT_ONCE: usize = 2;

/// How long to look for a pattern that loses less. Each pattern is minimal: no cell of it can be published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effort {
    /// The best of the first patterns found, of a large table the first: somebody waits for it.
    Quick,
    /// A local search over patterns.
    Thorough,
    /// The first pattern found: little is left to withhold beside what is withheld anyway.
    Completion,
}

/// Chooses the cells to withhold: tells for each cell whether it is, absent ones that are not fixed included.
pub(super) fn suppress(
    task: Task<'_>,
    effort: Effort,
    rng: &mut impl Rng,
) -> Result<Vec<bool>, Unprotectable> {
    let mut kernel = Kernel::new(task.lattice);
    let (mut primary, mut is_closed) = (task.primary.to_vec(), false);
    loop {
        let closed = Task { primary: &primary, ..task };
        let withheld = pattern(&mut kernel, closed, effort, rng)?;
        let closing = joint::closing(&mut kernel, closed, &withheld, rng)?;
        if closing.is_empty() {
            return Ok(if is_closed {
                joint::spare(&mut kernel, task, withheld, effort, rng)
            } else {
                withheld
            });
        }
        is_closed = true;
        for cell in closing {
            primary[cell] = true;
        }
    }
}

/// Random changes, modulo [`super::field::P`], that leave every published cell as it is: enough to show what nobody
/// can compute, contributors included (one more than the cells that any of them is alone in).
pub(super) fn witnesses(task: Task<'_>, withheld: &[bool], rng: &mut impl Rng) -> Vec<Vec<u64>> {
    let most = joint::own_cells(task).values().map(Vec::len).max().unwrap_or(0);
    let mut kernel = Kernel::new(task.lattice);
    (0..=most).map(|_| kernel.draw(withheld, rng)).collect()
}

/// The pattern against who is alone in no more than one cell.
fn pattern(
    kernel: &mut Kernel<'_>,
    task: Task<'_>,
    effort: Effort,
    rng: &mut impl Rng,
) -> Result<Vec<bool>, Unprotectable> {
    let hidden: Vec<bool> = (0..task.counts.len()).map(|c| task.is_hidden(c)).collect();
    let (mut best, mut least, mut left) = (None, f64::INFINITY, 1);
    while left > 0 {
        left -= 1;
        let mut draft = match effort {
            Effort::Quick => everything(kernel, task, rng)?,
            Effort::Thorough | Effort::Completion => {
                let mut draft = drawn(kernel, task, hidden.clone(), rng);
                if !repair(&mut draft, rng) {
                    draft = everything(kernel, task, rng)?;
                }
                draft
            }
        };
        relax(&mut draft, rng);
        if best.is_none() {
            let beginnings = match effort {
                Effort::Quick => (QUICK_CELLS / task.counts.len()).clamp(1, MOST_QUICK),
                Effort::Thorough => {
                    (CELLS_SOUGHT / (1 + secondary(&draft, rng).len())).clamp(1, MOST_BEGINNINGS)
                }
                Effort::Completion => 1,
            };
            left = beginnings - 1;
        }
        let (withheld, loss) = match effort {
            Effort::Quick | Effort::Completion => {
                let loss = draft.loss();
                (draft.into_parts().0, loss)
            }
            Effort::Thorough => improve(kernel, draft, rng),
        };
        if loss < least || best.is_none() {
            (best, least) = (Some(withheld), loss);
        }
    }
    settle(kernel, task, best.unwrap_or(hidden), rng)
}

/// A draft with two fresh vectors of the whole kernel.
fn drawn<'a>(kernel: &mut Kernel<'_>, task: Task<'a>, withheld: Vec<bool>, rng: &mut impl Rng) -> Draft<'a> {
    let changes = Changes::new(withheld.len());
    redrawn(kernel, task, (withheld, changes), rng)
}

/// A draft with two fresh vectors of the whole kernel, and changes that lie in it.
fn redrawn<'a>(
    kernel: &mut Kernel<'_>,
    task: Task<'a>,
    (mut withheld, changes): (Vec<bool>, Changes),
    rng: &mut impl Rng,
) -> Draft<'a> {
    let vectors = [kernel.draw(&withheld, rng), kernel.draw(&withheld, rng)];
    for cell in 0..withheld.len() {
        // What can be computed anyway is published.
        withheld[cell] &= task.is_hidden(cell) || vectors.iter().any(|vector| vector[cell] != 0);
    }
    Draft::new(task, withheld, [&vectors[0], &vectors[1]], changes)
}

/// Lays cycles until nobody can compute what must not be computable. False if a leak is left that no cycle
/// closes.
fn repair(draft: &mut Draft<'_>, rng: &mut impl Rng) -> bool {
    let mut leaks = draft.all_leaks();
    leaks.shuffle(rng);
    // Cells on the same cycle are proportional at first, which may be a leak to who is alone in one of them.
    leaks.into_iter().all(|leak| close(draft, leak, rng)) && close_all(draft, &mut Vec::new(), rng)
}

/// Closes one leak, unless that has happened already.
fn close(draft: &mut Draft<'_>, (target, from): (usize, Option<usize>), rng: &mut impl Rng) -> bool {
    let [first, second] = draft.change(target);
    let open = match from {
        None => first == 0 && second == 0,
        // Proportional still.
        Some(cell) => mul(first, draft.change(cell)[1]) == mul(second, draft.change(cell)[0]),
    };
    if !open {
        return true;
    }
    let Some(cycle) = draft.cycle(target, from.as_slice(), f64::MAX, rng) else { return false };
    draft.lay(cycle, rng);
    true
}

/// The pattern that withholds whatever may be withheld: if that protects all, less of it will be found.
fn everything<'a>(
    kernel: &mut Kernel<'_>,
    task: Task<'a>,
    rng: &mut impl Rng,
) -> Result<Draft<'a>, Unprotectable> {
    let withheld: Vec<bool> = task.fixed.iter().map(|fixed| !fixed).collect();
    let draft = drawn(kernel, task, withheld, rng);
    protected(&draft)?;
    Ok(draft)
}

/// Refuses a pattern under which anything leaks.
fn protected(draft: &Draft<'_>) -> Result<(), Unprotectable> {
    let exposed = leaking(draft);
    if exposed.is_empty() { Ok(()) } else { Err(Unprotectable { cells: exposed.len() }) }
}

/// What leaks from a draft.
fn leaking(draft: &Draft<'_>) -> Vec<usize> {
    let mut exposed: Vec<usize> = draft.all_leaks().into_iter().map(|(cell, _)| cell).collect();
    exposed.dedup();
    exposed
}

/// What leaks from a pattern: to anybody, or else to who is alone in a cell.
fn exposed(kernel: &mut Kernel<'_>, task: Task<'_>, withheld: Vec<bool>, rng: &mut impl Rng) -> Vec<usize> {
    let vector = kernel.draw(&withheld, rng);
    let exposed: Vec<usize> = task.targets().filter(|&cell| vector[cell] == 0).collect();
    if !exposed.is_empty() || task.alone.iter().all(Option::is_none) {
        return exposed;
    }
    leaking(&drawn(kernel, task, withheld, rng))
}

/// Publishes again what is withheld without need, as far as changes through it are found; the greatest loss
/// first. Returns the cells that would have to be published but for who is alone in another one.
fn relax(draft: &mut Draft<'_>, rng: &mut impl Rng) -> Vec<usize> {
    let mut kept = Vec::new();
    for cell in secondary(draft, rng) {
        if is_needless(draft, cell)
            && let Some(through) = draft.through(cell, rng)
            && publish(draft, cell, &through).is_empty()
        {
            kept.push(cell);
        }
    }
    draft.accept();
    kept
}

/// Whether nothing that must not be known is proportional to a secondary cell.
fn is_needless(draft: &Draft<'_>, cell: usize) -> bool {
    draft.is_secondary(cell) && draft.needless(draft.class(cell))
}

/// The secondary cells, the greatest loss first; losses are multiplied by draws from 1 to 1.5, so that the pattern
/// shows no order of hidden counts.
fn secondary(draft: &Draft<'_>, rng: &mut impl Rng) -> Vec<usize> {
    let cells = (0..draft.withheld().len()).filter(|&c| draft.is_secondary(c));
    let mut cells: Vec<(f64, usize)> =
        cells.map(|cell| (draft.task.loss(cell) * (1.0 + 0.5 * uniform(rng)), cell)).collect();
    cells.sort_by(|a, b| b.0.total_cmp(&a.0));
    cells.into_iter().map(|(_, cell)| cell).collect()
}

/// Publishes a cell, unless something leaks then. Returns the classes that this has changed.
fn publish(draft: &mut Draft<'_>, cell: usize, through: &Change) -> Vec<u64> {
    draft.take_touched();
    let mark = draft.mark();
    draft.publish(cell, through);
    let touched = draft.take_touched();
    if touched.iter().any(|&class| !draft.leaks(class).is_empty()) {
        draft.back_to(&mark);
        return Vec::new();
    }
    touched
}

/// Goes through the secondary cells again and again, publishes each in turn with all that is proportional to
/// it, and protects anew what that exposes (simulated annealing: what loses more is kept now and then, ever less
/// of it). Returns the best pattern seen, and its loss.
fn improve(kernel: &mut Kernel<'_>, mut draft: Draft<'_>, rng: &mut impl Rng) -> (Vec<bool>, f64) {
    let (mut best, mut least) = (draft.withheld().to_vec(), draft.loss());
    let passes = (EXCHANGES / (1 + secondary(&draft, rng).len())).clamp(FEWEST_PASSES, MOST_PASSES);
    for pass in 0..passes {
        let heat = HEAT * (1.0 - (pass + 1) as f64 / passes as f64);
        draft = redrawn(kernel, draft.task, draft.into_parts(), rng);
        relax(&mut draft, rng);
        let cells = secondary(&draft, rng);
        if cells.is_empty() {
            return (draft.withheld().to_vec(), draft.loss());
        }
        for cell in cells {
            draft.accept();
            let mark = draft.mark();
            let allowed = mark.loss() - heat * uniform(rng).ln();
            if draft.is_secondary(cell) && !(exchange(&mut draft, cell, rng) && draft.loss() <= allowed) {
                draft.back_to(&mark);
            }
        }
        if draft.loss() < least {
            (best, least) = (draft.withheld().to_vec(), draft.loss());
        }
    }
    (best, least)
}

/// A uniform random number above 0, up to 1.
fn uniform(rng: &mut impl Rng) -> f64 {
    ((rng.next_u64() >> 11) + 1) as f64 / (1u64 << 53) as f64
}

/// Does without a cell; false if that cannot be.
fn exchange(draft: &mut Draft<'_>, cell: usize, rng: &mut impl Rng) -> bool {
    let Some(through) = draft.through(cell, rng) else { return false };
    draft.publish(cell, &through);
    let mut changed = Vec::new();
    draft.forbid(cell, true);
    let closed = close_all(draft, &mut changed, rng);
    draft.forbid(cell, false);
    if !closed {
        return false;
    }
    while let Some(class) = changed.pop() {
        if draft.needless(class) {
            let Some(cell) = draft.first_secondary(class) else { continue };
            if let Some(through) = draft.through(cell, rng) {
                changed.extend(publish(draft, cell, &through));
            }
        }
    }
    true
}

/// Closes the leaks among the classes touched since the last mark.
fn close_all(draft: &mut Draft<'_>, changed: &mut Vec<u64>, rng: &mut impl Rng) -> bool {
    loop {
        let touched = draft.take_touched();
        let mut leaks: Vec<_> = touched.iter().flat_map(|&class| draft.leaks(class)).collect();
        changed.extend(touched);
        if leaks.is_empty() {
            return true;
        }
        leaks.shuffle(rng);
        if !leaks.into_iter().all(|leak| close(draft, leak, rng)) {
            return false;
        }
    }
}

/// Publishes what is withheld without need, by the whole kernel: what is left then is needed.
///
/// In each round a few needless classes are published at every node of the spine. One alone leaks nothing (but to
/// who is alone in a cell); where several together do, some of those near the leak are withheld again.
fn settle(
    kernel: &mut Kernel<'_>,
    task: Task<'_>,
    mut withheld: Vec<bool>,
    rng: &mut impl Rng,
) -> Result<Vec<bool>, Unprotectable> {
    let mut kept: Vec<bool> = vec![false; withheld.len()];
    loop {
        // The draft's space lies in the kernel, so this cannot fail; it shuts the door on a mistake.
        let draft = drawn(kernel, task, withheld, rng);
        protected(&draft)?;
        let mut chosen = needless_classes(kernel, &draft, &kept, rng);
        withheld = draft.withheld().to_vec();
        let Some(first) = chosen.first().cloned() else { return Ok(withheld) };
        loop {
            let exposed = exposed(kernel, task, without(&withheld, &chosen), rng);
            if exposed.is_empty() {
                break;
            }
            if chosen.len() == 1 {
                // On less of the kernel it leaks all the more: it stays needed.
                for cell in chosen.drain(..).flatten() {
                    kept[cell] = true;
                }
                break;
            }
            thin(kernel, &mut chosen, &exposed, rng);
            if chosen.is_empty() {
                chosen.push(first.clone());
            }
        }
        withheld = without(&withheld, &chosen);
    }
}

/// Leaves out about half of the classes near a leak; of all classes, if none is near.
fn thin(kernel: &Kernel<'_>, chosen: &mut Vec<Vec<usize>>, exposed: &[usize], rng: &mut impl Rng) {
    let nodes: BTreeSet<usize> = exposed.iter().map(|&cell| kernel.node(cell)).collect();
    let is_near = |cells: &Vec<usize>| cells.first().is_some_and(|&c| kernel.is_near(&nodes, kernel.node(c)));
    let anywhere = !chosen.iter().any(is_near);
    chosen.retain(|cells| !(anywhere || is_near(cells)) || rng.next_u64() & 1 == 0);
}

/// The pattern with the cells of these classes published.
fn without(withheld: &[bool], classes: &[Vec<usize>]) -> Vec<bool> {
    let mut less = withheld.to_vec();
    for &cell in classes.iter().flatten() {
        less[cell] = false;
    }
    less
}

/// For each node of the spine the secondary cells of the needless classes that lose most, a few at most.
fn needless_classes(
    kernel: &Kernel<'_>,
    draft: &Draft<'_>,
    kept: &[bool],
    rng: &mut impl Rng,
) -> Vec<Vec<usize>> {
    let mut at_node: BTreeMap<usize, usize> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut classes = Vec::new();
    for cell in secondary(draft, rng) {
        if !kept[cell]
            && is_needless(draft, cell)
            && at_node.get(&kernel.node(cell)).is_none_or(|&n| n < AT_ONCE)
            && seen.insert(draft.class(cell))
        {
            *at_node.entry(kernel.node(cell)).or_default() += 1;
            classes.push(draft.secondary_of(draft.class(cell)));
        }
    }
    classes
}
