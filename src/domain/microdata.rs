//! Microdata as they are released: a row a person, under a serial number of the project, and the reports
//! on them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::canonical::Canonical;
use super::codelist::CodeList;
use super::ids::{RuleId, RunId, VariableId};
use super::indirect::IndirectTerms;

/// What stands for a person in the microdata of one project: made by the identity service, opaque here.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SerialNumber(Box<[u8]>);

/// Bytes or text that are not a serial number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a serial number is 16 to 64 bytes, written with two letters from a to p for each")]
pub struct BadSerialNumber;

impl SerialNumber {
    /// A serial number of these bytes.
    ///
    /// # Errors
    /// [`BadSerialNumber`] unless there are 16 to 64 of them: a synthetic IV (RFC 5297) is 16.
    pub fn new(bytes: &[u8]) -> Result<Self, BadSerialNumber> {
        if (16..=64).contains(&bytes.len()) { Ok(Self(bytes.into())) } else { Err(BadSerialNumber) }
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Letters only: a run of eleven digits would read like an identity number.
impl fmt::Display for SerialNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| {
            write!(f, "{}{}", char::from(b'a' + (byte >> 4)), char::from(b'a' + (byte & 15)))
        })
    }
}

impl From<SerialNumber> for String {
    fn from(serial: SerialNumber) -> Self {
        serial.to_string()
    }
}

impl TryFrom<String> for SerialNumber {
    type Error = BadSerialNumber;
    fn try_from(text: String) -> Result<Self, BadSerialNumber> {
        let nibble = |letter: &u8| letter.checked_sub(b'a').filter(|n| *n < 16).ok_or(BadSerialNumber);
        let bytes = text.as_bytes().chunks(2).map(|pair| match pair {
            [high, low] => Ok(nibble(high)? << 4 | nibble(low)?),
            _ => Err(BadSerialNumber),
        });
        Self::new(&bytes.collect::<Result<Vec<u8>, _>>()?)
    }
}

/// The values of a variable, one a row. `None` is unknown, written `..` as Statistics Norway writes it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Values {
    /// Codes of a list, as their positions in it. A generalised value is a code above the leaves.
    Codes {
        /// The list.
        list: CodeList,
        /// The positions.
        codes: Vec<Option<u32>>,
    },
    /// Whole numbers.
    Numbers(Vec<Option<i64>>),
}

impl Values {
    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Codes { codes, .. } => codes.len(),
            Self::Numbers(numbers) => numbers.len(),
        }
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of a row, a code as its position. `None` too where there is no such row.
    #[must_use]
    pub fn value(&self, row: usize) -> Option<i64> {
        match self {
            Self::Codes { codes, .. } => codes.get(row).copied().flatten().map(i64::from),
            Self::Numbers(numbers) => numbers.get(row).copied().flatten(),
        }
    }

    /// The same values in another order: row `order[i]` comes to stand at `i`.
    #[must_use]
    pub fn reordered(&self, order: &[usize]) -> Self {
        match self {
            Self::Codes { list, codes } => Self::Codes {
                list: list.clone(),
                codes: order.iter().map(|&row| codes.get(row).copied().flatten()).collect(),
            },
            Self::Numbers(numbers) => {
                Self::Numbers(order.iter().map(|&row| numbers.get(row).copied().flatten()).collect())
            }
        }
    }
}

/// What a variable is to one who wants to know whose row it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Role {
    /// Known of a person from elsewhere, and therefore generalised.
    QuasiIdentifier {
        /// By how many levels; 0 is as delivered.
        level: u32,
        /// The level at which nothing is told but the total.
        highest: u32,
    },
    /// Not to be learnt of a person.
    Sensitive,
    /// Neither.
    Other,
}

/// One variable of the microdata.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// The variable.
    pub variable: VariableId,
    /// Its label.
    pub label: String,
    /// What it is to an attacker.
    pub role: Role,
    /// Its values, one a row.
    pub values: Values,
}

/// What the recipient is told about the protection. Nothing in it tells more than the rows do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MicrodataReport {
    /// The rule that applied.
    pub rule: RuleId,
    /// The rule in words.
    pub rule_text: String,
    /// The least number of rows with the same quasi-identifiers.
    pub min_persons: u32,
    /// How many rows there are.
    pub rows: u64,
    /// In how many of them the quasi-identifiers are unknown: none, or at least `min_persons`.
    pub suppressed: u64,
    /// What was done to each quasi-identifier, in words.
    pub generalised: Vec<String>,
    /// Of indirectly identifiable records: why and under which conditions they are given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<IndirectTerms>,
}

