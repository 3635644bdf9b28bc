//! The node: takes orders, decides, and answers with coded rows.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::journal::{Journal, JournalError, Outcome};
use super::links::{GatewayLink, KeySource, RowsPart};
use super::lists::ListError;
use super::policy::{Extract, NotAllowed, PartnerPolicy};
use super::rows::BatchWriter;
use super::source::{Source, SourceError};
use super::standing::Standing;
use super::{approvals, codes};
use crate::domain::approval::{StewardKey, VerifiedApproval};
use crate::domain::clock::Clock;
use crate::domain::ids::{OrderId, RegisterId};
use crate::domain::order::LinkageOrder;
use crate::identity::{Fnr, LinkageKey};
use crate::linkage::{DeclineCode, DeclineReason};
use crate::telemetry::logged;

/// The pauses before the node dials again, doubled from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LAST_PAUSE: Duration = Duration::from_secs(10);
/// How long answers in progress may take when the node is told to stop.
const GRACE: Duration = Duration::from_secs(10);
/// The most orders answered at once; more wait.
const AT_ONCE: usize = 4;
/// Batches that may wait for the gateway.
const AHEAD: usize = 4;

/// A partner's register node.
pub struct Node {
    /// The register it answers for.
    pub register: RegisterId,
    /// The stewards whose signatures it accepts.
    pub stewards: Vec<StewardKey>,
    /// Its own rules.
    pub policy: PartnerPolicy,
    /// Its database.
    pub source: Source,
    /// The gateway.
    pub gateway: Arc<dyn GatewayLink>,
    /// The identity service.
    pub keys: Arc<dyn KeySource>,
    /// Its journal.
    pub journal: Journal,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Why an order is not answered, or not to the end.
enum Stop {
    Decline(DeclineReason, String),
    /// The gateway no longer takes rows, and has said why or gone.
    GatewayGone,
}

impl From<SourceError> for Stop {
    fn from(error: SourceError) -> Self {
        tracing::warn!(%error, "the source did not answer");
        Self::Decline(DeclineReason::Source, codes::SOURCE.into())
    }
}

impl From<ListError> for Stop {
    fn from(error: ListError) -> Self {
        Self::Decline(DeclineReason::Source, error.to_string())
    }
}

impl From<JournalError> for Stop {
    fn from(error: JournalError) -> Self {
        tracing::error!(%error, "the journal cannot be written");
        Self::Decline(DeclineReason::Source, codes::JOURNAL.into())
    }
}

impl From<NotAllowed> for Stop {
    fn from(rule: NotAllowed) -> Self {
        Self::Decline(DeclineReason::Policy, rule.to_string())
    }
}

fn unfit(code: &str) -> Stop {
    Stop::Decline(DeclineReason::Approval, code.to_owned())
}

#[derive(Clone, Copy, Default)]
struct Counts {
    batches: u32,
    rows: u64,
    invalid: u64,
    undated: u64,
    /// Left out by the partner's lists. Only the journal is told.
    withheld: u64,
}

/// An order that this partner answers: what is read for it, under which approval.
struct Accepted {
    extract: Extract,
    approval: VerifiedApproval,
}

impl Node {
    /// Takes and answers orders until `stop`, dialling again whenever the connection is lost.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut answers = JoinSet::new();
        let active = Arc::new(Mutex::new(HashSet::new()));
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        let mut pause = FIRST_PAUSE;
        while !stop.is_cancelled() {
            let subscribed = tokio::select! {
                subscribed = self.gateway.orders() => subscribed,
                () = stop.cancelled() => break,
            };
            match subscribed {
                Ok(mut orders) => {
                    tracing::info!(register = %logged(&self.register), "waiting for linkage orders");
                    pause = FIRST_PAUSE;
                    loop {
                        let next = tokio::select! {
                            next = orders.next() => next,
                            Some(_) = answers.join_next() => continue,
                            () = stop.cancelled() => break,
                        };
                        match next {
                            Some(Ok(order)) => {
                                if let Some(mine) = Active::begin(&active, &order.id) {
                                    let (node, turns) = (Arc::clone(&self), Arc::clone(&turns));
                                    answers.spawn(async move {
                                        let _turn = turns.acquire().await;
                                        node.answer(order, mine).await;
                                    });
                                }
                            }
                            Some(Err(fault)) => tracing::warn!(%fault, "an order could not be taken"),
                            None => break,
                        }
                    }
                }
                Err(fault) => tracing::warn!(%fault, "the gateway gives no orders"),
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(LAST_PAUSE),
                () = stop.cancelled() => {}
            }
        }
        let all = async { while answers.join_next().await.is_some() {} };
        if tokio::time::timeout(GRACE, all).await.is_err() {
            tracing::warn!("answers in progress were cut off");
        }
    }

