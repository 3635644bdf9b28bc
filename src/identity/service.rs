//! The identity service itself: resolves identity files, gives linkage keys, maps linkage codes.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::codes::{self, Mapped};
use super::error::IdentityError;
use super::fnr::Fnr;
use super::intake::Intake;
use super::keys::{KeyRing, LinkageKey};
use super::lines::Layout;
use super::record_keys::RecordKeys;
use super::rotation::KeyEvent;
use super::tickets::Tickets;
use super::vault::Vault;
use crate::domain::approval::{StewardKey, StewardSignature};
use crate::domain::canonical::Digest;
use crate::domain::clock::{Clock, Entropy};
use crate::domain::feed::FeedOrder;
use crate::domain::ids::{DomainId, OrganisationId, PersonNo, RegisterId};
use crate::domain::order::{KeyedOrder, LinkageOrder};
use crate::domain::person::{IdentityUses, Portal, Ticket};
use crate::domain::record_key::RecordKey;
use crate::domain::resolution::ResolutionStatement;
use crate::linkage::LinkageCode;
use crate::telemetry::logged;

/// The vault, the root secrets, and the stewards whose signatures count.
pub struct IdentityService {
    pub(super) vault: Arc<Vault>,
    ring: KeyRing,
    stewards: Vec<StewardKey>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    intakes: Arc<Semaphore>,
    tickets: Mutex<Tickets>,
}

/// An order whose codes may be mapped: its approval's signatures hold, no higher version of it is known, it keeps to it,
/// and the key of this very order has been fetched. Made only by [`IdentityService::accept`].
///
/// ```compile_fail,E0451
/// use kpr::{domain::order::LinkageOrder, identity::AcceptedOrder};
/// fn forge(order: LinkageOrder) -> AcceptedOrder<LinkageOrder> {
///     AcceptedOrder { order }
/// }
/// ```
pub struct AcceptedOrder<O> {
    order: O,
}

impl<O> AcceptedOrder<O> {
    /// The order.
    #[must_use]
    pub const fn order(&self) -> &O {
        &self.order
    }
}

