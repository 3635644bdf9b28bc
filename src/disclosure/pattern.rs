//! The secret that breaks ties of suppression patterns.

use hkdf::Hkdf;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use sha2::Sha512;
use zeroize::Zeroizing;

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
        let mut seed = Zeroizing::new([0; 32]);
        #[allow(clippy::expect_used, reason = "HKDF-SHA-512 gives up to 16,320 bytes; 32 are asked for")]
        Hkdf::<Sha512>::new(Some(table.as_bytes()), self.0.as_slice())
            .expand(b"kpr/suppression-pattern/v1", seed.as_mut_slice())
            .expect("32 bytes");
        ChaCha20Rng::from_seed(*seed)
    }
}
