//! One partner's answer to one order, batch by batch.

use std::sync::Arc;

use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::desk::Desk;
use crate::domain::order::LinkageOrder;
use crate::linkage::batch::CodedBatch;
use crate::linkage::error::LinkageError;

/// What a register's node sends for an order it has begun. The first fault ends the order, and so does
/// dropping this before [`Intake::end`].
pub struct Intake {
    desk: Arc<Desk>,
    order: LinkageOrder,
    gone: CancellationToken,
    batches: u32,
    rows: u64,
    bytes: u64,
    ended: bool,
}

impl Intake {
    pub(super) const fn new(desk: Arc<Desk>, order: LinkageOrder, gone: CancellationToken) -> Self {
        Self { desk, order, gone, batches: 0, rows: 0, bytes: 0, ended: false }
    }

    /// Resolves when the order is no longer open: expired, or its run gave up. The node need not be
    /// listened to any longer.
    pub fn closed(&self) -> WaitForCancellationFutureOwned {
        self.gone.clone().cancelled_owned()
    }

    /// Takes batch `number`: one Arrow IPC stream of one record batch.
    ///
    /// # Errors
    /// [`LinkageError`], the rule of the order that the batch breaks; the order has then ended.
    pub fn batch(&mut self, number: u32, bytes: &[u8]) -> Result<(), LinkageError> {
        let taken = self.take(number, bytes);
        taken.map_err(|error| self.fail(error))
    }

    fn take(&mut self, number: u32, bytes: &[u8]) -> Result<(), LinkageError> {
        if self.ended {
            return Err(LinkageError::UnknownOrder);
        }
        if number != self.batches {
            return Err(LinkageError::BatchNumber);
        }
        let limits = self.desk.limits;
        if bytes.len() > limits.batch_bytes {
            return Err(LinkageError::BatchBytes(limits.batch_bytes));
        }
        let total = self.bytes + bytes.len() as u64;
        if total > most_bytes(&self.order) {
            return Err(LinkageError::TooManyBytes);
        }
        let batch = CodedBatch::parse(&self.order, bytes, limits.batch_rows)?;
        let rows = self.rows + batch.rows() as u64;
        if rows > self.order.max_rows {
            return Err(LinkageError::TooManyRows(self.order.max_rows));
        }
        self.desk.keep(&self.order.id, batch)?;
        self.batches = self.batches.checked_add(1).ok_or(LinkageError::BatchNumber)?;
        self.rows = rows;
        self.bytes = total;
        Ok(())
    }

    /// Takes the summary, which must agree with what was sent, and hands the rows to the run.
    ///
    /// # Errors
    /// [`LinkageError::Summary`], or [`LinkageError::UnknownOrder`] when the order is no longer open.
    pub fn end(mut self, batches: u32, rows: u64, invalid_rows: u64) -> Result<(), LinkageError> {
        if self.ended {
            return Err(LinkageError::UnknownOrder);
        }
        if batches != self.batches || rows != self.rows {
            return Err(self.fail(LinkageError::Summary));
        }
        self.ended = true;
        self.desk.finish(&self.order.id, Ok(invalid_rows))
    }

    fn fail(&mut self, error: LinkageError) -> LinkageError {
        if !std::mem::replace(&mut self.ended, true) {
            // If the order is no longer open, there is no one to tell.
            let _ = self.desk.finish(&self.order.id, Err(error.clone()));
        }
        error
    }
}

/// The most bytes that the batches of an order may have together: padding and tiny batches must not fill
/// the gateway's memory while they stay under the limit of rows.
const fn most_bytes(order: &LinkageOrder) -> u64 {
    const SLACK: u64 = 1 << 20;
    const A_VALUE: u64 = 64;
    let values = order.max_rows.saturating_mul(order.columns.len() as u64 + 1);
    SLACK.saturating_add(values.saturating_mul(A_VALUE))
}

impl Drop for Intake {
    fn drop(&mut self) {
        if !self.ended {
            self.fail(LinkageError::Dropped);
        }
    }
}
