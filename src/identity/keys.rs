//! The key hierarchy: HKDF-SHA-512 (RFC 5869) from a root secret, one scope for each use.
//!
//! The `info` of a derivation is a list of parts, each preceded by its length as eight bytes, big-endian;
//! the first part names the scope. `docs/encodings.md` has the table with a vector for each.

use std::fmt;

use hkdf::Hkdf;
use sha2::Sha512;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::fnr::Fnr;
use super::siv::{KEY_LENGTH, Siv};
use crate::domain::ids::{ProjectId, RunId};
use crate::domain::order::KeyUse;
use crate::linkage::LinkageCode;

/// How many bytes a root secret has.
pub const ROOT_LENGTH: usize = 32;

/// One version of the root secret. Not `Clone`, erased on drop, redacted in `Debug`:
///
/// ```compile_fail,E0599
/// let root = kpr::identity::RootKey::new(1, [0; 32].into());
/// let copy = root.clone();
/// ```
/// ```compile_fail,E0277
/// let root = kpr::identity::RootKey::new(1, [0; 32].into());
/// println!("{root}");
/// ```
pub struct RootKey {
    version: u32,
    secret: Zeroizing<[u8; ROOT_LENGTH]>,
}

impl RootKey {
    /// The root secret of this version.
    #[must_use]
    pub const fn new(version: u32, secret: Zeroizing<[u8; ROOT_LENGTH]>) -> Self {
        Self { version, secret }
    }

    /// Its version.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// A key of `N` bytes for one scope.
    fn derive<const N: usize>(&self, info: &[&[u8]]) -> Zeroizing<[u8; N]> {
        let mut framed = Vec::new();
        for part in info {
            framed.extend((part.len() as u64).to_be_bytes());
            framed.extend(*part);
        }
        let mut key = Zeroizing::new([0; N]);
        #[allow(
            clippy::expect_used,
            reason = "HKDF-SHA-512 gives up to 16,320 bytes; no key here has over 64"
        )]
        Hkdf::<Sha512>::new(None, self.secret.as_slice())
            .expand(&framed, key.as_mut_slice())
            .expect("at most 64 bytes");
        key
    }

    /// A value by which the vault recognises this secret. It tells nothing about the keys.
    pub(super) fn check_value(&self) -> [u8; 16] {
        *self.derive(&[b"kpr/root-check/v1", &self.version.to_be_bytes()])
    }

    /// The key that seals the identifiers of the vault.
    pub(super) fn vault_key(&self) -> VaultKey {
        VaultKey(self.derive(&[b"kpr/vault-key/v1", &self.version.to_be_bytes()]))
    }

    /// The linkage key of a project and a run: the run is the epoch, so no two runs share a code. Nor do a feed and the
    /// rows of a partner, whatever run an order names.
    #[must_use]
    pub fn linkage_key(&self, key_use: KeyUse, project: &ProjectId, run: &RunId) -> LinkageKey {
        let scope: &[u8] = match key_use {
            KeyUse::Rows => b"kpr/linkage-key/v1",
            KeyUse::Feed => b"kpr/feed-key/v1",
        };
        LinkageKey(self.derive(&[scope, project.as_str().as_bytes(), run.as_str().as_bytes()]))
    }

    /// The cell key of a data domain. From the founding secret: it stays the same across projects and
    /// rotations, or noise made with it would average out.
    #[must_use]
    pub fn cell_key(&self, data_domain: &str) -> Zeroizing<[u8; 32]> {
        self.derive(&[b"kpr/cell-key/v1", data_domain.as_bytes()])
    }
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RootKey(version {}, redacted)", self.version)
    }
}

/// Two root secrets of one version, or none at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("root secrets must have different versions, from 1, and the current one the highest")]
pub struct BadKeyRing;

/// All versions of the root secret that are still held. New material is made under the current one; older
/// ones keep what was made under them readable until they are destroyed.
#[derive(Debug)]
pub struct KeyRing {
    current: RootKey,
    older: Vec<RootKey>,
}

