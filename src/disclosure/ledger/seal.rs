//! Sealing of memberships: AES-256-SIV (RFC 5297), bound to the run they belong to. What is kept outside
//! disclosure control is sealed.

use std::fmt;

use aes_siv::KeyInit;
use aes_siv::siv::Aes256Siv;
use zeroize::Zeroizing;

use crate::domain::ids::RunId;

/// What is sealed, so that a key used elsewhere by mistake opens nothing here.
const LABEL: &[u8] = b"kpr/ledger-membership/v1";

/// A membership was sealed under another key or for another run, or has been changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a membership of the release ledger does not open under the gateway's secret")]
pub struct NotSealed;

/// The key under which the ledger's memberships are sealed: 64 bytes, of its own. Erased on drop.
pub(in crate::disclosure) struct MembershipKey(Zeroizing<[u8; 64]>);

impl MembershipKey {
    /// The key with these bytes.
    pub(in crate::disclosure) const fn new(bytes: Zeroizing<[u8; 64]>) -> Self {
        Self(bytes)
    }

    fn cipher(&self) -> Aes256Siv {
        let key: &[u8; 64] = &self.0;
        Aes256Siv::new(key.into())
    }

    /// The bytes sealed. The synthetic IV comes first.
    pub(in crate::disclosure) fn seal(&self, run: &RunId, bytes: &[u8]) -> Result<Vec<u8>, NotSealed> {
        let sealed = self.cipher().encrypt([LABEL, run.as_str().as_bytes()], bytes);
        sealed.map_err(|_| NotSealed)
    }

    /// Opens what was sealed under this key for this run.
    pub(in crate::disclosure) fn open(&self, run: &RunId, sealed: &[u8]) -> Result<Vec<u8>, NotSealed> {
        let opened = self.cipher().decrypt([LABEL, run.as_str().as_bytes()], sealed);
        opened.map_err(|_| NotSealed)
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

    fn run_id(n: u8) -> RunId {
        RunId::new(format!("r-{}", format!("{n:02x}").repeat(16))).unwrap()
    }

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
