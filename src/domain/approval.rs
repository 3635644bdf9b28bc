//! The project approval: what may be asked, by whom, of what, for how long, signed by two stewards.

use chrono::{Months, NaiveDate};
use ed25519_dalek::{Signature, SigningKey, VerifyingKey, ed25519::signature::Signer};
use serde::{Deserialize, Serialize};

use super::canonical::{Canonical, CanonicalError, Digest};
use super::feed::{Feed, FeedError};
use super::ids::{self, DatasetId, OrganisationId, ProjectId, RegisterId, RuleId, StewardId, VariableId};
use super::indirect::{IndirectTerms, TermsError};
use super::other_basis::{BasisError, OtherBasis};
use super::period::Period;
pub use super::purpose::Purpose;
use super::query::{By, Condition};
use super::rho::Rho;

/// What kind of result may be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// Statistics and protected tables (4-6).
    ProtectedTables,
    /// Microdata anonymous to the recipient (4-3).
    AnonymousMicrodata,
    /// Indirectly identifiable microdata (4-4).
    IndirectMicrodata,
    /// Direct identifiers (4-5): never delivered by the gateway, and refused by this name.
    DirectIdentifiers,
    /// A recurring feed of the persons a register holds, to that register (4-7).
    RegisterFeed,
}

impl Tier {
    /// The name it has in approvals and policies.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ProtectedTables => "protected_tables",
            Self::AnonymousMicrodata => "anonymous_microdata",
            Self::IndirectMicrodata => "indirect_microdata",
            Self::DirectIdentifiers => "direct_identifiers",
            Self::RegisterFeed => "register_feed",
        }
    }
}

/// One dataset that a project may use: these variables, of these rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// The register.
    pub register: RegisterId,
    /// The dataset.
    pub dataset: DatasetId,
    /// The variables that may be used, date variables included.
    pub variables: Vec<VariableId>,
    /// The rows that may be used: a query must hold each of these conditions, or a narrower one.
    #[serde(rename = "where", default)]
    pub conditions: Vec<Condition>,
}

impl Grant {
    /// Whether rows chosen by `conditions` all lie within the rows granted.
    #[must_use]
    pub fn admits(&self, conditions: &[Condition]) -> bool {
        self.conditions.iter().all(|granted| {
            conditions.iter().any(|asked| {
                asked.variable == granted.variable
                    && !asked.any_of.is_empty()
                    && asked.any_of.iter().all(|value| granted.any_of.contains(value))
            })
        })
    }
}

/// What two stewards sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// The project.
    pub project: ProjectId,
    /// The version of the approval, from 1; a change is a new version with new signatures.
    pub version: u32,
    /// What the project is, for people; at most 200 characters.
    pub title: String,
    /// The reference of the regional ethics committee (REK); at most 100 characters.
    pub rek_reference: String,
    /// The purpose.
    pub purpose: Purpose,
    /// The legal basis, for people, for example `GDPR art. 6(1)e, 9(2)j; helseregisterloven § 19`;
    /// at most 300 characters.
    pub legal_basis: String,
    /// What a purpose that the regulation does not name rests on; for every other purpose none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_basis: Option<OtherBasis>,
    /// The organisations whose callers may ask and receive.
    pub recipients: Vec<OrganisationId>,
    /// The datasets and variables that may be used.
    pub grants: Vec<Grant>,
    /// The days the data may be about, follow-up included.
    pub data_period: Period,
    /// The dimensions a table may have, each with its finest code list.
    pub dimensions: Vec<By>,
    /// The kind of result.
    pub tier: Tier,
    /// The disclosure rule that applies.
    pub rule: RuleId,
    /// What all results with noise may cost together, in zCDP; none if the project has no such results.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub privacy_budget: Option<Rho>,
    /// The days on which queries may be asked and results released.
    pub valid: Period,
    /// The last day on which it may be kept who is in the results (KPR regulation 4-11), at most ten years after
    /// the approval begins. Without it nothing of the kind is kept, and no table can be judged beside earlier
    /// ones: a recipient gets one answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linked_sets_until: Option<NaiveDate>,
    /// Whether rows that a partner has sent may be used again for other questions about the same persons until then, instead
    /// of a new order (KPR regulation 4-11: in special cases only). The partner sees it in the approval.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reuse_linked_sets: bool,
    /// If not empty: the digests of the only queries that may be asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub queries: Vec<Digest>,
    /// Of indirectly identifiable microdata: why and under which conditions they are given (4-4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub indirect: Option<IndirectTerms>,
    /// Of the tier register_feed: to which register, and how often; of every other tier none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feed: Option<Feed>,
}

