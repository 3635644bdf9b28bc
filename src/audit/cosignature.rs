//! Cosignatures (C2SP tlog-cosignature, version 1): a witness's statement that at a time it had seen the
//! log at this checkpoint, and nothing that contradicts it. A line of the signed note.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use ed25519_dalek::ed25519::signature::Signer;
use ed25519_dalek::{Signature, SigningKey, VerifyingKey};

use super::note::{MARK, NoteError, check_name, key_id, key_text, read_key, signatures};

/// The signature type byte of a timestamped Ed25519 cosignature.
const COSIGNATURE: u8 = 0x04;

/// What a witness signs: the time in seconds, and the note's text.
fn message(seconds: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {seconds}\n{text}")
}

/// A note's text, its last line's end included, and its signature lines.
fn parts(note: &str) -> Option<(&str, &str)> {
    let end = note.find("\n\n")?;
    Some((note.get(..=end)?, note.get(end + 2..)?))
}

/// A witness's half: cosigns notes.
pub struct Cosigner {
    name: String,
    key: SigningKey,
}

impl Cosigner {
    /// The cosigner of the witness `name`.
    ///
    /// # Errors
    /// [`NoteError::Name`].
    pub fn new(name: &str, key: SigningKey) -> Result<Self, NoteError> {
        check_name(name)?;
        Ok(Self { name: name.to_owned(), key })
    }

    /// The public half.
    #[must_use]
    pub fn verifier(&self) -> CosignatureVerifier {
        CosignatureVerifier { name: self.name.clone(), key: self.key.verifying_key() }
    }

    /// The line, with its end, that cosigns a note's text. A clock before 1970 signs as 1970.
    pub(super) fn line(&self, text: &str, time: DateTime<Utc>) -> String {
        let seconds = u64::try_from(time.timestamp()).unwrap_or(0);
        let signature = self.key.sign(message(seconds, text).as_bytes());
        let mut blob = key_id(&self.name, COSIGNATURE, &self.key.verifying_key()).to_vec();
        blob.extend(seconds.to_be_bytes());
        blob.extend(signature.to_bytes());
        format!("{MARK}{} {}\n", self.name, STANDARD.encode(blob))
    }
}

/// Anyone's half: verifies the cosignatures of one witness. Its text form is the signed-note verifier key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CosignatureVerifier {
    name: String,
    key: VerifyingKey,
}

impl std::fmt::Display for CosignatureVerifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&key_text(&self.name, COSIGNATURE, &self.key))
    }
}

impl std::str::FromStr for CosignatureVerifier {
    type Err = NoteError;
    fn from_str(text: &str) -> Result<Self, NoteError> {
        let (name, key) = read_key(text, COSIGNATURE)?;
        Ok(Self { name, key })
    }
}

impl CosignatureVerifier {
    /// The witness's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The line of a note that is this witness's valid cosignature, without its end, and its time in
    /// seconds since 1970.
    #[must_use]
    pub fn find<'a>(&self, note: &'a str) -> Option<(&'a str, u64)> {
        let (text, lines) = parts(note)?;
        signatures(lines, &self.name, key_id(&self.name, COSIGNATURE, &self.key)).find_map(|(line, blob)| {
            let (seconds, signature) = blob.split_first_chunk::<8>()?;
            let seconds = u64::from_be_bytes(*seconds);
            let signature = Signature::from_slice(signature).ok()?;
            self.key.verify_strict(message(seconds, text).as_bytes(), &signature).ok()?;
            Some((line, seconds))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::note::NoteSigner;
    use super::*;

    /// The checkpoint and the time of the example in the specification.
    const TEXT: &str =
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
    const TIME: u64 = 1_679_315_147;

    fn cosigner(seed: u8) -> Cosigner {
        Cosigner::new("witness.example.com/w1", SigningKey::from_bytes(&[seed; 32])).unwrap()
    }

    fn note(seed: u8) -> String {
        format!("{TEXT}\n{}", cosigner(seed).line(TEXT, DateTime::from_timestamp_secs(TIME as i64).unwrap()))
    }

    #[test]
    fn a_cosignature_has_the_form_of_the_specification() {
        let line = "jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZ\
                    qhf5nNo0xUe+mbIUBkBIfZ+qnA==";
        let example = STANDARD.decode(line).unwrap();
        let ours = note(7);
        let ours = STANDARD.decode(ours.trim_end().rsplit(' ').next().unwrap()).unwrap();
        assert_eq!((ours.len(), &ours[4..12]), (example.len(), &example[4..12]));
        let signed = message(TIME, TEXT);
        assert_eq!(signed, format!("cosignature/v1\ntime 1679315147\n{TEXT}"));
        let signature = Signature::from_slice(&ours[12..]).unwrap();
        cosigner(7).key.verifying_key().verify_strict(signed.as_bytes(), &signature).unwrap();
    }

    #[test]
    fn a_cosignature_holds_for_its_text_time_name_and_key_only() {
        let verifier: CosignatureVerifier = cosigner(7).verifier().to_string().parse().unwrap();
        let note = note(7);
        assert_eq!(verifier.find(&note).unwrap().1, TIME);
        assert_eq!(verifier.find(&note.replace("20852163", "20852164")), None);
        assert_eq!(verifier.find(&note.replace("w1", "w2")), None);
        assert_eq!(cosigner(8).verifier().find(&note), None);
        let (text, line) = note.split_once("\n\n").unwrap();
        let (name, blob) = line.trim_end().rsplit_once(' ').unwrap();
        let mut blob = STANDARD.decode(blob).unwrap();
        blob[11] ^= 1;
        assert_eq!(verifier.find(&format!("{text}\n\n{name} {}\n", STANDARD.encode(&blob))), None);
        assert_eq!(verifier.find(text), None);
    }

    /// A log's signature is no cosignature though the key be the same, and the other way round.
    #[test]
    fn the_two_kinds_of_signature_are_not_taken_for_each_other() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let log = NoteSigner::new("kpr.example/audit", key.clone()).unwrap();
        let witness = Cosigner::new("kpr.example/audit", key).unwrap();
        assert_eq!(witness.verifier().find(&log.sign(3, [9; 32])), None);
        assert!(log.verifier().to_string().parse::<CosignatureVerifier>().is_err());
        let text = log.sign(3, [9; 32]).split_once("\n\n").unwrap().0.to_owned() + "\n";
        let cosigned = format!("{text}\n{}", witness.line(&text, DateTime::UNIX_EPOCH));
        assert_eq!(log.verifier().open(&cosigned), Err(NoteError::Signature));
    }
}
