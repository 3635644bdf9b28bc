//! Who is in the cells of one release.
//!
//! A person can fall in several cells: in margins, and in several categories of a dimension (diagnoses,
//! services, years). So a cell is a set of persons and never a sum of other cells by assumption. Persons
//! who are in exactly the same cells of the release form one *part* of it: the release's own atoms. A
//! cell is a union of parts.
#![allow(clippy::indexing_slicing, reason = "parts and cells are indices this module has made or checked")]

use std::collections::HashMap;
use std::hash::Hasher;
use std::sync::Arc;

use roaring::RoaringBitmap;

use crate::domain::canonical::Digest;
use crate::domain::ids::PersonNo;

/// Why persons and cells are no membership, or bytes are not an encoded one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MembershipError {
    /// A person was placed twice.
    #[error("a person was placed twice")]
    PersonTwice,
    /// A number that holds within one run only: such persons never enter a cell.
    #[error("a person is not one that the identity service knows")]
    UnknownPerson,
    /// A cell beyond the number of cells announced, or one named twice or out of order.
    #[error("the cells of a person must be ascending and below the number of cells")]
    Cells,
    /// More parts than can be numbered.
    #[error("a release has at most {} different combinations of cells", u32::MAX)]
    TooManyParts,
    /// The bytes are not an encoded membership.
    #[error("these bytes are not an encoded membership")]
    NotEncoded,
}

/// A set of persons with its digest, by which equal ones are found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Population {
    pub(super) persons: RoaringBitmap,
    pub(super) digest: Digest,
}

impl Population {
    fn new(persons: RoaringBitmap) -> Result<Self, MembershipError> {
        let bytes = serialized(&persons)?;
        Ok(Self { digest: Digest::of_bytes("kpr/ledger-population/v1", &bytes), persons })
    }
}

fn serialized(persons: &RoaringBitmap) -> Result<Vec<u8>, MembershipError> {
    let mut bytes = Vec::with_capacity(persons.serialized_size());
    persons.serialize_into(&mut bytes).map_err(|_| MembershipError::NotEncoded)?;
    Ok(bytes)
}

/// For each person of a population, in order, the number of the part: two bytes where they suffice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Parts {
    Narrow(Vec<u16>),
    Wide(Vec<u32>),
}

impl Parts {
    pub(super) fn new(parts: Vec<u32>) -> Self {
        match parts.iter().map(|&p| u16::try_from(p)).collect() {
            Ok(narrow) => Self::Narrow(narrow),
            Err(_) => Self::Wide(parts),
        }
    }

    pub(super) const fn len(&self) -> usize {
        match self {
            Self::Narrow(parts) => parts.len(),
            Self::Wide(parts) => parts.len(),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        let (narrow, wide): (&[u16], &[u32]) = match self {
            Self::Narrow(parts) => (parts, &[]),
            Self::Wide(parts) => (&[], parts),
        };
        narrow.iter().map(|&p| u32::from(p)).chain(wide.iter().copied())
    }
}

/// Hashes a number that is well mixed already to itself.
#[derive(Debug, Default)]
pub(super) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = self.0.rotate_left(8) ^ number;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Who is in the cells of one release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    pub(super) population: Arc<Population>,
    pub(super) part_of: Parts,
    /// For each part the cells it lies in, ascending.
    pub(super) parts: Vec<Box<[u32]>>,
    cells: usize,
}

/// Takes persons one after the other.
#[derive(Debug)]
pub struct MembershipBuilder {
    cells: usize,
    numbers: HashMap<Box<[u32]>, u32>,
    parts: Vec<Box<[u32]>>,
    placed: Vec<(u32, u32)>,
}

impl MembershipBuilder {
    /// For a release of so many cells, margins included.
    #[must_use]
    pub fn new(cells: usize) -> Self {
        Self { cells, numbers: HashMap::new(), parts: Vec::new(), placed: Vec::new() }
    }

    /// Places a person in these cells, which are ascending. One who is in no cell is left out.
    ///
    /// # Errors
    /// [`MembershipError::Cells`], [`MembershipError::UnknownPerson`], [`MembershipError::TooManyParts`].
    pub fn add(&mut self, person: PersonNo, cells: &[u32]) -> Result<(), MembershipError> {
        if person.is_unknown() {
            return Err(MembershipError::UnknownPerson);
        }
        let Some(&last) = cells.last() else { return Ok(()) };
        let part = match self.numbers.get(cells) {
            Some(&part) => part,
            None => {
                if last as usize >= self.cells || cells.windows(2).any(|pair| pair[0] >= pair[1]) {
                    return Err(MembershipError::Cells);
                }
                let part = u32::try_from(self.parts.len()).map_err(|_| MembershipError::TooManyParts)?;
                self.numbers.insert(cells.into(), part);
                self.parts.push(cells.into());
                part
            }
        };
        self.placed.push((person.0, part));
        Ok(())
    }

