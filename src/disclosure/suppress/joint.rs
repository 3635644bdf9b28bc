//! Contributors who are alone in several cells, and know all of them: what they could compute by all together.

use std::collections::{BTreeMap, BTreeSet};

use rand::Rng;

use super::{Effort, Unprotectable, drawn, exposed, is_needless, secondary, without};
use crate::disclosure::kernel::Kernel;
use crate::disclosure::subspace::Span;
use crate::disclosure::task::Task;

/// For each contributor the primary cells in which it is alone.
pub(super) fn own_cells(task: Task<'_>) -> BTreeMap<u32, Vec<usize>> {
    let mut own: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for cell in task.targets() {
        if let Some(contributor) = task.alone.get(cell).copied().flatten() {
            own.entry(contributor).or_default().push(cell);
        }
    }
    own
}

/// The cells of cycles that keep every contributor from computing a cell that holds others: as long as these
/// cells are withheld, nobody does. None if nobody does already.
///
/// A contributor computes a target exactly if it is a combination of the own cells on the kernel; over random
/// kernel vectors, one more than there are own cells, this is seen with the chance of error of one draw.
pub(super) fn closing(
    kernel: &mut Kernel<'_>,
    task: Task<'_>,
    withheld: &[bool],
    rng: &mut impl Rng,
) -> Result<BTreeSet<usize>, Unprotectable> {
    let mut own = own_cells(task);
    own.retain(|_, cells| cells.len() > 1);
    let most = own.values().map(Vec::len).max().unwrap_or(0);
    let mut closing = BTreeSet::new();
    if most == 0 {
        return Ok(closing);
    }
    let vectors: Vec<Vec<u64>> = (0..=most).map(|_| kernel.draw(withheld, rng)).collect();
    let on_kernel = |cell: usize| -> Vec<u64> {
        vectors.iter().map(|vector| vector.get(cell).copied().unwrap_or(0)).collect()
    };
    let targets: Vec<(usize, Vec<u64>)> = task.targets().map(|target| (target, on_kernel(target))).collect();
    let mut draft = drawn(kernel, task, withheld.to_vec(), rng);
    for (contributor, cells) in own {
        let mut known = Span::default();
        for &cell in &cells {
            known.insert(on_kernel(cell));
        }
        if known.dimension() < 2 {
            // One cell in all: the pattern sees to it.
            continue;
        }
        for (target, values) in &targets {
            let others = task.alone.get(*target) != Some(&Some(contributor));
            let mut rest = values.clone();
            known.reduce(&mut rest);
            if !others || rest.iter().any(|&x| x != 0) {
                continue;
            }
            let cycle = draft.cycle(*target, &cells, f64::MAX, rng).ok_or(Unprotectable { cells: 1 })?;
            closing.extend(cycle.into_iter().map(|(cell, _)| cell));
        }
    }
    Ok(closing)
}

/// How many cells are gone through for what is withheld without need, and where somebody waits; in the largest tables a class
/// or two.
const CELLS_LOOKED_AT: usize = 500_000;
const QUICK_LOOKED_AT: usize = 50_000;

/// Publishes again what was withheld against several cells together and is not needed beside the others, the greatest loss first.
/// A class without a primary cell may be: whether it is, is tried.
pub(super) fn spare(
    kernel: &mut Kernel<'_>,
    task: Task<'_>,
    mut withheld: Vec<bool>,
    effort: Effort,
    rng: &mut impl Rng,
) -> Vec<bool> {
    let looked_at = if effort == Effort::Thorough { CELLS_LOOKED_AT } else { QUICK_LOOKED_AT };
    let mut needed = BTreeSet::new();
    for _ in 0..1 + looked_at / withheld.len().max(1) {
        let draft = drawn(kernel, task, withheld.clone(), rng);
        let may_go = |cell: &usize| !needed.contains(cell) && is_needless(&draft, *cell);
        let Some(cell) = secondary(&draft, rng).into_iter().find(may_go) else { break };
        let class = draft.secondary_of(draft.class(cell));
        let less = without(&withheld, std::slice::from_ref(&class));
        let is_safe = exposed(kernel, task, less.clone(), rng).is_empty()
            && closing(kernel, task, &less, rng).is_ok_and(|closing| closing.is_empty());
        if is_safe {
            withheld = less;
        } else {
            // On less of the kernel it is needed all the more.
            needed.extend(class);
        }
    }
    withheld
}
