//! From protobuf messages to domain types: what comes out is checked, or nothing comes out. Errors name
//! the field by its path and the rule, never the value.

mod answer;
mod feed;
mod microdata;
mod person;
mod project;
mod query;
mod resolution;

pub(super) use answer::{checked, log_entry, published_table, submission};
pub(super) use feed::{feed_order, feed_taken};
pub(super) use microdata::{held, held_refusal, release_statement};
pub(super) use person::{
    correction, disclosure, identity_uses, own_rows, person_log, restriction, restriction_change, ticket,
};
pub(super) use project::{approval, optional_day, project_state, step, steward_signature, words, work_item};
pub(super) use query::query;
pub(super) use resolution::{resolution_statement, waiting_resolution};

use std::fmt::Display;

use chrono::NaiveDate;
use tonic::Status;

use super::proto;

use crate::domain::ids::BadName;
use crate::domain::refusal::{Refusal, RefusalKind};
use crate::domain::rho::Rho;
use crate::statistics::Format;

/// A field that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {rule}")]
pub(super) struct FieldError {
    path: String,
    rule: String,
}

impl FieldError {
    pub(super) fn new(path: impl Into<String>, rule: impl Display) -> Self {
        Self { path: path.into(), rule: rule.to_string() }
    }

    pub(super) fn under(self, outer: impl Display) -> Self {
        Self { path: format!("{outer}.{}", self.path), rule: self.rule }
    }
}

impl From<FieldError> for Refusal {
    fn from(error: FieldError) -> Self {
        Self::new(RefusalKind::Invalid, "request.field", error.to_string())
    }
}

impl From<FieldError> for Status {
    fn from(error: FieldError) -> Self {
        Refusal::from(error).into()
    }
}

/// A name of the kind asked for.
pub(super) fn id<T>(path: &str, text: String) -> Result<T, FieldError>
where
    T: TryFrom<String, Error = BadName>,
{
    T::try_from(text).map_err(|rule| FieldError::new(path, rule))
}

/// Text for people.
fn text(path: &str, text: String, most: usize) -> Result<String, FieldError> {
    let fits = (1..=most).contains(&text.chars().count()) && is_plain(&text);
    let rule = || format!("must be 1-{most} printable characters without a run of eleven digits");
    if fits { Ok(text) } else { Err(FieldError::new(path, rule())) }
}

/// Whether text may be stored and shown: no control characters, nothing like an identity number.
fn is_plain(text: &str) -> bool {
    !text.chars().any(char::is_control)
        && !text.split(|c: char| !c.is_ascii_digit()).any(|run| run.len() >= 11)
}

pub(super) fn date(path: &str, text: &str) -> Result<NaiveDate, FieldError> {
    // chrono also reads years of other lengths and signs; only one spelling is taken.
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|_| text.len() == 10);
    date.ok_or_else(|| FieldError::new(path, "must be a date written YYYY-MM-DD"))
}

fn present<T>(path: &str, field: Option<T>) -> Result<T, FieldError> {
    field.ok_or_else(|| FieldError::new(path, "must be given"))
}

fn at_most<T>(path: &str, list: Vec<T>, most: usize) -> Result<Vec<T>, FieldError> {
    if list.len() <= most {
        Ok(list)
    } else {
        Err(FieldError::new(path, format!("must have at most {most} elements")))
    }
}

/// Each element of a list, errors naming its place.
fn each<T, U>(
    path: &str,
    list: Vec<T>,
    most: usize,
    decode: impl Fn(T) -> Result<U, FieldError>,
) -> Result<Vec<U>, FieldError> {
    at_most(path, list, most)?
        .into_iter()
        .enumerate()
        .map(|(index, element)| decode(element).map_err(|e| e.under(format_args!("{path}[{index}]"))))
        .collect()
}

/// A format.
pub(super) fn format(path: &str, format: proto::Format) -> Result<Format, FieldError> {
    match format {
        proto::Format::Csv => Ok(Format::Csv),
        proto::Format::JsonStat => Ok(Format::JsonStat),
        proto::Format::Arrow => Ok(Format::Arrow),
        proto::Format::Parquet => Ok(Format::Parquet),
        proto::Format::Report => Ok(Format::Report),
        proto::Format::Unspecified => Err(FieldError::new(path, "must be a format that this version knows")),
    }
}

/// A privacy loss.
fn rho(path: &str, text: &str) -> Result<Rho, FieldError> {
    text.parse().map_err(|rule| FieldError::new(path, rule))
}

/// A digest in hexadecimal digits.
pub(super) fn digest(path: &str, text: &str) -> Result<crate::domain::canonical::Digest, FieldError> {
    text.parse().map_err(|rule| FieldError::new(path, rule))
}

/// A digest, or nothing.
pub(super) fn optional_digest(
    path: &str,
    text: &str,
) -> Result<Option<crate::domain::canonical::Digest>, FieldError> {
    if text.is_empty() { Ok(None) } else { digest(path, text).map(Some) }
}
