//! The proofs of RFC 6962, section 2.1: that an entry is in a tree, and that a tree extends an older one.
//!
//! A proof is a list of subtree roots. Which subtrees they are follows from sizes and index alone, so that
//! is given here as ranges of leaves, to be hashed by whoever has the leaves.

use std::ops::Range;

use super::merkle::{Frontier, Hash, node_hash};

/// Where RFC 6962 splits a tree of `size` leaves, at least two: the largest power of two below it.
const fn split(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}

/// The subtrees whose roots prove the leaf at `index` to be in a tree of `size` leaves, the nearest first;
/// nothing if there is no such leaf. `PATH` of RFC 6962, section 2.1.1.
#[must_use]
pub fn inclusion(index: u64, size: u64) -> Option<Vec<Range<u64>>> {
    let (mut from, mut to, mut subtrees) = (0, size, Vec::new());
    while to.checked_sub(from)? > 1 {
        let middle = from + split(to - from);
        if index < middle {
            subtrees.push(middle..to);
            to = middle;
        } else {
            subtrees.push(from..middle);
            from = middle;
        }
    }
    subtrees.reverse();
    (index < size).then_some(subtrees)
}

/// The subtrees whose roots prove a tree of `new` leaves to extend one of `old`; nothing if it is smaller.
/// `PROOF` of RFC 6962, section 2.1.2. Those within the older tree are peaks of its [`Frontier`].
#[must_use]
pub fn consistency(old: u64, new: u64) -> Option<Vec<Range<u64>>> {
    if old == 0 {
        return Some(Vec::new());
    }
    let (mut from, mut to, mut subtrees) = (0, new, Vec::new());
    while old < to {
        let middle = from + split(to - from);
        if old <= middle {
            subtrees.push(middle..to);
            to = middle;
        } else {
            subtrees.push(from..middle);
            from = middle;
        }
    }
    // The older tree's own root is known to whoever checks, unless it is a part of the tree only.
    if from > 0 {
        subtrees.push(from..to);
    }
    subtrees.reverse();
    (old <= new).then_some(subtrees)
}

/// Whether `proof` shows the leaf with the hash `leaf` to be at `index` in the tree of `size` leaves and
/// this root. The algorithm of RFC 9162, section 2.1.3.2.
#[must_use]
pub fn includes(root: &Hash, size: u64, index: u64, leaf: &Hash, proof: &[Hash]) -> bool {
    if index >= size {
        return false;
    }
    let mut climb = Climb { at: index, last: size - 1 };
    let mut hash = *leaf;
    for sibling in proof {
        match climb.up() {
            None => return false,
            Some(Side::Left) => hash = node_hash(sibling, &hash),
            Some(Side::Right) => hash = node_hash(&hash, sibling),
        }
    }
    climb.last == 0 && hash == *root
}

/// Whether `proof` shows the tree of `new` (size and root) to extend that of `old`. The algorithm of
/// RFC 9162, section 2.1.4.2; every tree extends the empty one.
#[must_use]
pub fn extends(old: (u64, &Hash), new: (u64, &Hash), proof: &[Hash]) -> bool {
    let ((old, old_root), (new, new_root)) = (old, new);
    if old == 0 {
        return proof.is_empty() && *old_root == Frontier::default().root();
    }
    if old >= new {
        return old == new && old_root == new_root && proof.is_empty();
    }
    // A perfect older tree is a subtree of the newer one, and its root is left out of the proof.
    let (first, rest) = if old.is_power_of_two() {
        (old_root, proof)
    } else {
        let Some(parts) = proof.split_first() else { return false };
        parts
    };
    let below = (old - 1).trailing_ones();
    let mut climb = Climb { at: (old - 1) >> below, last: (new - 1) >> below };
    let (mut older, mut newer) = (*first, *first);
    for sibling in rest {
        match climb.up() {
            None => return false,
            Some(Side::Left) => {
                older = node_hash(sibling, &older);
                newer = node_hash(sibling, &newer);
            }
            Some(Side::Right) => newer = node_hash(&newer, sibling),
        }
    }
    climb.last == 0 && older == *old_root && newer == *new_root
}