impl KeyRing {
    /// The current root secret and older ones.
    ///
    /// # Errors
    /// [`BadKeyRing`] unless the versions differ and the current one is the highest.
    pub fn new(current: RootKey, mut older: Vec<RootKey>) -> Result<Self, BadKeyRing> {
        older.sort_by_key(RootKey::version);
        let versions = older.iter().map(RootKey::version).chain([current.version()]);
        let mut last = 0;
        for version in versions {
            if version <= last {
                return Err(BadKeyRing);
            }
            last = version;
        }
        Ok(Self { current, older })
    }

    /// The version that new material is made under.
    #[must_use]
    pub const fn current(&self) -> &RootKey {
        &self.current
    }

    /// The oldest version held. Cell keys come from it.
    #[must_use]
    pub fn founding(&self) -> &RootKey {
        self.older.first().unwrap_or(&self.current)
    }

    /// A version, if it is held.
    #[must_use]
    pub fn version(&self, version: u32) -> Option<&RootKey> {
        self.older.iter().chain([&self.current]).find(|root| root.version() == version)
    }
}

/// The key that seals the identifiers of the vault.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct VaultKey(Zeroizing<[u8; KEY_LENGTH]>);

impl VaultKey {
    /// The cipher under this key, for one thread.
    pub(super) fn cipher(&self) -> Siv {
        Siv::new(&self.0)
    }
}

/// The secret of one project and run: AES-256-SIV, 64 bytes. Only the identity service derives it; only a
/// register node that has accepted the order receives it. Not `Clone`, erased on drop, redacted in `Debug`:
///
/// ```compile_fail,E0599
/// fn copy(key: kpr::identity::LinkageKey) {
///     key.clone();
/// }
/// ```
/// ```compile_fail,E0277
/// fn show(key: &kpr::identity::LinkageKey) {
///     println!("{key}");
/// }
/// ```
/// ```compile_fail,E0624
/// fn leak(key: &kpr::identity::LinkageKey) {
///     key.to_wire();
/// }
/// ```
pub struct LinkageKey(Zeroizing<[u8; KEY_LENGTH]>);

impl LinkageKey {
    /// The code of one identifier. For many, [`LinkageKey::coder`] makes the key schedule once.
    #[must_use]
    pub fn code(&self, number: &Fnr) -> LinkageCode {
        self.coder().code(number)
    }

    /// A maker of codes under this key, for one thread.
    #[must_use]
    pub fn coder(&self) -> Coder {
        Coder(Siv::new(&self.0))
    }

    /// The one wire encoding, for the reply to an authenticated partner.
    pub(crate) fn to_wire(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.0.to_vec())
    }

    /// Reads the wire encoding; `None` unless it is 64 bytes.
    pub(crate) fn from_wire(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(|key| Self(Zeroizing::new(key)))
    }
}

impl fmt::Debug for LinkageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkageKey(redacted)")
    }
}

/// Makes linkage codes under one key, one identifier after the other.
pub struct Coder(Siv);

impl Coder {
    /// The code of an identifier: the synthetic IV over its eleven digits.
    #[must_use]
    pub fn code(&mut self, number: &Fnr) -> LinkageCode {
        LinkageCode::from_bytes(self.0.iv(number))
    }
}

