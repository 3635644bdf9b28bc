//! One entry with the proof that it is in the log: for somebody who may see this entry and not the others.
//! The text is C2SP tlog-proof, with the entry itself as its extra data.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::merkle::{Hash, leaf_hash};
use super::note::{NoteError, NoteVerifier};
use super::proof;

/// The first line.
const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// Why a proof is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EntryProofError {
    /// Its checkpoint is not good.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The text is not a proof.
    #[error("not a proof as `kpr audit prove` writes it: {HEADER}, extra, index, hashes, a checkpoint")]
    Malformed,
    /// The proof does not lead to the checkpoint's root.
    #[error("this is not entry {0} of the log: the proof does not lead to the root of the checkpoint")]
    NotIncluded(u64),
}

/// An entry and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryProof {
    /// Its index.
    pub index: u64,
    /// Its bytes.
    pub entry: Vec<u8>,
    /// The roots of the subtrees beside it, the nearest first.
    pub path: Vec<Hash>,
    /// The checkpoint, with the cosignatures it has.
    pub note: String,
}

impl std::fmt::Display for EntryProof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{HEADER}\nextra {}\nindex {}", STANDARD.encode(&self.entry), self.index)?;
        self.path.iter().try_for_each(|hash| writeln!(f, "{}", STANDARD.encode(hash)))?;
        write!(f, "\n{}", self.note)
    }
}

impl std::str::FromStr for EntryProof {
    type Err = EntryProofError;
    fn from_str(text: &str) -> Result<Self, EntryProofError> {
        let wrong = EntryProofError::Malformed;
        let (head, note) = text.split_once("\n\n").ok_or(wrong)?;
        let mut lines = head.lines();
        let mut after = |start: &str| lines.next().and_then(|line| line.strip_prefix(start)).ok_or(wrong);
        after(HEADER).and_then(|rest| if rest.is_empty() { Ok(()) } else { Err(wrong) })?;
        let entry = STANDARD.decode(after("extra ")?).map_err(|_| wrong)?;
        let index = after("index ")?.parse().map_err(|_| wrong)?;
        let hash = |line| STANDARD.decode(line).ok()?.try_into().ok();
        let path = lines.map(hash).collect::<Option<_>>().ok_or(wrong)?;
        Ok(Self { index, entry, path, note: note.to_owned() })
    }
}

impl EntryProof {
    /// Checks that the entry stands at its index in the log of the verifier's key. Cosignatures are for
    /// [`super::cosignature::CosignatureVerifier::find`] in the note.
    ///
    /// # Errors
    /// [`EntryProofError`].
    pub fn check(&self, log: &NoteVerifier) -> Result<(), EntryProofError> {
        let checkpoint = log.open(&self.note)?;
        let leaf = leaf_hash(&self.entry);
        if proof::includes(&checkpoint.root, checkpoint.size, self.index, &leaf, &self.path) {
            Ok(())
        } else {
            Err(EntryProofError::NotIncluded(self.index))
        }
    }
}
