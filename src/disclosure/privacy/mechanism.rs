//! Noise by OpenDP's samplers, its scale from the share of budget by exact arithmetic.
//!
//! With d the sensitivity in the norm that belongs to the mechanism and s the scale, a release costs
//! ρ = d²/2s²: of the discrete Gaussian with d in the second norm (Canonne, Kamath and Steinke 2020),
//! of the discrete Laplace with d in the first, being d/s-differentially private and therefore
//! (d/s)²/2-zCDP (Bun and Steinke 2016, proposition 1.4).
//!
//! OpenDP's measurements are not `Send`: each is built, checked and invoked inside one call, which an
//! asynchronous caller makes in `spawn_blocking`.

use opendp::domains::{AtomDomain, VectorDomain};
use opendp::measurements::{make_gaussian, make_laplace};
use opendp::measures::{MaxDivergence, ZeroConcentratedDivergence};
use opendp::metrics::{L1Distance, L2Distance};

use super::contribution::Sensitivity;
use super::law::Law;
use super::spending::Share;
pub use crate::domain::method::Mechanism;
use crate::domain::rho::Rho;

/// A number with noise, and how far it is at most from the true one with 95 % probability.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Noisy {
    /// The number. It may be negative: cutting it off would bias every sum.
    pub value: i64,
    /// The 95 % interval goes from `value - half_width` to `value + half_width`.
    pub half_width: u64,
}

/// The probability with which a number lies outside its interval.
pub(super) const OUTSIDE: f64 = 0.05;

/// Why nothing is released. None of these depends on the data, but for a table that is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PrivacyError {
    /// The share is zero, or the sensitivity so large that the noise would drown everything.
    #[error("the share of the privacy budget is too small for what one person can change")]
    TooLittle,
    /// Margins are wanted that are not sums, or fitted to noise that is not Gaussian.
    #[error("these margins need additive counts, and fitted ones the Gaussian mechanism")]
    Margins,
    /// The numbers do not fit their shape or bounds.
    #[error("the numbers do not fit the table's shape or their bounds")]
    NotATable,
    /// OpenDP refused, or charges more than the share.
    #[error("the noise could not be drawn")]
    Sampler,
}

/// A scale of noise, in 1024ths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scale(u64);

impl Scale {
    const PARTS: u64 = 1024;
    /// Beyond 2^38 noise drowns the largest register.
    const MOST: u64 = 1 << 48;

    /// The least scale at which noise for a sensitivity costs no more than `rho`: s² ≥ d²/2ρ. One part is
    /// added, so that OpenDP's own account, which rounds up in floating point, comes out below as well.
    fn new(mechanism: Mechanism, sensitivity: Sensitivity, rho: Rho) -> Result<Self, PrivacyError> {
        let squared = match mechanism {
            Mechanism::Laplace => sensitivity.l1().checked_mul(sensitivity.l1()),
            Mechanism::Gaussian => Some(sensitivity.l2_squared()),
        };
        let parts = u128::from(Self::PARTS * Self::PARTS) * u128::from(Rho::UNITS);
        let double = 2 * u128::from(rho.units());
        if double == 0 {
            return Err(PrivacyError::TooLittle);
        }
        let least = squared
            .and_then(|squared| squared.checked_mul(parts))
            .map(|numerator| numerator.div_ceil(double).isqrt() + 2)
            .and_then(|least| u64::try_from(least).ok())
            .filter(|least| *least <= Self::MOST);
        least.map(Self).ok_or(PrivacyError::TooLittle)
    }

    /// As OpenDP takes it; exact, since a scale has at most 48 bits.
    pub(super) fn value(self) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "at most 2^48")]
        let value = self.0 as f64 / Self::PARTS as f64;
        value
    }
}

/// Adds noise to numbers of which one person can change so much, and returns them with the law of the
/// noise. The share is spent.
pub(super) fn with_noise(
    values: &[i64],
    sensitivity: Sensitivity,
    mechanism: Mechanism,
    share: Share,
) -> Result<(Vec<i64>, Law), PrivacyError> {
    let rho = share.rho();
    let scale = Scale::new(mechanism, sensitivity, rho)?;
    let domain = VectorDomain::new(AtomDomain::<i64>::default()).with_size(values.len());
    let values = values.to_vec();
    let noisy = match mechanism {
        Mechanism::Laplace => {
            let metric = L1Distance::<f64>::default();
            let made = make_laplace::<_, _, MaxDivergence>(domain, metric, scale.value(), None);
            let made = made.map_err(|_| PrivacyError::Sampler)?;
            let epsilon = made.map(&up(sensitivity.l1())).map_err(|_| PrivacyError::Sampler)?;
            checked(epsilon * epsilon / 2.0, rho)?;
            made.invoke(&values)
        }
        Mechanism::Gaussian => {
            let metric = L2Distance::<f64>::default();
            let made = make_gaussian::<_, _, ZeroConcentratedDivergence>(domain, metric, scale.value(), None);
            let made = made.map_err(|_| PrivacyError::Sampler)?;
            let cost = made.map(&up(sensitivity.l2_squared()).sqrt().next_up());
            checked(cost.map_err(|_| PrivacyError::Sampler)?, rho)?;
            made.invoke(&values)
        }
    };
    Ok((noisy.map_err(|_| PrivacyError::Sampler)?, Law::new(mechanism, scale)))
}

/// Whether a share suffices for noise where one person can change so much: noise is made ready for it, and added to
/// nothing.
pub(super) fn suffices(
    sensitivity: Sensitivity,
    mechanism: Mechanism,
    share: Share,
) -> Result<(), PrivacyError> {
    with_noise(&[], sensitivity, mechanism, share).map(|_| ())
}

/// Numbers of which one person can change so much, with noise and intervals. Blocks; spends the share.
///
/// # Errors
/// [`PrivacyError::TooLittle`], [`PrivacyError::Sampler`].
pub fn noisy(
    values: &[i64],
    sensitivity: Sensitivity,
    mechanism: Mechanism,
    share: Share,
) -> Result<Vec<Noisy>, PrivacyError> {
    let (values, law) = with_noise(values, sensitivity, mechanism, share)?;
    let half_width = law.reach(OUTSIDE);
    Ok(values.into_iter().map(|value| Noisy { value, half_width }).collect())
}

/// A whole number as a floating-point one that is not smaller.
fn up(number: u128) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "made up for by the next number")]
    let near = number as f64;
    if number < 1 << 53 { near } else { near.next_up() }
}

/// Whether what OpenDP charges lies within the share.
pub(super) fn checked(cost: f64, rho: Rho) -> Result<(), PrivacyError> {
    #[allow(clippy::cast_precision_loss, reason = "at most 10^12")]
    let share = rho.units() as f64 / Rho::UNITS as f64;
    if cost <= share { Ok(()) } else { Err(PrivacyError::Sampler) }
}

#[cfg(test)]
#[path = "mechanism_tests.rs"]
mod tests;
