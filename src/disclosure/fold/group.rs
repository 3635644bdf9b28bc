//! Which categories of one parent group are folded.
//!
//! *What is shown.* Categories that stay have at least k persons. «Øvrig» holds at least two categories
//! and at least max(k, range) + 2 persons; where that cannot be had, the whole group is folded and only
//! its parent is shown.
//!
//! *What it does not tell.* Let M be the folded categories and s their sum. For any counts x on M with
//! that sum, one of them 1 to k-1, there is an order and an extra number, both drawn under a key,
//! with which x gives the same M: the order that names M first, and the extra number that reaches its
//! end. So an attacker who knows this rule, k, s and all that is shown can rule none of them out. For
//! three or more categories each can have any count from 0 to s - 1; for two, the least and the most are
//! 1 and s - 1. The range of each is therefore at least `range` wide, and one who knows all members but
//! two still cannot tell these apart. In a group folded whole s is the parent's count, which has k at
//! least. It tells that some category of M has 1 to k-1 persons, not which.
//!
//! *Why drawn.* If always the smallest were taken along, every count in M would be bounded by the
//! smallest one shown; if just enough were taken, every shorter M would be known to have too few. Small
//! categories are drawn first with high probability, so little is lost.
//!
//! *Several rules.* Order and extra number depend on the group's counts only, and the number taken along
//! grows with k and the range. So the M of a looser rule lies within that of a stricter one, and both
//! tables together tell what the first tells.
#![allow(clippy::indexing_slicing, reason = "an order is a permutation of the group's indices")]

use rand::{Rng, RngExt};

use crate::domain::rule::Rule;

/// When a category has too few persons to be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoldRule {
    min_persons: u64,
    min_range: u64,
    protect_zeros: bool,
}

impl FoldRule {
    /// Categories with fewer persons than the rule's least number are folded, so that the range an
    /// attacker can compute for each is at least as wide as that number and as the rule asks for. With
    /// `protect_zeros`, categories without anybody make a group fold too; without it they are folded only along with others.
    #[must_use]
    pub const fn new(rule: &Rule, protect_zeros: bool) -> Self {
        let (min_persons, min_range) = (rule.min_persons() as u64, rule.min_range() as u64);
        Self { min_persons, min_range, protect_zeros }
    }

    /// Whether these counts make a group fold when fewer than `least` persons are too few.
    fn calls_for(&self, counts: &[u64], least: u64) -> bool {
        counts.iter().any(|&count| count < least && (count > 0 || self.protect_zeros))
    }

    /// The least number of persons that «øvrig» may have.
    fn enough(&self, least: u64) -> u64 {
        least.max(self.min_range) + 2
    }
}

/// What becomes of a group's categories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// All are shown.
    Shown,
    /// Those marked are folded into «øvrig».
    Some(Vec<bool>),
    /// None is shown, nor «øvrig», which would be the parent again.
    All,
}

/// The order in which categories are taken along, and how many more than needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Draw {
    pub(super) order: Vec<usize>,
    pub(super) extra: usize,
}

impl Draw {
    /// Draws without replacement, a category of n persons with weight 1/n² (Efraimidis and Spirakis,
    /// *Weighted random sampling with a reservoir*, 2006), and one more with probability 1/4 each time.
    pub(super) fn new(counts: &[u64], rng: &mut impl Rng) -> Self {
        let mut arrivals: Vec<(f64, usize)> = Vec::with_capacity(counts.len());
        for (index, &count) in counts.iter().enumerate() {
            let uniform: f64 = rng.random();
            #[allow(clippy::cast_precision_loss, reason = "a weight needs no more than 53 bits")]
            let size = count.max(1) as f64;
            arrivals.push((-(1.0 - uniform).ln() * size * size, index));
        }
        arrivals.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let mut extra = 0;
        while extra < counts.len() && rng.random_ratio(1, 4) {
            extra += 1;
        }
        Self { order: arrivals.into_iter().map(|(_, index)| index).collect(), extra }
    }
}

/// Decides for the categories of one group, given their persons.
pub(super) fn fate(counts: &[u64], draw: &Draw, rule: FoldRule) -> Fate {
    if !rule.calls_for(counts, rule.min_persons) {
        return Fate::Shown;
    }
    // Every looser rule's need is met too: that nests the groups of different rules.
    let looser = u64::from(Rule::LEAST)..=rule.min_persons;
    let need = looser.map(|least| needed(counts, &draw.order, rule, least)).max().unwrap_or(counts.len());
    let mut folded: Vec<bool> = counts.iter().map(|&count| count < rule.min_persons).collect();
    for &index in draw.order.iter().take(need.saturating_add(draw.extra)) {
        folded[index] = true;
    }
    if folded.iter().all(|&f| f) { Fate::All } else { Fate::Some(folded) }
}