impl Canonical for Approval {
    const LABEL: &'static str = "kpr/approval/v1";
}

/// A text of an approval that does not fit. It never carries the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// A free text.
    #[error("the approval's {field} may have {most} characters, on one line, without eleven digits in a row")]
    Field {
        /// Which.
        field: &'static str,
        /// The most characters it may have.
        most: usize,
    },
    /// Linked sets would be kept too long.
    #[error("linked_sets_until may be at most {most} years after the approval begins (KPR regulation 4-11)")]
    Kept {
        /// The most years.
        most: u32,
    },
    /// Linked sets would be used again, and not kept.
    #[error(
        "reuse_linked_sets needs linked_sets_until, the last day on which they may be used (KPR regulation 4-11)"
    )]
    Reuse,
    /// What another purpose rests on.
    #[error(transparent)]
    Basis(#[from] BasisError),
    /// What indirectly identifiable microdata need.
    #[error(transparent)]
    Indirect(#[from] TermsError),
    /// A feed.
    #[error(transparent)]
    Feed(#[from] FeedError),
    /// A granted value.
    #[error("a value that the approval grants has eleven digits in a row; values are codes of the catalogue")]
    Value,
}

impl Approval {
    /// The most characters of a title.
    pub const MOST_TITLE: usize = 200;
    /// The most characters of a reference of the ethics committee.
    pub const MOST_REFERENCE: usize = 100;
    /// The most characters of a legal basis.
    pub const MOST_LEGAL_BASIS: usize = 300;
    /// The most years that linked sets are kept (KPR regulation 4-11).
    pub const MOST_YEARS_KEPT: u32 = 10;

    /// The grant for a dataset.
    #[must_use]
    pub fn grant(&self, register: &RegisterId, dataset: &DatasetId) -> Option<&Grant> {
        self.grants.iter().find(|g| g.register == *register && g.dataset == *dataset)
    }

    /// The register that the gateway is of; others are linked with it.
    pub const OWN_REGISTER: &str = "KPR";

    /// Whether it grants data of other registers than the gateway's own.
    #[must_use]
    pub fn is_linked(&self) -> bool {
        self.grants.iter().any(|grant| grant.register.as_str() != Self::OWN_REGISTER)
    }

    /// The last day on which records released on `day` are kept: as long as linked sets may live, or queries be asked, and
    /// ten years at most (KPR regulation 4-11).
    #[must_use]
    pub fn records_until(&self, day: NaiveDate) -> NaiveDate {
        let last = day.checked_add_months(Months::new(12 * Self::MOST_YEARS_KEPT)).unwrap_or(day);
        self.linked_sets_until.unwrap_or(self.valid.to()).clamp(day, last)
    }

    /// Checks the free texts and the granted values: not too long, on one line, and without a run of
    /// digits that could be an identity number, since they are stored, logged and sent as they are.
    ///
    /// # Errors
    /// [`TextError`], the first that does not fit.
    pub fn check_texts(&self) -> Result<(), TextError> {
        for (field, text, most) in [
            ("title", &self.title, Self::MOST_TITLE),
            ("rek_reference", &self.rek_reference, Self::MOST_REFERENCE),
            ("legal_basis", &self.legal_basis, Self::MOST_LEGAL_BASIS),
        ] {
            if text.chars().count() > most || text.chars().any(char::is_control) || ids::eleven_digits(text) {
                return Err(TextError::Field { field, most });
            }
        }
        OtherBasis::check(self.purpose, self.other_basis)?;
        Feed::check(self)?;
        IndirectTerms::check(self.tier, self.indirect.as_ref())?;
        let last = self.valid.from().checked_add_months(Months::new(12 * Self::MOST_YEARS_KEPT));
        if self.linked_sets_until.is_some_and(|until| last.is_none_or(|last| until > last)) {
            return Err(TextError::Kept { most: Self::MOST_YEARS_KEPT });
        }
        if self.reuse_linked_sets && self.linked_sets_until.is_none() {
            return Err(TextError::Reuse);
        }
        let mut values = self.grants.iter().flat_map(|g| &g.conditions).flat_map(|c| &c.any_of);
        if values.any(|value| ids::eleven_digits(value)) { Err(TextError::Value) } else { Ok(()) }
    }
}

/// One steward's signature, Ed25519 (RFC 8032): on an approval over the label `kpr/approval-signature/v1`, a zero
/// byte and the 32 bytes of the approval's digest; on a release as [`super::held::ReleaseStatement`] says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StewardSignature {
    /// Who signed.
    pub steward: StewardId,
    /// The signature, 128 hexadecimal digits.
    pub signature: String,
}

fn signed_bytes(digest: &Digest) -> Vec<u8> {
    [b"kpr/approval-signature/v1\0".as_slice(), digest.as_bytes()].concat()
}

impl StewardSignature {
    /// Signs an approval.
    ///
    /// # Errors
    /// [`CanonicalError`], which no approval reaches.
    pub fn sign(approval: &Approval, steward: StewardId, key: &SigningKey) -> Result<Self, CanonicalError> {
        Ok(Self::over(&signed_bytes(&approval.digest()?), steward, key))
    }

    /// Signs these bytes, which begin with a label of their own.
    pub(super) fn over(bytes: &[u8], steward: StewardId, key: &SigningKey) -> Self {
        Self { steward, signature: hex::encode(key.sign(bytes).to_bytes()) }
    }
}

/// A steward's public key, as each party's configuration lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StewardKey {
    /// Who holds the private half.
    pub steward: StewardId,
    /// The public half.
    pub key: VerifyingKey,
}

