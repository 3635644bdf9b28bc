//! Whether a database was put back from a copy: a checkpoint that is kept outside of it says how far the log was.

use super::error::AuditError;
use super::log::{AuditLog, PAGE};
use super::merkle::{Frontier, leaf_hash};

impl AuditLog {
    /// Checks that the log extends a checkpoint that it has signed before. If it does not, acts are missing in the database,
    /// among them perhaps what was spent of a privacy budget.
    ///
    /// # Errors
    /// [`AuditError::PutBack`] if it does not; [`AuditError::Broken`] if the checkpoint is not this log's;
    /// [`AuditError::Store`].
    pub async fn extends(&self, note: &str) -> Result<(), AuditError> {
        let kept = self
            .verifier()
            .open(note)
            .map_err(|_| AuditError::Broken("the checkpoint kept outside of it is not signed by its key"))?;
        let mut frontier = Frontier::default();
        let put_back = |size| Err(AuditError::PutBack { kept: kept.size, size });
        while frontier.size() < kept.size {
            let most = u32::try_from(kept.size - frontier.size()).unwrap_or(PAGE).min(PAGE);
            let page = self.store.audit_leaves(frontier.size(), most).await?;
            if page.is_empty() {
                return put_back(frontier.size());
            }
            for (_, leaf) in page {
                frontier.add(leaf_hash(&leaf));
            }
        }
        if frontier.root() == kept.root { Ok(()) } else { put_back(frontier.size()) }
    }
}

#[cfg(test)]
mod tests;
