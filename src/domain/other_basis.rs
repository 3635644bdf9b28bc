//! What a purpose rests on that the regulation does not name (4-1).

use serde::{Deserialize, Serialize};

use super::approval::Purpose;

/// What a purpose that the regulation does not name rests on (4-1). The last can be named so that it can be refused by
/// name: only persons who have consented may be in such data, and the gateway holds no list of who has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OtherBasis {
    /// The act on official statistics (statistikkloven).
    StatisticsAct,
    /// The act on health preparedness (helseberedskapsloven).
    HealthPreparednessAct,
    /// The act on control of communicable diseases (smittevernloven).
    InfectionControlAct,
    /// The act on supervision of health and care services (helsetilsynsloven).
    SupervisionAct,
    /// The consent of the persons.
    Consent,
}

/// Why a purpose does not rest on what the approval says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BasisError {
    /// The purpose is another than those of the regulation and rests on nothing, or the other way round.
    #[error(
        "the purpose other needs other_basis, the law it rests on, and no other purpose has one (KPR regulation 4-1): \
         statistics_act, health_preparedness_act, infection_control_act or supervision_act"
    )]
    Missing,
    /// The purpose rests on consent.
    #[error(
        "a purpose that rests on consent needs a list of the persons who have consented, which the gateway does not hold; \
         other_basis can be a law (KPR regulation 4-1)"
    )]
    Consent,
}

impl OtherBasis {
    /// Whether a purpose rests on what it must: another purpose on a law of the list, every other on nothing of it.
    ///
    /// # Errors
    /// [`BasisError`].
    pub fn check(purpose: Purpose, basis: Option<Self>) -> Result<(), BasisError> {
        match (purpose == Purpose::Other, basis) {
            (true, Some(Self::Consent)) => Err(BasisError::Consent),
            (true, Some(_)) | (false, None) => Ok(()),
            (true, None) | (false, Some(_)) => Err(BasisError::Missing),
        }
    }

    /// The name it has in approvals and policies.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StatisticsAct => "statistics_act",
            Self::HealthPreparednessAct => "health_preparedness_act",
            Self::InfectionControlAct => "infection_control_act",
            Self::SupervisionAct => "supervision_act",
            Self::Consent => "consent",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::approval::tests::example;
    use super::super::approval::{Approval, TextError};
    use super::super::canonical::Canonical;
    use super::*;

    #[test]
    fn another_purpose_rests_on_a_law_of_the_list() {
        let checked = |purpose, other_basis| Approval { purpose, other_basis, ..example() }.check_texts();
        let laws = [
            OtherBasis::StatisticsAct,
            OtherBasis::HealthPreparednessAct,
            OtherBasis::InfectionControlAct,
            OtherBasis::SupervisionAct,
        ];
        for law in laws {
            assert_eq!(checked(Purpose::Other, Some(law)), Ok(()));
            assert!(BasisError::Missing.to_string().contains(law.as_str()));
            // A law does not make a purpose of the regulation another, nor a prohibited one lawful.
            for purpose in [Purpose::Research, Purpose::Police, Purpose::Insurance, Purpose::Employer] {
                assert_eq!(checked(purpose, Some(law)), Err(TextError::Basis(BasisError::Missing)));
            }
        }
        assert_eq!(checked(Purpose::Other, None), Err(TextError::Basis(BasisError::Missing)));
        assert_eq!(
            checked(Purpose::Other, Some(OtherBasis::Consent)),
            Err(TextError::Basis(BasisError::Consent))
        );
        assert_eq!(
            checked(Purpose::Police, Some(OtherBasis::Consent)),
            Err(TextError::Basis(BasisError::Missing))
        );
    }

    #[test]
    fn an_approval_without_another_basis_is_encoded_as_before() {
        let bytes = example().canonical().unwrap();
        assert!(!String::from_utf8(bytes).unwrap().contains("other_basis"));
    }
}
