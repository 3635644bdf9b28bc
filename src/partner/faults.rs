//! Lines of a delivery that are not as they should be: where and what, never what they hold.

use std::collections::BTreeMap;

use serde::Serialize;

/// What is wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// Not valid UTF-8.
    Encoding,
    /// Not as many fields as the header has, or without an end.
    FieldCount,
    /// Longer than any line can be.
    TooLong,
    /// A serial number that is none.
    Serial,
    /// A code that is none: empty, too long or with other signs than letters, digits and `.`.
    Code,
    /// Not a date, or a discharge before the admission.
    Date,
    /// The discharge is outside the period that the delivery covers.
    Period,
    /// The serial number has occurred before; the first line counts.
    Duplicate,
    /// In the identity file: the serial number has another number elsewhere; neither counts.
    Conflict,
}

impl FaultKind {
    /// What is wrong, for people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Encoding => "not UTF-8",
            Self::FieldCount => "not as many fields as the header",
            Self::TooLong => "too long",
            Self::Serial => "not a serial number",
            Self::Code => "not a code",
            Self::Date => "not a date, or a discharge before the admission",
            Self::Period => "a discharge outside the delivery's period",
            Self::Duplicate => "the serial number has occurred before",
            Self::Conflict => "the serial number has another number elsewhere",
        }
    }
}

/// A faulty line. The header is line 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The file.
    pub file: &'static str,
    /// The line.
    pub line: u64,
    /// What is wrong.
    pub kind: FaultKind,
}

/// All faults of a delivery: every one counted, the first hundred by line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Faults {
    first: Vec<Fault>,
    counts: BTreeMap<&'static str, BTreeMap<FaultKind, u64>>,
}

impl Faults {
    const LISTED: usize = 100;

    pub(super) fn add(&mut self, file: &'static str, line: u64, kind: FaultKind) {
        if self.first.len() < Self::LISTED {
            self.first.push(Fault { file, line, kind });
        }
        *self.counts.entry(file).or_default().entry(kind).or_default() += 1;
    }

    /// The first hundred.
    #[must_use]
    pub fn first(&self) -> &[Fault] {
        &self.first
    }

    /// How many there are of each kind in each file.
    #[must_use]
    pub const fn counts(&self) -> &BTreeMap<&'static str, BTreeMap<FaultKind, u64>> {
        &self.counts
    }

    /// How many there are in a file.
    #[must_use]
    pub fn of(&self, file: &str) -> u64 {
        self.counts.get(file).map_or(0, |kinds| kinds.values().sum())
    }
}
