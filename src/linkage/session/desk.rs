//! The order desk: where runs post linkage orders, and register nodes take and answer them.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream;
use futures::future::BoxFuture;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::intake::Intake;
use crate::domain::clock::Clock;
use crate::domain::ids::{OrderId, RegisterId};
use crate::domain::order::LinkageOrder;
use crate::linkage::batch::{CodedBatch, CodedRows};
use crate::linkage::error::{DeclineCode, DeclineReason, LinkageError};

/// Gets the rows of an order from the partner it is for.
pub trait Partners: Send + Sync {
    /// Posts the order and waits for its rows. Dropping the future takes the order back, and with it
    /// every row received so far.
    fn collect(&self, order: LinkageOrder) -> BoxFuture<'_, Result<CodedRows, LinkageError>>;
}

/// What the desk takes from a partner, beside what the order says.
#[derive(Debug, Clone, Copy)]
pub struct DeskLimits {
    /// The most bytes of one batch.
    pub batch_bytes: usize,
    /// The most rows of one batch.
    pub batch_rows: usize,
    /// How long a partner that has begun may send nothing.
    pub idle: Duration,
}

impl Default for DeskLimits {
    /// 3 MiB and 65,536 rows a batch, 60 seconds of silence.
    fn default() -> Self {
        Self { batch_bytes: 3 << 20, batch_rows: 1 << 16, idle: Duration::from_secs(60) }
    }
}

/// The gateway's one place for linkage orders. An order is open from [`Partners::collect`] until it is
/// answered, declined, expired or taken back; after that nothing of it is left here.
#[derive(Clone)]
pub struct OrderDesk {
    desk: Arc<Desk>,
}

pub(super) struct Desk {
    clock: Arc<dyn Clock>,
    pub(super) limits: DeskLimits,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    open: HashMap<OrderId, Open>,
    nodes: HashMap<RegisterId, Vec<mpsc::UnboundedSender<LinkageOrder>>>,
    closed: bool,
}

type Answer = Result<CodedRows, LinkageError>;

/// An open order and what has come in for it.
struct Open {
    order: LinkageOrder,
    taken: bool,
    batches: Vec<CodedBatch>,
    answer: oneshot::Sender<Answer>,
    /// Ticks when a node begins and at every batch.
    ticks: watch::Sender<u64>,
    gone: CancellationToken,
}

impl OrderDesk {
    /// A desk without orders.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, limits: DeskLimits) -> Self {
        Self { desk: Arc::new(Desk { clock, limits, state: Mutex::default() }) }
    }

    /// The orders for a register, as they come, first those that are open and not yet taken. A register
    /// may have several nodes; each sees every order and the first to begin has it.
    #[must_use]
    pub fn subscribe(&self, register: &RegisterId) -> Orders {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut state = self.desk.lock();
        if !state.closed {
            let waiting = state.open.values().filter(|o| !o.taken && o.order.register == *register);
            for open in waiting {
                // The receiver is in this function's hands.
                let _ = sender.send(open.order.clone());
            }
            state.nodes.entry(register.clone()).or_default().push(sender);
        }
        Orders(receiver)
    }

    /// Ends all subscriptions, so that the server can shut down.
    pub fn close(&self) {
        let mut state = self.desk.lock();
        state.closed = true;
        state.nodes.clear();
    }

    #[cfg(test)]
    pub(super) fn open_orders(&self) -> usize {
        self.desk.lock().open.len()
    }

    /// A register refuses an order, or gives up on it.
    ///
    /// # Errors
    /// [`LinkageError::UnknownOrder`] when no such order is open for this register.
    pub fn decline(
        &self,
        order: &OrderId,
        register: &RegisterId,
        reason: DeclineReason,
        code: DeclineCode,
    ) -> Result<(), LinkageError> {
        self.desk.check(order, register)?;
        self.desk.finish(order, Err(LinkageError::Declined { reason, code }))
    }

    /// A register's node begins to answer an order.
    ///
    /// # Errors
    /// [`LinkageError::UnknownOrder`] when no such order is open for this register,
    /// [`LinkageError::AlreadyTaken`] when a node has begun before.
    pub fn begin(&self, order: &OrderId, register: &RegisterId) -> Result<Intake, LinkageError> {
        self.desk.check(order, register)?;
        let mut state = self.desk.lock();
        let open = state.open.get_mut(order).ok_or(LinkageError::UnknownOrder)?;
        if std::mem::replace(&mut open.taken, true) {
            return Err(LinkageError::AlreadyTaken);
        }
        open.ticks.send_modify(|n| *n += 1);
        Ok(Intake::new(Arc::clone(&self.desk), open.order.clone(), open.gone.clone()))
    }
}

