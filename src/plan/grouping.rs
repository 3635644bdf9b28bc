//! From what is known of a person to a place in a dimension.

use std::collections::HashMap;

use crate::domain::codelist::CodeList;
use crate::domain::ids::{CodeListId, VariableId};
use crate::domain::table::Dimension;

/// The municipality of persons without a known residence on the index date.
pub(super) const UNKNOWN_MUNICIPALITY: &str = "9999";

/// The oldest age told apart, in years.
const OLDEST: usize = 150;

/// How a dimension places a person: always at exactly one leaf of its code list, or nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grouping {
    leaves: Leaves,
    /// The positions of the codes that nobody can have. One whom the data put there falls nowhere: nothing that is
    /// released, no margin either, tells of wrong data.
    impossible: Vec<u32>,
}

/// The leaf for each value of the variable.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Leaves {
    /// By the code of the population register: 1 man, 2 woman.
    Sex(HashMap<u8, usize>),
    /// By age in whole years; the position of the leaf for each year from 0.
    Age(Vec<usize>),
    /// By municipality; everyone else at the leaf for an unknown residence.
    Municipality {
        /// The leaf of each municipality code.
        leaves: HashMap<String, usize>,
        /// The leaf for an unknown residence.
        unknown: usize,
    },
}

/// Why a code list does not group a variable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GroupingError {
    /// Tables are not divided by this variable.
    #[error("{0} is no dimension; the dimensions are sex, age and municipality")]
    NoDimension(VariableId),
    /// A code of sex is not a small number.
    #[error("code list {0}: the codes of sex are whole numbers from 0 to 255")]
    Sex(CodeListId),
    /// The groups of age leave a gap, overlap, or are not written as groups.
    #[error("code list {0}: the groups of age must follow on each other from 0, as 0-17, 18-44, 45+")]
    Age(CodeListId),
    /// The list of municipalities has no code for an unknown residence.
    #[error("code list {0}: code 9999, for persons without a known residence, is missing")]
    Municipality(CodeListId),
}

impl Grouping {
    /// How a dimension places persons.
    ///
    /// # Errors
    /// [`GroupingError`].
    pub fn of(dimension: &Dimension) -> Result<Self, GroupingError> {
        let leaves = Leaves::new(&dimension.variable, &dimension.codes)?;
        Ok(Self { leaves, impossible: dimension.impossible.clone() })
    }

    /// Whether `list` groups `variable`.
    ///
    /// # Errors
    /// [`GroupingError`].
    pub(super) fn check(variable: &VariableId, list: &CodeList) -> Result<(), GroupingError> {
        Leaves::new(variable, list).map(|_| ())
    }

    /// The leaf of a person of this sex, age in whole years and municipality on the index date; none if
    /// the person falls nowhere.
    #[must_use]
    pub fn leaf(&self, sex: Option<u8>, age: Option<i32>, municipality: Option<&str>) -> Option<usize> {
        let leaf = self.leaves.leaf(sex, age, municipality)?;
        let impossible = u32::try_from(leaf).is_ok_and(|leaf| self.impossible.binary_search(&leaf).is_ok());
        (!impossible).then_some(leaf)
    }
}

impl Leaves {
    fn new(variable: &VariableId, list: &CodeList) -> Result<Self, GroupingError> {
        let leaves = list.codes().iter().zip(list.leaves()).enumerate();
        let mut leaves =
            leaves.filter(|(_, (_, leaf))| *leaf).map(|(at, (code, _))| (code.code.as_str(), at));
        match variable.as_str() {
            "sex" => leaves
                .map(|(code, at)| code.parse().map(|code: u8| (code, at)))
                .collect::<Result<_, _>>()
                .map(Self::Sex)
                .map_err(|_| GroupingError::Sex(list.id().clone())),
            "age" => ages(leaves).map(Self::Age).ok_or_else(|| GroupingError::Age(list.id().clone())),
            "municipality" => {
                let leaves: HashMap<_, _> = leaves.by_ref().map(|(code, at)| (code.to_owned(), at)).collect();
                let unknown = leaves.get(UNKNOWN_MUNICIPALITY).copied();
                let unknown = unknown.ok_or_else(|| GroupingError::Municipality(list.id().clone()))?;
                Ok(Self::Municipality { leaves, unknown })
            }
            _ => Err(GroupingError::NoDimension(variable.clone())),
        }
    }

