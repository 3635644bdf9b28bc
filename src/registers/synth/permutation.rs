//! A keyed permutation of the numbers below a size: serial numbers that tell nothing about an order.

/// A four-round Feistel network over the next even number of bits, walked until it lands inside.
#[derive(Debug, Clone)]
pub(super) struct Permutation {
    keys: [u64; 4],
    half: u32,
    size: u64,
}

impl Permutation {
    /// A permutation of `0..size`.
    pub(super) fn new(keys: [u64; 4], size: u64) -> Self {
        let bits = u64::BITS - size.max(2).saturating_sub(1).leading_zeros();
        Self { keys, half: bits.div_ceil(2), size }
    }

    /// Where `value` goes. Values from `size` on stay as they are.
    pub(super) fn apply(&self, value: u64) -> u64 {
        if value >= self.size {
            return value;
        }
        let mut at = self.round_trip(value);
        while at >= self.size {
            at = self.round_trip(at);
        }
        at
    }

    fn round_trip(&self, value: u64) -> u64 {
        let mask = (1 << self.half) - 1;
        let (mut left, mut right) = (value >> self.half, value & mask);
        for key in self.keys {
            (left, right) = (right, left ^ (mix(right ^ key) & mask));
        }
        (left << self.half) | right
    }
}

/// The finaliser of SplitMix64.
const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::Permutation;

    #[test]
    fn is_a_permutation_of_every_size() {
        for size in [1, 2, 3, 5, 16, 17, 1000, 4097] {
            let permutation = Permutation::new([1, 2, 3, 4], size);
            let mut to: Vec<_> = (0..size).map(|v| permutation.apply(v)).collect();
            to.sort_unstable();
            assert!(to.into_iter().eq(0..size), "{size}");
        }
    }

    #[test]
    fn tells_nothing_about_order() {
        let permutation = Permutation::new([9, 8, 7, 6], 10_000);
        let rising = (0..9_999).filter(|&v| permutation.apply(v) < permutation.apply(v + 1)).count();
        assert!((4_700..5_300).contains(&rising), "{rising}");
        let other = Permutation::new([9, 8, 7, 5], 10_000);
        let same = (0..10_000).filter(|&v| permutation.apply(v) == other.apply(v)).count();
        assert!(same < 10, "{same}");
    }
}
