//! Intent, receipt, the Merkle log and its signed checkpoints.

pub mod merkle;
pub mod note;
mod receipt;

pub use receipt::{AuditReceipt, Deposit};
