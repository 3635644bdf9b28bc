//! What a caller is told when something is not done: a code, the rule that refused, what would be
//! accepted. Never data.

/// The kind of a refusal, from which the wire takes its status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefusalKind {
    /// The request itself is not well formed.
    Invalid,
    /// The caller may not do this.
    Denied,
    /// There is no such thing, or the caller may not know whether there is.
    NotFound,
    /// The same name is already used for something else.
    Conflict,
    /// Something that must come first has not been done, or a rule of the approval is not met.
    Precondition,
    /// A limit is reached.
    Limit,
    /// Another party did not answer, or not in time.
    Unavailable,
    /// A fault of this party; details are in its own log only.
    Internal,
}

/// A refusal. `code` and `hint` are fixed strings: what was asked enters only as names from the
/// catalogue or the approval, never as values of data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {hint}")]
pub struct Refusal {
    /// The kind.
    pub kind: RefusalKind,
    /// A stable code, for example `approval.variable_not_granted`.
    pub code: &'static str,
    /// Which rule refused and what would be accepted.
    pub hint: String,
}

impl Refusal {
    /// A refusal of this kind.
    #[must_use]
    pub fn new(kind: RefusalKind, code: &'static str, hint: impl Into<String>) -> Self {
        Self { kind, code, hint: hint.into() }
    }
}
