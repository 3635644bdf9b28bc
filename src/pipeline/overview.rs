//! The overview of disclosures: read by stewards and auditors, and rid of what need not be kept any longer.

use super::Gateway;
use crate::authorise::{Action, Caller, Resource};
use crate::domain::overview::Disclosure;
use crate::domain::refusal::Refusal;

/// The most releases that one answer lists.
const MOST_LISTED: u32 = 1000;

impl Gateway {
    /// Releases after the receipt `after`, or from the first one on: as many as one answer takes. Where the sets of
    /// persons of records are kept, only their digests are told.
    ///
    /// # Errors
    /// A [`Refusal`] by policy.
    pub async fn disclosures(&self, caller: &Caller, after: Option<u64>) -> Result<Vec<Disclosure>, Refusal> {
        self.may(caller, Action::ListDisclosures, Resource::Gateway, None).await?;
        Ok(self.store.disclosures(after, MOST_LISTED).await?)
    }

    /// Deletes who was in releases whose time is up, linked rows and records that are no longer kept, and releases that the overview need not keep any longer.
    pub(crate) async fn reap(&self) -> Result<(), Refusal> {
        self.forget().await?;
        self.reap_linked_sets().await?;
        let mut write = self.store.write().await?;
        let expired = write.expire_records(self.clock.today()).await?;
        write.commit().await?;
        if expired > 0 {
            tracing::info!(expired, "released records were erased whose time is up");
        }
        let deleted = self.audit.reap_disclosures(&self.actor, self.retention).await?;
        if deleted > 0 {
            tracing::info!(deleted, "disclosures were deleted that need not be kept any longer");
        }
        Ok(())
    }
}
