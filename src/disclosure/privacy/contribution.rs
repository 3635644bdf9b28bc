//! What one person can change, and the sensitivity that follows.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

/// The most that the rows of one person may change. The plan applies it to the data before anything is
/// counted, with [`Contribution::bounded`] or its like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contribution {
    cells: NonZeroU32,
    per_cell: NonZeroU32,
    persons: bool,
}

impl Contribution {
    /// Persons are counted: one is in at most so many inner cells, and counts once in each cell and once
    /// in each margin.
    #[must_use]
    pub const fn of_persons(cells: NonZeroU32) -> Self {
        Self { cells, per_cell: NonZeroU32::MIN, persons: true }
    }

    /// Events are counted, or values summed: a person is in at most so many inner cells and changes
    /// each by at most `per_cell`. Margins are sums.
    #[must_use]
    pub const fn of_events(cells: NonZeroU32, per_cell: NonZeroU32) -> Self {
        Self { cells, per_cell, persons: false }
    }

    /// Whether the margins of a table are sums of its inner cells.
    #[must_use]
    pub const fn is_additive(self) -> bool {
        !self.persons || self.cells.get() == 1
    }

    /// One person's events cut down to the bounds: the first cells in the order given, and in each no
    /// more than `per_cell` events. The order must come from this person's rows alone, by date for
    /// example; then one person's rows never change what is kept of another's.
    pub fn bounded<C: Ord>(self, events: impl IntoIterator<Item = C>) -> BTreeMap<C, u32> {
        let mut kept: BTreeMap<C, u32> = BTreeMap::new();
        for cell in events {
            if let Some(count) = kept.get_mut(&cell) {
                *count = (*count + 1).min(self.per_cell.get());
            } else if kept.len() < self.cells.get() as usize {
                kept.insert(cell, 1);
            }
        }
        kept
    }

    /// The sensitivity of the inner cells: c cells by at most e each change by ce in the first norm,
    /// by e√c in the second.
    #[must_use]
    pub fn of_inner_cells(self) -> Sensitivity {
        let (c, e) = (u128::from(self.cells.get()), u128::from(self.per_cell.get()));
        Sensitivity { l1: c * e, l2_squared: c * e * e }
    }

    /// The sensitivity of one margin of so many cells. Different inner cells may fall in one cell of it:
    /// a person counts there once, its events add up.
    #[must_use]
    pub fn of_margin(self, cells: u64) -> Sensitivity {
        let c = u128::from(self.cells.get());
        if self.persons {
            let touched = c.min(u128::from(cells));
            Sensitivity { l1: touched, l2_squared: touched }
        } else {
            let all = c * u128::from(self.per_cell.get());
            Sensitivity { l1: all, l2_squared: all * all }
        }
    }
}

/// By how much one person can change a vector of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sensitivity {
    l1: u128,
    l2_squared: u128,
}

impl Sensitivity {
    /// The sum of the absolute changes.
    #[must_use]
    pub const fn l1(self) -> u128 {
        self.l1
    }

    /// The sum of the squared changes.
    #[must_use]
    pub const fn l2_squared(self) -> u128 {
        self.l2_squared
    }

    /// That of two vectors released together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            l1: self.l1.saturating_add(other.l1),
            l2_squared: self.l2_squared.saturating_add(other.l2_squared),
        }
    }

    /// That of the numbers multiplied by `factor`.
    #[must_use]
    pub const fn times(self, factor: u64) -> Self {
        let factor = factor as u128;
        Self {
            l1: self.l1.saturating_mul(factor),
            l2_squared: self.l2_squared.saturating_mul(factor).saturating_mul(factor),
        }
    }

    /// That of so many such vectors released together.
    #[must_use]
    pub const fn repeated(self, vectors: u64) -> Self {
        let vectors = vectors as u128;
        Self { l1: self.l1.saturating_mul(vectors), l2_squared: self.l2_squared.saturating_mul(vectors) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn count(number: u32) -> NonZeroU32 {
        NonZeroU32::new(number).unwrap()
    }

    #[test]
    fn by_hand() {
        // Three cells by at most two: 6 in the first norm, √12 in the second.
        let events = Contribution::of_events(count(3), count(2));
        assert_eq!(events.of_inner_cells(), Sensitivity { l1: 6, l2_squared: 12 });
        // All six may fall in one cell of a margin.
        assert_eq!(events.of_margin(10), Sensitivity { l1: 6, l2_squared: 36 });
        // A person in three cells is in at most two of a margin of two.
        let persons = Contribution::of_persons(count(3));
        assert_eq!(persons.of_inner_cells(), Sensitivity { l1: 3, l2_squared: 3 });
        assert_eq!(persons.of_margin(2), Sensitivity { l1: 2, l2_squared: 2 });
        assert_eq!(persons.of_margin(1).times(5), Sensitivity { l1: 5, l2_squared: 25 });
        assert_eq!(persons.of_margin(1).repeated(5), Sensitivity { l1: 5, l2_squared: 5 });
        assert!(!persons.is_additive() && events.is_additive());
    }

    proptest! {
        /// Taking a person away changes the inner cells and a margin by no more than the sensitivities.
        #[test]
        fn no_person_changes_more_than_the_bounds(
            events in prop::collection::vec(0u32..12, 0..60), c in 1u32..6, e in 1u32..6, groups in 1u32..5,
        ) {
            let contribution = Contribution::of_events(count(c), count(e));
            let kept = contribution.bounded(events.iter().copied());
            let norms = |changes: &[u64]| {
                (changes.iter().map(|&x| u128::from(x)).sum::<u128>(),
                 changes.iter().map(|&x| u128::from(x * x)).sum::<u128>())
            };
            let inner: Vec<u64> = kept.values().map(|&n| u64::from(n)).collect();
            let within = |(l1, l2): (u128, u128), s: Sensitivity| l1 <= s.l1() && l2 <= s.l2_squared();
            prop_assert!(within(norms(&inner), contribution.of_inner_cells()));
            let mut margin = vec![0u64; groups as usize];
            let mut persons = vec![0u64; groups as usize];
            for (&cell, &n) in &kept {
                margin[(cell % groups) as usize] += u64::from(n);
                persons[(cell % groups) as usize] = 1;
            }
            prop_assert!(within(norms(&margin), contribution.of_margin(u64::from(groups))));
            let persons_only = Contribution::of_persons(count(c));
            prop_assert!(within(norms(&persons), persons_only.of_margin(u64::from(groups))));
        }
    }
}
