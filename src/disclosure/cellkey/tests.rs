//! The table against its law, and attackers who ask again and again.

use std::collections::BTreeMap;

use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;

use super::*;
use crate::domain::canonical::Digest;
use crate::domain::record_key::RecordKey;

fn table(min_persons: u32, bound: u32, variance_tenths: u32) -> PerturbationTable {
    PerturbationTable::new(Design { min_persons, bound, variance_tenths }).unwrap()
}

fn keys(records: usize, seed: u64) -> Vec<RecordKey> {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    (0..records).map(|_| RecordKey(rng.random())).collect()
}

/// Pearson's statistic of observed numbers against expected ones.
fn chi_square(observed: &[f64], expected: &[f64]) -> f64 {
    observed.iter().zip(expected).map(|(o, e)| (o - e) * (o - e) / e).sum()
}

/// The quantile of chi-square that is exceeded with probability below 1e-9 (Laurent and Massart 2000:
/// d + 2√(dx) + 2x with x = ln 1e9).
fn beyond_doubt(degrees: usize) -> f64 {
    let (d, x) = (degrees as f64, 1e9_f64.ln());
    d + 2.0 * (d * x).sqrt() + 2.0 * x
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]
    #[test]
    fn every_row_has_mean_zero_and_no_outcome_that_may_not_be(
        k in 3u32..10, more in 0u32..10, tenths in 5u32..200,
    ) {
        let design = Design { min_persons: k, bound: k + more, variance_tenths: tenths };
        prop_assume!(3 * tenths <= 10 * design.bound * (design.bound + 1));
        let table = PerturbationTable::new(design).unwrap();
        for count in 0..u64::from(2 * design.bound + k + 3) {
            let law: Vec<(i64, u64)> = table.law(count).collect();
            prop_assert_eq!(law.iter().map(|(_, share)| share).sum::<u64>(), 1 << 32);
            prop_assert_eq!(law.iter().map(|&(e, share)| e * share as i64).sum::<i64>(), 0);
            for (e, _) in &law {
                let value = count as i64 + e;
                prop_assert!(value == 0 || value >= i64::from(k));
                prop_assert!(e.unsigned_abs() <= u64::from(design.bound));
            }
            prop_assert!(count > 0 || law == [(0, 1 << 32)]);
            let variance = law.iter().map(|&(e, share)| (e * e) as f64 * share as f64).sum::<f64>() / (1u64 << 32) as f64;
            if count >= u64::from(design.bound + k) {
                prop_assert!((variance - f64::from(tenths) / 10.0).abs() < 1e-6);
            }
        }
    }
}

/// What a general solver (SciPy's SLSQP, on the primal problem) gives for counts of 6 and of 13 and more, to
/// within its error.
const SIX: [(i64, u64); 11] = [
    (-6, 246291564),
    (-1, 1369211884),
    (0, 1125627507),
    (1, 773200288),
    (2, 443774749),
    (3, 212817060),
    (4, 85275364),
    (5, 28550513),
    (6, 7986888),
    (7, 1866873),
    (8, 364606),
];
const MANY: [(i64, u64); 17] = [
    (-8, 288154),
    (-7, 1877775),
    (-6, 9530741),
    (-5, 37676786),
    (-4, 116007269),
    (-3, 278202289),
    (-2, 519637327),
    (-1, 755969241),
    (0, 856588133),
    (1, 755969241),
    (2, 519637327),
    (3, 278202289),
    (4, 116007269),
    (5, 37676786),
    (6, 9530741),
    (7, 1877775),
    (8, 288154),
];

#[test]
fn vectors() {
    let table = table(5, 8, 40);
    let law = |count| table.law(count).collect::<Vec<_>>();
    // A count of 1 is rounded without bias to 0 or 5.
    assert_eq!(law(1), [(-1, 3_435_973_837), (4, 858_993_458), (5, 1)]);
    for (found, expected) in [(law(6), &SIX[..]), (law(13), &MANY[..])] {
        assert_eq!(found.len(), expected.len());
        for ((e, share), (of, expected)) in found.iter().zip(expected) {
            assert_eq!(e, of);
            assert!(share.abs_diff(*expected) < 1000, "{found:?}");
        }
    }
    assert_eq!(law(1000), law(13));
    // Released values depend on the table: it stays as it is.
    let text = format!("{:?}", (0..14).map(law).collect::<Vec<_>>());
    let digest = Digest::of_bytes("kpr/perturbation-table/v1", text.as_bytes());
    assert_eq!(digest.to_string(), "6ef7ce51a1bb3ca94422f50f3503a1ca1268477544e094cf6085283220564811");
}

