//! Why rows were not linked.

use std::fmt;

use crate::domain::refusal::{Refusal, RefusalKind};

/// Why a partner refuses an order, as the linkage protocol names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeclineReason {
    /// The partner's own policy does not allow it.
    Policy,
    /// The approval or the order does not hold.
    Approval,
    /// The partner's database did not answer.
    Source,
    /// The identity service gave no key.
    Key,
}

impl DeclineReason {
    /// The name it has in logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Approval => "approval",
            Self::Source => "source",
            Self::Key => "key",
        }
    }
}

/// A fixed code that a partner gives with a refusal, for example `policy.project`: 1-64 lower-case
/// letters, `.` and `_`. Without digits it has no room for data.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DeclineCode(String);

impl DeclineCode {
    /// Takes `text` as a code if it is one; anything else becomes `unspecified`.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let fits = (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'.' || b == b'_');
        Self(if fits { text.to_owned() } else { "unspecified".to_owned() })
    }

    /// The code.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DeclineCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why rows were not linked. None of them says anything of a row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkageError {
    /// There is no open order of this id for this register.
    #[error("no order of this id is open for this register")]
    UnknownOrder,
    /// Someone has begun to answer the order.
    #[error("this order is already being answered")]
    AlreadyTaken,
    /// No register node began to answer before the order expired.
    #[error("no register node of the partner took the order in time")]
    NotTaken,
    /// A node began to answer and did not end before the order expired.
    #[error("the partner did not finish the order in time")]
    TimedOut,
    /// A node sent nothing for too long.
    #[error("the partner stopped sending")]
    Stalled,
    /// The partner's stream ended without its summary.
    #[error("the partner's stream ended before its summary")]
    Dropped,
    /// The partner refused.
    #[error("the partner declined the order ({}, {code})", reason.as_str())]
    Declined {
        /// The kind of reason.
        reason: DeclineReason,
        /// The partner's own code.
        code: DeclineCode,
    },
    /// A batch number was left out or repeated.
    #[error("batch numbers must count up from 0 without gap or repeat")]
    BatchNumber,
    /// A batch is larger than is taken.
    #[error("a batch must have at most {0} bytes")]
    BatchBytes(usize),
    /// A batch has no rows, or more than are taken.
    #[error("a batch must have 1 to {0} rows")]
    BatchRows(usize),
    /// More rows in all than the order takes.
    #[error("the order takes at most {0} rows")]
    TooManyRows(u64),
    /// More bytes in all than the order's rows could fill.
    #[error("the batches of an order together have at most 64 bytes a value of the rows it takes")]
    TooManyBytes,
    /// The bytes are not one Arrow IPC stream of one uncompressed record batch.
    #[error("a batch must be one whole Arrow IPC stream of one uncompressed record batch")]
    Encoding,
    /// The columns are not the order's.
    #[error("a batch must have the columns of the order, in its order, with their types, and no others")]
    Columns,
    /// A code or date is missing.
    #[error("every row must have a linkage code and a date")]
    Missing,
    /// A row does not fulfil the order's conditions.
    #[error("a row does not fulfil the conditions of the order")]
    OutsideConditions,
    /// A row's date is not in the order's period.
    #[error("a row is dated outside the period of the order")]
    OutsidePeriod,
    /// A value is too long for a code, or shaped like an identity number.
    #[error("a value is no catalogue code: longer than 64 bytes, or with eleven digits in a row")]
    NotACode,
    /// The summary does not agree with what was sent.
    #[error("the summary does not agree with the batches sent")]
    Summary,
    /// The identity service refused or did not answer.
    #[error("the identity service did not map the linkage codes: {0}")]
    Identity(Refusal),
    /// The identity service's answer is not one number a code.
    #[error("the identity service's answer does not fit the codes sent")]
    Mapping,
    /// Rows could not be put together in memory.
    #[error("the linked rows could not be put together")]
    Assembly,
}

impl From<LinkageError> for Refusal {
    fn from(error: LinkageError) -> Self {
        use LinkageError as E;
        use RefusalKind::{Conflict, Internal, Invalid, Limit, NotFound, Precondition, Unavailable};
        let (kind, code) = match &error {
            E::UnknownOrder => (NotFound, "linkage.unknown_order"),
            E::AlreadyTaken => (Conflict, "linkage.already_taken"),
            E::NotTaken => (Unavailable, "linkage.not_taken"),
            E::TimedOut => (Unavailable, "linkage.timed_out"),
            E::Stalled => (Unavailable, "linkage.stalled"),
            E::Dropped => (Unavailable, "linkage.dropped"),
            E::Declined { reason: DeclineReason::Policy, .. } => (Precondition, "linkage.declined_by_policy"),
            E::Declined { reason: DeclineReason::Approval, .. } => {
                (Precondition, "linkage.declined_for_approval")
            }
            E::Declined { reason: DeclineReason::Source, .. } => (Unavailable, "linkage.partner_source"),
            E::Declined { reason: DeclineReason::Key, .. } => (Unavailable, "linkage.partner_key"),
            E::BatchNumber => (Invalid, "linkage.batch_number"),
            E::BatchBytes(_) => (Limit, "linkage.batch_bytes"),
            E::BatchRows(_) => (Limit, "linkage.batch_rows"),
            E::TooManyRows(_) => (Limit, "linkage.too_many_rows"),
            E::TooManyBytes => (Limit, "linkage.too_many_bytes"),
            E::Encoding => (Invalid, "linkage.encoding"),
            E::Columns => (Invalid, "linkage.columns"),
            E::Missing => (Invalid, "linkage.missing"),
            E::OutsideConditions => (Invalid, "linkage.outside_conditions"),
            E::OutsidePeriod => (Invalid, "linkage.outside_period"),
            E::NotACode => (Invalid, "linkage.not_a_code"),
            E::Summary => (Invalid, "linkage.summary"),
            E::Identity(_) => (Unavailable, "linkage.identity"),
            E::Mapping => (Internal, "linkage.mapping"),
            E::Assembly => (Internal, "linkage.assembly"),
        };
        Self::new(kind, code, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partners_code_has_no_room_for_data() {
        assert_eq!(DeclineCode::new("policy.project").as_str(), "policy.project");
        for text in ["", "02813299997", "Kari", "policy.project 1", &"a".repeat(65)] {
            assert_eq!(DeclineCode::new(text).as_str(), "unspecified");
        }
    }

    #[test]
    fn a_policy_refusal_reads_as_one() {
        let declined = LinkageError::Declined {
            reason: DeclineReason::Policy,
            code: DeclineCode::new("policy.project"),
        };
        let refusal = Refusal::from(declined);
        assert_eq!((refusal.kind, refusal.code), (RefusalKind::Precondition, "linkage.declined_by_policy"));
        assert!(refusal.hint.contains("policy.project"));
    }
}
