//! Resolutions of serial numbers.

use super::{FieldError, id};
use crate::domain::canonical::Canonical;
use crate::domain::resolution::{ResolutionStatement, WaitingResolution};
use crate::wire::proto;

/// The most bytes of a statement's canonical encoding.
const MOST_STATEMENT: usize = 4 << 10;

/// A statement in its canonical encoding.
pub(in crate::wire) fn resolution_statement(
    path: &str,
    bytes: &[u8],
) -> Result<ResolutionStatement, FieldError> {
    if bytes.len() > MOST_STATEMENT {
        return Err(FieldError::new(path, format!("must have at most {MOST_STATEMENT} bytes")));
    }
    ResolutionStatement::from_canonical(bytes).map_err(|rule| FieldError::new(path, rule))
}

/// A resolution that waits, as the gateway answers.
pub(in crate::wire) fn waiting_resolution(
    message: proto::WaitingResolution,
) -> Result<WaitingResolution, FieldError> {
    let signed_by = message.signed_by.into_iter().map(|steward| id("signed_by", steward));
    Ok(WaitingResolution {
        statement: resolution_statement("statement", &message.statement)?,
        signed_by: signed_by.collect::<Result<_, _>>()?,
    })
}