    /// Answers one order and writes down what became of it.
    async fn answer(&self, order: LinkageOrder, _active: Active) {
        if let Err(error) = self.try_answer(&order).await {
            tracing::error!(order = %logged(&order.id), %error, "the order is not answered");
        }
    }

    async fn try_answer(&self, order: &LinkageOrder) -> Result<(), JournalError> {
        let now = self.clock.now();
        // An order that cannot be written down is not carried out.
        self.journal.write(now, order, Outcome::Received { ordered: Box::new(order.clone()) })?;
        let left = (order.expires - now).to_std().unwrap_or_default();
        let sent = AtomicU64::new(0);
        let outcome = match tokio::time::timeout(left, self.carry_out(order, &sent)).await {
            Ok(outcome) => outcome,
            Err(_) => failed("order.expired", &sent),
        };
        tracing::info!(order = %logged(&order.id), outcome = %logged(&outcome.name()), "order dealt with");
        self.journal.write(self.clock.now(), order, outcome)
    }

    /// `sent` is told the number of rows handed on, also of an answer that is broken off.
    async fn carry_out(&self, order: &LinkageOrder, sent: &AtomicU64) -> Outcome {
        let prepared = async {
            let accepted = self.accept(order).await?;
            let approval = accepted.approval.approval();
            let standing = self.source.standing(self.policy.persons(), approval, self.clock.today()).await?;
            Ok((
                accepted,
                standing,
                self.keys.linkage_key(order).await.map_err(|fault| {
                    tracing::warn!(%fault, "the identity service gives no key");
                    Stop::Decline(DeclineReason::Key, fault.code)
                })?,
            ))
        };
        let (accepted, standing, key) = match prepared.await {
            Ok(prepared) => prepared,
            Err(stop) => return self.stopped(order, stop, sent).await,
        };
        let (parts, receiver) = mpsc::channel(AHEAD);
        let reading = async {
            let read = self.read(order, &accepted, &standing, key, Handing { parts: &parts, sent }).await;
            if let Err(Stop::Decline(reason, code)) = &read {
                // Said before the stream breaks off, so that the run learns the reason and not only that.
                self.decline(order, *reason, code).await;
            }
            drop(parts);
            read
        };
        match tokio::join!(self.gateway.send(&order.id, receiver), reading) {
            (Ok(()), Ok(counts)) => Outcome::Sent {
                rows: counts.rows,
                invalid_rows: counts.invalid,
                undated_rows: counts.undated,
                withheld_rows: counts.withheld,
            },
            (_, Err(Stop::Decline(reason, code))) => declined(reason, code, sent),
            (Err(fault), _) => failed(&fault.code, sent),
            (Ok(()), Err(Stop::GatewayGone)) => failed(GONE, sent),
        }
    }

    /// Whether this partner answers the order: the stewards' signatures, the order against what they
    /// signed, whether a newer version of it is known, then the partner's own policy and approval.
    async fn accept(&self, order: &LinkageOrder) -> Result<Accepted, Stop> {
        if order.register != self.register {
            return Err(unfit("order.register"));
        }
        let approval = order.approval.verify(&self.stewards).map_err(|_| unfit(codes::SIGNATURES))?;
        order.check(&approval, self.clock.now()).map_err(|error| unfit(codes::of_order(error)))?;
        let (project, version) = (&approval.approval().project, approval.approval().version);
        let highest = self.journal.highest(project)?;
        if version < highest {
            return Err(unfit(codes::SUPERSEDED));
        }
        if version > highest {
            self.journal.write(self.clock.now(), order, Outcome::Verified)?;
        }
        let extract = self.policy.extract(order, approval.approval())?;
        self.approved(&approval).await?;
        Ok(Accepted { extract, approval })
    }

