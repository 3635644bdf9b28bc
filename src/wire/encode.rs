//! From domain types to protobuf messages.

mod feed;
mod person;
mod project;
mod resolution;

pub(super) use feed::{feed, feed_order, feed_ordered, feed_taken};
pub(super) use person::{correction, disclosure, own_rows, person_log, restriction, restriction_change};
pub(super) use project::{project_state, step, steward_signature, work_item};
pub(super) use resolution::waiting_resolution;

use chrono::SecondsFormat;

use tonic::Status;

use super::proto;
use super::proto::phase::Name;
use super::proto::refuse_held_request::Reason;
use super::queries::Answers;
use crate::domain::answer::{Checked, LogEntry, PublishedTable, Submission};
use crate::domain::canonical::{Canonical, CanonicalError};
use crate::domain::held::{HeldRefusal, HeldResult, ReleaseStatement};
use crate::domain::order::LinkageOrder;
use crate::domain::period::Period;
use crate::domain::query::{Answer, By, Cohort, Condition, Outcome, OutcomeValue, Query, Statistic};
use crate::domain::refusal::{Refusal, RefusalKind};
use crate::pipeline::{Fetched, RunState};
use crate::statistics::{self, Format};
use crate::store::Phase;

/// A query.
pub(super) fn query(query: &Query) -> proto::Query {
    proto::Query {
        project: query.project.to_string(),
        title: query.title.clone(),
        cohort: Some(cohort(&query.cohort)),
        outcomes: query.outcomes.iter().map(outcome).collect(),
        by: query.by.iter().map(by).collect(),
        min_persons: query.min_persons,
        privacy_loss: query.privacy_loss.map(|rho| rho.to_string()),
        result: match query.result {
            Answer::Table => proto::Answer::Table,
            Answer::Microdata => proto::Answer::Microdata,
            Answer::Feed => proto::Answer::Feed,
        }
        .into(),
    }
}

fn cohort(cohort: &Cohort) -> proto::Cohort {
    proto::Cohort {
        register: cohort.register.to_string(),
        dataset: cohort.dataset.to_string(),
        r#where: cohort.conditions.iter().map(condition).collect(),
        index_date: cohort.index_date.to_string(),
        period: Some(period(cohort.period)),
    }
}

fn outcome(outcome: &Outcome) -> proto::Outcome {
    proto::Outcome {
        name: outcome.name.to_string(),
        register: outcome.register.to_string(),
        dataset: outcome.dataset.to_string(),
        r#where: outcome.conditions.iter().map(condition).collect(),
        date: outcome.date.to_string(),
        within_days: u32::from(outcome.within_days),
        value: outcome.value.as_ref().map(outcome_value),
    }
}

fn outcome_value(value: &OutcomeValue) -> proto::OutcomeValue {
    use proto::outcome_value::Statistic as Name;
    let statistic = match value.statistic {
        Statistic::Sum => Name::Sum,
        Statistic::Mean => Name::Mean,
        Statistic::LowerQuartile => Name::LowerQuartile,
        Statistic::Median => Name::Median,
        Statistic::UpperQuartile => Name::UpperQuartile,
    };
    proto::OutcomeValue {
        of: value.of.to_string(),
        statistic: statistic.into(),
        low: value.low,
        high: value.high,
        events: value.events,
    }
}

