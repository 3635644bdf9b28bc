//! The last look at a release, by code that shares nothing with the engine but the table: a pattern that gives a
//! count away that must not be known, exactly or within too narrow a range, does not leave, whatever the engine has
//! done. It works out by itself which counts are small, and believes a proof only as far as it can check it.
#![allow(clippy::indexing_slicing, reason = "the lengths of all slices are checked first")]

mod exactness;
#[cfg(test)]
mod tests;
mod widths;

use rand::Rng;

/// Persons whom every cell counts all or none of: those of an inner cell, or those who are in the same inner cells.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// How many they are.
    pub(super) persons: u64,
    /// The cells that count them.
    pub(super) cells: Vec<usize>,
}

/// A table that is to be released. Every slice but the parts has an entry for each cell.
#[derive(Clone, Copy)]
pub(super) struct Release<'a> {
    pub(super) parts: &'a [Part],
    /// How many persons are in each cell.
    pub(super) counts: &'a [u64],
    /// Which cells are not shown.
    pub(super) withheld: &'a [bool],
    /// Cells that must not be known for whatever reason.
    pub(super) sensitive: &'a [bool],
    /// Cells that are known whatever is shown: combinations nobody can be in.
    pub(super) impossible: &'a [bool],
    /// The contributor who is alone in a cell, and so knows it.
    pub(super) alone: &'a [Option<u32>],
    /// The least count that may be known, k.
    pub(super) min_persons: u64,
    /// The least width of the range of a small count; 0 if ranges are not protected.
    pub(super) min_range: u64,
    /// For each cell whether it is shown if it counts nobody. Then, withheld, it counts at least one person.
    pub(super) zeros_shown: &'a [bool],
}

/// Why nobody can compute what must not be known. It tells of true counts and is as secret as they are.
#[derive(Clone, PartialEq, Eq, Default)]
pub(super) struct Proof {
    /// Changes of the parts, modulo [`PRIME`], that leave every shown cell as it is.
    pub(super) changes: Vec<Vec<u64>>,
    /// Other tables that agree with every shown cell: which parts differ from the true ones, and by how much.
    pub(super) alternatives: Vec<Vec<(usize, i64)>>,
}

/// The field of the changes, 2^61 - 1.
pub(super) const PRIME: u64 = (1 << 61) - 1;

/// Why a release is stopped. The texts carry no data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Stopped {
    /// The parts of the release do not fit each other.
    #[error("the release does not have one entry a cell")]
    NotATable,
    /// A cell is not the sum of its parts.
    #[error("the counts do not add up")]
    NotAdditive,
    /// A cell that must not be known is shown.
    #[error("a cell that must be withheld is shown")]
    Shown,
    /// A cell is withheld that is known: an empty one where these are shown, or an impossible one.
    #[error("a cell is withheld that everybody knows")]
    Known,
    /// A change of the proof changes what is shown.
    #[error("the proof that no cell can be computed is false")]
    FalseChange,
    /// Nothing proves that a cell that must not be known cannot be computed.
    #[error("a cell that must be withheld can be computed")]
    Computable,
    /// Nothing proves that a contributor cannot compute a cell by means of the own ones.
    #[error("somebody who is alone in a cell can compute another one that must be withheld")]
    ComputableInside,
    /// An alternative table is not one that agrees with all that is shown.
    #[error("the proof names a table that the release rules out")]
    FalseTable,
    /// No two tables prove the range of a small count.
    #[error("a small count has no proof of its range")]
    TooNarrow,
}

/// What nobody can narrow down further: the least and the most that a withheld cell counts in tables that agree
/// with all that is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The least.
    pub low: u64,
    /// The most.
    pub high: u64,
}

impl Release<'_> {
    fn is_small(&self, cell: usize) -> bool {
        let count = self.counts[cell];
        count < self.min_persons && (count > 0 || !self.zeros_shown[cell] && !self.impossible[cell])
    }

    /// The least that a withheld cell can count, as far as the rule tells.
    fn least(&self, cell: usize) -> u64 {
        u64::from(self.zeros_shown[cell])
    }

    /// The cells that must not be computable.
    fn secret(&self) -> Vec<usize> {
        (0..self.counts.len()).filter(|&c| self.sensitive[c] || self.is_small(c)).collect()
    }

    fn fits(&self) -> bool {
        let cells = self.counts.len();
        let flags = [self.withheld, self.sensitive, self.impossible, self.zeros_shown].map(<[bool]>::len);
        flags.iter().chain([&self.alone.len()]).all(|&n| n == cells)
            && self.parts.iter().flat_map(|part| &part.cells).all(|&c| c < cells)
    }

    fn adds_up(&self) -> bool {
        let mut sums = vec![0_u64; self.counts.len()];
        for part in self.parts {
            for &cell in &part.cells {
                sums[cell] = sums[cell].saturating_add(part.persons);
            }
        }
        sums == self.counts
    }
}

/// Lets a release pass, with the proved range of each withheld cell, or tells why not. The draws are for the
/// examination of what contributors can compute.
///
/// # Errors
/// [`Stopped`]; nothing may be released then.
pub(super) fn inspect(
    release: &Release<'_>,
    proof: &Proof,
    rng: &mut impl Rng,
) -> Result<Vec<Option<Range>>, Stopped> {
    if !release.fits() {
        return Err(Stopped::NotATable);
    }
    if !release.adds_up() {
        return Err(Stopped::NotAdditive);
    }
    for cell in 0..release.counts.len() {
        let empty = release.counts[cell] == 0 && release.zeros_shown[cell];
        if release.withheld[cell] && (release.impossible[cell] || empty) {
            return Err(Stopped::Known);
        }
    }
    let secret = release.secret();
    if secret.iter().any(|&cell| !release.withheld[cell]) {
        return Err(Stopped::Shown);
    }
    exactness::check(release, &proof.changes, &secret, rng)?;
    widths::check(release, &proof.alternatives)
}
