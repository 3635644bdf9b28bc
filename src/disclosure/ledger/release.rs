//! A release as the ledger remembers it.

use super::echelon::{Echelon, Row, Scratch, reduced};
use super::membership::Membership;

/// A pattern as the ledger keeps it: a byte for each cell, 1 where it is withheld.
#[must_use]
pub fn pattern_bytes(withheld: &[bool]) -> Vec<u8> {
    withheld.iter().map(|&withheld| u8::from(withheld)).collect()
}

/// Who is in which cell of a release, and what is published of it.
#[derive(Debug)]
pub struct Release {
    pub(super) membership: Membership,
    withheld: Vec<bool>,
    /// The published cells as vectors over the release's parts, reduced.
    pub(super) published: Vec<Row>,
}

/// The pattern of a release does not have an entry for each of its cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a pattern has one entry for each cell")]
pub struct WrongPattern;

impl Release {
    /// A release in which the cells that `withheld` marks are withheld and all others published.
    ///
    /// # Errors
    /// [`WrongPattern`].
    pub fn new(membership: Membership, withheld: Vec<bool>) -> Result<Self, WrongPattern> {
        if withheld.len() != membership.cells() {
            return Err(WrongPattern);
        }
        let mut cells: Vec<Vec<u32>> = membership
            .parts_of_cells()
            .into_iter()
            .zip(&withheld)
            .filter(|(_, withheld)| !**withheld)
            .map(|(parts, _)| parts)
            .collect();
        // Small cells first: what they leave of their margins is little.
        cells.sort_by_key(Vec::len);
        let mut echelon = Echelon::new(u32::try_from(membership.parts.len()).unwrap_or(u32::MAX));
        let scratch = &mut Scratch::default();
        for parts in cells {
            echelon.insert(&parts.into_iter().map(|part| (part, 1)).collect(), scratch);
        }
        let published = reduced(echelon.rows(0, None), scratch);
        Ok(Self { membership, withheld, published })
    }

    /// A release from what the ledger keeps of it: its pattern, as [`pattern_bytes`] wrote it, and its
    /// membership, kept or evaluated again on the same data.
    ///
    /// # Errors
    /// [`WrongPattern`], also for bytes that are no pattern.
    pub fn restore(membership: Membership, pattern: &[u8]) -> Result<Self, WrongPattern> {
        let withheld = pattern.iter().map(|byte| match byte {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(WrongPattern),
        });
        Self::new(membership, withheld.collect::<Result<_, _>>()?)
    }

    /// Who is in its cells.
    #[must_use]
    pub const fn membership(&self) -> &Membership {
        &self.membership
    }

    /// For each cell whether it is withheld.
    #[must_use]
    pub fn withheld(&self) -> &[bool] {
        &self.withheld
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disclosure::ledger::MembershipBuilder;

    #[test]
    fn a_release_reads_back_from_its_pattern_with_cells_for_each_mark() {
        let membership = || MembershipBuilder::new(3).build().unwrap();
        let withheld = [false, true, false];
        let pattern = pattern_bytes(&withheld);
        assert_eq!(Release::restore(membership(), &pattern).unwrap().withheld(), withheld);
        assert_eq!(Release::restore(membership(), &pattern[1..]).unwrap_err(), WrongPattern);
        assert_eq!(Release::restore(membership(), &[0, 2, 0]).unwrap_err(), WrongPattern);
    }
}