/// Microdata as they are released. Their canonical encoding is what is stored, digested and logged.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MicrodataTable {
    /// The run that made them.
    pub run: RunId,
    /// The title of the query.
    pub title: String,
    /// The serial numbers, one a row, in an order that tells nothing.
    pub serials: Vec<SerialNumber>,
    /// The variables.
    pub columns: Vec<Column>,
    /// What the recipient is told about the protection.
    pub report: MicrodataReport,
}

impl Canonical for MicrodataTable {
    const LABEL: &'static str = "kpr/microdata/v1";
}

/// Classes of one size range. A class is the rows with the same quasi-identifiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassSizes {
    /// The smallest size of the range; the next range starts at twice of it.
    pub from: u64,
    /// How many classes have a size in it.
    pub classes: u64,
    /// How many rows these have together.
    pub rows: u64,
}

/// What became of one quasi-identifier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generalised {
    /// The variable.
    pub variable: VariableId,
    /// Its level; 0 is as delivered.
    pub level: u32,
    /// The level at which nothing is told but the total.
    pub highest: u32,
    /// Its loss in thousandths of all it told, suppressed rows included (Iyengar 2002).
    pub loss_permille: u64,
}

/// How diverse one sensitive variable is within the classes; each figure is that of the worst class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Diverse {
    /// The variable.
    pub variable: VariableId,
    /// The l that the rule asked for.
    pub asked: Option<u32>,
    /// The most that one value that can harm makes up of a class's known values, in thousandths, rounded
    /// up. An l of 3 means at most 333.
    pub largest_share_permille: u64,
    /// Distinct known values.
    pub distinct: u64,
    /// Entropy l-diversity: e to the entropy of the known values, in thousandths, rounded down.
    pub entropy_l_milli: u64,
    /// The greatest distance between the distribution in a class and in all rows, in thousandths, rounded
    /// up: the t of t-closeness with equal distances (Li 2007).
    pub skewness_permille: u64,
}

/// How many records stand out that are given as the approval grants them, and the terms under which they are given. A
/// group is the records with the same quasi-identifiers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identifiable {
    /// Records that are alone in their group: who knows the quasi-identifiers of the person knows the record.
    pub unique: u64,
    /// The number below which the rule calls a group small.
    pub small: u32,
    /// Records in small groups, the unique ones among them.
    pub in_small: u64,
    /// Why and under which conditions they are given.
    pub terms: IndirectTerms,
}

/// Risk and loss of a release, for the stewards who decide on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RiskReport {
    /// How many rows there are.
    pub rows: u64,
    /// How many classes, the one of suppressed rows included.
    pub classes: u64,
    /// The size of the smallest class.
    pub smallest: u64,
    /// Classes by size.
    pub sizes: Vec<ClassSizes>,
    /// Rows whose quasi-identifiers are unknown.
    pub suppressed: u64,
    /// The most rows that may be suppressed.
    pub suppressed_limit: u64,
    /// How often larger classes were asked for, of twice the size each time, to come to the l asked for.
    /// What that tells raises the odds of a guess at a sensitive value by at most 4 to this power.
    pub steps: u32,
    /// Prosecutor risk: the chance to name the row of a person known to be among the rows, at worst, in
    /// millionths. Journalist risk, of one who does not know who is among the rows, is at most this.
    pub prosecutor_ppm: u64,
    /// Marketer risk: the share of rows that one who names every row gets right on average, in
    /// millionths.
    pub marketer_ppm: u64,
    /// The rows that are then named right on average: the number of classes.
    pub expected_reidentified: u64,
    /// What became of each quasi-identifier.
    pub generalised: Vec<Generalised>,
    /// The weighted mean of their losses, in thousandths: the normalised certainty penalty.
    pub loss_permille: u64,
    /// Discernibility: the sum of squared class sizes, a suppressed row counting for all rows
    /// (Bayardo & Agrawal 2005).
    pub discernibility: u64,
    /// The sensitive variables.
    pub sensitive: Vec<Diverse>,
    /// Of indirectly identifiable records: how many stand out, and the terms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identifiable: Option<Identifiable>,
}

impl Canonical for RiskReport {
    const LABEL: &'static str = "kpr/microdata-risk/v1";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_number_has_no_digits_and_reads_back() {
        let serial = SerialNumber::new(&(0..=19).map(|n| n * 13).collect::<Vec<u8>>()).unwrap();
        let text = serial.to_string();
        assert!(text.len() == 40 && text.bytes().all(|b| (b'a'..=b'p').contains(&b)));
        assert!(SerialNumber::try_from(text.clone()).is_ok_and(|read| read == serial));
        for bad in [&text[1..], &text[..30], "q".repeat(40).as_str(), "A".repeat(40).as_str()] {
            assert!(SerialNumber::try_from(bad.to_owned()).is_err());
        }
    }
}
