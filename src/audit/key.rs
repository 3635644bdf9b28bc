//! Making the key that signs the log's checkpoints.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use zeroize::Zeroizing;

use crate::domain::clock::{Entropy, EntropyError};

use super::note::{NoteError, NoteSigner, check_name};

/// Why a key is not made.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// No randomness.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// The log's name is not one.
    #[error(transparent)]
    Name(#[from] NoteError),
    /// The file is there already, or cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
}

/// Makes a signing key for the log `origin` and writes it to a new file: 32 bytes, mode 0600. A file that
/// is there is never written over.
///
/// # Errors
/// [`KeyError`].
pub fn new_key(path: &Path, origin: &str, entropy: &dyn Entropy) -> Result<NoteSigner, KeyError> {
    check_name(origin)?;
    let secret = write_key(path, entropy)?;
    Ok(NoteSigner::new(origin, SigningKey::from_bytes(&secret))?)
}

/// Writes 32 random bytes to a new file of mode 0600, and gives them.
///
/// # Errors
/// [`KeyError::Entropy`], [`KeyError::Write`].
pub fn write_key(path: &Path, entropy: &dyn Entropy) -> Result<Zeroizing<[u8; 32]>, KeyError> {
    let mut secret = Zeroizing::new([0; 32]);
    entropy.fill(secret.as_mut_slice())?;
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(secret.as_slice()).and_then(|()| file.sync_all()))
        .map_err(|source| KeyError::Write { path: path.to_owned(), source })?;
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    struct Sevens;

    impl Entropy for Sevens {
        fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
            bytes.fill(7);
            Ok(())
        }
    }

    #[test]
    fn a_key_is_for_its_owner_only_and_never_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.key");
        let signer = new_key(&path, "kpr.example/audit", &Sevens).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), [7; 32]);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let again = NoteSigner::new("kpr.example/audit", SigningKey::from_bytes(&[7; 32])).unwrap();
        assert_eq!(signer.verifier(), again.verifier());
        assert!(matches!(new_key(&path, "kpr.example/audit", &Sevens), Err(KeyError::Write { .. })));
        assert!(matches!(new_key(&dir.path().join("b"), "a name", &Sevens), Err(KeyError::Name(_))));
        assert!(!dir.path().join("b").exists());
    }
}