/// An approval on its way: its canonical bytes and the signatures gathered so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedApproval {
    /// The approval.
    pub approval: Approval,
    /// Its signatures.
    pub signatures: Vec<StewardSignature>,
}

/// Why an approval does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApprovalError {
    /// Fewer than two different stewards have signed.
    #[error("the approval has {0} valid signature(s); two different stewards must sign it")]
    TooFewSignatures(usize),
    /// A signature does not verify, or its steward is not known here.
    #[error("a signature on the approval does not verify under the key this party holds for that steward")]
    BadSignature,
    /// The approval cannot be encoded.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
}

/// An approval whose two signatures this party has verified itself. Made only by
/// [`SignedApproval::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedApproval {
    approval: Approval,
    signatures: Vec<StewardSignature>,
    digest: Digest,
    stewards: Vec<StewardId>,
}

impl VerifiedApproval {
    /// The approval.
    #[must_use]
    pub const fn approval(&self) -> &Approval {
        &self.approval
    }

    /// The approval with its signatures, for another party that verifies them itself.
    #[must_use]
    pub fn signed(&self) -> SignedApproval {
        SignedApproval { approval: self.approval.clone(), signatures: self.signatures.clone() }
    }

    /// Its digest.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// Who signed it.
    #[must_use]
    pub fn stewards(&self) -> &[StewardId] {
        &self.stewards
    }

    /// Whether it may be used on `day`.
    #[must_use]
    pub fn is_valid_on(&self, day: NaiveDate) -> bool {
        self.approval.valid.contains(day)
    }
}

/// The different stewards, with different keys, whose signatures on `message` these are. Every one must be good.
pub(super) fn signers(
    message: &[u8],
    signatures: &[StewardSignature],
    keys: &[StewardKey],
) -> Result<Vec<StewardId>, ApprovalError> {
    let mut stewards: Vec<StewardId> = Vec::new();
    let mut used: Vec<VerifyingKey> = Vec::new();
    for given in signatures {
        let known = keys.iter().find(|k| k.steward == given.steward).ok_or(ApprovalError::BadSignature)?;
        let mut bytes = [0; 64];
        hex::decode_to_slice(&given.signature, &mut bytes).map_err(|_| ApprovalError::BadSignature)?;
        known
            .key
            .verify_strict(message, &Signature::from_bytes(&bytes))
            .map_err(|_| ApprovalError::BadSignature)?;
        if !stewards.contains(&given.steward) && !used.contains(&known.key) {
            stewards.push(given.steward.clone());
            used.push(known.key);
        }
    }
    Ok(stewards)
}

impl SignedApproval {
    /// The least number of different stewards.
    pub const SIGNATURES: usize = 2;

