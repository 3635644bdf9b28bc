//! A result after disclosure control, before and after its audit receipt.

use crate::audit::{AuditReceipt, Deposit};
use crate::domain::canonical::{Canonical, CanonicalError, Digest};

/// Why a result does not leave.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    /// The receipt was given for another result.
    #[error("the audit receipt was given for another result")]
    OtherReceipt,
    /// The result cannot be encoded, or stored bytes are not a result.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
}

/// A result that has passed disclosure control but is not yet recorded. It can be neither read nor
/// written out: the audit log alone takes its bytes, and gives the receipt that turns it into
/// [`Released`].
///
/// ```compile_fail,E0599
/// fn read(disclosed: kpr::disclosure::Disclosed<kpr::domain::table::ResultTable>) {
///     let _ = disclosed.table();
/// }
/// ```
///
/// ```compile_fail,E0277
/// fn write(disclosed: kpr::disclosure::Disclosed<kpr::domain::table::ResultTable>) {
///     let _ = serde_json::to_vec(&disclosed);
/// }
/// ```
pub struct Disclosed<T> {
    value: T,
    bytes: Vec<u8>,
    digest: Digest,
}

impl<T: Canonical> Disclosed<T> {
    /// A value that has passed disclosure control.
    pub(in crate::disclosure) fn new(value: T) -> Result<Self, CanonicalError> {
        let bytes = value.canonical()?;
        let digest = Digest::of_bytes(T::LABEL, &bytes);
        Ok(Self { value, bytes, digest })
    }

    /// The digest of the result's canonical encoding.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// The canonical bytes, for the transaction that stores them with the receipt.
    #[must_use]
    pub fn deposit(&self, _: &Deposit) -> &[u8] {
        &self.bytes
    }

    /// Lets the result out, against its receipt.
    ///
    /// # Errors
    /// [`ReleaseError::OtherReceipt`].
    pub fn release(self, receipt: &AuditReceipt) -> Result<Released<T>, ReleaseError> {
        if receipt.digest() == self.digest {
            Ok(Released { value: self.value, digest: self.digest })
        } else {
            Err(ReleaseError::OtherReceipt)
        }
    }
}

/// A result that may leave: it has passed disclosure control and its receipt is durable.
#[derive(Debug, Clone)]
pub struct Released<T> {
    value: T,
    digest: Digest,
}

impl<T: Canonical> Released<T> {
    /// Reads a stored result back, against the receipt it was stored with.
    ///
    /// # Errors
    /// [`ReleaseError`], when the bytes are not those of the receipt.
    pub fn restore(bytes: &[u8], receipt: &AuditReceipt) -> Result<Self, ReleaseError> {
        let digest = Digest::of_bytes(T::LABEL, bytes);
        if digest != receipt.digest() {
            return Err(ReleaseError::OtherReceipt);
        }
        Ok(Self { value: T::from_canonical(bytes)?, digest })
    }

    /// The result.
    #[must_use]
    pub const fn table(&self) -> &T {
        &self.value
    }

    /// The digest of its canonical encoding.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }
}
