//! A witness: it keeps the latest checkpoint of one log that it has seen, and cosigns a newer one only
//! against a proof that it extends the one kept. What it has signed is on disk before its signature leaves.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::clock::Clock;
use crate::domain::refusal::{Refusal, RefusalKind};

use super::cosignature::Cosigner;
use super::merkle::{Frontier, Hash};
use super::note::{Checkpoint, NoteError, NoteVerifier};
use super::proof;

/// Why a witness does not start or does not cosign.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    /// The checkpoint offered, or the one kept.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The proof does not start where the witness is.
    #[error("this witness holds a checkpoint of {held} entries; the proof must start there, not at {from}")]
    Elsewhere {
        /// Where it is.
        held: u64,
        /// Where the proof starts.
        from: u64,
    },
    /// The log has become shorter.
    #[error(
        "this witness holds a checkpoint of {held} entries and was offered one of {offered}: the log was cut"
    )]
    Shorter {
        /// Where it is.
        held: u64,
        /// What was offered.
        offered: u64,
    },
    /// The log is another than it was.
    #[error("the log of {offered} entries does not extend the one of {held} that this witness holds")]
    Fork {
        /// Where it is.
        held: u64,
        /// What was offered.
        offered: u64,
    },
    /// The file cannot be read or written.
    #[error("cannot {act} {path}: {source}")]
    State {
        /// What was to be done with it.
        act: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// Another process has the file.
    #[error("another witness is running on {0}")]
    InUse(PathBuf),
}

impl From<WitnessError> for Refusal {
    fn from(error: WitnessError) -> Self {
        let (kind, code) = match &error {
            WitnessError::Note(_) => (RefusalKind::Invalid, "witness.checkpoint"),
            WitnessError::Elsewhere { .. } => (RefusalKind::Conflict, "witness.elsewhere"),
            WitnessError::Shorter { .. } => (RefusalKind::Precondition, "witness.shorter"),
            WitnessError::Fork { .. } => (RefusalKind::Precondition, "witness.fork"),
            WitnessError::State { .. } | WitnessError::InUse(_) => {
                let hint = "the witness cannot keep the checkpoint, so it does not sign it";
                return Self::new(RefusalKind::Unavailable, "witness.state", hint);
            }
        };
        Self::new(kind, code, error.to_string())
    }
}

/// A witness of one log. Its state is a file with the note that it signed last, empty before the first.
pub struct Witness {
    log: NoteVerifier,
    cosigner: Cosigner,
    clock: Arc<dyn Clock>,
    path: PathBuf,
    held: Mutex<Held>,
    /// Locked for as long as the witness runs: two on one file could each sign another branch.
    _lock: File,
}

struct Held {
    note: String,
    size: u64,
    root: Hash,
}

impl Held {
    fn read(note: String, log: &NoteVerifier) -> Result<Self, NoteError> {
        let empty = || Checkpoint { origin: String::new(), size: 0, root: Frontier::default().root() };
        let Checkpoint { size, root, .. } = if note.is_empty() { empty() } else { log.open(&note)? };
        Ok(Self { note, size, root })
    }
}

impl Witness {
    /// Makes the empty file of a witness that has seen nothing yet. One that is there is never written over,
    /// since a witness that forgets would sign anything.
    ///
    /// # Errors
    /// [`WitnessError::State`].
    pub fn init(path: &Path) -> Result<(), WitnessError> {
        let made =
            OpenOptions::new().write(true).create_new(true).open(path).and_then(|file| file.sync_all());
        made.map_err(failed("make", path))
    }

    /// Opens the witness of `log` whose file is at `path`.
    ///
    /// # Errors
    /// [`WitnessError::State`], also where [`Witness::init`] has made no file; [`WitnessError::InUse`];
    /// [`WitnessError::Note`] if the file holds something else than a checkpoint of the log.
    pub fn open(
        path: &Path,
        log: NoteVerifier,
        cosigner: Cosigner,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, WitnessError> {
        let lock = path.with_extension("lock");
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&lock);
        let file = file.map_err(failed("open", &lock))?;
        file.try_lock().map_err(|_| WitnessError::InUse(path.to_owned()))?;
        let note = fs::read_to_string(path).map_err(failed("read", path))?;
        let held = Mutex::new(Held::read(note, &log)?);
        Ok(Self { log, cosigner, clock, path: path.to_owned(), held, _lock: file })
    }

    /// The note it holds, with its cosignature; nothing if it has seen no checkpoint yet.
    #[must_use]
    pub fn held(&self) -> Option<String> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        (!held.note.is_empty()).then(|| held.note.clone())
    }

    /// Cosigns a note of the log whose tree extends the one held, by a proof from there. Returns the
    /// cosignature's line. As C2SP tlog-witness has it for `add-checkpoint`.
    ///
    /// # Errors
    /// [`WitnessError`]; then nothing has been signed and what is held is as before.
    pub fn add(&self, from: u64, proof: &[Hash], note: &str) -> Result<String, WitnessError> {
        let (new, signature) = self.log.open_line(note)?;
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if new.size < held.size {
            return Err(WitnessError::Shorter { held: held.size, offered: new.size });
        }
        if from != held.size {
            return Err(WitnessError::Elsewhere { held: held.size, from });
        }
        if !proof::extends((held.size, &held.root), (new.size, &new.root), proof) {
            self.keep_evidence(note);
            return Err(WitnessError::Fork { held: held.size, offered: new.size });
        }
        // The text is written anew: what this witness signs are the three lines that it has understood.
        let text = new.text();
        if !note.starts_with(&format!("{text}\n")) {
            return Err(NoteError::Malformed.into());
        }
        let line = self.cosigner.line(&text, self.clock.now());
        let kept = format!("{text}\n{signature}\n{line}");
        replace(&self.path, &kept)?;
        *held = Held { note: kept, size: new.size, root: new.root };
        Ok(line)
    }

    /// Keeps the first checkpoint that contradicts the one held: with that it proves, by the log's own
    /// signatures, that there are two logs.
    fn keep_evidence(&self, note: &str) {
        let path = self.path.with_extension("fork");
        let written = OpenOptions::new().write(true).create_new(true).open(path);
        if written
            .and_then(|mut file| file.write_all(note.as_bytes()).and_then(|()| file.sync_all()))
            .is_err()
        {
            tracing::warn!(
                "a checkpoint that contradicts an earlier one could not be kept, or is not the first"
            );
        }
    }
}

fn failed(act: &'static str, path: &Path) -> impl FnOnce(io::Error) -> WitnessError {
    let path = path.to_owned();
    move |source| WitnessError::State { act, path, source }
}

/// Replaces a file so that after a crash it is the old one or the new one, whole.
fn replace(path: &Path, text: &str) -> Result<(), WitnessError> {
    let beside = path.with_extension("new");
    let written = File::create(&beside)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&beside, path))
        .and_then(|()| match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            Some(folder) => File::open(folder)?.sync_all(),
            None => File::open(".")?.sync_all(),
        });
    written.map_err(failed("write", path))
}

#[cfg(test)]
mod tests;
