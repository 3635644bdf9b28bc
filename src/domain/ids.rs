//! Names of things: projects, requests, organisations, registers, variables, persons without identity.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::clock::{Entropy, EntropyError};

/// Text that is not a name of the kind asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} must be {rule}")]
pub struct BadName {
    kind: &'static str,
    rule: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $rule:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks `text` and takes it as a name.
            ///
            /// # Errors
            /// [`BadName`], which says the rule and never the text.
            pub fn new(text: impl Into<String>) -> Result<Self, BadName> {
                let text = text.into();
                let check: fn(&str) -> bool = $check;
                if check(&text) { Ok(Self(text)) } else { Err(BadName { kind: $kind, rule: $rule }) }
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadName;
            fn try_from(text: String) -> Result<Self, BadName> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }
    };
}

/// Letters, digits, `-` and `_`, with at least one letter, at most 64: never eleven bare digits, so an
/// identity number can never pass as a name.
fn plain(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        && text.bytes().any(|b| b.is_ascii_alphabetic())
        && !eleven_digits(text)
}

/// Whether `text` holds a run of eleven or more digits, as an identity number does.
pub(crate) fn eleven_digits(text: &str) -> bool {
    text.split(|c: char| !c.is_ascii_digit()).any(|run| run.len() >= 11)
}

name!(
    /// A project under one approval, for example `P-2026-0001`.
    ProjectId, "a project id", "1-64 letters, digits, '-' or '_', with a letter and no run of eleven digits", plain
);
name!(
    /// A register, for example `KPR`, `NPR` or `FREG` (Folkeregisteret).
    RegisterId, "a register id", "1-64 letters, digits, '-' or '_', with a letter and no run of eleven digits", plain
);
name!(
    /// A dataset of a register, for example `kuhr_contact`.
    DatasetId, "a dataset id", "1-64 letters, digits, '-' or '_', with a letter and no run of eleven digits", plain
);
name!(
    /// A variable of a dataset, in ASCII lower case, for example `tjenestetype`.
    VariableId, "a variable id", "1-64 lower-case letters, digits or '_', starting with a letter",
    |text| (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        && text.bytes().next().is_some_and(|b| b.is_ascii_lowercase())
        && !eleven_digits(text)
);
name!(
    /// A code list or grouping of the catalogue, for example `region` or `age_4`.
    CodeListId, "a code list id", "1-64 letters, digits, '-' or '_', with a letter and no run of eleven digits", plain
);
name!(
    /// A rule of `policies/disclosure.toml`.
    RuleId, "a rule id", "1-64 letters, digits, '-' or '_', with a letter and no run of eleven digits", plain
);
name!(
    /// A class of recipients in `policies/disclosure.toml`.
    RecipientClassId, "a class of recipients", "1-64 letters, digits, '-' or '_', with a letter and no run of eleven digits", plain
);
name!(
    /// A data domain of `policies/disclosure.toml`.
    DomainId, "a data domain", "1-64 letters, digits, '-' or '_', with a letter and no run of eleven digits", plain
);
name!(
    /// An organisation, as SEID 2.0 writes it: `NTRNO-` and the nine digits of its number in
    /// Enhetsregisteret, the last of which checks the others.
    OrganisationId, "an organisation id", "NTRNO- followed by an organisation number of nine digits, whose last digit checks the others",
    |text| text.strip_prefix("NTRNO-").is_some_and(organisation_number)
);
name!(
    /// A person who signs approvals for the register keeper, by a name that is not an identity number.
    StewardId, "a steward id", "1-64 letters, digits, '-' or '_', with a letter and no run of eleven digits", plain
);
name!(
    /// What the caller names a submission by; the same id with the same query is the same submission.
    RequestId, "a request id", "1-64 letters, digits, '-' or '_', with a letter and no run of eleven digits", plain
);
name!(
    /// A published table, for example `gp-followup-2024`.
    TableId, "a table id", "1-64 letters, digits, '-' or '_', with a letter and no run of eleven digits", plain
);
name!(
    /// A linkage order: `o-` and 32 hexadecimal digits.
    OrderId, "an order id", "o- followed by 32 lower-case hexadecimal digits", |text| prefixed_hex(text, "o-")
);
name!(
    /// One run of one query: `r-` and 32 hexadecimal digits. It is also the linkage epoch.
    RunId, "a run id", "r- followed by 32 lower-case hexadecimal digits", |text| prefixed_hex(text, "r-")
);

/// Whether these are nine digits whose sum under the weights of Enhetsregisteret (3 2 7 6 5 4 3 2 1) is a
/// multiple of 11.
fn organisation_number(digits: &str) -> bool {
    const WEIGHTS: [u32; 9] = [3, 2, 7, 6, 5, 4, 3, 2, 1];
    digits.len() == WEIGHTS.len()
        && digits
            .chars()
            .zip(WEIGHTS)
            .try_fold(0, |sum, (digit, weight)| Some(sum + digit.to_digit(10)? * weight))
            .is_some_and(|sum| sum % 11 == 0)
}

fn prefixed_hex(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix).is_some_and(|hex| {
        hex.len() == 32 && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    })
}

