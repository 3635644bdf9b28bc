//! Verifying an exported log offline, with the log's public key alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use crate::domain::canonical::Canonical;

use super::cosignature::CosignatureVerifier;
use super::entry_proof::EntryProof;
use super::leaf::Leaf;
use super::merkle::{Frontier, Hash, leaf_hash};
use super::note::{Checkpoint, NoteError, NoteVerifier};
use super::proof;
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
    /// An earlier checkpoint covers more than there is.
    #[error("the log has {size} entries, but {earlier} covers {covered}: it was cut or rolled back")]
    Shorter {
        /// How many entries there are.
        size: u64,
        /// The earlier checkpoint.
        earlier: String,
        /// How many entries it covers.
        covered: u64,
    },
    /// The log is another than the one an earlier checkpoint was made of.
    #[error("the log does not extend {earlier}: the first entry that differs is {}", place(*from, *to))]
    Fork {
        /// The earlier checkpoint.
        earlier: String,
        /// The first entry that can differ: those before are covered by a checkpoint that holds.
        from: u64,
        /// The last entry that can be the first to differ.
        to: u64,
    },
    /// There is no such entry to prove.
    #[error("the log has {size} entries, the first of them entry 0; there is no entry {index}")]
    NoEntry {
        /// What was asked for.
        index: u64,
        /// How many there are.
        size: u64,
    },
    /// Too few witnesses have cosigned the checkpoint.
    #[error("the checkpoint has the cosignatures of {found} of these witnesses; {needed} are needed")]
    Witnesses {
        /// How many have.
        found: u32,
        /// How many are needed.
        needed: u32,
    },
    /// An entry that the log did sign is not an event.
    #[error("entry {0} is not an event as this log writes them")]
    NotAnEvent(u64),
}

/// One entry, or a span of entries.
fn place(from: u64, to: u64) -> String {
    if from == to { format!("entry {from}") } else { format!("one of the entries {from} to {to}") }
}

/// What an export must stand up to beside its own checkpoint.
#[derive(Debug, Clone, Default)]
pub struct Demands {
    /// Earlier checkpoints, which it must extend.
    pub earlier: Vec<Earlier>,
    /// The witnesses whose cosignatures count.
    pub witnesses: Vec<CosignatureVerifier>,
    /// How many of them must have cosigned the checkpoint.
    pub needed: u32,
}

/// An earlier checkpoint of the same log: an auditor's, or what a witness holds.
#[derive(Debug, Clone)]
pub struct Earlier {
    path: PathBuf,
    note: String,
}

impl Earlier {
    /// Reads a file with a checkpoint, or the folder of an earlier export.
    ///
    /// # Errors
    /// [`VerifyError::Read`].
    pub fn read(path: &Path) -> Result<Self, VerifyError> {
        let file = if path.is_dir() { path.join("checkpoint") } else { path.to_owned() };
        let note = fs::read_to_string(&file).map_err(|source| VerifyError::Read { path: file, source })?;
        Ok(Self { path: path.to_owned(), note })
    }
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
    /// How many of the witnesses asked for have cosigned the checkpoint.
    pub witnesses: u32,
}

impl Verified {
    /// The name of an event type.
    #[must_use]
    pub fn event_name(number: u16) -> &'static str {
        super::event::type_name(number).unwrap_or("unknown to this version")
    }
}

/// Verifies the log in `dir` against the verifier key in text: the signature and name of its checkpoint,
/// and the root over its entries, which covers their number, content and order; then what is demanded of it.
///
/// # Errors
/// [`VerifyError`], the first thing that is wrong.
pub fn verify(dir: &Path, key: &str, demands: &Demands) -> Result<Verified, VerifyError> {
    let verifier: NoteVerifier = key.parse()?;
    let path = dir.join("checkpoint");
    let note = fs::read_to_string(&path).map_err(|source| VerifyError::Read { path, source })?;
    let checkpoint = verifier.open(&note)?;
    let mut earlier = Vec::new();
    for demanded in &demands.earlier {
        earlier.push((verifier.open(&demanded.note)?, demanded));
    }
    earlier.sort_by_key(|(checkpoint, _)| checkpoint.size);
    if let Some((longest, of)) = earlier.last().filter(|(longest, _)| longest.size > checkpoint.size) {
        let (earlier, covered) = (of.path.display().to_string(), longest.size);
        return Err(VerifyError::Shorter { size: checkpoint.size, earlier, covered });
    }
    let mut reader = Reader::new(dir, earlier.iter().map(|(checkpoint, _)| checkpoint.size));
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
    let (wrong_tile, roots) = reader.finish()?;
    if root != checkpoint.root {
        return Err(located(dir, size)?.map_or(VerifyError::Root { size }, VerifyError::Entry));
    }
    extends_all(dir, size, &earlier, &roots)?;
    if let Some(path) = wrong_tile {
        return Err(VerifyError::Tile(path));
    }
    let cosigned = demands.witnesses.iter().filter(|witness| witness.find(&note).is_some());
    // A key that is given twice counts once.
    let distinct: BTreeSet<_> = cosigned.map(CosignatureVerifier::to_string).collect();
    let found = u32::try_from(distinct.len()).unwrap_or(u32::MAX);
    if found < demands.needed {
        return Err(VerifyError::Witnesses { found, needed: demands.needed });
    }
    match not_an_event {
        Some(index) => Err(VerifyError::NotAnEvent(index)),
        None => Ok(Verified { origin: checkpoint.origin, size, root, events, span, witnesses: found }),
    }
}

