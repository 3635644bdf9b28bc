//! Probabilities as whole shares of 2^32, with the mean exactly zero.
//!
//! Shares are rounded to the nearest; what is then missing from the sum and from the mean goes to two
//! neighbouring outcomes. Steps of 2^-32 are far coarser than the last bits of a floating-point `exp`, so
//! that the table is the same on every machine, and far finer than anything that could be measured.
#![allow(clippy::indexing_slicing, reason = "shares stand beside the outcomes they belong to")]

use super::entropy::Greatest;

/// The whole.
pub(super) const WHOLE: i64 = 1 << 32;

/// The shares of the outcomes of `support`, ascending; none if they cannot be made whole.
pub(super) fn shares(support: &[i64], greatest: &Greatest) -> Option<Vec<u64>> {
    let shares = match greatest {
        Greatest::Spread(probabilities) => spread(support, probabilities),
        Greatest::Two(low, high) => two(support, *low, *high),
    }?;
    let sum: i64 = shares.iter().sum();
    let mean: i64 = support.iter().zip(&shares).map(|(e, s)| e * s).sum();
    if sum != WHOLE || mean != 0 {
        return None;
    }
    shares.into_iter().map(|s| u64::try_from(s).ok()).collect()
}

fn spread(support: &[i64], probabilities: &[f64]) -> Option<Vec<i64>> {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "a probability times 2^32, rounded"
    )]
    let mut shares: Vec<i64> = probabilities.iter().map(|p| (p * WHOLE as f64).round() as i64).collect();
    let sum = WHOLE - shares.iter().sum::<i64>();
    let mean = -support.iter().zip(&shares).map(|(e, s)| e * s).sum::<i64>();
    // x more at e and y more at e + 1 give x + y = sum and ex + (e + 1)y = mean.
    let neighbours = (1..support.len()).filter(|&i| support[i] == support[i - 1] + 1);
    let right = neighbours.max_by_key(|&i| (shares[i].min(shares[i - 1]), std::cmp::Reverse(i)))?;
    let y = mean - support[right - 1] * sum;
    shares[right] += y;
    shares[right - 1] += sum - y;
    Some(shares)
}

/// Two outcomes -m and b occur with shares b/(m+b) and m/(m+b). Where these are no whole shares, fewer
/// than m + b of 2^32 go to an outcome beside b.
fn two(support: &[i64], low: i64, high: i64) -> Option<Vec<i64>> {
    let mut shares = vec![0; support.len()];
    let place = |outcome: i64| support.iter().position(|&e| e == outcome);
    let width = high - low;
    if width == 0 {
        shares[place(0)?] = WHOLE;
        return Some(shares);
    }
    let rest = (-low * WHOLE).rem_euclid(width);
    // With the outcome b + d beside b: (m+b)y + (m+b+d)z = mW, so dz is what m·W leaves modulo m+b.
    let (beside, at_beside) = match (rest, place(high + 1)) {
        (0, _) => (high, 0),
        (_, Some(_)) => (high + 1, rest),
        (_, None) => (high - 1, width - rest),
    };
    let at_high = (-low * WHOLE - (beside - low) * at_beside) / width;
    shares[place(low)?] += WHOLE - at_high - at_beside;
    shares[place(high)?] += at_high;
    shares[place(beside)?] += at_beside;
    Some(shares)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_outcomes_have_mean_zero_exactly() {
        for (support, low, high) in
            [(vec![-1, 4, 5], -1, 4), (vec![-3, 2, 3], -3, 2), (vec![-2, 3, 4, 5], -2, 5), (vec![0], 0, 0)]
        {
            let shares = shares(&support, &Greatest::Two(low, high)).unwrap();
            assert_eq!(shares.iter().sum::<u64>(), 1 << 32);
        }
        assert_eq!(shares(&[-1, 4, 5], &Greatest::Two(-1, 4)), Some(vec![3_435_973_837, 858_993_458, 1]));
    }

    #[test]
    fn probabilities_that_do_not_sum_to_one_are_refused() {
        assert_eq!(shares(&[-1, 0, 1], &Greatest::Spread(vec![0.9, -0.8, 0.9])), None);
    }
}
