//! Why a step is not recorded, and why nothing may be asked or released.

use chrono::NaiveDate;

use crate::domain::ids::{OrganisationId, StewardId};
use crate::domain::period::Period;
use crate::domain::refusal::{Refusal, RefusalKind};

/// Why a step is not recorded: what was asked, and what would be accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LifeError {
    /// The project is closed.
    #[error("the project is closed, and nothing follows that; a new project needs an id of its own")]
    Closed,
    /// Another application is still to be decided.
    #[error("version {version} is still to be decided ({stage}): sign, reject or withdraw it first")]
    ApplicationOpen {
        /// Its version.
        version: u32,
        /// Where it is.
        stage: &'static str,
    },
    /// The version does not follow the last one.
    #[error("the next version to enter is {next}")]
    NextVersion {
        /// The version that would be accepted.
        next: u32,
    },
    /// There is no such version.
    #[error("the project has no version {0}")]
    NoVersion(u32),
    /// A signature on what is not complete yet.
    #[error("version {0} is not marked complete; a steward records that first, then signatures count")]
    NotComplete(u32),
    /// The application is past or before that step.
    #[error("version {version} is {stage}, so {asked} cannot be recorded; accepted is: {accepts}")]
    NotNow {
        /// The version.
        version: u32,
        /// Where it is.
        stage: &'static str,
        /// The step.
        asked: &'static str,
        /// The steps that would be accepted.
        accepts: &'static str,
    },
    /// The same steward's second signature.
    #[error("{0} has signed it; another steward must sign too")]
    SignedAlready(StewardId),
    /// A day that cannot be.
    #[error("the day {what} must be {accepted}")]
    Day {
        /// Which.
        what: &'static str,
        /// What would be accepted.
        accepted: &'static str,
    },
    /// Suspended without an approval in force.
    #[error(
        "the project has no approval in force that could be suspended; reject or withdraw the application, or close it"
    )]
    NothingInForce,
    /// Suspended twice.
    #[error("the project is suspended already; it can be lifted or closed")]
    SuspendedAlready,
    /// Lifted without a suspension.
    #[error("the project is not suspended, so there is nothing to lift")]
    NotSuspended,
}

impl From<LifeError> for Refusal {
    fn from(error: LifeError) -> Self {
        let code = match &error {
            LifeError::Closed => "project.closed",
            LifeError::ApplicationOpen { .. } => "project.application_open",
            LifeError::NextVersion { .. } => "project.version",
            LifeError::NoVersion(_) => "project.no_version",
            LifeError::NotComplete(_) => "application.not_complete",
            LifeError::NotNow { .. } => "application.not_now",
            LifeError::SignedAlready(_) => "approval.signed_already",
            LifeError::Day { .. } => "project.day",
            LifeError::NothingInForce => "project.not_in_force",
            LifeError::SuspendedAlready => "project.suspended_already",
            LifeError::NotSuspended => "project.not_suspended",
        };
        let kind = match &error {
            LifeError::NextVersion { .. } => RefusalKind::Conflict,
            LifeError::NoVersion(_) => RefusalKind::NotFound,
            LifeError::Day { .. } => RefusalKind::Invalid,
            _ => RefusalKind::Precondition,
        };
        Self::new(kind, code, error.to_string())
    }
}

/// Why nothing may be asked or released under an approval.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Inactive {
    /// No version is in force.
    #[error(
        "the project's approval is not in force: it must be marked complete, and two different stewards must sign it"
    )]
    NothingInForce,
    /// Another version is in force.
    #[error(
        "version {version} of the approval is no longer in force, version {in_force} is; submit the query under a new \
         request id, and it runs under that if it allows it"
    )]
    Superseded {
        /// The version that was asked under.
        version: u32,
        /// The version in force.
        in_force: u32,
    },
    /// Suspended.
    #[error("the project is suspended: nothing is run or released under it until a steward lifts that")]
    Suspended,
    /// Closed.
    #[error("the project is closed: nothing is run or released under it any more")]
    Closed,
    /// Not valid on this day.
    #[error("the approval is valid from {} to {}; today is {today}", .valid.from(), .valid.to())]
    NotValid {
        /// The days it is valid on.
        valid: Period,
        /// The day asked about.
        today: NaiveDate,
    },
    /// No longer a recipient.
    #[error("{0} is not a recipient by the version of the approval that is in force")]
    NotARecipient(OrganisationId),
}

impl Inactive {
    /// Its code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NothingInForce => "approval.not_signed",
            Self::Superseded { .. } => "approval.superseded",
            Self::Suspended => "project.suspended",
            Self::Closed => "project.closed",
            Self::NotValid { .. } => "approval.not_valid_today",
            Self::NotARecipient(_) => "approval.not_a_recipient",
        }
    }

    /// Whether it can never be otherwise again for what was asked under this version.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::Superseded { .. } | Self::Closed => true,
            Self::NotValid { valid, today } => valid.to() < *today,
            Self::NothingInForce | Self::Suspended | Self::NotARecipient(_) => false,
        }
    }
}

impl From<Inactive> for Refusal {
    fn from(why: Inactive) -> Self {
        Self::new(RefusalKind::Precondition, why.code(), why.to_string())
    }
}