fn condition(condition: &Condition) -> proto::Condition {
    proto::Condition { variable: condition.variable.to_string(), r#in: condition.any_of.clone() }
}

fn period(period: Period) -> proto::Period {
    proto::Period { from: period.from().to_string(), to: period.to().to_string() }
}

fn by(by: &By) -> proto::By {
    proto::By { variable: by.variable.to_string(), code_list: by.code_list.to_string() }
}

/// An order, in its canonical encoding.
pub(super) fn order(order: &LinkageOrder) -> Result<proto::Order, Refusal> {
    Ok(proto::Order { canonical: order.canonical().map_err(not_encodable)? })
}

pub(super) fn checked(checked: Checked) -> proto::CheckResponse {
    proto::CheckResponse {
        query_digest: checked.query_digest.to_string(),
        approval_digest: checked.approval_digest.to_string(),
        rule: checked.rule.to_string(),
        rule_text: checked.rule_text,
        min_persons: checked.min_persons,
        steps: checked.steps,
        cells: checked.cells,
        budget: checked.budget.map(|budget| proto::Budget {
            cost: budget.cost.to_string(),
            allowance: budget.allowance.to_string(),
            left: budget.left.to_string(),
        }),
    }
}

pub(super) fn submission(submission: &Submission) -> proto::SubmitResponse {
    proto::SubmitResponse {
        run: submission.run.to_string(),
        query_digest: submission.query_digest.to_string(),
    }
}

pub(super) fn published_table(published: PublishedTable) -> proto::PublishedTable {
    proto::PublishedTable {
        table: published.table.to_string(),
        title: published.title,
        result_digest: published.result_digest.to_string(),
        published: published.published.to_rfc3339_opts(SecondsFormat::Secs, true),
    }
}

pub(super) fn log_entry(entry: LogEntry) -> proto::Entry {
    proto::Entry { index: entry.index, leaf: entry.leaf }
}

pub(super) fn release_statement(statement: &ReleaseStatement) -> proto::ReleaseStatement {
    proto::ReleaseStatement {
        run: statement.run.to_string(),
        result_digest: statement.result.to_string(),
        risk_digest: statement.risk.to_string(),
    }
}

/// Microdata that wait for stewards: the report on them, and none of the records.
pub(super) fn held(held: &HeldResult) -> Result<proto::HeldResult, Refusal> {
    Ok(proto::HeldResult {
        statement: Some(release_statement(&held.statement)),
        project: held.project.to_string(),
        organisation: held.organisation.to_string(),
        title: held.title.clone(),
        risk: held.risk.canonical().map_err(not_encodable)?,
        held: held.held.to_rfc3339_opts(SecondsFormat::Secs, true),
        lapses: held.lapses.to_string(),
        signed_by: held.signed_by.iter().map(ToString::to_string).collect(),
    })
}

pub(super) const fn held_refusal(reason: HeldRefusal) -> Reason {
    match reason {
        HeldRefusal::Risk => Reason::Risk,
        HeldRefusal::Loss => Reason::Loss,
        HeldRefusal::Need => Reason::Need,
    }
}

/// Where a run is.
pub(super) fn phase(state: RunState) -> proto::Phase {
    let name = match state.phase {
        Phase::Authorised => Name::Authorised,
        Phase::Linking => Name::Linking,
        Phase::Executing => Name::Executing,
        Phase::Protecting => Name::Protecting,
        Phase::Held => Name::Held,
        Phase::Released => Name::Released,
        Phase::Refused => Name::Refused,
        Phase::Failed => Name::Failed,
    };
    let (code, hint) = state.ending.unwrap_or_default();
    proto::Phase { name: name.into(), code, hint }
}

/// The most bytes of one message of a result.
const CHUNK: usize = 256 << 10;

/// A result on its way out. Nothing else makes these messages, and this takes nothing but what disclosure
/// control has released.
pub(super) async fn fetched(
    fetched: Fetched,
    format: Format,
) -> Result<Answers<proto::FetchResponse>, Status> {
    let rendered = tokio::task::spawn_blocking(move || match fetched {
        Fetched::Table(table) => statistics::render(&table, format),
        Fetched::Microdata(records) => statistics::render_microdata(&records, format),
    })
    .await;
    let rendered = rendered.map_err(|_| Status::internal("result.format: the result cannot be written"))?;
    let bytes = rendered.map_err(Refusal::from)?;
    let chunks: Vec<_> =
        bytes.chunks(CHUNK).map(|chunk| Ok(proto::FetchResponse { chunk: chunk.to_vec() })).collect();
    Ok(Box::pin(futures::stream::iter(chunks)))
}

/// A format.
pub(super) const fn format(format: Format) -> proto::Format {
    match format {
        Format::Csv => proto::Format::Csv,
        Format::JsonStat => proto::Format::JsonStat,
        Format::Arrow => proto::Format::Arrow,
        Format::Parquet => proto::Format::Parquet,
        Format::Report => proto::Format::Report,
    }
}

pub(super) fn not_encodable(error: CanonicalError) -> Refusal {
    Refusal::new(RefusalKind::Internal, "answer.encoding", error.to_string())
}
