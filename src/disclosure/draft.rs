//! A pattern in the making: which cells are withheld, and two random vectors of a space of changes that all
//! published cells survive.
//!
//! The space lies in the kernel, so a cell that is not zero on it cannot be computed. It is never written
//! down: laying a cycle adds a random multiple of it to each vector, and publishing a cell takes away
//! that multiple of a change through it which leaves the cell unchanged; random vectors of the space stay
//! random vectors of the space. Cells that are proportional on the space, found by the ratio of the two
//! vectors, form a class: publishing one of them makes all computable.
#![allow(clippy::indexing_slicing, reason = "cells and places are indices this module has made itself")]

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use rand::Rng;

use super::changes::{Before, Changes};
use super::cycle::{Change, Ground, cheapest};
use super::field::{add, inv, invert, mul, neg, random};
use super::task::Task;

/// The class of cells that are zero on the space.
pub(super) const COMPUTABLE: u64 = u64::MAX;
/// In place of a class: a cell that is published, and nobody's target.
const NONE: u64 = u64::MAX - 1;

/// Hashes a class by itself: ratios of random elements are spread evenly already.
#[derive(Default)]
struct Element(u64);

impl Hasher for Element {
    fn finish(&self) -> u64 {
        // The map looks at the highest bits too.
        self.0 << 3 ^ self.0 >> 20
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(self.0 << 8 | u64::from(byte)));
    }

    fn write_u64(&mut self, element: u64) {
        self.0 = element;
    }
}

/// A pattern in the making.
pub(super) struct Draft<'a> {
    pub(super) task: Task<'a>,
    withheld: Vec<bool>,
    price: Vec<f64>,
    change: Vec<[u64; 2]>,
    /// For each cell its class and its place in it.
    class: Vec<u64>,
    place: Vec<usize>,
    classes: HashMap<u64, Vec<usize>, BuildHasherDefault<Element>>,
    loss: f64,
    /// Changes that lie in the space.
    changes: Changes,
    log: Vec<Step>,
    /// The classes that have changed since the last mark.
    touched: Vec<u64>,
}

/// A step that can be taken back.
enum Step {
    Changed(usize, [u64; 2]),
    Withheld(usize),
    Published(usize),
    Combined(Before),
}

/// A state to come back to.
pub(super) struct Mark {
    steps: usize,
    loss: f64,
}

impl Mark {
    /// The loss of that state.
    pub(super) const fn loss(&self) -> f64 {
        self.loss
    }
}

impl<'a> Draft<'a> {
    /// The pattern that withholds these cells, with two random vectors of its kernel.
    pub(super) fn new(task: Task<'a>, withheld: Vec<bool>, vectors: [&[u64]; 2], changes: Changes) -> Self {
        let cells = withheld.len();
        let price = |c: usize| match () {
            () if task.fixed[c] => f64::INFINITY,
            () if withheld[c] => 0.0,
            () => task.loss(c),
        };
        let mut draft = Self {
            price: (0..cells).map(price).collect(),
            change: (0..cells).map(|c| [vectors[0][c], vectors[1][c]]).collect(),
            class: vec![NONE; cells],
            place: vec![0; cells],
            classes: HashMap::default(),
            loss: (0..cells).filter(|&c| withheld[c] && !task.is_hidden(c)).map(|c| task.loss(c)).sum(),
            changes,
            log: Vec::new(),
            touched: Vec::new(),
            task,
            withheld,
        };
        let changes: Vec<Option<[u64; 2]>> = (0..cells).map(|cell| draft.sorted_by(cell)).collect();
        let mut ratios: Vec<u64> = changes.iter().flatten().map(|[first, _]| *first).collect();
        invert(&mut ratios);
        let mut ratios = ratios.into_iter();
        for (cell, change) in changes.into_iter().enumerate() {
            let Some([first, second]) = change else { continue };
            let inverse = ratios.next().unwrap_or_default();
            draft.put(cell, if first == 0 && second == 0 { COMPUTABLE } else { mul(second, inverse) });
        }
        draft.touched.clear();
        draft
    }

    /// For each cell whether it is withheld.
    pub(super) fn withheld(&self) -> &[bool] {
        &self.withheld
    }

    /// The pattern, and the changes that lie in its kernel.
    pub(super) fn into_parts(self) -> (Vec<bool>, Changes) {
        (self.withheld, self.changes.compacted())
    }

