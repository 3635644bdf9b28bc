//! The registered person, as portal, gateway and identity service speak of one: by ticket, never by identity number.

use std::fmt;

use chrono::{DateTime, NaiveDate, Utc};

use super::canonical::Digest;
use super::clock::{Entropy, EntropyError};
use super::ids::{DatasetId, OrganisationId, ProjectId, RegisterId};
use super::overview::{DisclosureFacts, TablesReleased};

/// What the identity service gives a portal for a person it has authenticated: 32 random bytes, good for one call, for
/// that portal, for a short time. It tells nothing of the person. Not `Clone`, redacted in `Debug`:
///
/// ```compile_fail,E0599
/// let ticket = kpr::domain::person::Ticket::from_bytes([0; 32]);
/// let copy = ticket.clone();
/// ```
/// ```compile_fail,E0277
/// println!("{}", kpr::domain::person::Ticket::from_bytes([0; 32]));
/// ```
/// ```
/// let ticket = kpr::domain::person::Ticket::from_bytes([7; 32]);
/// assert_eq!(format!("{ticket:?}"), "Ticket(redacted)");
/// ```
pub struct Ticket([u8; Self::LENGTH]);

impl Ticket {
    /// How many bytes it has.
    pub const LENGTH: usize = 32;

    /// A fresh ticket.
    ///
    /// # Errors
    /// [`EntropyError`].
    pub fn random(entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        let mut bytes = [0; Self::LENGTH];
        entropy.fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// The ticket with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::LENGTH]) -> Self {
        Self(bytes)
    }

    /// Its bytes, for the message that carries it.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticket(redacted)")
    }
}

/// A citizen portal, as its certificate names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Portal {
    /// Its organisation.
    pub organisation: OrganisationId,
    /// Its name.
    pub name: String,
}

/// Records in which the person is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordsReleased {
    /// The day they were released.
    pub day: NaiveDate,
    /// Who, why and about whom.
    pub facts: DisclosureFacts,
}

/// What was released about a person: records in which the person is, and what tables were made at all. Tables are
/// anonymous, and nothing is kept of who is in them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PersonLog {
    /// Records in which the person is, the oldest first.
    pub records: Vec<RecordsReleased>,
    /// Tables, the same for everybody.
    pub tables: Vec<TablesReleased>,
}

/// One use of a person's identity number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookUp {
    /// When.
    pub at: DateTime<Utc>,
    /// For whom.
    pub organisation: OrganisationId,
}

/// Runs in which linkage codes were derived from all identity numbers, so from the person's too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Derivations {
    /// For which project.
    pub project: ProjectId,
    /// For the rows of which register.
    pub register: RegisterId,
    /// How many runs.
    pub runs: u64,
    /// The day of the first.
    pub first: NaiveDate,
    /// The day of the last.
    pub last: NaiveDate,
}

/// How a person's identity number was used, as the identity service has recorded it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IdentityUses {
    /// Single look-ups, the oldest first.
    pub look_ups: Vec<LookUp>,
    /// Bulk derivations.
    pub derivations: Vec<Derivations>,
}

/// What a person can restrict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Restriction {
    /// Reservation against release together with the identity number (KPR regulation 4-5). Tables and microdata are not
    /// touched by it (4-2).
    ReleaseWithIdentity,
    /// Blocking (helseregisterloven section 25): the person is in no result from then on.
    AllUse,
}

impl Restriction {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::ReleaseWithIdentity, Self::AllUse];

    /// The name it has in the database and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReleaseWithIdentity => "release_with_identity",
            Self::AllUse => "all_use",
        }
    }
}

/// A text that names no restriction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a restriction is release_with_identity or all_use")]
pub struct UnknownRestriction;

impl std::str::FromStr for Restriction {
    type Err = UnknownRestriction;
    fn from_str(text: &str) -> Result<Self, UnknownRestriction> {
        Self::ALL.into_iter().find(|restriction| restriction.as_str() == text).ok_or(UnknownRestriction)
    }
}

/// One line of the history of a person's restrictions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestrictionChange {
    /// Which.
    pub restriction: Restriction,
    /// Whether it held from then on.
    pub active: bool,
    /// When.
    pub at: DateTime<Utc>,
    /// Through which portal.
    pub portal: OrganisationId,
}

/// The rows of a person in one dataset, from one delivery, as text. `Debug` shows no value.
#[derive(Clone, PartialEq, Eq)]
pub struct OwnRows {
    /// The dataset.
    pub dataset: DatasetId,
    /// The delivery they came with.
    pub delivery: Digest,
    /// Who sent it.
    pub sender: String,
    /// The names of the columns.
    pub columns: Vec<String>,
    /// The rows, a text for each column; empty where there is no value.
    pub rows: Vec<Vec<String>>,
}

impl fmt::Debug for OwnRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OwnRows({}, {} rows, redacted)", self.dataset, self.rows.len())
    }
}

/// A correction that a person asks the sender of a delivery for. `Debug` does not show the text.
#[derive(Clone, PartialEq, Eq)]
pub struct Correction {
    /// Its number.
    pub entry: u64,
    /// The delivery.
    pub delivery: Digest,
    /// Who sent it.
    pub sender: String,
    /// The dataset.
    pub dataset: DatasetId,
    /// What is wrong, and what is right, in the person's words.
    pub text: String,
    /// When it was asked for.
    pub asked: DateTime<Utc>,
}

impl fmt::Debug for Correction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Correction({}, {}, redacted)", self.entry, self.dataset)
    }
}

/// A text of a person's that cannot be passed on. It never carries the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the text must have 1-2000 characters, without control characters other than ends of lines, and no identity number: \
     the sender finds the row by its own number"
)]
pub struct BadText;

/// The most characters of a correction.
const MOST_TEXT: usize = 2000;

/// Checks the text of a correction: size, no control characters, and no eleven digits in a row, with or without what
/// people put between them.
///
/// # Errors
/// [`BadText`].
pub fn check_text(text: &str) -> Result<(), BadText> {
    let fits = (1..=MOST_TEXT).contains(&text.chars().count());
    let plain = !text.chars().any(|c| c.is_control() && c != '\n');
    let joined: String = text.chars().filter(|c| !" .-/\u{a0}\n".contains(*c)).collect();
    let number = joined.split(|c: char| !c.is_numeric()).any(|run| run.chars().count() >= 11);
    if fits && plain && !number { Ok(()) } else { Err(BadText) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_with_an_identity_number_is_not_taken() {
        for text in
            ["02813299997", "my number 028132 99997", "02.81.32-99997", "0281329\n9997", "", "a\u{7}b"]
        {
            assert_eq!(check_text(text), Err(BadText), "{text:?}");
        }
        assert!(!BadText.to_string().contains("0281"));
        assert_eq!(check_text(&"å".repeat(2001)), Err(BadText));
        check_text(&"å".repeat(2000)).unwrap();
        check_text("The contact of 2024-03-01 was not mine.\nI was abroad.").unwrap();
    }

    #[test]
    fn restrictions_read_back_and_nothing_else_does() {
        for restriction in Restriction::ALL {
            assert_eq!(restriction.as_str().parse(), Ok(restriction));
        }
        assert_eq!("registration".parse::<Restriction>(), Err(UnknownRestriction));
    }
}