    /// The membership.
    ///
    /// # Errors
    /// [`MembershipError::PersonTwice`].
    pub fn build(mut self) -> Result<Membership, MembershipError> {
        self.placed.sort_unstable();
        if self.placed.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err(MembershipError::PersonTwice);
        }
        let persons = RoaringBitmap::from_sorted_iter(self.placed.iter().map(|&(person, _)| person))
            .map_err(|_| MembershipError::PersonTwice)?;
        let part_of = Parts::new(self.placed.into_iter().map(|(_, part)| part).collect());
        Ok(Membership {
            population: Arc::new(Population::new(persons)?),
            part_of,
            parts: self.parts,
            cells: self.cells,
        })
    }
}

impl Membership {
    /// How many cells the release has.
    #[must_use]
    pub const fn cells(&self) -> usize {
        self.cells
    }

    /// How many persons are in at least one cell.
    #[must_use]
    pub fn persons(&self) -> u64 {
        self.population.persons.len()
    }

    /// Everybody who is in at least one cell.
    pub(in crate::disclosure) fn everybody(&self) -> &RoaringBitmap {
        &self.population.persons
    }

    /// Whether it is of exactly the same persons.
    #[must_use]
    pub fn same_persons(&self, other: &Self) -> bool {
        self.population.digest == other.population.digest
    }

    /// The digest of the set of persons.
    pub(in crate::disclosure) fn population(&self) -> Digest {
        self.population.digest
    }

