//! The one door from a released table to bytes.

use super::{Format, columns, csv, json_stat, report};
use crate::disclosure::Released;
use crate::domain::refusal::{Refusal, RefusalKind};
use crate::domain::table::ResultTable;

/// A released table could not be written in a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the table could not be written as {0}")]
pub struct RenderError(pub(super) Format);

impl From<RenderError> for Refusal {
    fn from(error: RenderError) -> Self {
        Self::new(RefusalKind::Internal, "statistics.render", error.to_string())
    }
}

/// Writes a released table in a format. The same table and format give the same bytes.
///
/// Only what has been released can be written:
///
/// ```compile_fail,E0308
/// use kpr::statistics::{Format, render};
/// fn leak(table: &kpr::domain::table::ResultTable) {
///     let _ = render(table, Format::Csv);
/// }
/// ```
///
/// # Errors
/// [`RenderError`], when a writer fails.
pub fn render(table: &Released<ResultTable>, format: Format) -> Result<Vec<u8>, RenderError> {
    write(table.table(), format)
}

pub(super) fn write(table: &ResultTable, format: Format) -> Result<Vec<u8>, RenderError> {
    let written = match format {
        Format::Csv => csv::write(table),
        Format::JsonStat => json_stat::write(table),
        Format::Arrow => columns::arrow(table),
        Format::Parquet => columns::parquet(table),
        Format::Report => report::write(table),
    };
    written.ok_or(RenderError(format))
}
