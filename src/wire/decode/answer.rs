//! What the gateway answers, for its clients.

use chrono::{DateTime, Utc};

use super::{FieldError, at_most, digest, id, rho};
use crate::domain::answer::{BudgetState, Checked, LogEntry, PublishedTable, Submission};
use crate::wire::proto;

/// The most steps an answer to `check` may have.
const MOST_STEPS: usize = 1000;

pub(in crate::wire) fn checked(message: proto::CheckResponse) -> Result<Checked, FieldError> {
    Ok(Checked {
        query_digest: digest("query_digest", &message.query_digest)?,
        approval_digest: digest("approval_digest", &message.approval_digest)?,
        rule: id("rule", message.rule)?,
        rule_text: message.rule_text,
        min_persons: message.min_persons,
        steps: at_most("steps", message.steps, MOST_STEPS)?,
        cells: message.cells,
        budget: message.budget.map(budget).transpose().map_err(|e| e.under("budget"))?,
    })
}

fn budget(message: proto::Budget) -> Result<BudgetState, FieldError> {
    Ok(BudgetState {
        cost: rho("cost", &message.cost)?,
        allowance: rho("allowance", &message.allowance)?,
        left: rho("left", &message.left)?,
    })
}

pub(in crate::wire) fn submission(message: proto::SubmitResponse) -> Result<Submission, FieldError> {
    Ok(Submission {
        run: id("run", message.run)?,
        query_digest: digest("query_digest", &message.query_digest)?,
    })
}

pub(in crate::wire) fn published_table(message: proto::PublishedTable) -> Result<PublishedTable, FieldError> {
    let published = DateTime::parse_from_rfc3339(&message.published)
        .map_err(|_| FieldError::new("published", "must be a time as RFC 3339 writes it"))?;
    Ok(PublishedTable {
        table: id("table", message.table)?,
        title: message.title,
        result_digest: digest("result_digest", &message.result_digest)?,
        published: published.with_timezone(&Utc),
    })
}

pub(in crate::wire) fn log_entry(message: proto::Entry) -> LogEntry {
    LogEntry { index: message.index, leaf: message.leaf }
}
