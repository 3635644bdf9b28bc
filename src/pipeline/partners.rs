//! What a partner may do at the gateway.

use super::Gateway;
use crate::authorise::{Action, Caller, Resource};
use crate::domain::ids::RegisterId;
use crate::domain::refusal::Refusal;

impl Gateway {
    /// Whether the policies let a partner take orders for a register, or answer them.
    ///
    /// # Errors
    /// A [`Refusal`], recorded in the audit log.
    pub async fn may_act_for(
        &self,
        caller: &Caller,
        action: Action,
        register: &RegisterId,
    ) -> Result<(), Refusal> {
        self.may(caller, action, Resource::Register(register), None).await
    }
}
