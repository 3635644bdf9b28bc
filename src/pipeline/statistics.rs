//! Published tables: a steward publishes, anyone reads.

use super::{Gateway, actor, entry};
use crate::audit::TablePublished;
use crate::authorise::{Action, Caller, Resource};
use crate::disclosure::Released;
use crate::domain::answer::PublishedTable;
use crate::domain::ids::{RunId, TableId};
use crate::domain::refusal::{Refusal, RefusalKind};
use crate::domain::table::ResultTable;
use crate::store::{Phase, Publication, StoreError};

impl Gateway {
    /// Publishes a released table under an id. The same table under the same id again is the same
    /// publication.
    ///
    /// # Errors
    /// A [`Refusal`]: by policy, because the run has no result, because the id is taken, or because the project is
    /// suspended or closed.
    pub async fn publish(
        &self,
        caller: &Caller,
        run: RunId,
        table: TableId,
    ) -> Result<PublishedTable, Refusal> {
        let found = self.permitted_run(caller, Action::PublishTable, &run).await?;
        if let Err(refusal) = self.policies.now().may_publish(&found.query) {
            return self.refused(caller, Action::PublishTable, Some(&found.project), refusal).await;
        }
        let released: Released<ResultTable> = self.released(&run, found.phase).await?;
        let publication = Publication {
            table: table.clone(),
            run: run.clone(),
            digest: released.digest(),
            title: released.table().shape.title.clone(),
            published: self.clock.now(),
        };
        let report = &released.table().report;
        let head = match self.store.publication(&table).await? {
            Some(earlier) if earlier.digest == publication.digest => return Ok(published(earlier)),
            Some(_) => return Err(id_taken()),
            // Beside others of its domain it tells no more than to its recipient, and the ledger has no entry of it.
            None if report.noise.is_some() => None,
            None => Some(self.publishable(&run, report.min_persons, &actor(caller)).await?),
        };
        let mut recording = self.audit.begin().await?;
        match recording.write().must_not_be_stopped(&found.project).await {
            Ok(_) => {}
            Err(StoreError::Inactive(why)) => {
                drop(recording);
                return self.refused(caller, Action::PublishTable, Some(&found.project), why.into()).await;
            }
            Err(error) => return Err(error.into()),
        }
        if let Some(head) = head {
            recording.write().record_publication(head, &run).await?;
        }
        if recording.write().publish(&publication).await? {
            let event = TablePublished { table, result: publication.digest };
            recording.commit(entry(caller, Some(found.project), Some(run), event)).await?;
            return Ok(published(publication));
        }
        drop(recording);
        match self.store.publication(&table).await? {
            Some(earlier) if earlier.digest == publication.digest => Ok(published(earlier)),
            _ => Err(id_taken()),
        }
    }

    /// All published tables, for a caller with a certificate.
    ///
    /// # Errors
    /// A [`Refusal`] by policy.
    pub async fn tables(&self, caller: &Caller) -> Result<Vec<PublishedTable>, Refusal> {
        self.may(caller, Action::ListTables, Resource::Gateway, None).await?;
        self.public_tables().await
    }

    /// A published table, for a caller with a certificate.
    ///
    /// # Errors
    /// A [`Refusal`]: by policy, or because nothing is published under the id.
    pub async fn table(&self, caller: &Caller, table: &TableId) -> Result<Released<ResultTable>, Refusal> {
        self.may(caller, Action::ReadTable, Resource::Gateway, None).await?;
        self.public_table(table).await
    }

    /// All published tables, for anyone.
    ///
    /// # Errors
    /// A [`Refusal`] when the database does not answer.
    pub async fn public_tables(&self) -> Result<Vec<PublishedTable>, Refusal> {
        Ok(self.store.publications().await?.into_iter().map(published).collect())
    }

    /// A published table, for anyone.
    ///
    /// # Errors
    /// A [`Refusal`] if nothing is published under the id.
    pub async fn public_table(&self, table: &TableId) -> Result<Released<ResultTable>, Refusal> {
        let publication = self.store.publication(table).await?.ok_or_else(|| {
            let hint = "no table is published under this id; list the tables to see which are";
            Refusal::new(RefusalKind::NotFound, "table.unknown", hint)
        })?;
        self.released(&publication.run, Phase::Released).await
    }
}

fn id_taken() -> Refusal {
    let hint = "another table is published under this id; publish under an id of its own";
    Refusal::new(RefusalKind::Conflict, "table.id_taken", hint)
}

fn published(publication: Publication) -> PublishedTable {
    PublishedTable {
        table: publication.table,
        title: publication.title,
        result_digest: publication.digest,
        published: publication.published,
    }
}
