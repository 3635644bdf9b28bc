//! The log: events become leaves, each in one transaction with the checkpoint that covers it and with
//! whatever change of control data it records.

use std::path::Path;
use std::sync::Arc;

use chrono::NaiveDate;
use tokio::sync::{Mutex, MutexGuard};

use crate::domain::answer::LogEntry;
use crate::domain::canonical::Canonical;
use crate::domain::clock::{Clock, Entropy};
use crate::store::{BudgetLease, Store, Write};

use super::entered::EnteredCheck;
use super::error::AuditError;
use super::event::Entry;
use super::export::Export;
use super::leaf::Leaf;
use super::merkle::{Frontier, leaf_hash};
use super::note::{Checkpoint, NoteSigner, NoteVerifier};

/// How many leaves are read at a time.
pub(super) const PAGE: u32 = 4096;

/// The audit log of one gateway process.
pub struct AuditLog {
    pub(super) store: Store,
    pub(super) clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    signer: NoteSigner,
    /// Appends go one after the other. The head's row lock would see to that too; waiting here keeps
    /// database connections free.
    gate: Mutex<()>,
}

/// A change of control data and the event that records it, in one transaction. Dropped without
/// [`Recording::commit`], it leaves nothing behind.
pub struct Recording<'a> {
    log: &'a AuditLog,
    write: Write,
    _turn: MutexGuard<'a, ()>,
}

impl AuditLog {
    /// Opens the log in `store` after checking that it is the one last signed: every leaf is hashed and
    /// the root compared with the latest checkpoint. On the way the overview of disclosures is held against it.
    ///
    /// # Errors
    /// [`AuditError::Broken`] if leaves, head or checkpoint do not belong together or another key signed;
    /// [`AuditError::Overview`] if the overview is not what the log says was entered; [`AuditError::Store`].
    pub async fn open(
        store: Store,
        signer: NoteSigner,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, AuditError> {
        let log = Self { store, clock, entropy, signer, gate: Mutex::new(()) };
        log.check().await?;
        Ok(log)
    }

    async fn check(&self) -> Result<(), AuditError> {
        let mut frontier = Frontier::default();
        // What the overview lacks is told once it is known that the leaves are those that were signed.
        let mut overview = Ok(EnteredCheck::default());
        loop {
            let (from, mut leaves) = (frontier.size(), Vec::new());
            for (index, leaf) in self.store.audit_leaves(from, PAGE).await? {
                if index != frontier.size() {
                    return Err(AuditError::Broken("a leaf is missing"));
                }
                frontier.add(leaf_hash(&leaf));
                leaves.push(leaf);
            }
            if leaves.is_empty() {
                break;
            }
            if let Ok(mut entered) = overview {
                overview = entered.page(&self.store, from, &leaves).await.map(|()| entered);
            }
        }
        self.is_signed(&frontier).await?;
        overview?.end(&self.store, frontier.size(), self.clock.today()).await
    }

    /// Whether the leaves are those of the head and of the latest checkpoint.
    async fn is_signed(&self, frontier: &Frontier) -> Result<(), AuditError> {
        let head = self.store.write().await?.audit_head().await?;
        if Frontier::restore(head.size, &head.frontier).as_ref() != Some(frontier) {
            return Err(AuditError::Broken("the leaves are not those that the head was made of"));
        }
        match self.store.audit_checkpoint(0).await? {
            None if frontier.size() == 0 => Ok(()),
            None => Err(AuditError::Broken("there are leaves but no checkpoint")),
            Some(note) => {
                let latest = self.verifier().open(&note).map_err(|_| {
                    AuditError::Broken("the latest checkpoint is not signed by this log's key")
                })?;
                let held = Checkpoint {
                    origin: self.signer.name().to_owned(),
                    size: frontier.size(),
                    root: frontier.root(),
                };
                if latest == held {
                    Ok(())
                } else {
                    Err(AuditError::Broken("the leaves are not those of the latest checkpoint"))
                }
            }
        }
    }

    /// Begins a change that is to be recorded.
    ///
    /// # Errors
    /// [`AuditError::Store`].
    pub async fn begin(&self) -> Result<Recording<'_>, AuditError> {
        let turn = self.gate.lock().await;
        Ok(Recording { log: self, write: self.store.write().await?, _turn: turn })
    }

    /// Records an event that changes nothing else. Returns its index once it is durable.
    ///
    /// # Errors
    /// [`AuditError`]; then nothing is recorded.
    pub async fn append(&self, entry: Entry) -> Result<u64, AuditError> {
        self.begin().await?.commit(entry).await
    }

    /// The key that verifies this log, as text.
    #[must_use]
    pub fn verifier_key(&self) -> String {
        self.signer.verifier().to_string()
    }

