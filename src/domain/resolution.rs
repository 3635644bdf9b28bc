//! The resolution of a serial number of released records: what two stewards sign, and what it asks for.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};

use super::approval::{ApprovalError, SignedApproval, StewardKey, StewardSignature, signers};
use super::canonical::{Canonical, CanonicalError};
use super::ids::{ProjectId, RunId, StewardId};
use super::microdata::SerialNumber;

/// Why a serial number is resolved. Fixed, so that no text with somebody's number in it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResolutionReason {
    /// The records show a danger to the person's health.
    HealthRisk,
    /// The records of the person are wrong, and the sender must correct them.
    Correction,
    /// The person's records must be found in a project, to be taken out.
    Withdrawal,
}

impl ResolutionReason {
    /// All reasons.
    pub const ALL: [Self; 3] = [Self::HealthRisk, Self::Correction, Self::Withdrawal];

    /// The name it has on the command line and in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HealthRisk => "health_risk",
            Self::Correction => "correction",
            Self::Withdrawal => "withdrawal",
        }
    }
}

/// What two stewards sign: that the person behind this serial number of this run's records be named to the second of them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResolutionStatement {
    /// The project that received the records.
    pub project: ProjectId,
    /// The run whose records they are.
    pub run: RunId,
    /// The serial number.
    pub serial: SerialNumber,
    /// Why.
    pub reason: ResolutionReason,
    /// When it was asked for. Each statement is good once, so another resolution has another time.
    pub asked: DateTime<Utc>,
}

/// Without the serial number, which stands for a person.
impl fmt::Debug for ResolutionStatement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { project, run, reason, asked, .. } = self;
        write!(f, "ResolutionStatement({project}, {run}, {}, {asked})", reason.as_str())
    }
}

impl Canonical for ResolutionStatement {
    const LABEL: &'static str = "kpr/resolution-statement/v1";
}

impl ResolutionStatement {
    /// How long after it was asked for it can be signed and carried out.
    pub const LIFETIME: TimeDelta = TimeDelta::days(14);

    /// Whether it can be signed and carried out now. Clocks of two parties differ a little; a minute is forgiven.
    #[must_use]
    pub fn is_open(&self, now: DateTime<Utc>) -> bool {
        self.asked <= now + TimeDelta::minutes(1) && now <= self.asked + Self::LIFETIME
    }

    /// The label `kpr/resolution-signature/v1`, a zero byte and the 32 bytes of the statement's digest.
    fn signed_bytes(&self) -> Result<Vec<u8>, CanonicalError> {
        Ok([b"kpr/resolution-signature/v1\0".as_slice(), self.digest()?.as_bytes()].concat())
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
    ) -> Result<VerifiedResolution, ApprovalError> {
        let stewards = signers(&self.signed_bytes()?, signatures, keys)?;
        match <[StewardId; SignedApproval::SIGNATURES]>::try_from(stewards) {
            Ok([first, second]) if signatures.len() == SignedApproval::SIGNATURES => {
                Ok(VerifiedResolution { statement: self.clone(), first, second })
            }
            Ok(_) => Err(ApprovalError::BadSignature),
            Err(stewards) => Err(ApprovalError::TooFewSignatures(stewards.len())),
        }
    }
}

/// A statement that two different stewards have signed. Nothing is resolved without one, and it is made only by
/// [`ResolutionStatement::verify`]:
///
/// ```compile_fail,E0451
/// use kpr::domain::{ids::StewardId, resolution::{ResolutionStatement, VerifiedResolution}};
/// fn forge(statement: ResolutionStatement, first: StewardId, second: StewardId) -> VerifiedResolution {
///     VerifiedResolution { statement, first, second }
/// }
/// ```
///
/// What is public is reading one:
///
/// ```
/// fn who(resolution: &kpr::domain::resolution::VerifiedResolution) -> &kpr::domain::ids::StewardId {
///     resolution.second()
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedResolution {
    statement: ResolutionStatement,
    first: StewardId,
    second: StewardId,
}

impl VerifiedResolution {
    /// What they have signed.
    #[must_use]
    pub const fn statement(&self) -> &ResolutionStatement {
        &self.statement
    }

    /// Who signed first.
    #[must_use]
    pub const fn first(&self) -> &StewardId {
        &self.first
    }

    /// Who signed last, and is told who it is.
    #[must_use]
    pub const fn second(&self) -> &StewardId {
        &self.second
    }
}

/// A resolution that waits for the second steward.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingResolution {
    /// What the second steward would sign.
    pub statement: ResolutionStatement,
    /// Who has signed.
    pub signed_by: Vec<StewardId>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::canonical::Digest;
    use crate::domain::held::ReleaseStatement;

    fn statement() -> ResolutionStatement {
        ResolutionStatement {
            project: ProjectId::new("P-2026-0007").unwrap(),
            run: RunId::new(format!("r-{}", "ab".repeat(16))).unwrap(),
            serial: SerialNumber::new(&[7; 20]).unwrap(),
            reason: ResolutionReason::HealthRisk,
            asked: "2026-03-01T12:00:00Z".parse().unwrap(),
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
        let good = verify(&[a.clone(), b.clone()]).unwrap();
        assert_eq!(
            (good.statement(), good.first(), good.second()),
            (&statement(), &steward("a"), &steward("b"))
        );
        assert_eq!(verify(&[]), Err(ApprovalError::TooFewSignatures(0)));
        assert_eq!(verify(&[a.clone(), a.clone()]), Err(ApprovalError::TooFewSignatures(1)));
        // One person under two names is one person, also beside a second one.
        let one = [a.clone(), by("again-a", &first)];
        assert_eq!(verify(&one), Err(ApprovalError::TooFewSignatures(1)));
        assert_eq!(verify(&[a.clone(), b.clone(), a.clone()]), Err(ApprovalError::BadSignature));
        assert_eq!(verify(&[a.clone(), by("b", &first)]), Err(ApprovalError::BadSignature));
        assert_eq!(verify(&[a.clone(), by("c", &second)]), Err(ApprovalError::BadSignature));
        let run = statement().run;
        for other in [
            ResolutionStatement { project: ProjectId::new("P-2026-0008").unwrap(), ..statement() },
            ResolutionStatement { run: RunId::new(format!("r-{}", "cd".repeat(16))).unwrap(), ..statement() },
            ResolutionStatement { serial: SerialNumber::new(&[8; 20]).unwrap(), ..statement() },
            ResolutionStatement { reason: ResolutionReason::Withdrawal, ..statement() },
            ResolutionStatement { asked: statement().asked + TimeDelta::seconds(1), ..statement() },
        ] {
            let elsewhere = other.sign(steward("b"), &second).unwrap();
            assert_eq!(verify(&[a.clone(), elsewhere]), Err(ApprovalError::BadSignature));
        }
        // A signature that releases records resolves nothing.
        let [result, risk] = [1, 2].map(|byte| Digest::from_bytes([byte; 32]));
        let release = ReleaseStatement { run, result, risk }.sign(steward("b"), &second).unwrap();
        assert_eq!(verify(&[a, release]), Err(ApprovalError::BadSignature));
    }

    #[test]
    fn a_statement_is_good_for_a_time() {
        let asked = statement().asked;
        for (open, now) in [
            (true, asked),
            (true, asked - TimeDelta::seconds(59)),
            (false, asked - TimeDelta::seconds(61)),
            (true, asked + ResolutionStatement::LIFETIME),
            (false, asked + ResolutionStatement::LIFETIME + TimeDelta::seconds(1)),
        ] {
            assert_eq!(statement().is_open(now), open, "{now}");
        }
    }
}
