//! The registered person's own: for portals, with a ticket.

use super::{ClientError, GatewayClient};
use crate::domain::person::{CorrectionOf, OwnRows, PersonLog, Restriction, RestrictionChange, Ticket};
use crate::wire::proto::person_client::PersonClient;
use crate::wire::token_client::Line;
use crate::wire::{decode, encode, proto};

impl GatewayClient {
    fn person(&self) -> PersonClient<Line> {
        PersonClient::new(self.line.clone())
    }

    /// What was released about the person behind a ticket.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn person_log(&self, ticket: &Ticket) -> Result<PersonLog, ClientError> {
        let request = proto::ReadPersonLogRequest { ticket: ticket.as_bytes().to_vec() };
        let mut parts = self.person().read_log(request).await?.into_inner();
        let mut log = PersonLog::default();
        while let Some(part) = parts.message().await? {
            decode::person_log(&mut log, part)?;
        }
        Ok(log)
    }

    /// The own rows of the person behind a ticket.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn person_rows(&self, ticket: &Ticket) -> Result<Vec<OwnRows>, ClientError> {
        let request = proto::ReadPersonRowsRequest { ticket: ticket.as_bytes().to_vec() };
        let mut parts = self.person().read_rows(request).await?.into_inner();
        let mut rows = Vec::new();
        while let Some(part) = parts.message().await? {
            decode::own_rows(&mut rows, part)?;
        }
        Ok(rows)
    }

    /// Asks the sender of a delivery to correct what it says of the person behind a ticket. Gives the number
    /// of the request.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn request_correction(
        &self,
        ticket: &Ticket,
        of: &CorrectionOf,
        text: &str,
    ) -> Result<u64, ClientError> {
        let request = proto::RequestCorrectionRequest {
            ticket: ticket.as_bytes().to_vec(),
            delivery: of.delivery.to_string(),
            dataset: of.dataset.to_string(),
            text: text.to_owned(),
            record: of.record.clone(),
            field: of.field.clone(),
        };
        Ok(self.person().request_correction(request).await?.into_inner().number)
    }

    /// Sets or lifts a restriction for the person behind a ticket. Returns whether it stood otherwise.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn restrict(
        &self,
        ticket: &Ticket,
        restriction: Restriction,
        active: bool,
    ) -> Result<bool, ClientError> {
        let restriction = encode::restriction(restriction).into();
        let ticket = ticket.as_bytes().to_vec();
        let request = proto::SetRestrictionRequest { ticket, restriction, active };
        Ok(self.person().set_restriction(request).await?.into_inner().changed)
    }

    /// The history of the restrictions of the person behind a ticket.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn restrictions(&self, ticket: &Ticket) -> Result<Vec<RestrictionChange>, ClientError> {
        let request = proto::ReadRestrictionsRequest { ticket: ticket.as_bytes().to_vec() };
        let changes = self.person().read_restrictions(request).await?.into_inner().changes;
        Ok(changes.into_iter().map(decode::restriction_change).collect::<Result<_, _>>()?)
    }

    /// Has the rows of the person behind a ticket erased.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn erase_person(&self, ticket: &Ticket) -> Result<(), ClientError> {
        self.person().erase(proto::ErasePersonRequest { ticket: ticket.as_bytes().to_vec() }).await?;
        Ok(())
    }
}
