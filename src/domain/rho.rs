//! Privacy loss in zero-concentrated differential privacy (zCDP), counted in whole units.
//!
//! A release is ρ-zCDP if for every person the Rényi divergence of order α between what could have come
//! out with and without that person is at most ρα, for every α > 1. Releases compose by adding their ρ
//! (Bun and Steinke 2016, lemma 1.7). The sum is one of whole numbers, so nothing is lost by rounding.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A privacy loss, in billionths of ρ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rho(u64);

/// A text that is no privacy loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a privacy loss is a decimal number from 0 to {most} with at most nine decimals", most = Rho::MOST)]
pub struct BadRho;

impl Rho {
    /// How many units one ρ has.
    pub const UNITS: u64 = 1_000_000_000;
    /// No loss.
    pub const ZERO: Self = Self(0);
    /// The most a loss may be. It is far beyond any that protects: ε is over 1,000 at δ = 10^-9.
    pub const MOST: Self = Self(1000 * Self::UNITS);

    /// So many billionths of ρ.
    ///
    /// # Errors
    /// [`BadRho`] over [`Rho::MOST`].
    pub const fn from_units(units: u64) -> Result<Self, BadRho> {
        if units <= Self::MOST.0 { Ok(Self(units)) } else { Err(BadRho) }
    }

    /// The loss of a release that is ε-differentially private: ε²/2 (Bun and Steinke 2016, proposition
    /// 1.4), rounded up. `epsilon` is in billionths.
    ///
    /// # Errors
    /// [`BadRho`] over [`Rho::MOST`].
    pub fn of_pure(epsilon: u64) -> Result<Self, BadRho> {
        let square = u128::from(epsilon) * u128::from(epsilon);
        let units = square.div_ceil(2 * u128::from(Self::UNITS));
        u64::try_from(units).map_err(|_| BadRho).and_then(Self::from_units)
    }

    /// In billionths.
    #[must_use]
    pub const fn units(self) -> u64 {
        self.0
    }

    /// The loss of both; none over [`Rho::MOST`].
    #[must_use]
    pub fn plus(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).and_then(|units| Self::from_units(units).ok())
    }

    /// What is left after `spent`; none if it is more.
    #[must_use]
    pub fn minus(self, spent: Self) -> Option<Self> {
        self.0.checked_sub(spent.0).map(Self)
    }

    /// The ε for which this loss is (ε, 10^-`exponent`)-differential privacy: ρ + 2√(ρ ln(1/δ)) (Bun and
    /// Steinke 2016, proposition 1.3), in thousandths, rounded up. For people to read; nothing is summed
    /// in it.
    #[must_use]
    pub fn epsilon_thousandths(self, exponent: u32) -> u64 {
        #[allow(clippy::cast_precision_loss, reason = "at most 10^12")]
        let rho = self.0 as f64 / Self::UNITS as f64;
        let epsilon = rho + 2.0 * (rho * f64::from(exponent) * std::f64::consts::LN_10).sqrt();
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "positive and at most 10^7; the margin is wider than the error of the logarithm"
        )]
        let thousandths = (epsilon * 1000.0 * (1.0 + 1e-12)).ceil() as u64;
        thousandths
    }
}

impl fmt::Display for Rho {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:09}", self.0 / Self::UNITS, self.0 % Self::UNITS);
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

impl FromStr for Rho {
    type Err = BadRho;
    fn from_str(text: &str) -> Result<Self, BadRho> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(decimals) || whole.len() > 4 || decimals.len() > 9 {
            return Err(BadRho);
        }
        let number = |part: &str| part.parse::<u64>().map_err(|_| BadRho);
        Self::from_units(number(whole)? * Self::UNITS + number(&format!("{decimals:0<9}"))?)
    }
}

impl TryFrom<String> for Rho {
    type Error = BadRho;
    fn try_from(text: String) -> Result<Self, BadRho> {
        text.parse()
    }
}

impl From<Rho> for String {
    fn from(rho: Rho) -> Self {
        rho.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rho(text: &str) -> Rho {
        text.parse().unwrap()
    }

    #[test]
    fn a_loss_reads_back_from_its_text() {
        for text in ["0", "0.5", "1", "0.000000001", "12.25", "1000"] {
            assert_eq!(rho(text).to_string(), text);
        }
        assert_eq!(rho("0.125").units(), 125_000_000);
        for text in ["", ".5", "1.", "-1", "+1", "1e3", "1000.000000001", "0.0000000001", "10000", "1,5"] {
            assert_eq!(text.parse::<Rho>(), Err(BadRho), "{text}");
        }
    }

    /// Worked by hand.
    #[test]
    fn compositions() {
        // ε = 0.1 is ρ = 0.005; twenty of them are 0.1.
        let tenth = Rho::of_pure(100_000_000).unwrap();
        assert_eq!(tenth, rho("0.005"));
        let twenty = (0..20).try_fold(Rho::ZERO, |sum, _| sum.plus(tenth)).unwrap();
        assert_eq!(twenty, rho("0.1"));
        // A Gaussian of σ = 10 with sensitivity √2 is ρ = 2/200; with twenty Laplace releases 0.11.
        assert_eq!(twenty.plus(rho("0.01")), Some(rho("0.11")));
        // In floating point ten tenths are not one.
        assert_eq!((0..10).try_fold(Rho::ZERO, |sum, _| sum.plus(rho("0.1"))), Some(rho("1")));
        // A third of ε rounds up: 0.333333333²/2 = 0.0555555554444444445.
        assert_eq!(Rho::of_pure(333_333_333).unwrap(), rho("0.055555556"));
        // The smallest ε costs a whole unit.
        assert_eq!(Rho::of_pure(1).unwrap().units(), 1);
        assert_eq!(rho("0.3").minus(rho("0.1")), Some(rho("0.2")));
        assert_eq!(rho("0.1").minus(rho("0.100000001")), None);
        assert_eq!(Rho::MOST.plus(rho("0.000000001")), None);
    }

    /// By hand: ln(10^6) = 13.815511; 0.5 + 2√6.9077553 = 5.756523; 0.005 + 2√0.0690776 = 0.530651.
    #[test]
    fn conversions() {
        assert_eq!(rho("0.5").epsilon_thousandths(6), 5757);
        assert_eq!(rho("0.005").epsilon_thousandths(6), 531);
        assert_eq!(Rho::ZERO.epsilon_thousandths(6), 0);
        assert!(Rho::MOST.epsilon_thousandths(9) > 1_000_000);
    }
}
