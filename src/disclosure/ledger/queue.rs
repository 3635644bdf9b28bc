//! Columns that wait, the first one first: a bit each, with a bit above for every word that is not zero. Cheaper than a
//! heap where thousands of columns wait at a time.
#![allow(clippy::indexing_slicing, reason = "words are there for every column that waits")]

/// Six bits of a column on each level: enough for all columns.
const LEVELS: usize = 6;

/// Columns that wait, each at most once.
#[derive(Debug, Default)]
pub(super) struct Queue {
    levels: [Vec<u64>; LEVELS],
}

impl Queue {
    /// Lets a column wait.
    pub(super) fn push(&mut self, column: u32) {
        let mut at = column as usize;
        for level in &mut self.levels {
            let (word, bit) = (at / 64, 1 << (at % 64));
            if word >= level.len() {
                level.resize(word + 1, 0);
            }
            let before = level[word];
            level[word] = before | bit;
            if before != 0 {
                return;
            }
            at = word;
        }
    }

    /// Takes the first column out.
    pub(super) fn pop(&mut self) -> Option<u32> {
        if self.levels[LEVELS - 1].first().is_none_or(|&top| top == 0) {
            return None;
        }
        let at = self.levels.iter().rev().fold(0, |at, level| at * 64 + level[at].trailing_zeros() as usize);
        let mut word = at;
        for level in &mut self.levels {
            let bit = 1 << (word % 64);
            word /= 64;
            level[word] ^= bit;
            if level[word] != 0 {
                break;
            }
        }
        u32::try_from(at).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_waits_comes_out_as_from_an_ordered_set(
            steps in prop::collection::vec(prop::option::of(prop_oneof![0..200_u32, 0..70_000_000_u32]), 0..80),
        ) {
            let (mut queue, mut set) = (Queue::default(), std::collections::BTreeSet::new());
            for step in steps {
                match step {
                    Some(column) => {
                        queue.push(column);
                        set.insert(column);
                    }
                    None => prop_assert_eq!(queue.pop(), set.pop_first()),
                }
            }
            while let Some(first) = set.pop_first() {
                prop_assert_eq!(queue.pop(), Some(first));
            }
            prop_assert_eq!(queue.pop(), None);
        }
    }
}
