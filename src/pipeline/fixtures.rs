//! A gateway over an empty register, for tests of what it decides before it reads data.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use ed25519_dalek::SigningKey;
use futures::FutureExt;
use futures::future::BoxFuture;

use super::*;
use crate::audit::note::NoteSigner;
use crate::authorise::Role;
use crate::authorise::fixtures::{RECIPIENT, name, policies, stewards};
use crate::domain::approval::StewardSignature;
use crate::domain::clock::FixedClock;
use crate::domain::cost::Rates;
use crate::domain::feed::FeedOrder;
use crate::domain::ids::{DomainId, PersonNo};
use crate::domain::order::LinkageOrder;
use crate::domain::person::{Portal, Ticket};
use crate::domain::resolution::ResolutionStatement;
use crate::linkage::{
    DeskLimits, FeedMapper, LinkageCode, LinkageError, MappedCodes, OrderDesk, RegisteredPerson,
    ResolutionDesk,
};
use crate::store::fixtures::now;

/// Different bytes every time.
struct Counting(AtomicU64);

impl Entropy for Counting {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        let number = self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        // Mixed well, since ids are drawn until one has no long run of digits.
        let mixed = Digest::of_bytes("kpr/test", &number);
        bytes.iter_mut().zip(mixed.as_bytes().iter().cycle()).for_each(|(byte, of)| *byte = *of);
        Ok(())
    }
}

/// An identity service that is not there. No action here gets as far.
struct Nobody;

impl CodeMapper for Nobody {
    fn map<'a>(
        &'a self,
        _: &'a LinkageOrder,
        _: &'a [LinkageCode],
        _: Option<&'a DomainId>,
    ) -> BoxFuture<'a, Result<MappedCodes, LinkageError>> {
        async { Err(LinkageError::UnknownOrder) }.boxed()
    }
}

impl FeedMapper for Nobody {
    fn map_feed<'a>(
        &'a self,
        _: &'a FeedOrder,
        _: &'a [LinkageCode],
    ) -> BoxFuture<'a, Result<MappedCodes, LinkageError>> {
        async { Err(LinkageError::UnknownOrder) }.boxed()
    }
}

impl TicketDesk for Nobody {
    fn redeem<'a>(
        &'a self,
        _: &'a Portal,
        _: &'a Ticket,
    ) -> BoxFuture<'a, Result<Option<RegisteredPerson>, Refusal>> {
        async { Err(not_submitted()) }.boxed()
    }
}

impl ResolutionDesk for Nobody {
    fn deposit<'a>(
        &'a self,
        _: &'a ResolutionStatement,
        _: &'a [StewardSignature],
        _: &'a [PersonNo],
    ) -> BoxFuture<'a, Result<(), Refusal>> {
        async { Err(not_submitted()) }.boxed()
    }
}

/// A gateway over an empty register.
pub(super) async fn gateway(folder: &Path) -> Gateway {
    let clock: Arc<dyn Clock> = Arc::new(FixedClock(now()));
    let entropy: Arc<dyn Entropy> = Arc::new(Counting(AtomicU64::new(0)));
    let store = Store::open(&format!("sqlite://{}", folder.join("control.db").display())).await.unwrap();
    let signer = NoteSigner::new("kpr.example/audit", SigningKey::from_bytes(&[7; 32])).unwrap();
    let log = AuditLog::open(store.clone(), signer, Arc::clone(&clock), Arc::clone(&entropy));
    let own = Caller::from_certificate(name(RECIPIENT), Role::Gateway, "gateway".to_owned());
    Gateway {
        audit: log.await.unwrap(),
        store,
        policies: PoliciesInForce::new(policies()),
        catalogue: Catalogue::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("policies")).unwrap(),
        partners: Arc::new(OrderDesk::new(Arc::clone(&clock), DeskLimits::default())),
        mapper: Arc::new(Nobody),
        feeds: Arc::new(Nobody),
        feed_turns: FeedTurns::default(),
        tickets: Arc::new(Nobody),
        resolutions: Arc::new(Nobody),
        engine: Engine::new(64, &folder.join("scratch"), std::num::NonZeroUsize::MIN).unwrap(),
        register: folder.join("register"),
        pattern_key: PatternKey::new([7; 32].into()),
        recollection: Recollection::new(0),
        persons_key: PersonsKey::new(&[7; 32].into()),
        senders: BTreeMap::new(),
        retention: Retention::default(),
        stewards: stewards().map(|(_, public)| public).into(),
        actor: actor(&own),
        order_lifetime: TimeDelta::seconds(60),
        clock,
        entropy,
        ticks: watch::Sender::new(0),
        slots: Semaphore::new(MOST_RUNS),
        erasing: tokio::sync::Mutex::default(),
        running: Mutex::new(JoinSet::new()),
        meter: Meter::default(),
        rates: Some(Rates { ore_an_hour: 100_000, ore_a_machine_hour: 1000 }),
    }
}
