//! The levels to which a quasi-identifier can be generalised.
#![allow(clippy::indexing_slicing, reason = "codes and levels are indices this module has made itself")]

use crate::domain::codelist::CodeList;

/// What a code's loss is counted in: all that a variable tells is a million.
pub(super) const WHOLE: u64 = 1_000_000;

/// A code list cut at each depth. Level 0 is the leaves; the highest is the root alone. A leaf that lies
/// less deep than a cut stays as it is, so every level is coarser than the one before.
#[derive(Debug, Clone)]
pub(super) struct Hierarchy {
    /// By level, for each code what it becomes.
    cuts: Vec<Vec<u32>>,
    /// For each code its normalised certainty penalty: leaves below it, less one, of all leaves, less
    /// one (Iyengar 2002, Xu 2006).
    loss: Vec<u64>,
}

impl Hierarchy {
    pub(super) fn of(list: &CodeList) -> Self {
        let mut depth = vec![0_usize; list.len()];
        let mut leaves: Vec<u64> = list.leaves().into_iter().map(u64::from).collect();
        for code in 1..list.len() {
            depth[code] = list.parent(code).map_or(0, |p| depth[p] + 1);
        }
        for code in (1..list.len()).rev() {
            if let Some(parent) = list.parent(code) {
                leaves[parent] += leaves[code];
            }
        }
        let deepest = depth.iter().copied().max().unwrap_or(0);
        let cut = |level: usize| {
            let mut becomes: Vec<u32> = Vec::with_capacity(list.len());
            for (code, &at) in depth.iter().enumerate() {
                let above = list.parent(code).filter(|_| at > deepest - level).map(|p| becomes[p]);
                becomes.push(above.unwrap_or(u32::try_from(code).unwrap_or(u32::MAX)));
            }
            becomes
        };
        let all = leaves.first().copied().unwrap_or(1);
        let loss = leaves.iter().map(|&below| ((below - 1) * WHOLE).checked_div(all - 1).unwrap_or(0));
        Self { cuts: (0..=deepest).map(cut).collect(), loss: loss.collect() }
    }

    /// How many codes there are.
    pub(super) fn codes(&self) -> usize {
        self.loss.len()
    }

    /// The level at which only the root is left.
    pub(super) fn highest(&self) -> usize {
        self.cuts.len() - 1
    }

    /// What each code becomes at a level.
    pub(super) fn cut(&self, level: usize) -> &[u32] {
        &self.cuts[level]
    }

    /// What a code no longer tells, of a million.
    pub(super) fn loss(&self, code: u32) -> u64 {
        self.loss[code as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disclosure::microdata::fixtures::list;

    #[test]
    fn levels_are_nested_and_end_at_the_root() {
        // 0 over 1 and 2; 1 over 3 and 4; 3 over 5 and 6. The leaf 2 lies less deep than the others.
        let list = list("place", &[None, Some(0), Some(0), Some(1), Some(1), Some(3), Some(3)]);
        let tree = Hierarchy::of(&list);
        let at = |level: usize| [2, 4, 5, 6].map(|leaf: usize| tree.cut(level)[leaf]);
        assert_eq!(tree.highest(), 3);
        assert_eq!([at(0), at(1), at(2), at(3)], [[2, 4, 5, 6], [2, 4, 3, 3], [2, 1, 1, 1], [0; 4]]);
        assert_eq!([5, 3, 1, 0].map(|code| tree.loss(code)), [0, 333_333, 666_666, WHOLE]);
    }

    #[test]
    fn a_list_of_one_code_has_nothing_to_lose() {
        let tree = Hierarchy::of(&list("one", &[None]));
        assert_eq!((tree.highest(), tree.loss(0)), (0, 0));
    }
}
