//! Sealing: AES-256-SIV (RFC 5297), bound to what is sealed and to the run it belongs to. What is kept outside
//! disclosure control before it is released is sealed.

use std::fmt;

use aes_siv::KeyInit;
use aes_siv::siv::Aes256Siv;
use zeroize::Zeroizing;

/// Something was sealed under another key or for another run, or has been changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("what the gateway has kept sealed does not open under its secret")]
pub struct NotSealed;

/// A key under which one kind of thing is sealed: 64 bytes, of its own. Erased on drop.
pub(in crate::disclosure) struct SealingKey {
    bytes: Zeroizing<[u8; 64]>,
    /// What is sealed, so that a key used elsewhere by mistake opens nothing here.
    label: &'static [u8],
}

impl SealingKey {
    /// The key with these bytes, for what the label names.
    pub(in crate::disclosure) const fn new(bytes: Zeroizing<[u8; 64]>, label: &'static [u8]) -> Self {
        Self { bytes, label }
    }

    fn cipher(&self) -> Aes256Siv {
        let key: &[u8; 64] = &self.bytes;
        Aes256Siv::new(key.into())
    }

    /// The bytes sealed, for the run or project that `of` names. The synthetic IV comes first.
    pub(in crate::disclosure) fn seal(&self, of: &str, bytes: &[u8]) -> Result<Vec<u8>, NotSealed> {
        let sealed = self.cipher().encrypt([self.label, of.as_bytes()], bytes);
        sealed.map_err(|_| NotSealed)
    }

    /// Opens what was sealed under this key for this run or project.
    pub(in crate::disclosure) fn open(&self, of: &str, sealed: &[u8]) -> Result<Vec<u8>, NotSealed> {
        let opened = self.cipher().decrypt([self.label, of.as_bytes()], sealed);
        opened.map_err(|_| NotSealed)
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_under_its_own_key_label_and_run_only() {
        let key = SealingKey::new([1; 64].into(), b"membership");
        let sealed = key.seal("r-1", b"persons").unwrap();
        assert!(!sealed.windows(7).any(|w| w == b"persons"));
        assert_eq!(key.open("r-1", &sealed).unwrap(), b"persons");
        assert!(key.open("r-2", &sealed).is_err());
        assert!(SealingKey::new([2; 64].into(), b"membership").open("r-1", &sealed).is_err());
        assert!(SealingKey::new([1; 64].into(), b"records").open("r-1", &sealed).is_err());
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert!(key.open("r-1", &changed).is_err());
        }
        assert_eq!(format!("{key:?}"), "SealingKey(redacted)");
    }
}
