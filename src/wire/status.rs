//! Refusals as gRPC statuses, and statuses of another party as refusals.
//!
//! The message is `code: hint`, both fixed strings. What another party says is taken over only if it
//! looks like that, so that no peer can put data into our logs.

use std::error::Error;

use tonic::{Code, Status};

use crate::domain::refusal::{Refusal, RefusalKind};

/// What another party answered instead of doing what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {hint}")]
pub struct PeerRefusal {
    /// The kind.
    pub kind: RefusalKind,
    /// The other party's code, or one of `peer.*` if it gave none.
    pub code: String,
    /// What the other party would accept.
    pub hint: String,
}

/// The most characters of a hint that are taken over from another party.
const MOST_HINT: usize = 600;

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        Self::new(code_of(refusal.kind), refusal.to_string())
    }
}

const fn code_of(kind: RefusalKind) -> Code {
    match kind {
        RefusalKind::Invalid => Code::InvalidArgument,
        RefusalKind::Denied => Code::PermissionDenied,
        RefusalKind::NotFound => Code::NotFound,
        RefusalKind::Conflict => Code::AlreadyExists,
        RefusalKind::Precondition => Code::FailedPrecondition,
        RefusalKind::Limit => Code::ResourceExhausted,
        RefusalKind::Unavailable => Code::Unavailable,
        RefusalKind::Internal => Code::Internal,
    }
}

const fn kind_of(code: Code) -> RefusalKind {
    match code {
        Code::InvalidArgument | Code::OutOfRange => RefusalKind::Invalid,
        Code::PermissionDenied | Code::Unauthenticated | Code::Unimplemented => RefusalKind::Denied,
        Code::NotFound => RefusalKind::NotFound,
        Code::AlreadyExists => RefusalKind::Conflict,
        Code::FailedPrecondition | Code::Aborted => RefusalKind::Precondition,
        Code::ResourceExhausted => RefusalKind::Limit,
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown => {
            RefusalKind::Unavailable
        }
        Code::Ok | Code::Internal | Code::DataLoss => RefusalKind::Internal,
    }
}

impl From<Status> for PeerRefusal {
    fn from(status: Status) -> Self {
        Self::from(&status)
    }
}

impl From<&Status> for PeerRefusal {
    fn from(status: &Status) -> Self {
        let kind = kind_of(status.code());
        // A status with a source was made on this side: the connection failed, and the innermost cause
        // is the operating system's or the TLS library's own text.
        if let Some(cause) = status.source().map(innermost) {
            let cause = fit(&cause).unwrap_or_default();
            let hint = format!(
                "the connection failed ({cause}); a server ends it too where it does not accept the \
                 certificate shown"
            );
            return Self { kind: RefusalKind::Unavailable, code: "peer.connection".to_owned(), hint };
        }
        match status.message().split_once(": ") {
            Some((code, hint)) if is_code(code) => {
                Self { kind, code: code.to_owned(), hint: fit(hint).unwrap_or_default() }
            }
            _ => {
                let hint = status.code().description().to_owned();
                Self { kind, code: "peer.answer".to_owned(), hint }
            }
        }
    }
}

/// The text of the innermost cause of an error.
pub(super) fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

fn is_code(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.contains('.')
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.' || b == b'_')
        && !has_long_number(text)
}

fn has_long_number(text: &str) -> bool {
    text.split(|c: char| !c.is_ascii_digit()).any(|run| run.len() >= 11)
}

/// A hint that may be shown and logged: not too long, one line, and without a run of digits that could
/// be an identity number.
fn fit(hint: &str) -> Option<String> {
    let printable = !hint.chars().any(char::is_control);
    (!has_long_number(hint) && printable).then(|| hint.chars().take(MOST_HINT).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_survives_the_wire() {
        for kind in [
            RefusalKind::Invalid,
            RefusalKind::Denied,
            RefusalKind::NotFound,
            RefusalKind::Conflict,
            RefusalKind::Precondition,
            RefusalKind::Limit,
            RefusalKind::Unavailable,
            RefusalKind::Internal,
        ] {
            let status = Status::from(Refusal::new(kind, "query.title", "at most 200 characters: fewer"));
            let back = PeerRefusal::from(status);
            assert_eq!((back.kind, back.code.as_str()), (kind, "query.title"));
            assert_eq!(back.hint, "at most 200 characters: fewer");
        }
    }

    #[test]
    fn a_peer_cannot_put_data_into_our_logs() {
        let number = PeerRefusal::from(Status::not_found("person.unknown: no person 02813299997 here"));
        assert!(!number.to_string().contains("02813299997"));
        let in_code = PeerRefusal::from(Status::not_found("person.no_02813299997: not here"));
        assert_eq!(in_code.code, "peer.answer");
        assert!(!in_code.to_string().contains("02813299997"));
        let lines = PeerRefusal::from(Status::not_found("person.unknown: one\nlevel=ERROR two"));
        assert!(lines.hint.is_empty());
        let free = PeerRefusal::from(Status::internal("thread panicked at row 4"));
        assert_eq!(free.code, "peer.answer");
        assert!(!free.hint.contains("row"));
    }
}
