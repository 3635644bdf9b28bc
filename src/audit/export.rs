//! Writing a log into a folder in the C2SP tlog-tiles layout: `checkpoint`, `tile/entries/...` and the
//! hash tiles.

use std::fs;
use std::path::{Path, PathBuf};

use super::tiles::{Tile, Tiles};

/// Why a log is not exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The folder has something in it.
    #[error("{0} is not empty; a log is exported into an empty folder")]
    NotEmpty(PathBuf),
    /// A file cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// An entry is longer than the format holds.
    #[error("entry {0} is longer than 65535 bytes")]
    TooLong(u64),
}

/// An export on its way: entries are added in order, then it is finished with the checkpoint.
pub struct Export {
    dir: PathBuf,
    tiles: Tiles,
}

impl Export {
    /// Begins an export into a folder that is empty or not there.
    ///
    /// # Errors
    /// [`ExportError::NotEmpty`], [`ExportError::Write`].
    pub fn create(dir: &Path) -> Result<Self, ExportError> {
        let failed = |source| ExportError::Write { path: dir.to_owned(), source };
        fs::create_dir_all(dir).map_err(failed)?;
        if fs::read_dir(dir).map_err(failed)?.next().is_some() {
            return Err(ExportError::NotEmpty(dir.to_owned()));
        }
        Ok(Self { dir: dir.to_owned(), tiles: Tiles::default() })
    }

    /// How many entries have been added.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.tiles.frontier().size()
    }

    /// Adds the next entry.
    ///
    /// # Errors
    /// [`ExportError::TooLong`], [`ExportError::Write`].
    pub fn add(&mut self, entry: &[u8]) -> Result<(), ExportError> {
        let tiles = self.tiles.add(entry).ok_or(ExportError::TooLong(self.size()))?;
        tiles.iter().try_for_each(|tile| write(&self.dir, tile))
    }

    /// Writes what is left, and last the checkpoint, so that a folder without one is not a whole export.
    ///
    /// # Errors
    /// [`ExportError::Write`].
    pub fn finish(self, note: &str) -> Result<(), ExportError> {
        self.tiles.finish().iter().try_for_each(|tile| write(&self.dir, tile))?;
        write(&self.dir, &Tile { path: "checkpoint".to_owned(), bytes: note.as_bytes().to_vec() })
    }
}

fn write(dir: &Path, tile: &Tile) -> Result<(), ExportError> {
    let path = dir.join(&tile.path);
    let folder = path.parent().unwrap_or(dir);
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&path, &tile.bytes))
        .map_err(|source| ExportError::Write { path: path.clone(), source })
}
