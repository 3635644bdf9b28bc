//! The cheapest change of the table that moves one cell up, or down: in two dimensions a circulation
//! ([`super::network`]), in each other one a pair of leaves, one up and one down, or a single leaf.
#![allow(
    clippy::indexing_slicing,
    reason = "nodes, cells and networks are indices this module has made itself"
)]

use std::collections::HashMap;
use std::rc::Rc;

use rand::Rng;
use rand::seq::SliceRandom;

use super::network::{Network, Scratch};
use crate::disclosure::lattice::Lattice;

/// The most leaves of a dimension that are all taken into a network; of more, those beside the cell.
const LOCAL: usize = 40;
/// The most networks that are looked through for one cell.
const MOST_NETWORKS: usize = 3;
/// The most leaves of a node that are tried as the one that moves with it, and the most against which.
const MOST_LEAVES: usize = 12;
const MOST_OTHERS: usize = 400;
/// The most ways to change one node that are tried in one dimension.
const MOST_WAYS: usize = 32;
/// How many times as many are tried of each where nothing was found.
const GENEROUS: usize = 30;
/// What every cell costs even if it is withheld already: of equals, the shorter route.
pub(super) const PER_CELL: f32 = 1e-3;

/// What is known while a route is sought.
#[derive(Clone, Copy)]
pub(super) struct Terrain<'a> {
    pub(super) lattice: &'a Lattice,
    /// What it costs to change each cell; infinite if it must stay as it is.
    pub(super) price: &'a [f32],
    /// How far each cell can go down.
    pub(super) room: &'a [i64],
    /// What it is worth to move each cell, beside the one that a route is for.
    pub(super) worth: &'a [f32],
}

/// A change by one person each: cells, and whether they go up.
#[derive(Debug, Clone)]
pub(super) struct Route {
    pub(super) cells: Vec<(usize, bool)>,
    /// What it costs.
    pub(super) price: f32,
    /// What it costs for what it is worth.
    score: f32,
}

impl Route {
    /// How often it can be made.
    pub(super) fn reach(&self, room: &[i64]) -> i64 {
        self.cells.iter().filter(|(_, up)| !up).map(|&(c, _)| room[c]).min().unwrap_or(i64::MAX)
    }
}

/// What is asked of a route.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish {
    pub(super) cell: usize,
    /// Whether the cell shall go up.
    pub(super) up: bool,
    /// How often the route must be possible.
    pub(super) times: i64,
    /// It must cost less.
    pub(super) budget: f32,
    /// What it costs for a withheld cell to go further down than it can; infinite if it must not.
    pub(super) trespass: f32,
}

/// One way to change a node: the nodes that change with it, as offsets of cells, and whether the other way.
struct Way {
    nodes: Vec<(usize, bool)>,
    price: f32,
}

/// Which dimensions a network is over: none, one, or two of which the second is flat.
type Plan = (Option<usize>, Option<usize>);

/// Seeks routes.
pub(super) struct Seeker {
    plans: Vec<Plan>,
    networks: HashMap<(Plan, usize), Rc<Network>>,
    scratch: Scratch,
    /// By how much the limits are raised.
    generosity: usize,
}

impl Seeker {
    /// A seeker for tables with these dimensions.
    pub(super) fn new(lattice: &Lattice) -> Self {
        let trees = lattice.trees();
        let is_tree =
            |d: usize| trees[d].len() > 1 && (1..trees[d].len()).all(|n| trees[d].parents(n).len() == 1);
        let is_flat = |d: usize| is_tree(d) && (1..trees[d].len()).all(|n| trees[d].is_leaf(n));
        let leaves = |d: usize| trees[d].leaves().len();
        let mut plans: Vec<Plan> = Vec::new();
        for p in (0..trees.len()).filter(|&p| is_tree(p)) {
            for q in (0..trees.len()).filter(|&q| is_flat(q) && q != p && !(is_flat(p) && q < p)) {
                plans.push((Some(p), Some(q)));
            }
        }
        plans.sort_by_key(|&(p, q)| std::cmp::Reverse(p.map_or(1, leaves) * q.map_or(1, leaves)));
        plans.truncate(MOST_NETWORKS);
        if plans.is_empty() {
            plans.extend((0..trees.len()).filter(|&p| is_tree(p)).map(|p| (Some(p), None)));
        }
        // Cells far above the leaves of a long dimension are in no other network.
        let long = |p: Option<usize>| p.is_some_and(|p| leaves(p) > LOCAL);
        if plans.iter().all(|&(p, _)| long(p)) {
            plans.push((None, None));
        }
        Self { plans, networks: HashMap::new(), scratch: Scratch::default(), generosity: 1 }
    }

