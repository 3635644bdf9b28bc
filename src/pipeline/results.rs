//! Released results and the audit log, read.

use super::release::not_encodable;
use super::{Gateway, entry};
use crate::audit::{ConditionsAccepted, DisclosureReportRead, ResultFetched};
use crate::authorise::{Action, Caller, Resource};
use crate::disclosure::{NotAccepted, Receivable, Released, open_report};
use crate::domain::answer::LogEntry;
use crate::domain::canonical::{Canonical, Digest};
use crate::domain::disclosure_report::DisclosureReport;
use crate::domain::ids::RunId;
use crate::domain::indirect::IndirectTerms;
use crate::domain::microdata::MicrodataTable;
use crate::domain::query::Answer;
use crate::domain::refusal::{Refusal, RefusalKind};
use crate::domain::table::ResultTable;
use crate::store::{Phase, StoreError};

/// A released result of either kind.
pub enum Fetched {
    /// A table.
    Table(Released<ResultTable>),
    /// Microdata, whose conditions the recipient has accepted.
    Microdata(Receivable),
}

impl Fetched {
    const fn digest(&self) -> Digest {
        match self {
            Self::Table(table) => table.digest(),
            Self::Microdata(records) => records.digest(),
        }
    }
}

impl Gateway {
    /// The released result of a run, to be sent in `format`, to one who has accepted the conditions with the digest given,
    /// if it stands under any. That they are accepted and it is fetched is recorded first, in the transaction that looks
    /// whether the project is suspended or closed and its caller still a recipient.
    ///
    /// # Errors
    /// A [`Refusal`]: by policy, because there is no result (yet), because its conditions are not accepted, or by the life
    /// of the project.
    pub async fn fetch(
        &self,
        caller: &Caller,
        run: &RunId,
        format: &str,
        accepted: Option<Digest>,
    ) -> Result<Fetched, Refusal> {
        let found = self.permitted_run(caller, Action::FetchResult, run).await?;
        let fetched = match found.query.result {
            Answer::Table => {
                let table = self.released(run, found.phase).await?;
                if accepted.is_none() { Ok(Fetched::Table(table)) } else { Err(NotAccepted::NoConditions) }
            }
            Answer::Microdata => {
                let records = self.released(run, found.phase).await?;
                Receivable::accept(records, accepted).map(Fetched::Microdata)
            }
            // The policies forbid it by name; its register fetches it another way.
            Answer::Feed => return Err(super::release::not_released()),
        };
        let fetched = match fetched {
            Ok(fetched) => fetched,
            Err(why) => {
                let refusal = why.into();
                return self.refused(caller, Action::FetchResult, Some(&found.project), refusal).await;
            }
        };
        let result = fetched.digest();
        let event = ResultFetched { result, format: format.to_owned() };
        let mut recording = self.audit.begin().await?;
        match self.may_receive(recording.write(), caller, &found.project).await {
            Ok(in_force) => {
                // A later version may state stricter ones: what an earlier one gave is not given on under these.
                let stated =
                    in_force.indirect.as_ref().map(Canonical::digest).transpose().map_err(not_encodable)?;
                if accepted.is_some() && stated != accepted {
                    drop(recording);
                    let refusal = NotAccepted::Replaced.into();
                    return self.refused(caller, Action::FetchResult, Some(&found.project), refusal).await;
                }
                if let Some(conditions) = accepted {
                    let accepted = ConditionsAccepted { result, conditions };
                    let project = Some(found.project.clone());
                    recording.add(entry(caller, project, Some(run.clone()), accepted)).await?;
                }
                recording.commit(entry(caller, Some(found.project), Some(run.clone()), event)).await?;
                Ok(fetched)
            }
            Err(StoreError::Inactive(why)) => {
                drop(recording);
                self.refused(caller, Action::FetchResult, Some(&found.project), why.into()).await
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The conditions that the released result of a run stands under, for one who may fetch it.
    ///
    /// # Errors
    /// A [`Refusal`]: by policy, because there is no result (yet), or because it stands under none.
    pub async fn conditions(&self, caller: &Caller, run: &RunId) -> Result<IndirectTerms, Refusal> {
        let found = self.permitted_run(caller, Action::FetchResult, run).await?;
        if found.query.result == Answer::Table {
            return Err(NotAccepted::NoConditions.into());
        }
        let records: Released<MicrodataTable> = self.released(run, found.phase).await?;
        records.table().report.terms.clone().ok_or_else(|| NotAccepted::NoConditions.into())
    }

    /// What stewards are told of the released table of a run. That it is read is recorded first.
    ///
    /// # Errors
    /// A [`Refusal`]: by policy, or because there is none: yet, or because its numbers have noise or it is microdata.
    pub async fn disclosure_report(&self, caller: &Caller, run: &RunId) -> Result<DisclosureReport, Refusal> {
        let found = self.permitted_run(caller, Action::ReadDisclosureReport, run).await?;
        let sealed = match self.store.report(run).await {
            Err(StoreError::NoSuchResult(_)) => {
                let hint = "the run has no report for stewards: only released tables of true counts have one";
                return Err(Refusal::new(RefusalKind::Precondition, "report.none", hint));
            }
            sealed => sealed?,
        };
        self.audit
            .append(entry(caller, Some(found.project), Some(run.clone()), DisclosureReportRead {}))
            .await?;
        Ok(open_report(run, &sealed, &self.pattern_key)?)
    }

    /// A run's result, against its receipt.
    pub(super) async fn released<T: Canonical>(
        &self,
        run: &RunId,
        phase: Phase,
    ) -> Result<Released<T>, Refusal> {
        if phase != Phase::Released {
            let hint = "the run has no released result; watch it to see when it has, or why it has none";
            return Err(Refusal::new(RefusalKind::Precondition, "result.none", hint));
        }
        let (receipt, bytes) = self.audit.released::<T>(run).await?;
        Released::restore(&bytes, &receipt).map_err(|_| super::release::not_released())
    }

    /// The latest signed checkpoint of the audit log that so many witnesses have cosigned.
    ///
    /// # Errors
    /// A [`Refusal`] by policy, or because none has as many cosignatures.
    pub async fn checkpoint(&self, caller: &Caller, cosignatures: u32) -> Result<String, Refusal> {
        self.may(caller, Action::ReadCheckpoint, Resource::Gateway, None).await?;
        Ok(self.audit.checkpoint(cosignatures).await?)
    }

    /// At most `most` entries of the audit log from the index `from` on.
    ///
    /// # Errors
    /// A [`Refusal`] by policy.
    pub async fn entries(&self, caller: &Caller, from: u64, most: u32) -> Result<Vec<LogEntry>, Refusal> {
        self.may(caller, Action::ReadLog, Resource::Gateway, None).await?;
        Ok(self.audit.entries(from, most).await?)
    }
}