/// One entry of the log in `dir` with the proof that it is there. The log is verified first.
///
/// # Errors
/// As [`verify`]; [`VerifyError::NoEntry`].
pub fn prove(dir: &Path, key: &str, index: u64) -> Result<EntryProof, VerifyError> {
    let size = verify(dir, key, &Demands::default())?.size;
    let ranges = proof::inclusion(index, size).ok_or(VerifyError::NoEntry { index, size })?;
    let mut parts: Vec<_> = ranges.into_iter().map(|range| (range, Frontier::default())).collect();
    let mut found = Vec::new();
    for from in (0..size).step_by(WIDTH) {
        let bundle = read_bundle(dir, from, size)?;
        for (at, entry) in (from..).zip(split(&bundle, from, size)?) {
            match parts.iter_mut().find(|(range, _)| range.contains(&at)) {
                Some((_, part)) => part.add(leaf_hash(entry)),
                None => found = entry.to_vec(),
            }
        }
    }
    let path = dir.join("checkpoint");
    let note = fs::read_to_string(&path).map_err(|source| VerifyError::Read { path, source })?;
    Ok(EntryProof { index, entry: found, path: parts.iter().map(|(_, part)| part.root()).collect(), note })
}

/// Compares earlier checkpoints, the smallest first, with the roots that the entries give at their sizes.
fn extends_all(
    dir: &Path,
    size: u64,
    earlier: &[(Checkpoint, &Earlier)],
    roots: &BTreeMap<u64, Hash>,
) -> Result<(), VerifyError> {
    let mut held = 0;
    for (checkpoint, of) in earlier {
        if roots.get(&checkpoint.size) == Some(&checkpoint.root) {
            held = checkpoint.size;
            continue;
        }
        // With the earlier entries at hand, the entry itself is found.
        let exact = if of.path.is_dir() { differing(dir, size, &of.path, checkpoint.size)? } else { None };
        let (from, to) = exact.map_or((held, checkpoint.size.saturating_sub(1)), |entry| (entry, entry));
        return Err(VerifyError::Fork { earlier: of.path.display().to_string(), from, to });
    }
    Ok(())
}

/// The first entry in which the export in `dir` differs from an earlier one.
fn differing(dir: &Path, size: u64, other: &Path, other_size: u64) -> Result<Option<u64>, VerifyError> {
    for from in (0..other_size).step_by(WIDTH) {
        let (ours, theirs) = (read_bundle(dir, from, size)?, read_bundle(other, from, other_size)?);
        let (ours, theirs) = (split(&ours, from, size)?, split(&theirs, from, other_size)?);
        if let Some(position) = ours.iter().zip(&theirs).position(|(ours, theirs)| ours != theirs) {
            return Ok(Some(from + position as u64));
        }
    }
    Ok(None)
}

struct Reader<'a> {
    dir: &'a Path,
    tiles: Tiles,
    /// The first hash tile that is there but not as the entries make it.
    wrong_tile: Option<String>,
    /// The sizes at which the root is wanted, and the roots found.
    wanted: BTreeSet<u64>,
    roots: BTreeMap<u64, Hash>,
}

impl<'a> Reader<'a> {
    fn new(dir: &'a Path, wanted: impl Iterator<Item = u64>) -> Self {
        let roots = BTreeMap::from([(0, Frontier::default().root())]);
        Self { dir, tiles: Tiles::default(), wrong_tile: None, wanted: wanted.collect(), roots }
    }

    /// Reads the next bundle of a log of `size` entries into the tree; gives its entries.
    fn bundle(&mut self, size: u64) -> Result<Vec<(u64, Vec<u8>)>, VerifyError> {
        let from = self.tiles.frontier().size();
        let bytes = read_bundle(self.dir, from, size)?;
        let mut read = Vec::with_capacity(WIDTH);
        for (index, entry) in (from..).zip(split(&bytes, from, size)?) {
            for tile in self.tiles.add(entry).unwrap_or_default() {
                self.compare(&tile.path, &tile.bytes)?;
            }
            if self.wanted.contains(&(index + 1)) {
                self.roots.insert(index + 1, self.tiles.frontier().root());
            }
            read.push((index, entry.to_vec()));
        }
        Ok(read)
    }

    /// Compares the partial tiles too; gives the first tile that is not as the entries make it, and the
    /// roots that were wanted.
    fn finish(mut self) -> Result<(Option<String>, BTreeMap<u64, Hash>), VerifyError> {
        for tile in std::mem::take(&mut self.tiles).finish() {
            self.compare(&tile.path, &tile.bytes)?;
        }
        Ok((self.wrong_tile, self.roots))
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