impl fmt::Debug for Coder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Coder(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use hkdf::Hkdf;
    use sha2::Sha256;

    use super::*;

    fn root() -> RootKey {
        RootKey::new(1, Zeroizing::new(std::array::from_fn(|i| i as u8)))
    }

    fn project(text: &str) -> ProjectId {
        ProjectId::new(text).unwrap()
    }

    fn run(digit: char) -> RunId {
        RunId::new(format!("r-{}", String::from_iter(['a', digit].iter().cycle().take(32)))).unwrap()
    }

    /// RFC 5869, appendix A.1 to A.3.
    #[test]
    fn rfc_5869_vectors() {
        let range = |from: u8, to: u8| (from..=to).collect::<Vec<_>>();
        let cases = [
            (
                vec![0x0b; 22],
                Some(range(0x00, 0x0c)),
                range(0xf0, 0xf9),
                "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
            ),
            (
                range(0x00, 0x4f),
                Some(range(0x60, 0xaf)),
                range(0xb0, 0xff),
                "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e59\
                 0e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
            ),
            (
                vec![0x0b; 22],
                None,
                vec![],
                "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
            ),
        ];
        for (secret, salt, info, expected) in cases {
            let mut out = vec![0; expected.len() / 2];
            Hkdf::<Sha256>::new(salt.as_deref(), &secret).expand(&info, &mut out).unwrap();
            assert_eq!(hex::encode(out), expected);
        }
    }

    /// The vectors of `docs/encodings.md`.
    #[test]
    fn derivations_stay_as_documented() {
        let root = root();
        let linkage = root.linkage_key(KeyUse::Rows, &project("P-2026-0001"), &run('b'));
        let feed = root.linkage_key(KeyUse::Feed, &project("P-2026-0001"), &run('b'));
        let number = Fnr::parse(b"30908299996").unwrap();
        let vectors = [
            ("root check value", hex::encode(root.check_value())),
            ("vault key", hex::encode(root.vault_key().0.as_slice())),
            ("linkage key", hex::encode(linkage.to_wire())),
            ("feed key", hex::encode(feed.to_wire())),
            ("cell key", hex::encode(root.cell_key("KPR"))),
            ("linkage code", hex::encode(linkage.code(&number).as_bytes())),
            ("sealed identifier", hex::encode(root.vault_key().cipher().seal(&number))),
        ];
        let document = include_str!("../../docs/encodings.md");
        for (name, value) in vectors {
            assert!(document.contains(&format!("| {name} | `{value}` |")), "{name}: {value}");
        }
    }

    #[test]
    fn uses_projects_runs_and_versions_have_different_keys() {
        let root = root();
        let number = Fnr::parse(b"30908299996").unwrap();
        let second = RootKey::new(2, Zeroizing::new(std::array::from_fn(|i| i as u8)));
        let code = |of: KeyUse, p: &str, r: char| root.linkage_key(of, &project(p), &run(r)).code(&number);
        let codes: Vec<_> = [KeyUse::Rows, KeyUse::Feed]
            .into_iter()
            .flat_map(|of| {
                [code(of, "P-1", 'a'), code(of, "P-1", 'b'), code(of, "P-2", 'a'), code(of, "P-2", 'b')]
            })
            .collect();
        for (i, a) in codes.iter().enumerate() {
            assert!(codes.iter().skip(i + 1).all(|b| a != b));
        }
        assert_ne!(root.vault_key().0, second.vault_key().0);
    }

    #[test]
    fn parts_of_the_info_do_not_run_into_each_other() {
        let root = root();
        assert_ne!(root.derive::<64>(&[b"ab", b"c"]), root.derive::<64>(&[b"a", b"bc"]));
        assert_ne!(root.derive::<64>(&[b"ab"]), root.derive::<64>(&[b"ab", b""]));
    }

    #[test]
    fn the_wire_encoding_reads_back() {
        let key = root().linkage_key(KeyUse::Rows, &project("P-1"), &run('a'));
        let number = Fnr::parse(b"30908299996").unwrap();
        let read = LinkageKey::from_wire(&key.to_wire()).unwrap();
        assert_eq!(key.code(&number), read.code(&number));
        assert!(LinkageKey::from_wire(&[0; 63]).is_none());
        assert!(LinkageKey::from_wire(&[0; 65]).is_none());
    }

    #[test]
    fn debug_shows_no_secret() {
        let key = root().linkage_key(KeyUse::Rows, &project("P-1"), &run('a'));
        let shown = format!("{:?} {key:?} {:?}", root(), key.coder());
        assert_eq!(shown, "RootKey(version 1, redacted) LinkageKey(redacted) Coder(redacted)");
    }

    #[test]
    fn a_ring_holds_versions_in_order() {
        let version = |v| RootKey::new(v, Zeroizing::new([v as u8; ROOT_LENGTH]));
        let ring = KeyRing::new(version(5), vec![version(3), version(2)]).unwrap();
        assert_eq!((ring.founding().version(), ring.current().version()), (2, 5));
        assert!(ring.version(3).is_some() && ring.version(4).is_none());
        assert!(KeyRing::new(version(2), vec![version(2)]).is_err());
        assert!(KeyRing::new(version(1), vec![version(2)]).is_err());
        assert!(KeyRing::new(version(0), vec![]).is_err());
    }
}
