//! The data-quality report of a delivery: what was read, what was accepted, what was wrong and where.
//! It holds counts, file names and line numbers, and no content.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::delivery::Description;
use super::fault::{FaultKind, Faults};
use crate::domain::canonical::Digest;

/// The quality of one delivery.
#[derive(Debug, Clone, Serialize)]
pub struct QualityReport {
    /// The delivery's digest.
    pub delivery: Digest,
    /// Register, sender, period and layout.
    pub description: Description,
    /// When it was examined.
    pub examined: DateTime<Utc>,
    /// The share of bad lines in one file beyond which the delivery is refused, from 0 to 1.
    pub max_bad_share: f64,
    /// The files in which that share is exceeded. Not empty: the delivery is refused.
    pub refused_for: Vec<&'static str>,
    /// Distinct persons that the identity file resolved to.
    pub persons: u64,
    /// Serial numbers that it resolved.
    pub serial_numbers: u64,
    /// Each file, the identity file first.
    pub files: Vec<FileQuality>,
}

impl QualityReport {
    /// Notes which files exceed the share of bad lines.
    pub(super) fn judge(&mut self) {
        self.refused_for =
            self.files.iter().filter(|f| f.exceeds(self.max_bad_share)).map(|f| f.file).collect();
    }
}

/// The quality of one file.
#[derive(Debug, Clone, Serialize)]
pub struct FileQuality {
    /// Its name.
    pub file: &'static str,
    /// Lines read, without the header.
    pub lines: u64,
    /// Lines accepted.
    pub accepted: u64,
    /// Accepted lines with a person.
    pub with_person: u64,
    /// Accepted lines that name no person.
    pub without_person: u64,
    /// Accepted lines whose serial number the identity file does not resolve. They are kept without a
    /// person and held against the same share as bad lines, apart from them.
    pub unknown_person: u64,
    /// What was left out because persons object to its registration.
    pub objected: Objected,
    /// Lines in order that were left out because what is known of their persons was erased.
    pub erased: u64,
    /// Persons of whom the accepted lines say contradictory things.
    pub contradictions: Contradictions,
    /// The faults by kind, and the first of them by line.
    pub faults: Faults,
    /// For care services: each municipality that sent lines, by its number.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub municipalities: BTreeMap<String, Share>,
}

impl FileQuality {
    pub(super) fn new(file: &'static str) -> Self {
        Self {
            file,
            lines: 0,
            accepted: 0,
            with_person: 0,
            without_person: 0,
            unknown_person: 0,
            objected: Objected::default(),
            erased: 0,
            contradictions: Contradictions::default(),
            faults: Faults::default(),
            municipalities: BTreeMap::new(),
        }
    }

    /// Lines that were not accepted for a fault.
    #[must_use]
    pub const fn bad(&self) -> u64 {
        self.lines.saturating_sub(self.accepted + self.objected.left_out + self.erased)
    }

    /// Whether bad lines, or lines of unknown persons, are more than `share` of the lines. Lines that
    /// only follow a rejected contact do not count a second time.
    #[must_use]
    pub fn exceeds(&self, share: f64) -> bool {
        let own = self.bad().saturating_sub(self.faults.count(FaultKind::RejectedContact));
        #[allow(clippy::cast_precision_loss, reason = "line counts are far below 2^52")]
        let most = share * self.lines as f64;
        #[allow(clippy::cast_precision_loss, reason = "line counts are far below 2^52")]
        let worst = own.max(self.unknown_person) as f64;
        worst > most
    }
}

/// What was left out of a file because persons object to the registration of their health data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Objected {
    /// Lines in order that were left out.
    pub left_out: u64,
    /// Lines accepted without their health content.
    pub reduced: u64,
}

/// How many persons have more than one value of what a person has one of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Contradictions {
    /// Persons with several sexes.
    pub sex: u64,
    /// Persons with several years of birth.
    pub birth_year: u64,
    /// Persons with several municipalities in the delivery; in residences, with two at the same time.
    pub municipality: u64,
}

/// Lines, and how many of them are bad.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Share {
    /// Lines read.
    pub lines: u64,
    /// Lines not accepted.
    pub bad: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(lines: u64, accepted: u64, unknown: u64, follow: u64) -> FileQuality {
        let mut file = FileQuality { lines, accepted, unknown_person: unknown, ..FileQuality::new("x.csv") };
        for line in 0..follow {
            file.faults.note(line + 2, FaultKind::RejectedContact);
        }
        file
    }

    #[test]
    fn the_limit_itself_is_not_beyond_it() {
        assert!(!file(100, 98, 0, 0).exceeds(0.02));
        assert!(file(100, 97, 0, 0).exceeds(0.02));
        assert!(!file(100, 97, 0, 1).exceeds(0.02));
        assert!(!file(100, 98, 2, 0).exceeds(0.02));
        assert!(file(100, 98, 3, 0).exceeds(0.02));
        assert!(!file(0, 0, 0, 0).exceeds(0.0));
        assert!(file(1, 0, 0, 0).exceeds(0.0));
    }
}