#[test]
fn the_same_persons_give_the_same_value_whatever_is_asked() {
    let table = table(5, 8, 40);
    let records = keys(40, 1);
    let cell: CellKey = records.iter().copied().collect();
    let shuffled: CellKey = records.iter().rev().copied().collect();
    assert_eq!(cell, shuffled);
    let first = table.perturb(40, cell);
    // The average over a thousand answers is the first answer.
    assert!((0..1000).all(|_| table.perturb(40, shuffled) == first));
    // The cell as the sum of two halves has the same key, though not a sum of the halves' values.
    let halves = records.chunks(20).map(|half| half.iter().copied().collect::<CellKey>());
    assert_eq!(halves.fold(0u64, |sum, half| sum.wrapping_add(half.value())), cell.value());
}

#[test]
fn noise_follows_its_law() {
    let table = table(5, 8, 40);
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    for count in [1u64, 3, 5, 6, 9, 12, 13, 5000] {
        let draws = 20_000;
        let mut seen: BTreeMap<i64, f64> = BTreeMap::new();
        for _ in 0..draws {
            let value = table.perturb(count, CellKey::new(rng.random()));
            *seen.entry(value as i64 - count as i64).or_default() += 1.0;
        }
        let law: Vec<(i64, f64)> = table
            .law(count)
            .map(|(e, share)| (e, share as f64 / (1u64 << 32) as f64 * f64::from(draws)))
            .collect();
        // Rare outcomes are one class.
        let (common, rare): (Vec<_>, Vec<_>) = law.into_iter().partition(|(_, expected)| *expected >= 5.0);
        let mut observed: Vec<f64> = common.iter().map(|(e, _)| seen.remove(e).unwrap_or(0.0)).collect();
        let mut expected: Vec<f64> = common.iter().map(|(_, expected)| *expected).collect();
        let rest: f64 = rare.iter().map(|(_, expected)| expected).sum();
        let others: f64 = seen.values().sum();
        if rest > 1.0 {
            observed.push(others);
            expected.push(rest);
        } else {
            assert!(others < 30.0);
        }
        let statistic = chi_square(&observed, &expected);
        assert!(statistic < beyond_doubt(expected.len() - 1), "{count}: {statistic}");
    }
}

#[test]
fn sets_that_differ_by_one_person_have_independent_noise() {
    let table = table(5, 6, 30);
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let (draws, count) = (30_000, 100);
    let mut seen: BTreeMap<(i64, i64), f64> = BTreeMap::new();
    for _ in 0..draws {
        let (cell, one) = (CellKey::new(rng.random()), RecordKey(rng.random()));
        let noise = |count: u64, key| table.perturb(count, key) as i64 - count as i64;
        *seen.entry((noise(count, cell), noise(count + 1, cell.with(one)))).or_default() += 1.0;
    }
    let law: Vec<(i64, f64)> = table.law(count).map(|(e, s)| (e, s as f64 / (1u64 << 32) as f64)).collect();
    let (mut observed, mut expected) = (vec![0.0], vec![0.0]);
    for &(a, p) in &law {
        for &(b, q) in &law {
            let (o, e) = (seen.get(&(a, b)).copied().unwrap_or(0.0), p * q * f64::from(draws));
            if e >= 5.0 {
                observed.push(o);
                expected.push(e);
            } else {
                observed[0] += o;
                expected[0] += e;
            }
        }
    }
    let statistic = chi_square(&observed, &expected);
    assert!(statistic < beyond_doubt(expected.len() - 1), "{statistic}");
}

#[test]
fn a_design_without_a_table_is_refused() {
    let refused = |min_persons, bound, variance_tenths| {
        PerturbationTable::new(Design { min_persons, bound, variance_tenths }).unwrap_err()
    };
    assert_eq!(refused(5, 4, 30), DesignError::Bound);
    assert_eq!(refused(2, 4, 30), DesignError::Bound);
    assert_eq!(refused(5, 201, 30), DesignError::Bound);
    assert_eq!(refused(5, 5, 101), DesignError::Variance);
    assert_eq!(refused(5, 5, 0), DesignError::Variance);
}

/// Exactly, from the law: whatever the count, its value's interval misses it with at most 5 %.
#[test]
fn intervals_hold_the_count_as_often_as_they_say() {
    for (k, bound, tenths) in [(5, 8, 40), (5, 10, 25), (3, 3, 20), (10, 40, 300)] {
        let table = table(k, bound, tenths);
        for count in 0..u64::from(3 * bound + k) {
            let missed = |&(noise, _): &(i64, u64)| {
                let (low, high) = table.interval(count.saturating_add_signed(noise));
                !(low..=high).contains(&count)
            };
            let outside: u64 = table.law(count).filter(missed).map(|(_, share)| share).sum();
            assert!(outside * 20 <= 1 << 32, "{k} {bound} {tenths}: {count}");
        }
        // Not wider than the noise goes, and about two standard deviations where nothing is in the way.
        let far = u64::from(10 * bound);
        let (low, high) = table.interval(far);
        let reach = 2.3 * (f64::from(tenths) / 10.0).sqrt() + 1.0;
        assert!(far - low <= u64::from(bound) && (high - far) as f64 <= reach, "{low} {high}");
    }
}
