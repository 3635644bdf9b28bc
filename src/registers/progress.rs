//! How far an ingest has come, told to whoever shows it.

use std::fmt;

/// The steps of an ingest, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    /// The files are checked for their headers and digests.
    Checking,
    /// The identity service reads the identity file.
    Resolving,
    /// The content files are read, sorted and written.
    Reading,
    /// The identity service keeps what it learnt.
    Committing,
    /// The new snapshot becomes the current one.
    Publishing,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Checking => "checking files",
            Self::Resolving => "resolving identities",
            Self::Reading => "reading, sorting, writing",
            Self::Committing => "committing identities",
            Self::Publishing => "publishing the snapshot",
        })
    }
}

/// Is told how far an ingest has come. Called from several threads.
pub trait Progress: Send + Sync {
    /// A step begins. `bytes` is what it will read, 0 if that says nothing.
    fn begin(&self, step: Step, bytes: u64);
    /// So many bytes more have been read.
    fn advance(&self, bytes: u64);
}

/// Tells no one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _: Step, _: u64) {}
    fn advance(&self, _: u64) {}
}
