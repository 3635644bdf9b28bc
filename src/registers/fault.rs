//! What can be wrong with a line. A fault says where and of what kind, never what the line holds.

use std::collections::{BTreeMap, BinaryHeap};

use serde::{Serialize, Serializer};

use super::intake::{IdentityFault, IdentityFaultKind};

/// What is wrong with a line of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// Not as many fields as the header has.
    FieldCount,
    /// Longer than any line of the layout can be.
    TooLong,
    /// The last line, without its end.
    Unended,
    /// Not valid UTF-8.
    Encoding,
    /// A field that must be filled in is empty.
    Missing,
    /// Not a number, or a number outside its bounds.
    Number,
    /// Not a code of its list.
    Code,
    /// Not a date.
    Date,
    /// Not a time of day.
    Time,
    /// A date outside the days that the delivery can tell of.
    DateOutside,
    /// It ends before it begins.
    Backward,
    /// It repeats another line, or its serial number.
    Duplicate,
    /// It belongs to a contact that is not in the delivery.
    UnknownContact,
    /// It belongs to a contact whose own line was not accepted. Counted apart: the fault is there.
    RejectedContact,
    /// The identity file resolves no person for its serial number.
    UnknownPerson,
    /// In an identity file: not an identity number.
    IdentityNumber,
    /// In an identity file: a serial number with two persons.
    IdentityConflict,
}

impl FaultKind {
    /// The name of the kind in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FieldCount => "field_count",
            Self::TooLong => "too_long",
            Self::Unended => "unended",
            Self::Encoding => "encoding",
            Self::Missing => "missing",
            Self::Number => "number",
            Self::Code => "code",
            Self::Date => "date",
            Self::Time => "time",
            Self::DateOutside => "date_outside",
            Self::Backward => "backward",
            Self::Duplicate => "duplicate",
            Self::UnknownContact => "unknown_contact",
            Self::RejectedContact => "rejected_contact",
            Self::UnknownPerson => "unknown_person",
            Self::IdentityNumber => "identity_number",
            Self::IdentityConflict => "identity_conflict",
        }
    }
}

impl From<IdentityFaultKind> for FaultKind {
    fn from(kind: IdentityFaultKind) -> Self {
        match kind {
            IdentityFaultKind::Malformed => Self::FieldCount,
            IdentityFaultKind::NotANumber => Self::IdentityNumber,
            IdentityFaultKind::Conflict => Self::IdentityConflict,
            IdentityFaultKind::Duplicate => Self::Duplicate,
            IdentityFaultKind::Encoding => Self::Encoding,
        }
    }
}

/// A fault and the line it is in; the header is line 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Fault {
    /// The line number.
    pub line: u64,
    /// The kind.
    pub kind: FaultKind,
}

/// The faults of one file: all counted, the first [`Faults::LISTED`] listed by line for people, the first
/// [`Faults::NOTED`] kept for the sender.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    counts: BTreeMap<FaultKind, u64>,
    noted: BinaryHeap<Fault>,
}

impl Faults {
    /// How many faults of one file are listed.
    pub const LISTED: usize = 1000;
    /// How many are kept at all: those of a national year within the limit, in 16 MiB.
    pub const NOTED: usize = 1 << 20;

    /// Notes a fault. Faults may come in any order.
    pub fn note(&mut self, line: u64, kind: FaultKind) {
        *self.counts.entry(kind).or_default() += 1;
        self.noted.push(Fault { line, kind });
        if self.noted.len() > Self::NOTED {
            self.noted.pop();
        }
    }

    /// How many there are of each kind.
    #[must_use]
    pub const fn counts(&self) -> &BTreeMap<FaultKind, u64> {
        &self.counts
    }

    /// How many there are of `kind`.
    #[must_use]
    pub fn count(&self, kind: FaultKind) -> u64 {
        self.counts.get(&kind).copied().unwrap_or(0)
    }

    /// The first faults, by line.
    #[must_use]
    pub fn listed(&self) -> Vec<Fault> {
        let mut first = self.noted();
        first.truncate(Self::LISTED);
        first
    }

    /// The faults that were kept, by line.
    #[must_use]
    pub fn noted(&self) -> Vec<Fault> {
        self.noted.clone().into_sorted_vec()
    }
}

impl FromIterator<IdentityFault> for Faults {
    fn from_iter<I: IntoIterator<Item = IdentityFault>>(faults: I) -> Self {
        let mut all = Self::default();
        for fault in faults {
            all.note(fault.line, fault.kind.into());
        }
        all
    }
}

impl Serialize for Faults {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Listing<'a> {
            counts: &'a BTreeMap<FaultKind, u64>,
            first: Vec<Fault>,
        }
        Listing { counts: &self.counts, first: self.listed() }.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_counted_and_the_first_are_listed() {
        let mut faults = Faults::default();
        for line in (2..5002).rev() {
            faults.note(line, if line % 2 == 0 { FaultKind::Date } else { FaultKind::Code });
        }
        assert_eq!((faults.count(FaultKind::Date), faults.count(FaultKind::Code)), (2500, 2500));
        assert_eq!(faults.count(FaultKind::Time), 0);
        let listed = faults.listed();
        assert_eq!(listed.len(), Faults::LISTED);
        assert_eq!(listed.first(), Some(&Fault { line: 2, kind: FaultKind::Date }));
        assert_eq!(listed.last().map(|f| f.line), Some(1001));
        assert_eq!(faults.noted().len(), 5000);
    }

    #[test]
    fn a_kind_has_one_name() {
        let kind = FaultKind::RejectedContact;
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        assert_eq!(serde_json::to_value(FaultKind::Unended).unwrap(), FaultKind::Unended.as_str());
    }
}
