//! Who is in released microdata: a set of persons, in chunks by person number, sealed under a key of its own.
//!
//! The log of one person needs one chunk of each release and opens nothing of persons with other numbers than those of
//! that chunk. The chunks are the leaves of a Merkle tree, so that the one chunk is known to be that of the set which the
//! audit log speaks of. A chunk is a compressed bitmap, or a plain one where that is shorter, and is padded, so that its length
//! tells little to one who has the database and not the key.

use std::fmt;
use std::ops::Range;

use hkdf::Hkdf;
use roaring::RoaringBitmap;
use sha2::Sha512;
use zeroize::Zeroizing;

use super::ledger::{NotSealed, SealingKey};
use crate::audit::merkle::{Frontier, leaf_hash};
use crate::audit::proof::{includes, inclusion};
use crate::domain::canonical::Digest;
use crate::domain::ids::{PersonNo, RunId};
use crate::domain::overview::PersonSet;
use crate::linkage::Linked;
use crate::store::PersonChunk;

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

/// The key under which sets of persons, texts about a person and linked rows of persons are sealed.
pub struct PersonsKey {
    sets: SealingKey,
    texts: SealingKey,
    linked: SealingKey,
}

/// A set of persons, sealed. Made in disclosure control from the records that it lets out, and from nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedPersons {
    set: PersonSet,
    chunks: Vec<PersonChunk>,
}

impl SealedPersons {
    /// What the log commits to.
    #[must_use]
    pub const fn set(&self) -> PersonSet {
        self.set
    }

    /// The chunks, from number 0 to that of the highest person number.
    #[must_use]
    pub fn chunks(&self) -> &[PersonChunk] {
        &self.chunks
    }

    /// The chunk that a person's number lies in, if the set has it.
    #[must_use]
    pub fn chunk_with(&self, person: PersonNo) -> Option<&PersonChunk> {
        self.chunks.get(chunk_of(person) as usize)
    }

    fn new(sealed: Vec<Vec<u8>>) -> Self {
        let hashes: Vec<_> = sealed.iter().map(|chunk| leaf_hash(chunk)).collect();
        let root = |leaves: Range<u64>| {
            let hashes = hashes.iter().skip(leaves.start as usize).take((leaves.end - leaves.start) as usize);
            Frontier::of(hashes.copied()).root()
        };
        let size = hashes.len() as u64;
        let chunks = (0..).zip(sealed).map(|(index, sealed)| {
            let beside = inclusion(index, size).unwrap_or_default();
            PersonChunk { sealed, proof: beside.into_iter().flat_map(&root).collect() }
        });
        let chunks: Vec<_> = chunks.collect();
        Self { set: PersonSet { chunks: size as u32, root: Digest::from_bytes(root(0..size)) }, chunks }
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
            linked: SealingKey::new(derived(b"kpr/linked-set-key/v1"), b"kpr/linked-set/v1"),
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
        Ok(SealedPersons::new(chunks))
    }

