//! The resolution of a serial number of released records, or of the list of reservations: what two stewards sign, and what
//! it asks for.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};

use super::approval::{ApprovalError, SignedApproval, StewardKey, StewardSignature, signers};
use super::canonical::{Canonical, CanonicalError, Digest};
use super::ids::{PersonNo, ProjectId, RunId, StewardId};
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

/// Who is to be named.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Subject {
    /// The person behind a serial number of released records.
    Serial {
        /// The project that received the records.
        project: ProjectId,
        /// The run whose records they are.
        run: RunId,
        /// The serial number.
        serial: SerialNumber,
        /// Why.
        reason: ResolutionReason,
    },
    /// Those who have reserved themselves against release with identity (KPR regulation 4-2, 4-5), so that the register
    /// keeper can leave them out on the route of its own.
    Reservations {
        /// The digest of the list: [`Subject::list`].
        reservations: Digest,
    },
}

impl Subject {
    /// The most persons that a list has.
    pub const MOST: usize = 100_000;

    /// The list of these persons, by its digest: their numbers ascending, four bytes each, big-endian, under the label
    /// `kpr/reservation-list/v1`.
    #[must_use]
    pub fn list(persons: &[PersonNo]) -> Self {
        let mut numbers: Vec<u32> = persons.iter().map(|person| person.0).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let bytes: Vec<u8> = numbers.into_iter().flat_map(u32::to_be_bytes).collect();
        Self::Reservations { reservations: Digest::of_bytes("kpr/reservation-list/v1", &bytes) }
    }

    /// Whether these persons can be the answer: one to a serial number, all of a list and nobody else.
    #[must_use]
    pub fn fits(&self, persons: &[PersonNo]) -> bool {
        match self {
            Self::Serial { .. } => persons.len() == 1,
            Self::Reservations { .. } => {
                (1..=Self::MOST).contains(&persons.len()) && Self::list(persons) == *self
            }
        }
    }

    /// The project and the run whose records they are, of a serial number.
    #[must_use]
    pub const fn records(&self) -> Option<(&ProjectId, &RunId)> {
        match self {
            Self::Serial { project, run, .. } => Some((project, run)),
            Self::Reservations { .. } => None,
        }
    }

    /// Why they are named.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Serial { reason, .. } => reason.as_str(),
            Self::Reservations { .. } => "reservations",
        }
    }
}

/// What two stewards sign: that these persons be named to the second of them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolutionStatement {
    /// Who, and why.
    #[serde(flatten)]
    pub subject: Subject,
    /// When it was asked for. Each statement is good once, so another resolution has another time.
    pub asked: DateTime<Utc>,
}

/// Without the serial number, which stands for a person.
impl fmt::Debug for ResolutionStatement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, asked } = self;
        match subject {
            Subject::Serial { project, run, reason, .. } => {
                write!(f, "ResolutionStatement({project}, {run}, {}, {asked})", reason.as_str())
            }
            Subject::Reservations { reservations } => {
                write!(f, "ResolutionStatement({reservations}, {asked})")
            }
        }
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
        of(|_, _, _, _| {})
    }

    fn of(
        change: fn(&mut ProjectId, &mut RunId, &mut SerialNumber, &mut ResolutionReason),
    ) -> ResolutionStatement {
        let (mut project, mut run) =
            (ProjectId::new("P-2026-0007").unwrap(), RunId::new(format!("r-{}", "ab".repeat(16))).unwrap());
        let (mut serial, mut reason) = (SerialNumber::new(&[7; 20]).unwrap(), ResolutionReason::HealthRisk);
        change(&mut project, &mut run, &mut serial, &mut reason);
        let subject = Subject::Serial { project, run, serial, reason };
        ResolutionStatement { subject, asked: "2026-03-01T12:00:00Z".parse().unwrap() }
    }

    #[test]
    fn a_statement_has_one_encoding_and_a_list_is_its_persons() {
        let text = String::from_utf8(statement().canonical().unwrap()).unwrap();
        let names: Vec<_> =
            ["{\"project\":", "\"run\":", "\"serial\":", "\"reason\":", "\"asked\":"].to_vec();
        let at: Vec<_> = names.iter().map(|name| text.find(name).unwrap()).collect();
        assert!(at.is_sorted() && text.matches("\":").count() == 5, "{text}");
        assert_eq!(ResolutionStatement::from_canonical(text.as_bytes()).unwrap(), statement());
        let list = |numbers: &[u32]| Subject::list(&numbers.iter().map(|&n| PersonNo(n)).collect::<Vec<_>>());
        let reserved = ResolutionStatement { subject: list(&[3, 70_000]), ..statement() };
        let text = String::from_utf8(reserved.canonical().unwrap()).unwrap();
        assert_eq!(ResolutionStatement::from_canonical(text.as_bytes()).unwrap(), reserved);
        assert!(list(&[70_000, 3, 3]) == reserved.subject && list(&[3]) != reserved.subject);
        // Nothing is both, and nothing has more than it needs.
        let both = text.replace("{\"reservations\"", "{\"project\":\"P-2026-0007\",\"reservations\"");
        assert!(ResolutionStatement::from_canonical(both.as_bytes()).is_err());
        for (fits, numbers) in [(true, &[3, 70_000][..]), (false, &[3]), (false, &[3, 70_001]), (false, &[])]
        {
            let persons: Vec<_> = numbers.iter().map(|&n| PersonNo(n)).collect();
            assert_eq!(reserved.subject.fits(&persons), fits, "{numbers:?}");
            assert_eq!(statement().subject.fits(&persons), persons.len() == 1);
        }
        assert!(!list(&[]).fits(&[]));
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
        let run = RunId::new(format!("r-{}", "ab".repeat(16))).unwrap();
        for other in [
            of(|project, _, _, _| *project = ProjectId::new("P-2026-0008").unwrap()),
            of(|_, run, _, _| *run = RunId::new(format!("r-{}", "cd".repeat(16))).unwrap()),
            of(|_, _, serial, _| *serial = SerialNumber::new(&[8; 20]).unwrap()),
            of(|_, _, _, reason| *reason = ResolutionReason::Withdrawal),
            ResolutionStatement { subject: Subject::list(&[PersonNo(1)]), ..statement() },
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
