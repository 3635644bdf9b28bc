//! Resolutions of serial numbers.

use super::not_encodable;
use crate::domain::canonical::Canonical;
use crate::domain::refusal::Refusal;
use crate::domain::resolution::WaitingResolution;
use crate::wire::proto;

/// A resolution that waits for the second steward.
pub(in crate::wire) fn waiting_resolution(
    waiting: &WaitingResolution,
) -> Result<proto::WaitingResolution, Refusal> {
    Ok(proto::WaitingResolution {
        statement: waiting.statement.canonical().map_err(not_encodable)?,
        signed_by: waiting.signed_by.iter().map(ToString::to_string).collect(),
    })
}
