//! Microdata that wait for two stewards: what these sign, and what becomes of it.

use chrono::{DateTime, NaiveDate, Utc};
use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};

use super::approval::{ApprovalError, SignedApproval, StewardKey, StewardSignature, signers};
use super::canonical::{Canonical, CanonicalError, Digest};
use super::ids::{OrganisationId, ProjectId, RunId, StewardId};
use super::microdata::RiskReport;

/// What a steward signs: that this result of this run may be released, having read this report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseStatement {
    /// The run.
    pub run: RunId,
    /// The digest of the microdata.
    pub result: Digest,
    /// The digest of the report of risk and loss.
    pub risk: Digest,
}

impl Canonical for ReleaseStatement {
    const LABEL: &'static str = "kpr/release-statement/v1";
}

impl ReleaseStatement {
    /// The label `kpr/release-signature/v1`, a zero byte and the 32 bytes of the statement's digest.
    fn signed_bytes(&self) -> Result<Vec<u8>, CanonicalError> {
        Ok([b"kpr/release-signature/v1\0".as_slice(), self.digest()?.as_bytes()].concat())
    }

    /// A steward's signature on it, Ed25519 (RFC 8032).
    ///
    /// # Errors
    /// [`CanonicalError`], which no statement reaches.
    pub fn sign(&self, steward: StewardId, key: &SigningKey) -> Result<StewardSignature, CanonicalError> {
        Ok(StewardSignature::over(&self.signed_bytes()?, steward, key))
    }

    /// Whether two different stewards, with two different keys, have signed it. Every signature must be good.
    ///
    /// # Errors
    /// [`ApprovalError`].
    pub fn verify(
        &self,
        signatures: &[StewardSignature],
        keys: &[StewardKey],
    ) -> Result<VerifiedRelease, ApprovalError> {
        let stewards = signers(&self.signed_bytes()?, signatures, keys)?;
        if stewards.len() < SignedApproval::SIGNATURES {
            return Err(ApprovalError::TooFewSignatures(stewards.len()));
        }
        Ok(VerifiedRelease { statement: self.clone() })
    }
}

/// A statement that two different stewards have signed. Nothing that is held is released without one, and it is
/// made only by [`ReleaseStatement::verify`]:
///
/// ```compile_fail,E0451
/// fn forge(statement: kpr::domain::held::ReleaseStatement) -> kpr::domain::held::VerifiedRelease {
///     kpr::domain::held::VerifiedRelease { statement }
/// }
/// ```
///
/// What is public is reading one:
///
/// ```
/// fn result(release: &kpr::domain::held::VerifiedRelease) -> kpr::domain::canonical::Digest {
///     release.statement().result
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedRelease {
    statement: ReleaseStatement,
}

impl VerifiedRelease {
    /// What they have signed.
    #[must_use]
    pub const fn statement(&self) -> &ReleaseStatement {
        &self.statement
    }
}

/// Why a steward does not release microdata. Fixed, so that no text of a steward's reaches the recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldRefusal {
    /// The risk that remains is too high.
    Risk,
    /// So much was taken away that the records are of no use.
    Loss,
    /// The purpose does not need records of persons.
    Need,
}

impl HeldRefusal {
    /// All reasons.
    pub const ALL: [Self; 3] = [Self::Risk, Self::Loss, Self::Need];

    /// The name it has on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Risk => "risk",
            Self::Loss => "loss",
            Self::Need => "need",
        }
    }

    /// The code with which the run ends.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Risk => "microdata.refused_for_risk",
            Self::Loss => "microdata.refused_for_loss",
            Self::Need => "microdata.refused_for_need",
        }
    }

    /// What the recipient is told.
    #[must_use]
    pub const fn hint(self) -> &'static str {
        match self {
            Self::Risk => "a steward found the remaining risk too high; ask with fewer or coarser dimensions",
            Self::Loss => "a steward found that protection leaves too little; ask with fewer dimensions",
            Self::Need => {
                "a steward found that the purpose does not need records of persons; ask for a table"
            }
        }
    }
}

/// Microdata that wait, as stewards see them: the report, and never the records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldResult {
    /// What a steward would sign.
    pub statement: ReleaseStatement,
    /// The project.
    pub project: ProjectId,
    /// The organisation that would receive them.
    pub organisation: OrganisationId,
    /// The title of the query.
    pub title: String,
    /// Risk and loss; its digest is in the statement.
    pub risk: RiskReport,
    /// Since when they wait.
    pub held: DateTime<Utc>,
    /// The last day on which they can be released; then they are erased.
    pub lapses: NaiveDate,
    /// Who has signed.
    pub signed_by: Vec<StewardId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement() -> ReleaseStatement {
        ReleaseStatement {
            run: RunId::new(format!("r-{}", "ab".repeat(16))).unwrap(),
            result: Digest::from_bytes([1; 32]),
            risk: Digest::from_bytes([2; 32]),
        }
    }

    fn steward(name: &str) -> StewardId {
        StewardId::new(name).unwrap()
    }

    #[test]
    fn two_different_stewards_with_two_different_keys() {
        let [first, second] = [1, 2].map(|seed| SigningKey::from_bytes(&[seed; 32]));
        let known =
            |name: &str, key: &SigningKey| StewardKey { steward: steward(name), key: key.verifying_key() };
        let keys = [known("a", &first), known("b", &second), known("again-a", &first)];
        let by = |name: &str, key: &SigningKey| statement().sign(steward(name), key).unwrap();
        let (a, b) = (by("a", &first), by("b", &second));
        let verify = |signatures: &[StewardSignature]| statement().verify(signatures, &keys);
        assert_eq!(verify(&[a.clone(), b.clone()]).unwrap().statement(), &statement());
        assert_eq!(verify(&[]), Err(ApprovalError::TooFewSignatures(0)));
        assert_eq!(verify(&[a.clone(), a.clone()]), Err(ApprovalError::TooFewSignatures(1)));
        // One person under two names is one person.
        let one = [a.clone(), by("again-a", &first)];
        assert_eq!(verify(&one), Err(ApprovalError::TooFewSignatures(1)));
        // Another's key, a steward nobody knows, and a signature on something else.
        assert_eq!(verify(&[a.clone(), by("b", &first)]), Err(ApprovalError::BadSignature));
        assert_eq!(verify(&[a.clone(), by("c", &second)]), Err(ApprovalError::BadSignature));
        for other in [
            ReleaseStatement { result: Digest::from_bytes([3; 32]), ..statement() },
            ReleaseStatement { risk: Digest::from_bytes([3; 32]), ..statement() },
            ReleaseStatement { run: RunId::new(format!("r-{}", "cd".repeat(16))).unwrap(), ..statement() },
        ] {
            let elsewhere = other.sign(steward("b"), &second).unwrap();
            assert_eq!(verify(&[a.clone(), elsewhere]), Err(ApprovalError::BadSignature));
        }
        // A signature on an approval is none on a release, whatever digest it is over.
        let digest = statement().digest().unwrap();
        let approval = [b"kpr/approval-signature/v1\0".as_slice(), digest.as_bytes()].concat();
        let approval = StewardSignature::over(&approval, steward("b"), &second);
        assert_eq!(verify(&[a, approval]), Err(ApprovalError::BadSignature));
    }
}
