//! The life of a project, as a state machine: what stewards record of it, step by step.
//!
//! A project's approval comes in versions. Each is first an application: received, found incomplete or complete, signed by
//! two different stewards, and then in force in place of the version before; or rejected, or withdrawn. One application is
//! open at a time. A project with a version in force can be suspended, which can be lifted, and every project can be
//! closed, which nothing follows. That a version is not yet or no longer valid follows from its days, without a step.
//!
//! The steps are the state: [`Life`] is what they add up to, and a step that does not follow is refused by name.

use chrono::{DateTime, NaiveDate, Utc};

use super::approval::VerifiedApproval;
use super::ids::StewardId;
use super::period::Period;
use super::words::Words;

mod refused;
mod step;

pub use refused::{Inactive, LifeError};
pub use step::{BadStep, Step, StepFields};

/// A step of a project's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// What happened.
    pub step: Step,
    /// The steward who recorded it.
    pub by: StewardId,
    /// When.
    pub at: DateTime<Utc>,
}

/// A preliminary answer, owed where an application is not decided in time (KPR regulation 4-8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preliminary {
    /// Why it takes longer.
    pub reason: Words,
    /// When an answer is likely.
    pub likely: NaiveDate,
}

/// Where an application is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// Received; a steward has to say whether it is complete.
    Received,
    /// Something is missing; the applicant has to send it.
    Incomplete,
    /// Complete; two stewards have to sign or to reject.
    Complete,
    /// One steward has signed.
    Signed(StewardId),
    /// Two stewards have signed, and no later version has taken its place.
    InForce,
    /// A later version has taken its place.
    Superseded,
    /// Rejected.
    Rejected,
    /// Withdrawn by the applicant.
    Withdrawn,
}

impl Stage {
    /// Its name.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Incomplete => "incomplete",
            Self::Complete => "complete",
            Self::Signed(_) => "signed_once",
            Self::InForce => "in_force",
            Self::Superseded => "superseded",
            Self::Rejected => "rejected",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// Whether it is still to be decided.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self, Self::Received | Self::Incomplete | Self::Complete | Self::Signed(_))
    }

    /// What may be recorded of an application there, for people.
    const fn accepts(&self) -> &'static str {
        match self {
            Self::Received => "incomplete, complete, rejected or withdrawn",
            Self::Incomplete => "incomplete again, complete, rejected or withdrawn",
            Self::Complete => "signatures of two stewards, preliminary, rejected or withdrawn",
            Self::Signed(_) => "the signature of another steward, preliminary, rejected or withdrawn",
            Self::InForce => "nothing; an amendment is entered as the next version",
            Self::Superseded => "nothing; a later version is in force",
            Self::Rejected | Self::Withdrawn => "nothing; another application is entered as the next version",
        }
    }
}

/// One version of a project's approval, as an application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application {
    /// The version.
    pub version: u32,
    /// The day it was received.
    pub received: NaiveDate,
    /// The day it was complete, on which the period to answer it begins.
    pub complete: Option<NaiveDate>,
    /// The last preliminary answer to it.
    pub preliminary: Option<Preliminary>,
    /// Where it is.
    pub stage: Stage,
}

/// An approval that two stewards have signed, in force and valid on the day it was made for, of a project that is neither
/// suspended nor closed. Queries are authorised under nothing less, and it is made only by [`Life::active`]:
///
/// ```compile_fail,E0451
/// fn forge(approval: kpr::domain::approval::VerifiedApproval) -> kpr::domain::lifecycle::ActiveApproval {
///     kpr::domain::lifecycle::ActiveApproval { approval }
/// }
/// ```
///
/// What is public is reading one:
///
/// ```
/// fn version(active: &kpr::domain::lifecycle::ActiveApproval) -> u32 {
///     active.approval().approval().version
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActiveApproval {
    approval: VerifiedApproval,
}

impl ActiveApproval {
    /// The approval with its two signatures.
    #[must_use]
    pub const fn approval(&self) -> &VerifiedApproval {
        &self.approval
    }
}

/// What a project's history adds up to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Life {
    applications: Vec<Application>,
    suspended: bool,
    closed: bool,
    steps: u32,
}