    /// Verifies the signatures against the stewards' keys that this party holds. Every signature must
    /// be good, and two different stewards, with two different keys, must have signed.
    ///
    /// # Errors
    /// [`ApprovalError`].
    pub fn verify(&self, keys: &[StewardKey]) -> Result<VerifiedApproval, ApprovalError> {
        let digest = self.approval.digest()?;
        let stewards = signers(&signed_bytes(&digest), &self.signatures, keys)?;
        if stewards.len() < Self::SIGNATURES {
            return Err(ApprovalError::TooFewSignatures(stewards.len()));
        }
        Ok(VerifiedApproval {
            approval: self.approval.clone(),
            signatures: self.signatures.clone(),
            digest,
            stewards,
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The approval of the documentation.
    pub(in crate::domain) fn example() -> Approval {
        serde_saphyr::from_str(include_str!("../../docs/examples/approval.yaml")).unwrap()
    }

    /// With two stewards' signatures.
    pub(in crate::domain) fn verified(approval: &Approval) -> VerifiedApproval {
        let keys = [1, 2].map(|seed| SigningKey::from_bytes(&[seed; 32]));
        let steward = |key: &SigningKey| StewardId::new(format!("s{}", key.to_bytes()[0])).unwrap();
        let signatures =
            keys.iter().map(|key| StewardSignature::sign(approval, steward(key), key).unwrap()).collect();
        let stewards =
            keys.each_ref().map(|key| StewardKey { steward: steward(key), key: key.verifying_key() });
        SignedApproval { approval: approval.clone(), signatures }.verify(&stewards).unwrap()
    }

    #[test]
    fn texts_are_short_single_lines_without_identity_numbers() {
        type Field = fn(&mut Approval) -> &mut String;
        let fields: [(&str, usize, Field); 3] = [
            ("title", 200, |a| &mut a.title),
            ("rek_reference", 100, |a| &mut a.rek_reference),
            ("legal_basis", 300, |a| &mut a.legal_basis),
        ];
        assert_eq!(example().check_texts(), Ok(()));
        for (field, most, text) in fields {
            let checked = |with: &str| {
                let mut approval = example();
                with.clone_into(text(&mut approval));
                approval.check_texts()
            };
            assert_eq!(checked(&"å".repeat(most)), Ok(()));
            assert_eq!(checked("1234567890 12"), Ok(()));
            for bad in ["å".repeat(most + 1), "two\nlines".to_owned(), "of 02813299997".to_owned()] {
                assert_eq!(checked(&bad), Err(TextError::Field { field, most }));
            }
        }
    }

    /// KPR regulation 4-11.
    #[test]
    fn linked_sets_live_ten_years_at_most() {
        let day = |text: &str| text.parse::<NaiveDate>().unwrap();
        let kept = |until: Option<&str>| Approval {
            valid: Period::new(day("2026-01-01"), day("2028-12-31")).unwrap(),
            linked_sets_until: until.map(day),
            reuse_linked_sets: false,
            ..example()
        };
        assert_eq!(kept(Some("2036-01-01")).check_texts(), Ok(()));
        let refused = kept(Some("2036-01-02")).check_texts().unwrap_err();
        assert_eq!(refused, TextError::Kept { most: 10 });
        assert!(refused.to_string().contains("linked_sets_until") && refused.to_string().contains("4-11"));
        let reused = |until| Approval { reuse_linked_sets: true, ..kept(until) };
        assert!(reused(Some("2026-12-31")).check_texts().is_ok());
        assert!(reused(None).check_texts().unwrap_err().to_string().contains("reuse_linked_sets needs"));
        // The records themselves, released on a day.
        let until = |until, released| kept(until).records_until(day(released)).to_string();
        assert_eq!(until(Some("2030-06-30"), "2027-01-01"), "2030-06-30");
        assert_eq!(until(None, "2027-01-01"), "2028-12-31");
        assert_eq!(until(None, "2029-01-01"), "2029-01-01");
        assert_eq!(until(Some("2036-01-01"), "2025-05-05"), "2035-05-05");
    }

    #[test]
    fn no_granted_value_can_be_an_identity_number() {
        let mut approval = example();
        approval.grants[0].conditions[0].any_of.push("02813299997".to_owned());
        assert_eq!(approval.check_texts(), Err(TextError::Value));
    }
}
