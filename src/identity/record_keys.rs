//! Record keys: what each person adds to the keys of the cells it is counted in.

use std::fmt;

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::keys::KeyRing;
use crate::domain::ids::PersonNo;
use crate::domain::record_key::RecordKey;

/// Gives out the record keys of one data domain. They come from the founding secret, so that they stay
/// the same across projects and rotations: noise made with changing keys would average out.
///
/// The gateway holds no key of the hierarchy. It gets the record keys of the persons whom a signed order has linked,
/// a number for each that tells nothing of who it is.
pub struct RecordKeys(Hkdf<Sha256>);

impl RecordKeys {
    /// The record keys of a data domain.
    #[must_use]
    pub fn new(ring: &KeyRing, data_domain: &str) -> Self {
        #[allow(clippy::expect_used, reason = "a cell key has 32 bytes, as many as SHA-256 gives")]
        let prf = Hkdf::from_prk(ring.founding().cell_key(data_domain).as_slice()).expect("32 bytes");
        Self(prf)
    }

    /// The key of one person: eight bytes of HKDF-SHA-256 (RFC 5869), expanded from the cell key with the
    /// person number as `info`, four bytes big-endian. Under an unknown cell key it is a pseudorandom
    /// function of the person.
    #[must_use]
    pub fn of(&self, person: PersonNo) -> RecordKey {
        let mut bytes = [0; 8];
        #[allow(clippy::expect_used, reason = "HKDF-SHA-256 gives up to 8,160 bytes; 8 are asked for")]
        self.0
            .expand_multi_info(&[b"kpr/record-key/v1", &person.0.to_be_bytes()], &mut bytes)
            .expect("8 bytes");
        RecordKey(u64::from_be_bytes(bytes))
    }

    /// The keys of these persons, in this order; 0 for an identifier that the vault does not know, who is in no cell.
    pub(super) fn of_all(&self, persons: &[PersonNo]) -> Zeroizing<Vec<RecordKey>> {
        let keys = persons.iter().map(|&p| if p.is_unknown() { RecordKey(0) } else { self.of(p) });
        Zeroizing::new(keys.collect())
    }
}

impl fmt::Debug for RecordKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecordKeys(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::identity::keys::RootKey;

    fn root(version: u32) -> RootKey {
        RootKey::new(version, Zeroizing::new(std::array::from_fn(|i| i as u8)))
    }

    /// The first is a vector of `docs/encodings.md`: released values depend on it.
    #[test]
    fn keys_stay_as_documented() {
        let keys = RecordKeys::new(&KeyRing::new(root(1), vec![]).unwrap(), "KPR");
        let value = hex::encode(keys.of(PersonNo(7)).0.to_be_bytes());
        let document = include_str!("../../docs/encodings.md");
        assert!(document.contains(&format!("| record key | `{value}` |")), "{value}");
    }

    #[test]
    fn a_rotation_changes_no_key_and_another_domain_has_others() {
        let first = RecordKeys::new(&KeyRing::new(root(1), vec![]).unwrap(), "KPR");
        let other = RootKey::new(2, Zeroizing::new([9; 32]));
        let rotated = RecordKeys::new(&KeyRing::new(other, vec![root(1)]).unwrap(), "KPR");
        let elsewhere = RecordKeys::new(&KeyRing::new(root(1), vec![]).unwrap(), "NPR");
        let unknown = PersonNo(PersonNo::FIRST_UNKNOWN);
        assert_eq!(*first.of_all(&[PersonNo(7), unknown]), [first.of(PersonNo(7)), RecordKey(0)]);
        let mut seen = BTreeSet::new();
        for person in (0..500).map(PersonNo) {
            assert_eq!(first.of(person), rotated.of(person));
            assert!(seen.insert(first.of(person).0) && seen.insert(elsewhere.of(person).0));
        }
        assert_eq!(
            format!("{first:?} {:?}", first.of(PersonNo(0))),
            "RecordKeys(redacted) RecordKey(redacted)"
        );
    }
}
