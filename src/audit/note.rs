//! Checkpoints as signed notes (C2SP signed-note and tlog-checkpoint): text that names the log, its size
//! and its root, and an Ed25519 signature line that anyone with the verifier key can check.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::ed25519::signature::Signer;
use ed25519_dalek::{Signature, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};

use super::merkle::Hash;

/// The signature type byte of Ed25519 in the signed-note format.
const ED25519: u8 = 0x01;
/// What a signature line begins with: an em dash and a space.
pub(super) const MARK: &str = "\u{2014} ";

/// Why a note or a key is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// A name is empty or holds white space or a plus sign.
    #[error("the name of a log or witness must not be empty nor hold white space or '+'")]
    Name,
    /// The verifier key text is not `name+id+key`.
    #[error("a verifier key is written name+id+key, as `kpr audit key` or `kpr witness init` prints it")]
    VerifierKey,
    /// The note's text is not a checkpoint.
    #[error("the checkpoint is malformed: origin, size and root are expected on a line each")]
    Malformed,
    /// The checkpoint is of another log.
    #[error("the checkpoint is of another log than the key")]
    OtherLog,
    /// No signature of the key verifies.
    #[error("the checkpoint has no valid signature by the key")]
    Signature,
}

/// What a log's owner signs: the log, how many entries it has, and their root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name.
    pub origin: String,
    /// How many entries it has.
    pub size: u64,
    /// The root of the Merkle tree over them.
    pub root: Hash,
}

impl Checkpoint {
    /// The text that is signed: a line each.
    pub(super) fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root))
    }

    fn parse(text: &str) -> Result<Self, NoteError> {
        let mut lines = text.split('\n');
        let mut line = || lines.next().filter(|l| !l.is_empty()).ok_or(NoteError::Malformed);
        let (origin, size, root) = (line()?.to_owned(), line()?, line()?);
        let number: u64 = size.parse().map_err(|_| NoteError::Malformed)?;
        if number.to_string() != size {
            return Err(NoteError::Malformed);
        }
        let root = STANDARD.decode(root).map_err(|_| NoteError::Malformed)?;
        Ok(Self { origin, size: number, root: root.try_into().map_err(|_| NoteError::Malformed)? })
    }
}

/// The key id: the first four bytes of SHA-256(name, newline, type, public key).
pub(super) fn key_id(name: &str, kind: u8, key: &VerifyingKey) -> [u8; 4] {
    let hash =
        Sha256::new().chain_update(name).chain_update([b'\n', kind]).chain_update(key.as_bytes()).finalize();
    let mut id = [0; 4];
    id.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
    id
}

/// A verifier key of a type, as text.
pub(super) fn key_text(name: &str, kind: u8, key: &VerifyingKey) -> String {
    let typed = [&[kind], key.as_bytes().as_slice()].concat();
    format!("{name}+{}+{}", hex::encode(key_id(name, kind, key)), STANDARD.encode(typed))
}

/// Reads a verifier key of a type: the name and the key.
pub(super) fn read_key(text: &str, kind: u8) -> Result<(String, VerifyingKey), NoteError> {
    let wrong = NoteError::VerifierKey;
    // Base64 may hold a plus sign, so the text is split from the left only.
    let mut parts = text.trim().splitn(3, '+');
    let mut part = || parts.next().ok_or(wrong);
    let (name, id, key) = (part()?, part()?, part()?);
    check_name(name)?;
    let typed = STANDARD.decode(key).map_err(|_| wrong)?;
    let (found, bytes) = typed.split_first().ok_or(wrong)?;
    let bytes: [u8; 32] = bytes.try_into().map_err(|_| wrong)?;
    let key = VerifyingKey::from_bytes(&bytes).map_err(|_| wrong)?;
    if *found != kind || hex::encode(key_id(name, kind, &key)) != id {
        return Err(wrong);
    }
    Ok((name.to_owned(), key))
}

/// The signatures under a key id in the lines of a name, with the line each stands in.
pub(super) fn signatures<'a>(
    lines: &'a str,
    name: &str,
    id: [u8; 4],
) -> impl Iterator<Item = (&'a str, Vec<u8>)> {
    let prefix = format!("{MARK}{name} ");
    lines.lines().filter_map(move |line| {
        let blob = STANDARD.decode(line.strip_prefix(&prefix)?).ok()?;
        Some((line, blob.strip_prefix(&id)?.to_vec()))
    })
}

pub(super) fn check_name(name: &str) -> Result<(), NoteError> {
    let bad = name.is_empty() || name.contains(|c: char| c.is_whitespace() || c == '+');
    if bad { Err(NoteError::Name) } else { Ok(()) }
}

/// The log owner's half: signs checkpoints.
pub struct NoteSigner {
    name: String,
    key: SigningKey,
}

impl NoteSigner {
    /// The signer of the log `name`.
    ///
    /// # Errors
    /// [`NoteError::Name`].
    pub fn new(name: &str, key: SigningKey) -> Result<Self, NoteError> {
        check_name(name)?;
        Ok(Self { name: name.to_owned(), key })
    }