impl Life {
    /// What these steps add up to.
    ///
    /// # Errors
    /// [`LifeError`] for the first that does not follow.
    pub fn of<'a>(history: impl IntoIterator<Item = &'a Recorded>) -> Result<Self, LifeError> {
        history
            .into_iter()
            .try_fold(Self::default(), |life, recorded| life.after(&recorded.step, recorded.at.date_naive()))
    }

    /// The versions, the first one first.
    #[must_use]
    pub fn applications(&self) -> &[Application] {
        &self.applications
    }

    /// How many steps it has.
    #[must_use]
    pub const fn steps(&self) -> u32 {
        self.steps
    }

    /// A version.
    #[must_use]
    pub fn application(&self, version: u32) -> Option<&Application> {
        self.applications.iter().find(|application| application.version == version)
    }

    /// The version in force.
    #[must_use]
    pub fn in_force(&self) -> Option<u32> {
        self.applications.iter().find(|a| a.stage == Stage::InForce).map(|a| a.version)
    }

    /// The application that is to be decided.
    #[must_use]
    pub fn open(&self) -> Option<&Application> {
        let last = self.applications.last().filter(|_| !self.closed);
        last.filter(|application| application.stage.is_open())
    }

    /// Whether nothing of the project may be used: it is suspended or closed.
    ///
    /// # Errors
    /// [`Inactive::Suspended`], [`Inactive::Closed`].
    pub const fn is_stopped(&self) -> Result<(), Inactive> {
        match (self.closed, self.suspended) {
            (true, _) => Err(Inactive::Closed),
            (false, true) => Err(Inactive::Suspended),
            (false, false) => Ok(()),
        }
    }

    /// Whether queries may be asked and results released under a version that is valid on these days.
    ///
    /// # Errors
    /// [`Inactive`].
    pub fn permits(&self, version: u32, valid: Period, today: NaiveDate) -> Result<(), Inactive> {
        self.is_stopped()?;
        let in_force = self.in_force().ok_or(Inactive::NothingInForce)?;
        if in_force != version {
            return Err(Inactive::Superseded { version, in_force });
        }
        if valid.contains(today) { Ok(()) } else { Err(Inactive::NotValid { valid, today }) }
    }

    /// The approval as one that queries may be authorised under today.
    ///
    /// # Errors
    /// [`Inactive`].
    pub fn active(&self, approval: VerifiedApproval, today: NaiveDate) -> Result<ActiveApproval, Inactive> {
        self.permits(approval.approval().version, approval.approval().valid, today)?;
        Ok(ActiveApproval { approval })
    }

    /// Where the project stands today. `valid` are the days of the version in force.
    #[must_use]
    pub fn standing(&self, valid: Option<Period>, today: NaiveDate) -> Standing {
        match (self.is_stopped(), valid) {
            (Err(Inactive::Closed), _) => Standing::Closed,
            (Err(_), _) => Standing::Suspended,
            (Ok(()), Some(valid)) if valid.contains(today) => Standing::Active,
            (Ok(()), Some(valid)) if today < valid.from() => Standing::NotYetValid,
            (Ok(()), Some(_)) => Standing::Expired,
            (Ok(()), None) if self.open().is_some() => Standing::Application,
            (Ok(()), None) => Standing::Ended,
        }
    }

    /// What it is after one more step, recorded on the day `today`.
    ///
    /// # Errors
    /// [`LifeError`] if the step does not follow.
    pub fn after(&self, step: &Step, today: NaiveDate) -> Result<Self, LifeError> {
        if self.closed {
            return Err(LifeError::Closed);
        }
        let mut next = self.clone();
        next.steps += 1;
        match step {
            Step::Received { version, day } => next.receive(*version, *day, today)?,
            Step::Suspended { .. } if self.in_force().is_none() => return Err(LifeError::NothingInForce),
            Step::Suspended { .. } if self.suspended => return Err(LifeError::SuspendedAlready),
            Step::Suspended { .. } => next.suspended = true,
            Step::Lifted { .. } if !self.suspended => return Err(LifeError::NotSuspended),
            Step::Lifted { .. } => next.suspended = false,
            Step::Closed { .. } => next.closed = true,
            Step::Incomplete { version, .. }
            | Step::Complete { version, .. }
            | Step::Preliminary { version, .. }
            | Step::Signed { version, .. }
            | Step::Rejected { version, .. }
            | Step::Withdrawn { version, .. } => next.decide(*version, step, today)?,
        }
        Ok(next)
    }

    fn receive(&mut self, version: u32, day: NaiveDate, today: NaiveDate) -> Result<(), LifeError> {
        if let Some(open) = self.open() {
            return Err(LifeError::ApplicationOpen { version: open.version, stage: open.stage.as_str() });
        }
        let next = self.applications.last().map_or(1, |last| last.version.saturating_add(1));
        if version != next {
            return Err(LifeError::NextVersion { next });
        }
        if day > today {
            return Err(LifeError::Day { what: "received", accepted: "today or earlier" });
        }
        self.applications.push(Application {
            version,
            received: day,
            complete: None,
            preliminary: None,
            stage: Stage::Received,
        });
        Ok(())
    }

    /// A step of the application with this version.
    fn decide(&mut self, version: u32, step: &Step, today: NaiveDate) -> Result<(), LifeError> {
        let application = self.applications.iter_mut().find(|a| a.version == version);
        let application = application.ok_or(LifeError::NoVersion(version))?;
        let signed = match (&application.stage, step) {
            (Stage::Received | Stage::Incomplete, Step::Incomplete { .. }) => {
                application.stage = Stage::Incomplete;
                return Ok(());
            }
            (Stage::Received | Stage::Incomplete, Step::Complete { day, .. }) => {
                if *day > today || *day < application.received {
                    let accepted = "on or after the day it was received, and today or earlier";
                    return Err(LifeError::Day { what: "complete", accepted });
                }
                application.complete = Some(*day);
                application.stage = Stage::Complete;
                return Ok(());
            }
            (Stage::Complete | Stage::Signed(_), Step::Preliminary { reason, likely, .. }) => {
                if *likely < today {
                    return Err(LifeError::Day { what: "of a likely answer", accepted: "today or later" });
                }
                application.preliminary = Some(Preliminary { reason: reason.clone(), likely: *likely });
                return Ok(());
            }
            (stage, Step::Rejected { .. }) if stage.is_open() => {
                application.stage = Stage::Rejected;
                return Ok(());
            }
            (stage, Step::Withdrawn { .. }) if stage.is_open() => {
                application.stage = Stage::Withdrawn;
                return Ok(());
            }
            (Stage::Complete, Step::Signed { steward, .. }) => {
                application.stage = Stage::Signed(steward.clone());
                return Ok(());
            }
            (Stage::Signed(first), Step::Signed { steward, .. }) if first == steward => {
                return Err(LifeError::SignedAlready(steward.clone()));
            }
            (Stage::Signed(_), Step::Signed { .. }) => true,
            (Stage::Received | Stage::Incomplete, Step::Signed { .. }) => {
                return Err(LifeError::NotComplete(version));
            }
            _ => false,
        };
        if !signed {
            return Err(LifeError::NotNow {
                version,
                stage: application.stage.as_str(),
                asked: step.kind(),
                accepts: application.stage.accepts(),
            });
        }
        for application in &mut self.applications {
            if application.stage == Stage::InForce {
                application.stage = Stage::Superseded;
            }
            if application.version == version {
                application.stage = Stage::InForce;
            }
        }
        Ok(())
    }
}

/// Where a project stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Its first application is to be decided.
    Application,
    /// Queries may be asked.
    Active,
    /// In force, and its first day is yet to come.
    NotYetValid,
    /// In force, and its last day has passed.
    Expired,
    /// Suspended.
    Suspended,
    /// Closed.
    Closed,
    /// No application was approved.
    Ended,
    /// The signatures of the version in force do not verify under the keys that the gateway has now.
    Unverified,
}

impl Standing {
    /// All.
    pub const ALL: [Self; 8] = [
        Self::Application,
        Self::Active,
        Self::NotYetValid,
        Self::Expired,
        Self::Suspended,
        Self::Closed,
        Self::Ended,
        Self::Unverified,
    ];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::Active => "active",
            Self::NotYetValid => "not_yet_valid",
            Self::Expired => "expired",
            Self::Suspended => "suspended",
            Self::Closed => "closed",
            Self::Ended => "ended",
            Self::Unverified => "unverified",
        }
    }
}

#[cfg(test)]
mod tests;
