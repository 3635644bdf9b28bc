//! AES-256-SIV (RFC 5297, AES-CMAC) over identity numbers, without associated data: every key has one
//! use only, so there is nothing for associated data to tell apart.

use aes_siv::KeyInit;
use aes_siv::siv::Aes256Siv;
use zeroize::Zeroizing;

use super::fnr::{DIGITS, Fnr};

/// How many bytes a key has: 32 for S2V, then 32 for CTR.
pub(super) const KEY_LENGTH: usize = 64;
/// How many bytes the synthetic IV has.
pub(super) const IV_LENGTH: usize = 16;
/// How many bytes a sealed identity number has: the synthetic IV and eleven encrypted digits.
pub(super) const SEALED_LENGTH: usize = IV_LENGTH + DIGITS;

/// An encrypted identity number. The same number under the same key is always the same bytes.
pub(super) type Sealed = [u8; SEALED_LENGTH];

/// The cipher under one key, with the key schedule made once. Each thread has its own.
pub(super) struct Siv(Box<Aes256Siv>);

impl Siv {
    pub(super) fn new(key: &[u8; KEY_LENGTH]) -> Self {
        Self(Box::new(Aes256Siv::new(key.into())))
    }

    /// The synthetic IV of a number, and the number encrypted.
    fn encrypt(&mut self, number: &Fnr) -> ([u8; IV_LENGTH], Zeroizing<[u8; DIGITS]>) {
        let mut text = number.digits();
        #[allow(clippy::expect_used, reason = "AES-SIV fails for more than 126 associated strings only")]
        let iv = self
            .0
            .encrypt_inout_detached(NOTHING_ASSOCIATED, text.as_mut_slice().into())
            .expect("no associated strings");
        (iv.into(), text)
    }

    /// The synthetic IV of a number.
    pub(super) fn iv(&mut self, number: &Fnr) -> [u8; IV_LENGTH] {
        self.encrypt(number).0
    }

    /// The number encrypted.
    pub(super) fn seal(&mut self, number: &Fnr) -> Sealed {
        let (iv, text) = self.encrypt(number);
        let mut sealed = [0; SEALED_LENGTH];
        for (to, from) in sealed.iter_mut().zip(iv.iter().chain(text.iter())) {
            *to = *from;
        }
        sealed
    }

    /// The number that was encrypted; `None` if it was not encrypted under this key.
    pub(super) fn open(&mut self, sealed: &Sealed) -> Option<Fnr> {
        let (iv, text) = sealed.split_first_chunk::<IV_LENGTH>()?;
        let mut text = Zeroizing::new(<[u8; DIGITS]>::try_from(text).ok()?);
        self.0.decrypt_inout_detached(NOTHING_ASSOCIATED, text.as_mut_slice().into(), iv.into()).ok()?;
        Fnr::parse(text.as_slice()).ok()
    }
}

const NOTHING_ASSOCIATED: [&[u8]; 0] = [];

#[cfg(test)]
mod tests {
    use aes_siv::siv::Aes128Siv;

    use super::*;

    /// RFC 5297, appendix A.1 and A.2. They are for 32-byte keys: the construction is the same.
    #[test]
    fn rfc_5297_vectors() {
        let bytes = |text: &str| hex::decode(text.replace(' ', "")).unwrap();
        let cases: [(&str, &[&str], &str, &str); 2] = [
            (
                "fffefdfc fbfaf9f8 f7f6f5f4 f3f2f1f0 f0f1f2f3 f4f5f6f7 f8f9fafb fcfdfeff",
                &["10111213 14151617 18191a1b 1c1d1e1f 20212223 24252627"],
                "11223344 55667788 99aabbcc ddee",
                "85632d07 c6e8f37f 950acd32 0a2ecc93 40c02b96 90c4dc04 daef7f6a fe5c",
            ),
            (
                "7f7e7d7c 7b7a7978 77767574 73727170 40414243 44454647 48494a4b 4c4d4e4f",
                &[
                    "00112233 44556677 8899aabb ccddeeff deaddada deaddada ffeeddcc bbaa9988 77665544 33221100",
                    "10203040 50607080 90a0",
                    "09f91102 9d74e35b d84156c5 635688c0",
                ],
                "74686973 20697320 736f6d65 20706c61 696e7465 78742074 6f20656e 63727970 74207573 696e6720 \
                 5349562d 414553",
                "7bdb6e3b 432667eb 06f4d14b ff2fbd0f cb900f2f ddbe4043 26601965 c889bf17 dba77ceb 094fa663 \
                 b7a3f748 ba8af829 ea64ad54 4a272e9c 485b62a3 fd5c0d",
            ),
        ];
        for (key, associated, plain, sealed) in cases {
            let key: [u8; 32] = bytes(key).try_into().unwrap();
            let associated: Vec<Vec<u8>> = associated.iter().map(|text| bytes(text)).collect();
            let out = Aes128Siv::new(&key.into()).encrypt(&associated, &bytes(plain)).unwrap();
            assert_eq!(out, bytes(sealed));
        }
    }

    #[test]
    fn a_sealed_number_opens_under_its_own_key_only() {
        let number = Fnr::parse(b"30908299996").unwrap();
        let sealed = Siv::new(&[1; 64]).seal(&number);
        assert_eq!(sealed[..IV_LENGTH], Siv::new(&[1; 64]).iv(&number));
        assert_eq!(Siv::new(&[1; 64]).open(&sealed), Some(number));
        assert_eq!(Siv::new(&[2; 64]).open(&sealed), None);
        for place in 0..SEALED_LENGTH {
            let mut changed = sealed;
            changed[place] ^= 1;
            assert_eq!(Siv::new(&[1; 64]).open(&changed), None);
        }
    }
}
