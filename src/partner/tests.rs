//! The node against the gateway's own order desk, over its own database.

mod decisions;
mod feeds;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chrono::TimeDelta;
use ed25519_dalek::SigningKey;
use futures::StreamExt;
use futures::future::BoxFuture;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::policy::tests::{EXAMPLE, policy};
use super::testing::{Database, EPISODES, IDENTITIES, databases, deliver};
use super::*;
use crate::domain::approval::{Approval, StewardKey, StewardSignature};
use crate::domain::clock::FixedClock;
use crate::domain::ids::{OrderId, RegisterId, StewardId};
use crate::domain::order::LinkageOrder;
use crate::domain::refusal::{Refusal, RefusalKind};
use crate::domain::section::Section;
use crate::identity::{Fnr, LinkageKey};
use crate::linkage::testing::{now, order};
use crate::linkage::{CodedRows, DeclineCode, DeclineReason, DeskLimits, LinkageError, OrderDesk, Partners};

const NUMBER: &str = "30908299996";

fn fault(error: LinkageError) -> PeerFault {
    let Refusal { kind, code, hint } = error.into();
    PeerFault { kind, code: code.to_owned(), hint }
}

/// The gateway in the same process. The first `lost` subscriptions end before anything comes.
struct Near {
    desk: OrderDesk,
    lost: AtomicUsize,
    subscriptions: AtomicUsize,
    /// After so many batches of an order, the partner withdraws its approval in this database.
    withdrawn_after: Option<(u32, String)>,
}

impl GatewayLink for Near {
    fn orders(&self) -> BoxFuture<'_, Result<OrderStream, PeerFault>> {
        self.subscriptions.fetch_add(1, Ordering::SeqCst);
        let lost = self.lost.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        Box::pin(async move {
            match lost {
                Ok(n) if n % 2 == 0 => Err(fault(LinkageError::Dropped)),
                Ok(_) => Ok(futures::stream::empty().boxed()),
                Err(_) => Ok(self.desk.subscribe(&npr()).map(Ok).boxed()),
            }
        })
    }

    fn decline<'a>(
        &'a self,
        order: &'a OrderId,
        reason: DeclineReason,
        code: DeclineCode,
    ) -> BoxFuture<'a, Result<(), PeerFault>> {
        Box::pin(async move { self.desk.decline(order, &npr(), reason, code).map_err(fault) })
    }

    fn send<'a>(
        &'a self,
        order: &'a OrderId,
        mut parts: mpsc::Receiver<RowsPart>,
    ) -> BoxFuture<'a, Result<(), PeerFault>> {
        Box::pin(async move {
            let Some(mut part) = parts.recv().await else { return Ok(()) };
            let mut intake = self.desk.begin(order, &npr()).map_err(fault)?;
            loop {
                match part {
                    RowsPart::Batch { number, arrow } => {
                        intake.batch(number, &arrow).map_err(fault)?;
                        if let Some((after, url)) = &self.withdrawn_after
                            && number + 1 == *after
                        {
                            withdraw(url).await;
                        }
                    }
                    RowsPart::End { batches, rows, invalid_rows } => {
                        return intake.end(batches, rows, invalid_rows).map_err(fault);
                    }
                }
                part = parts.recv().await.ok_or_else(|| fault(LinkageError::Dropped))?;
            }
        })
    }
}

async fn withdraw(url: &str) {
    let project = signed(1).approval.approval.project;
    Approvals::open(url).await.unwrap().withdraw(&project, now()).await.unwrap();
}

async fn approve(url: &str, version: u32) {
    let approval = Approval { version, ..signed(1).approval.approval };
    Approvals::open(url).await.unwrap().approve(&approval, None, now()).await.unwrap();
}

struct Keys(Option<[u8; 64]>);

impl KeySource for Keys {
    fn linkage_key<'a>(&'a self, _order: &'a LinkageOrder) -> BoxFuture<'a, Result<LinkageKey, PeerFault>> {
        let key = self.0.and_then(|bytes| LinkageKey::from_wire(&bytes));
        let refused =
            || PeerFault { kind: RefusalKind::Denied, code: "key.refused".into(), hint: String::new() };
        Box::pin(async move { key.ok_or_else(refused) })
    }
}

fn npr() -> RegisterId {
    RegisterId::new("NPR").unwrap()
}

fn steward(number: u8) -> (StewardId, SigningKey) {
    let name = StewardId::new(format!("steward-{number}")).unwrap();
    (name, SigningKey::from_bytes(&[number; 32]))
}

fn signed(number: u8) -> LinkageOrder {
    of_version(number, 1)
}