impl Partners for OrderDesk {
    fn collect(&self, order: LinkageOrder) -> BoxFuture<'_, Answer> {
        Box::pin(async move {
            let left = (order.expires - self.desk.clock.now()).to_std().unwrap_or_default();
            let deadline = Instant::now() + left;
            let mut posted = self.desk.post(order)?;
            loop {
                let taken = *posted.ticks.borrow_and_update() > 0;
                let silence = Instant::now() + self.desk.limits.idle;
                let until = if taken { deadline.min(silence) } else { deadline };
                tokio::select! {
                    biased;
                    answer = &mut posted.answer => return answer.unwrap_or(Err(LinkageError::Dropped)),
                    Ok(()) = posted.ticks.changed() => {}
                    () = tokio::time::sleep_until(until) => return Err(match (taken, until == deadline) {
                        (false, _) => LinkageError::NotTaken,
                        (true, true) => LinkageError::TimedOut,
                        (true, false) => LinkageError::Stalled,
                    }),
                }
            }
        })
    }
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held; if something did, the orders are still whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn post(self: &Arc<Self>, order: LinkageOrder) -> Result<Posted, LinkageError> {
        let id = order.id.clone();
        let (answer, answered) = oneshot::channel();
        let (ticks, ticked) = watch::channel(0);
        let gone = CancellationToken::new();
        let mut state = self.lock();
        if state.open.contains_key(&id) {
            return Err(LinkageError::AlreadyTaken);
        }
        if let Some(nodes) = state.nodes.get_mut(&order.register) {
            nodes.retain(|node| node.send(order.clone()).is_ok());
        }
        let open = Open { order, taken: false, batches: Vec::new(), answer, ticks, gone };
        state.open.insert(id.clone(), open);
        drop(state);
        Ok(Posted { desk: Arc::clone(self), id, answer: answered, ticks: ticked })
    }

    fn check(&self, order: &OrderId, register: &RegisterId) -> Result<(), LinkageError> {
        let state = self.lock();
        let open = state.open.get(order).filter(|open| open.order.register == *register);
        open.map(|_| ()).ok_or(LinkageError::UnknownOrder)
    }

    /// Keeps a checked batch.
    pub(super) fn keep(&self, order: &OrderId, batch: CodedBatch) -> Result<(), LinkageError> {
        let mut state = self.lock();
        let open = state.open.get_mut(order).ok_or(LinkageError::UnknownOrder)?;
        open.batches.push(batch);
        open.ticks.send_modify(|n| *n += 1);
        Ok(())
    }

    /// Ends an order with the number of rows left out by the partner, or with an error.
    pub(super) fn finish(&self, order: &OrderId, end: Result<u64, LinkageError>) -> Result<(), LinkageError> {
        let open = self.lock().open.remove(order).ok_or(LinkageError::UnknownOrder)?;
        open.gone.cancel();
        let answer = end.map(|invalid_rows| CodedRows::new(open.order, open.batches, invalid_rows));
        // The run may have given up at this very moment; then the rows fall with the answer.
        open.answer.send(answer).map_err(|_| LinkageError::UnknownOrder)
    }
}

/// A run's hold on its order. When it goes, so does the order and all that came in for it.
struct Posted {
    desk: Arc<Desk>,
    id: OrderId,
    answer: oneshot::Receiver<Answer>,
    ticks: watch::Receiver<u64>,
}

impl Drop for Posted {
    fn drop(&mut self) {
        let open = self.desk.lock().open.remove(&self.id);
        if let Some(open) = open {
            open.gone.cancel();
        }
    }
}

/// The orders for one register, as they come. It ends when the desk closes.
pub struct Orders(mpsc::UnboundedReceiver<LinkageOrder>);

impl Stream for Orders {
    type Item = LinkageOrder;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<LinkageOrder>> {
        self.0.poll_recv(context)
    }
}
