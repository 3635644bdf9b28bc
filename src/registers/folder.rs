//! The register's folder while one ingest works in it: held under a lock, swept of what an ingest that
//! was killed left behind, changed by one rename.
//!
//! ```text
//!   LOCK  CURRENT  parts/<digest>.parquet  snapshots/<id>.json  reports/<delivery>.json  staging/
//! ```

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::ingest::IngestError;
use super::part::Written;
use super::snapshot::{
    CURRENT, Manifest, PARTS, SNAPSHOTS, current, manifest_path, part_path, read_manifest,
};
use crate::domain::canonical::{Canonical, Digest};

const LOCK: &str = "LOCK";
const STAGING: &str = "staging";
const REPORTS: &str = "reports";

/// The register's folder, held by this process until dropped.
pub(super) struct Folder {
    path: PathBuf,
    current: Option<(Digest, Manifest)>,
    lock: Arc<File>,
}

impl Folder {
    /// Takes hold of the folder, makes it if there is none, and sweeps it.
    pub(super) fn hold(path: &Path) -> Result<Self, IngestError> {
        let failed = |e: io::Error| IngestError::io("the register's folder", &e);
        std::fs::create_dir_all(path).map_err(failed)?;
        let lock = File::options().create(true).truncate(false).write(true).open(path.join(LOCK));
        let lock = lock.map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(IngestError::Locked),
            Err(TryLockError::Error(e)) => return Err(failed(e)),
        }
        let id = current(path)?;
        let manifest = id.map(|id| Ok::<_, IngestError>((id, read_manifest(path, id)?))).transpose()?;
        let folder = Self { path: path.to_owned(), current: manifest, lock: Arc::new(lock) };
        folder.sweep()?;
        Ok(folder)
    }

    /// The current snapshot's id and manifest, if there is one.
    pub(super) fn current(&self) -> Option<(Digest, &Manifest)> {
        self.current.as_ref().map(|(id, manifest)| (*id, manifest))
    }

    /// Removes what no snapshot from the current one back refers to. A file that cannot be read on the
    /// way back leaves everything where it is.
    fn sweep(&self) -> Result<(), IngestError> {
        let failed = |e: io::Error| IngestError::io("the register's folder", &e);
        match std::fs::remove_dir_all(self.path.join(STAGING)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed(e)),
            _ => {}
        }
        self.remove_unreferenced()
    }

    /// Removes the parts and manifests that no snapshot from the current one back refers to.
    fn remove_unreferenced(&self) -> Result<(), IngestError> {
        let failed = |e: io::Error| IngestError::io("the register's folder", &e);
        let (mut snapshots, mut parts) = (HashSet::new(), HashSet::new());
        let mut next = self.current.clone();
        while let Some((id, manifest)) = next {
            snapshots.insert(file_name(&manifest_path(&self.path, id)));
            for part in manifest.datasets.values().flatten() {
                parts.insert(file_name(&part_path(&self.path, part.file)));
            }
            next = manifest
                .previous
                .map(|id| Ok::<_, IngestError>((id, read_manifest(&self.path, id)?)))
                .transpose()?;
        }
        for (folder, kept) in [(SNAPSHOTS, snapshots), (PARTS, parts)] {
            let Ok(entries) = std::fs::read_dir(self.path.join(folder)) else { continue };
            for entry in entries {
                let entry = entry.map_err(failed)?;
                if !kept.contains(&entry.file_name()) {
                    std::fs::remove_file(entry.path()).map_err(failed)?;
                }
            }
        }
        Ok(())
    }

    /// A folder for work in progress, removed when dropped.
    pub(super) fn stage(&self) -> Result<Staging, IngestError> {
        let path = self.path.join(STAGING);
        std::fs::create_dir(&path).map_err(|e| IngestError::io("the staging folder", &e))?;
        Ok(Staging { path, _lock: self.lock.clone() })
    }

    /// Makes `manifest` the current snapshot, with the new parts and the delivery's report. Until the
    /// last rename the register is as it was; after it, it is the new one.
    pub(super) fn publish(
        &self,
        staging: &Staging,
        parts: &[Written],
        manifest: &Manifest,
        delivery: Digest,
        report: &[u8],
    ) -> Result<Digest, IngestError> {
        let id = manifest.digest()?;
        let bytes = manifest.canonical()?;
        self.replace(staging, parts, (id, &bytes), delivery, report).map_err(|e| {
            // Best effort: what stays behind is swept when the folder is held the next time.
            if self.sweep().is_err() {
                tracing::warn!("the register's folder could not be swept after a failed ingest");
            }
            IngestError::io("the register's folder", &e)
        })?;
        Ok(id)
    }

    /// Makes `manifest` the current snapshot, with parts that were written anew, and deletes what only older ones hold.
    pub(super) fn publish_erasure(
        &self,
        staging: &Staging,
        parts: &[Written],
        manifest: &Manifest,
    ) -> Result<Digest, IngestError> {
        let (id, bytes) = (manifest.digest()?, manifest.canonical()?);
        let swept = self.place(staging, parts, (id, &bytes)).and_then(|()| self.name(staging, id));
        swept.map_err(|e| IngestError::io("the register's folder", &e))?;
        let after =
            Self { path: self.path.clone(), current: Some((id, manifest.clone())), lock: self.lock.clone() };
        after.remove_unreferenced()?;
        Ok(id)
    }

    /// Puts parts and manifest where they belong; the register is as it was.
    fn place(&self, staging: &Staging, parts: &[Written], (id, manifest): (Digest, &[u8])) -> io::Result<()> {
        for folder in [PARTS, SNAPSHOTS] {
            std::fs::create_dir_all(self.path.join(folder))?;
        }
        for part in parts {
            std::fs::rename(&part.path, part_path(&self.path, part.digest))?;
        }
        staging.put(manifest, &manifest_path(&self.path, id))?;
        for folder in [&self.path.join(PARTS), &self.path.join(SNAPSHOTS), &self.path] {
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    }

    /// Makes a snapshot that lies in its place the current one.
    fn name(&self, staging: &Staging, id: Digest) -> io::Result<()> {
        staging.put(format!("{id}\n").as_bytes(), &self.path.join(CURRENT))?;
        File::open(&self.path)?.sync_all()
    }

    fn replace(
        &self,
        staging: &Staging,
        parts: &[Written],
        (id, manifest): (Digest, &[u8]),
        delivery: Digest,
        report: &[u8],
    ) -> io::Result<()> {
        let reports = self.path.join(REPORTS);
        std::fs::create_dir_all(&reports)?;
        staging.put(report, &reports.join(format!("{delivery}.json")))?;
        File::open(&reports)?.sync_all()?;
        self.place(staging, parts, (id, manifest))?;
        self.name(staging, id)
    }
}

fn file_name(path: &Path) -> OsString {
    path.file_name().unwrap_or_default().to_owned()
}

/// The folder for work in progress. As long as there is one, the register's folder stays locked.
pub(super) struct Staging {
    path: PathBuf,
    _lock: Arc<File>,
}

impl Staging {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a small file, on disk for good, and renames it to where it belongs.
    fn put(&self, bytes: &[u8], to: &Path) -> io::Result<()> {
        let from = self.path.join("file");
        let mut file = File::create(&from)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(from, to)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if std::fs::remove_dir_all(&self.path).is_err() {
            tracing::debug!("the staging folder stays until the next ingest sweeps it");
        }
    }
}