    /// Looks at many more routes from now on, or no more.
    pub(super) fn be_generous(&mut self, generous: bool) {
        self.generosity = if generous { GENEROUS } else { 1 };
    }

    /// The cheapest route found.
    pub(super) fn cheapest(&mut self, terrain: Terrain<'_>, wish: Wish, rng: &mut impl Rng) -> Option<Route> {
        let lattice = terrain.lattice;
        let mut best: Option<Route> = None;
        let all: Vec<Vec<Way>> =
            (0..lattice.trees().len()).map(|d| ways(terrain, wish, d, self.generosity, rng)).collect();
        for index in 0..self.plans.len() {
            let Some(network) = self.network(lattice, self.plans[index], wish.cell) else { continue };
            let rest: Vec<&Vec<Way>> = all
                .iter()
                .enumerate()
                .filter(|(d, _)| !network.dimensions.contains(d))
                .map(|(_, ways)| ways)
                .collect();
            let offset =
                network.dimensions.iter().map(|&d| lattice.node(wish.cell, d) * lattice.stride(d)).sum();
            let Some(arc) = network.arc(offset) else { continue };
            let mut search = Search {
                terrain,
                wish,
                network: &network,
                arc,
                rest: &rest,
                scratch: &mut self.scratch,
                best,
            };
            search.extend(0, &[(0, true)], 0.0);
            best = search.best;
        }
        best
    }

    /// The network of a plan around a cell.
    fn network(&mut self, lattice: &Lattice, plan: Plan, cell: usize) -> Option<Rc<Network>> {
        let nodes = |p: usize| -> Option<(usize, Vec<usize>)> {
            let tree = &lattice.trees()[p];
            if tree.leaves().len() <= LOCAL {
                return Some((0, (0..tree.len()).collect()));
            }
            let node = lattice.node(cell, p);
            let parent = *tree.parents(node).first().filter(|_| tree.is_leaf(node))?;
            let mut chain: Vec<usize> =
                std::iter::successors(Some(parent), |&n| tree.parents(n).first().copied()).collect();
            chain.reverse();
            let besides = tree.children(parent).iter().copied().filter(|&n| tree.is_leaf(n)).take(3 * LOCAL);
            chain.extend(besides);
            chain.contains(&node).then_some((parent, chain))
        };
        let (key, nodes) = match plan.0 {
            Some(p) => nodes(p)?,
            None => (0, Vec::new()),
        };
        let make = || match plan {
            (Some(p), Some(q)) => Network::plane(lattice, p, &nodes, q),
            (Some(p), None) => Network::line(lattice, p, &nodes),
            (None, _) => Network::point(),
        };
        Some(Rc::clone(self.networks.entry((plan, key)).or_insert_with(|| Rc::new(make()))))
    }
}

/// The search through one network and the ways in all other dimensions.
struct Search<'a> {
    terrain: Terrain<'a>,
    wish: Wish,
    network: &'a Network,
    arc: usize,
    rest: &'a [&'a Vec<Way>],
    scratch: &'a mut Scratch,
    best: Option<Route>,
}

