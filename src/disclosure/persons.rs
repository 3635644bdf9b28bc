//! Who is in released microdata: a set of persons, in chunks by person number, sealed under a key of its own.
//!
//! The log of one person needs one chunk of each release and opens nothing of persons with other numbers than those of
//! that chunk. A chunk is a compressed bitmap, or a plain one where that is shorter, and is padded, so that its length
//! tells little to one who has the database and not the key.

use std::fmt;

use hkdf::Hkdf;
use roaring::RoaringBitmap;
use sha2::Sha512;
use zeroize::Zeroizing;

use super::ledger::{NotSealed, SealingKey};
use crate::domain::canonical::Digest;
use crate::domain::ids::{PersonNo, RunId};

/// How many person numbers a chunk covers. A plain bitmap of them has a KiB, which fits into a page of a database.
pub const CHUNK: u32 = 1 << 13;
/// The bytes of a plain bitmap.
const PLAIN: usize = CHUNK as usize / 8;
/// The lengths that compressed chunks are padded to.
const PADDED: [usize; 4] = [64, 128, 256, 512];

/// The chunk that a person is in.
#[must_use]
pub const fn chunk_of(person: PersonNo) -> u32 {
    person.0 / CHUNK
}

/// The key under which sets of persons and texts about a person are sealed.
pub struct PersonsKey {
    sets: SealingKey,
    texts: SealingKey,
}

/// A set of persons, sealed. Made in disclosure control from the records that it lets out, and from nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedPersons {
    digest: Digest,
    chunks: Vec<Vec<u8>>,
}

impl SealedPersons {
    /// The digest of the sealed chunks.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// The chunks, from number 0 to that of the highest person number.
    #[must_use]
    pub fn chunks(&self) -> &[Vec<u8>] {
        &self.chunks
    }

    /// As the digest over stored chunks is made: each preceded by its length, eight bytes, big-endian.
    #[must_use]
    pub fn digest_of(chunks: &[Vec<u8>]) -> Digest {
        let framed: Vec<u8> =
            chunks.iter().flat_map(|c| [&(c.len() as u64).to_be_bytes()[..], c].concat()).collect();
        Digest::of_bytes("kpr/disclosed-persons/v1", &framed)
    }
}

impl PersonsKey {
    /// The key with these bytes: each use has a key of its own, by HKDF-SHA-512 (RFC 5869).
    #[must_use]
    pub fn new(bytes: &Zeroizing<[u8; 32]>) -> Self {
        let derived = |label: &[u8]| {
            let mut key = Zeroizing::new([0; 64]);
            #[allow(clippy::expect_used, reason = "HKDF-SHA-512 gives up to 16,320 bytes; 64 are asked for")]
            Hkdf::<Sha512>::new(None, bytes.as_slice()).expand(label, key.as_mut_slice()).expect("64 bytes");
            key
        };
        Self {
            sets: SealingKey::new(derived(b"kpr/person-set-key/v1"), b"kpr/person-set/v1"),
            texts: SealingKey::new(derived(b"kpr/person-text-key/v1"), b"kpr/person-text/v1"),
        }
    }

    /// Seals a set for the run whose records it is of.
    ///
    /// # Errors
    /// [`NotSealed`].
    pub fn seal(&self, run: &RunId, persons: &RoaringBitmap) -> Result<SealedPersons, NotSealed> {
        let last = persons.max().map_or(0, |last| chunk_of(PersonNo(last)) + 1);
        let mut members = persons.iter().peekable();
        let mut chunks = Vec::with_capacity(last as usize);
        for chunk in 0..last {
            let mut part = RoaringBitmap::new();
            while let Some(person) = members.next_if(|&person| chunk_of(PersonNo(person)) == chunk) {
                part.insert(person % CHUNK);
            }
            chunks.push(self.sets.seal(&of(run, chunk), &encoded(part)?)?);
        }
        Ok(SealedPersons { digest: SealedPersons::digest_of(&chunks), chunks })
    }

    /// Whether a person is in the records of a run, by the sealed chunk of the person.
    ///
    /// # Errors
    /// [`NotSealed`] if it is not that chunk of that run, or has been changed.
    pub fn holds(&self, run: &RunId, person: PersonNo, sealed: &[u8]) -> Result<bool, NotSealed> {
        let bytes = self.sets.open(&of(run, chunk_of(person)), sealed)?;
        let place = person.0 % CHUNK;
        if bytes.len() == PLAIN {
            let byte = bytes.get(place as usize / 8).ok_or(NotSealed)?;
            return Ok(byte >> (place % 8) & 1 == 1);
        }
        let part = RoaringBitmap::deserialize_from(bytes.as_slice()).map_err(|_| NotSealed)?;
        Ok(part.contains(place))
    }

