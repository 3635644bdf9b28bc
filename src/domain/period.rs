//! A period of whole days.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

/// From one day to another, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Bare", into = "Bare")]
pub struct Period {
    from: NaiveDate,
    to: NaiveDate,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bare {
    from: NaiveDate,
    to: NaiveDate,
}

/// A period that ends before it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a period must not end before it begins")]
pub struct BackwardPeriod;

impl Period {
    /// The days `from` to `to`, both included.
    ///
    /// # Errors
    /// [`BackwardPeriod`].
    pub fn new(from: NaiveDate, to: NaiveDate) -> Result<Self, BackwardPeriod> {
        if from <= to { Ok(Self { from, to }) } else { Err(BackwardPeriod) }
    }

    /// The first day.
    #[must_use]
    pub const fn from(&self) -> NaiveDate {
        self.from
    }

    /// The last day.
    #[must_use]
    pub const fn to(&self) -> NaiveDate {
        self.to
    }

    /// Whether `day` is in it.
    #[must_use]
    pub fn contains(&self, day: NaiveDate) -> bool {
        self.from <= day && day <= self.to
    }

    /// Whether every day of `other` is in it.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.contains(other.from) && self.contains(other.to)
    }
}

impl TryFrom<Bare> for Period {
    type Error = BackwardPeriod;
    fn try_from(bare: Bare) -> Result<Self, BackwardPeriod> {
        Self::new(bare.from, bare.to)
    }
}

impl From<Period> for Bare {
    fn from(period: Period) -> Self {
        Self { from: period.from, to: period.to }
    }
}
