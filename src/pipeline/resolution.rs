//! A serial number of released records, or the list of reservations, resolved by two stewards together.
//!
//! The gateway tells the identity service which person numbers these are, and learns nothing back: who
//! it is, the second steward is told by the identity service, which verifies both signatures itself.

use super::{Gateway, entry};
use crate::audit::{
    Entry, Event, ResolutionFailed, ResolutionHandedOver, ResolutionOrdered, ResolutionSigned,
};
use crate::authorise::{Action, Caller, Resource};
use crate::disclosure::persons::chunk_of;
use crate::disclosure::serial_person;
use crate::domain::approval::{ApprovalError, StewardSignature};
use crate::domain::canonical::{Canonical, Digest};
use crate::domain::ids::{PersonNo, ProjectId, RunId};
use crate::domain::microdata::SerialNumber;
use crate::domain::person::Restriction;
use crate::domain::refusal::{Refusal, RefusalKind};
use crate::domain::resolution::{ResolutionStatement, Subject, VerifiedResolution, WaitingResolution};

/// How often a signature is tried again that comes at the same moment as another steward's.
const TRIES: usize = 3;

impl Gateway {
    /// A steward signs that a serial number or the list of reservations be resolved. The first signature opens the resolution; the second steward's
    /// hands it to the identity service. Returns whether it was handed over, and can be collected there.
    ///
    /// # Errors
    /// A [`Refusal`], recorded: by policy; because the signature is another's, the same steward's again or the same
    /// key's, or is on something else; because the statement is too old or used; because the serial number is of
    /// nobody in these records, whatever the reason; because the list of reservations is another one now; or because the identity service refuses or cannot be reached.
    pub async fn sign_resolution(
        &self,
        caller: &Caller,
        statement: &ResolutionStatement,
        signature: &StewardSignature,
    ) -> Result<bool, Refusal> {
        let project = statement.subject.records().map(|(project, _)| project);
        self.may(caller, Action::SignResolution, Resource::Gateway, project).await?;
        match self.signed(caller, statement, signature).await {
            Ok(handed_over) => Ok(handed_over),
            Err(refusal) => self.refused(caller, Action::SignResolution, None, refusal).await,
        }
    }

    async fn signed(
        &self,
        caller: &Caller,
        statement: &ResolutionStatement,
        signature: &StewardSignature,
    ) -> Result<bool, Refusal> {
        if signature.steward.as_str() != caller.name() {
            let hint = "a steward signs with the own name: the one in the certificate of the call";
            return Err(Refusal::new(RefusalKind::Denied, "resolution.other_steward", hint));
        }
        if !statement.is_open(self.clock.now()) {
            let hint = "a resolution is signed and carried out within 14 days; ask for another one";
            return Err(Refusal::new(RefusalKind::Precondition, "resolution.stale", hint));
        }
        let persons = self.persons_of(statement).await?;
        let digest = statement.digest().map_err(|_| unreadable())?;
        for _ in 0..TRIES {
            let kept = self.store.resolution(&digest).await?;
            if kept.as_ref().is_some_and(|kept| kept.handed_over) {
                let hint = "this resolution was handed over; each is good once, ask for another one";
                return Err(Refusal::new(RefusalKind::Precondition, "resolution.used", hint));
            }
            let before = kept.map(|kept| kept.signatures).unwrap_or_default();
            if before.iter().any(|given| given.steward == signature.steward) {
                let hint = "this steward has signed; another steward must sign too";
                return Err(Refusal::new(RefusalKind::Precondition, "resolution.signed_already", hint));
            }
            let signatures = [before.as_slice(), std::slice::from_ref(signature)].concat();
            match statement.verify(&signatures, &self.stewards) {
                Ok(resolution) => {
                    self.hand_over(caller, &resolution, digest, &signatures, &persons).await?;
                    return Ok(true);
                }
                Err(ApprovalError::TooFewSignatures(_)) if before.is_empty() => {
                    // Another steward may sign at the same moment: then this one is the second.
                    if self.first_signature(caller, statement, digest, signature).await? {
                        return Ok(false);
                    }
                }
                Err(ApprovalError::TooFewSignatures(_)) => {
                    let hint = "the key is that of the steward who has signed; another person must sign";
                    return Err(Refusal::new(RefusalKind::Precondition, "resolution.same_key", hint));
                }
                Err(ApprovalError::BadSignature | ApprovalError::Canonical(_)) => {
                    let hint = "the signature does not verify under the key configured for this steward";
                    return Err(Refusal::new(RefusalKind::Precondition, "resolution.bad_signature", hint));
                }
            }
        }
        let hint = "other stewards sign at the same time; try again";
        Err(Refusal::new(RefusalKind::Unavailable, "resolution.busy", hint))
    }

