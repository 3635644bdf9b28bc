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
    let entered: DisclosureEntered = Leaf::opened(&kept.leaf, &kept.run, &kept.detail)?.ok_or_else(other)?;
    if entered.facts != kept.facts || entered.persons != Some(kept.set.digest()) {
        return Err(other());
    }
    key.holds(&kept.run, person, &kept.set, kept.chunk.as_ref()).map_err(|_| other())
}

impl Recording<'_> {
    /// Enters a release whose receipt is in this transaction, with a leaf that commits to what is entered. Records
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
        if entry.project.as_ref() != Some(&facts.project) {
            return Err(AuditError::OtherRun(run.clone()));
        }
        let entered = self.add(entry).await?;
        let (day, persons) = (self.today(), persons.map(|persons| (persons.set(), persons.chunks())));
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