/// How many of the order must be folded beside the categories of fewer than `least` persons.
fn needed(counts: &[u64], order: &[usize], rule: FoldRule, least: u64) -> usize {
    if !rule.calls_for(counts, least) {
        return 0;
    }
    let small = || counts.iter().filter(|&&count| count < least);
    let (mut members, mut sum) = (small().count(), small().sum::<u64>());
    let mut taken = 0;
    for &index in order {
        if members >= 2 && sum >= rule.enough(least) {
            return taken;
        }
        taken += 1;
        if counts[index] >= least {
            members += 1;
            sum += counts[index];
        }
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::RuleId;
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;
    use std::collections::{BTreeMap, BTreeSet};

    fn rule(k: u32, protect_zeros: bool) -> FoldRule {
        let rule = Rule::new(RuleId::new("r").unwrap(), k).unwrap();
        FoldRule::new(&rule, protect_zeros)
    }

    fn permutations(items: usize) -> Vec<Vec<usize>> {
        let mut all = vec![vec![]];
        for item in 0..items {
            all = all
                .into_iter()
                .flat_map(|p: Vec<usize>| {
                    (0..=p.len()).map(move |at| {
                        let mut longer = p.clone();
                        longer.insert(at, item);
                        longer
                    })
                })
                .collect();
        }
        all
    }

    /// What is shown of a group: each category's count if it is shown, the sum of «øvrig», the total.
    type Shown = (Vec<Option<u64>>, Option<u64>, u64);

    fn shown(counts: &[u64], fate: &Fate) -> Shown {
        let total = counts.iter().sum();
        match fate {
            Fate::Shown => (counts.iter().map(|&c| Some(c)).collect(), None, total),
            Fate::All => (vec![None; counts.len()], None, total),
            Fate::Some(folded) => {
                let kept = counts.iter().zip(folded).map(|(&c, &f)| (!f).then_some(c)).collect();
                let sum = counts.iter().zip(folded).filter(|(_, f)| **f).map(|(c, _)| c).sum();
                (kept, Some(sum), total)
            }
        }
    }

    /// The attacker knows the rule and every draw that there could be. It takes all counts of a group,
    /// all draws, and sees which counts give the same picture.
    fn enumerate(categories: usize, most: u64, rule: FoldRule) {
        let k = rule.min_persons;
        let orders = permutations(categories);
        let mut worlds: BTreeMap<Shown, BTreeSet<Vec<u64>>> = BTreeMap::new();
        for number in 0..(most + 1).pow(categories as u32) {
            let counts: Vec<u64> =
                (0..categories).map(|i| number / (most + 1).pow(i as u32) % (most + 1)).collect();
            if counts.iter().sum::<u64>() < k {
                continue; // the group would be folded above
            }
            for order in &orders {
                for extra in 0..=categories {
                    let fate = fate(&counts, &Draw { order: order.clone(), extra }, rule);
                    worlds.entry(shown(&counts, &fate)).or_default().insert(counts.clone());
                }
            }
        }
        let mut folds = 0;
        for ((kept, sum, total), worlds) in &worlds {
            for value in kept.iter().flatten().filter(|_| kept.contains(&None)) {
                assert!(*value >= k, "what is shown beside «øvrig» is not small");
            }
            assert!(sum.is_none_or(|s| s >= k + 2));
            // Where the folded sum to more than `most`, some of the attacker's worlds are not among these.
            if sum.unwrap_or(*total) > most {
                continue;
            }
            let members = kept.iter().filter(|v| v.is_none()).count();
            for category in (0..categories).filter(|&c| kept[c].is_none()) {
                folds += 1;
                let values: BTreeSet<u64> = worlds.iter().map(|w| w[category]).collect();
                let (low, high) = (*values.first().unwrap(), *values.last().unwrap());
                let wide = if sum.is_some() { k } else { k.min(total - 1) };
                assert!(high - low >= wide, "{kept:?} {sum:?} {total}: {low}..={high}");
                assert!(members == 2 || low == 0, "{kept:?} {sum:?}: it is told not to be empty");
            }
        }
        assert!(folds > 100, "{folds}");
    }

    #[test]
    fn an_attacker_who_tries_all_counts_and_draws_learns_no_small_count() {
        enumerate(3, 12, rule(3, false));
        enumerate(3, 9, rule(4, true));
        enumerate(4, 6, rule(3, false));
    }

    #[test]
    fn the_smallest_are_taken_along_as_a_rule() {
        let counts = [2, 9, 4000, 30, 900, 60_000];
        let mut taken = [0; 6];
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        for _ in 0..1000 {
            let folded = match fate(&counts, &Draw::new(&counts, &mut rng), rule(5, false)) {
                Fate::Some(folded) => folded,
                Fate::All => vec![true; 6],
                Fate::Shown => vec![false; 6],
            };
            assert!(folded[0]);
            for (count, folded) in taken.iter_mut().zip(folded) {
                *count += u32::from(folded);
            }
        }
        // Weight 1/81 against 1/900 and the rest.
        assert!(taken[1] > 850 && taken[5] < 30, "{taken:?}");
    }

    #[test]
    fn zeros_alone_are_shown_unless_they_are_protected() {
        let draw = Draw { order: vec![0, 1, 2], extra: 0 };
        assert_eq!(fate(&[0, 9, 9], &draw, rule(5, false)), Fate::Shown);
        assert_eq!(fate(&[0, 9, 9], &draw, rule(5, true)), Fate::Some(vec![true, true, false]));
        assert_eq!(fate(&[0, 2, 9], &draw, rule(5, false)), Fate::All);
        assert_eq!(fate(&[3, 9], &draw, rule(5, false)), Fate::All);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]
        #[test]
        fn the_groups_of_two_rules_are_nested(
            counts in prop::collection::vec(prop_oneof![0u64..6, 3u64..12, 10u64..100], 2..9),
            seed in any::<u64>(), k in 3u32..12, more in 1u32..8, zeros in any::<bool>(),
        ) {
            let draw = Draw::new(&counts, &mut ChaCha20Rng::seed_from_u64(seed));
            let members = |k| match fate(&counts, &draw, rule(k, zeros)) {
                Fate::Shown => vec![false; counts.len()],
                Fate::Some(folded) => folded,
                Fate::All => vec![true; counts.len()],
            };
            let (loose, strict) = (members(k), members(k + more));
            prop_assert!(loose.iter().zip(&strict).all(|(l, s)| !l || *s));
        }
    }
}
