//! Gives one target its range: route after route, up from the highest table known and down from the lowest.
#![allow(clippy::indexing_slicing, reason = "cells are indices of the lattice")]

use std::collections::BTreeMap;

use rand::Rng;

use super::cover::{Cover, Difference};
use super::route::{PER_CELL, Route, Seeker, Terrain, Wish};

/// What costs less than this withholds nothing new.
const FREE: f32 = 0.5;
/// What it costs for a cell to go too far down on a route: other routes must take it up again.
const TRESPASS: f32 = 0.7;
/// How often cells are moved back after a route, at most; and how often a route for that may trespass too.
const MOST_REPAIRS: usize = 12;
const MOST_NESTED: usize = 6;

/// Seeks what is lacking.
pub(super) struct Widener {
    seeker: Seeker,
    /// How far each cell can go down from the table in the making.
    room: Vec<i64>,
    /// For each cell what it costs to change it: nothing more once it is paid for.
    price: Vec<f32>,
    /// What has been paid for, and how much it was.
    paid: Vec<(usize, f32)>,
    budget: f32,
}

/// A table in the making.
struct Draft {
    changes: BTreeMap<usize, i64>,
    /// Whether it is more than the table it began with.
    grown: bool,
}

/// A route, how often to make it, and in which of two tables: the low or the high one.
struct Step {
    route: Route,
    times: i64,
    up: bool,
}

impl Widener {
    /// For a cover without tables.
    pub(super) fn new(cover: &Cover<'_>) -> Self {
        Self {
            seeker: Seeker::new(cover.ground.lattice),
            room: cover.ground.room.clone(),
            price: Vec::new(),
            paid: Vec::new(),
            budget: 0.0,
        }
    }

    /// Gives a target its range, for less than the budget; tells the tables added, none if it did not succeed.
    pub(super) fn widen(
        &mut self,
        cover: &mut Cover<'_>,
        cell: usize,
        budget: f32,
        rng: &mut impl Rng,
    ) -> Option<Vec<usize>> {
        let extent = cover.extent(cell);
        let draft = |id: Option<usize>| Draft {
            changes: id.and_then(|id| cover.table(id)).into_iter().flatten().copied().collect(),
            grown: false,
        };
        let mut drafts = [draft(extent.low.1), draft(extent.high.1)];
        cover.swap_prices(&mut self.price);
        self.budget = budget;
        let mut lacking = cover.lacking(cell);
        let mut trespass = TRESPASS;
        while lacking > 0 {
            let step = self.step(cover, &drafts, cell, (lacking, trespass), rng);
            if let Some(step) = step
                && self.make(cover, &mut drafts[usize::from(step.up)], cell, &step, rng)
            {
                lacking -= step.times;
            } else if trespass == f32::INFINITY {
                break;
            } else {
                trespass = f32::INFINITY;
            }
        }
        self.refund(0);
        cover.swap_prices(&mut self.price);
        let grown = drafts.into_iter().filter(|draft| lacking <= 0 && draft.grown);
        let added = grown.map(|draft| cover.add(draft.changes.into_iter().collect::<Difference>())).collect();
        (lacking <= 0).then_some(added)
    }

    /// As [`Self::widen`], whatever it costs, and with as many routes looked at as it takes.
    pub(super) fn insist(&mut self, cover: &mut Cover<'_>, cell: usize, rng: &mut impl Rng) -> bool {
        self.seeker.be_generous(true);
        let done = self.widen(cover, cell, f32::MAX, rng).is_some();
        self.seeker.be_generous(false);
        done
    }

    /// The route that costs least for each person it moves the cell.
    fn step(
        &mut self,
        cover: &Cover<'_>,
        drafts: &[Draft; 2],
        cell: usize,
        (lacking, trespass): (i64, f32),
        rng: &mut impl Rng,
    ) -> Option<Step> {
        let mut best: Option<(f32, Step)> = None;
        for up in [true, false] {
            let draft = &drafts[usize::from(up)];
            self.shift(draft, 1);
            let most = if up { lacking } else { self.room[cell].min(lacking) };
            let mut tried = vec![1, lacking, (lacking + 1) / 2];
            tried.dedup();
            for times in tried.into_iter().filter(|&times| times <= most) {
                if best.as_ref().is_some_and(|best| best.0 < FREE) {
                    break;
                }
                let wish = Wish { cell, up, times, budget: self.budget, trespass };
                let Some(route) = self.seek(cover, wish, rng) else { break };
                let times = route.reach(&self.room).clamp(times, most);
                let each = route.price / times as f32;
                if best.as_ref().is_none_or(|best| each < best.0) {
                    best = Some((each, Step { route, times, up }));
                }
            }
            self.shift(draft, -1);
        }
        best.map(|(_, step)| step)
    }