/// On which side of the node climbed from its sibling is.
enum Side {
    Left,
    Right,
}

/// The way from a node up to the root: its number on its level, and that of the level's last node.
struct Climb {
    at: u64,
    last: u64,
}

impl Climb {
    /// One sibling further up; nothing at the root.
    const fn up(&mut self) -> Option<Side> {
        if self.last == 0 {
            return None;
        }
        let left = self.at % 2 == 1 || self.at == self.last;
        // The last node of a level may be alone there, and is then the same node on the next.
        while left && self.at.is_multiple_of(2) && self.at != 0 {
            self.at /= 2;
            self.last /= 2;
        }
        self.at /= 2;
        self.last /= 2;
        Some(if left { Side::Left } else { Side::Right })
    }
}

#[cfg(test)]
mod tests {
    use super::super::merkle::leaf_hash;
    use super::*;
    use proptest::prelude::*;

    fn leaves(count: u64) -> Vec<Hash> {
        (0..count).map(|n| leaf_hash(&n.to_be_bytes())).collect()
    }

    /// MTH, PATH, PROOF and SUBPROOF of RFC 6962, word for word.
    fn mth(d: &[Hash]) -> Hash {
        match d {
            [one] => *one,
            _ => {
                let k = d.len().next_power_of_two() / 2;
                node_hash(&mth(&d[..k]), &mth(&d[k..]))
            }
        }
    }

    fn path(m: usize, d: &[Hash]) -> Vec<Hash> {
        if d.len() == 1 {
            return vec![];
        }
        let k = d.len().next_power_of_two() / 2;
        if m < k {
            [path(m, &d[..k]), vec![mth(&d[k..])]].concat()
        } else {
            [path(m - k, &d[k..]), vec![mth(&d[..k])]].concat()
        }
    }

    fn subproof(m: usize, d: &[Hash], b: bool) -> Vec<Hash> {
        if m == d.len() {
            return if b { vec![] } else { vec![mth(d)] };
        }
        let k = d.len().next_power_of_two() / 2;
        if m <= k {
            [subproof(m, &d[..k], b), vec![mth(&d[k..])]].concat()
        } else {
            [subproof(m - k, &d[k..], false), vec![mth(&d[..k])]].concat()
        }
    }

    fn hashed(subtrees: Option<Vec<Range<u64>>>, d: &[Hash]) -> Vec<Hash> {
        subtrees.unwrap().into_iter().map(|r| mth(&d[r.start as usize..r.end as usize])).collect()
    }

    /// The examples of RFC 6962, section 2.1.3, with the leaves that its letters stand for.
    #[test]
    fn the_proofs_of_the_tree_of_seven() {
        let (b, h, l) = (1..2, 2..4, 4..7);
        let (c, d, g) = (2..3, 3..4, 0..2);
        let (f, i, j, k) = (5..6, 4..6, 6..7, 0..4);
        assert_eq!(inclusion(0, 7).unwrap(), [b, h, l.clone()]);
        assert_eq!(inclusion(3, 7).unwrap(), [c.clone(), g.clone(), l.clone()]);
        assert_eq!(inclusion(4, 7).unwrap(), [f, j.clone(), k.clone()]);
        assert_eq!(inclusion(6, 7).unwrap(), [i.clone(), k.clone()]);
        assert_eq!(consistency(3, 7).unwrap(), [c, d, g, l.clone()]);
        assert_eq!(consistency(4, 7).unwrap(), [l]);
        assert_eq!(consistency(6, 7).unwrap(), [i, j, k]);
    }

