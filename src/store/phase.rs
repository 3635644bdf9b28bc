//! The phases of a run.

use std::fmt;
use std::str::FromStr;

/// Where a run is. It goes forward only, and ends as released, refused or failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// The query falls under its approval.
    Authorised,
    /// The partner has its order; codes are being mapped.
    Linking,
    /// The engine counts.
    Executing,
    /// Disclosure control.
    Protecting,
    /// Microdata that two stewards have yet to release.
    Held,
    /// The result may be fetched.
    Released,
    /// A rule or a party refused.
    Refused,
    /// Something went wrong.
    Failed,
}

impl Phase {
    /// All phases.
    pub const ALL: [Self; 8] = [
        Self::Authorised,
        Self::Linking,
        Self::Executing,
        Self::Protecting,
        Self::Held,
        Self::Released,
        Self::Refused,
        Self::Failed,
    ];

    /// The name it has in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Authorised => "authorised",
            Self::Linking => "linking",
            Self::Executing => "executing",
            Self::Protecting => "protecting",
            Self::Held => "held",
            Self::Released => "released",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }

    /// Whether nothing follows it.
    #[must_use]
    pub const fn is_end(self) -> bool {
        matches!(self, Self::Released | Self::Refused | Self::Failed)
    }

    /// Whether `next` may follow it.
    #[must_use]
    pub fn may_become(self, next: Self) -> bool {
        !self.is_end() && self < next
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a phase of a run")]
pub struct UnknownPhase;

impl FromStr for Phase {
    type Err = UnknownPhase;
    fn from_str(text: &str) -> Result<Self, UnknownPhase> {
        Self::ALL.into_iter().find(|phase| phase.as_str() == text).ok_or(UnknownPhase)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_goes_forward_and_ends_once() {
        assert!(Phase::Authorised.may_become(Phase::Linking));
        assert!(Phase::Linking.may_become(Phase::Refused));
        assert!(!Phase::Executing.may_become(Phase::Linking));
        assert!(Phase::Held.may_become(Phase::Released) && !Phase::Held.may_become(Phase::Protecting));
        for end in [Phase::Released, Phase::Refused, Phase::Failed] {
            assert!(Phase::ALL.into_iter().all(|next| !end.may_become(next)));
        }
        for phase in Phase::ALL {
            assert_eq!(phase.as_str().parse(), Ok(phase));
        }
    }
}
