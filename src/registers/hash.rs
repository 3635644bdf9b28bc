//! Digests of files, taken while they are read or written.

use std::io::{Read, Write};

use sha2::{Digest as _, Sha256};

use crate::domain::canonical::Digest;

/// [`Digest::of_bytes`], piece by piece.
pub(super) struct Hasher(Sha256);

impl Hasher {
    pub(super) fn new(label: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update((label.len() as u64).to_be_bytes());
        hash.update(label.as_bytes());
        Self(hash)
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(super) fn finish(self) -> Digest {
        Digest::from_bytes(self.0.finalize().into())
    }
}

/// Passes bytes on and takes their digest.
pub(super) struct Hashing<T> {
    inner: T,
    hasher: Hasher,
    bytes: u64,
}

impl<T> Hashing<T> {
    pub(super) fn new(label: &str, inner: T) -> Self {
        Self { inner, hasher: Hasher::new(label), bytes: 0 }
    }

    /// What lies beneath, the number of bytes that passed, and their digest.
    pub(super) fn finish(self) -> (T, u64, Digest) {
        (self.inner, self.bytes, self.hasher.finish())
    }
}

impl<T: Write> Write for Hashing<T> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.hasher.update(bytes.get(..n).unwrap_or_default());
        self.bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

impl<T: Read> Read for Hashing<T> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.hasher.update(buffer.get(..n).unwrap_or_default());
        self.bytes += n as u64;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_that_of_the_bytes() {
        let whole = Digest::of_bytes("kpr/test", b"abcdef");
        let mut writer = Hashing::new("kpr/test", Vec::new());
        writer.write_all(b"abc").unwrap();
        writer.write_all(b"def").unwrap();
        assert_eq!(writer.finish(), (b"abcdef".to_vec(), 6, whole));

        let mut reader = Hashing::new("kpr/test", b"abcdef".as_slice());
        let (mut head, mut text) = ([0; 4], Vec::new());
        reader.read_exact(&mut head).unwrap();
        reader.read_to_end(&mut text).unwrap();
        let (_, bytes, digest) = reader.finish();
        assert_eq!((&head, text.as_slice(), bytes, digest), (b"abcd", b"ef".as_slice(), 6, whole));
    }
}
