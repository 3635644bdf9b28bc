//! The distribution of greatest entropy on given whole numbers, with mean zero and a given variance.
//!
//! Where the variance lies strictly between the least and the most that mean zero allows, it is
//! p(e) ∝ exp(λe + μe²), and (λ, μ) is the least point of the convex dual
//! ln Σ exp(λe + μe²) - μV (Jaynes 1957; Giessing 2016 for perturbation tables). Newton's method finds it.
#![allow(clippy::indexing_slicing, reason = "two by two matrices, and a support that has a first and a last")]

/// A distribution, or the two outcomes on which all of it lies.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Greatest {
    /// A probability for each outcome of the support.
    Spread(Vec<f64>),
    /// Only these two occur, one below zero and one above, or zero alone.
    Two(i64, i64),
}

/// How near to an end of the possible variances it is taken as that end, relatively.
const EDGE: f64 = 1e-3;

/// The distribution on `support`, ascending whole numbers, with mean zero and the variance that comes
/// nearest to the one asked for; none if there is no distribution with mean zero, or it is not found.
pub(super) fn greatest(support: &[i64], variance: f64) -> Option<Greatest> {
    let below = support.iter().copied().filter(|&e| e < 0);
    let above = support.iter().copied().filter(|&e| e > 0);
    let (Some(lowest), Some(highest)) = (below.clone().min(), above.clone().max()) else {
        return support.contains(&0).then_some(Greatest::Two(0, 0));
    };
    #[allow(clippy::cast_precision_loss, reason = "outcomes are at most a few hundred")]
    let spread = |low: i64, high: i64| -(low * high) as f64;
    if variance > spread(lowest, highest) * (1.0 - EDGE) {
        return Some(Greatest::Two(lowest, highest));
    }
    if !support.contains(&0) {
        let (low, high) = (below.max()?, above.min()?);
        if variance < spread(low, high) * (1.0 + EDGE) {
            return Some(Greatest::Two(low, high));
        }
    }
    newton(support, variance).map(Greatest::Spread)
}

/// The least point of the dual, and the distribution that belongs to it.
fn newton(support: &[i64], variance: f64) -> Option<Vec<f64>> {
    let unit = support.iter().map(|e| e.unsigned_abs()).max()?;
    #[allow(clippy::cast_precision_loss, reason = "outcomes are at most a few hundred")]
    let (points, unit): (Vec<f64>, f64) =
        (support.iter().map(|&e| e as f64 / unit as f64).collect(), unit as f64);
    let target = variance / (unit * unit);
    let (mut at, mut value) = ([0.0, 0.0], f64::INFINITY);
    let mut step = [0.0, 0.0];
    let mut length = 1.0;
    for _ in 0..500 {
        let next = [at[0] + length * step[0], at[1] + length * step[1]];
        let (log_sum, p) = weights(&points, next);
        let dual = log_sum - next[1] * target;
        // A step that goes up is halved; convexity sees to it that a short one goes down.
        if dual > value + 1e-12 {
            length /= 2.0;
            continue;
        }
        (at, value, length) = (next, dual, 1.0);
        let moment = |power: i32| points.iter().zip(&p).map(|(a, p)| p * a.powi(power)).sum::<f64>();
        let (m1, m2, m3, m4) = (moment(1), moment(2), moment(3), moment(4));
        let gradient = [m1, m2 - target];
        if gradient[0].abs().max(gradient[1].abs()) < 1e-13 {
            return Some(p);
        }
        let (a, b, c) = (m2 - m1 * m1, m3 - m1 * m2, m4 - m2 * m2);
        let determinant = a * c - b * b;
        if determinant <= 0.0 {
            return None;
        }
        step = [
            -(c * gradient[0] - b * gradient[1]) / determinant,
            -(a * gradient[1] - b * gradient[0]) / determinant,
        ];
    }
    None
}

/// ln Σ exp(λa + μa²), and the probabilities.
fn weights(points: &[f64], [first, second]: [f64; 2]) -> (f64, Vec<f64>) {
    let exponents: Vec<f64> = points.iter().map(|a| first * a + second * a * a).collect();
    let top = exponents.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = exponents.iter().map(|x| (x - top).exp()).collect();
    let sum: f64 = weights.iter().sum();
    (top + sum.ln(), weights.into_iter().map(|w| w / sum).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn moments(support: &[i64], p: &[f64]) -> (f64, f64, f64) {
        let sum = |f: &dyn Fn(f64) -> f64| support.iter().zip(p).map(|(&e, p)| p * f(e as f64)).sum::<f64>();
        (sum(&|_| 1.0), sum(&|e| e), sum(&|e| e * e))
    }

    proptest! {
        /// The conditions of optimality (Kuhn and Tucker): mean and variance hold, and ln p is a quadratic
        /// in the outcome. The dual is convex, so they suffice.
        #[test]
        fn the_conditions_of_optimality_hold(
            count in 0i64..20, k in 3i64..8, more in 0i64..8, tenths in 5u32..120,
        ) {
            let bound = k + more;
            let support: Vec<i64> =
                (-bound.min(count)..=bound).filter(|e| count + e == 0 || count + e >= k).collect();
            prop_assume!(count > 0);
            let variance = f64::from(tenths) / 10.0;
            let Greatest::Spread(p) = greatest(&support, variance).unwrap() else { return Ok(()) };
            let (sum, mean, square) = moments(&support, &p);
            prop_assert!((sum - 1.0).abs() < 1e-12 && mean.abs() < 1e-9);
            prop_assert!((square - variance).abs() < 1e-8 * variance.max(1.0));
            if support.len() > 3 {
                // Through the likeliest outcomes, where logarithms are exact enough.
                let mut by: Vec<usize> = (0..p.len()).collect();
                by.sort_by(|&a, &b| p[b].total_cmp(&p[a]));
                let (x, y): (Vec<f64>, Vec<f64>) =
                    by[..4].iter().map(|&i| (support[i] as f64, p[i].ln())).unzip();
                // The third divided difference of a quadratic is zero.
                let third: f64 = (0..4)
                    .map(|i| y[i] / (0..4).filter(|&j| j != i).map(|j| x[i] - x[j]).product::<f64>())
                    .sum();
                prop_assert!(third.abs() < 1e-7, "{third}");
            }
        }
    }

    #[test]
    fn the_ends_of_what_is_possible_are_two_outcomes() {
        assert_eq!(greatest(&[-1, 4, 5, 6], 3.0), Some(Greatest::Two(-1, 4)));
        assert_eq!(greatest(&[-1, 4, 5, 6], 30.0), Some(Greatest::Two(-1, 6)));
        assert_eq!(greatest(&[0], 3.0), Some(Greatest::Two(0, 0)));
        assert_eq!(greatest(&[1, 2], 3.0), None);
    }
}
