//! The registered person: what is kept about one, shown to that person alone, through a portal.

use std::collections::HashSet;

use super::{Gateway, entry};
use crate::audit::{
    CorrectionRequested, CorrectionsFetched, PersonServed, PersonsListed, RestrictionSet, records_hold,
};
use crate::authorise::{Action, Caller, Resource};
use crate::disclosure::persons::{SealedPersons, chunk_of};
use crate::domain::canonical::Digest;
use crate::domain::ids::{PersonNo, RunId};
use crate::domain::person::{
    Correction, CorrectionOf, OwnRows, PersonLog, Portal, RecordsReleased, Restriction, RestrictionChange,
    Ticket, check_text,
};
use crate::domain::refusal::{Refusal, RefusalKind};
use crate::linkage::RegisteredPerson;
use crate::registers::Snapshot;
use crate::store::{ChunkOf, StoredCorrection};

impl Gateway {
    /// The person that a portal's ticket stands for; `None` for somebody whom the identity service does not know.
    ///
    /// # Errors
    /// A [`Refusal`], recorded: by policy, or because the ticket is not good, whatever the reason.
    pub(super) async fn redeemed(
        &self,
        caller: &Caller,
        action: Action,
        ticket: &Ticket,
    ) -> Result<Option<RegisteredPerson>, Refusal> {
        self.may(caller, action, Resource::Gateway, None).await?;
        let portal = Portal { organisation: caller.organisation().clone(), name: caller.name().to_owned() };
        match self.tickets.redeem(&portal, ticket).await {
            Ok(person) => Ok(person),
            Err(refusal) => self.refused(caller, action, None, refusal).await,
        }
    }

    /// Records that something is about to be shown to a person.
    pub(super) async fn serving(&self, caller: &Caller, action: Action) -> Result<(), Refusal> {
        let event = PersonServed { action: action.as_str().to_owned() };
        self.audit.append(entry(caller, None, None, event)).await?;
        Ok(())
    }

    /// What was released about a person. Somebody of whom nothing is known has a log too: of the tables that were made.
    ///
    /// # Errors
    /// A [`Refusal`]: by policy, or because the ticket is not good.
    pub async fn person_log(&self, caller: &Caller, ticket: &Ticket) -> Result<PersonLog, Refusal> {
        let action = Action::ReadPersonLog;
        let person = self.redeemed(caller, action, ticket).await?;
        self.serving(caller, action).await?;
        let records = match &person {
            Some(person) => self.records_with(person).await?,
            None => Vec::new(),
        };
        Ok(PersonLog { records, tables: self.store.tables_released().await? })
    }

    /// The releases of records in which a person is: of each the one chunk is opened that the person's number lies in.
    async fn records_with(&self, person: &RegisteredPerson) -> Result<Vec<RecordsReleased>, Refusal> {
        let number = person.number();
        let chunks = self.store.chunks(chunk_of(number)).await?;
        let all = self.store.facts_of_records().await?;
        tokio::task::block_in_place(|| {
            let mut records = Vec::new();
            for chunk in &chunks {
                if self.in_records(number, chunk)? {
                    let facts = all.get(&chunk.facts).ok_or_else(unreadable)?.clone();
                    records.push(RecordsReleased { day: chunk.day, facts });
                }
            }
            Ok(records)
        })
    }

    /// Whether a person is in released records. That what is kept of them is not what the log says is told the operator, with
    /// the run.
    pub(super) fn in_records(&self, person: PersonNo, kept: &ChunkOf) -> Result<bool, Refusal> {
        Ok(records_hold(&self.persons_key, person, kept).inspect_err(|error| tracing::error!(%error))?)
    }

    /// A person's own rows in every dataset of the register.
    ///
    /// # Errors
    /// A [`Refusal`]: by policy, because the ticket is not good, or because the register cannot be read.
    pub async fn person_rows(&self, caller: &Caller, ticket: &Ticket) -> Result<Vec<OwnRows>, Refusal> {
        let action = Action::ReadPersonRows;
        let person = self.redeemed(caller, action, ticket).await?;
        self.serving(caller, action).await?;
        match person {
            Some(person) => self.rows_of(&person).await,
            None => Ok(Vec::new()),
        }
    }

    async fn rows_of(&self, person: &RegisteredPerson) -> Result<Vec<OwnRows>, Refusal> {
        loop {
            let snapshot = Snapshot::open_current(&self.register)?;
            match self.engine.own_rows(person, &snapshot).await {
                // An erasure has put another snapshot in its place meanwhile, and deleted this one.
                Err(_) if Snapshot::open_current(&self.register)?.id() != snapshot.id() => {}
                read => return Ok(read?),
            }
        }
    }