fn of_version(number: u8, version: u32) -> LinkageOrder {
    let mut order = order(number, TimeDelta::seconds(20));
    order.approval.approval.version = version;
    let approval = &mut order.approval;
    for (name, key) in [steward(1), steward(2)] {
        approval.signatures.push(StewardSignature::sign(&approval.approval, name, &key).unwrap());
    }
    order
}

/// A node that runs, and the desk it answers.
struct Running {
    desk: OrderDesk,
    link: Arc<Near>,
    journal: PathBuf,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
    _folder: tempfile::TempDir,
}

struct Setting {
    policy: PartnerPolicy,
    key: Option<[u8; 64]>,
    journal: Option<PathBuf>,
    lost: usize,
    approved: bool,
    withdrawn_after: Option<u32>,
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            policy: policy(EXAMPLE).unwrap(),
            key: Some([7; 64]),
            journal: None,
            lost: 0,
            approved: true,
            withdrawn_after: None,
        }
    }
}

async fn start(database: &Database, setting: Setting) -> Running {
    let folder = tempfile::tempdir().unwrap();
    let journal = setting.journal.unwrap_or_else(|| folder.path().join("orders.jsonl"));
    if setting.approved {
        approve(&database.url, 1).await;
    }
    let clock = Arc::new(FixedClock(now()));
    let desk = OrderDesk::new(clock.clone(), DeskLimits::default());
    let link = Arc::new(Near {
        desk: desk.clone(),
        lost: AtomicUsize::new(setting.lost),
        subscriptions: AtomicUsize::new(0),
        withdrawn_after: setting.withdrawn_after.map(|after| (after, database.url.clone())),
    });
    let stewards =
        [steward(1), steward(2)].map(|(steward, key)| StewardKey { steward, key: key.verifying_key() });
    let node = Arc::new(Node {
        register: npr(),
        stewards: stewards.to_vec(),
        policy: setting.policy,
        source: Source::open(&database.url).await.unwrap(),
        gateway: link.clone(),
        keys: Arc::new(Keys(setting.key)),
        journal: Journal::open(&journal).unwrap(),
        clock,
    });
    let stop = CancellationToken::new();
    let task = tokio::spawn(node.run(stop.clone()));
    Running { desk, link, journal, stop, task, _folder: folder }
}

impl Running {
    async fn ask(&self, order: LinkageOrder) -> Result<CodedRows, LinkageError> {
        self.desk.collect(order).await
    }

    async fn declined(&self, order: LinkageOrder) -> (DeclineReason, String) {
        match self.ask(order).await.err() {
            Some(LinkageError::Declined { reason, code }) => (reason, code.as_str().to_owned()),
            other => panic!("{other:?}"),
        }
    }

    /// Stops the node and reads its journal.
    async fn end(self) -> String {
        self.stop.cancel();
        self.task.await.unwrap();
        std::fs::read_to_string(&self.journal).unwrap()
    }
}

async fn loaded() -> Vec<Database> {
    let all = databases().await;
    for database in &all {
        let dir = tempfile::tempdir().unwrap();
        deliver(dir.path(), EPISODES.as_bytes(), IDENTITIES.as_bytes());
        load(dir.path(), &database.options(), &|_| ()).await.unwrap();
    }
    all
}

#[tokio::test]
async fn an_order_is_answered_with_codes_and_no_numbers() {
    for database in loaded().await {
        let running = start(&database, Setting::default()).await;
        let rows = running.ask(signed(1)).await.ok().unwrap();
        assert_eq!(rows.invalid_rows(), 2);
        assert_eq!(rows.batches().len(), 1);
        let batch = rows.batches()[0].record_batch();
        assert_eq!(batch.num_rows(), 2);
        let key = LinkageKey::from_wire(&[7; 64]).unwrap();
        let expected = key.code(&Fnr::parse(NUMBER.as_bytes()).unwrap());
        let codes = rows.batches()[0].codes().unwrap();
        assert!((0..2).all(|i| codes.value(i) == expected.as_bytes()));
        let journal = running.end().await;
        let lines: Vec<serde_json::Value> =
            journal.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!(lines[0]["outcome"], "received");
        assert_eq!(lines[0]["ordered"]["conditions"][1]["in"][0], "310");
        assert_eq!((&lines[1]["outcome"], &lines[1]["version"]), (&"verified".into(), &1.into()));
        assert_eq!((&lines[2]["outcome"], &lines[2]["rows"]), (&"sent".into(), &2.into()));
        assert!(!journal.contains(NUMBER) && lines.len() == 3);
    }
}

