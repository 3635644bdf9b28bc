//! Alternating cycles: changes of plus and minus one that leave every margin as it is, apart from the
//! cells they name. Withholding all cells of a cycle makes each of them one that cannot be computed.
//!
//! A cycle is a product: in each dimension either a pair of leaves, one up and one down, or a single
//! leaf. A pair changes the nodes around one of its leaves but not the other, a single leaf all nodes
//! around it.
#![allow(clippy::indexing_slicing, reason = "nodes and cells are indices of the lattice")]

use rand::Rng;
use rand::seq::SliceRandom;

use super::field::neg;
use super::lattice::{Lattice, Tree};

/// The most leaves of a node that are tried as the one that goes up.
const MOST_UPS: usize = 12;
/// The most ways to change one node that are tried in one dimension.
const MOST_WAYS: usize = 48;
/// The most cycles that are weighed for one cell.
const MOST_CYCLES: usize = 4000;
/// What every cell of a cycle costs even if it is withheld already: of equals, the shorter one.
const PER_CELL: f64 = 1e-3;
/// How many more exposed cells a cycle may turn out to cover while its first dimensions are chosen.
const HOPED: f64 = 2.0;

/// A change that leaves all published cells as they are: cells, ascending, and by how much they change.
pub(super) type Change = Vec<(usize, u64)>;

/// What the search knows of the table.
pub(super) struct Ground<'a> {
    pub(super) lattice: &'a Lattice,
    /// What it costs to change each cell; infinite if it must stay as it is.
    pub(super) price: &'a [f64],
    /// Cells that must not be computable but still are.
    pub(super) exposed: &'a dyn Fn(usize) -> bool,
}

/// One way to change a cell's node in a dimension: what it changes beside that node, as distances between
/// cells, and whether down; and the price of these cells for the cell itself.
struct Way {
    steps: Vec<(isize, bool)>,
    price: f64,
}

/// The search for the cheapest cycle through a cell.
struct Search<'a> {
    ground: &'a Ground<'a>,
    ways: Vec<Vec<Way>>,
    /// For each dimension the price of the cheapest ways from it on, and by how many times the shortest ones
    /// lengthen the cycle.
    least: Vec<(f64, usize)>,
    cells: Vec<(usize, bool)>,
    budget: f64,
    /// How many more exposed cells a cycle may turn out to cover.
    hoped: f64,
    best: f64,
    found: Vec<(usize, bool)>,
    weighed: usize,
}

/// The cycle through a cell with the least loss for each exposed cell it covers, among those tried; none
/// costs more than the budget. It changes the cell itself by one.
pub(super) fn cheapest(ground: &Ground<'_>, cell: usize, budget: f64, rng: &mut impl Rng) -> Option<Change> {
    let lattice = ground.lattice;
    let mut ways = Vec::with_capacity(lattice.trees().len());
    for (d, tree) in lattice.trees().iter().enumerate() {
        let ways_here = ways_through(ground, d, tree, cell, budget, rng);
        if ways_here.is_empty() {
            return None;
        }
        ways.push(ways_here);
    }
    ways.sort_by_key(Vec::len);
    let mut least = vec![(0.0, 1); ways.len() + 1];
    for d in (0..ways.len()).rev() {
        let (price, times) = least[d + 1];
        let shortest = ways[d].iter().map(|way| 1 + way.steps.len()).min().unwrap_or(1);
        least[d] = (price + ways[d].first().map_or(0.0, |way| way.price), times * shortest);
    }
    let own = ground.price[cell];
    let mut search = Search {
        ground,
        ways,
        least,
        cells: vec![(cell, false)],
        budget,
        // What costs nothing is withheld already, and so is all that it could cover.
        hoped: if budget > 0.0 { HOPED } else { 0.0 },
        best: f64::INFINITY,
        found: Vec::new(),
        weighed: 0,
    };
    search.extend(0, own, f64::from((ground.exposed)(cell)));
    let sign = |down: bool| if down { neg(1) } else { 1 };
    let mut cells = search.found;
    cells.sort_unstable();
    (!cells.is_empty()).then(|| cells.into_iter().map(|(c, down)| (c, sign(down))).collect())
}