    /// Keeps a person's request that the sender of a delivery correct what it says of that person. Gives its number.
    ///
    /// # Errors
    /// A [`Refusal`]: by policy, because the ticket is not good, because of the text, or because the person has no such
    /// row.
    pub async fn request_correction(
        &self,
        caller: &Caller,
        ticket: &Ticket,
        of: CorrectionOf,
        text: &str,
    ) -> Result<u64, Refusal> {
        check_text(text).map_err(|e| Refusal::new(RefusalKind::Invalid, "correction.text", e.to_string()))?;
        let person = self.redeemed(caller, Action::RequestCorrection, ticket).await?;
        let rows = match &person {
            Some(person) => self.rows_of(person).await?,
            None => Vec::new(),
        };
        let (Some(person), Some(own)) = (person, rows.into_iter().find(|own| of.is_in(own))) else {
            let hint = "the person has no such row of this dataset in this delivery; read the own rows to see which there \
                        are, with the columns they have";
            return Err(Refusal::new(RefusalKind::Precondition, "correction.no_row", hint));
        };
        let mut recording = self.audit.begin().await?;
        let number = recording.write().next_correction().await?;
        let asked = StoredCorrection {
            person: person.number(),
            sender: own.sender,
            sealed: Vec::new(),
            portal: caller.organisation().clone(),
            asked: self.clock.now(),
            of,
        };
        let asked = self.sealed(number, asked, text)?;
        recording.write().keep_correction(number, &asked).await?;
        let event = CorrectionRequested { entry: number, delivery: asked.of.delivery };
        recording.commit(entry(caller, None, None, event)).await?;
        Ok(number)
    }

    /// The corrections that persons have asked for after the one numbered `after`, or from the first one on, for stewards: as
    /// many as one answer takes. Whom they are about is not told.
    ///
    /// # Errors
    /// A [`Refusal`]: by policy, or because what is kept of one has been changed.
    pub async fn corrections(&self, caller: &Caller, after: Option<u64>) -> Result<Vec<Correction>, Refusal> {
        let action = Action::ListCorrections;
        self.may(caller, action, Resource::Gateway, None).await?;
        let page = self.store.corrections(None, after, MOST_CORRECTIONS).await?;
        self.listing(caller, action, page.len()).await?;
        page.into_iter().map(|kept| self.opened(kept)).collect()
    }

    /// The corrections after the one numbered `after` that persons have asked the caller's organisation for, as the sender of
    /// the deliveries they are about: as many as one answer takes. Of whom they are is not told.
    ///
    /// # Errors
    /// A [`Refusal`]: by policy, because the configuration names no deliveries of the caller's organisation, or because what
    /// is kept of one has been changed.
    pub async fn fetch_corrections(
        &self,
        caller: &Caller,
        after: Option<u64>,
    ) -> Result<Vec<Correction>, Refusal> {
        let action = Action::FetchCorrections;
        self.may(caller, action, Resource::Gateway, None).await?;
        let own = self.senders.iter().filter(|(_, organisation)| *organisation == caller.organisation());
        let own: Vec<&str> = own.map(|(sender, _)| sender.as_str()).collect();
        if own.is_empty() {
            let hint = "the gateway's configuration (senders) names no deliveries of this organisation; ask the register keeper";
            let refusal = Refusal::new(RefusalKind::Precondition, "corrections.no_sender", hint);
            return self.refused(caller, action, None, refusal).await;
        }
        let page = self.store.corrections(Some(&own), after, MOST_CORRECTIONS).await?;
        let corrections = page.iter().map(|(entry, _)| *entry).collect();
        self.audit.append(entry(caller, None, None, CorrectionsFetched { corrections })).await?;
        page.into_iter().map(|kept| self.opened(kept)).collect()
    }

    /// A correction with its text, sealed for this place and no other.
    fn sealed(&self, entry: u64, asked: StoredCorrection, text: &str) -> Result<StoredCorrection, Refusal> {
        let bound = bound(entry, &asked).map_err(|_| unreadable())?;
        let sealed = self.persons_key.seal_text(&bound, text).map_err(|_| unreadable())?;
        Ok(StoredCorrection { sealed, ..asked })
    }

    /// A correction as it is told. That something of it is not what was asked is told the operator, with its number.
    fn opened(&self, (entry, kept): (u64, StoredCorrection)) -> Result<Correction, Refusal> {
        let bound = bound(entry, &kept).map_err(|_| unreadable())?;
        let text = self.persons_key.open_text(&bound, &kept.sealed).map_err(|_| {
            tracing::error!(entry, "what is kept of a correction is not what was asked for");
            changed()
        })?;
        let StoredCorrection { of, sender, asked, .. } = kept;
        Ok(Correction { entry, of, sender, text, asked })
    }