#[tokio::test]
async fn many_rows_come_in_batches_that_count_up() {
    for database in databases().await {
        let dir = tempfile::tempdir().unwrap();
        let line = |n: usize| format!("{n};1;1;4;2024-03-01;2024-03-05;320;VOP;F20.0;0301\n");
        let lines: String = (0..20_000).map(line).collect();
        deliver(dir.path(), lines.as_bytes(), IDENTITIES.as_bytes());
        load(dir.path(), &database.options(), &|_| ()).await.unwrap();
        let running = start(&database, Setting::default()).await;
        let mut order = signed(1);
        order.max_rows = 20_000;
        let rows = running.ask(order).await.ok().unwrap();
        let sizes: Vec<usize> = rows.batches().iter().map(crate::linkage::CodedBatch::rows).collect();
        assert_eq!(sizes, [8192, 8192, 3616]);
        let mut less = signed(2);
        less.max_rows = 19_999;
        let too_many = (DeclineReason::Policy, "policy.too_many_rows".to_owned());
        assert_eq!(running.declined(less).await, too_many);
    }
}

#[tokio::test]
async fn what_two_stewards_did_not_sign_is_declined() {
    let database = loaded().await.remove(0);
    let running = start(&database, Setting::default()).await;
    let one_signature = {
        let mut order = signed(1);
        order.approval.signatures.pop();
        order
    };
    let another_text = {
        let mut order = signed(2);
        order.approval.approval.grants[0].conditions.clear();
        order
    };
    for order in [one_signature, another_text] {
        let expected = (DeclineReason::Approval, "approval.signatures".to_owned());
        assert_eq!(running.declined(order).await, expected);
    }
    type Change = fn(&mut LinkageOrder);
    let changes: [(Change, &str); 6] = [
        (|o| o.section = Section::Section9b, "order.blind_only"),
        (|o| o.columns.push(crate::linkage::testing::variable("sektor")), "order.variable_not_granted"),
        (|o| o.conditions.clear(), "order.rows_not_granted"),
        (|o| o.conditions[0].any_of.push("3".into()), "order.rows_not_granted"),
        (|o| o.dataset = crate::domain::ids::DatasetId::new("other").unwrap(), "order.dataset_not_granted"),
        (|o| o.issued += TimeDelta::minutes(2), "order.stale"),
    ];
    for (number, (change, code)) in (3..).zip(changes) {
        let mut order = signed(number);
        change(&mut order);
        assert_eq!(running.declined(order).await, (DeclineReason::Approval, code.to_owned()));
    }
    assert_eq!(running.end().await.lines().count(), 16);
}

#[tokio::test]
async fn the_partners_own_policy_the_key_and_the_source_decide_too() {
    let database = loaded().await.remove(0);
    let own = policy(&EXAMPLE.replace("\"research\"", "\"prevention\"")).unwrap();
    let running = start(&database, Setting { policy: own, ..Setting::default() }).await;
    let expected = (DeclineReason::Policy, "policy.purpose".to_owned());
    assert_eq!(running.declined(signed(1)).await, expected);

    let running = start(&database, Setting { key: None, ..Setting::default() }).await;
    assert_eq!(running.declined(signed(1)).await, (DeclineReason::Key, "key.refused".to_owned()));

    let own = policy(&EXAMPLE.replace("table = \"episode\"", "table = \"elsewhere\"")).unwrap();
    let running = start(&database, Setting { policy: own, ..Setting::default() }).await;
    assert_eq!(running.declined(signed(1)).await, (DeclineReason::Source, "source.failed".to_owned()));
    assert!(running.end().await.contains("\"code\":\"source.failed\""));
}

#[tokio::test]
async fn a_lost_connection_is_made_again() {
    let database = loaded().await.remove(0);
    let running = start(&database, Setting { lost: 3, ..Setting::default() }).await;
    assert!(running.ask(signed(1)).await.is_ok());
    assert_eq!(running.link.subscriptions.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn what_cannot_be_written_down_is_not_answered() {
    let database = loaded().await.remove(0);
    let full = Setting { journal: Some(PathBuf::from("/dev/full")), ..Setting::default() };
    let running = start(&database, full).await;
    let mut order = signed(1);
    order.expires = now() + TimeDelta::milliseconds(300);
    assert_eq!(running.ask(order).await.err(), Some(LinkageError::NotTaken));
}

#[tokio::test]
async fn a_node_that_is_told_to_stop_stops() {
    let database = loaded().await.remove(0);
    let running = start(&database, Setting { lost: 100, ..Setting::default() }).await;
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    let ended = tokio::time::timeout(std::time::Duration::from_secs(2), running.end()).await;
    assert_eq!(ended.as_deref(), Ok(""));
}
