//! The log towards its witnesses: each is given the latest checkpoint with a proof from the one that it
//! holds, and its cosignature is kept. What a witness holds is also what this log must extend.

use futures::future::BoxFuture;

use crate::domain::refusal::Refusal;

use super::cosignature::CosignatureVerifier;
use super::error::AuditError;
use super::log::{AuditLog, PAGE};
use super::merkle::{Frontier, Hash, leaf_hash};
use super::proof;

/// A way to a witness.
pub trait WitnessLink: Send + Sync {
    /// The note it holds, if it has seen any.
    fn held(&self) -> BoxFuture<'_, Result<Option<String>, Refusal>>;

    /// Offers it a note with a proof from the size it holds; gives its answer, a signature line.
    fn add<'a>(
        &'a self,
        from: u64,
        proof: &'a [Hash],
        note: &'a str,
    ) -> BoxFuture<'a, Result<String, Refusal>>;
}

/// What a witness and this log say to each other's checkpoints.
#[derive(Debug, thiserror::Error)]
pub enum Disagreement {
    /// It cannot be reached, or refuses.
    #[error("{0}")]
    Refused(Refusal),
    /// Its answer is not one of this witness.
    #[error("the answer {0}")]
    Answer(&'static str),
    /// It holds more than there is.
    #[error(
        "holds a checkpoint of {held} entries, signed by this log; the log in the database has {own}: it \
         was rolled back or cut"
    )]
    RolledBack {
        /// How many entries its checkpoint covers.
        held: u64,
        /// How many entries there are.
        own: u64,
    },
    /// It holds the checkpoint of another log under the same key.
    #[error(
        "holds another checkpoint of {held} entries, signed by this log: one of the two was tampered with"
    )]
    Forked {
        /// How many entries its checkpoint covers.
        held: u64,
    },
    /// This log cannot be read or written.
    #[error(transparent)]
    Log(#[from] AuditError),
}

impl Disagreement {
    /// Whether it shows that the log in the database is not the one that was signed.
    #[must_use]
    pub const fn is_tampering(&self) -> bool {
        matches!(self, Self::RolledBack { .. } | Self::Forked { .. })
    }
}

/// One witness of this log.
pub struct Witnessed {
    link: Box<dyn WitnessLink>,
    verifier: CosignatureVerifier,
    /// The tree that it holds, once that is known.
    seen: Option<Frontier>,
}

impl Witnessed {
    /// A witness with this key, to be reached over `link`.
    #[must_use]
    pub fn new(link: Box<dyn WitnessLink>, verifier: CosignatureVerifier) -> Self {
        Self { link, verifier, seen: None }
    }

    /// The witness's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.verifier.name()
    }

    /// Asks the witness what it holds, and compares it with the log.
    ///
    /// # Errors
    /// [`Disagreement`].
    pub async fn compare(&mut self, log: &AuditLog) -> Result<(), Disagreement> {
        self.meet(log).await.map(|_| ())
    }

    async fn meet(&mut self, log: &AuditLog) -> Result<Frontier, Disagreement> {
        let Some(note) = self.link.held().await.map_err(Disagreement::Refused)? else {
            return Ok(self.seen.insert(Frontier::default()).clone());
        };
        let wrong = |_| Disagreement::Answer("is not a checkpoint of this log");
        let held = log.verifier().open(&note).map_err(wrong)?;
        let own = log.verifier().open(&log.checkpoint(0).await?).map_err(wrong)?.size;
        if held.size > own {
            return Err(Disagreement::RolledBack { held: held.size, own });
        }
        let (frontier, _) = log.extension(&Frontier::default(), held.size).await?;
        if frontier.root() != held.root {
            return Err(Disagreement::Forked { held: held.size });
        }
        // A cosignature that was given but not kept, because the gateway stopped in between.
        if let Some((line, _)) = self.verifier.find(&note) {
            log.store.keep_cosignature(held.size, self.name(), line).await.map_err(AuditError::from)?;
        }
        Ok(self.seen.insert(frontier).clone())
    }

    /// Has the witness cosign the latest checkpoint, unless it has already. Gives the size it is at then.
    ///
    /// # Errors
    /// [`Disagreement`]; the next call begins by comparing.
    pub async fn cosign(&mut self, log: &AuditLog) -> Result<u64, Disagreement> {
        let seen = match self.seen.take() {
            Some(seen) => seen,
            None => self.meet(log).await?,
        };
        let note = log.checkpoint(0).await?;
        let latest =
            log.verifier().open(&note).map_err(|_| AuditError::Broken("its checkpoint is not its own"))?;
        if latest.size > seen.size() {
            let (frontier, proof) = log.extension(&seen, latest.size).await?;
            let line = self.link.add(seen.size(), &proof, &note).await.map_err(Disagreement::Refused)?;
            let signed = format!("{}\n{line}", latest.text());
            let (line, _) =
                self.verifier.find(&signed).ok_or(Disagreement::Answer("is not a cosignature by its key"))?;
            log.store.keep_cosignature(latest.size, self.name(), line).await.map_err(AuditError::from)?;
            self.seen = Some(frontier);
        } else {
            self.seen = Some(seen);
        }
        Ok(latest.size)
    }
}

impl AuditLog {
    /// The tree of the first `size` entries, and the proof that it extends `old`, a tree of this log. Reads
    /// the entries that `old` does not have.
    ///
    /// # Errors
    /// [`AuditError::Broken`] if there are not as many, [`AuditError::Store`].
    pub(super) async fn extension(
        &self,
        old: &Frontier,
        size: u64,
    ) -> Result<(Frontier, Vec<Hash>), AuditError> {
        let missing = AuditError::Broken("a leaf is missing");
        let Some(ranges) = proof::consistency(old.size(), size) else { return Err(missing) };
        let mut parts: Vec<_> = ranges.into_iter().map(|range| (range, Frontier::default())).collect();
        let mut tree = old.clone();
        while tree.size() < size {
            let most = u32::try_from(size - tree.size()).unwrap_or(PAGE).min(PAGE);
            let page = self.store.audit_leaves(tree.size(), most).await?;
            if page.is_empty() {
                return Err(missing);
            }
            for (_, leaf) in page {
                let hash = leaf_hash(&leaf);
                if let Some((_, part)) = parts.iter_mut().find(|(range, _)| range.contains(&tree.size())) {
                    part.add(hash);
                }
                tree.add(hash);
            }
        }
        let proof = parts.iter().map(|(range, part)| old.peak(range).unwrap_or_else(|| part.root()));
        Ok((tree, proof.collect()))
    }
}

#[cfg(test)]
mod tests;