    fn leaf(&self, sex: Option<u8>, age: Option<i32>, municipality: Option<&str>) -> Option<usize> {
        match self {
            Self::Sex(leaves) => leaves.get(&sex?).copied(),
            Self::Age(leaves) => leaves.get(usize::try_from(age?).ok()?.min(OLDEST)).copied(),
            Self::Municipality { leaves, unknown } => {
                Some(municipality.and_then(|code| leaves.get(code).copied()).unwrap_or(*unknown))
            }
        }
    }
}

/// The leaf for each year of age, if the groups follow on each other without gap from 0 and the last
/// is open.
fn ages<'a>(groups: impl Iterator<Item = (&'a str, usize)>) -> Option<Vec<usize>> {
    let mut years = Vec::new();
    for (code, at) in groups {
        let (from, to) = match code.strip_suffix('+') {
            Some(from) => (from.parse().ok()?, OLDEST),
            None => {
                let (from, to) = code.split_once('-')?;
                (from.parse::<usize>().ok()?, to.parse::<usize>().ok()?)
            }
        };
        if from != years.len() || to < from || to > OLDEST {
            return None;
        }
        years.resize(to + 1, at);
    }
    (years.len() == OLDEST + 1).then_some(years)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::codelist::Code;

    fn list(codes: &[&str]) -> CodeList {
        let root = Code { code: CodeList::TOTAL.to_owned(), label: "All".to_owned(), parent: None };
        let rest =
            codes.iter().map(|c| Code { code: (*c).to_owned(), label: (*c).to_owned(), parent: Some(0) });
        CodeList::new(
            CodeListId::new("test").unwrap(),
            String::new(),
            [root].into_iter().chain(rest).collect(),
        )
        .unwrap()
    }

    fn grouping(variable: &str, codes: &[&str]) -> Result<Grouping, GroupingError> {
        without(variable, codes, &[])
    }

    fn without(variable: &str, codes: &[&str], impossible: &[u32]) -> Result<Grouping, GroupingError> {
        Grouping::of(&Dimension {
            variable: VariableId::new(variable).unwrap(),
            label: String::new(),
            codes: list(codes),
            impossible: impossible.to_vec(),
        })
    }

    #[test]
    fn one_whom_the_data_put_where_nobody_can_be_falls_nowhere() {
        let ages = without("age", &["0-17", "18-44", "45+"], &[3]).unwrap();
        assert_eq!(
            [17, 44, 45, 200].map(|age| ages.leaf(None, Some(age), None)),
            [Some(1), Some(2), None, None]
        );
        // Nobody moves on to where persons without a known residence are.
        let region = without("municipality", &["0301", "9999"], &[1]).unwrap();
        assert_eq!(region.leaf(None, None, Some("0301")), None);
        assert_eq!(region.leaf(None, None, None), Some(2));
    }

    #[test]
    fn every_age_has_one_group() {
        let ages = grouping("age", &["0-17", "18-44", "45-66", "67+"]).unwrap();
        for (age, leaf) in [(0, 1), (17, 1), (18, 2), (44, 2), (45, 3), (66, 3), (67, 4), (119, 4), (500, 4)]
        {
            assert_eq!(ages.leaf(None, Some(age), None), Some(leaf), "{age}");
        }
        assert_eq!(ages.leaf(None, Some(-1), None), None);
        assert_eq!(ages.leaf(None, None, None), None);
    }

    #[test]
    fn groups_of_age_with_a_gap_or_an_overlap_are_refused() {
        for codes in [
            &["0-17", "19+"][..],
            &["0-17", "17+"],
            &["1-17", "18+"],
            &["0-17"],
            &["18+", "0-17"],
            &["0-17", "18-12", "13+"],
            &["young", "old"],
        ] {
            assert!(grouping("age", codes).is_err(), "{codes:?}");
        }
    }

    #[test]
    fn an_unknown_municipality_falls_at_9999_and_an_unknown_sex_nowhere() {
        let region = grouping("municipality", &["0301", "9999"]).unwrap();
        assert_eq!(region.leaf(None, None, Some("0301")), Some(1));
        assert_eq!(region.leaf(None, None, Some("0302")), Some(2));
        assert_eq!(region.leaf(None, None, None), Some(2));
        assert!(grouping("municipality", &["0301"]).is_err());
        let sex = grouping("sex", &["1", "2"]).unwrap();
        assert_eq!(sex.leaf(Some(2), None, None), Some(2));
        assert_eq!(sex.leaf(Some(0), None, None), None);
        assert_eq!(sex.leaf(None, None, None), None);
    }
}
