//! The codes by which a register node says which rule of an order's it found broken.

use crate::domain::order::OrderError;

/// Signatures on the approval that do not hold.
pub(super) const SIGNATURES: &str = "approval.signatures";
/// A newer version of the approval is known.
pub(super) const SUPERSEDED: &str = "approval.superseded";
/// The register's database did not answer.
pub(super) const SOURCE: &str = "source.failed";
/// The journal cannot be written.
pub(super) const JOURNAL: &str = "source.journal";

/// An order that does not stand on its approval.
pub(super) const fn of_order(error: OrderError) -> &'static str {
    match error {
        OrderError::ApprovalNotValid => "approval.not_valid",
        OrderError::Text(_) => "approval.text",
        OrderError::PurposeProhibited => "approval.purpose",
        OrderError::OtherTier => "approval.tier",
        OrderError::QueryNotListed => "order.query_not_listed",
        OrderError::BlindOnly => "order.blind_only",
        OrderError::Stale => "order.stale",
        OrderError::TooLong => "order.too_long",
        OrderError::TooManyRows => "order.too_many_rows",
        OrderError::DatasetNotGranted => "order.dataset_not_granted",
        OrderError::VariableNotGranted => "order.variable_not_granted",
        OrderError::RowsNotGranted => "order.rows_not_granted",
        OrderError::PeriodNotGranted => "order.period_not_granted",
        OrderError::NoFeed | OrderError::OtherRecipient => "order.feed",
    }
}