    /// Seals a text that belongs to an entry of this name.
    ///
    /// # Errors
    /// [`NotSealed`].
    pub fn seal_text(&self, entry: &str, text: &str) -> Result<Vec<u8>, NotSealed> {
        self.texts.seal(entry, text.as_bytes())
    }

    /// Opens the text of an entry.
    ///
    /// # Errors
    /// [`NotSealed`].
    pub fn open_text(&self, entry: &str, sealed: &[u8]) -> Result<String, NotSealed> {
        String::from_utf8(self.texts.open(entry, sealed)?).map_err(|_| NotSealed)
    }
}

impl fmt::Debug for PersonsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PersonsKey(redacted)")
    }
}

/// What a chunk is bound to.
fn of(run: &RunId, chunk: u32) -> String {
    format!("{run}/{chunk}")
}

/// A chunk in the portable roaring format, padded with zeros; or a bit a person, where that is shorter.
fn encoded(mut part: RoaringBitmap) -> Result<Vec<u8>, NotSealed> {
    part.optimize();
    let length = part.serialized_size();
    if let Some(padded) = PADDED.into_iter().find(|&padded| length <= padded) {
        let mut bytes = Vec::with_capacity(padded);
        part.serialize_into(&mut bytes).map_err(|_| NotSealed)?;
        bytes.resize(padded, 0);
        return Ok(bytes);
    }
    let mut bytes = vec![0_u8; PLAIN];
    for place in &part {
        *bytes.get_mut(place as usize / 8).ok_or(NotSealed)? |= 1 << (place % 8);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> PersonsKey {
        PersonsKey::new(&[3; 32].into())
    }

    fn run(n: u8) -> RunId {
        RunId::new(format!("r-{}", format!("{n:02x}").repeat(16))).unwrap()
    }

    fn held(sealed: &SealedPersons, person: u32) -> bool {
        let chunk = sealed.chunks().get(chunk_of(PersonNo(person)) as usize);
        chunk.is_some_and(|chunk| key().holds(&run(1), PersonNo(person), chunk).unwrap())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn exactly_the_persons_of_the_set_are_in_it(
            sparse in proptest::collection::btree_set(0..5 * CHUNK, 0..40),
            from in 0..3 * CHUNK, length in 0..2 * CHUNK, step in 1..4_u32,
        ) {
            let dense = (from..from + length).step_by(step as usize);
            let persons: RoaringBitmap = sparse.iter().copied().chain(dense).collect();
            let sealed = key().seal(&run(1), &persons).unwrap();
            for person in (0..6 * CHUNK).step_by(7).chain(sparse).chain([from, from + length]) {
                prop_assert_eq!(held(&sealed, person), persons.contains(person));
            }
        }
    }

    #[test]
    fn a_chunk_opens_in_its_own_place_of_its_own_run_only() {
        let persons: RoaringBitmap = (0..3 * CHUNK).step_by(3).collect();
        let sealed = key().seal(&run(1), &persons).unwrap();
        let (first, second) = (&sealed.chunks()[0], &sealed.chunks()[1]);
        assert!(key().holds(&run(1), PersonNo(0), first).unwrap());
        assert!(key().holds(&run(2), PersonNo(0), first).is_err());
        assert!(key().holds(&run(1), PersonNo(0), second).is_err());
        assert!(PersonsKey::new(&[4; 32].into()).holds(&run(1), PersonNo(0), first).is_err());
        let mut changed = first.clone();
        changed[20] ^= 1;
        assert!(key().holds(&run(1), PersonNo(0), &changed).is_err());
        assert_ne!(SealedPersons::digest_of(&[changed, second.clone()]), sealed.digest());
    }

    /// Whoever has the database without the key sees of a chunk one of five lengths.
    #[test]
    fn the_length_of_a_chunk_tells_little() {
        let length = |persons: u32, step: usize| {
            let set: RoaringBitmap = (0..CHUNK).step_by(step).take(persons as usize).collect();
            key().seal(&run(1), &set).unwrap().chunks().iter().map(Vec::len).collect::<Vec<_>>()
        };
        assert_eq!(length(1, 1), length(20, 400));
        assert_eq!(length(20, 1), [64 + 16]);
        assert_eq!(length(CHUNK, 1), [64 + 16]);
        assert_eq!(length(4000, 2), [PLAIN + 16]);
        assert_eq!(length(700, 7), [PLAIN + 16]);
    }

    #[test]
    fn a_text_opens_for_its_own_entry_only() {
        let sealed = key().seal_text("c-1", "the date is wrong").unwrap();
        assert_eq!(key().open_text("c-1", &sealed).unwrap(), "the date is wrong");
        assert!(key().open_text("c-2", &sealed).is_err());
        assert!(key().holds(&run(1), PersonNo(0), &sealed).is_err());
        assert_eq!(format!("{:?}", key()), "PersonsKey(redacted)");
    }
}
