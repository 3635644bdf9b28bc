//! The shape of a table: dimensions, each a code list, and measures. And the table as it is released.

use serde::{Deserialize, Serialize};

use super::canonical::Canonical;
use super::codelist::CodeList;
use super::ids::{RuleId, RunId, VariableId};
use super::method::{Cellkey, Mechanism};
use super::period::Period;
use super::query::Statistic;
use super::rho::Rho;

/// One dimension of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dimension {
    /// The variable, for example `municipality`.
    pub variable: VariableId,
    /// Its label.
    pub label: String,
    /// Its codes, the total first.
    pub codes: CodeList,
    /// The positions, ascending, of the codes that nobody in the cohort can have, as the catalogue says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub impossible: Vec<u32>,
}

impl Dimension {
    /// Whether nobody in the cohort can have the code at `position`.
    #[must_use]
    pub fn is_impossible(&self, position: usize) -> bool {
        u32::try_from(position).is_ok_and(|position| self.impossible.binary_search(&position).is_ok())
    }
}

/// What is counted in each cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measure {
    /// Its code: `persons`, or the name of an outcome.
    pub code: VariableId,
    /// Its label.
    pub label: String,
    /// The measures that everyone counted here is counted in too, as indices. Measure 0, everyone in
    /// the cohort, has none; every other has at least measure 0.
    pub nested_in: Vec<u32>,
    /// Where it is no count of persons: which statistic of which values the label says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statistic: Option<Statistic>,
}

/// Dimensions and measures. Cells are numbered row-major, the last dimension fastest; a count stands at
/// `cell * measures + measure`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableShape {
    /// The title of the query.
    pub title: String,
    /// The dimensions.
    pub dimensions: Vec<Dimension>,
    /// The measures, everyone in the cohort first.
    pub measures: Vec<Measure>,
    /// The days in which the index date lies.
    pub period: Period,
}

impl TableShape {
    /// How many cells there are, margins included, for each measure.
    #[must_use]
    pub fn cells(&self) -> usize {
        self.dimensions.iter().map(|d| d.codes.len()).product()
    }

    /// The cell at these positions, one in each dimension.
    #[must_use]
    pub fn cell(&self, positions: &[usize]) -> usize {
        self.dimensions.iter().zip(positions).fold(0, |cell, (d, &p)| cell * d.codes.len() + p)
    }

    /// The positions of a cell, one in each dimension.
    #[must_use]
    pub fn positions(&self, mut cell: usize) -> Vec<usize> {
        let mut positions: Vec<usize> = self
            .dimensions
            .iter()
            .rev()
            .map(|d| {
                let position = cell % d.codes.len();
                cell /= d.codes.len();
                position
            })
            .collect();
        positions.reverse();
        positions
    }

    /// Whether nobody can be in a cell: a structural zero. Everyone knows that it is empty, whatever is released.
    #[must_use]
    pub fn is_impossible(&self, cell: usize) -> bool {
        self.has_impossible()
            && self.dimensions.iter().zip(self.positions(cell)).any(|(d, position)| d.is_impossible(position))
    }

    /// Whether there is any cell that nobody can be in.
    #[must_use]
    pub fn has_impossible(&self) -> bool {
        self.dimensions.iter().any(|d| !d.impossible.is_empty())
    }

    /// Fills in the margins of values that stand in the inner cells, so many of each cell one after the other. Along
    /// one dimension after the other, every node is added to the one above it, children before their parents: each
    /// inner cell comes exactly once to every margin over it.
    pub fn add_up<T: Copy>(&self, columns: usize, values: &mut [T], add: impl Fn(T, T) -> T) {
        let mut inner = columns.max(1);
        for dimension in self.dimensions.iter().rev() {
            let codes = &dimension.codes;
            for block in values.chunks_mut(inner * codes.len()) {
                for (code, parent) in (0..codes.len()).rev().filter_map(|c| codes.parent(c).map(|p| (c, p))) {
                    // Parents stand before their children.
                    let (above, below) = block.split_at_mut(code * inner);
                    let sums = above.iter_mut().skip(parent * inner).take(inner);
                    for (sum, value) in sums.zip(below.iter()) {
                        *sum = add(*sum, *value);
                    }
                }
            }
            inner *= codes.len();
        }
    }
}

