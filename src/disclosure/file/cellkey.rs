//! Cell-key noise for a table of a file: who is in a cell decides its noise.
#![allow(clippy::indexing_slicing, reason = "contributors are indices of their names")]

use std::io::Write;

use hkdf::Hkdf;
use sha2::Sha512;
use zeroize::Zeroizing;

use super::error::FileError;
use super::table::FileTable;
use crate::disclosure::cellkey::PerturbationTable;
use crate::domain::record_key::{CellKey, RecordKey};

/// The secret of 32 bytes that the record keys of contributors come from. It must stay the same for as long as
/// tables of the same persons are published: under another one they get other noise, and the two average out.
pub struct RecordSecret(Zeroizing<[u8; 32]>);

impl RecordSecret {
    /// The secret with these bytes.
    #[must_use]
    pub const fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// The record key of a contributor: HKDF-SHA-512 (RFC 5869) over the secret, expanded with the contributor's
    /// name as the file writes it.
    fn of(&self, contributor: &str) -> RecordKey {
        let mut bytes = [0; 8];
        #[allow(clippy::expect_used, reason = "HKDF-SHA-512 gives up to 16,320 bytes; 8 are asked for")]
        Hkdf::<Sha512>::new(None, self.0.as_slice())
            .expand_multi_info(&[b"kpr/file-record-key/v1", contributor.as_bytes()], &mut bytes)
            .expect("8 bytes");
        RecordKey(u64::from_be_bytes(bytes))
    }
}

impl FileTable {
    /// The value of each cell under cell-key noise. The same contributors give the same value in every table.
    ///
    /// # Errors
    /// [`FileError::SumAsked`]; [`FileError::WhoContributes`] if the file does not say who is in a cell.
    pub fn perturbed(&self, noise: &PerturbationTable, secret: &RecordSecret) -> Result<Vec<u64>, FileError> {
        if self.is_sum() {
            return Err(FileError::SumAsked);
        }
        let names = self.contributor_names().ok_or(FileError::WhoContributes("cell-key noise"))?;
        let keys: Vec<RecordKey> = names.iter().map(|name| secret.of(name)).collect();
        let value = |cell: usize| {
            let key: CellKey = self.contributors_of(cell).iter().map(|c| keys[c.by]).collect();
            noise.perturb(self.persons[cell], key)
        };
        Ok((0..self.cells()).map(value).collect())
    }

    /// Writes every cell of every margin with its value under noise; an impossible one has the status `.`.
    ///
    /// # Errors
    /// [`FileError::Write`].
    pub fn write_perturbed(&self, values: &[u64], out: impl Write) -> Result<(), FileError> {
        self.write_cells(&[], out, |cell| [values[cell].to_string()])
    }
}
