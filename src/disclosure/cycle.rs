//! Alternating cycles: changes of plus and minus one that leave every margin as it is, apart from the
//! cells they name. Withholding all cells of a cycle makes each of them one that cannot be computed.
//!
//! A cycle is a product: in each dimension either a pair of leaves, one up and one down, or a single
//! leaf. A pair changes the nodes above one of its leaves but not the other, a single leaf all nodes
//! above it.
#![allow(clippy::indexing_slicing, reason = "nodes and cells are indices of the lattice")]

use rand::Rng;
use rand::seq::SliceRandom;

use super::lattice::{Lattice, Tree};

/// In one dimension: the nodes that change.
type Changed = Vec<usize>;

/// The most ways to change one node that are tried in one dimension.
const MOST_WAYS: usize = 48;
/// The most cycles that are tried for one cell.
const MOST_CYCLES: usize = 6000;

/// What a cycle would cost and give.
#[derive(Debug)]
pub(super) struct Cycle {
    /// All its cells.
    pub(super) cells: Vec<usize>,
    /// The loss by withholding those that are still published, for each exposed cell it protects.
    score: f64,
}

/// What the search knows of the table.
pub(super) struct Ground<'a> {
    pub(super) lattice: &'a Lattice,
    /// The counts: a cell with nobody in it stays published and so cannot change.
    pub(super) counts: &'a [u64],
    pub(super) withheld: &'a [bool],
    /// Cells that must not be computable but still are.
    pub(super) exposed: &'a [bool],
}

/// The loss by withholding a cell: one for the cell, and more the more persons it counts.
pub(super) fn loss(count: u64) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "an order of magnitude is enough")]
    let count = count as f64;
    1.0 + 0.5 * count.sqrt()
}

/// The cheapest cycle through a cell among those tried; if `fixed` is given, among those that leave that
/// cell as it is. There is always one: single leaves with somebody in them change only cells with
/// somebody in them, and a cell above that counts more has a leaf to balance with.
pub(super) fn cheapest(
    ground: &Ground<'_>,
    cell: usize,
    fixed: Option<usize>,
    rng: &mut impl Rng,
) -> Option<Cycle> {
    let mut ways: Vec<Vec<Changed>> = Vec::new();
    for (d, tree) in ground.lattice.trees().iter().enumerate() {
        ways.push(ways_through(ground, d, tree, cell, rng));
    }
    let total = ways.iter().map(Vec::len).product::<usize>();
    let mut best: Option<Cycle> = None;
    let mut choice = vec![0; ways.len()];
    for index in 0..total.min(MOST_CYCLES) {
        let mut number = if total > MOST_CYCLES {
            usize::try_from(rng.next_u64() % (total as u64)).unwrap_or(index)
        } else {
            index
        };
        for (pick, options) in choice.iter_mut().zip(&ways) {
            *pick = number % options.len();
            number /= options.len();
        }
        let limit = best.as_ref().map_or(f64::INFINITY, |b| b.score);
        if let Some(cycle) = weigh(ground, &ways, &choice, fixed, limit) {
            best = Some(cycle);
        }
    }
    best
}

/// The cycle of this choice, if it can be made and beats `limit`.
fn weigh(
    ground: &Ground<'_>,
    ways: &[Vec<Changed>],
    choice: &[usize],
    fixed: Option<usize>,
    limit: f64,
) -> Option<Cycle> {
    // A difference is protected once, whatever else the cycle protects.
    let (mut cells, mut cost, mut protected) = (vec![0], 0.0, if fixed.is_some() { 1.0 } else { 0.0 });
    for (d, (options, &pick)) in ways.iter().zip(choice).enumerate() {
        let stride = ground.lattice.stride(d);
        cells = cells.iter().flat_map(|c| options[pick].iter().map(move |node| c + node * stride)).collect();
    }
    for &cell in &cells {
        if ground.counts[cell] == 0 || fixed == Some(cell) {
            return None;
        }
        if !ground.withheld[cell] {
            cost += loss(ground.counts[cell]);
        } else if ground.exposed[cell] {
            protected += 1.0;
        }
    }
    let score = cost / protected;
    (score < limit).then_some(Cycle { cells, score })
}

/// The ways to change a cell's node in one dimension, the likely cheap ones first, cut to a number.
fn ways_through(
    ground: &Ground<'_>,
    dimension: usize,
    tree: &Tree,
    cell: usize,
    rng: &mut impl Rng,
) -> Vec<Changed> {
    let node = ground.lattice.node(cell, dimension);
    let line =
        |n: usize| cell - node * ground.lattice.stride(dimension) + n * ground.lattice.stride(dimension);
    let alive = |n: &usize| ground.counts[line(*n)] > 0;
    let mut below: Vec<usize> = tree.leaves_below(node).into_iter().filter(alive).collect();
    below.shuffle(rng);
    below.sort_by_key(|&n| !ground.withheld[line(n)]);
    below.truncate(MOST_WAYS / 4 + 1);
    let mut outside: Vec<usize> =
        tree.leaves_below(0).into_iter().filter(|&n| !tree.covers(node, n) && alive(&n)).collect();
    outside.shuffle(rng);
    let parent = tree.parent(node);
    outside.sort_by_key(|&n| (tree.parent(n) != parent, !ground.withheld[line(n)]));
    outside.truncate(MOST_WAYS);
    let mut ways: Vec<Changed> = Vec::new();
    for &up in &below {
        ways.push(tree.ancestry(up).collect());
        let most = if below.len() == 1 { MOST_WAYS } else { 4 };
        for &down in outside.iter().take(most) {
            let only = |n: usize, other: usize| tree.ancestry(n).filter(move |&a| !tree.covers(a, other));
            ways.push(only(up, down).chain(only(down, up)).collect());
        }
    }
    ways
}