/// A count as it is released: a number, a number with noise, withheld, or not applicable. Nothing tells why it is
/// withheld.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum CellValue {
    /// The number of persons.
    Count(u64),
    /// A number with noise, in units of its measure's last decimal, and the ends of an interval that has the true one in it with 95 % probability.
    Noisy {
        /// The number. It may be negative.
        value: i64,
        /// The low end of the interval.
        low: i64,
        /// The high end of the interval.
        high: i64,
    },
    /// Withheld, written `:` (confidential) as Statistics Norway writes it.
    Withheld,
    /// Of a cell that nobody can be in ([`TableShape::is_impossible`]), written `.` (not applicable).
    #[serde(with = "not_applicable")]
    NotApplicable,
}

/// The sign of a value that is not applicable; every other sign is refused.
mod not_applicable {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(".")
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<(), D::Error> {
        match String::deserialize(from)?.as_str() {
            "." => Ok(()),
            _ => Err(D::Error::custom("a value that is no number is null or .")),
        }
    }
}

impl CellValue {
    /// The true number, if it is published.
    #[must_use]
    pub const fn count(self) -> Option<u64> {
        match self {
            Self::Count(n) => Some(n),
            Self::Noisy { .. } | Self::Withheld | Self::NotApplicable => None,
        }
    }
}

/// What the recipient is told about the protection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecipientReport {
    /// The rule that applied.
    pub rule: RuleId,
    /// The rule in words.
    pub rule_text: String,
    /// The least number of persons in a published cell, zero aside; 0 where every number has noise.
    pub min_persons: u32,
    /// How many cells the table has, over all measures.
    pub cells: u64,
    /// How many of them are withheld.
    pub withheld: u64,
    /// How the linkage went, in protected form.
    pub linkage: LinkageQuality,
    /// Where every number has noise: what it is and what it cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise: Option<NoiseReport>,
}

/// What the recipient is told about noise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum NoiseReport {
    /// Noise for differential privacy.
    Private(PrivateNoise),
    /// Cell-key noise.
    Cellkey(Cellkey),
}

/// What the recipient is told about noise for differential privacy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrivateNoise {
    /// Its law.
    pub mechanism: Mechanism,
    /// What the table cost of the project's privacy budget, in zCDP.
    pub rho: Rho,
    /// What was left of the budget before.
    pub left_before: Rho,
    /// What was left after.
    pub left_after: Rho,
}

/// How linkage went, in protected form: a number of 1 to k-1 persons is withheld, and every number beside
/// noisy ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkageQuality {
    /// Persons found in the population, the base of the table.
    pub matched: CellValue,
    /// Numbers that the identity service does not know; they are in no cell.
    pub unknown: CellValue,
    /// Persons who occurred under several numbers and were brought together.
    pub several_numbers: CellValue,
    /// Rows whose number is not an identity number, dropped by the partner; they are in no cell.
    pub invalid_rows: CellValue,
}

/// A table as it is released. Its canonical encoding is what is stored, digested and logged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResultTable {
    /// The run that made it.
    pub run: RunId,
    /// Its shape.
    pub shape: TableShape,
    /// Its counts, as [`TableShape`] numbers them.
    pub values: Vec<CellValue>,
    /// What the recipient is told about the protection.
    pub report: RecipientReport,
}

impl Canonical for ResultTable {
    const LABEL: &'static str = "kpr/result-table/v1";
}

impl ResultTable {
    /// The count of `measure` in `cell`.
    #[must_use]
    pub fn value(&self, cell: usize, measure: usize) -> Option<CellValue> {
        self.values.get(cell * self.shape.measures.len() + measure).copied()
    }

    /// The share of the cell's persons that `measure` counts, in tenths of a percent, rounded half up.
    /// Withheld (`None`) unless both counts are published, and where there is nobody.
    #[must_use]
    pub fn share_permille(&self, cell: usize, measure: usize) -> Option<u64> {
        let part = self.value(cell, measure)?.count()?;
        let whole = self.value(cell, 0)?.count()?;
        (2000 * part + whole).checked_div(2 * whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_reads_as_it_is_written_and_no_other_sign_is_one() {
        let noisy = CellValue::Noisy { value: -1, low: -3, high: 1 };
        let values = [CellValue::Count(7), noisy, CellValue::Withheld, CellValue::NotApplicable];
        let text = serde_json::to_string(&values).unwrap();
        assert_eq!(text, r#"[7,{"value":-1,"low":-3,"high":1},null,"."]"#);
        assert_eq!(serde_json::from_str::<[CellValue; 4]>(&text).unwrap(), values);
        for other in [r#"":""#, r#""..""#, r#""""#, "-1", "true", "[]"] {
            assert!(serde_json::from_str::<CellValue>(other).is_err(), "{other}");
        }
    }
}