    fn seek(&mut self, cover: &Cover<'_>, wish: Wish, rng: &mut impl Rng) -> Option<Route> {
        let (lattice, worth) = (cover.ground.lattice, cover.worth());
        let terrain = Terrain { lattice, price: &self.price, room: &self.room, worth };
        self.seeker.cheapest(terrain, wish, rng)
    }

    /// Adds a table's changes to the room there is, or takes them away.
    fn shift(&mut self, draft: &Draft, sign: i64) {
        for (&cell, &by) in &draft.changes {
            self.room[cell] += sign * by;
        }
    }

    /// Makes a step, then moves back what went too far down, and what is cheaper to move back than to withhold.
    /// False if nothing takes up what went too far down; then nothing was done.
    fn make(
        &mut self,
        cover: &Cover<'_>,
        draft: &mut Draft,
        cell: usize,
        step: &Step,
        rng: &mut impl Rng,
    ) -> bool {
        let (before, paid) = (draft.changes.clone(), self.paid.len());
        self.shift(draft, 1);
        self.follow(draft, &step.route, step.times);
        // The target stays where the step has moved it.
        let own = std::mem::replace(&mut self.price[cell], f32::INFINITY);
        let mut tried = Vec::new();
        let mut possible = true;
        for left in (0..=MOST_REPAIRS).rev() {
            let below = draft.changes.keys().copied().find(|&c| self.room[c] < 0);
            let wish = if let Some(c) = below {
                let trespass = if left + MOST_NESTED > MOST_REPAIRS { TRESPASS } else { f32::INFINITY };
                Wish { cell: c, up: true, times: -self.room[c], budget: self.budget, trespass }
            } else if let Some((c, budget)) = self.dearest(paid, &tried) {
                tried.push(c);
                let by = draft.changes.get(&c).copied().unwrap_or(0);
                if by == 0 {
                    self.spare(c);
                    continue;
                }
                Wish { cell: c, up: by < 0, times: by.abs(), budget, trespass: f32::INFINITY }
            } else {
                break;
            };
            let back = if left > 0 { self.seek(cover, wish, rng) } else { None };
            if let Some(back) = back {
                self.follow(draft, &back, wish.times);
                if below.is_none() {
                    self.spare(wish.cell);
                }
            } else if below.is_some() {
                possible = false;
                break;
            }
        }
        self.price[cell] = own;
        self.shift(draft, -1);
        if possible {
            draft.changes.retain(|_, by| *by != 0);
            draft.grown = true;
        } else {
            draft.changes = before;
            self.refund(paid);
        }
        possible
    }

    /// The dearest of what was paid for since then and has not been tried.
    fn dearest(&self, since: usize, tried: &[usize]) -> Option<(usize, f32)> {
        let left = self.paid.iter().skip(since).filter(|(c, _)| !tried.contains(c));
        left.max_by(|a, b| a.1.total_cmp(&b.1)).copied()
    }

    /// Changes cells along a route, and pays for them.
    fn follow(&mut self, draft: &mut Draft, route: &Route, times: i64) {
        for &(cell, up) in &route.cells {
            let by = if up { times } else { -times };
            *draft.changes.entry(cell).or_insert(0) += by;
            self.room[cell] += by;
            let price = self.price[cell];
            if price > PER_CELL {
                self.paid.push((cell, price));
                self.budget -= price;
                self.price[cell] = PER_CELL;
            }
        }
    }

    /// Takes back what was paid for one cell: it no longer changes.
    fn spare(&mut self, cell: usize) {
        if let Some(place) = self.paid.iter().position(|&(c, _)| c == cell) {
            let (_, price) = self.paid.remove(place);
            self.price[cell] = price;
            self.budget += price;
        }
    }

    /// Takes back what was paid since then.
    fn refund(&mut self, since: usize) {
        for (cell, price) in self.paid.drain(since..) {
            self.price[cell] = price;
            self.budget += price;
        }
    }
}
