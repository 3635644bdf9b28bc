//! Primary rules: which cells must not be known, each cell judged by itself.
//!
//! None of them depends on how a cell compares with other cells, so a pattern tells no order of hidden
//! values. Terms as in Hundepool et al., *Statistical Disclosure Control*, chapter 4.

use std::str::FromStr;

/// What happens to cells with nobody in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Zeros {
    /// They are published: everyone may know who is not there.
    #[default]
    Published,
    /// They are withheld like small counts. Impossible combinations are known to be empty all the same.
    Protected,
}

/// The rules of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// The least number of persons in a published cell, k.
    pub min_persons: u64,
    /// What happens to empty cells.
    pub zeros: Zeros,
    /// The least number of reporting units behind a published cell, where they are counted.
    pub min_units: u64,
    /// What must hold of the contributions to a sum.
    pub sums: Vec<SumRule>,
    /// Whether somebody who is alone in a cell, and so knows it, must not compute another one by that.
    pub singletons: bool,
}

/// What is known of one cell.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Facts<'a> {
    /// How many persons are in it.
    pub persons: u64,
    /// How many units reported them, where that is counted.
    pub units: Option<u64>,
    /// What each contributor adds to the sum that is published, the largest first; empty if a count is.
    pub contributions: &'a [u64],
}

impl Rules {
    /// The rules that ask for `min_persons` persons, publish zeros and reckon with who is alone in a cell.
    #[must_use]
    pub const fn persons(min_persons: u64) -> Self {
        Self { min_persons, zeros: Zeros::Published, min_units: 0, sums: Vec::new(), singletons: true }
    }

    /// Whether a count of persons must not be known.
    #[must_use]
    pub const fn is_small(&self, persons: u64) -> bool {
        persons < self.min_persons && (persons > 0 || matches!(self.zeros, Zeros::Protected))
    }

    /// Whether a cell must not be known.
    #[must_use]
    pub fn is_sensitive(&self, facts: Facts<'_>) -> bool {
        self.is_small(facts.persons)
            || facts.persons > 0 && facts.units.is_some_and(|units| units < self.min_units)
            || facts.persons > 0 && self.sums.iter().any(|rule| rule.is_broken_by(facts.contributions))
    }
}

/// A rule for a sum over contributors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SumRule {
    /// (n,k) dominance: the `largest` greatest contributions together must not exceed `percent` of the sum.
    Dominance {
        /// How many contributors.
        largest: usize,
        /// Their greatest share, in percent.
        percent: u8,
    },
    /// p%: what all but the two largest contribute must be at least `percent` of the largest, or the second
    /// largest could estimate the largest that closely.
    Percent {
        /// The closest estimate, in percent of the largest contribution.
        percent: u8,
    },
}

impl SumRule {
    /// The p% rule.
    #[must_use]
    pub const fn percent(percent: u8) -> Self {
        Self::Percent { percent }
    }

    /// Whether contributions, the largest first, break the rule.
    fn is_broken_by(&self, contributions: &[u64]) -> bool {
        let total = |some: &[u64]| some.iter().map(|&c| u128::from(c)).sum::<u128>();
        match *self {
            Self::Dominance { largest, percent } => {
                let top = contributions.get(..largest).unwrap_or(contributions);
                100 * total(top) > u128::from(percent) * total(contributions)
            }
            Self::Percent { percent } => contributions.first().is_some_and(|&first| {
                let others = total(contributions.get(2..).unwrap_or_default());
                100 * others < u128::from(percent) * u128::from(first)
            }),
        }
    }
}

/// A text is not a dominance rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a dominance rule is n:k, the number of contributors and their greatest share in percent, such as 1:85"
)]
pub struct NotADominanceRule;

impl FromStr for SumRule {
    type Err = NotADominanceRule;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (largest, percent) = text.split_once(':').ok_or(NotADominanceRule)?;
        let largest = largest.parse().ok().filter(|n| *n > 0).ok_or(NotADominanceRule)?;
        let percent = percent.parse().ok().filter(|k| (1..100).contains(k)).ok_or(NotADominanceRule)?;
        Ok(Self::Dominance { largest, percent })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(rule: SumRule) -> Rules {
        Rules { sums: vec![rule], ..Rules::persons(3) }
    }

    fn facts(persons: u64, contributions: &[u64]) -> Facts<'_> {
        Facts { persons, units: None, contributions }
    }

    #[test]
    fn small_counts_are_sensitive_and_zeros_where_they_are_protected() {
        let rules = Rules::persons(5);
        let small: Vec<u64> = (0..8).filter(|&n| rules.is_small(n)).collect();
        assert_eq!(small, [1, 2, 3, 4]);
        let rules = Rules { zeros: Zeros::Protected, ..rules };
        assert!(rules.is_small(0) && !rules.is_small(5));
    }

    #[test]
    fn one_contributor_dominates_above_the_percentage_and_not_at_it() {
        let rules = sum("1:85".parse().unwrap());
        assert!(!rules.is_sensitive(facts(4, &[85, 5, 5, 5])));
        assert!(rules.is_sensitive(facts(4, &[86, 5, 5, 4])));
        let two = sum("2:90".parse().unwrap());
        assert!(two.is_sensitive(facts(3, &[50, 45, 5])) && !two.is_sensitive(facts(3, &[50, 40, 10])));
    }

    #[test]
    fn the_second_largest_must_not_estimate_the_largest() {
        let rules = sum(SumRule::Percent { percent: 10 });
        assert!(rules.is_sensitive(facts(3, &[100, 50, 9])));
        assert!(!rules.is_sensitive(facts(3, &[100, 50, 10])));
    }

    #[test]
    fn few_units_are_sensitive_however_many_persons() {
        let rules = Rules { min_units: 3, ..Rules::persons(5) };
        let with = |units| Facts { persons: 50, units: Some(units), contributions: &[] };
        assert!(rules.is_sensitive(with(2)) && !rules.is_sensitive(with(3)));
    }

    #[test]
    fn a_dominance_rule_is_written_n_colon_k() {
        for text in ["", "85", "0:85", "1:0", "1:100", "1:x", "a:5", "1:85:2"] {
            assert_eq!(text.parse::<SumRule>(), Err(NotADominanceRule), "{text}");
        }
    }
}
