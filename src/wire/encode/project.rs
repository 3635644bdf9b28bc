//! Projects: approvals, signatures, histories, the worklist.

use chrono::{NaiveDate, SecondsFormat};

use super::not_encodable;
use crate::domain::answer::ProjectState;
use crate::domain::approval::{SignedApproval, StewardSignature};
use crate::domain::canonical::Canonical;
use crate::domain::lifecycle::{Recorded, Step, StepFields};
use crate::domain::refusal::{Refusal, RefusalKind};
use crate::domain::worklist::{Acts, WorkItem};
use crate::wire::proto;

/// A signature.
pub(in crate::wire) fn steward_signature(
    given: &StewardSignature,
) -> Result<proto::StewardSignature, Refusal> {
    let signature = hex::decode(&given.signature).map_err(|_| {
        Refusal::new(RefusalKind::Internal, "answer.signature", "a stored signature is not hexadecimal")
    })?;
    Ok(proto::StewardSignature { steward: given.steward.to_string(), signature })
}

fn signed_approval(signed: &SignedApproval) -> Result<proto::SignedApproval, Refusal> {
    Ok(proto::SignedApproval {
        canonical: signed.approval.canonical().map_err(not_encodable)?,
        signatures: signed.signatures.iter().map(steward_signature).collect::<Result<_, _>>()?,
    })
}

/// A step in the life of a project.
pub(in crate::wire) fn step(step: &Step) -> proto::Step {
    let StepFields { kind, version, day, words, steward } = step.fields();
    proto::Step {
        kind,
        version,
        day: day.map(|day| day.to_string()),
        words: words.map(String::from),
        steward: steward.map(String::from),
    }
}

fn recorded(recorded: &Recorded) -> proto::Recorded {
    proto::Recorded {
        step: Some(step(&recorded.step)),
        by: recorded.by.to_string(),
        at: recorded.at.to_rfc3339_opts(SecondsFormat::Micros, true),
    }
}

/// A project.
pub(in crate::wire) fn project_state(state: &ProjectState) -> Result<proto::ProjectState, Refusal> {
    Ok(proto::ProjectState {
        approval: Some(signed_approval(&state.approval)?),
        approval_digest: state.digest.to_string(),
        standing: state.standing.as_str().to_owned(),
        in_force: state.in_force.unwrap_or(0),
        due: day(state.due),
        history: state.history.iter().map(recorded).collect(),
    })
}

fn day(day: Option<NaiveDate>) -> String {
    day.map(|day| day.to_string()).unwrap_or_default()
}

/// An application on the worklist.
pub(in crate::wire) fn work_item(item: WorkItem) -> proto::WorkItem {
    let (acts, beside) = match item.acts {
        Acts::Applicant => ("applicant", None),
        Acts::Steward => ("steward", None),
        Acts::TwoStewards => ("two_stewards", None),
        Acts::StewardBeside(steward) => ("steward_beside", Some(steward)),
    };
    proto::WorkItem {
        project: item.project.to_string(),
        version: item.version,
        title: item.title,
        received: item.received.to_string(),
        complete: day(item.complete),
        due: day(item.due),
        urgency: item.urgency.as_str().to_owned(),
        likely: day(item.preliminary.as_ref().map(|answer| answer.likely)),
        reason: item.preliminary.map(|answer| String::from(answer.reason)).unwrap_or_default(),
        acts: acts.to_owned(),
        beside: beside.map(String::from).unwrap_or_default(),
    }
}
