//! The service for register nodes: orders out, rows in.

use std::pin::Pin;
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use super::access::caller;
use super::decode::{self, FieldError};
use super::encode;
use super::proto::decline_request::Reason;
use super::proto::linkage_server::{Linkage, LinkageServer};
use super::proto::send_rows_request::Part;
use super::proto::{
    DeclineRequest, DeclineResponse, Order, SendRowsRequest, SendRowsResponse, TakeOrdersRequest,
};
use super::serve::MESSAGE_BYTES;
use crate::authorise::{Action, Caller};
use crate::domain::ids::RegisterId;
use crate::domain::refusal::{Refusal, RefusalKind};
use crate::linkage::{DeclineCode, DeclineReason, Intake, LinkageError, OrderDesk};
use crate::pipeline::Gateway;

/// The linkage service over the gateway's order desk.
pub(super) struct LinkageService {
    desk: OrderDesk,
    policies: Arc<dyn LinkagePolicies>,
}

/// Who decides whether a partner may act for a register.
pub(super) trait LinkagePolicies: Send + Sync {
    /// Whether `caller` may do `action` for a register.
    fn may_link<'a>(
        &'a self,
        caller: &'a Caller,
        action: Action,
        register: &'a RegisterId,
    ) -> BoxFuture<'a, Result<(), Refusal>>;
}

impl LinkagePolicies for Gateway {
    fn may_link<'a>(
        &'a self,
        caller: &'a Caller,
        action: Action,
        register: &'a RegisterId,
    ) -> BoxFuture<'a, Result<(), Refusal>> {
        Box::pin(self.may_act_for(caller, action, register))
    }
}

/// The service, to be added to the gateway's routes.
pub(super) fn service(desk: OrderDesk, policies: Arc<dyn LinkagePolicies>) -> LinkageServer<LinkageService> {
    LinkageServer::new(LinkageService { desk, policies }).max_decoding_message_size(MESSAGE_BYTES)
}

/// The register that a partner's certificate names. A partner speaks for that register only.
pub(super) fn register(caller: &Caller) -> Result<RegisterId, Status> {
    RegisterId::new(caller.name()).map_err(|_| {
        let hint = "the common name of a partner's certificate must be the id of its register";
        Refusal::new(RefusalKind::Denied, "access.register", hint).into()
    })
}

impl LinkageService {
    /// The register of the caller, for which the policies let it do `action`.
    async fn permitted(&self, caller: &Caller, action: Action) -> Result<RegisterId, Status> {
        let register = register(caller)?;
        self.policies.may_link(caller, action, &register).await?;
        Ok(register)
    }
}

#[tonic::async_trait]
impl Linkage for LinkageService {
    type TakeOrdersStream = Pin<Box<dyn Stream<Item = Result<Order, Status>> + Send>>;

    async fn take_orders(
        &self,
        request: Request<TakeOrdersRequest>,
    ) -> Result<Response<Self::TakeOrdersStream>, Status> {
        let caller = caller(&request)?;
        let asked: RegisterId = decode::id("register", request.into_inner().register)?;
        self.policies.may_link(&caller, Action::TakeOrders, &asked).await?;
        if asked != register(&caller)? {
            let hint = "a register node takes orders for the register that its certificate names";
            return Err(Refusal::new(RefusalKind::Denied, "access.register", hint).into());
        }
        let orders = self.desk.subscribe(&asked);
        Ok(Response::new(Box::pin(orders.map(|order| encode::order(&order).map_err(Status::from)))))
    }

    async fn decline(&self, request: Request<DeclineRequest>) -> Result<Response<DeclineResponse>, Status> {
        let register = self.permitted(&caller(&request)?, Action::SendRows).await?;
        let message = request.into_inner();
        let reason = match message.reason() {
            Reason::Policy => DeclineReason::Policy,
            Reason::Approval => DeclineReason::Approval,
            Reason::Source => DeclineReason::Source,
            Reason::Key => DeclineReason::Key,
            Reason::Unspecified => return Err(FieldError::new("reason", "must be given").into()),
        };
        let order = decode::id("order", message.order)?;
        self.desk.decline(&order, &register, reason, DeclineCode::new(&message.code)).map_err(refuse)?;
        Ok(Response::new(DeclineResponse {}))
    }

    async fn send_rows(
        &self,
        request: Request<Streaming<SendRowsRequest>>,
    ) -> Result<Response<SendRowsResponse>, Status> {
        let register = self.permitted(&caller(&request)?, Action::SendRows).await?;
        let mut parts = request.into_inner();
        let Some(Part::Begin(begin)) = next(&mut parts).await? else {
            return Err(out_of_order());
        };
        let order = decode::id("begin.order", begin.order)?;
        let intake = self.desk.begin(&order, &register).map_err(refuse)?;
        take(intake, &mut parts).await?;
        Ok(Response::new(SendRowsResponse {}))
    }
}

/// Takes all that follows the first message. Whatever ends it early ends the order.
async fn take(mut intake: Intake, parts: &mut Streaming<SendRowsRequest>) -> Result<(), Status> {
    let mut closed = std::pin::pin!(intake.closed());
    loop {
        let part = tokio::select! {
            // A run that has given up need not hear the rest.
            () = closed.as_mut() => return Err(refuse(LinkageError::UnknownOrder)),
            part = next(parts) => part?,
        };
        match part {
            Some(Part::Batch(batch)) => {
                // Checking a batch is work on every row of it: not on a thread that serves connections.
                let checked = tokio::task::spawn_blocking(move || {
                    let checked = intake.batch(batch.number, &batch.arrow);
                    (intake, checked)
                });
                let (back, checked) = checked
                    .await
                    .map_err(|_| Status::internal("linkage.batch: the batch could not be checked"))?;
                intake = back;
                checked.map_err(refuse)?;
            }
            Some(Part::End(end)) => {
                return intake.end(end.batches, end.rows, end.invalid_rows).map_err(refuse);
            }
            Some(Part::Begin(_)) | None => return Err(out_of_order()),
        }
    }
}

async fn next(parts: &mut Streaming<SendRowsRequest>) -> Result<Option<Part>, Status> {
    match parts.message().await? {
        None => Ok(None),
        Some(SendRowsRequest { part: Some(part) }) => Ok(Some(part)),
        Some(SendRowsRequest { part: None }) => Err(out_of_order()),
    }
}

fn out_of_order() -> Status {
    let hint = "an answer is one begin, then batches, then one end";
    Refusal::new(RefusalKind::Invalid, "linkage.order_of_parts", hint).into()
}

fn refuse(error: LinkageError) -> Status {
    Refusal::from(error).into()
}