impl Search<'_> {
    /// Tries every way in the dimensions from `depth` on; so far the cycle costs `price` and covers so many.
    fn extend(&mut self, depth: usize, price: f64, covered: f64) {
        if depth == self.ways.len() {
            self.weighed += 1;
            let score = (price + PER_CELL * self.cells.len() as f64) / covered.max(1.0);
            if score < self.best {
                self.best = score;
                self.found.clone_from(&self.cells);
            }
            return;
        }
        let length = self.cells.len();
        for w in 0..self.ways[depth].len() {
            let (ways_price, times) = self.least[depth + 1];
            let bound = price + self.ways[depth][w].price + ways_price;
            let most_covered = (covered + self.hoped).max(1.0);
            if bound > self.budget || bound >= self.best * most_covered || self.weighed > MOST_CYCLES {
                break;
            }
            let shortest = length * (1 + self.ways[depth][w].steps.len()) * times;
            if bound + PER_CELL * shortest as f64 >= self.best * most_covered {
                continue;
            }
            let (mut price, mut covered) = (price, covered);
            for s in 0..self.ways[depth][w].steps.len() {
                let (step, flips) = self.ways[depth][w].steps[s];
                for c in 0..length {
                    let (cell, down) = self.cells[c];
                    let cell = cell.wrapping_add_signed(step);
                    price += self.ground.price[cell];
                    covered += f64::from((self.ground.exposed)(cell));
                    self.cells.push((cell, down != flips));
                }
                if price > self.budget {
                    break;
                }
            }
            if price <= self.budget && price < f64::INFINITY {
                self.extend(depth + 1, price, covered);
            }
            self.cells.truncate(length);
        }
    }
}

/// The ways to change a cell's node in one dimension, the cheapest first, cut to a number.
fn ways_through(
    ground: &Ground<'_>,
    dimension: usize,
    tree: &Tree,
    cell: usize,
    budget: f64,
    rng: &mut impl Rng,
) -> Vec<Way> {
    let (node, stride) = (ground.lattice.node(cell, dimension), ground.lattice.stride(dimension));
    let base = cell - node * stride;
    let price = |n: usize| ground.price[base + n * stride];
    let affordable = |price: f64| price < f64::INFINITY && price <= budget;
    let total = |nodes: &mut dyn Iterator<Item = usize>| nodes.filter(|&n| n != node).map(price).sum::<f64>();
    let only = |n: usize, other: usize| {
        tree.above(n).iter().copied().filter(move |&a| other == n || !tree.covers(a, other))
    };
    let mut ups: Vec<(f64, usize)> = tree
        .leaves_below(node)
        .iter()
        .map(|&up| (if up == node { 0.0 } else { price(up) }, up))
        .filter(|(price, _)| affordable(*price))
        .collect();
    let mut downs: Vec<(f64, usize)> = tree
        .leaves()
        .iter()
        .map(|&down| (price(down), down))
        .filter(|&(price, down)| affordable(price) && !tree.covers(node, down))
        .collect();
    ups.shuffle(rng);
    ups.sort_by(|a, b| a.0.total_cmp(&b.0));
    ups.truncate(MOST_UPS);
    downs.shuffle(rng);
    // Which of the two leaves, or none, and at what price.
    let mut options: Vec<(f64, usize, Option<usize>)> = Vec::new();
    for down in std::iter::once(None).chain(downs.iter().map(|&(_, down)| Some(down))) {
        for &(_, up) in &ups {
            let lowered = down.into_iter().flat_map(|down| only(down, up));
            let price = total(&mut only(up, down.unwrap_or(up)).chain(lowered));
            if affordable(price) {
                options.push((price, up, down));
            }
        }
        // None is cheaper than what costs nothing.
        if budget <= 0.0 && options.len() >= MOST_WAYS {
            break;
        }
    }
    if options.len() > MOST_WAYS {
        options.select_nth_unstable_by(MOST_WAYS, |a, b| a.0.total_cmp(&b.0));
        options.truncate(MOST_WAYS);
    }
    options.sort_by(|a, b| a.0.total_cmp(&b.0));
    let step = |n: usize| (n as isize - node as isize) * stride as isize;
    options
        .into_iter()
        .map(|(price, up, down)| {
            let raised = only(up, down.unwrap_or(up)).map(|n| (n, false));
            let lowered = down.into_iter().flat_map(|down| only(down, up)).map(|n| (n, true));
            let steps = raised.chain(lowered).filter(|(n, _)| *n != node).map(|(n, down)| (step(n), down));
            Way { steps: steps.collect(), price }
        })
        .collect()
}
