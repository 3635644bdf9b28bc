//! Intent, receipt, the Merkle log and its signed checkpoints.
//!
//! Every event is a leaf: what happened, when, by which organisation, and a salted commitment to the
//! details. The details and salts lie apart and can be erased; the log goes on verifying. Each leaf
//! comes with a signed checkpoint in the same transaction. Witnesses, which are other processes, cosign
//! checkpoints against a proof that the log has only grown.

pub mod cosignature;
mod entered;
mod entry_proof;
mod error;
mod event;
mod export;
mod feed;
#[cfg(test)]
mod fixtures;
mod held;
mod intent;
mod key;
mod leaf;
mod log;
pub mod merkle;
pub mod note;
mod overview;
pub mod proof;
mod put_back;
mod receipt;
mod tiles;
mod verify;
pub mod witness;
mod witnessed;

pub use entry_proof::{EntryProof, EntryProofError};
pub use error::AuditError;
pub use event::{
    ActionRefused, Actor, ApplicationComplete, ApplicationEnded, ApplicationIncomplete, ApplicationReceived,
    ApprovalEntered, ApprovalSigned, BudgetReserved, CallTurnedAway, CertificatesReplaced,
    ConditionsAccepted, ConfigurationInForce, CorrectionRequested, CorrectionsFetched, CostStated,
    DisclosureEntered, DisclosureReportRead, DisclosuresDeleted, Entry, ErasureAsked, ErasureCarriedOut,
    Event, FeedOpened, FeedOrderGiven, GatewayStarted, GatewayStopped, HoursRegistered, LinkedSetKept,
    LinkedSetUsed, LinkedSetsDeleted, OrderGiven, PersonServed, PersonsListed, PoliciesReplaced,
    PreliminaryAnswerGiven, ProjectClosed, ProjectSuspended, QueryFailed, QueryOpened, QueryRefused,
    RecordKeysAsked, ReleaseSigned, ResolutionFailed, ResolutionHandedOver, ResolutionOrdered,
    ResolutionSigned, RestrictionSet, ResultFetched, ResultHeld, ResultReceived, SuspensionLifted,
    TablePublished, UnknownTurnedAway,
};
pub use export::{Export, ExportError};
pub use held::{HeldRecord, HeldRun};
pub use intent::{AuditIntent, LedgerRecord, Unreceived};
pub use key::{KeyError, new_key, write_key};
pub use leaf::Leaf;
pub use log::{AuditLog, Recording};
pub use overview::records_hold;
pub use receipt::{AuditReceipt, Deposit};
pub use verify::{Demands, Earlier, Verified, VerifyError, prove, verify};
pub use witnessed::{Disagreement, WitnessLink, Witnessed};
