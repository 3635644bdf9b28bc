//! Why a feed is not taken, for people and for the journal.

use std::path::PathBuf;

use chrono::{DateTime, Utc};

use super::codes;
use super::journal::{JournalError, Outcome};
use super::links::PeerFault;
use super::policy::NotAllowed;
use super::source::SourceError;
use crate::domain::order::OrderError;
use crate::linkage::DeclineReason;

/// Why a feed is not taken.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The gateway refused, or did not answer.
    #[error(transparent)]
    Peer(#[from] PeerFault),
    /// The identity service gave no key.
    #[error(transparent)]
    NoLinkageKey(PeerFault),
    /// The order is for another register or project.
    #[error("the gateway's order is for another register or project than this one: it is not carried out")]
    OtherOrder,
    /// The stewards' signatures do not hold.
    #[error("the approval in the gateway's order is not signed by two stewards whose keys this node has")]
    Signatures,
    /// The order does not stand on its approval.
    #[error("the gateway's order does not stand on its approval: {0}")]
    Order(#[from] OrderError),
    /// A newer version of the approval is known.
    #[error("the order stands on version {version} of the approval, and version {highest} has been seen")]
    Superseded {
        /// The order's.
        version: u32,
        /// The highest seen.
        highest: u32,
    },
    /// The register's own policy or approval does not allow it.
    #[error("the register's own policy or approval does not allow it: {0}")]
    NotAllowed(#[from] NotAllowed),
    /// The register's database.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A list of persons, with the code of what is wrong.
    #[error("a list of persons that the policy names cannot be read: {0}")]
    List(String),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A key of the register's could be an identity number.
    #[error(
        "the column `key` of [feed] holds eleven digits, which may be an identity number; files of a feed have none: \
         name a column that tells the register whose a row is and has no such value"
    )]
    Key,
    /// What was fetched is not what was taken.
    #[error("the gateway sent another feed than the one it released: nothing is written")]
    OtherFeed,
    /// The gateway may have the codes of a feed that was broken off, and not have begun it.
    #[error(
        "the gateway may still make the feed that was broken off; its codes are kept: give the same command again, after \
         {until} at the latest"
    )]
    Unsettled {
        /// From then on it is taken anew if the gateway knows nothing of it.
        until: DateTime<Utc>,
    },
    /// A file cannot be read or written.
    #[error("{path} cannot be read or written: {kind}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's word.
        kind: std::io::ErrorKind,
    },
    /// What is left of a feed that was broken off cannot be read.
    #[error("{0} is left of a feed that was broken off, and cannot be read; remove it to take the feed anew")]
    Pending(PathBuf),
}

impl FeedError {
    /// A short fixed code of it, as the journal has it. None says anything of a person.
    #[must_use]
    pub fn code(&self) -> String {
        let fixed = match self {
            Self::Peer(fault) | Self::NoLinkageKey(fault) => return fault.code.clone(),
            Self::NotAllowed(rule) => return rule.to_string(),
            Self::List(code) => return code.clone(),
            Self::Order(error) => codes::of_order(*error),
            Self::OtherOrder => "order.of_another",
            Self::Signatures => codes::SIGNATURES,
            Self::Superseded { .. } => codes::SUPERSEDED,
            Self::Source(_) => codes::SOURCE,
            Self::Journal(_) => codes::JOURNAL,
            Self::Key => "policy.feed_key",
            Self::OtherFeed => "feed.another",
            Self::Unsettled { .. } => "feed.unsettled",
            Self::File { .. } => "files.failed",
            Self::Pending(_) => "files.pending",
        };
        fixed.to_owned()
    }

    /// What the journal says of an order that ends by it: declined by the same reasons as the order of rows is, or failed.
    pub(super) fn outcome(&self) -> Outcome {
        let reason = match self {
            Self::OtherOrder | Self::Signatures | Self::Order(_) | Self::Superseded { .. } => {
                DeclineReason::Approval
            }
            Self::NotAllowed(_) | Self::Key => DeclineReason::Policy,
            Self::Source(_) | Self::List(_) | Self::Journal(_) => DeclineReason::Source,
            Self::NoLinkageKey(_) => DeclineReason::Key,
            Self::Peer(_)
            | Self::OtherFeed
            | Self::Unsettled { .. }
            | Self::File { .. }
            | Self::Pending(_) => return Outcome::Failed { code: self.code(), rows: 0 },
        };
        Outcome::Declined { reason: reason.as_str().to_owned(), code: self.code(), rows: 0 }
    }
}
