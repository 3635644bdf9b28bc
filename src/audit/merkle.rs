//! The Merkle tree of RFC 6962, section 2.1: leaf and node hashes, and the root as leaves are added.

use std::ops::Range;

use sha2::{Digest as _, Sha256};

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// The hash of a leaf: SHA-256(0x00, data).
#[must_use]
pub fn leaf_hash(data: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(data).finalize().into()
}

/// The hash of a node: SHA-256(0x01, left, right).
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// The right edge of a tree: the roots of its perfect subtrees, largest first. It is all that is needed
/// to add leaves and to know the root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// The frontier of a tree with these leaf hashes.
    pub fn of(leaves: impl IntoIterator<Item = Hash>) -> Self {
        let mut frontier = Self::default();
        for leaf in leaves {
            frontier.add(leaf);
        }
        frontier
    }

    /// Adds a leaf by its hash.
    pub fn add(&mut self, leaf: Hash) {
        let mut hash = leaf;
        // Each trailing one of the old size is a perfect subtree that the new leaf completes.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                hash = node_hash(&left, &hash);
            }
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// The frontier of a tree of this size whose peaks are these bytes, as [`Frontier::peaks`] gives them;
    /// nothing if there are not as many peaks as the size asks for.
    #[must_use]
    pub fn restore(size: u64, peaks: &[u8]) -> Option<Self> {
        let (peaks, rest) = peaks.as_chunks::<32>();
        let complete = rest.is_empty() && peaks.len() == size.count_ones() as usize;
        complete.then(|| Self { size, peaks: peaks.to_vec() })
    }

    /// The roots of the perfect subtrees, largest first, 32 bytes each.
    #[must_use]
    pub fn peaks(&self) -> Vec<u8> {
        self.peaks.concat()
    }

    /// The root of the perfect subtree over these leaves, if it is one of the peaks.
    #[must_use]
    pub fn peak(&self, leaves: &Range<u64>) -> Option<Hash> {
        let sizes = (0..u64::BITS).rev().map(|bit| 1 << bit).filter(|size| self.size & size != 0);
        let covered = sizes.scan(0, |to, size| {
            *to += size;
            Some(*to - size..*to)
        });
        covered.zip(&self.peaks).find(|(covered, _)| covered == leaves).map(|(_, root)| *root)
    }

    /// How many leaves the tree has.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The root; of the empty tree, SHA-256 of nothing.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        let Some(last) = peaks.next() else { return Sha256::digest([]).into() };
        peaks.fold(*last, |right, left| node_hash(left, &right))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// MTH of RFC 6962, word for word.
    fn naive(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Sha256::digest([]).into(),
            [one] => *one,
            _ => {
                let split = leaves.len().next_power_of_two() / 2;
                node_hash(&naive(&leaves[..split]), &naive(&leaves[split..]))
            }
        }
    }

    #[test]
    fn roots_of_the_known_tree() {
        // The inputs and roots of the certificate-transparency reference tests.
        let data: [&[u8]; 8] = [
            &[],
            &[0x00],
            &[0x10],
            &[0x20, 0x21],
            &[0x30, 0x31],
            &[0x40, 0x41, 0x42, 0x43],
            &[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
            &[0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f],
        ];
        let roots = [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let mut frontier = Frontier::default();
        for (leaf, root) in data.iter().zip(roots) {
            frontier.add(leaf_hash(leaf));
            assert_eq!(hex::encode(frontier.root()), root);
        }
        assert_eq!(
            hex::encode(Frontier::default().root()),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }

    proptest! {
        #[test]
        fn the_incremental_root_is_the_naive_root(count in 0usize..200) {
            let leaves: Vec<Hash> = (0..count).map(|i| leaf_hash(&i.to_be_bytes())).collect();
            let frontier = Frontier::of(leaves.iter().copied());
            prop_assert_eq!(frontier.size(), count as u64);
            prop_assert_eq!(frontier.root(), naive(&leaves));
            prop_assert_eq!(Frontier::restore(count as u64, &frontier.peaks()), Some(frontier.clone()));
            prop_assert_eq!(Frontier::restore(count as u64 ^ 1, &frontier.peaks()), None);
        }
    }
}
