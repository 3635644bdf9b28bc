//! A release as the ledger remembers it.

use std::collections::BTreeMap;

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
    /// The persons of each withheld cell that has few.
    few: Vec<Box<[u32]>>,
}

/// As many persons and more are many: whoever knows that a cell of so many is not empty learns nothing by it.
const MANY: u32 = 16;

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
        let few = few(&membership, &withheld);
        Ok(Self { membership, withheld, published, few })
    }

    /// How many bytes it takes in memory, about.
    pub(super) fn bytes(&self) -> usize {
        let rows: usize = self.published.iter().map(|row| 24 + 16 * row.len()).sum();
        let few: usize = self.few.iter().map(|few| 16 + 4 * few.len()).sum();
        self.membership.bytes() + rows + few + self.withheld.len()
    }

    /// The persons of each of its withheld cells that has few: somebody is in it, as everybody knows.
    pub(super) fn few(&self) -> impl Iterator<Item = &[u32]> {
        self.few.iter().map(AsRef::as_ref)
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

fn few(membership: &Membership, withheld: &[bool]) -> Vec<Box<[u32]>> {
    let counts = membership.counts();
    let is_small = |cell: u32| {
        withheld.get(cell as usize) == Some(&true)
            && counts.get(cell as usize).is_some_and(|count| (1..u64::from(MANY)).contains(count))
    };
    let small: Vec<Vec<u32>> = membership
        .parts
        .iter()
        .map(|cells| cells.iter().copied().filter(|&cell| is_small(cell)).collect())
        .collect();
    let mut few: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    if small.iter().any(|cells| !cells.is_empty()) {
        for (person, part) in membership.placed() {
            for &cell in small.get(part as usize).into_iter().flatten() {
                few.entry(cell).or_default().push(person);
            }
        }
    }
    few.into_values().map(Vec::into_boxed_slice).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disclosure::ledger::MembershipBuilder;

    #[test]
    fn it_knows_who_is_in_its_small_withheld_cells() {
        let mut builder = MembershipBuilder::new(4);
        for person in 0..20 {
            builder
                .add(crate::domain::ids::PersonNo(person), &[0, 1 + person % 2 + u32::from(person == 7)])
                .unwrap();
        }
        let release = Release::new(builder.build().unwrap(), vec![true, true, false, true]).unwrap();
        let evens: Vec<u32> = (0..20).step_by(2).collect();
        assert_eq!(release.few().collect::<Vec<_>>(), [evens.as_slice(), &[7]]);
    }

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
