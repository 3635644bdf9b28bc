//! How much the rows of a class tell of a sensitive variable.
#![allow(clippy::indexing_slicing, reason = "a run of values is never empty")]

use std::collections::BTreeMap;

use super::rule::Diversity;
use crate::domain::microdata::Values;

/// Rows by class: the class's key and the row, sorted.
pub(super) type Members = [(u64, u32)];

/// The known values of a class's rows, each with how many rows have it.
fn counted(class: &Members, values: &Values) -> Vec<(i64, u64)> {
    let mut known: Vec<i64> = class.iter().filter_map(|&(_, row)| values.value(row as usize)).collect();
    known.sort_unstable();
    known.chunk_by(|a, b| a == b).map(|run| (run[0], run.len() as u64)).collect()
}

fn classes(members: &Members) -> impl Iterator<Item = &Members> {
    members.chunk_by(|a, b| a.0 == b.0)
}

/// Whether within every class no value that can harm makes up more than 1/l of the known ones. Unknown
/// values do not dilute: an attacker may know that a person's is known.
pub(super) fn holds(members: &Members, values: &Values, diversity: &Diversity) -> bool {
    classes(members).all(|class| {
        let counts = counted(class, values);
        let known: u64 = counts.iter().map(|(_, n)| n).sum();
        counts.iter().all(|&(value, n)| diversity.is_harmless(value) || n * u64::from(diversity.l()) <= known)
    })
}

/// The worst class by each measure, as [`crate::domain::microdata::Diverse`] states them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Measured {
    pub(super) largest_share_permille: u64,
    pub(super) distinct: u64,
    pub(super) entropy_l_milli: u64,
    pub(super) skewness_permille: u64,
}

/// Measures a variable. Classes without a known value have nothing to tell and are left out.
pub(super) fn measure(members: &Members, values: &Values, diversity: Option<&Diversity>) -> Measured {
    let all: Vec<(i64, u64)> = counted(members, values);
    let total: u64 = all.iter().map(|(_, n)| n).sum();
    let overall: BTreeMap<i64, u64> = all.into_iter().collect();
    let nothing =
        Measured { largest_share_permille: 0, distinct: 0, entropy_l_milli: 0, skewness_permille: 0 };
    let mut worst: Option<Measured> = None;
    for class in classes(members) {
        let counts = counted(class, values);
        let known: u64 = counts.iter().map(|(_, n)| n).sum();
        if known == 0 {
            continue;
        }
        let harmful = counts.iter().filter(|(value, _)| !diversity.is_some_and(|d| d.is_harmless(*value)));
        let largest = harmful.map(|(_, n)| *n).max().unwrap_or(0);
        let share = |n: u64| n as f64 / known as f64;
        let entropy: f64 = counts.iter().map(|&(_, n)| -share(n) * share(n).ln()).sum();
        // Half the sum of differences is the sum of what the class has too much.
        let excess = counts.iter().map(|(value, n)| {
            let in_all = overall.get(value).copied().unwrap_or(0);
            (u128::from(*n) * u128::from(total)).saturating_sub(u128::from(in_all) * u128::from(known))
        });
        let excess = (excess.sum::<u128>() * 1000).div_ceil(u128::from(known) * u128::from(total));
        let here = Measured {
            largest_share_permille: (largest * 1000).div_ceil(known),
            distinct: counts.len() as u64,
            entropy_l_milli: (entropy.exp() * 1000.0 + 1e-6).floor() as u64,
            skewness_permille: u64::try_from(excess).unwrap_or(1000),
        };
        worst = Some(worst.map_or(here, |w| Measured {
            largest_share_permille: w.largest_share_permille.max(here.largest_share_permille),
            distinct: w.distinct.min(here.distinct),
            entropy_l_milli: w.entropy_l_milli.min(here.entropy_l_milli),
            skewness_permille: w.skewness_permille.max(here.skewness_permille),
        }));
    }
    worst.unwrap_or(nothing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_class_counts() {
        // Class 1: 7 7 8 9; class 2: 7 8 and two unknown.
        let members: Vec<(u64, u32)> = (0..8).map(|row| (1 + u64::from(row > 3), row)).collect();
        let values = Values::Numbers(vec![Some(7), Some(7), Some(8), Some(9), Some(7), Some(8), None, None]);
        let two = Diversity::new(2, [].into()).unwrap();
        assert!(holds(&members, &values, &two));
        assert!(!holds(&members, &values, &Diversity::new(3, [].into()).unwrap()));
        assert!(holds(&members, &values, &Diversity::new(3, [7, 8].into()).unwrap()));
        let measured = measure(&members, &values, Some(&two));
        assert_eq!(measured.largest_share_permille, 500);
        assert_eq!((measured.distinct, measured.entropy_l_milli), (2, 2000));
        // 1/2, 1/2, 0 against 1/2, 1/3, 1/6.
        assert_eq!(measured.skewness_permille, 167);
    }

    #[test]
    fn unknown_values_do_not_dilute() {
        let members: Vec<(u64, u32)> = (0..5).map(|row| (0, row)).collect();
        let values = Values::Numbers(vec![Some(1), None, None, None, None]);
        assert!(!holds(&members, &values, &Diversity::new(2, [].into()).unwrap()));
    }
}