    /// Whether the partner itself approves the project, at this moment.
    async fn approved(&self, approval: &VerifiedApproval) -> Result<(), Stop> {
        let act = self.source.last_act(&approval.approval().project).await?;
        Ok(approvals::stands(act.as_ref(), approval, self.clock.today())?)
    }

    /// Reads, leaves out, codes and sends. The key goes when this ends.
    async fn read(
        &self,
        order: &LinkageOrder,
        Accepted { extract, approval }: &Accepted,
        standing: &Standing,
        key: LinkageKey,
        handing: Handing<'_>,
    ) -> Result<Counts, Stop> {
        let mut coder = key.coder();
        drop(key);
        let mut counts = Counts::default();
        let mut writer = BatchWriter::new(order);
        let mut rows = self.source.rows(extract);
        let mut read: u64 = 0;
        while let Some(row) = rows.try_next().await? {
            read += 1;
            if read > extract.max_rows {
                return Err(NotAllowed::TooManyRows.into());
            }
            let number = row.number.as_ref().and_then(|text| Fnr::parse(text.as_bytes()).ok());
            match (number, row.date.filter(|date| extract.period.contains(*date))) {
                (_, None) => counts.undated += 1,
                (None, _) => counts.invalid += 1,
                (Some(number), _) if !standing.sends(&number) => counts.withheld += 1,
                (Some(number), Some(date)) => {
                    let code = coder.code(&number);
                    writer.push(&code, date, &row.values).map_err(|_| encoding())?;
                }
            }
            if writer.is_full() {
                self.approved(approval).await?;
                handing.send(&mut writer, &mut counts).await?;
            }
        }
        drop(coder);
        self.approved(approval).await?;
        handing.send(&mut writer, &mut counts).await?;
        let Counts { batches, rows, invalid: invalid_rows, .. } = counts;
        let end = RowsPart::End { batches, rows, invalid_rows };
        handing.parts.send(end).await.map_err(|_| Stop::GatewayGone)?;
        Ok(counts)
    }

    async fn stopped(&self, order: &LinkageOrder, stop: Stop, sent: &AtomicU64) -> Outcome {
        match stop {
            Stop::Decline(reason, code) => {
                self.decline(order, reason, &code).await;
                declined(reason, code, sent)
            }
            Stop::GatewayGone => failed(GONE, sent),
        }
    }

    async fn decline(&self, order: &LinkageOrder, reason: DeclineReason, code: &str) {
        if let Err(fault) = self.gateway.decline(&order.id, reason, DeclineCode::new(code)).await {
            tracing::warn!(order = %order.id, %fault, "the gateway did not take the refusal");
        }
    }
}

/// The code where the gateway has gone without a word.
const GONE: &str = "gateway.gone";

fn failed(code: &str, sent: &AtomicU64) -> Outcome {
    Outcome::Failed { code: code.to_owned(), rows: sent.load(Ordering::Relaxed) }
}

fn declined(reason: DeclineReason, code: String, sent: &AtomicU64) -> Outcome {
    Outcome::Declined { reason: reason.as_str().to_owned(), code, rows: sent.load(Ordering::Relaxed) }
}

fn encoding() -> Stop {
    Stop::Decline(DeclineReason::Source, "source.encoding".into())
}

/// Where batches go, and who is told how many rows have gone.
struct Handing<'a> {
    parts: &'a mpsc::Sender<RowsPart>,
    sent: &'a AtomicU64,
}

impl Handing<'_> {
    async fn send(&self, writer: &mut BatchWriter, counts: &mut Counts) -> Result<(), Stop> {
        let Some((arrow, rows)) = writer.take().map_err(|_| encoding())? else { return Ok(()) };
        let batch = RowsPart::Batch { number: counts.batches, arrow };
        self.parts.send(batch).await.map_err(|_| Stop::GatewayGone)?;
        counts.batches += 1;
        counts.rows += rows as u64;
        self.sent.store(counts.rows, Ordering::Relaxed);
        Ok(())
    }
}

/// An order being answered. After a reconnection the gateway offers it again; it is not begun twice.
struct Active {
    orders: Arc<Mutex<HashSet<OrderId>>>,
    id: OrderId,
}

impl Active {
    fn begin(orders: &Arc<Mutex<HashSet<OrderId>>>, id: &OrderId) -> Option<Self> {
        let fresh = orders.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone());
        fresh.then(|| Self { orders: Arc::clone(orders), id: id.clone() })
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}
