//! What an approval of indirectly identifiable microdata must state (KPR regulation 4-4).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::approval::Tier;
use super::canonical::Canonical;
use super::words::Words;

/// Why indirectly identifiable records are given, and under which conditions: what two stewards sign with the approval,
/// and what the recipient accepts, by its digest, before it receives any.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndirectTerms {
    /// The substantial interest.
    pub interest: Words,
    /// The conditions, for example a secure environment, no attempt to identify anybody, deletion by a day.
    pub conditions: Vec<Words>,
}

impl Canonical for IndirectTerms {
    const LABEL: &'static str = "kpr/indirect-terms/v1";
}

/// Why an approval does not state what it must.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TermsError {
    /// The tier has no terms, or another tier has some.
    #[error(
        "the tier indirect_microdata needs `indirect`, the substantial interest and the conditions under which the records \
         are given, and no other tier has it (KPR regulation 4-4)"
    )]
    Missing,
    /// No condition, too many, or one twice.
    #[error(
        "indirectly identifiable records are given under 1 to {} conditions, each stated once",
        IndirectTerms::MOST
    )]
    Conditions,
}

impl IndirectTerms {
    /// The most conditions.
    pub const MOST: usize = 20;

    /// Whether an approval states what its tier needs: terms if its records are indirectly identifiable, none otherwise.
    ///
    /// # Errors
    /// [`TermsError`].
    pub fn check(tier: Tier, terms: Option<&Self>) -> Result<(), TermsError> {
        match (tier == Tier::IndirectMicrodata, terms) {
            (true, Some(terms)) => {
                let stated = terms.conditions.len();
                let once: BTreeSet<&str> = terms.conditions.iter().map(Words::as_str).collect();
                let sound = (1..=Self::MOST).contains(&stated) && once.len() == stated;
                if sound { Ok(()) } else { Err(TermsError::Conditions) }
            }
            (false, None) => Ok(()),
            (true, None) | (false, Some(_)) => Err(TermsError::Missing),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::approval::tests::example;
    use super::super::approval::{Approval, TextError};
    use super::super::canonical::CanonicalError;
    use super::*;

    pub(crate) fn terms(conditions: &[&str]) -> IndirectTerms {
        let words = |text: &&str| Words::new(*text).unwrap();
        IndirectTerms {
            interest: words(&"dosing of a new treatment cannot be judged by age groups"),
            conditions: conditions.iter().map(words).collect(),
        }
    }

    fn checked(tier: Tier, indirect: Option<IndirectTerms>) -> Result<(), TextError> {
        Approval { tier, indirect, ..example() }.check_texts()
    }

    /// KPR regulation 4-4.
    #[test]
    fn the_tier_has_terms_and_no_other_has() {
        let stated = || Some(terms(&["no attempt to identify anybody", "deletion by 2028-12-31"]));
        assert_eq!(checked(Tier::IndirectMicrodata, stated()), Ok(()));
        assert_eq!(checked(Tier::IndirectMicrodata, None), Err(TextError::Indirect(TermsError::Missing)));
        for tier in [Tier::ProtectedTables, Tier::AnonymousMicrodata, Tier::DirectIdentifiers] {
            assert_eq!(checked(tier, stated()), Err(TextError::Indirect(TermsError::Missing)));
        }
        let many: Vec<String> = (0..21).map(|n| format!("condition {n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(checked(Tier::IndirectMicrodata, Some(terms(&many[..20]))), Ok(()));
        for bad in [&[][..], &["the same", "the same"], &many] {
            let refused = checked(Tier::IndirectMicrodata, Some(terms(bad))).unwrap_err();
            assert_eq!(refused, TextError::Indirect(TermsError::Conditions));
        }
    }

    #[test]
    fn its_texts_are_checked_like_others() {
        let read = |condition: &str| {
            let text = format!("{{\"interest\":\"an interest\",\"conditions\":[\"{condition}\"]}}");
            IndirectTerms::from_canonical(text.as_bytes())
        };
        assert!(read("a secure environment").is_ok());
        for bad in ["", "of 02813299997", "two\\nlines"] {
            assert_eq!(read(bad), Err(CanonicalError::NotCanonical(IndirectTerms::LABEL)), "{bad}");
        }
    }

    #[test]
    fn an_approval_of_another_tier_is_encoded_as_before_and_terms_change_its_digest() {
        let bytes = example().canonical().unwrap();
        assert!(!String::from_utf8(bytes).unwrap().contains("indirect"));
        let of = |conditions: &[&str]| {
            let indirect = Some(terms(conditions));
            Approval { tier: Tier::IndirectMicrodata, indirect, ..example() }.digest().unwrap()
        };
        assert_ne!(of(&["one"]), of(&["one", "two"]));
        assert_ne!(terms(&["one"]).digest().unwrap(), terms(&["two"]).digest().unwrap());
    }
}
