//! Maps by serial number. They are looked into hundreds of millions of times for a national year, so
//! they hash with one multiplication instead of the standard library's general function.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};

/// A map by serial number.
pub(super) type BySerial<T> = HashMap<u64, T, Seed>;

/// A secret of this process, so that no sender can choose serial numbers that all fall together.
#[derive(Clone)]
pub(super) struct Seed(u64);

impl Default for Seed {
    fn default() -> Self {
        Self(RandomState::new().hash_one(0_u64))
    }
}

impl BuildHasher for Seed {
    type Hasher = Folded;
    fn build_hasher(&self) -> Folded {
        Folded(self.0)
    }
}

/// Odd, with its bits well mixed: the fraction of the golden ratio.
const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;

/// Multiplies to 128 bits and folds the halves together.
pub(super) struct Folded(u64);

impl Hasher for Folded {
    fn write_u64(&mut self, n: u64) {
        let wide = u128::from(n ^ self.0) * u128::from(MULTIPLIER);
        self.0 = (wide >> 64) as u64 ^ wide as u64;
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table takes its slot from the low bits and its tag from the high ones: both must spread for
    /// serial numbers in a row and for such that differ in high bits only.
    #[test]
    fn neighbours_do_not_fall_together() {
        let seed = Seed::default();
        for step in [1_u64, 10, 1 << 12, 1 << 20, 1_000_000] {
            let hashes: Vec<u64> = (1..=4096).map(|n| seed.hash_one(n * step)).collect();
            for shift in [0, 52] {
                let mut slots: Vec<u64> = hashes.iter().map(|hash| (hash >> shift) & 0xfff).collect();
                slots.sort_unstable();
                slots.dedup();
                // Thrown at random, 4096 balls hit some 2590 of 4096 boxes.
                assert!(slots.len() > 2000, "{} boxes with step {step}, shift {shift}", slots.len());
            }
        }
    }
}
