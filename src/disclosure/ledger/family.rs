//! Releases over exactly the same persons, taken together.
//!
//! Tables of one cohort by sex and age, by county, by municipality share their persons. Their common
//! refinement is small and their dependences (the counties are sums of municipalities) are many, so they
//! are brought together first.
#![allow(clippy::indexing_slicing, reason = "parts are numbered by this module and by the memberships")]

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::divisible::whole;
use super::echelon::Row;
use super::membership::{AsItIs, Parts, Population};
use super::release::Release;
use crate::disclosure::field::{add, inv, mul, neg};

/// The combinations of published cells of a family that can still be part of a light word, as vectors over
/// the family's parts.
#[derive(Debug, Default)]
pub(super) struct Space {
    /// Spanning vectors; an empty one is gone.
    vectors: Vec<Row>,
    /// For each part the vectors that are, or once were, not zero there.
    with: Vec<Vec<u32>>,
    /// For each part how many vectors are not zero there.
    live: Vec<u32>,
}

impl Space {
    fn new(parts: usize) -> Self {
        Self { vectors: Vec::new(), with: vec![Vec::new(); parts], live: vec![0; parts] }
    }

    fn insert(&mut self, vector: Row) {
        let number = u32::try_from(self.vectors.len()).unwrap_or(u32::MAX);
        for &(part, _) in &vector {
            self.with[part as usize].push(number);
            self.live[part as usize] += 1;
        }
        self.vectors.push(vector);
    }

    /// Whether some vector is not zero at a part.
    pub(super) fn is_live(&self, part: u32) -> bool {
        self.live[part as usize] > 0
    }

    /// The spanning vectors.
    pub(super) fn vectors(&self) -> impl Iterator<Item = &Row> {
        self.vectors.iter().filter(|vector| !vector.is_empty())
    }

    /// The parts of vectors that are zero on all parts touched.
    pub(super) fn beyond(&self, touched: &[bool]) -> Vec<bool> {
        let mut beyond = vec![false; touched.len()];
        let beside = |vector: &&Row| !vector.iter().any(|(part, _)| touched[*part as usize]);
        for (part, _) in self.vectors().filter(beside).flatten() {
            beyond[*part as usize] = true;
        }
        beyond
    }

    /// Keeps only what is zero at a part, if what is left out is of whole numbers and one there: then whatever the other
    /// parts change by, persons of this one make up for it. Gives the parts at which all is zero now and was not before.
    pub(super) fn cut(&mut self, part: u32) -> Vec<u32> {
        let value_at =
            |vector: &Row| vector.binary_search_by_key(&part, |(p, _)| *p).ok().map(|at| vector[at].1);
        let mut with: Vec<(u32, u64)> = self.with[part as usize]
            .iter()
            .filter_map(|&number| Some((number, value_at(&self.vectors[number as usize])?)))
            .collect();
        with.sort_unstable();
        with.dedup();
        let makes_up = |(number, value): (u32, u64)| {
            let scale = inv(value);
            self.vectors[number as usize].iter().all(|&(_, v)| whole(mul(v, scale)).is_some())
        };
        let candidates = (0..with.len()).filter(|&at| makes_up(with[at]));
        let Some(at) = candidates.min_by_key(|&at| self.vectors[with[at].0 as usize].len()) else {
            return Vec::new();
        };
        self.with[part as usize].clear();
        let (pivot, value) = with.swap_remove(at);
        let pivot = std::mem::take(&mut self.vectors[pivot as usize]);
        for (number, other) in with {
            let factor = neg(mul(other, inv(value)));
            let vector = std::mem::take(&mut self.vectors[number as usize]);
            let sum = self.sum(number, &vector, &pivot, factor);
            self.vectors[number as usize] = sum;
        }
        for &(p, _) in &pivot {
            self.live[p as usize] -= 1;
        }
        pivot.into_iter().map(|(p, _)| p).filter(|&p| !self.is_live(p)).collect()
    }

    /// vector + factor * pivot, with the books kept.
    fn sum(&mut self, number: u32, vector: &Row, pivot: &Row, factor: u64) -> Row {
        let mut sum = Row::with_capacity(vector.len() + pivot.len());
        let (mut a, mut b) = (vector.iter().peekable(), pivot.iter().peekable());
        loop {
            let (x, y) = (a.peek().map_or(u32::MAX, |e| e.0), b.peek().map_or(u32::MAX, |e| e.0));
            if x < y {
                sum.extend(a.next());
                continue;
            }
            let Some(&(part, v)) = b.next() else { break };
            let at = part as usize;
            if x > y {
                sum.push((part, mul(v, factor)));
                self.live[at] += 1;
                self.with[at].push(number);
            } else {
                let value = add(a.next().map_or(0, |e| e.1), mul(v, factor));
                if value == 0 {
                    self.live[at] -= 1;
                } else {
                    sum.push((part, value));
                }
            }
        }
        sum
    }
}

/// Releases over the same persons: their common refinement, and what is published of it.
#[derive(Debug)]
pub(super) struct Family<'a> {
    population: &'a Population,
    part_of: Cow<'a, Parts>,
    parts: usize,
    pub(super) space: Space,
}

