//! A register takes its feed: it names the persons it holds by codes, and writes what it is given beside its own data.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use futures::TryStreamExt;

use super::approvals;
use super::feed_error::FeedError;
use super::feed_files::{self, Pending};
use super::journal::{Journal, Outcome};
use super::links::{FeedDesk, FeedKeySource, PeerFault};
use super::lists::ListError;
use super::policy::PartnerPolicy;
use super::source::Source;
use crate::domain::approval::{StewardKey, VerifiedApproval};
use crate::domain::canonical::Canonical;
use crate::domain::clock::Clock;
use crate::domain::feed::FeedOrder;
use crate::domain::feed_data::{FeedCode, FeedData, FeedTaken};
use crate::domain::ids::{ProjectId, RegisterId, RunId, eleven_digits};
use crate::domain::order::KeyedOrder;
use crate::domain::refusal::RefusalKind;
use crate::identity::{Fnr, LinkageKey};
use crate::linkage::LinkageCode;

/// What a feed has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedProgress {
    /// So many persons have been read and coded.
    Coding(u64),
    /// The gateway has their codes and makes the feed.
    Waiting,
    /// The feed is being fetched.
    Fetching,
}

/// A feed that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedReport {
    /// Its run.
    pub run: RunId,
    /// The folder that its files are in.
    pub folder: PathBuf,
    /// How many numbers were named; none where an earlier feed was only fetched again.
    pub named: Option<u64>,
    /// How many of these the identity service does not know.
    pub unknown: Option<u64>,
    /// Numbers left out: not identity numbers.
    pub invalid: u64,
    /// The datasets, with their rows.
    pub rows: Vec<(String, usize)>,
    /// The last day on which it can be fetched again.
    pub kept: Option<NaiveDate>,
}

/// A register that takes its feed.
pub struct FeedTaker {
    /// The register.
    pub register: RegisterId,
    /// The stewards whose signatures it accepts.
    pub stewards: Vec<StewardKey>,
    /// Its own rules.
    pub policy: PartnerPolicy,
    /// Its database.
    pub source: Source,
    /// The gateway.
    pub gateway: Arc<dyn FeedDesk>,
    /// The identity service.
    pub keys: Arc<dyn FeedKeySource>,
    /// Its journal of feeds.
    pub journal: Journal,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// The register's own keys, by the codes that stand for them in this run.
type Keys = BTreeMap<LinkageCode, String>;

impl FeedTaker {
    /// Takes the feed of a project, or fetches the one that was broken off, and writes it into a folder of its own under
    /// `out`.
    ///
    /// # Errors
    /// [`FeedError`]. What was released already is fetched the next time.
    pub async fn take(
        &self,
        project: &ProjectId,
        out: &Path,
        progress: &dyn Fn(FeedProgress),
    ) -> Result<FeedReport, FeedError> {
        if let Some(pending) = feed_files::pending(out, project)? {
            match self.finish(project, &pending, None, out, progress).await {
                Err(FeedError::Peer(fault)) => match left(&fault, pending.until, self.clock.now()) {
                    Left::Nothing => feed_files::forget(out, project)?,
                    Left::Unsettled => return Err(FeedError::Unsettled { until: pending.until }),
                    Left::Kept => return Err(fault.into()),
                },
                ended => return ended,
            }
        }
        let session = self.gateway.begin(project).await?;
        let order = session.order().clone();
        self.journal.write_feed(
            self.clock.now(),
            &order,
            Outcome::FeedReceived { ordered: Box::new(order.clone()) },
        )?;
        let coded = match self.code(&order, project, progress).await {
            Ok(coded) => coded,
            Err(error) => return self.ended(&order, error),
        };
        let (keys, invalid) = coded;
        let named = keys.len() as u64;
        let codes: Vec<LinkageCode> = keys.keys().copied().collect();
        // Before the codes go: whoever is cut off can still tell whose the rows are.
        let until = self.clock.now() + (order.expires - order.issued) + MARGIN;
        let pending = match feed_files::keep(out, project, &order.run, until, &keys) {
            Ok(pending) => pending,
            Err(error) => return self.ended(&order, error),
        };
        progress(FeedProgress::Waiting);
        let taken = match session.name(codes).await {
            Ok(taken) => taken,
            Err(fault) => {
                // The gateway has decided: there is nothing to fetch.
                let decided = is_decided(&fault);
                let ended = self.ended(&order, fault.into());
                if decided {
                    feed_files::forget(out, project)?;
                }
                return ended;
            }
        };
        self.journal.write_feed(self.clock.now(), &order, Outcome::FeedTaken { persons: named })?;
        let mut report = self.finish(project, &pending, Some(&taken), out, progress).await?;
        report.named = Some(named);
        report.unknown = Some(taken.unknown);
        report.invalid = invalid;
        report.kept = Some(taken.kept);
        Ok(report)
    }

