//! Microdata that wait for stewards.

use chrono::{DateTime, Utc};

use super::{FieldError, date, digest, each, id, present};
use crate::domain::canonical::{Canonical, Digest};
use crate::domain::held::{HeldRefusal, HeldResult, ReleaseStatement};
use crate::domain::microdata::RiskReport;
use crate::wire::proto;
use crate::wire::proto::refuse_held_request::Reason;

/// The most stewards who can have signed.
const MOST_SIGNED: usize = 16;

pub(in crate::wire) fn release_statement(
    message: proto::ReleaseStatement,
) -> Result<ReleaseStatement, FieldError> {
    Ok(ReleaseStatement {
        run: id("run", message.run)?,
        result: digest("result_digest", &message.result_digest)?,
        risk: digest("risk_digest", &message.risk_digest)?,
    })
}

pub(in crate::wire) fn held_refusal(path: &str, reason: Reason) -> Result<HeldRefusal, FieldError> {
    match reason {
        Reason::Risk => Ok(HeldRefusal::Risk),
        Reason::Loss => Ok(HeldRefusal::Loss),
        Reason::Need => Ok(HeldRefusal::Need),
        Reason::Unspecified => Err(FieldError::new(path, "must be risk, loss or need")),
    }
}

/// Microdata that wait, as the gateway answers. The report must be the one whose digest a steward would sign.
pub(in crate::wire) fn held(message: proto::HeldResult) -> Result<HeldResult, FieldError> {
    let statement =
        release_statement(present("statement", message.statement)?).map_err(|e| e.under("statement"))?;
    let risk = RiskReport::from_canonical(&message.risk).map_err(|rule| FieldError::new("risk", rule))?;
    if Digest::of_bytes(RiskReport::LABEL, &message.risk) != statement.risk {
        return Err(FieldError::new("risk", "must be the report whose digest the statement has"));
    }
    let held = DateTime::parse_from_rfc3339(&message.held)
        .map_err(|_| FieldError::new("held", "must be a time as RFC 3339 writes it"))?;
    Ok(HeldResult {
        statement,
        project: id("project", message.project)?,
        organisation: id("organisation", message.organisation)?,
        title: message.title,
        risk,
        held: held.with_timezone(&Utc),
        lapses: date("lapses", &message.lapses)?,
        signed_by: each("signed_by", message.signed_by, MOST_SIGNED, |name| id("steward", name))?,
    })
}
