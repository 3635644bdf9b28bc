//! The Ed25519 keys that stewards sign approvals with.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use ed25519_dalek::SigningKey;
use zeroize::Zeroizing;

use super::{PkiError, read, write_new};
use crate::domain::clock::Entropy;

/// Makes a steward's Ed25519 signing key and writes it to a new file: 64 hexadecimal digits, mode 0600.
///
/// # Errors
/// [`PkiError::Entropy`], [`PkiError::File`].
pub fn new_signing_key(path: &Path, entropy: &dyn Entropy) -> Result<SigningKey, PkiError> {
    let mut secret = Zeroizing::new([0; 32]);
    entropy.fill(secret.as_mut_slice())?;
    let text = Zeroizing::new(format!("{}\n", *Zeroizing::new(hex::encode(secret.as_slice()))));
    write_new(path, text.as_bytes(), 0o600)?;
    Ok(SigningKey::from_bytes(&secret))
}

/// Reads a steward's signing key.
///
/// # Errors
/// [`PkiError::File`], [`PkiError::SigningKey`], also where others than its owner can read the file.
pub fn read_signing_key(path: &Path) -> Result<SigningKey, PkiError> {
    let wrong = || PkiError::SigningKey(path.to_owned());
    let file = |source| PkiError::File { act: "read", path: path.to_owned(), source };
    if std::fs::metadata(path).map_err(file)?.permissions().mode() & 0o077 != 0 {
        return Err(wrong());
    }
    let mut secret = Zeroizing::new([0; 32]);
    hex::decode_to_slice(read(path)?.trim_end(), secret.as_mut_slice()).map_err(|_| wrong())?;
    Ok(SigningKey::from_bytes(&secret))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::clock::EntropyError;

    #[test]
    fn a_key_is_never_overwritten_and_an_open_one_never_read() {
        struct Sevens;
        impl Entropy for Sevens {
            fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
                bytes.fill(7);
                Ok(())
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("anna.signing");
        let key = new_signing_key(&path, &Sevens).unwrap();
        assert_eq!(read_signing_key(&path).unwrap().to_bytes(), key.to_bytes());
        assert!(new_signing_key(&path, &Sevens).is_err());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(read_signing_key(&path), Err(PkiError::SigningKey(_))));
    }
}
