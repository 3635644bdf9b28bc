//! The samplers against their laws, and the account against the shares.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use proptest::prelude::*;

use super::*;
use crate::disclosure::privacy::contribution::Contribution;

fn sensitivity(cells: u32, per_cell: u32) -> Sensitivity {
    let count = |n| NonZeroU32::new(n).unwrap();
    Contribution::of_events(count(cells), count(per_cell)).of_inner_cells()
}

fn rho(text: &str) -> Rho {
    text.parse().unwrap()
}

/// By hand: σ = √(12/(2·0.06)) = 10, b = 6/√(2·0.02) = 30, each two parts of 1024 more.
#[test]
fn scales_by_hand() {
    let of = |mechanism, text| Scale::new(mechanism, sensitivity(3, 2), rho(text)).unwrap().0;
    assert_eq!(of(Mechanism::Gaussian, "0.06"), 10 * 1024 + 2 - 1 + 1);
    assert_eq!(of(Mechanism::Laplace, "0.02"), 30 * 1024 + 2);
}

proptest! {
    /// The scale costs no more than the share, by exact arithmetic and by OpenDP's own account, and not
    /// much less.
    #[test]
    fn no_release_costs_more_than_its_share(
        cells in 1u32..100_000, per_cell in 1u32..1000, units in 1u64..10_000_000_000,
    ) {
        let (sensitivity, rho) = (sensitivity(cells, per_cell), Rho::from_units(units).unwrap());
        for mechanism in [Mechanism::Laplace, Mechanism::Gaussian] {
            let Ok(scale) = Scale::new(mechanism, sensitivity, rho) else { continue };
            let squared = match mechanism {
                Mechanism::Laplace => sensitivity.l1() * sensitivity.l1(),
                Mechanism::Gaussian => sensitivity.l2_squared(),
            };
            // d²·10^9 ≤ 2·ρ·s² in whole numbers.
            let side = |s: u64| 2 * u128::from(units) * u128::from(s) * u128::from(s);
            let cost = squared * (1024 * 1024) * 1_000_000_000;
            prop_assert!(cost <= side(scale.0));
            prop_assert!(scale.0 <= 4 || cost > side(scale.0 - 4));
            let none = with_noise(&[], sensitivity, mechanism, Share::of(&rho.to_string()));
            prop_assert!(none.is_ok());
        }
    }
}

#[test]
fn a_share_of_nothing_buys_nothing() {
    for mechanism in [Mechanism::Laplace, Mechanism::Gaussian] {
        let none = noisy(&[1], sensitivity(1, 1), mechanism, Share::of("0"));
        assert_eq!(none, Err(PrivacyError::TooLittle));
        let drowned = sensitivity(1, 1).times(1 << 62).times(1 << 30);
        assert_eq!(noisy(&[1], drowned, mechanism, Share::of("1")), Err(PrivacyError::TooLittle));
    }
}

/// Each mechanism's draws against its law by Pearson's statistic; OpenDP's sampler takes no seed, so the
/// threshold is one that a right sampler exceeds with probability below 1e-9.
#[test]
fn noise_follows_its_law() {
    let draws = 4000;
    for (mechanism, share) in [
        (Mechanism::Laplace, "0.125"),
        (Mechanism::Laplace, "0.005"),
        (Mechanism::Gaussian, "0.125"),
        (Mechanism::Gaussian, "0.01"),
        (Mechanism::Gaussian, "1"),
    ] {
        let (values, law) =
            with_noise(&vec![100; draws], sensitivity(1, 1), mechanism, Share::of(share)).unwrap();
        let mut seen: BTreeMap<i64, f64> = BTreeMap::new();
        for value in values {
            *seen.entry(value - 100).or_default() += 1.0;
        }
        // Classes of at least 25 expected draws from the middle outwards, and one for both tails.
        let (mut statistic, mut classes, mut inside) = (0.0, 0, 0.0);
        let mut tail = seen.clone();
        for x in (0..200).flat_map(|x: i64| if x == 0 { vec![0] } else { vec![x, -x] }) {
            let expected = law.probability(x) * draws as f64;
            if expected >= 25.0 {
                let observed = tail.remove(&x).unwrap_or(0.0);
                statistic += (observed - expected).powi(2) / expected;
                classes += 1;
                inside += expected;
            }
        }
        let (expected, observed) = (draws as f64 - inside, tail.values().sum::<f64>());
        if expected > 1.0 {
            statistic += (observed - expected).powi(2) / expected;
        }
        // Laurent and Massart 2000; and room for the discreteness of the classes.
        let (d, x) = (f64::from(classes), 1e9_f64.ln());
        assert!(statistic < 1.3 * (d + 2.0 * (d * x).sqrt() + 2.0 * x), "{mechanism:?} {share}: {statistic}");
        assert!(classes > 3);
        let t = law.reach(OUTSIDE) as i64;
        let out: f64 = seen.iter().filter(|(x, _)| x.abs() > t).map(|(_, n)| n).sum();
        // 5 % of 4000 at most: over 300 with probability below 1e-11 (Bernstein).
        assert!(out < 300.0, "{out}");
    }
}
