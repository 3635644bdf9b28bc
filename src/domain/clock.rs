//! The wall clock and the source of randomness, as parameters.

use chrono::{DateTime, NaiveDate, Utc};

/// Tells the time. The system's clock is made in `app`; tests hand in their own.
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> DateTime<Utc>;

    /// The date now, in UTC.
    fn today(&self) -> NaiveDate {
        self.now().date_naive()
    }
}

/// Gives random bytes for ids, salts and keys. The operating system's source is made in `app`.
pub trait Entropy: Send + Sync {
    /// Fills `bytes` with uniform random bytes.
    ///
    /// # Errors
    /// When the source does not answer; the caller fails closed.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError>;
}

/// The source of randomness did not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the operating system's source of randomness did not answer")]
pub struct EntropyError;

/// A clock that stands still at one instant.
#[derive(Debug, Clone, Copy)]
pub struct FixedClock(pub DateTime<Utc>);

impl Clock for FixedClock {
    fn now(&self) -> DateTime<Utc> {
        self.0
    }
}
