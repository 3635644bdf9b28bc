//! A short text of a steward's: a reason, what is missing, what was worked on.

use serde::{Deserialize, Serialize};

use super::ids::eleven_digits;

/// A text on one line, of 1 to 300 characters, without a run of digits that could be an identity number: it is stored,
/// logged and sent as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Words(String);

/// A text that is not as it must be. It does not carry the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a text of 1-{} characters on one line, without eleven digits in a row, is wanted", Words::MOST)]
pub struct BadWords;

impl Words {
    /// The most characters.
    pub const MOST: usize = 300;

    /// A text.
    ///
    /// # Errors
    /// [`BadWords`].
    pub fn new(text: impl Into<String>) -> Result<Self, BadWords> {
        let text = text.into();
        let fits = (1..=Self::MOST).contains(&text.chars().count())
            && !text.trim().is_empty()
            && !text.chars().any(char::is_control)
            && !eleven_digits(&text);
        if fits { Ok(Self(text)) } else { Err(BadWords) }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Words {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Words {
    type Error = BadWords;
    fn try_from(text: String) -> Result<Self, BadWords> {
        Self::new(text)
    }
}

impl From<Words> for String {
    fn from(words: Words) -> Self {
        words.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_short_on_one_line_and_holds_no_identity_number() {
        assert_eq!(Words::new("å".repeat(300)).unwrap().as_str().chars().count(), 300);
        assert!(Words::new("letter 2026/17 of 1 March").is_ok());
        for bad in
            [String::new(), "  ".to_owned(), "å".repeat(301), "a\nb".to_owned(), "of 02813299997".to_owned()]
        {
            assert_eq!(Words::new(bad), Err(BadWords));
        }
    }
}