impl IdentityService {
    /// Opens the vault, or makes a new one.
    ///
    /// # Errors
    /// [`IdentityError::Vault`].
    pub async fn open(
        vault: &Path,
        ring: KeyRing,
        stewards: Vec<StewardKey>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, IdentityError> {
        let vault = Arc::new(Vault::open(vault, &ring, clock.now()).await?);
        let (intakes, tickets) = (Arc::new(Semaphore::new(1)), Mutex::default());
        Ok(Self { vault, ring, stewards, clock, entropy, intakes, tickets })
    }

    /// Seals the vault anew under the newest version of the ring, while the service stands still. `progress` hears how many
    /// of how many identifiers are done; a rotation that was cut short goes on where it was. Returns whether there was
    /// anything to do.
    ///
    /// # Errors
    /// [`IdentityError::Vault`].
    pub async fn rotate(
        vault: &Path,
        ring: &KeyRing,
        clock: &dyn Clock,
        progress: impl FnMut(u64, u64),
    ) -> Result<bool, IdentityError> {
        Ok(Vault::rotate(vault, ring, clock.now(), progress).await?)
    }

    /// Records that a version of the root secret is destroyed, while the service stands still.
    ///
    /// # Errors
    /// [`IdentityError::Vault`], by name, while anything needs it.
    pub async fn destroy(
        vault: &Path,
        ring: &KeyRing,
        version: u32,
        clock: &dyn Clock,
    ) -> Result<(), IdentityError> {
        Ok(Vault::destroy(vault, ring, version, clock.now()).await?)
    }

    /// What was done with versions of the root secret, while the service stands still.
    ///
    /// # Errors
    /// [`IdentityError::Vault`].
    pub async fn key_events(vault: &Path, clock: &dyn Clock) -> Result<Vec<KeyEvent>, IdentityError> {
        Ok(Vault::key_events(vault, clock.now()).await?)
    }

    /// Begins to read an identity file. One at a time, since each hands out person numbers.
    ///
    /// # Errors
    /// [`IdentityError::Busy`].
    pub fn begin_intake(&self, layout: Layout) -> Result<Intake, IdentityError> {
        let permit = Arc::clone(&self.intakes).try_acquire_owned().map_err(|_| IdentityError::Busy)?;
        Ok(Intake::new(Arc::clone(&self.vault), permit, layout))
    }

    /// The linkage key of a feed's order, for the register that takes it. Beside what every order keeps, the
    /// organisation must be the one that the stewards have signed as recipient.
    ///
    /// # Errors
    /// [`IdentityError`]: which rule the order breaks.
    pub async fn issue_feed_key(
        &self,
        (organisation, caller): (&OrganisationId, &RegisterId),
        order: &FeedOrder,
    ) -> Result<LinkageKey, IdentityError> {
        if !order.approval.approval.recipients.contains(organisation) {
            return Err(IdentityError::OtherRegister);
        }
        self.key_of(caller, order).await
    }

    /// The linkage key of an order, for the register that is to carry it out. The signatures of the
    /// approval are verified here, with the keys this service holds. The same order gets the same key
    /// until its codes are mapped.
    ///
    /// # Errors
    /// [`IdentityError`]: which rule the order breaks.
    pub async fn issue_key(
        &self,
        caller: &RegisterId,
        order: &LinkageOrder,
    ) -> Result<LinkageKey, IdentityError> {
        self.key_of(caller, order).await
    }

    async fn key_of(
        &self,
        caller: &RegisterId,
        order: &impl KeyedOrder,
    ) -> Result<LinkageKey, IdentityError> {
        if order.register() != caller {
            return Err(IdentityError::OtherRegister);
        }
        self.check(order).await?;
        let version = self.vault.bind_run(order, self.ring.current().version(), self.clock.now()).await?;
        let key = self.key(order, version)?;
        tracing::info!(
            order = %logged(order.id()),
            run = %logged(order.run()),
            register = %logged(order.register()),
            "linkage key given"
        );
        Ok(key)
    }

    /// The rules that every order must keep.
    async fn check(&self, order: &impl KeyedOrder) -> Result<(), IdentityError> {
        order.check(&order.signed().verify(&self.stewards)?, self.clock.now())?;
        let approval = &order.signed().approval;
        self.vault.see_version(&approval.project, approval.version).await
    }

    /// Checks an order before any code of it is read.
    ///
    /// # Errors
    /// [`IdentityError`]: which rule refused.
    pub async fn accept<O: KeyedOrder>(&self, order: O) -> Result<AcceptedOrder<O>, IdentityError> {
        self.check(&order).await?;
        self.vault.is_open(&order).await?;
        Ok(AcceptedOrder { order })
    }

    /// Persons for the codes that a register node has sent for an order, and with `record_keys_of` their record
    /// keys in that data domain. Once an order: the run is then closed for that register, whether or not the
    /// answer arrives. Record keys are given in no other way: nobody gets them of persons whom no signed order
    /// concerns.
    ///
    /// # Errors
    /// [`IdentityError`]: which rule refused.
    pub async fn map_codes(
        &self,
        accepted: &AcceptedOrder<impl KeyedOrder>,
        codes: Vec<LinkageCode>,
        record_keys_of: Option<&DomainId>,
    ) -> Result<(Mapped, Zeroizing<Vec<RecordKey>>), IdentityError> {
        let order = accepted.order();
        // Its time may have passed while the codes came.
        self.check(order).await?;
        if codes.len() as u64 > order.most_codes().min(u64::from(u32::MAX >> 1)) {
            return Err(IdentityError::TooManyCodes);
        }
        let version = self.vault.close_run(order).await?;
        let key = self.key(order, version)?;
        tracing::info!(
            order = %logged(order.id()),
            run = %logged(order.run()),
            register = %logged(order.register()),
            "linkage codes derived"
        );
        let record_keys = record_keys_of.map(|domain| {
            tracing::info!(order = %logged(order.id()), run = %logged(order.run()), domain = %logged(domain), "record keys given");
            RecordKeys::new(&self.ring, domain.as_str())
        });
        let vault = Arc::clone(&self.vault);
        let work = tokio::task::spawn_blocking(move || {
            let mapped = codes::map(&vault, &vault.index(), &key, &codes)?;
            let keys = record_keys.map(|keys| keys.of_all(&mapped.persons)).unwrap_or_default();
            Ok::<_, IdentityError>((mapped, keys))
        });
        work.await.map_err(|_| IdentityError::Stopped)?
    }

    /// A ticket for the person with this identity number, whom a portal has authenticated. The look-up is recorded
    /// first. Somebody whom the vault does not know gets a ticket too.
    ///
    /// # Errors
    /// [`IdentityError`]; no ticket is given then.
    pub async fn open_ticket(&self, portal: Portal, number: Fnr) -> Result<Ticket, IdentityError> {
        let (index, now) = (self.vault.index(), self.clock.now());
        let sealed = self.vault.cipher().seal(&number);
        drop(number);
        let person = index.find(&sealed).and_then(|place| index.person_at(place));
        self.vault.record_look_up(person, &portal, now).await?;
        tracing::info!(portal = %logged(&portal.organisation), "a person was looked up for a portal");
        self.lock_tickets().open(person, portal, now, &*self.entropy)
    }

    /// Whom a portal's ticket stands for: `None` for somebody whom the vault does not know. The ticket is used up.
    ///
    /// # Errors
    /// [`IdentityError::Ticket`], whatever is wrong with it.
    pub fn redeem(&self, portal: &Portal, ticket: &Ticket) -> Result<Option<PersonNo>, IdentityError> {
        self.lock_tickets().redeem(ticket, portal, self.clock.now())
    }

    /// How the identity number of the person behind a portal's ticket was used. The ticket is used up.
    ///
    /// # Errors
    /// [`IdentityError::Ticket`], [`IdentityError::Vault`].
    pub async fn uses(&self, portal: &Portal, ticket: &Ticket) -> Result<IdentityUses, IdentityError> {
        let person = self.redeem(portal, ticket)?;
        Ok(self.vault.uses(person).await?)
    }

    /// Takes in what two stewards have ordered, with the persons that the gateway says it is about: one for a serial number,
    /// those whose numbers have the digest that was signed for the list of reservations.
    /// Their signatures are verified here, with the keys this service holds.
    ///
    /// # Errors
    /// [`IdentityError`]: which rule it breaks.
    pub async fn deposit_resolution(
        &self,
        statement: &ResolutionStatement,
        signatures: &[StewardSignature],
        persons: &[PersonNo],
    ) -> Result<(), IdentityError> {
        let now = self.clock.now();
        let resolution = statement.verify(signatures, &self.stewards)?;
        if !statement.is_open(now) {
            return Err(IdentityError::ResolutionStale);
        }
        self.vault.deposit(&resolution, persons, now).await?;
        tracing::info!(
            reason = statement.subject.reason(),
            persons = persons.len(),
            "a resolution waits for the second steward"
        );
        Ok(())
    }

    /// The identity numbers of the persons of a resolution, each one's newest first, for the steward who signed last. Once.
    ///
    /// # Errors
    /// [`IdentityError::Resolution`], whatever is wrong; [`IdentityError::Vault`].
    pub async fn collect_resolution(
        &self,
        steward: &Portal,
        statement: &Digest,
    ) -> Result<Vec<Fnr>, IdentityError> {
        let numbers = self.vault.collect(statement, steward, self.clock.now()).await?;
        tracing::info!(steward = %logged(&steward.organisation), "persons were named to a steward");
        Ok(numbers)
    }

    fn lock_tickets(&self) -> MutexGuard<'_, Tickets> {
        self.tickets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the order is for decides which key it is: no approval, signed when it may be, gives that of another use.
    fn key<O: KeyedOrder>(&self, order: &O, version: u32) -> Result<LinkageKey, IdentityError> {
        let root = self.ring.version(version).ok_or(IdentityError::RootDestroyed)?;
        Ok(root.linkage_key(O::KEY_USE, &order.signed().approval.project, order.run()))
    }
}