    /// Writes down why an order ended, if that can be written, and gives the reason back.
    fn ended<T>(&self, order: &FeedOrder, error: FeedError) -> Result<T, FeedError> {
        if let Err(journal) = self.journal.write_feed(self.clock.now(), order, error.outcome()) {
            tracing::error!(error = %journal, "the journal cannot be written");
        }
        Err(error)
    }

    /// Checks an order, and codes the persons whom the register holds and may have linked. Gives how many numbers are none.
    async fn code(
        &self,
        order: &FeedOrder,
        project: &ProjectId,
        progress: &dyn Fn(FeedProgress),
    ) -> Result<(Keys, u64), FeedError> {
        let approval = self.accept(order, project)?;
        let table = self.policy.feed(approval.approval())?;
        self.approved(&approval).await?;
        let standing =
            self.source.standing(self.policy.persons(), approval.approval(), self.clock.today()).await;
        let standing = standing.map_err(|error: ListError| FeedError::List(error.to_string()))?;
        let key: LinkageKey = self.keys.feed_key(order).await.map_err(FeedError::NoLinkageKey)?;
        let mut coder = key.coder();
        drop(key);
        let (mut keys, mut invalid, mut read) = (Keys::new(), 0, 0_u64);
        let mut held = self.source.held(table);
        while let Some(person) = held.try_next().await? {
            read += 1;
            progress(FeedProgress::Coding(read));
            let number = person.number.as_ref().and_then(|text| Fnr::parse(text.as_bytes()).ok());
            let (Some(number), Some(key)) = (number, person.key) else {
                invalid += 1;
                continue;
            };
            if may_be_number(&key) {
                return Err(FeedError::Key);
            }
            if standing.sends(&number) {
                keys.insert(coder.code(&number), key);
            }
        }
        drop(coder);
        // Asked for again, as before every batch of rows: it may have been withdrawn meanwhile.
        self.approved(&approval).await?;
        Ok((keys, invalid))
    }

    /// The stewards' signatures, the order against what they signed, and whether a newer version is known.
    fn accept(&self, order: &FeedOrder, project: &ProjectId) -> Result<VerifiedApproval, FeedError> {
        if order.register != self.register || order.approval.approval.project != *project {
            return Err(FeedError::OtherOrder);
        }
        let approval = order.approval.verify(&self.stewards).map_err(|_| FeedError::Signatures)?;
        order.check(&approval, self.clock.now())?;
        let (version, highest) = (approval.approval().version, self.journal.highest(project)?);
        if version < highest {
            return Err(FeedError::Superseded { version, highest });
        }
        if version > highest {
            self.journal.write_feed(self.clock.now(), order, Outcome::Verified)?;
        }
        Ok(approval)
    }

    /// Whether the register itself approves the project, at this moment.
    async fn approved(&self, approval: &VerifiedApproval) -> Result<(), FeedError> {
        let act = self.source.last_act(&approval.approval().project).await?;
        Ok(approvals::stands(act.as_ref(), approval, self.clock.today())?)
    }

