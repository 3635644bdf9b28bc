//! Rows with the same quasi-identifiers, counted. A combination is packed into 64 bits, so that a million
//! rows are sorted rather than hashed: that is as fast, and the result does not depend on chance or on the
//! order of the rows.
#![allow(clippy::indexing_slicing, reason = "variables, levels and codes are indices of the frame")]

use super::MicrodataError;
use super::extract::Extract;
use super::hierarchy::{Hierarchy, WHOLE};

/// A combination of codes and how many rows have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Class {
    pub(super) key: u64,
    pub(super) rows: u32,
}

/// The quasi-identifiers and how their codes are packed: one field a variable. A field of all ones, which no code
/// fills, is unknown.
pub(super) struct Frame {
    pub(super) trees: Vec<Hierarchy>,
    pub(super) weights: Vec<u64>,
    fields: Vec<(u32, u64)>,
    low: u32,
}

impl Frame {
    /// The frame of an extract, and each row's key.
    pub(super) fn of(extract: &Extract) -> Result<(Self, Vec<u64>), MicrodataError> {
        let trees: Vec<Hierarchy> = extract.quasi.iter().map(|q| Hierarchy::of(&q.list)).collect();
        let mut fields = Vec::with_capacity(trees.len());
        let mut low = 0;
        for tree in &trees {
            let bits = usize::BITS - tree.codes().leading_zeros();
            fields.push((low, (1_u64 << bits) - 1));
            low += bits;
            if low > 63 {
                return Err(MicrodataError::TooWide);
            }
        }
        let mut keys = vec![0_u64; extract.rows()];
        for (quasi, (shift, _)) in extract.quasi.iter().zip(&fields) {
            for (key, &code) in keys.iter_mut().zip(&quasi.codes) {
                *key |= u64::from(code) << shift;
            }
        }
        let weights = extract.quasi.iter().map(|q| u64::from(q.weight)).collect();
        Ok((Self { trees, weights, fields, low }, keys))
    }

    /// The level of each variable at which nothing is told.
    pub(super) fn top(&self) -> Vec<usize> {
        self.trees.iter().map(Hierarchy::highest).collect()
    }

    /// The code of a variable.
    pub(super) fn code(&self, key: u64, variable: usize) -> u32 {
        let (shift, mask) = self.fields[variable];
        u32::try_from(key >> shift & mask).unwrap_or(u32::MAX)
    }

    /// The key of suppressed rows: every variable unknown.
    pub(super) const fn unknown(&self) -> u64 {
        (1 << self.low) - 1
    }

    /// What a row loses that is suppressed.
    pub(super) fn whole(&self) -> u64 {
        self.weights.iter().sum::<u64>() * WHOLE
    }

    /// What a row of this class loses.
    pub(super) fn loss(&self, key: u64) -> u64 {
        let each = self.trees.iter().zip(&self.weights).enumerate();
        each.map(|(v, (tree, weight))| weight * tree.loss(self.code(key, v))).sum()
    }

    /// The map from keys at some levels to keys at these higher ones.
    pub(super) fn lift<'a>(&'a self, from: &[usize], to: &[usize]) -> impl Fn(u64) -> u64 + 'a {
        let changed = (0..from.len()).filter(|&v| from[v] != to[v]);
        let steps: Vec<(u32, u64, &[u32])> = changed
            .map(|v| {
                let (shift, mask) = self.fields[v];
                (shift, mask, self.trees[v].cut(to[v]))
            })
            .collect();
        move |key| {
            steps.iter().fold(key, |key, &(shift, mask, cut)| {
                let code = usize::try_from(key >> shift & mask).unwrap_or(usize::MAX);
                key & !(mask << shift) | u64::from(cut[code]) << shift
            })
        }
    }
}

/// Sorts classes and brings those with the same key together.
pub(super) fn merged(mut classes: Vec<Class>) -> Vec<Class> {
    classes.sort_unstable_by_key(|class| class.key);
    classes.dedup_by(|next, kept| {
        let same = next.key == kept.key;
        if same {
            kept.rows += next.rows;
        }
        same
    });
    classes.shrink_to_fit();
    classes
}

/// How many rows are in classes of fewer than `least`.
pub(super) fn rows_in_small(classes: &[Class], least: u32) -> u64 {
    classes.iter().filter(|class| class.rows < least).map(|class| u64::from(class.rows)).sum()
}
