//! The door to the identity service, as ingest sees it: the identity file goes out in the sender's own
//! bytes, person numbers for its serial numbers come back. Ingest never looks into that file.

use std::fmt;
use std::path::Path;

use futures::future::BoxFuture;

use super::serials::BySerial;
use crate::domain::canonical::Digest;
use crate::domain::ids::PersonNo;

/// How the identity file of a delivery is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdentityLayout {
    /// Folkeregisteret: `lnr;identifikator;type;gyldigFra;gyldigTil`, several lines a person.
    Population,
    /// `KPR_IDE.csv`: `kpr_lnr;fnr`.
    Serial,
}

/// The identity file of one delivery.
#[derive(Debug, Clone, Copy)]
pub struct IdentityFile<'a> {
    /// The digest of the delivery it belongs to.
    pub delivery: Digest,
    /// Its layout.
    pub layout: IdentityLayout,
    /// Where it lies. It is to be sent as it is, unparsed.
    pub path: &'a Path,
}

/// Has the identity files of deliveries resolved.
pub trait IdentityIntake: Send + Sync {
    /// Sends the raw bytes of `file` and collects the answer. Nothing is kept by the identity service
    /// before [`PendingIdentity::commit`].
    fn resolve<'a>(&'a self, file: IdentityFile<'a>) -> BoxFuture<'a, Result<Resolved, IntakeError>>;
}

/// What was resolved but is not yet kept. Dropping it rolls back.
pub trait PendingIdentity: Send {
    /// Has the identity service keep what it learnt from the file.
    fn commit(self: Box<Self>) -> BoxFuture<'static, Result<(), IntakeError>>;
}

/// The answer to an identity file.
pub struct Resolved {
    /// The person of each serial number that could be resolved.
    pub persons: SerialMap,
    /// Lines that could not be used.
    pub faults: Vec<IdentityFault>,
    /// Lines read, without the header.
    pub lines: u64,
    /// Distinct persons behind the serial numbers.
    pub distinct: u64,
    /// To be committed, or dropped.
    pub pending: Box<dyn PendingIdentity>,
}

impl fmt::Debug for Resolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolved")
            .field("persons", &self.persons)
            .field("faults", &self.faults.len())
            .field("lines", &self.lines)
            .finish_non_exhaustive()
    }
}

/// A line of an identity file that could not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdentityFault {
    /// The line number; the header is line 1.
    pub line: u64,
    /// What is wrong with it.
    pub kind: IdentityFaultKind,
}

/// What is wrong with a line of an identity file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdentityFaultKind {
    /// Not as many fields as the header has, or not text.
    Malformed,
    /// Not an identity number: wrong length, date or check digit.
    NotANumber,
    /// The serial number occurs twice with different persons.
    Conflict,
    /// The same line twice.
    Duplicate,
    /// Not valid UTF-8.
    Encoding,
}

/// The serial numbers of one delivery and whom they stand for. Its Debug tells the size only.
#[derive(Default)]
pub struct SerialMap {
    persons: BySerial<PersonNo>,
    end: u32,
}

impl SerialMap {
    /// An empty map with room for `persons` serial numbers.
    #[must_use]
    pub fn with_capacity(persons: usize) -> Self {
        Self { persons: BySerial::with_capacity_and_hasher(persons, Default::default()), end: 0 }
    }

    /// Notes that `serial` stands for `person`; a later note for the same serial number wins.
    pub fn insert(&mut self, serial: u64, person: PersonNo) {
        self.end = self.end.max(person.0.saturating_add(1));
        self.persons.insert(serial, person);
    }

    /// The person of `serial`.
    #[must_use]
    pub fn get(&self, serial: u64) -> Option<PersonNo> {
        self.persons.get(&serial).copied()
    }

    /// One more than the highest person number.
    #[must_use]
    pub const fn end(&self) -> u32 {
        self.end
    }

    /// How many serial numbers are resolved.
    #[must_use]
    pub fn len(&self) -> usize {
        self.persons.len()
    }

    /// Whether no serial number is resolved.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.persons.is_empty()
    }
}

impl fmt::Debug for SerialMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SerialMap({} serial numbers)", self.len())
    }
}

/// Why the identity service did not resolve or keep an identity file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IntakeError {
    /// The file cannot be read.
    #[error("the identity file cannot be read: {0}")]
    Read(std::io::ErrorKind),
    /// The identity service refused; its own fixed words.
    #[error("the identity service refused: {0}")]
    Refused(String),
    /// The identity service does not answer, or broke off.
    #[error("the identity service does not answer: {0}")]
    Unavailable(String),
    /// The answer is not what was asked for.
    #[error("the identity service answered something else: {0}")]
    Answer(&'static str),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_tells_its_size_only() {
        let mut map = SerialMap::with_capacity(2);
        map.insert(7_654_321, PersonNo(41));
        map.insert(12, PersonNo(3));
        assert_eq!(map.get(12), Some(PersonNo(3)));
        assert_eq!(map.get(13), None);
        assert_eq!((map.len(), map.end()), (2, 42));
        assert_eq!(format!("{map:?}"), "SerialMap(2 serial numbers)");
    }
}
