//! Intent, receipt, the Merkle log and its signed checkpoints.

mod receipt;

pub use receipt::{AuditReceipt, Deposit};
