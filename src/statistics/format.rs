//! The forms a released table can be written in.

use std::fmt;
use std::str::FromStr;

/// A form of a released table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// CSV: one column a dimension, then each measure with its status.
    Csv,
    /// JSON-stat 2.0.
    JsonStat,
    /// An Arrow IPC stream.
    Arrow,
    /// Parquet.
    Parquet,
    /// The recipient's report, JSON.
    Report,
}

/// A text that names no format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a format is one of csv, json-stat2, arrow, parquet, report")]
pub struct UnknownFormat;

impl Format {
    /// All formats.
    pub const ALL: [Self; 5] = [Self::Csv, Self::JsonStat, Self::Arrow, Self::Parquet, Self::Report];

    /// The formats in which a published table is open to all; a report is for the recipient of a query.
    pub const PUBLIC: [Self; 4] = [Self::JsonStat, Self::Csv, Self::Arrow, Self::Parquet];

    /// The name it has on the command line and in addresses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::JsonStat => "json-stat2",
            Self::Arrow => "arrow",
            Self::Parquet => "parquet",
            Self::Report => "report",
        }
    }

    /// Its media type.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8",
            Self::JsonStat | Self::Report => "application/json",
            Self::Arrow => "application/vnd.apache.arrow.stream",
            Self::Parquet => "application/vnd.apache.parquet",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Format {
    type Err = UnknownFormat;
    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        Self::ALL.into_iter().find(|format| format.as_str().eq_ignore_ascii_case(text)).ok_or(UnknownFormat)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_without_regard_to_case() {
        for format in Format::ALL {
            assert_eq!(format.as_str().to_uppercase().parse(), Ok(format));
        }
        assert_eq!("xlsx".parse::<Format>(), Err(UnknownFormat));
    }
}
