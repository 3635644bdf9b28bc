//! Why a plan could not be carried out.

use std::path::PathBuf;

use datafusion::error::DataFusionError;

use crate::domain::ids::DatasetId;
use crate::domain::refusal::{Refusal, RefusalKind};

/// Why a plan could not be carried out. The engine's own messages can quote values, so none of them is
/// kept: only the kind of its error.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError {
    /// The snapshot has nothing of a dataset.
    #[error("the register holds nothing of dataset {0} yet; a delivery must be taken in first")]
    NoData(DatasetId),
    /// Follow-up would end outside what has been delivered, and a missing event would look like none.
    #[error(
        "dataset {dataset} is delivered from {from} to {to}; the question needs every day from {first} \
         to {last}"
    )]
    NotCovered {
        /// The dataset.
        dataset: DatasetId,
        /// The first day delivered.
        from: chrono::NaiveDate,
        /// The last day delivered.
        to: chrono::NaiveDate,
        /// The first day needed.
        first: chrono::NaiveDate,
        /// The last day needed.
        last: chrono::NaiveDate,
    },
    /// A code of a condition does not fit the column that holds the variable.
    #[error("a value listed for {variable} cannot stand in its column of dataset {dataset}")]
    CodeType {
        /// The dataset.
        dataset: DatasetId,
        /// The variable.
        variable: String,
    },
    /// More memory or scratch space was needed than a query may use.
    #[error("the question needs more memory or scratch space than one question may use")]
    Resources,
    /// A feed has too many rows.
    #[error(
        "the feed would have more than {most} rows, all that one may have; an approval of fewer datasets or rows, or of a \
         shorter data period, would be accepted"
    )]
    FeedTooLarge {
        /// The most it may have.
        most: usize,
    },
    /// The scratch folder cannot be prepared.
    #[error("the scratch folder {path} cannot be prepared: {source}")]
    Scratch {
        /// The folder.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// The engine failed.
    #[error("the engine failed: {0}")]
    Engine(&'static str),
}

impl From<DataFusionError> for ExecuteError {
    fn from(error: DataFusionError) -> Self {
        match error.find_root() {
            DataFusionError::ResourcesExhausted(_) => Self::Resources,
            DataFusionError::ArrowError(..) => Self::Engine("an Arrow error"),
            DataFusionError::ParquetError(_) => Self::Engine("a Parquet file cannot be read"),
            DataFusionError::ObjectStore(_) | DataFusionError::IoError(_) => {
                Self::Engine("a file cannot be read or written")
            }
            DataFusionError::SchemaError(..) => Self::Engine("a column is missing or of another type"),
            DataFusionError::Plan(_) => Self::Engine("the plan does not fit the data"),
            _ => Self::Engine("an internal error"),
        }
    }
}

impl From<ExecuteError> for Refusal {
    fn from(error: ExecuteError) -> Self {
        let (kind, code) = match &error {
            ExecuteError::NoData(_) => (RefusalKind::Precondition, "execute.no_data"),
            ExecuteError::NotCovered { .. } => (RefusalKind::Precondition, "execute.not_covered"),
            ExecuteError::CodeType { .. } => (RefusalKind::Invalid, "execute.code_type"),
            ExecuteError::FeedTooLarge { .. } => (RefusalKind::Limit, "execute.feed_too_large"),
            ExecuteError::Resources => (RefusalKind::Limit, "execute.resources"),
            ExecuteError::Scratch { .. } | ExecuteError::Engine(_) => {
                let hint = "the question could not be carried out; the gateway's log says why";
                return Self::new(RefusalKind::Internal, "execute.failed", hint);
            }
        };
        Self::new(kind, code, error.to_string())
    }
}