    #[test]
    fn what_cannot_be_proved_has_no_proof() {
        assert_eq!(inclusion(0, 0), None);
        assert_eq!(inclusion(7, 7), None);
        assert_eq!(consistency(8, 7), None);
        assert_eq!(consistency(0, 7), Some(vec![]));
        assert_eq!(consistency(7, 7), Some(vec![]));
        let (two, three) = (mth(&leaves(2)), mth(&leaves(3)));
        assert!(!extends((3, &three), (2, &two), &[]));
        assert!(!extends((3, &two), (3, &three), &[]));
        assert!(!extends((0, &two), (2, &two), &[]));
        assert!(extends((0, &Frontier::default().root()), (3, &three), &[]));
        assert!(extends((3, &three), (3, &three), &[]));
        assert!(!extends((2, &two), (3, &three), &[]));
    }

    /// Every tree of up to forty leaves, whole: the proof is the RFC's, it holds, and it holds for nothing
    /// else than what it was made for.
    #[test]
    fn every_proof_of_small_trees_is_the_rfcs_and_holds_for_one_claim_only() {
        let d = leaves(40);
        let roots: Vec<Hash> = (1..=40).map(|n| mth(&d[..n])).collect();
        for size in 1..=40_u64 {
            let n = size as usize;
            let root = &roots[n - 1];
            for index in 0..size {
                let m = index as usize;
                let proof = hashed(inclusion(index, size), &d);
                assert_eq!(proof, path(m, &d[..n]));
                for other in 0..size {
                    let leaf = &d[other as usize];
                    assert_eq!(includes(root, size, index, leaf, &proof), index == other);
                    assert_eq!(includes(root, size, other, &d[m], &proof), index == other);
                }
                let old = index + 1;
                let (proof, older) = (hashed(consistency(old, size), &d), &roots[m]);
                assert_eq!(proof, subproof(m + 1, &d[..n], true));
                assert!(extends((old, older), (size, root), &proof));
                for (other, another) in (1..).zip(&roots) {
                    assert_eq!(extends((other, another), (size, root), &proof), {
                        // Without hashes there is nothing to hold but equality.
                        other == old
                    });
                }
                let wrong = leaf_hash(b"another");
                assert!(!extends((old, &wrong), (size, root), &proof));
                assert!(!extends((old, older), (size, &wrong), &proof));
            }
        }
    }

    proptest! {
        #[test]
        fn a_changed_proof_does_not_hold(size in 2u64..300, at in any::<prop::sample::Index>(),
                                         which in any::<prop::sample::Index>(), kind in 0..4) {
            let d = leaves(size);
            let index = at.index(size as usize) as u64;
            let root = mth(&d);
            let (mut inside, old) = (hashed(inclusion(index, size), &d), index.max(1));
            let (mut extended, older) = (hashed(consistency(old, size), &d), mth(&d[..old as usize]));
            for proof in [&mut inside, &mut extended] {
                let place = which.index(proof.len());
                match kind {
                    0 => proof[place][7] ^= 1,
                    1 => { proof.remove(place); }
                    2 => proof.insert(place, leaf_hash(b"another")),
                    _ => proof.push(leaf_hash(b"another")),
                }
            }
            prop_assert!(!includes(&root, size, index, &d[index as usize], &inside));
            prop_assert!(!extends((old, &older), (size, &root), &extended));
        }

        /// What is within the older tree are peaks of its frontier: with the frontier at hand a proof
        /// needs none of the older leaves.
        #[test]
        fn the_older_part_of_a_proof_is_peaks(new in 1u64..3000, at in any::<prop::sample::Index>()) {
            let old = at.index(new as usize) as u64 + 1;
            let d = leaves(old);
            let frontier = Frontier::of(d.iter().copied());
            for part in consistency(old, new).unwrap().into_iter().filter(|part| part.start < old) {
                let leaves = d[part.start as usize..part.end as usize].iter().copied();
                prop_assert_eq!(frontier.peak(&part), Some(Frontier::of(leaves).root()));
            }
        }
    }
}
