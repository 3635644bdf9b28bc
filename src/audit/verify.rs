//! Verifying an exported log offline, with the log's public key alone.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use crate::domain::canonical::Canonical;

use super::leaf::Leaf;
use super::merkle::{Hash, leaf_hash};
use super::note::{NoteError, NoteVerifier};
use super::tiles::{Tiles, WIDTH, bundle_path, entries};

/// What is wrong with an exported log.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The key or the checkpoint is not good.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// Entries that the checkpoint covers are not there.
    #[error("the checkpoint covers {size} entries, but entries {from} to {to} are missing ({path})")]
    Missing {
        /// How many entries the checkpoint covers.
        size: u64,
        /// The first missing entry.
        from: u64,
        /// The last entry of the missing file.
        to: u64,
        /// The file.
        path: String,
    },
    /// A bundle does not hold the entries it should.
    #[error("{path} must hold {wanted} whole entries and does not")]
    Bundle {
        /// The file.
        path: String,
        /// How many entries it should hold.
        wanted: usize,
    },
    /// An entry is not the one that was logged.
    #[error("entry {0} is not the one that was logged: its hash is not the one in the tree")]
    Entry(u64),
    /// The entries are not those that the checkpoint was made of.
    #[error(
        "the {size} entries are not those that the checkpoint was signed over: one or more of them were \
         changed, dropped, added or put in another order"
    )]
    Root {
        /// How many entries there are.
        size: u64,
    },
    /// The entries hold, but a hash tile beside them does not.
    #[error("the entries hold, but the hash tile {0} is not that of this tree")]
    Tile(String),
    /// An entry that the log did sign is not an event.
    #[error("entry {0} is not an event as this log writes them")]
    NotAnEvent(u64),
}

/// A log that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The log's name.
    pub origin: String,
    /// How many entries it has.
    pub size: u64,
    /// The root of the tree.
    pub root: Hash,
    /// How many events there are of each type, by the type's number.
    pub events: BTreeMap<u16, u64>,
    /// The times of the first and the last event.
    pub span: Option<(DateTime<Utc>, DateTime<Utc>)>,
}

impl Verified {
    /// The name of an event type.
    #[must_use]
    pub fn event_name(number: u16) -> &'static str {
        super::event::type_name(number).unwrap_or("unknown to this version")
    }
}

/// Verifies the log in `dir` against the verifier key in text: the signature and name of its checkpoint,
/// and the root over its entries, which covers their number, content and order.
///
/// # Errors
/// [`VerifyError`], the first thing that is wrong.
pub fn verify(dir: &Path, key: &str) -> Result<Verified, VerifyError> {
    let verifier: NoteVerifier = key.parse()?;
    let path = dir.join("checkpoint");
    let note = fs::read_to_string(&path).map_err(|source| VerifyError::Read { path, source })?;
    let checkpoint = verifier.open(&note)?;
    let mut reader = Reader { dir, tiles: Tiles::default(), wrong_tile: None };
    let mut events = BTreeMap::new();
    let mut span: Option<(DateTime<Utc>, DateTime<Utc>)> = None;
    let mut not_an_event = None;
    while reader.tiles.frontier().size() < checkpoint.size {
        for (index, entry) in reader.bundle(checkpoint.size)? {
            match Leaf::from_canonical(&entry) {
                Ok(leaf) => {
                    *events.entry(leaf.kind).or_default() += 1;
                    span = Some((span.map_or(leaf.time, |(first, _)| first), leaf.time));
                }
                Err(_) => not_an_event = not_an_event.or(Some(index)),
            }
        }
    }
    let (size, root) = (reader.tiles.frontier().size(), reader.tiles.frontier().root());
    let wrong_tile = reader.finish()?;
    if root != checkpoint.root {
        return Err(located(dir, size)?.map_or(VerifyError::Root { size }, VerifyError::Entry));
    }
    if let Some(path) = wrong_tile {
        return Err(VerifyError::Tile(path));
    }
    match not_an_event {
        Some(index) => Err(VerifyError::NotAnEvent(index)),
        None => Ok(Verified { origin: checkpoint.origin, size, root, events, span }),
    }
}

struct Reader<'a> {
    dir: &'a Path,
    tiles: Tiles,
    /// The first hash tile that is there but not as the entries make it.
    wrong_tile: Option<String>,
}

impl Reader<'_> {
    /// Reads the next bundle of a log of `size` entries into the tree; gives its entries.
    fn bundle(&mut self, size: u64) -> Result<Vec<(u64, Vec<u8>)>, VerifyError> {
        let from = self.tiles.frontier().size();
        let bytes = read_bundle(self.dir, from, size)?;
        let mut read = Vec::with_capacity(WIDTH);
        for (index, entry) in (from..).zip(split(&bytes, from, size)?) {
            for tile in self.tiles.add(entry).unwrap_or_default() {
                self.compare(&tile.path, &tile.bytes)?;
            }
            read.push((index, entry.to_vec()));
        }
        Ok(read)
    }

    /// Compares the partial tiles too; gives the first tile that is not as the entries make it.
    fn finish(mut self) -> Result<Option<String>, VerifyError> {
        for tile in std::mem::take(&mut self.tiles).finish() {
            self.compare(&tile.path, &tile.bytes)?;
        }
        Ok(self.wrong_tile)
    }

    /// Hash tiles may be left out of an export; one that is there must be right.
    fn compare(&mut self, path: &str, bytes: &[u8]) -> Result<(), VerifyError> {
        if read(self.dir, path)?.is_some_and(|found| found != bytes) && self.wrong_tile.is_none() {
            self.wrong_tile = Some(path.to_owned());
        }
        Ok(())
    }
}

fn read(dir: &Path, path: &str) -> Result<Option<Vec<u8>>, VerifyError> {
    let path = dir.join(path);
    match fs::read(&path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(VerifyError::Read { path, source }),
    }
}

/// How many entries the bundle from entry `from` on holds in a log of `size` entries.
fn width(from: u64, size: u64) -> usize {
    usize::try_from(size - from).unwrap_or(WIDTH).min(WIDTH)
}

fn read_bundle(dir: &Path, from: u64, size: u64) -> Result<Vec<u8>, VerifyError> {
    let wanted = width(from, size);
    let path = bundle_path(from / WIDTH as u64, wanted);
    let missing = |path| VerifyError::Missing { size, from, to: from + wanted as u64 - 1, path };
    read(dir, &path)?.ok_or_else(|| missing(path))
}

fn split(bundle: &[u8], from: u64, size: u64) -> Result<Vec<&[u8]>, VerifyError> {
    let wanted = width(from, size);
    entries(bundle)
        .filter(|found| found.len() == wanted)
        .ok_or_else(|| VerifyError::Bundle { path: bundle_path(from / WIDTH as u64, wanted), wanted })
}

/// The first entry whose hash is not the one in the lowest hash tiles, where these are exported.
fn located(dir: &Path, size: u64) -> Result<Option<u64>, VerifyError> {
    for from in (0..size).step_by(WIDTH) {
        let tile = bundle_path(from / WIDTH as u64, width(from, size)).replacen("entries", "0", 1);
        let Some(tile) = read(dir, &tile)? else { return Ok(None) };
        let bundle = read_bundle(dir, from, size)?;
        let found = split(&bundle, from, size)?.into_iter().map(leaf_hash);
        let wrong = found.zip(tile.as_chunks::<32>().0).position(|(found, logged)| found != *logged);
        if let Some(position) = wrong {
            return Ok(Some(from + position as u64));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