impl<'a> Family<'a> {
    /// The families of some releases.
    pub(super) fn all(releases: &[&'a Release]) -> Vec<Self> {
        let mut order: Vec<Vec<&'a Release>> = Vec::new();
        let mut of: HashMap<_, usize> = HashMap::new();
        for release in releases {
            let at = *of.entry(release.membership.population.digest).or_insert(order.len());
            match order.get_mut(at) {
                Some(family) => family.push(release),
                None => order.push(vec![release]),
            }
        }
        order.into_iter().filter_map(|members| Self::of(&members)).collect()
    }

    fn of(members: &[&'a Release]) -> Option<Self> {
        let (first, rest) = members.split_first()?;
        let population: &Population = Arc::as_ref(&first.membership.population);
        let mut part_of = Cow::Borrowed(&first.membership.part_of);
        // For each part of the family the part of each release.
        let mut made_of: Vec<Vec<u32>> = (0..).take(first.membership.parts.len()).map(|p| vec![p]).collect();
        for release in rest {
            let mut numbers: HashMap<u64, u32, BuildHasherDefault<AsItIs>> = HashMap::default();
            let mut refined = Vec::with_capacity(part_of.len());
            let mut next: Vec<Vec<u32>> = Vec::new();
            for (old, other) in part_of.iter().zip(release.membership.part_of.iter()) {
                // Multiplied by an odd number, so that the hash tables see all its digits.
                let pair = (u64::from(old) << 32 | u64::from(other)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
                refined.push(*numbers.entry(pair).or_insert_with(|| {
                    let mut of = made_of[old as usize].clone();
                    of.push(other);
                    next.push(of);
                    u32::try_from(next.len() - 1).unwrap_or(u32::MAX)
                }));
            }
            part_of = Cow::Owned(Parts::new(refined));
            made_of = next;
        }
        let mut space = Space::new(made_of.len());
        for (at, release) in members.iter().enumerate() {
            let mut within: Vec<Vec<u32>> = vec![Vec::new(); release.membership.parts.len()];
            for (part, of) in (0..).zip(&made_of) {
                within[of[at] as usize].push(part);
            }
            for vector in &release.published {
                let entries =
                    vector.iter().flat_map(|&(p, v)| within[p as usize].iter().map(move |&q| (q, v)));
                let mut spread: Row = entries.collect();
                spread.sort_unstable();
                space.insert(spread);
            }
        }
        Some(Self { population, part_of, parts: made_of.len(), space })
    }

    /// How many parts it has.
    pub(super) const fn parts(&self) -> usize {
        self.parts
    }

    /// The part of each person, in the order of persons.
    pub(super) fn part_of(&self) -> impl Iterator<Item = u32> + '_ {
        self.part_of.iter()
    }

    /// Each person with the part it is in.
    pub(super) fn placed(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.population.persons.iter().zip(self.part_of.iter())
    }

    /// Each person in a live part with that part.
    pub(super) fn live(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        // A family that has nothing left is not gone through.
        let any = self.space.vectors().next().is_some();
        self.placed().take_while(move |_| any).filter(|(_, part)| self.space.is_live(*part))
    }

    /// All its persons.
    pub(super) const fn persons(&self) -> &RoaringBitmap {
        &self.population.persons
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disclosure::ledger::echelon::{Echelon, Scratch, reduced};
    use proptest::prelude::*;

    fn sparse(dense: &[u64]) -> Row {
        (0..).zip(dense.iter().copied()).filter(|(_, v)| *v != 0).collect()
    }

    proptest! {
        /// Beside elimination with the parts that are cut as the first columns. A part that is not cut stays because there
        /// nothing is of whole numbers that has one person of it.
        #[test]
        fn cutting_leaves_what_is_zero_there(
            vectors in prop::collection::vec(prop::collection::vec(0u64..3, 8), 1..8), cuts in 1u32..6,
        ) {
            let mut space = Space::new(8);
            for vector in &vectors {
                space.insert(sparse(vector));
            }
            let mut gone = Vec::new();
            for part in 0..cuts {
                let before: Vec<bool> = (0..8).map(|p| space.is_live(p)).collect();
                let dead = space.cut(part);
                for p in 0..8 {
                    let now = space.vectors().any(|v| v.iter().any(|(q, _)| *q == p));
                    prop_assert_eq!(space.is_live(p), now);
                    prop_assert_eq!(dead.contains(&p), before[p as usize] && !now);
                }
                for vector in space.vectors() {
                    let Some((_, value)) = vector.iter().find(|(p, _)| *p == part) else { continue };
                    prop_assert!(vector.iter().any(|(_, v)| whole(mul(*v, inv(*value))).is_none()));
                }
                if !space.is_live(part) {
                    gone.push(part);
                }
            }
            // The parts that are gone come first.
            let order: Vec<u32> = gone.iter().copied().chain((0..8).filter(|p| !gone.contains(p))).collect();
            let placed = |dense: &dyn Fn(u32) -> u64| sparse(&order.iter().map(|&p| dense(p)).collect::<Vec<_>>());
            let (mut echelon, scratch) = (Echelon::new(8), &mut Scratch::default());
            for vector in &vectors {
                echelon.insert(&placed(&|p| vector[p as usize]), scratch);
            }
            let expected = reduced(echelon.rows(gone.len() as u32, None), scratch);
            let mut rest = Echelon::new(8);
            for vector in space.vectors() {
                let value = |p: u32| vector.iter().find(|(q, _)| *q == p).map_or(0, |(_, v)| *v);
                let vector = placed(&value);
                prop_assert!(echelon.spans(&vector, scratch) && vector[0].0 >= gone.len() as u32);
                rest.insert(&vector, scratch);
            }
            prop_assert_eq!(reduced(rest.rows(0, None), scratch).len(), expected.len());
        }
    }
}