/// 32 hexadecimal digits with a prefix. A run of eleven digits in it would read like an identity
/// number to a scanner, so such draws are thrown back.
fn random_hex(prefix: &str, entropy: &dyn Entropy) -> Result<String, EntropyError> {
    loop {
        let mut bytes = [0; 16];
        entropy.fill(&mut bytes)?;
        let text = format!("{prefix}{}", hex::encode(bytes));
        if !eleven_digits(&text) {
            return Ok(text);
        }
    }
}

impl OrderId {
    /// A fresh order id.
    ///
    /// # Errors
    /// [`EntropyError`].
    pub fn random(entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        random_hex("o-", entropy).map(Self)
    }
}

impl RunId {
    /// A fresh run id.
    ///
    /// # Errors
    /// [`EntropyError`].
    pub fn random(entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        random_hex("r-", entropy).map(Self)
    }
}

/// A person inside the gateway: dense from 0, given out by the identity service. It tells nothing of
/// who the person is to one without the vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PersonNo(pub u32);

impl PersonNo {
    /// The lowest run-local number: numbers from here on stand for identifiers that the identity
    /// service does not know, hold within one run only and never enter a cell.
    pub const FIRST_UNKNOWN: u32 = 1 << 31;

    /// Whether this stands for an identifier the identity service does not know.
    #[must_use]
    pub const fn is_unknown(self) -> bool {
        self.0 >= Self::FIRST_UNKNOWN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_number_is_never_a_name() {
        for text in ["02813299997", "x02813299997", "p-02813299997-a"] {
            assert!(ProjectId::new(text).is_err());
            assert!(RequestId::new(text).is_err());
        }
        assert!(ProjectId::new("P-2026-0001").is_ok());
        assert!(OrganisationId::new("NTRNO-983744516").is_ok());
        assert!(OrganisationId::new("983744516").is_err());
    }

    #[test]
    fn an_organisation_number_with_a_slip_of_the_pen_is_none() {
        // FHI, Norsk helsenett, Brønnøysundregistrene.
        for number in ["983744516", "994598759", "974760673"] {
            assert!(OrganisationId::new(format!("NTRNO-{number}")).is_ok(), "{number}");
            for at in 0..9 {
                for digit in b'0'..=b'9' {
                    let mut wrong = number.as_bytes().to_vec();
                    if std::mem::replace(&mut wrong[at], digit) != digit {
                        let wrong = String::from_utf8(wrong).unwrap();
                        assert!(OrganisationId::new(format!("NTRNO-{wrong}")).is_err(), "{wrong}");
                    }
                }
            }
        }
        for text in
            ["NTRNO-98374451", "NTRNO-9837445160", "NTRNO-98374451x", "NTRSE-983744516", "NTRNO-٩83744516"]
        {
            assert!(OrganisationId::new(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_refusal_does_not_repeat_the_text() {
        let refusal = ProjectId::new("02813299997").unwrap_err().to_string();
        assert!(!refusal.contains("02813299997"));
    }
}