    /// Whether a person is in the records of a run, by what the log says of the set and by the chunk that is kept, if any,
    /// for the person's number.
    ///
    /// # Errors
    /// [`NotSealed`] if it is not that chunk of that run and set, has been changed, or is missing.
    pub fn holds(
        &self,
        run: &RunId,
        person: PersonNo,
        set: &PersonSet,
        chunk: Option<&PersonChunk>,
    ) -> Result<bool, NotSealed> {
        let number = chunk_of(person);
        let Some(PersonChunk { sealed, proof }) = chunk else {
            return if number < set.chunks { Err(NotSealed) } else { Ok(false) };
        };
        let (beside, rest) = proof.as_chunks::<32>();
        let (root, size) = (set.root.as_bytes(), u64::from(set.chunks));
        if !rest.is_empty() || !includes(root, size, u64::from(number), &leaf_hash(sealed), beside) {
            return Err(NotSealed);
        }
        let bytes = self.sets.open(&of(run, number), sealed)?;
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

    /// Seals the rows of a linked set that a run has gathered.
    ///
    /// # Errors
    /// [`NotSealed`].
    pub fn seal_linked(&self, set: Digest, run: &RunId, rows: &Linked) -> Result<Vec<u8>, NotSealed> {
        self.linked.seal(&of_set(set, run), &rows.to_bytes().map_err(|_| NotSealed)?)
    }

    /// Opens the rows of a linked set that a run has gathered.
    ///
    /// # Errors
    /// [`NotSealed`].
    pub fn open_linked(&self, set: Digest, run: &RunId, sealed: &[u8]) -> Result<Linked, NotSealed> {
        let bytes = Zeroizing::new(self.linked.open(&of_set(set, run), sealed)?);
        Linked::from_bytes(&bytes).map_err(|_| NotSealed)
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

/// What a linked set is bound to.
fn of_set(set: Digest, run: &RunId) -> String {
    format!("{set}/{run}")
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
        let chunk = sealed.chunk_with(PersonNo(person));
        key().holds(&run(1), PersonNo(person), &sealed.set(), chunk).unwrap()
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
            for person in (0..6 * CHUNK).step_by(97).chain(sparse).chain([from, from + length]) {
                prop_assert_eq!(held(&sealed, person), persons.contains(person));
            }
        }
    }

    #[test]
    fn a_chunk_opens_in_its_own_place_of_its_own_run_only() {
        let persons: RoaringBitmap = (0..3 * CHUNK).step_by(3).collect();
        let sealed = key().seal(&run(1), &persons).unwrap();
        let (set, chunks) = (sealed.set(), sealed.chunks());
        let opened = |of: u8, person: u32, chunk: &PersonChunk| {
            key().holds(&run(of), PersonNo(person), &set, Some(chunk))
        };
        for (person, chunk) in (0..).step_by(CHUNK as usize).zip(chunks) {
            assert_eq!(opened(1, person, chunk), Ok(person % 3 == 0));
            assert!(opened(2, person, chunk).is_err());
            assert!(opened(1, (person + CHUNK) % (3 * CHUNK), chunk).is_err());
            assert!(
                PersonsKey::new(&[4; 32].into()).holds(&run(1), PersonNo(person), &set, Some(chunk)).is_err()
            );
            for at in [0, 20] {
                let mut changed = chunk.clone();
                changed.sealed[at] ^= 1;
                assert!(opened(1, person, &changed).is_err());
                let mut changed = chunk.clone();
                changed.proof[at] ^= 1;
                assert!(opened(1, person, &changed).is_err());
            }
        }
        // What is sealed under the same key for the same place, and is of another set.
        let other = key().seal(&run(1), &(0..CHUNK).collect()).unwrap();
        let swapped = PersonChunk { sealed: other.chunks()[0].sealed.clone(), ..chunks[0].clone() };
        assert!(opened(1, 0, &swapped).is_err() && opened(1, 0, &other.chunks()[0]).is_err());
        assert_ne!(other.set().digest(), set.digest());
        // A chunk that is not there was taken away, or lies beyond the set.
        let without = |person| key().holds(&run(1), PersonNo(person), &set, None);
        assert!(without(3 * CHUNK - 1).is_err());
        assert_eq!(without(3 * CHUNK), Ok(false));
        let shorter = PersonSet { chunks: 2, ..set };
        assert_eq!(key().holds(&run(1), PersonNo(2 * CHUNK), &shorter, None), Ok(false));
        assert_ne!(shorter.digest(), set.digest());
    }

    /// Whoever has the database without the key sees of a chunk one of five lengths.
    #[test]
    fn the_length_of_a_chunk_tells_little() {
        let length = |persons: u32, step: usize| {
            let set: RoaringBitmap = (0..CHUNK).step_by(step).take(persons as usize).collect();
            key().seal(&run(1), &set).unwrap().chunks().iter().map(|c| c.sealed.len()).collect::<Vec<_>>()
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
        let persons = SealedPersons::new(vec![sealed]);
        assert!(key().holds(&run(1), PersonNo(0), &persons.set(), persons.chunk_with(PersonNo(0))).is_err());
        assert_eq!(format!("{:?}", key()), "PersonsKey(redacted)");
    }
}