    /// Whom a statement is about: the person of a serial number, or those on the list of reservations if it is still the
    /// list that was signed.
    async fn persons_of(&self, statement: &ResolutionStatement) -> Result<Vec<PersonNo>, Refusal> {
        let subject = &statement.subject;
        if let Subject::Serial { project, run, serial, .. } = subject {
            return Ok(vec![self.person_of(project, run, serial).await?]);
        }
        let persons = self.store.restricted(Restriction::ReleaseWithIdentity).await?;
        if subject.fits(&persons) {
            return Ok(persons);
        }
        let hint = format!(
            "the list of reservations is another one now, or has nobody on it or more than {}; list it again, and sign a \
             statement with the digest that it has now",
            Subject::MOST
        );
        Err(Refusal::new(RefusalKind::Precondition, "resolution.reservations", hint))
    }

    /// The person a serial number stands for, if the person is in the records of the run and these were released to the
    /// project. Every other case has one answer: what is not there is not told from what is another project's.
    async fn person_of(
        &self,
        project: &ProjectId,
        run: &RunId,
        serial: &SerialNumber,
    ) -> Result<PersonNo, Refusal> {
        let unknown = || {
            let hint = "no released record of this run and project has this serial number, or it is no longer kept who is \
                        in them";
            Refusal::new(RefusalKind::NotFound, "resolution.serial", hint)
        };
        let person = serial_person(project, serial, &self.pattern_key).ok_or_else(unknown)?;
        let kept = self.store.chunk_of_records(run, project, chunk_of(person)).await?.ok_or_else(unknown)?;
        if self.in_records(person, &kept)? { Ok(person) } else { Err(unknown()) }
    }

    /// Keeps the first signature. Not, if another one came first: then nothing is recorded.
    async fn first_signature(
        &self,
        caller: &Caller,
        statement: &ResolutionStatement,
        digest: Digest,
        signature: &StewardSignature,
    ) -> Result<bool, Refusal> {
        let event = ResolutionSigned { statement: digest, steward: signature.steward.clone() };
        let mut recording = self.audit.begin().await?;
        let now = self.clock.now();
        if recording.write().sign_resolution(statement, signature, now).await? != 1 {
            return Ok(false);
        }
        recording.commit(on(caller, statement, event)).await?;
        Ok(true)
    }

    /// Records what two stewards have ordered, and hands it to the identity service. If that fails, the second steward's
    /// signature is not kept, and can be given again.
    async fn hand_over(
        &self,
        caller: &Caller,
        resolution: &VerifiedResolution,
        digest: Digest,
        signatures: &[StewardSignature],
        persons: &[PersonNo],
    ) -> Result<(), Refusal> {
        let statement = resolution.statement();
        let of = |event: Event| on(caller, statement, event);
        let (first, second) = (resolution.first().clone(), resolution.second().clone());
        self.audit.append(of(ResolutionOrdered { statement: digest, first, second }.into())).await?;
        if let Err(refusal) = self.resolutions.deposit(statement, signatures, persons).await {
            let event = ResolutionFailed { statement: digest, code: refusal.code.to_owned() };
            self.audit.append(of(event.into())).await?;
            return Err(refusal);
        }
        let now = self.clock.now();
        let mut recording = self.audit.begin().await?;
        if let Some(last) = signatures.last() {
            recording.write().sign_resolution(statement, last, now).await?;
        }
        recording.write().hand_over(&digest, now).await?;
        recording.commit(of(ResolutionHandedOver { statement: digest }.into())).await?;
        Ok(())
    }

    /// The resolutions that wait for a second steward.
    ///
    /// # Errors
    /// A [`Refusal`] by policy.
    pub async fn waiting_resolutions(&self, caller: &Caller) -> Result<Vec<WaitingResolution>, Refusal> {
        self.may(caller, Action::ListResolutions, Resource::Gateway, None).await?;
        let now = self.clock.now();
        let all = self.store.waiting_resolutions().await?;
        let open = all.into_iter().filter(|row| row.statement.is_open(now));
        let waiting = open.map(|row| WaitingResolution {
            statement: row.statement,
            signed_by: row.signatures.into_iter().map(|given| given.steward).collect(),
        });
        Ok(waiting.collect())
    }
}

/// An entry of the audit log for what a steward has done about a statement.
fn on(caller: &Caller, statement: &ResolutionStatement, event: impl Into<Event>) -> Entry {
    let (project, run) = statement.subject.records().unzip();
    entry(caller, project.cloned(), run.cloned(), event)
}

fn unreadable() -> Refusal {
    let hint = "what is kept of released records cannot be read; the register keeper finds the reason";
    Refusal::new(RefusalKind::Internal, "resolution.unreadable", hint)
}