    /// What the secondary cells lose.
    pub(super) const fn loss(&self) -> f64 {
        self.loss
    }

    /// Whether a cell is withheld only to protect others.
    pub(super) fn is_secondary(&self, cell: usize) -> bool {
        self.withheld.get(cell) == Some(&true) && !self.task.is_hidden(cell)
    }

    /// By how much the two vectors change a cell.
    pub(super) fn change(&self, cell: usize) -> [u64; 2] {
        self.change[cell]
    }

    /// The class of a cell.
    pub(super) fn class(&self, cell: usize) -> u64 {
        self.class[cell]
    }

    /// The targets in a class.
    pub(super) fn targets(&self, class: u64) -> impl Iterator<Item = usize> + '_ {
        self.classes.get(&class).into_iter().flatten().copied().filter(|&cell| self.task.primary[cell])
    }

    /// The targets of a class that somebody can compute: all, if the class is that of computable cells;
    /// otherwise the cells proportional to one in which another contributor is alone. Each comes with that one.
    pub(super) fn leaks(&self, class: u64) -> Vec<(usize, Option<usize>)> {
        if class == COMPUTABLE {
            return self.targets(class).map(|target| (target, None)).collect();
        }
        let mut leaks = Vec::new();
        let mut seen = Vec::new();
        for one in self.targets(class) {
            let Some(contributor) = self.task.alone[one] else { continue };
            if seen.contains(&contributor) {
                continue;
            }
            seen.push(contributor);
            let others = self.targets(class).filter(|&other| self.task.alone[other] != Some(contributor));
            leaks.extend(others.map(|other| (other, Some(one))));
        }
        leaks
    }

    /// All leaks there are, in the order of cells.
    pub(super) fn all_leaks(&self) -> Vec<(usize, Option<usize>)> {
        let mut classes: Vec<u64> = self.classes.keys().copied().collect();
        classes.sort_unstable();
        let mut leaks: Vec<_> = classes.into_iter().flat_map(|class| self.leaks(class)).collect();
        leaks.sort_unstable();
        leaks
    }

    /// Whether nothing in a class is a target: its secondary cells can be published.
    pub(super) fn needless(&self, class: u64) -> bool {
        self.targets(class).next().is_none()
    }

    /// The secondary cells of a class, ascending.
    pub(super) fn secondary_of(&self, class: u64) -> Vec<usize> {
        let members = self.classes.get(&class).into_iter().flatten().copied();
        let mut cells: Vec<usize> = members.filter(|&cell| self.is_secondary(cell)).collect();
        cells.sort_unstable();
        cells
    }

    /// A secondary cell of a class.
    pub(super) fn first_secondary(&self, class: u64) -> Option<usize> {
        self.classes.get(&class)?.iter().copied().find(|&cell| self.is_secondary(cell))
    }

    /// Forbids to withhold a published cell, or allows it again.
    pub(super) fn forbid(&mut self, cell: usize, forbidden: bool) {
        self.price[cell] = if forbidden { f64::INFINITY } else { self.task.loss(cell) };
    }

    /// The cheapest cycle through a cell that leaves others as they are.
    pub(super) fn cycle(
        &mut self,
        cell: usize,
        unchanged: &[usize],
        budget: f64,
        rng: &mut impl Rng,
    ) -> Option<Change> {
        let prices: Vec<f64> =
            unchanged.iter().map(|&c| std::mem::replace(&mut self.price[c], f64::INFINITY)).collect();
        let exposed = |c: usize| self.class[c] == COMPUTABLE && self.task.primary[c];
        let ground = Ground { lattice: self.task.lattice, price: &self.price, exposed: &exposed };
        let found = cheapest(&ground, cell, budget, rng);
        for (&cell, price) in unchanged.iter().zip(prices) {
            self.price[cell] = price;
        }
        found
    }

    /// A short change through a cell that all published cells survive.
    pub(super) fn through(&mut self, cell: usize, rng: &mut impl Rng) -> Option<Change> {
        self.changes.shortest(cell).or_else(|| self.cycle(cell, &[], 0.0, rng))
    }

    /// Withholds all cells of a cycle.
    pub(super) fn lay(&mut self, cycle: Change, rng: &mut impl Rng) {
        let factors = [random(rng), random(rng)];
        for &(cell, by) in &cycle {
            if !self.withheld[cell] {
                self.withheld[cell] = true;
                self.price[cell] = 0.0;
                self.loss += self.task.loss(cell);
                self.log.push(Step::Withheld(cell));
            }
            let [first, second] = self.change[cell];
            self.set(cell, [add(first, mul(factors[0], by)), add(second, mul(factors[1], by))]);
        }
        let before = self.changes.push(cycle);
        self.log.push(Step::Combined(before));
    }

    /// Publishes a cell, by means of a change through it that the published cells survive; and with it
    /// every secondary cell that can then be computed. Targets may become computable.
    pub(super) fn publish(&mut self, cell: usize, through: &Change) {
        let Some(&(_, by)) = through.iter().find(|(c, by)| *c == cell && *by != 0) else { return };
        let before = self.changes.clear(cell, through);
        self.log.extend(before.into_iter().map(Step::Combined));
        let scale = neg(inv(by));
        let factors = self.change[cell].map(|change| mul(change, scale));
        for &(cell, by) in through {
            let [first, second] = self.change[cell];
            self.set(cell, [add(first, mul(factors[0], by)), add(second, mul(factors[1], by))]);
            if self.change[cell] == [0, 0] && self.is_secondary(cell) {
                self.withheld[cell] = false;
                self.price[cell] = self.task.loss(cell);
                self.loss -= self.task.loss(cell);
                self.log.push(Step::Published(cell));
                self.sort(cell);
            }
        }
    }

    /// The classes changed since this was last asked.
    pub(super) fn take_touched(&mut self) -> Vec<u64> {
        let mut touched = std::mem::take(&mut self.touched);
        touched.sort_unstable();
        touched.dedup();
        touched
    }

    /// Remembers this state.
    pub(super) fn mark(&self) -> Mark {
        Mark { steps: self.log.len(), loss: self.loss }
    }

    /// Accepts all steps so far: older marks are void.
    pub(super) fn accept(&mut self) {
        self.log.clear();
        self.touched.clear();
    }

    /// Comes back to a state.
    pub(super) fn back_to(&mut self, mark: &Mark) {
        while self.log.len() > mark.steps {
            match self.log.pop() {
                Some(Step::Changed(cell, before)) => {
                    self.change[cell] = before;
                    self.sort(cell);
                }
                Some(Step::Withheld(cell)) => {
                    self.withheld[cell] = false;
                    self.price[cell] = self.task.loss(cell);
                    self.sort(cell);
                }
                Some(Step::Published(cell)) => {
                    self.withheld[cell] = true;
                    self.price[cell] = 0.0;
                    self.sort(cell);
                }
                Some(Step::Combined(before)) => self.changes.restore(before),
                None => {}
            }
        }
        self.loss = mark.loss;
        self.touched.clear();
    }

    fn set(&mut self, cell: usize, change: [u64; 2]) {
        self.log.push(Step::Changed(cell, self.change[cell]));
        self.change[cell] = change;
        self.sort(cell);
    }

    /// Puts a cell into its class.
    fn sort(&mut self, cell: usize) {
        let class = match self.sorted_by(cell) {
            None => NONE,
            Some([0, 0]) => COMPUTABLE,
            // A vector that is zero where the other is not has a chance of 2^-61.
            Some([first, second]) => mul(second, inv(first)),
        };
        self.put(cell, class);
    }

    /// By how much the two vectors change a cell, if it is a target or a secondary cell.
    fn sorted_by(&self, cell: usize) -> Option<[u64; 2]> {
        (self.task.primary[cell] || self.is_secondary(cell)).then_some(self.change[cell])
    }

    fn put(&mut self, cell: usize, class: u64) {
        let before = self.class[cell];
        if before == class {
            return;
        }
        if let Some(members) = self.classes.get_mut(&before).filter(|_| before != NONE) {
            members.swap_remove(self.place[cell]);
            match members.get(self.place[cell]) {
                Some(&moved) => self.place[moved] = self.place[cell],
                None if members.is_empty() => drop(self.classes.remove(&before)),
                None => {}
            }
            self.touched.push(before);
        }
        self.class[cell] = class;
        if class != NONE {
            let members = self.classes.entry(class).or_default();
            self.place[cell] = members.len();
            members.push(cell);
            self.touched.push(class);
        }
    }
}
