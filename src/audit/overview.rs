//! The overview of disclosures, written in the transaction that releases a result, and reaped when its time is up.

use chrono::NaiveDate;

use crate::disclosure::persons::{PersonsKey, SealedPersons};
use crate::domain::canonical::Canonical;
use crate::domain::ids::{PersonNo, RunId};
use crate::domain::overview::{DisclosureFacts, Retention};
use crate::store::{ChunkOf, NewDisclosure};

use super::error::AuditError;
use super::event::{Actor, DisclosureEntered, DisclosuresDeleted, Entry, Event};
use super::leaf::Leaf;
use super::log::{AuditLog, Recording};

/// Whether a person is in released records, by what is kept of them; only if that is what the log says was released.
///
/// # Errors
/// [`AuditError::OtherPersons`] if what is kept is of another release or another person, or has been changed or taken away.
pub fn records_hold(key: &PersonsKey, person: PersonNo, kept: &ChunkOf) -> Result<bool, AuditError> {
    let other = || AuditError::OtherPersons(kept.run.clone());
    let leaf = Leaf::from_canonical(&kept.leaf).map_err(|_| other())?;
    let detail = kept.detail.as_ref().ok_or_else(other)?;
    let entered: DisclosureEntered = leaf.fields(detail).ok_or_else(other)?;
    let set = kept.set.ok_or_else(other)?;
    let same = leaf.run.as_ref() == Some(&kept.run)
        && leaf.time.date_naive() == kept.day
        && entered.facts == kept.facts
        && entered.persons == Some(set.digest());
    if !same {
        return Err(other());
    }
    key.holds(&kept.run, person, &set, kept.chunk.as_ref()).map_err(|_| other())
}

impl Recording<'_> {
    /// Enters a release whose receipt is the leaf before, with a leaf that commits to what is entered. Records
    /// come with the persons who are in them and the last day on which they are kept.
    pub(super) async fn disclose(
        &mut self,
        entry: impl FnOnce(Event) -> Entry,
        receipt: u64,
        run: &RunId,
        facts: &DisclosureFacts,
        records: Option<(&SealedPersons, NaiveDate)>,
    ) -> Result<(), AuditError> {
        let (persons, kept_until) = records.unzip();
        let event = DisclosureEntered { facts: facts.digest()?, persons: persons.map(|p| p.set().digest()) };
        let entry = entry(event.into());
        // What would not hold when the gateway starts again is not entered.
        let of_kind = facts.result.is_table() == persons.is_none();
        if entry.project.as_ref() != Some(&facts.project) || !of_kind {
            return Err(AuditError::OtherRun(run.clone()));
        }
        let (entered, day) = self.add_today(entry).await?;
        if entered != receipt + 1 {
            return Err(AuditError::NoReceipt(run.clone()));
        }
        let persons = persons.map(|persons| (persons.set(), persons.chunks()));
        Ok(self
            .write()
            .disclose(NewDisclosure { receipt, entered, run, day, facts, persons, kept_until })
            .await?)
    }
}

impl AuditLog {
    /// Deletes what the overview need not keep any longer, and erases what the leaves that entered it commit to. The log
    /// goes on verifying. Returns how many releases were deleted; if there are none, nothing is recorded.
    ///
    /// # Errors
    /// [`AuditError`]; then nothing is deleted.
    pub async fn reap_disclosures(&self, actor: &Actor, retention: Retention) -> Result<u64, AuditError> {
        let today = self.clock.today();
        let mut recording = self.begin().await?;
        let deleted = recording.write().delete_disclosures(retention, today).await?;
        if let (1.., Some(before)) = (deleted, retention.before(today)) {
            let event = DisclosuresDeleted { before, deleted };
            let entry = Entry { actor: actor.clone(), project: None, run: None, event: event.into() };
            recording.commit(entry).await?;
        }
        Ok(deleted)
    }
}

#[cfg(test)]
mod tests;
