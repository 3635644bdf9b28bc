//! The one door from a released table to bytes.

use super::{Format, columns, csv, json_stat, report};
use crate::disclosure::Released;
use crate::domain::refusal::{Refusal, RefusalKind};
use crate::domain::table::ResultTable;

/// A released result could not be written in a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// A writer failed.
    #[error("the result could not be written as {0}")]
    Writer(Format),
    /// Microdata asked for in a format of tables.
    #[error("microdata are written as csv, and their report as report; not as {0}")]
    TablesOnly(Format),
}

impl From<RenderError> for Refusal {
    fn from(error: RenderError) -> Self {
        let (kind, code) = match error {
            RenderError::Writer(_) => (RefusalKind::Internal, "statistics.render"),
            RenderError::TablesOnly(_) => (RefusalKind::Invalid, "statistics.tables_only"),
        };
        Self::new(kind, code, error.to_string())
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
    written.ok_or(RenderError::Writer(format))
}
