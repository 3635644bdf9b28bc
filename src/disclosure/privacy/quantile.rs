//! Quantiles among public candidates, by the exponential mechanism.

use opendp::domains::{AtomDomain, VectorDomain};
use opendp::measurements::make_private_quantile;
use opendp::measures::ZeroConcentratedDivergence;
use opendp::metrics::SymmetricDistance;

use super::mechanism::{OUTSIDE, PrivacyError, checked};
use super::spending::Share;
use crate::domain::rho::Rho;

/// A quantile, and how far its place may be off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoisyQuantile {
    /// The candidate chosen.
    pub value: i64,
    /// With 95 % probability, (1 - a) times the values below it and a times those above differ by no more
    /// than this beyond the best candidate, a being the quantile's place.
    pub rank_error: u64,
}

/// The candidate nearest to the quantile at `place` (0.5 for the median) of values of which one person has
/// at most `per_person`. A candidate scores by how far the numbers of values below and above it are from
/// the wanted proportion (Smith 2011); it is drawn with a probability that falls exponentially in the score.
/// Candidates are public: from the catalogue, never from the data. Blocks; spends the share.
///
/// # Errors
/// [`PrivacyError`].
pub fn noisy_quantile(
    values: Vec<i64>,
    candidates: Vec<i64>,
    place: f64,
    per_person: u32,
    share: Share,
) -> Result<NoisyQuantile, PrivacyError> {
    let ascending = candidates.windows(2).all(|pair| pair.first() < pair.last());
    if candidates.is_empty() || !ascending || !(0.0..=1.0).contains(&place) {
        return Err(PrivacyError::Candidates);
    }
    let rho = share.rho();
    if rho == Rho::ZERO || per_person == 0 {
        return Err(PrivacyError::TooLittle);
    }
    // Scores change by m = per_person · max(a, 1 - a) at most, and the mechanism, being of bounded range 2m/s,
    // costs (2m/s)²/8 (Cesar and Rogers 2021). OpenDP takes the place as a fraction of at most 10,000
    // parts, which can be a little over.
    #[allow(clippy::cast_precision_loss, reason = "at most 10^12")]
    let budget = rho.units() as f64 / Rho::UNITS as f64;
    let change = f64::from(per_person) * (place.max(1.0 - place) + 1e-4);
    let scale = change / (2.0 * budget).sqrt() * (1.0 + 1e-9);
    #[allow(clippy::cast_precision_loss, reason = "a number of candidates")]
    let choices = candidates.len() as f64;
    let made = make_private_quantile(
        VectorDomain::new(AtomDomain::<i64>::default()),
        SymmetricDistance,
        ZeroConcentratedDivergence,
        candidates,
        place,
        scale,
    )
    .map_err(|_| PrivacyError::Sampler)?;
    checked(made.map(&per_person).map_err(|_| PrivacyError::Sampler)?, rho)?;
    let value = made.invoke(&values).map_err(|_| PrivacyError::Sampler)?;
    // P(score > best + s ln(c/α)) ≤ α (McSherry and Talwar 2007).
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and is positive")]
    let rank_error = (scale * (choices / OUTSIDE).ln()).ceil() as u64;
    Ok(NoisyQuantile { value, rank_error })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_are_drawn_by_their_scores() {
        // Median of 1..=9 among 1..=9: the score of c is |(c - 1) - (9 - c)|/2 = |c - 5|.
        let values: Vec<i64> = (1..=9).collect();
        // Place 0.5 and one value a person: m = 0.5, and with ρ = 0.125 a scale of 1 (1.0002 with the margin).
        let scale = 0.5001 / 0.5;
        let weights: Vec<f64> = (1..=9).map(|c: i32| (-f64::from((c - 5).abs()) / scale).exp()).collect();
        let sum: f64 = weights.iter().sum();
        let draws = 3000;
        let mut seen = [0.0; 9];
        for _ in 0..draws {
            let drawn = noisy_quantile(values.clone(), values.clone(), 0.5, 1, Share::of("0.125")).unwrap();
            seen[(drawn.value - 1) as usize] += 1.0;
            assert_eq!(drawn.rank_error, 6); // ln(180) = 5.19
        }
        let statistic: f64 = weights
            .iter()
            .zip(seen)
            .map(|(w, seen)| (w / sum * f64::from(draws), seen))
            .map(|(expected, seen): (f64, f64)| (seen - expected).powi(2) / expected)
            .sum();
        // Eight degrees of freedom: over 62 with probability below 1e-9; some room for small classes.
        assert!(statistic < 75.0, "{statistic} {seen:?}");
    }

    #[test]
    fn what_is_not_a_quantile_is_refused_before_the_data_are_read() {
        let ask = |candidates: Vec<i64>, place, per_person, share| {
            noisy_quantile(vec![1, 2, 3], candidates, place, per_person, Share::of(share))
        };
        assert_eq!(ask(vec![], 0.5, 1, "1"), Err(PrivacyError::Candidates));
        assert_eq!(ask(vec![2, 1], 0.5, 1, "1"), Err(PrivacyError::Candidates));
        assert_eq!(ask(vec![1, 1], 0.5, 1, "1"), Err(PrivacyError::Candidates));
        assert_eq!(ask(vec![1, 2], f64::NAN, 1, "1"), Err(PrivacyError::Candidates));
        assert_eq!(ask(vec![1, 2], 0.5, 0, "1"), Err(PrivacyError::TooLittle));
        assert_eq!(ask(vec![1, 2], 0.5, 1, "0"), Err(PrivacyError::TooLittle));
        for place in [0.0, 0.1, 0.25, 0.9, 0.999, 1.0 / 3.0, 1.0] {
            assert!(ask(vec![1, 2], place, 3, "0.01").is_ok());
        }
    }
}