    /// Sets or lifts a restriction, at once and without anybody's decision. Returns whether it stood otherwise before.
    ///
    /// # Errors
    /// A [`Refusal`]: by policy, because the ticket is not good, or because the person is not known here.
    pub async fn restrict(
        &self,
        caller: &Caller,
        ticket: &Ticket,
        restriction: Restriction,
        active: bool,
    ) -> Result<bool, Refusal> {
        let person = self.redeemed(caller, Action::SetRestriction, ticket).await?.ok_or_else(not_known)?;
        let (portal, now) = (caller.organisation(), self.clock.now());
        let mut recording = self.audit.begin().await?;
        let number = recording.write().restrict(person.number(), restriction, active, portal, now).await?;
        let Some(number) = number else { return Ok(false) };
        let restriction = restriction.as_str().to_owned();
        let event = RestrictionSet { entry: number, restriction, active };
        recording.commit(entry(caller, None, None, event)).await?;
        Ok(true)
    }

    /// The history of a person's restrictions.
    ///
    /// # Errors
    /// A [`Refusal`]: by policy, or because the ticket is not good.
    pub async fn restrictions(
        &self,
        caller: &Caller,
        ticket: &Ticket,
    ) -> Result<Vec<RestrictionChange>, Refusal> {
        let action = Action::ReadRestrictions;
        let person = self.redeemed(caller, action, ticket).await?;
        self.serving(caller, action).await?;
        match person {
            Some(person) => Ok(self.store.restrictions(person.number()).await?),
            None => Ok(Vec::new()),
        }
    }

    /// The persons whose data may not be released with their identity, for the register keeper's own route (4-5).
    ///
    /// # Errors
    /// A [`Refusal`] by policy.
    pub async fn reservations(&self, caller: &Caller) -> Result<Vec<PersonNo>, Refusal> {
        let action = Action::ListReservations;
        self.may(caller, action, Resource::Gateway, None).await?;
        let persons = self.store.restricted(Restriction::ReleaseWithIdentity).await?;
        self.listing(caller, action, persons.len()).await?;
        Ok(persons)
    }

    async fn listing(&self, caller: &Caller, action: Action, entries: usize) -> Result<(), Refusal> {
        let event = PersonsListed { action: action.as_str().to_owned(), entries: entries as u64 };
        self.audit.append(entry(caller, None, None, event)).await?;
        Ok(())
    }

    /// Who is in no result.
    pub(super) async fn blocked(&self) -> Result<HashSet<PersonNo>, Refusal> {
        Ok(self.store.restricted(Restriction::AllUse).await?.into_iter().collect())
    }

    /// Whether somebody who is blocked now is in records that wait.
    pub(super) async fn any_blocked(
        &self,
        run: &RunId,
        persons: Option<&SealedPersons>,
    ) -> Result<bool, Refusal> {
        let persons = persons.ok_or_else(unreadable)?;
        for person in self.blocked().await? {
            let holds = self.persons_key.holds(run, person, &persons.set(), persons.chunk_with(person));
            if holds.map_err(|_| unreadable())? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// How many corrections one answer takes: with the longest texts it stays below what a message may have.
const MOST_CORRECTIONS: u32 = 200;

/// What a sealed text is bound to: all that stands beside it, so that it opens as a part of that request only. The digest,
/// under the label `kpr/correction/v1`, of the values as a JSON array; the time in microseconds, as it is stored.
fn bound(entry: u64, asked: &StoredCorrection) -> serde_json::Result<String> {
    let CorrectionOf { delivery, dataset, record, field } = &asked.of;
    let (person, asked_at) = (asked.person.0, asked.asked.timestamp_micros());
    let of = (entry, person, delivery, dataset, record, field, &asked.sender, &asked.portal, asked_at);
    Ok(Digest::of_bytes("kpr/correction/v1", &serde_json::to_vec(&of)?).to_string())
}

fn changed() -> Refusal {
    let hint = "what is kept of a correction is not what the person has asked for, so none is shown; the register keeper \
                finds out who has changed the database";
    Refusal::new(RefusalKind::Internal, "corrections.changed", hint)
}

pub(super) fn not_known() -> Refusal {
    let hint =
        "the population register does not hold this person yet, so there is nothing that could be restricted";
    Refusal::new(RefusalKind::Precondition, "person.not_known", hint)
}

fn unreadable() -> Refusal {
    let hint = "what is kept of released records cannot be read; the register keeper finds the reason";
    Refusal::new(RefusalKind::Internal, "person.unreadable", hint)
}

#[cfg(test)]
mod tests;
