//! The steps of a project's life, and the fields they are stored and sent as.

use chrono::NaiveDate;

use crate::domain::ids::StewardId;
use crate::domain::words::Words;

/// What stewards record of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// An application for this version of the approval was received on a day.
    Received {
        /// The version.
        version: u32,
        /// The day.
        day: NaiveDate,
    },
    /// Something is missing in it.
    Incomplete {
        /// The version.
        version: u32,
        /// What.
        missing: Words,
    },
    /// It was complete on a day, on which the period to answer it begins.
    Complete {
        /// The version.
        version: u32,
        /// The day.
        day: NaiveDate,
    },
    /// The applicant was given a preliminary answer.
    Preliminary {
        /// The version.
        version: u32,
        /// Why it takes longer.
        reason: Words,
        /// When an answer is likely.
        likely: NaiveDate,
    },
    /// A steward has signed it. The second one puts it in force.
    Signed {
        /// The version.
        version: u32,
        /// Who.
        steward: StewardId,
    },
    /// It was rejected.
    Rejected {
        /// The version.
        version: u32,
        /// Why.
        reason: Words,
    },
    /// The applicant has withdrawn it.
    Withdrawn {
        /// The version.
        version: u32,
        /// Why.
        reason: Words,
    },
    /// The project is suspended: nothing is run or released.
    Suspended {
        /// Why.
        reason: Words,
    },
    /// The suspension is lifted.
    Lifted {
        /// Why.
        reason: Words,
    },
    /// The project is closed for good.
    Closed {
        /// Why.
        reason: Words,
    },
}

/// A step's fields, as a row of the store and a message of the wire have them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StepFields {
    /// The name of the step.
    pub kind: String,
    /// The version it is about, if it is about one.
    pub version: Option<u32>,
    /// The day in it.
    pub day: Option<NaiveDate>,
    /// The text in it.
    pub words: Option<Words>,
    /// The steward in it.
    pub steward: Option<StewardId>,
}

/// Fields that are not those of any step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a step has exactly its own fields: received and complete a version and a day, incomplete, rejected and withdrawn a \
     version and a text, preliminary a version, a text and a day, signed a version and a steward, suspended, lifted and \
     closed a text"
)]
pub struct BadStep;

impl Step {
    /// Its name.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Received { .. } => "received",
            Self::Incomplete { .. } => "incomplete",
            Self::Complete { .. } => "complete",
            Self::Preliminary { .. } => "preliminary",
            Self::Signed { .. } => "signed",
            Self::Rejected { .. } => "rejected",
            Self::Withdrawn { .. } => "withdrawn",
            Self::Suspended { .. } => "suspended",
            Self::Lifted { .. } => "lifted",
            Self::Closed { .. } => "closed",
        }
    }

    /// The version it is about, unless it is about the whole project.
    #[must_use]
    pub const fn version(&self) -> Option<u32> {
        match self {
            Self::Received { version, .. }
            | Self::Incomplete { version, .. }
            | Self::Complete { version, .. }
            | Self::Preliminary { version, .. }
            | Self::Signed { version, .. }
            | Self::Rejected { version, .. }
            | Self::Withdrawn { version, .. } => Some(*version),
            Self::Suspended { .. } | Self::Lifted { .. } | Self::Closed { .. } => None,
        }
    }

    /// Its fields.
    #[must_use]
    pub fn fields(&self) -> StepFields {
        let (day, words, steward) = match self {
            Self::Received { day, .. } | Self::Complete { day, .. } => (Some(*day), None, None),
            Self::Incomplete { missing: words, .. }
            | Self::Rejected { reason: words, .. }
            | Self::Withdrawn { reason: words, .. }
            | Self::Suspended { reason: words }
            | Self::Lifted { reason: words }
            | Self::Closed { reason: words } => (None, Some(words.clone()), None),
            Self::Preliminary { reason, likely, .. } => (Some(*likely), Some(reason.clone()), None),
            Self::Signed { steward, .. } => (None, None, Some(steward.clone())),
        };
        StepFields { kind: self.kind().to_owned(), version: self.version(), day, words, steward }
    }
}

impl TryFrom<StepFields> for Step {
    type Error = BadStep;

    fn try_from(fields: StepFields) -> Result<Self, BadStep> {
        let StepFields { kind, version, day, words, steward } = fields;
        Ok(match (kind.as_str(), version, day, words, steward) {
            ("received", Some(version), Some(day), None, None) => Self::Received { version, day },
            ("incomplete", Some(version), None, Some(missing), None) => Self::Incomplete { version, missing },
            ("complete", Some(version), Some(day), None, None) => Self::Complete { version, day },
            ("preliminary", Some(version), Some(likely), Some(reason), None) => {
                Self::Preliminary { version, reason, likely }
            }
            ("signed", Some(version), None, None, Some(steward)) => Self::Signed { version, steward },
            ("rejected", Some(version), None, Some(reason), None) => Self::Rejected { version, reason },
            ("withdrawn", Some(version), None, Some(reason), None) => Self::Withdrawn { version, reason },
            ("suspended", None, None, Some(reason), None) => Self::Suspended { reason },
            ("lifted", None, None, Some(reason), None) => Self::Lifted { reason },
            ("closed", None, None, Some(reason), None) => Self::Closed { reason },
            _ => return Err(BadStep),
        })
    }
}
