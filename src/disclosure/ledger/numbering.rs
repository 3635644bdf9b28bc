//! Persons in question, numbered from 0 without gaps, so that work on few persons takes little room.
#![allow(clippy::indexing_slicing, reason = "words are indexed by persons of the set they were made for")]

use roaring::RoaringBitmap;

/// The rank of each person of a set.
#[derive(Debug)]
pub(super) struct Numbering {
    words: Vec<u64>,
    before: Vec<u32>,
    persons: usize,
}

impl Numbering {
    /// Numbers the persons of a set in their order.
    pub(super) fn new(set: &RoaringBitmap) -> Self {
        let mut words = vec![0_u64; set.max().map_or(0, |last| last as usize / 64 + 1)];
        for person in set {
            words[person as usize / 64] |= 1 << (person % 64);
        }
        let mut persons = 0;
        let before = words
            .iter()
            .map(|word| {
                let before = persons;
                persons += word.count_ones();
                before
            })
            .collect();
        Self { words, before, persons: persons as usize }
    }

    /// How many there are.
    pub(super) const fn persons(&self) -> usize {
        self.persons
    }

    /// The number of a person, if the set has it.
    pub(super) fn find(&self, person: u32) -> Option<u32> {
        let word = *self.words.get(person as usize / 64)?;
        let bit = 1 << (person % 64);
        (word & bit != 0).then(|| self.before[person as usize / 64] + (word & (bit - 1)).count_ones())
    }

    /// The number of a person of the set.
    pub(super) fn of(&self, person: u32) -> usize {
        let word = person as usize / 64;
        let lower = self.words[word] & ((1 << (person % 64)) - 1);
        (self.before[word] + lower.count_ones()) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_the_order_without_gaps() {
        let persons = [0, 1, 63, 64, 200, 5_000_000];
        let numbering = Numbering::new(&persons.into_iter().collect());
        assert_eq!(persons.map(|person| numbering.of(person)), [0, 1, 2, 3, 4, 5]);
        assert_eq!(persons.map(|person| numbering.find(person)), [0, 1, 2, 3, 4, 5].map(Some));
        assert_eq!([2, 66, 5_000_001, u32::MAX].map(|person| numbering.find(person)), [None; 4]);
        assert_eq!(numbering.persons(), 6);
        assert_eq!(Numbering::new(&RoaringBitmap::new()).persons(), 0);
    }
}
