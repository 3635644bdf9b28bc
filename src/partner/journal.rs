//! The partner's own record of the orders it saw: one JSON object a line, each with the digest of the line before it,
//! never an identity number.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::canonical::{Canonical, Digest};
use crate::domain::feed::{Feed, FeedOrder};
use crate::domain::ids::{DatasetId, OrderId, ProjectId, RunId};
use crate::domain::order::{KeyedOrder, LinkageOrder};

/// Why the journal is not written or not believed; the node then answers nothing.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// It cannot be read or written.
    #[error("the journal {path} cannot be read or written: {kind}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's word.
        kind: std::io::ErrorKind,
    },
    /// Another node writes it.
    #[error("another process writes the journal {0}")]
    InUse(PathBuf),
    /// A line is not what was written.
    #[error("line {line} of the journal {path} does not follow from the lines before it: {reason}")]
    Broken {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What does not fit.
        reason: &'static str,
    },
    /// It does not go on from where it was.
    #[error(
        "the journal {0} does not contain the line with the digest that it had before: lines have been cut off or replaced"
    )]
    Forked(PathBuf),
}

/// What became of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It came in; nothing has been read for it yet.
    Received {
        /// All of it, its approval and the stewards' signatures included, in its canonical encoding.
        ordered: Box<LinkageOrder>,
    },
    /// The order of a feed came in; no person has been named yet.
    FeedReceived {
        /// All of it, its approval and the stewards' signatures included, in its canonical encoding.
        ordered: Box<FeedOrder>,
    },
    /// The persons that the register holds were named by codes, and the feed of these was released.
    FeedTaken {
        /// How many numbers.
        persons: u64,
    },
    /// The stewards' signatures hold, on a higher version of the project's approval than was seen before.
    Verified,
    /// All rows were sent.
    Sent {
        /// How many.
        rows: u64,
        /// Left out: not an identity number.
        invalid_rows: u64,
        /// Left out: the date is none.
        undated_rows: u64,
        /// Left out: the person has not consented, or has opted out. It is told to nobody else.
        withheld_rows: u64,
    },
    /// It was refused.
    Declined {
        /// `policy`, `approval`, `source` or `key`.
        reason: String,
        /// A short fixed code: the one given, if the gateway was told.
        code: String,
        /// How many rows had been handed on by then; the gateway has dropped them.
        rows: u64,
    },
    /// It was not answered to the end.
    Failed {
        /// The gateway's code, or why.
        code: String,
        /// How many rows had been handed on by then; the gateway has dropped them.
        rows: u64,
    },
}

impl Outcome {
    /// The name it has in logs.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Received { .. } | Self::FeedReceived { .. } => "received",
            Self::FeedTaken { .. } => "taken",
            Self::Verified => "verified",
            Self::Sent { .. } => "sent",
            Self::Declined { .. } => "declined",
            Self::Failed { .. } => "failed",
        }
    }
}

/// A line of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalEntry {
    /// The digest of the line before, under the label `kpr/partner-journal/v1`; of the first one, zeros.
    pub previous: Digest,
    /// When.
    pub at: DateTime<Utc>,
    /// The order.
    pub order: OrderId,
    /// The digest of its canonical encoding.
    pub digest: Digest,
    /// Its run.
    pub run: RunId,
    /// The project.
    pub project: ProjectId,
    /// The version of the project's approval that it states.
    pub version: u32,
    /// The digest of that approval.
    pub approval: Digest,
    /// The dataset asked for.
    pub dataset: DatasetId,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// The digest that the first line follows.
const BEGINNING: Digest = Digest::from_bytes([0; 32]);
const LABEL: &str = "kpr/partner-journal/v1";

/// A journal whose lines all follow from each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedJournal {
    /// Its lines.
    pub entries: u64,
    /// The digest of the last one: who keeps it elsewhere can later see whether lines before it have been changed.
    pub head: Digest,
}

/// Reads a journal, gives each line to `each`, and checks that it follows from the lines before. With `known`, the head
/// of an earlier reading, that line must still be there. A last line without an end is being written, or was never
/// finished, and is left out; gives where it begins.
fn read(
    path: &Path,
    file: &File,
    known: Option<Digest>,
    each: &mut dyn FnMut(&JournalEntry),
) -> Result<(VerifiedJournal, u64), JournalError> {
    let mut verified = VerifiedJournal { entries: 0, head: BEGINNING };
    let mut found = known.is_none_or(|known| known == BEGINNING);
    let (mut reader, mut line, mut end) = (BufReader::new(file), Vec::new(), 0);
    loop {
        line.clear();
        let read = reader.read_until(b'\n', &mut line).map_err(|e| failed(path, e.kind()))?;
        let Some(text) = line.strip_suffix(b"\n") else { break };
        let broken =
            |reason| JournalError::Broken { path: path.to_owned(), line: verified.entries + 1, reason };
        let entry: JournalEntry =
            serde_json::from_slice(text).map_err(|_| broken("it is no line of a journal"))?;
        if entry.previous != verified.head {
            return Err(broken("it follows another line"));
        }
        let ordered = match &entry.outcome {
            Outcome::Received { ordered } => Some(ordered.digest()),
            Outcome::FeedReceived { ordered } => Some(ordered.digest()),
            _ => None,
        };
        if ordered.is_some_and(|digest| digest.ok() != Some(entry.digest)) {
            return Err(broken("it has another order than the digest it states"));
        }
        each(&entry);
        verified = VerifiedJournal { entries: verified.entries + 1, head: Digest::of_bytes(LABEL, text) };
        found |= known == Some(verified.head);
        end += read as u64;
    }
    if found { Ok((verified, end)) } else { Err(JournalError::Forked(path.to_owned())) }
}

