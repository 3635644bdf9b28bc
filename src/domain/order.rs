//! A linkage order: what a register node is asked to send, under which signed approval.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::approval::{SignedApproval, VerifiedApproval};
use super::canonical::Canonical;
use super::ids::{DatasetId, OrderId, RegisterId, RunId, VariableId};
use super::period::Period;
use super::query::Condition;

/// An order for rows of one dataset of one partner register, for one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkageOrder {
    /// The order.
    pub id: OrderId,
    /// The run it belongs to. It is the linkage epoch: the linkage key is derived from project and run,
    /// so no two runs share a code.
    pub run: RunId,
    /// The register asked.
    pub register: RegisterId,
    /// Its dataset.
    pub dataset: DatasetId,
    /// The columns to send beside the linkage code, in this order.
    pub columns: Vec<VariableId>,
    /// What a row must fulfil: every condition.
    pub conditions: Vec<Condition>,
    /// The date variable that must lie in the period.
    pub date: VariableId,
    /// The period.
    pub period: Period,
    /// When it was given; it is stale after `expires`.
    pub issued: DateTime<Utc>,
    /// When it can no longer be carried out.
    pub expires: DateTime<Utc>,
    /// The most rows that will be taken.
    pub max_rows: u64,
    /// The approval it stands on, which the partner and the identity service verify themselves.
    pub approval: SignedApproval,
}

impl Canonical for LinkageOrder {
    const LABEL: &'static str = "kpr/linkage-order/v1";
}

/// Why an order does not stand on its approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// The approval is not valid on the day of the order.
    #[error("the approval is not valid today")]
    ApprovalNotValid,
    /// The order has expired, or is dated in the future.
    #[error("the order is stale: its time has passed or not come")]
    Stale,
    /// The dataset is not granted.
    #[error("the approval does not grant this dataset of this register")]
    DatasetNotGranted,
    /// A column or condition uses a variable that is not granted.
    #[error("the order uses a variable that the approval does not grant")]
    VariableNotGranted,
    /// The rows asked for are not within the rows granted.
    #[error("the order asks for rows outside those the approval grants")]
    RowsNotGranted,
    /// The period is not within the approved one.
    #[error("the order's period is not within the approved data period")]
    PeriodNotGranted,
}

impl LinkageOrder {
    /// Checks the order against an approval whose signatures this party has verified, at `now`.
    ///
    /// # Errors
    /// [`OrderError`], the first rule it breaks.
    pub fn check(&self, verified: &VerifiedApproval, now: DateTime<Utc>) -> Result<(), OrderError> {
        let approval = verified.approval();
        if self.approval.approval != *approval || !verified.is_valid_on(now.date_naive()) {
            return Err(OrderError::ApprovalNotValid);
        }
        // Clocks of two organisations differ a little; a minute is forgiven, no more.
        if now > self.expires || self.issued > now + chrono::TimeDelta::minutes(1) {
            return Err(OrderError::Stale);
        }
        let grant = approval.grant(&self.register, &self.dataset).ok_or(OrderError::DatasetNotGranted)?;
        let mut used =
            self.columns.iter().chain([&self.date]).chain(self.conditions.iter().map(|c| &c.variable));
        if !used.all(|variable| grant.variables.contains(variable)) {
            return Err(OrderError::VariableNotGranted);
        }
        if !grant.admits(&self.conditions) {
            return Err(OrderError::RowsNotGranted);
        }
        if !approval.data_period.covers(&self.period) {
            return Err(OrderError::PeriodNotGranted);
        }
        Ok(())
    }
}
