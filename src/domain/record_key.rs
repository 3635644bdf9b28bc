//! The keys that cell-key noise is made of.

use std::fmt;

use zeroize::{Zeroize, Zeroizing};

use super::ids::PersonNo;

/// What one person adds to the key of every cell it is counted in. The identity service gives it out;
/// one who holds the keys of a cell's persons can take its noise off, so it is not shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RecordKey(pub u64);

impl fmt::Debug for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecordKey(redacted)")
    }
}

impl Zeroize for RecordKey {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}

/// The record keys of the persons of one run. Erased on drop, and neither shown nor copied.
///
/// ```compile_fail,E0599
/// fn copy(keys: &kpr::domain::record_key::RecordKeyMap) {
///     let _: kpr::domain::record_key::RecordKeyMap = keys.clone();
/// }
/// ```
pub struct RecordKeyMap {
    /// Ascending, each once.
    persons: Vec<PersonNo>,
    keys: Zeroizing<Vec<u64>>,
}

impl RecordKeyMap {
    /// The keys of these persons; none if one of them comes with two keys. The pairs are erased.
    pub fn new(mut pairs: Vec<(PersonNo, RecordKey)>) -> Option<Self> {
        pairs.sort_unstable_by_key(|(person, _)| *person);
        let neighbours = || pairs.iter().zip(pairs.iter().skip(1));
        let distinct = neighbours().all(|(one, next)| one.0 != next.0 || one.1 == next.1);
        // Both of their whole length from the start: one that grows leaves what it held behind.
        let mut persons: Vec<PersonNo> = Vec::with_capacity(pairs.len());
        let mut keys = Zeroizing::new(Vec::with_capacity(pairs.len()));
        for (person, key) in &mut pairs {
            if persons.last() != Some(person) {
                persons.push(*person);
                keys.push(key.0);
            }
            key.zeroize();
        }
        distinct.then_some(Self { persons, keys })
    }

    /// The key of a person; none of one who is not in the run.
    #[must_use]
    pub fn of(&self, person: PersonNo) -> Option<RecordKey> {
        let place = self.persons.binary_search(&person).ok()?;
        self.keys.get(place).copied().map(RecordKey)
    }
}

impl fmt::Debug for RecordKeyMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecordKeyMap(redacted)")
    }
}

/// The key of a cell: the sum of its persons' record keys modulo 2^64. The same persons give the same
/// key, whatever they are asked for by.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct CellKey(u64);

impl CellKey {
    /// The key with this value, as an engine has summed it.
    #[must_use]
    pub const fn new(sum: u64) -> Self {
        Self(sum)
    }

    /// The key of this cell's persons and one more.
    #[must_use]
    pub const fn with(self, record: RecordKey) -> Self {
        Self(self.0.wrapping_add(record.0))
    }

    /// The key of both cells' persons, who are different ones.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0.wrapping_add(other.0))
    }

    /// Its value.
    #[must_use]
    pub const fn value(self) -> u64 {
        self.0
    }
}

impl FromIterator<RecordKey> for CellKey {
    fn from_iter<I: IntoIterator<Item = RecordKey>>(records: I) -> Self {
        records.into_iter().fold(Self::default(), Self::with)
    }
}

impl fmt::Debug for CellKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CellKey(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_has_one_key_in_a_run() {
        let pair = |person, key| (PersonNo(person), RecordKey(key));
        let keys = RecordKeyMap::new(vec![pair(9, 2), pair(3, 1), pair(9, 2)]).unwrap();
        assert_eq!([3, 9, 4].map(|p| keys.of(PersonNo(p))), [Some(RecordKey(1)), Some(RecordKey(2)), None]);
        assert!(RecordKeyMap::new(vec![pair(9, 2), pair(9, 3)]).is_none());
        assert_eq!(format!("{keys:?}"), "RecordKeyMap(redacted)");
    }
}
