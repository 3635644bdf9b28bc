//! The linkage code: what one identifier becomes under the linkage key of one project and run.

use std::fmt;

/// The 16-byte synthetic IV of AES-SIV over an identifier. Without the key it tells nothing of whose it
/// is, and no two projects or runs share one. Its `Debug` is redacted: codes are not logged.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkageCode([u8; 16]);

impl LinkageCode {
    /// How many bytes a code has on the wire.
    pub const LENGTH: usize = 16;

    /// The code with these bytes, as `identity` derived it or the wire carried it.
    pub(crate) const fn from_bytes(bytes: [u8; Self::LENGTH]) -> Self {
        Self(bytes)
    }

    /// Its bytes, for the wire.
    pub(crate) const fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }
}

impl fmt::Debug for LinkageCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkageCode(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_does_not_show_the_code() {
        let code = LinkageCode::from_bytes([0xab; 16]);
        assert_eq!(format!("{code:?}"), "LinkageCode(redacted)");
        assert_eq!(code.as_bytes(), &[0xab; 16]);
    }
}
