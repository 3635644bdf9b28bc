//! Sources of bytes for tests.

use std::sync::atomic::{AtomicU8, Ordering};

use crate::domain::clock::{Entropy, EntropyError};

/// Counts, so that no two salts are alike.
#[derive(Default)]
pub(super) struct Counting(AtomicU8);

impl Entropy for Counting {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        bytes.fill(self.0.fetch_add(1, Ordering::Relaxed));
        Ok(())
    }
}

/// Has none.
pub(super) struct Dry;

impl Entropy for Dry {
    fn fill(&self, _: &mut [u8]) -> Result<(), EntropyError> {
        Err(EntropyError)
    }
}