impl Search<'_> {
    fn limit(&self) -> f32 {
        self.best.as_ref().map_or(self.wish.budget, |best| best.score.min(self.wish.budget))
    }

    /// Tries every way in the dimensions from `depth` on; `chosen` are the nodes of those before, and `line`
    /// what is known to be paid for them.
    fn extend(&mut self, depth: usize, chosen: &[(usize, bool)], line: f32) {
        if let Some(ways) = self.rest.get(depth) {
            for way in *ways {
                if line + way.price >= self.limit() {
                    break;
                }
                let longer: Vec<(usize, bool)> = chosen
                    .iter()
                    .flat_map(|&(c, up)| way.nodes.iter().map(move |&(n, same)| (c + n, up == same)))
                    .collect();
                self.extend(depth + 1, &longer, line + way.price);
            }
            return;
        }
        let Terrain { price, room, .. } = self.terrain;
        let Wish { up: raise, times, trespass, .. } = self.wish;
        let length = |offset: usize, forwards: bool| {
            let mut length = 0.0;
            for &(rest, up) in chosen {
                let cell = offset + rest;
                if (forwards == up) != raise && room[cell] < times {
                    length += trespass;
                }
                length += price[cell];
            }
            length
        };
        let own = length(self.network.offset(self.arc), true);
        let limit = self.limit();
        if own >= limit {
            return;
        }
        let Some((way, path)) = self.network.close(self.arc, limit - own, self.scratch, length) else {
            return;
        };
        let arcs = path.into_iter().chain(std::iter::once((self.arc, true)));
        let cells = arcs.flat_map(|(arc, forwards)| {
            let offset = self.network.offset(arc);
            chosen.iter().map(move |&(rest, up)| (offset + rest, (forwards == up) == raise))
        });
        let cells: Vec<(usize, bool)> = cells.collect();
        let price = own + way;
        let worth: f32 = cells.iter().map(|&(c, _)| self.terrain.worth[c]).sum();
        let score = price / (1.0 + worth);
        if self.best.as_ref().is_none_or(|best| score < best.score) {
            self.best = Some(Route { cells, price, score });
        }
    }
}

/// The ways to change a cell's node in one dimension, those first that cost least in its own line of cells.
fn ways(
    terrain: Terrain<'_>,
    wish: Wish,
    dimension: usize,
    generosity: usize,
    rng: &mut impl Rng,
) -> Vec<Way> {
    let Terrain { lattice, price, room, .. } = terrain;
    let (tree, stride) = (&lattice.trees()[dimension], lattice.stride(dimension));
    let node = lattice.node(wish.cell, dimension);
    let base = wish.cell - node * stride;
    // What it costs to move the node as the cell is moved, or the other way.
    let cost = |n: usize, same: bool| {
        let cell = base + n * stride;
        let below = same != wish.up && room[cell] < wish.times;
        if n == node { 0.0 } else { price[cell] + if below { wish.trespass } else { 0.0 } }
    };
    let only = |n: usize, other: usize| {
        tree.above(n).iter().copied().filter(move |&a| other == n || !tree.covers(a, other))
    };
    let mut ups: Vec<(f32, usize)> = tree
        .leaves_below(node)
        .iter()
        .map(|&up| (cost(up, true), up))
        .filter(|u| u.0 < wish.budget)
        .collect();
    ups.shuffle(rng);
    ups.sort_by(|a, b| a.0.total_cmp(&b.0));
    ups.truncate(MOST_LEAVES * generosity);
    let outside = tree.leaves().iter().filter(|n| !tree.covers(node, **n));
    let mut downs: Vec<(f32, usize)> =
        outside.map(|&down| (cost(down, false), down)).filter(|down| down.0 < wish.budget).collect();
    downs.shuffle(rng);
    if downs.len() > MOST_OTHERS * generosity {
        downs.sort_by(|a, b| a.0.total_cmp(&b.0));
        downs.truncate(MOST_OTHERS * generosity);
    }
    let mut options: Vec<(f32, usize, Option<usize>)> = Vec::new();
    for &(_, up) in &ups {
        options.push((only(up, up).map(|n| cost(n, true)).sum(), up, None));
        for &(_, down) in &downs {
            let raised: f32 = only(up, down).map(|n| cost(n, true)).sum();
            options.push((raised + only(down, up).map(|n| cost(n, false)).sum::<f32>(), up, Some(down)));
        }
    }
    options.retain(|option| option.0 < wish.budget);
    options.sort_by(|a, b| a.0.total_cmp(&b.0));
    options.truncate(MOST_WAYS * generosity);
    options
        .into_iter()
        .map(|(price, up, down)| {
            let raised = only(up, down.unwrap_or(up)).map(|n| (n * stride, true));
            let lowered = down.into_iter().flat_map(|down| only(down, up)).map(|n| (n * stride, false));
            Way { nodes: raised.chain(lowered).collect(), price }
        })
        .collect()
}
