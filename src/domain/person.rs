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

/// What a person asks to have corrected, as the own rows have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorrectionOf {
    /// The delivery.
    pub delivery: Digest,
    /// The dataset.
    pub dataset: DatasetId,
    /// The sender's own key of the record, where it is about one.
    pub record: Option<String>,
    /// The column, where it is about one.
    pub field: Option<String>,
}

impl CorrectionOf {
    /// The columns that have the sender's own key of a record.
    const KEYS: [&str; 2] = ["contact_no", "answer_no"];

    /// Whether these rows of the person have what it is about.
    #[must_use]
    pub fn is_in(&self, own: &OwnRows) -> bool {
        let place = |name: &str| own.columns.iter().position(|column| column == name);
        let record = |wanted: &String| {
            let keys = || Self::KEYS.into_iter().filter_map(place);
            own.rows.iter().any(|row| keys().any(|key| row.get(key) == Some(wanted)))
        };
        self.delivery == own.delivery
            && self.dataset == own.dataset
            && self.field.as_deref().is_none_or(|field| place(field).is_some())
            && self.record.as_ref().is_none_or(record)
    }
}

/// A correction that a person asks the sender of a delivery for. `Debug` does not show the text.
#[derive(Clone, PartialEq, Eq)]
pub struct Correction {
    /// Its number.
    pub entry: u64,
    /// What it is about.
    pub of: CorrectionOf,
    /// Who sent the delivery.
    pub sender: String,
    /// What is wrong, and what is right, in the person's words.
    pub text: String,
    /// When it was asked for.
    pub asked: DateTime<Utc>,
}

impl fmt::Debug for Correction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Correction({}, {}, redacted)", self.entry, self.of.dataset)
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
    fn a_correction_is_of_a_record_and_a_column_that_the_person_has() {
        let rows = |columns: &[&str], row: &[&str]| OwnRows {
            dataset: DatasetId::new("kuhr_contact").unwrap(),
            delivery: Digest::from_bytes([1; 32]),
            sender: "Helfo".to_owned(),
            columns: columns.iter().map(|&column| column.to_owned()).collect(),
            rows: vec![row.iter().map(|&value| value.to_owned()).collect()],
        };
        let own = rows(&["dato", "contact_no", "kjonn"], &["2024-03-01", "17", "2"]);
        let of = |record: Option<&str>, field: Option<&str>| CorrectionOf {
            delivery: own.delivery,
            dataset: own.dataset.clone(),
            record: record.map(str::to_owned),
            field: field.map(str::to_owned),
        };
        for good in
            [of(None, None), of(Some("17"), None), of(None, Some("dato")), of(Some("17"), Some("kjonn"))]
        {
            assert!(good.is_in(&own), "{good:?}");
        }
        for bad in
            [of(Some("18"), None), of(Some("2"), None), of(None, Some("person_no")), of(Some("17"), Some(""))]
        {
            assert!(!bad.is_in(&own), "{bad:?}");
        }
        assert!(!of(Some("2024-03-01"), None).is_in(&rows(&["fra", "til"], &["2024-03-01", ""])));
        assert!(!CorrectionOf { delivery: Digest::from_bytes([2; 32]), ..of(None, None) }.is_in(&own));
    }

    #[test]
    fn restrictions_read_back_and_nothing_else_does() {
        for restriction in Restriction::ALL {
            assert_eq!(restriction.as_str().parse(), Ok(restriction));
        }
        assert_eq!("registration".parse::<Restriction>(), Err(UnknownRestriction));
    }
}
