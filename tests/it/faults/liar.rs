//! A register node that the test itself plays, over real connections.

use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, FixedSizeBinaryArray};
use arrow::datatypes::Date32Type;
use arrow::ipc::writer::StreamWriter;
use arrow::record_batch::RecordBatch;
use futures::StreamExt;
use kpr::config::TlsFiles;
use kpr::domain::ids::{OrderId, RegisterId};
use kpr::domain::order::LinkageOrder;
use kpr::linkage::row_schema;
use kpr::partner::{GatewayLink, OrderStream, PeerFault, RowsPart};
use kpr::wire::partner_client::{GatewayChannel, IdentityChannel};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::PATIENCE;
use crate::world::World;

/// A node with a certificate of its register, which sends what the test wants.
pub struct Liar {
    pub gateway: Arc<GatewayChannel>,
    pub keys: IdentityChannel,
    orders: OrderStream,
}

impl Liar {
    /// With NPR's own certificate.
    pub async fn new(world: &World) -> Self {
        Self::with(world, "NPR", &world.stage.tls("npr")).await.unwrap()
    }

    /// With a certificate, asking for the orders of a register.
    pub async fn with(world: &World, register: &str, files: &TlsFiles) -> Result<Self, PeerFault> {
        let register = RegisterId::new(register).unwrap();
        let gateway = GatewayChannel::new(register, &world.stage.gateway(), files).unwrap();
        let keys = IdentityChannel::new(&world.stage.identity(), files).unwrap();
        let orders = gateway.orders().await?;
        Ok(Self { gateway: Arc::new(gateway), keys, orders })
    }

    /// The next order.
    pub async fn order(&mut self) -> LinkageOrder {
        tokio::time::timeout(PATIENCE, self.orders.next()).await.unwrap().unwrap().unwrap()
    }

    /// Begins an answer; its parts are sent as they are given, until the sender is dropped.
    pub fn begin(&self, order: &OrderId) -> (mpsc::Sender<RowsPart>, JoinHandle<Result<(), PeerFault>>) {
        let (sender, parts) = mpsc::channel(16);
        let (gateway, order) = (Arc::clone(&self.gateway), order.clone());
        (sender, tokio::spawn(async move { gateway.send(&order, parts).await }))
    }

    /// A whole answer, and what the gateway says to it.
    pub async fn send(&self, order: &OrderId, parts: Vec<RowsPart>) -> Result<(), PeerFault> {
        let (sender, told) = self.begin(order);
        for part in parts {
            // A gateway that has refused takes no more.
            if sender.send(part).await.is_err() {
                break;
            }
        }
        drop(sender);
        told.await.unwrap()
    }
}

/// Codes of nobody, all different.
pub fn codes(rows: usize) -> ArrayRef {
    let code = |row: usize| Some([row.to_be_bytes(), [0xa5; 8]].concat());
    Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size((0..rows).map(code), 16).unwrap())
}

/// The first day of the order's period, in every row.
pub fn days(order: &LinkageOrder, rows: usize) -> ArrayRef {
    Arc::new(Date32Array::from(vec![Date32Type::from_naive_date(order.period.from()); rows]))
}

/// Rows as the order wants them: it asks for the date alone.
pub fn rows(order: &LinkageOrder, rows: usize) -> Vec<u8> {
    let columns = vec![codes(rows), days(order, rows)];
    stream(&RecordBatch::try_new(Arc::new(row_schema(order)), columns).unwrap())
}

/// Columns of any names and types.
pub fn columns(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    stream(&RecordBatch::try_from_iter(columns).unwrap())
}

fn stream(batch: &RecordBatch) -> Vec<u8> {
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap()
}

/// A batch.
pub const fn batch(number: u32, arrow: Vec<u8>) -> RowsPart {
    RowsPart::Batch { number, arrow }
}

/// A summary without rows left out.
pub const fn end(batches: u32, rows: u64) -> RowsPart {
    RowsPart::End { batches, rows, invalid_rows: 0 }
}

/// An answer that the gateway has nothing to say against.
pub fn answer(order: &LinkageOrder) -> Vec<RowsPart> {
    vec![batch(0, rows(order, 3)), end(1, 3)]
}
