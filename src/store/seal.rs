//! Sealing of memberships: AES-256-SIV (RFC 5297), bound to the run they belong to.

use std::fmt;

use aes_siv::KeyInit;
use aes_siv::siv::Aes256Siv;
use zeroize::Zeroizing;

use crate::domain::ids::RunId;

use super::error::StoreError;

/// What is sealed, so that a key used elsewhere by mistake opens nothing here.
const LABEL: &[u8] = b"kpr/ledger-membership/v1";

/// The key under which the ledger's memberships are sealed: 64 bytes, of its own. Erased on drop.
pub struct MembershipKey(Zeroizing<[u8; 64]>);

impl MembershipKey {
    /// The key with these bytes.
    #[must_use]
    pub const fn new(bytes: Zeroizing<[u8; 64]>) -> Self {
        Self(bytes)
    }

    fn cipher(&self) -> Aes256Siv {
        let key: &[u8; 64] = &self.0;
        Aes256Siv::new(key.into())
    }

    /// The bytes sealed. The synthetic IV comes first.
    pub(super) fn seal(&self, run: &RunId, bytes: &[u8]) -> Result<Vec<u8>, StoreError> {
        let sealed = self.cipher().encrypt([LABEL, run.as_str().as_bytes()], bytes);
        sealed.map_err(|_| StoreError::Corrupt("membership"))
    }

    /// Opens what was sealed under this key for this run.
    pub(super) fn open(&self, run: &RunId, sealed: &[u8]) -> Result<Vec<u8>, StoreError> {
        let opened = self.cipher().decrypt([LABEL, run.as_str().as_bytes()], sealed);
        opened.map_err(|_| StoreError::Corrupt("membership under this key"))
    }
}

impl fmt::Debug for MembershipKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MembershipKey(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixtures::run_id;

    #[test]
    fn what_is_sealed_opens_under_its_own_key_and_run_only() {
        let key = MembershipKey::new([1; 64].into());
        let sealed = key.seal(&run_id(1), b"persons").unwrap();
        assert!(!sealed.windows(7).any(|w| w == b"persons"));
        assert_eq!(key.open(&run_id(1), &sealed).unwrap(), b"persons");
        assert!(key.open(&run_id(2), &sealed).is_err());
        assert!(MembershipKey::new([2; 64].into()).open(&run_id(1), &sealed).is_err());
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert!(key.open(&run_id(1), &changed).is_err());
        }
        assert_eq!(format!("{key:?}"), "MembershipKey(redacted)");
    }
}