    /// Whether it has the set of persons in common with another membership.
    #[cfg(test)]
    pub(super) fn shares(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.population, &other.population)
    }

    /// How many bytes it takes in memory, about, its share of the set of persons aside.
    pub(super) fn bytes(&self) -> usize {
        let parts: usize = self.parts.iter().map(|cells| 16 + 4 * cells.len()).sum();
        let a_person = if matches!(self.part_of, Parts::Narrow(_)) { 2 } else { 4 };
        parts + a_person * self.part_of.len() + self.population.persons.serialized_size()
    }

    /// Shares the set of persons with another membership of exactly the same persons, to keep it once.
    pub fn share(&mut self, with: &Self) {
        if self.same_persons(with) {
            self.population = Arc::clone(&with.population);
        }
    }

    /// Each person with the part it is in, in the order of persons.
    pub(super) fn placed(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.population.persons.iter().zip(self.part_of.iter())
    }

    /// For each cell its parts, ascending.
    pub(super) fn parts_of_cells(&self) -> Vec<Vec<u32>> {
        let mut of = vec![Vec::new(); self.cells];
        for (part, cells) in (0..).zip(&self.parts) {
            for &cell in cells {
                of[cell as usize].push(part);
            }
        }
        of
    }

    /// How many persons each cell has.
    #[must_use]
    pub fn counts(&self) -> Vec<u64> {
        let mut in_part = vec![0_u64; self.parts.len()];
        for part in self.part_of.iter() {
            in_part[part as usize] += 1;
        }
        let mut counts = vec![0; self.cells];
        for (cells, persons) in self.parts.iter().zip(in_part) {
            for &cell in cells {
                counts[cell as usize] += persons;
            }
        }
        counts
    }

    /// The bytes to be sealed and kept: little-endian; the numbers of cells and parts, for each part the
    /// number of its cells and the cells, the persons (in the portable roaring format), the part of each.
    ///
    /// # Errors
    /// [`MembershipError::NotEncoded`], which a set in memory does not reach.
    pub fn encode(&self) -> Result<Vec<u8>, MembershipError> {
        let mut bytes = Vec::new();
        let number = |bytes: &mut Vec<u8>, n: usize| {
            u32::try_from(n).map(|n| bytes.extend(n.to_le_bytes())).map_err(|_| MembershipError::NotEncoded)
        };
        number(&mut bytes, self.cells)?;
        number(&mut bytes, self.parts.len())?;
        for cells in &self.parts {
            number(&mut bytes, cells.len())?;
            bytes.extend(cells.iter().flat_map(|cell| cell.to_le_bytes()));
        }
        bytes.extend(serialized(&self.population.persons)?);
        match &self.part_of {
            Parts::Narrow(parts) => bytes.extend(parts.iter().flat_map(|p| p.to_le_bytes())),
            Parts::Wide(parts) => bytes.extend(parts.iter().flat_map(|p| p.to_le_bytes())),
        }
        Ok(bytes)
    }

    /// Reads [`Membership::encode`]'s bytes.
    ///
    /// # Errors
    /// [`MembershipError::NotEncoded`] for any other bytes.
    pub fn decode(mut bytes: &[u8]) -> Result<Self, MembershipError> {
        fn number(bytes: &mut &[u8]) -> Result<u32, MembershipError> {
            let (first, rest) = bytes.split_first_chunk::<4>().ok_or(MembershipError::NotEncoded)?;
            *bytes = rest;
            Ok(u32::from_le_bytes(*first))
        }
        let cells = number(&mut bytes)?;
        let mut parts: Vec<Box<[u32]>> = Vec::new();
        for _ in 0..number(&mut bytes)? {
            let many = number(&mut bytes)?;
            let of: Box<[u32]> = (0..many).map(|_| number(&mut bytes)).collect::<Result<_, _>>()?;
            if of.last().is_none_or(|&last| last >= cells) || of.windows(2).any(|pair| pair[0] >= pair[1]) {
                return Err(MembershipError::NotEncoded);
            }
            parts.push(of);
        }
        let persons = RoaringBitmap::deserialize_from(&mut bytes).map_err(|_| MembershipError::NotEncoded)?;
        let most = parts.len().saturating_sub(1);
        let read: Vec<u32> = if u16::try_from(most).is_ok() {
            let (pairs, rest) = bytes.as_chunks::<2>();
            bytes = rest;
            pairs.iter().map(|pair| u16::from_le_bytes(*pair).into()).collect()
        } else {
            let (fours, rest) = bytes.as_chunks::<4>();
            bytes = rest;
            fours.iter().map(|four| u32::from_le_bytes(*four)).collect()
        };
        let known = persons.max().is_none_or(|last| !PersonNo(last).is_unknown());
        let whole = known && bytes.is_empty() && read.len() as u64 == persons.len();
        if !whole || read.iter().any(|&part| part as usize >= parts.len()) {
            return Err(MembershipError::NotEncoded);
        }
        Ok(Self {
            population: Arc::new(Population::new(persons)?),
            part_of: if u16::try_from(most).is_ok() { Parts::new(read) } else { Parts::Wide(read) },
            parts,
            cells: cells as usize,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn built(cells: usize, persons: &[(u32, Vec<u32>)]) -> Membership {
        let mut builder = MembershipBuilder::new(cells);
        for (person, of) in persons {
            builder.add(PersonNo(*person), of).unwrap();
        }
        builder.build().unwrap()
    }

    #[test]
    fn cells_are_counted_by_persons_not_by_sums() {
        // Persons 1 and 2 have both diagnoses; the total (cell 0) counts each once.
        let membership = built(
            3,
            &[(9, vec![0, 1]), (1, vec![0, 1, 2]), (2, vec![0, 1, 2]), (4, vec![]), (3, vec![0, 2])],
        );
        assert_eq!(membership.counts(), [4, 3, 3]);
        assert_eq!(membership.persons(), 4);
        assert_eq!(membership.parts_of_cells()[0], [0, 1, 2]);
    }

    #[test]
    fn a_person_twice_or_a_cell_beyond_is_refused() {
        let mut builder = MembershipBuilder::new(2);
        assert_eq!(builder.add(PersonNo(1), &[2]), Err(MembershipError::Cells));
        assert_eq!(builder.add(PersonNo(1), &[1, 0]), Err(MembershipError::Cells));
        let run_local = PersonNo(PersonNo::FIRST_UNKNOWN);
        assert_eq!(builder.add(run_local, &[0]), Err(MembershipError::UnknownPerson));
        builder.add(PersonNo(1), &[0]).unwrap();
        builder.add(PersonNo(1), &[1]).unwrap();
        assert_eq!(builder.build(), Err(MembershipError::PersonTwice));
    }

    #[test]
    fn many_parts_need_wide_numbers() {
        let persons: Vec<(u32, Vec<u32>)> = (0..70_000).map(|p| (p, vec![p])).collect();
        let membership = built(70_000, &persons);
        assert!(matches!(membership.part_of, Parts::Wide(_)));
        assert_eq!(Membership::decode(&membership.encode().unwrap()).unwrap(), membership);
    }

    proptest! {
        #[test]
        fn an_encoded_membership_reads_back_and_no_other_bytes_do(
            cells in prop::collection::vec(prop::collection::btree_set(0u32..6, 0..4), 0..40),
            cut in any::<prop::sample::Index>(),
        ) {
            let persons: Vec<(u32, Vec<u32>)> =
                (0..).step_by(7).zip(cells).map(|(p, of)| (p, of.into_iter().collect())).collect();
            let membership = built(6, &persons);
            let bytes = membership.encode().unwrap();
            prop_assert_eq!(Membership::decode(&bytes).unwrap(), membership);
            let short = &bytes[..cut.index(bytes.len())];
            prop_assert_eq!(Membership::decode(short), Err(MembershipError::NotEncoded));
        }
    }
}