    /// The half of its key that verifies.
    pub(super) fn verifier(&self) -> NoteVerifier {
        self.signer.verifier()
    }

    /// The latest signed checkpoint that has at least so many witnesses' cosignatures, with them.
    ///
    /// # Errors
    /// [`AuditError::NotWitnessed`], [`AuditError::Store`].
    pub async fn checkpoint(&self, cosignatures: u32) -> Result<String, AuditError> {
        match self.store.audit_checkpoint(cosignatures).await? {
            Some(note) => Ok(note),
            None if cosignatures == 0 => Ok(self.signer.sign(0, Frontier::default().root())),
            None => Err(AuditError::NotWitnessed(cosignatures)),
        }
    }

    /// At most `most` entries from the index `from` on.
    ///
    /// # Errors
    /// [`AuditError::Store`].
    pub async fn entries(&self, from: u64, most: u32) -> Result<Vec<LogEntry>, AuditError> {
        let leaves = self.store.audit_leaves(from, most).await?;
        Ok(leaves.into_iter().map(|(index, leaf)| LogEntry { index, leaf }).collect())
    }

    /// Writes the log as it stands into an empty folder, for [`super::verify()`] and other tools.
    ///
    /// # Errors
    /// [`AuditError::Export`], [`AuditError::Store`].
    pub async fn export(&self, dir: &Path) -> Result<(), AuditError> {
        let note = self.checkpoint(0).await?;
        let size = self.verifier().open(&note).map_err(|_| AuditError::Broken("the checkpoint"))?.size;
        let mut export = Export::create(dir)?;
        while export.size() < size {
            let most = u32::try_from(size - export.size()).unwrap_or(PAGE).min(PAGE);
            let page = self.store.audit_leaves(export.size(), most).await?;
            if page.is_empty() {
                return Err(AuditError::Broken("a leaf is missing"));
            }
            for (_, leaf) in page {
                export.add(&leaf)?;
            }
        }
        Ok(export.finish(&note)?)
    }
}

impl Recording<'_> {
    /// The transaction, for the change that the event records.
    pub const fn write(&mut self) -> &mut Write {
        &mut self.write
    }

    /// Records the event and makes it durable together with the change. Returns its index.
    ///
    /// # Errors
    /// [`AuditError`]; then neither event nor change is kept.
    pub async fn commit(mut self, entry: Entry) -> Result<u64, AuditError> {
        let index = self.add(entry).await?;
        self.finish().await?;
        Ok(index)
    }

    /// Records the event and makes it durable together with the reservation of a privacy budget that was made in the
    /// transaction. Gives the lease.
    ///
    /// # Errors
    /// [`AuditError`]; then neither event nor reservation is kept.
    pub async fn commit_lease(mut self, entry: Entry) -> Result<BudgetLease, AuditError> {
        self.add(entry).await?;
        Ok(self.write.commit_lease().await?)
    }

    /// Adds the leaf of an event and the checkpoint that covers it, durable with [`Recording::commit`]. Returns its
    /// index.
    ///
    /// # Errors
    /// [`AuditError`]; then nothing of the recording is kept.
    pub async fn add(&mut self, entry: Entry) -> Result<u64, AuditError> {
        Ok(self.add_today(entry).await?.0)
    }

    /// As [`Recording::add`]. Returns the day too that the leaf is of.
    ///
    /// # Errors
    /// [`AuditError`]; then nothing of the recording is kept.
    pub(super) async fn add_today(&mut self, entry: Entry) -> Result<(u64, NaiveDate), AuditError> {
        let mut salt = [0; 32];
        self.log.entropy.fill(&mut salt)?;
        let now = self.log.clock.now();
        let (leaf, detail) = Leaf::new(entry, now, salt)?;
        let bytes = leaf.canonical()?;
        if bytes.len() > usize::from(u16::MAX) {
            return Err(AuditError::TooLarge);
        }
        let head = self.write.audit_head().await?;
        let mut frontier = Frontier::restore(head.size, &head.frontier)
            .ok_or(AuditError::Broken("the head is not one of a tree"))?;
        let index = frontier.size();
        frontier.add(leaf_hash(&bytes));
        self.write.insert_audit_leaf(index, &bytes, Some(&detail)).await?;
        self.write.set_audit_head(frontier.size(), &frontier.peaks()).await?;
        let note = self.log.signer.sign(frontier.size(), frontier.root());
        self.write.insert_audit_checkpoint(frontier.size(), &note).await?;
        Ok((index, now.date_naive()))
    }

    /// Makes everything durable.
    pub(super) async fn finish(self) -> Result<(), AuditError> {
        Ok(self.write.commit().await?)
    }
}
