//! The laws of the noise, and how far it goes with a given probability.

use std::f64::consts::PI;

use super::mechanism::{Mechanism, Scale};

/// For larger scales the discrete Gaussian's tail is bounded by the continuous one's, half a unit off at
/// most; below, its own sum is taken.
const SUMMED: f64 = 1e5;

/// The noise of one mechanism at one scale.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Law {
    mechanism: Mechanism,
    scale: f64,
}

impl Law {
    pub(super) fn new(mechanism: Mechanism, scale: Scale) -> Self {
        Self { mechanism, scale: scale.value() }
    }

    /// The least t with P(|X| > t) ≤ `alpha`, from the discrete law.
    pub(super) fn reach(self, alpha: f64) -> u64 {
        match self.mechanism {
            Mechanism::Laplace => laplace_reach(self.scale, alpha),
            Mechanism::Gaussian => gaussian_reach(self.scale, alpha),
        }
    }

    /// A t with P(|X₁ + ... + Xₙ| > t) ≤ `alpha` for independent noises.
    pub(super) fn reach_of_sum(self, n: u64, alpha: f64) -> u64 {
        if n <= 1 {
            return self.reach(alpha);
        }
        #[allow(clippy::cast_precision_loss, reason = "a number of cells")]
        let n = n as f64;
        match self.mechanism {
            Mechanism::Gaussian => {
                // The sum is a discrete Gaussian of n times the variance up to a factor e^τ, with
                // τ ≤ 10n·exp(-π²σ²) (Kairouz, Liu and Steinke 2021).
                let tau = 10.0 * n * (-PI * PI * self.scale * self.scale).exp();
                if tau < 0.01 {
                    gaussian_reach(self.scale * n.sqrt(), alpha * (-tau).exp())
                } else {
                    self.reach_of_mixture(n, alpha)
                }
            }
            Mechanism::Laplace => ceil(chernoff(self.scale, n, alpha)),
        }
    }

    /// A t with P(|Σ aᵢXᵢ| > t) ≤ `alpha` for Gaussian noises with Σ aᵢ² = `squares`: the discrete Gaussian
    /// is sub-Gaussian with its scale (Canonne, Kamath and Steinke 2020).
    pub(super) fn reach_of_mixture(self, squares: f64, alpha: f64) -> u64 {
        ceil(self.scale * (2.0 * squares * (2.0 / alpha).ln()).sqrt())
    }

    /// The probability of a noise of `x`.
    #[cfg(test)]
    pub(super) fn probability(self, x: i64) -> f64 {
        match self.mechanism {
            Mechanism::Laplace => {
                let q = (-1.0 / self.scale).exp();
                (1.0 - q) / (1.0 + q) * (-(x.abs() as f64) / self.scale).exp()
            }
            Mechanism::Gaussian => kernel(x as f64, self.scale) / norm(self.scale),
        }
    }
}

/// Rounds up. Errors of floating point are covered by a margin.
fn ceil(x: f64) -> u64 {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturates, and x is positive"
    )]
    let up = (x * (1.0 + 1e-12)).ceil() as u64;
    up
}

/// P(|X| > t) = 2q^(t+1)/(1+q), q = e^(-1/b).
fn laplace_reach(b: f64, alpha: f64) -> u64 {
    let q = (-1.0 / b).exp();
    let t = -b * (alpha * (1.0 + q) / 2.0).ln() - 1.0;
    ceil(t.max(0.0))
}

fn kernel(x: f64, sigma: f64) -> f64 {
    (-x * x / (2.0 * sigma * sigma)).exp()
}

/// Σ exp(-x²/2σ²) over the whole numbers; for large σ by Poisson's formula.
fn norm(sigma: f64) -> f64 {
    if sigma > 1.0 {
        (1..4).fold(sigma * (2.0 * PI).sqrt(), |sum, k| {
            sum + 2.0 * sigma * (2.0 * PI).sqrt() * (-2.0 * (PI * sigma * f64::from(k)).powi(2)).exp()
        })
    } else {
        (1..40).fold(1.0, |sum, x| sum + 2.0 * kernel(f64::from(x), sigma))
    }
}

fn gaussian_reach(sigma: f64, alpha: f64) -> u64 {
    if sigma > SUMMED {
        // P(X ≥ t + 1) ≤ P(N ≥ t) (Canonne, Kamath and Steinke 2020, proposition 25), and P(N ≥ zσ) is at
        // most α/2 at the z of the Gaussian's tail.
        return ceil(sigma * gaussian_quantile(alpha));
    }
    let inside = norm(sigma) * (1.0 - alpha * (1.0 - 1e-9));
    let (mut sum, mut t) = (1.0, 0);
    let mut x = 0.0;
    while sum < inside {
        t += 1;
        x += 1.0;
        let more = 2.0 * kernel(x, sigma);
        if more == 0.0 {
            break;
        }
        sum += more;
    }
    t
}

