//! Erasure for a registered person: at once in every result, and then in the register.

use std::sync::Arc;

use super::person::not_known;
use super::{Gateway, entry};
use crate::audit::{Entry, ErasureAsked, ErasureCarriedOut, RestrictionSet};
use crate::authorise::{Action, Caller};
use crate::domain::person::{Restriction, Ticket};
use crate::domain::refusal::{Refusal, RefusalKind};
use crate::registers::erase::erase;

impl Gateway {
    /// Takes a person's rows dated up to today out of the register. The person is blocked at once, so that no result
    /// from now on has the person in it; the rows go as soon as no delivery is being taken in.
    ///
    /// # Errors
    /// A [`Refusal`]: by policy, because the ticket is not good, or because the person is not known here.
    pub async fn erase_person(self: &Arc<Self>, caller: &Caller, ticket: &Ticket) -> Result<(), Refusal> {
        let person = self.redeemed(caller, Action::ErasePerson, ticket).await?.ok_or_else(not_known)?;
        let (portal, now) = (caller.organisation(), self.clock.now());
        let mut recording = self.audit.begin().await?;
        let write = recording.write();
        let blocked = write.restrict(person.number(), Restriction::AllUse, true, portal, now).await?;
        let asked = write.ask_erasure(person.number(), self.clock.today(), portal, now).await?;
        if let Some(entry_no) = blocked {
            let restriction = Restriction::AllUse.as_str().to_owned();
            let event = RestrictionSet { entry: entry_no, restriction, active: true };
            recording.add(entry(caller, None, None, event)).await?;
        }
        recording.commit(entry(caller, None, None, ErasureAsked { entry: asked })).await?;
        let gateway = Arc::clone(self);
        tokio::spawn(async move {
            if let Err(refusal) = gateway.carry_out_erasures().await {
                tracing::warn!(code = refusal.code, "an erasure waits: it is tried again every hour");
            }
        });
        Ok(())
    }

    /// Carries out the erasures that wait.
    pub(crate) async fn carry_out_erasures(&self) -> Result<(), Refusal> {
        let _one_at_a_time = self.erasing.lock().await;
        let due = self.store.due_erasures().await?;
        if due.is_empty() {
            return Ok(());
        }
        let (register, persons) =
            (self.register.clone(), due.iter().map(|due| (due.person, due.day)).collect());
        let work = tokio::task::spawn_blocking(move || {
            let persons: Vec<_> = persons;
            erase(&register, &persons)
        });
        let snapshot = work.await.map_err(|_| not_erased())?.map_err(|error| {
            tracing::warn!(%error, "rows could not be erased");
            not_erased()
        })?;
        for due in due {
            let mut recording = self.audit.begin().await?;
            recording.write().erased(due.entry, snapshot).await?;
            let event = ErasureCarriedOut { entry: due.entry, snapshot };
            let by = Entry { actor: self.actor.clone(), project: None, run: None, event: event.into() };
            recording.commit(by).await?;
        }
        Ok(())
    }
}

fn not_erased() -> Refusal {
    let hint = "the register is in use or cannot be written; the erasure is tried again";
    Refusal::new(RefusalKind::Unavailable, "erasure.waits", hint)
}