fn failed(path: &Path, kind: std::io::ErrorKind) -> JournalError {
    JournalError::File { path: path.to_owned(), kind }
}

/// The journal, appended to.
pub struct Journal {
    path: PathBuf,
    state: Mutex<State>,
}

struct State {
    file: File,
    head: Digest,
    /// The highest version of each project's approval that was verified.
    versions: HashMap<ProjectId, u32>,
}

impl Journal {
    /// Opens the journal, or begins it; no other process writes it then. What is there is read and checked. A last
    /// line that was never finished is cut off: nothing was done upon it.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let system = |e: std::io::Error| failed(path, e.kind());
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)
            .map_err(system)?;
        let (mut head, mut versions) = (BEGINNING, HashMap::new());
        if file.metadata().map_err(system)?.is_file() {
            file.try_lock().map_err(|_| JournalError::InUse(path.to_owned()))?;
            let mut learn = |entry: &JournalEntry| {
                if entry.outcome == Outcome::Verified {
                    let highest = versions.entry(entry.project.clone()).or_insert(entry.version);
                    *highest = entry.version.max(*highest);
                }
            };
            let (verified, end) = read(path, &file, None, &mut learn)?;
            head = verified.head;
            if file.metadata().map_err(system)?.len() > end {
                tracing::warn!("the last line of the journal was not finished and is cut off");
                file.set_len(end).map_err(system)?;
            }
            file.seek(SeekFrom::Start(end)).map_err(system)?;
        }
        Ok(Self { path: path.to_owned(), state: Mutex::new(State { file, head, versions }) })
    }

    /// Reads a journal, also one that is being written, and checks it.
    ///
    /// # Errors
    /// [`JournalError`]: the first line that does not follow from those before it.
    pub fn verify(
        path: &Path,
        known: Option<Digest>,
        each: &mut dyn FnMut(&JournalEntry),
    ) -> Result<VerifiedJournal, JournalError> {
        let file = File::open(path).map_err(|e| failed(path, e.kind()))?;
        Ok(read(path, &file, known, each)?.0)
    }

    /// The highest version of a project's approval whose signatures have been verified here.
    pub(super) fn highest(&self, project: &ProjectId) -> Result<u32, JournalError> {
        Ok(self.lock()?.versions.get(project).copied().unwrap_or(0))
    }

    fn lock(&self) -> Result<MutexGuard<'_, State>, JournalError> {
        self.state.lock().map_err(|_| failed(&self.path, std::io::ErrorKind::Other))
    }

    /// Writes a line and waits until it is on disk.
    ///
    /// # Errors
    /// [`JournalError`].
    pub(super) fn write(
        &self,
        at: DateTime<Utc>,
        order: &LinkageOrder,
        outcome: Outcome,
    ) -> Result<(), JournalError> {
        self.append(at, order, order.dataset.clone(), outcome)
    }

    /// As [`Journal::write`], of the order of a feed.
    pub(super) fn write_feed(
        &self,
        at: DateTime<Utc>,
        order: &FeedOrder,
        outcome: Outcome,
    ) -> Result<(), JournalError> {
        // Whatever its approval says: also the order of a gateway that has been taken over is written down.
        let held = DatasetId::new(Feed::HELD_PERSONS);
        let held = held.map_err(|_| failed(&self.path, std::io::ErrorKind::InvalidData))?;
        self.append(at, order, held, outcome)
    }

    fn append(
        &self,
        at: DateTime<Utc>,
        order: &impl KeyedOrder,
        dataset: DatasetId,
        outcome: Outcome,
    ) -> Result<(), JournalError> {
        let failed = |kind| failed(&self.path, kind);
        let unreadable = |_| failed(std::io::ErrorKind::InvalidData);
        let approval = &order.signed().approval;
        let mut state = self.lock()?;
        let entry = JournalEntry {
            previous: state.head,
            at,
            order: order.id().clone(),
            digest: order.digest().map_err(unreadable)?,
            run: order.run().clone(),
            project: approval.project.clone(),
            version: approval.version,
            approval: approval.digest().map_err(unreadable)?,
            dataset,
            outcome,
        };
        let mut text = serde_json::to_vec(&entry).map_err(|_| failed(std::io::ErrorKind::InvalidData))?;
        let head = Digest::of_bytes(LABEL, &text);
        text.push(b'\n');
        let end = state.file.stream_position().ok();
        let written = state.file.write_all(&text).and_then(|()| state.file.sync_data());
        if let Err(error) = written {
            // A half line would make the next one unreadable.
            if let Some(end) = end {
                let back = state.file.set_len(end).and_then(|()| state.file.seek(SeekFrom::Start(end)));
                back.map_err(|e| failed(e.kind()))?;
            }
            return Err(failed(error.kind()));
        }
        state.head = head;
        if entry.outcome == Outcome::Verified {
            let highest = state.versions.entry(entry.project).or_insert(entry.version);
            *highest = entry.version.max(*highest);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::linkage::testing::{now, order};

    fn filled(path: &Path) -> Digest {
        let journal = Journal::open(path).unwrap();
        for number in 1..=3 {
            let mut order = order(number, TimeDelta::minutes(1));
            order.approval.approval.version = number.into();
            let ordered = Box::new(order.clone());
            journal.write(now(), &order, Outcome::Received { ordered }).unwrap();
            journal.write(now(), &order, Outcome::Verified).unwrap();
            journal.write(now(), &order, Outcome::Failed { code: "gateway.gone".into(), rows: 0 }).unwrap();
        }
        head(path).unwrap()
    }

    fn head(path: &Path) -> Result<Digest, JournalError> {
        Journal::verify(path, None, &mut |_| ()).map(|verified| verified.head)
    }

    #[test]
    fn every_change_of_a_line_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orders.jsonl");
        filled(&path);
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let write = |lines: &[&str]| std::fs::write(&path, lines.join("\n") + "\n").unwrap();
        for at in 0..lines.len() - 1 {
            // Another outcome or time, a line left out, two lines swapped, a line twice.
            let changed = lines[at].replacen("2026-03-02", "2026-03-03", 1);
            let mut all = lines.clone();
            all[at] = &changed;
            write(&all);
            assert!(matches!(head(&path), Err(JournalError::Broken { .. })), "changed {at}");
            let mut all = lines.clone();
            all.remove(at);
            write(&all);
            assert!(matches!(head(&path), Err(JournalError::Broken { .. })), "without {at}");
            let mut all = lines.clone();
            all.swap(at, at + 1);
            write(&all);
            assert!(matches!(head(&path), Err(JournalError::Broken { .. })), "swapped {at}");
            let mut all = lines.clone();
            all.insert(at, lines[at]);
            write(&all);
            assert!(matches!(head(&path), Err(JournalError::Broken { .. })), "doubled {at}");
            assert!(Journal::open(&path).is_err(), "a node starts on it");
        }
    }

    #[test]
    fn an_order_that_was_exchanged_is_seen_in_the_last_line_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orders.jsonl");
        let journal = Journal::open(&path).unwrap();
        let order = order(1, TimeDelta::minutes(1));
        journal.write(now(), &order, Outcome::Received { ordered: Box::new(order.clone()) }).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let forged = text.replacen("\"max_rows\":100", "\"max_rows\":101", 1);
        assert_ne!(forged, text);
        std::fs::write(&path, forged).unwrap();
        assert!(matches!(head(&path), Err(JournalError::Broken { line: 1, .. })));
    }

    #[test]
    fn lines_cut_off_are_seen_by_whoever_kept_the_head() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orders.jsonl");
        let kept = filled(&path);
        let text = std::fs::read_to_string(&path).unwrap();
        let last = text.trim_end().rfind('\n').unwrap();
        std::fs::write(&path, &text[..=last]).unwrap();
        assert!(head(&path).is_ok());
        let verified = Journal::verify(&path, Some(kept), &mut |_| ());
        assert!(matches!(verified, Err(JournalError::Forked(_))));
        std::fs::write(&path, &text).unwrap();
        let journal = Journal::open(&path).unwrap();
        let order = order(4, TimeDelta::minutes(1));
        journal.write(now(), &order, Outcome::Failed { code: "x".into(), rows: 0 }).unwrap();
        assert_eq!(Journal::verify(&path, Some(kept), &mut |_| ()).unwrap().entries, 10);
    }

    #[test]
    fn a_line_that_was_not_finished_is_cut_off_and_versions_are_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orders.jsonl");
        let kept = filled(&path);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, [whole.as_slice(), b"{\"previous\":\"00"].concat()).unwrap();
        assert_eq!(head(&path).unwrap(), kept);
        let journal = Journal::open(&path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), whole);
        let project = order(1, TimeDelta::minutes(1)).approval.approval.project;
        assert_eq!(journal.highest(&project).unwrap(), 3);
        assert!(matches!(Journal::open(&path), Err(JournalError::InUse(_))));
    }
}
