//! A release as the ledger remembers it.

use super::echelon::{Echelon, Row, Scratch};
use super::membership::Membership;

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
        let published = echelon.reduced(0, 0, scratch);
        Ok(Self { membership, withheld, published })
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
