//! What the audit log hands out: the receipt that opens the exit, and the token with which it alone
//! takes a result's bytes into its transaction.

use crate::domain::canonical::Digest;

/// Proof that the receipt of a result and the result's bytes are durable. Made only in `audit`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditReceipt {
    digest: Digest,
    index: u64,
}

impl AuditReceipt {
    /// A receipt for the result with this digest, whose leaf stands at `index`.
    pub(in crate::audit) const fn new(digest: Digest, index: u64) -> Self {
        Self { digest, index }
    }

    /// The digest of the result it was given for.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// The index of its leaf in the log.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.index
    }
}

/// The right to take the bytes of a disclosed result into the transaction that makes it durable
/// together with its receipt. Made only in `audit`.
#[derive(Debug)]
pub struct Deposit(());

impl Deposit {
    /// The token.
    pub(in crate::audit) const fn new() -> Self {
        Self(())
    }
}
