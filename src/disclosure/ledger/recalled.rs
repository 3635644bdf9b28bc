//! Earlier releases with who is in them, as a judgement needs them, and those that were needed lately.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use super::membership::Membership;
use super::release::Release;
use super::seal::SealingKey;
use crate::disclosure::protect::DisclosureError;
use crate::domain::canonical::Digest;
use crate::domain::ids::RunId;

/// An earlier release with who is in it. Good for being judged beside, and for nothing else.
///
/// ```compile_fail,E0599
/// fn read(recalled: &kpr::disclosure::Recalled) {
///     let _ = recalled.membership();
/// }
/// ```
#[derive(Clone)]
pub struct Recalled(Arc<Release>);

impl Recalled {
    pub(in crate::disclosure) fn new(release: Release) -> Self {
        Self(Arc::new(release))
    }

    pub(in crate::disclosure) fn release(&self) -> &Release {
        &self.0
    }
}

/// Releases that judgements needed lately, opened. Every judgement of a recipient needs the same ones.
pub struct Recollection {
    most_bytes: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    of: HashMap<RunId, Recalled>,
    /// The first to be opened first.
    order: VecDeque<RunId>,
    /// Of each set of persons one release that has it: it is kept once.
    populations: HashMap<Digest, RunId>,
    bytes: usize,
    /// How often all was forgotten.
    forgotten: u64,
}

impl Kept {
    fn drop_first(&mut self) {
        let Some((run, recalled)) = self.order.pop_front().and_then(|run| self.of.remove_entry(&run)) else {
            return;
        };
        let release = recalled.release();
        self.bytes -= release.bytes();
        let population = release.membership().population();
        if self.populations.get(&population) == Some(&run) {
            self.populations.remove(&population);
        }
    }
}

impl Recollection {
    /// Keeps as many as have room in so many bytes.
    #[must_use]
    pub fn new(most_bytes: usize) -> Self {
        Self { most_bytes, kept: Mutex::default() }
    }

    /// The release of a run, if it was needed lately.
    #[must_use]
    pub fn of(&self, run: &RunId) -> Option<Recalled> {
        self.kept().of.get(run).cloned()
    }

    /// How often all was forgotten. To be read before what the ledger keeps is.
    #[must_use]
    pub fn forgotten(&self) -> u64 {
        self.kept().forgotten
    }

    /// Opens what the ledger keeps of a run: its pattern and the sealed membership. It is not kept here if all was forgotten
    /// `since`.
    ///
    /// # Errors
    /// [`DisclosureError`] if it is another run's, or sealed under another secret.
    pub(in crate::disclosure) fn open_with(
        &self,
        run: &RunId,
        (pattern, sealed): (&[u8], &[u8]),
        key: &SealingKey,
        since: u64,
    ) -> Result<Recalled, DisclosureError> {
        let mut membership = Membership::decode(&key.open(run.as_str(), sealed)?)?;
        let population = membership.population();
        let mut kept = self.kept();
        if let Some(same) = kept.populations.get(&population).and_then(|run| kept.of.get(run)) {
            membership.share(same.release().membership());
        }
        drop(kept);
        let recalled = Recalled::new(Release::restore(membership, pattern)?);
        kept = self.kept();
        // Another judgement may have opened it meanwhile.
        if kept.forgotten != since || kept.of.contains_key(run) {
            return Ok(recalled);
        }
        kept.bytes += recalled.release().bytes();
        kept.of.insert(run.clone(), recalled.clone());
        kept.order.push_back(run.clone());
        kept.populations.entry(population).or_insert_with(|| run.clone());
        while kept.bytes > self.most_bytes {
            kept.drop_first();
        }
        Ok(recalled)
    }

    /// Forgets all: what the ledger may no longer keep must not be kept here.
    pub fn forget(&self) {
        let mut kept = self.kept();
        *kept = Kept { forgotten: kept.forgotten + 1, ..Kept::default() };
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disclosure::PatternKey;
    use crate::disclosure::ledger::MembershipBuilder;
    use crate::domain::ids::PersonNo;

    fn run(n: u8) -> RunId {
        RunId::new(format!("r-{}", format!("{n:02x}").repeat(16))).unwrap()
    }

    #[test]
    fn the_first_go_when_there_is_no_room_and_all_when_they_must() {
        let key = PatternKey::new([7; 32].into()).membership_key();
        let mut builder = MembershipBuilder::new(1);
        for person in 0..100 {
            builder.add(PersonNo(person), &[0]).unwrap();
        }
        let membership = builder.build().unwrap();
        let encoded = membership.encode().unwrap();
        let one = Release::new(membership, vec![false]).unwrap().bytes();
        let kept = Recollection::new(2 * one);
        for n in 0..3 {
            let sealed = key.seal(run(n).as_str(), &encoded).unwrap();
            assert!(kept.open_with(&run(9), (&[0], &sealed), &key, 0).is_err());
            // Twice, as two judgements at the same moment do.
            kept.open_with(&run(n), (&[0], &sealed), &key, 0).unwrap();
            kept.open_with(&run(n), (&[0], &sealed), &key, 0).unwrap();
        }
        assert!(kept.of(&run(0)).is_none());
        let (one, two) = (kept.of(&run(1)).unwrap(), kept.of(&run(2)).unwrap());
        assert!(one.release().membership().shares(two.release().membership()));
        kept.forget();
        assert!(kept.of(&run(2)).is_none());
        // What was read before is not kept after.
        let sealed = key.seal(run(2).as_str(), &encoded).unwrap();
        kept.open_with(&run(2), (&[0], &sealed), &key, 0).unwrap();
        assert!(kept.of(&run(2)).is_none());
        kept.open_with(&run(2), (&[0], &sealed), &key, kept.forgotten()).unwrap();
        assert!(kept.of(&run(2)).is_some());
    }
}