    /// Fetches a released feed and writes it under the register's own keys. It must be the one that was `taken`, where
    /// this call has heard which that is.
    async fn finish(
        &self,
        project: &ProjectId,
        pending: &Pending,
        taken: Option<&FeedTaken>,
        out: &Path,
        progress: &dyn Fn(FeedProgress),
    ) -> Result<FeedReport, FeedError> {
        progress(FeedProgress::Fetching);
        let feed: FeedData = self.gateway.fetch(&pending.run).await?;
        if feed.run != pending.run || feed.project != *project || feed.register != self.register {
            return Err(FeedError::OtherFeed);
        }
        if let Some(taken) = taken
            && (taken.run != feed.run || feed.digest().ok() != Some(taken.digest))
        {
            return Err(FeedError::OtherFeed);
        }
        let key_of = |code: &FeedCode| pending.keys.get(code).map(String::as_str);
        let folder = feed_files::write(out, &feed, &key_of)?;
        feed_files::forget(out, project)?;
        let rows = feed.datasets.iter().map(|d| (d.dataset.to_string(), d.rows.len())).collect();
        Ok(FeedReport { run: feed.run, folder, named: None, unknown: None, invalid: 0, rows, kept: None })
    }
}

/// Whether a key of the register's could be an identity number, also one written in groups of digits.
fn may_be_number(key: &str) -> bool {
    eleven_digits(&key.replace(|c: char| !c.is_alphanumeric(), ""))
}

/// How much longer than its order holds a run is waited for: the gateway looks at the order before it records the run.
const MARGIN: TimeDelta = TimeDelta::seconds(30);

/// What the gateway says of a run that released nothing and never will, or whose feed it has erased.
const ENDED: [&str; 2] = ["feed.not_released", "result.expired"];

/// What is left of a feed that was broken off and could not be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    /// There is nothing to fetch, nor will there be: it is taken anew.
    Nothing,
    /// The gateway does not know the run, and may have its codes: it is asked again later.
    Unsettled,
    /// It was refused now, or not answered, or is under way: it is asked again later.
    Kept,
}

/// What is left at the time `now` of a feed whose order can begin a run until `until`, by what the gateway says of it.
fn left(fault: &PeerFault, until: DateTime<Utc>, now: DateTime<Utc>) -> Left {
    match fault.code.as_str() {
        code if ENDED.contains(&code) => Left::Nothing,
        "feed.unknown" if now > until => Left::Nothing,
        "feed.unknown" => Left::Unsettled,
        _ => Left::Kept,
    }
}

/// Whether a fault is the gateway's word that it does not release the feed: not a connection that was lost, nor a fault
/// of its own, after which it may have been released.
fn is_decided(fault: &PeerFault) -> bool {
    let decided = matches!(
        fault.kind,
        RefusalKind::Denied | RefusalKind::Conflict | RefusalKind::Precondition | RefusalKind::Limit
    );
    decided && fault.code != "peer.answer"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(kind: RefusalKind, code: &str) -> PeerFault {
        PeerFault { kind, code: code.to_owned(), hint: String::new() }
    }

    #[test]
    fn a_key_that_may_be_an_identity_number_is_none() {
        for key in ["01017012345", "010170 12345", "010170-12345", "p 01.01.70 12345", "2024/000123/45678"] {
            assert!(may_be_number(key), "{key}");
        }
        for key in ["", "4711", "2024-000123", "a1b2c3d4e5f60718"] {
            assert!(!may_be_number(key), "{key}");
        }
    }

    #[test]
    fn what_may_still_be_released_is_not_forgotten() {
        let until: DateTime<Utc> = "2026-03-02T12:00:00Z".parse().unwrap();
        let (before, after) = (until - TimeDelta::seconds(1), until + TimeDelta::seconds(1));
        let said = |kind, code, now| left(&fault(kind, code), until, now);
        assert_eq!(said(RefusalKind::NotFound, "feed.unknown", before), Left::Unsettled);
        assert_eq!(said(RefusalKind::NotFound, "feed.unknown", after), Left::Nothing);
        for code in ENDED {
            assert_eq!(said(RefusalKind::Precondition, code, before), Left::Nothing);
        }
        for (kind, code) in [
            (RefusalKind::Unavailable, "feed.under_way"),
            (RefusalKind::Unavailable, "peer.connection"),
            (RefusalKind::Internal, "store.unavailable"),
            (RefusalKind::Precondition, "project.suspended"),
        ] {
            assert_eq!(said(kind, code, after), Left::Kept, "{code}");
        }
    }

    #[test]
    fn only_a_decision_of_the_gateways_ends_a_feed_whose_codes_went() {
        assert!(is_decided(&fault(RefusalKind::Precondition, "rule.feed_and_results")));
        for (kind, code) in [
            (RefusalKind::Unavailable, "feed.stopped"),
            (RefusalKind::Unavailable, "peer.connection"),
            (RefusalKind::Internal, "store.unavailable"),
            (RefusalKind::Denied, "peer.answer"),
        ] {
            assert!(!is_decided(&fault(kind, code)), "{code}");
        }
    }
}
