//! The secret of disclosure control: it breaks ties of suppression patterns, seals what is kept before it is released,
//! and makes the serial numbers of microdata.

use hkdf::Hkdf;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use sha2::Sha512;
use zeroize::Zeroizing;

use super::ledger::SealingKey;
use crate::domain::canonical::Digest;

/// A secret of 32 bytes. The same table gives the same pattern under it; without it, one who knows this
/// source code cannot try counts under a pattern and see which of them give it.
pub struct PatternKey(Zeroizing<[u8; 32]>);

impl PatternKey {
    /// The key with these bytes.
    #[must_use]
    pub const fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// The draws that belong to a table: HKDF-SHA-512 (RFC 5869) over the key, salted with the table's
    /// digest.
    pub(super) fn draws(&self, table: &Digest) -> ChaCha20Rng {
        let seed = self.derived(Some(table), b"kpr/suppression-pattern/v1");
        ChaCha20Rng::from_seed(*seed)
    }

    /// The key under which memberships of the release ledger are sealed.
    pub(super) fn membership_key(&self) -> SealingKey {
        SealingKey::new(self.derived(None, b"kpr/membership-key/v1"), b"kpr/ledger-membership/v1")
    }

    /// The key under which microdata are sealed that wait for stewards.
    pub(super) fn held_key(&self) -> SealingKey {
        SealingKey::new(self.derived(None, b"kpr/held-key/v1"), b"kpr/held-microdata/v1")
    }

    /// The key under which stewards' reports are sealed.
    pub(super) fn report_key(&self) -> SealingKey {
        SealingKey::new(self.derived(None, b"kpr/report-key/v1"), b"kpr/disclosure-report/v1")
    }

    /// The key under which a person's number becomes the serial number in a project's microdata.
    pub(super) fn serial_key(&self) -> SealingKey {
        SealingKey::new(self.derived(None, b"kpr/microdata-serial-key/v1"), b"kpr/microdata-serial/v1")
    }

    fn derived<const N: usize>(&self, salt: Option<&Digest>, label: &[u8]) -> Zeroizing<[u8; N]> {
        let mut key = Zeroizing::new([0; N]);
        #[allow(
            clippy::expect_used,
            reason = "HKDF-SHA-512 gives up to 16,320 bytes; at most 64 are asked for"
        )]
        Hkdf::<Sha512>::new(salt.map(|salt| salt.as_bytes().as_slice()), self.0.as_slice())
            .expand(label, key.as_mut_slice())
            .expect("64 bytes");
        key
    }
}
