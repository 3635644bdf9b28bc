//! The keys that cell-key noise is made of.

use std::fmt;

/// What one person adds to the key of every cell it is counted in. The identity service gives it out;
/// one who holds the keys of a cell's persons can take its noise off, so it is not shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RecordKey(pub u64);

impl fmt::Debug for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecordKey(redacted)")
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
