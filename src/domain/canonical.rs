//! The one canonical encoding of queries, approvals, orders, snapshots and tables, and its digest.
//!
//! The encoding is JSON without white space, fields in the order in which the type declares them,
//! absent options left out, integers only. The digest is SHA-256 over a length-framed label and the
//! encoding, so that no two kinds of thing share a digest.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Why a value has no canonical encoding, or bytes are not one.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum CanonicalError {
    /// The value cannot be written as JSON (a map with keys that are not text, for example).
    #[error("this {0} has no canonical encoding")]
    NotEncodable(&'static str),
    /// The bytes are not the canonical encoding of any value of this kind.
    #[error("these bytes are not the canonical encoding of a {0}")]
    NotCanonical(&'static str),
    /// A digest is 64 lower-case hexadecimal digits.
    #[error("a digest is 64 lower-case hexadecimal digits")]
    NotADigest,
}

/// A SHA-256 digest of a canonical encoding.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes` under `label`: SHA-256(len(label) as u64 big-endian, label, bytes).
    #[must_use]
    pub fn of_bytes(label: &str, bytes: &[u8]) -> Self {
        let mut hash = Sha256::new();
        hash.update((label.len() as u64).to_be_bytes());
        hash.update(label.as_bytes());
        hash.update(bytes);
        Self(hash.finalize().into())
    }

    /// The digest with these 32 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = CanonicalError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(CanonicalError::NotADigest);
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| CanonicalError::NotADigest)?;
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Digest {
    type Error = CanonicalError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

/// A type with a canonical encoding.
pub trait Canonical: Serialize + for<'de> Deserialize<'de> {
    /// The name that separates this kind's digests from every other's, for example `kpr/query/v1`.
    const LABEL: &'static str;

    /// The canonical encoding.
    ///
    /// # Errors
    /// [`CanonicalError::NotEncodable`], which no type of this crate reaches.
    fn canonical(&self) -> Result<Vec<u8>, CanonicalError> {
        serde_json::to_vec(self).map_err(|_| CanonicalError::NotEncodable(Self::LABEL))
    }

    /// The digest of the canonical encoding.
    ///
    /// # Errors
    /// As [`Canonical::canonical`].
    fn digest(&self) -> Result<Digest, CanonicalError> {
        Ok(Digest::of_bytes(Self::LABEL, &self.canonical()?))
    }

    /// Reads a canonical encoding, refusing any other spelling of the same value.
    ///
    /// # Errors
    /// [`CanonicalError::NotCanonical`].
    fn from_canonical(bytes: &[u8]) -> Result<Self, CanonicalError> {
        let value: Self =
            serde_json::from_slice(bytes).map_err(|_| CanonicalError::NotCanonical(Self::LABEL))?;
        if value.canonical()? == bytes { Ok(value) } else { Err(CanonicalError::NotCanonical(Self::LABEL)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_separate_digests() {
        assert_ne!(Digest::of_bytes("a", b"bc"), Digest::of_bytes("ab", b"c"));
    }

    #[test]
    fn a_digest_reads_back_from_its_own_text_only() {
        let digest = Digest::of_bytes("kpr/test", b"x");
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert!(digest.to_string().to_uppercase().parse::<Digest>().is_err());
        assert!("00".parse::<Digest>().is_err());
    }
}
