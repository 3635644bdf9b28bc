//! Project approvals and their signatures.

use chrono::{DateTime, NaiveDate};

use super::{FieldError, date, digest, each, id, present};
use crate::domain::answer::ProjectState;
use crate::domain::approval::{Approval, SignedApproval, StewardSignature};
use crate::domain::canonical::Canonical;
use crate::domain::lifecycle::{Preliminary, Recorded, Standing, Step, StepFields};
use crate::domain::words::Words;
use crate::domain::worklist::{Acts, Urgency, WorkItem};
use crate::wire::proto;

/// The most bytes of an approval's canonical encoding.
const MOST_APPROVAL: usize = 256 << 10;
/// The most signatures on an approval.
const MOST_SIGNATURES: usize = 16;
/// The most steps of a project's history that a client takes.
const MOST_STEPS: usize = 100_000;

/// An approval in its canonical encoding.
pub(in crate::wire) fn approval(path: &str, bytes: &[u8]) -> Result<Approval, FieldError> {
    if bytes.len() > MOST_APPROVAL {
        return Err(FieldError::new(path, format!("must have at most {MOST_APPROVAL} bytes")));
    }
    Approval::from_canonical(bytes).map_err(|rule| FieldError::new(path, rule))
}

/// A steward's signature. Whether it verifies is for the one who relies on it to say.
pub(in crate::wire) fn steward_signature(
    message: proto::StewardSignature,
) -> Result<StewardSignature, FieldError> {
    if message.signature.len() != 64 {
        return Err(FieldError::new("signature", "must be an Ed25519 signature of 64 bytes"));
    }
    let steward = id("steward", message.steward)?;
    Ok(StewardSignature { steward, signature: hex::encode(message.signature) })
}

fn signed_approval(message: proto::SignedApproval) -> Result<SignedApproval, FieldError> {
    Ok(SignedApproval {
        approval: approval("canonical", &message.canonical)?,
        signatures: each("signatures", message.signatures, MOST_SIGNATURES, steward_signature)?,
    })
}

/// A step in the life of a project.
pub(in crate::wire) fn step(message: proto::Step) -> Result<Step, FieldError> {
    let fields = StepFields {
        kind: message.kind,
        version: message.version,
        day: message.day.map(|day| date("day", &day)).transpose()?,
        words: message.words.map(|text| words("words", text)).transpose()?,
        steward: message.steward.map(|steward| id("steward", steward)).transpose()?,
    };
    Step::try_from(fields).map_err(|rule| FieldError::new("kind", rule))
}

/// A short text.
pub(in crate::wire) fn words(path: &str, text: String) -> Result<Words, FieldError> {
    Words::new(text).map_err(|rule| FieldError::new(path, rule))
}

/// A day, if one is given.
pub(in crate::wire) fn optional_day(path: &str, text: &str) -> Result<Option<NaiveDate>, FieldError> {
    if text.is_empty() { Ok(None) } else { date(path, text).map(Some) }
}

fn recorded(message: proto::Recorded) -> Result<Recorded, FieldError> {
    let at = DateTime::parse_from_rfc3339(&message.at)
        .map_err(|_| FieldError::new("at", "must be a time in RFC 3339"))?;
    Ok(Recorded {
        step: step(present("step", message.step)?).map_err(|e| e.under("step"))?,
        by: id("by", message.by)?,
        at: at.to_utc(),
    })
}

/// One of a list of names.
fn named<T: Copy>(
    path: &str,
    text: &str,
    all: &[T],
    name: impl Fn(T) -> &'static str,
) -> Result<T, FieldError> {
    let found = all.iter().copied().find(|each| name(*each) == text);
    found.ok_or_else(|| FieldError::new(path, "must be a name that this version knows"))
}

/// A project, as the gateway answers.
pub(in crate::wire) fn project_state(message: proto::ProjectState) -> Result<ProjectState, FieldError> {
    Ok(ProjectState {
        approval: signed_approval(present("approval", message.approval)?).map_err(|e| e.under("approval"))?,
        digest: digest("approval_digest", &message.approval_digest)?,
        standing: named("standing", &message.standing, &Standing::ALL, Standing::as_str)?,
        in_force: Some(message.in_force).filter(|version| *version > 0),
        due: optional_day("due", &message.due)?,
        history: each("history", message.history, MOST_STEPS, recorded)?,
    })
}

/// An application on the worklist.
pub(in crate::wire) fn work_item(message: proto::WorkItem) -> Result<WorkItem, FieldError> {
    let preliminary = match optional_day("likely", &message.likely)? {
        None => None,
        Some(likely) => Some(Preliminary { reason: words("reason", message.reason)?, likely }),
    };
    Ok(WorkItem {
        project: id("project", message.project)?,
        version: message.version,
        title: message.title,
        received: date("received", &message.received)?,
        complete: optional_day("complete", &message.complete)?,
        due: optional_day("due", &message.due)?,
        preliminary,
        urgency: named("urgency", &message.urgency, &Urgency::ALL, Urgency::as_str)?,
        acts: match message.acts.as_str() {
            "applicant" => Acts::Applicant,
            "steward" => Acts::Steward,
            "two_stewards" => Acts::TwoStewards,
            "steward_beside" => Acts::StewardBeside(id("beside", message.beside)?),
            _ => return Err(FieldError::new("acts", "must be a name that this version knows")),
        },
    })
}