    /// The name of the log.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The public half.
    #[must_use]
    pub fn verifier(&self) -> NoteVerifier {
        NoteVerifier { name: self.name.clone(), key: self.key.verifying_key() }
    }

    /// A signed checkpoint of a tree.
    #[must_use]
    pub fn sign(&self, size: u64, root: Hash) -> String {
        self.signed(&Checkpoint { origin: self.name.clone(), size, root }.text())
    }

    fn signed(&self, text: &str) -> String {
        let signature = self.key.sign(text.as_bytes());
        let mut blob = key_id(&self.name, ED25519, &self.key.verifying_key()).to_vec();
        blob.extend(signature.to_bytes());
        format!("{text}\n{MARK}{} {}\n", self.name, STANDARD.encode(blob))
    }
}

/// Anyone's half: verifies checkpoints. Its text form is the signed-note verifier key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteVerifier {
    name: String,
    key: VerifyingKey,
}

impl std::fmt::Display for NoteVerifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&key_text(&self.name, ED25519, &self.key))
    }
}

impl std::str::FromStr for NoteVerifier {
    type Err = NoteError;
    fn from_str(text: &str) -> Result<Self, NoteError> {
        let (name, key) = read_key(text, ED25519)?;
        Ok(Self { name, key })
    }
}

impl NoteVerifier {
    /// Reads a checkpoint and verifies its signature. Signatures by other keys, such as witnesses', are
    /// passed over.
    ///
    /// # Errors
    /// [`NoteError`].
    pub fn open(&self, note: &str) -> Result<Checkpoint, NoteError> {
        Ok(self.open_line(note)?.0)
    }

    /// As [`NoteVerifier::open`], with the line of the signature that verifies.
    pub(super) fn open_line<'a>(&self, note: &'a str) -> Result<(Checkpoint, &'a str), NoteError> {
        let (text, lines) = note.split_once("\n\n").ok_or(NoteError::Malformed)?;
        let text = format!("{text}\n");
        let checkpoint = Checkpoint::parse(&text)?;
        if checkpoint.origin != self.name {
            return Err(NoteError::OtherLog);
        }
        let mut found = signatures(lines, &self.name, key_id(&self.name, ED25519, &self.key));
        let valid = found.find(|(_, signature)| {
            Signature::from_slice(signature)
                .is_ok_and(|signature| self.key.verify_strict(text.as_bytes(), &signature).is_ok())
        });
        valid.map(|(line, _)| (checkpoint, line)).ok_or(NoteError::Signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer() -> NoteSigner {
        NoteSigner::new("kpr.example/audit", SigningKey::from_bytes(&[7; 32])).unwrap()
    }

    #[test]
    fn a_checkpoint_reads_back_under_its_key() {
        let note = signer().sign(3, [9; 32]);
        assert!(note.starts_with("kpr.example/audit\n3\nCQkJCQkJ"));
        let verifier: NoteVerifier = signer().verifier().to_string().parse().unwrap();
        assert_eq!(
            verifier.open(&note),
            Ok(Checkpoint { origin: "kpr.example/audit".into(), size: 3, root: [9; 32] })
        );
    }

    #[test]
    fn any_change_is_noticed() {
        let note = signer().sign(3, [9; 32]);
        let verifier = signer().verifier();
        assert_eq!(verifier.open(&note.replace("\n3\n", "\n4\n")), Err(NoteError::Signature));
        assert_eq!(verifier.open(&note.replace("\n3\n", "\n03\n")), Err(NoteError::Malformed));
        let other = NoteSigner::new("other", SigningKey::from_bytes(&[7; 32])).unwrap().verifier();
        assert_eq!(other.open(&note), Err(NoteError::OtherLog));
        let key = NoteSigner::new("kpr.example/audit", SigningKey::from_bytes(&[8; 32])).unwrap().verifier();
        assert_eq!(key.open(&note), Err(NoteError::Signature));
    }

    /// The key, text and signature of the example in the documentation of Go's `sumdb/note`.
    #[test]
    fn a_published_note_is_signed_alike() {
        let seed = STANDARD.decode("gQoUAtUUbI2E8kQzMPVAgOv5juF9nHT2JS/F1ccoMXM=").unwrap();
        let key = SigningKey::from_bytes(&seed.try_into().unwrap());
        let signer = NoteSigner::new("PeterNeumann", key).unwrap();
        assert_eq!(
            signer.verifier().to_string(),
            "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
        );
        let text = "If you think cryptography is the answer to your problem,\n\
                    then you don't know what your problem is.\n";
        let note = signer.signed(text);
        assert_eq!(
            note.strip_prefix(text),
            Some(
                "\n\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNX\
                 gKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
            )
        );
    }

    /// The verifier key of the C2SP signed-note specification's example server.
    #[test]
    fn a_published_verifier_key_is_read() {
        let text = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";
        let verifier: NoteVerifier = text.parse().unwrap();
        assert_eq!(verifier.to_string(), text);
        assert!(
            "sum.golang.org+033de0af+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
                .parse::<NoteVerifier>()
                .is_err()
        );
    }
}