/// A z with P(|N| > z) ≤ `alpha`: the least, by halving, of the tail 2φ(z)/z·(1 - 1/z² + 3/z⁴) from above.
fn gaussian_quantile(alpha: f64) -> f64 {
    // The tail by numerical integration of the density from z on, in steps small beside its width.
    let tail = |z: f64| {
        let step = 1e-3;
        let density = |x: f64| (-x * x / 2.0).exp();
        let points = (0..12_000).map(|i| {
            let x = z + f64::from(i) * step;
            (density(x) + 4.0 * density(x + step / 2.0) + density(x + step)) * step / 6.0
        });
        2.0 * points.sum::<f64>() / (2.0 * PI).sqrt()
    };
    let (mut low, mut high) = (0.0, 10.0);
    for _ in 0..50 {
        let middle = f64::midpoint(low, high);
        if tail(middle) > alpha { low = middle } else { high = middle }
    }
    high * (1.0 + 1e-9)
}

/// The least (n ln M(λ) + ln(2/α))/λ over some λ, M the generating function of discrete Laplace noise; by
/// Chernoff's bound each of them is reached with probability at most α.
fn chernoff(b: f64, n: f64, alpha: f64) -> f64 {
    let q = (-1.0 / b).exp();
    let bound = |lambda: f64| {
        let m = 2.0 * (1.0 - q).ln() - (1.0 - q * lambda.exp()).ln() - (1.0 - q * (-lambda).exp()).ln();
        (n * m + (2.0 / alpha).ln()) / lambda
    };
    (1..2000).map(|i| bound(f64::from(i) / (2000.0 * b))).fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn law(mechanism: Mechanism, thousandths: u64) -> Law {
        Law { mechanism, scale: thousandths as f64 / 1000.0 }
    }

    /// P(|X| > t) by adding up the law.
    fn outside(law: Law, t: u64) -> f64 {
        1.0 - (-(t as i64)..=t as i64).map(|x| law.probability(x)).sum::<f64>()
    }

    #[test]
    fn the_reach_is_the_least_that_suffices() {
        for mechanism in [Mechanism::Laplace, Mechanism::Gaussian] {
            for scale in [100, 400, 999, 1000, 1500, 4000, 33_333, 250_000] {
                let law = law(mechanism, scale);
                for alpha in [0.05, 0.025] {
                    let t = law.reach(alpha);
                    assert!(outside(law, t) <= alpha * (1.0 + 1e-8), "{law:?} {t}");
                    assert!(t == 0 || outside(law, t - 1) > alpha, "{law:?} {t}");
                }
            }
        }
    }

    #[test]
    fn laws_sum_to_one() {
        for mechanism in [Mechanism::Laplace, Mechanism::Gaussian] {
            for scale in [100, 999, 1001, 20_000] {
                assert!(outside(law(mechanism, scale), 1000).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn a_large_scale_goes_over_smoothly() {
        let just_below = gaussian_reach(SUMMED, 0.05);
        let just_above = gaussian_reach(SUMMED * (1.0 + 1e-9), 0.05);
        assert!(just_above >= just_below && just_above - just_below <= 2);
        assert!((gaussian_quantile(0.05) - 1.959_963_985).abs() < 1e-7);
    }

    /// The sum of independent noises, by convolution.
    #[test]
    fn sums_stay_within_their_reach() {
        for (mechanism, scale) in
            [(Mechanism::Laplace, 3000), (Mechanism::Gaussian, 3000), (Mechanism::Gaussian, 400)]
        {
            let law = law(mechanism, scale);
            let one: Vec<f64> = (-60..=60).map(|x| law.probability(x)).collect();
            let mut sum = one.clone();
            for n in 2..=5u64 {
                let mut next = vec![0.0; sum.len() + 120];
                for (i, a) in sum.iter().enumerate() {
                    for (j, b) in one.iter().enumerate() {
                        next[i + j] += a * b;
                    }
                }
                sum = next;
                let t = law.reach_of_sum(n, 0.05) as usize;
                let middle = sum.len() / 2;
                let out = 1.0 - sum[middle - t..=middle + t].iter().sum::<f64>();
                assert!(out <= 0.05, "{law:?} {n} {t} {out}");
                // Not far too wide either: the least that suffices, by the convolution.
                let within = |t: usize| sum[middle - t..=middle + t].iter().sum::<f64>();
                let least = (0..middle).find(|&t| within(t) >= 0.95).unwrap();
                assert!(t <= 2 * least + 1, "{law:?} {n} {t} {least}");
            }
        }
    }
}
