//! What the register holds at one moment: the parts of each dataset, the deliveries they came from.
//! A snapshot never changes; `CURRENT` names the one that holds.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::delivery::Description;
use super::erase::Erased;
use crate::domain::canonical::{Canonical, CanonicalError, Digest};
use crate::domain::period::Period;
use crate::domain::refusal::{Refusal, RefusalKind};

/// The file that names the current snapshot.
pub(super) const CURRENT: &str = "CURRENT";
/// The folder of manifests.
pub(super) const SNAPSHOTS: &str = "snapshots";
/// The folder of Parquet files.
pub(super) const PARTS: &str = "parts";

/// Why a snapshot cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// Nothing has been taken in yet.
    #[error("the register is empty: take in a delivery with `kpr ingest` first")]
    Empty,
    /// A file cannot be read.
    #[error("{what} of the register cannot be read: {kind}")]
    Read {
        /// Which.
        what: &'static str,
        /// The system's word.
        kind: io::ErrorKind,
    },
    /// A file is not what its name or its manifest says.
    #[error("the register is damaged: {0}")]
    Damaged(&'static str),
}

impl From<SnapshotError> for Refusal {
    fn from(error: SnapshotError) -> Self {
        match error {
            SnapshotError::Empty => Self::new(
                RefusalKind::Precondition,
                "register.empty",
                "the register holds no data yet; a delivery must be taken in first",
            ),
            SnapshotError::Read { .. } | SnapshotError::Damaged(_) => Self::new(
                RefusalKind::Internal,
                "register.unreadable",
                "the register cannot be read; its keeper finds the reason in the log",
            ),
        }
    }
}

/// One Parquet file, sorted by `person_no` and date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// The digest of the file, which is also its name.
    pub file: Digest,
    /// The delivery it was made from.
    pub delivery: Digest,
    /// Its length in bytes.
    pub bytes: u64,
    /// Its rows.
    pub rows: u64,
    /// The earliest date in it, in the dataset's date column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<NaiveDate>,
    /// The latest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<NaiveDate>,
}

/// A delivery that was taken in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Taken {
    /// The delivery's digest.
    pub digest: Digest,
    /// What it said of itself.
    pub description: Description,
    /// The later delivery that replaced it, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_by: Option<Digest>,
}

/// A snapshot, as `snapshots/<id>.json` holds it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The snapshot before this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Digest>,
    /// Every delivery ever taken in, in order.
    pub deliveries: Vec<Taken>,
    /// The parts of each dataset.
    pub datasets: BTreeMap<String, Vec<Part>>,
    /// The municipalities that occur in the residence data.
    pub municipalities: BTreeSet<String>,
    /// Persons whose rows were erased, and up to which day: what is delivered about these days later is left out.
    #[serde(default, skip_serializing_if = "Erased::is_empty")]
    pub erased: Erased,
}

impl Canonical for Manifest {
    const LABEL: &'static str = "kpr/snapshot/v1";
}

impl Manifest {
    /// The deliveries whose data this snapshot holds.
    pub fn held(&self) -> impl Iterator<Item = &Taken> {
        self.deliveries.iter().filter(|d| d.replaced_by.is_none())
    }

    /// The days that the deliveries of `dataset` cover. Where they leave a gap, the latest stretch
    /// without one.
    fn coverage(&self, dataset: &str) -> Option<Period> {
        let mut periods: Vec<Period> = self
            .held()
            .filter(|d| d.description.layout.content().iter().any(|(_, name)| *name == dataset))
            .map(|d| d.description.period)
            .collect();
        periods.sort_by_key(Period::from);
        periods.into_iter().reduce(|stretch, next| {
            let joined = stretch.to().succ_opt().is_some_and(|day| next.from() <= day);
            if joined {
                Period::new(stretch.from(), stretch.to().max(next.to())).unwrap_or(next)
            } else {
                next
            }
        })
    }
}

/// A snapshot, opened: its manifest is what its id says and its parts are there.
#[derive(Debug, Clone)]
pub struct Snapshot {
    id: Digest,
    manifest: Manifest,
    paths: BTreeMap<String, Vec<PathBuf>>,
}

impl Snapshot {
    /// Opens the current snapshot of the register in `register_dir`.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub fn open_current(register_dir: &Path) -> Result<Self, SnapshotError> {
        let id = current(register_dir)?.ok_or(SnapshotError::Empty)?;
        Self::open(register_dir, id)
    }

    /// Opens the snapshot with this id, current or earlier.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub fn open(register_dir: &Path, id: Digest) -> Result<Self, SnapshotError> {
        let manifest = read_manifest(register_dir, id)?;
        let mut paths = BTreeMap::new();
        for (dataset, parts) in &manifest.datasets {
            let mut files = Vec::with_capacity(parts.len());
            for part in parts {
                let path = part_path(register_dir, part.file);
                let length = std::fs::metadata(&path).map_err(|e| read_error("a part", &e))?.len();
                if length != part.bytes {
                    return Err(SnapshotError::Damaged("a part has another length than its manifest says"));
                }
                files.push(path);
            }
            paths.insert(dataset.clone(), files);
        }
        Ok(Self { id, manifest, paths })
    }

    /// The snapshot's id: the digest of its manifest.
    #[must_use]
    pub const fn id(&self) -> Digest {
        self.id
    }

    /// The Parquet files of `dataset`, each sorted by `person_no` (nulls last) and the dataset's date;
    /// none if nothing of it was delivered.
    #[must_use]
    pub fn parts(&self, dataset: &str) -> &[PathBuf] {
        self.paths.get(dataset).map_or(&[], Vec::as_slice)
    }

    /// The datasets of which it holds something.
    pub fn datasets(&self) -> impl Iterator<Item = &str> {
        self.manifest.datasets.keys().map(String::as_str)
    }

    /// The Parquet files of `dataset`, each with the delivery it was made from.
    pub fn delivered(&self, dataset: &str) -> impl Iterator<Item = (&Path, &Taken)> {
        let parts = self.manifest.datasets.get(dataset).into_iter().flatten();
        let files = self.parts(dataset).iter().map(PathBuf::as_path);
        let from = |delivery| self.manifest.deliveries.iter().find(move |taken| taken.digest == delivery);
        files.zip(parts).filter_map(move |(path, part)| Some((path, from(part.delivery)?)))
    }

    /// The rows of `dataset`.
    #[must_use]
    pub fn rows(&self, dataset: &str) -> u64 {
        self.manifest.datasets.get(dataset).into_iter().flatten().map(|part| part.rows).sum()
    }

    /// The municipalities that occur in the residence data, by their four-digit numbers.
    #[must_use]
    pub const fn municipalities(&self) -> &BTreeSet<String> {
        &self.manifest.municipalities
    }

    /// The days that the deliveries of `dataset` cover. Where they leave a gap, the latest stretch
    /// without one.
    #[must_use]
    pub fn coverage(&self, dataset: &str) -> Option<Period> {
        self.manifest.coverage(dataset)
    }

    /// The deliveries whose data it holds.
    pub fn deliveries(&self) -> impl Iterator<Item = &Taken> {
        self.manifest.held()
    }
}

/// Where a part lies.
pub(super) fn part_path(register_dir: &Path, file: Digest) -> PathBuf {
    register_dir.join(PARTS).join(format!("{file}.parquet"))
}

/// Where a manifest lies.
pub(super) fn manifest_path(register_dir: &Path, id: Digest) -> PathBuf {
    register_dir.join(SNAPSHOTS).join(format!("{id}.json"))
}

fn read_error(what: &'static str, error: &io::Error) -> SnapshotError {
    SnapshotError::Read { what, kind: error.kind() }
}

/// The id that `CURRENT` names, if there is one.
pub(super) fn current(register_dir: &Path) -> Result<Option<Digest>, SnapshotError> {
    match std::fs::read_to_string(register_dir.join(CURRENT)) {
        Ok(text) => text
            .trim_end()
            .parse()
            .map(Some)
            .map_err(|_: CanonicalError| SnapshotError::Damaged("CURRENT does not name a snapshot")),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(read_error(CURRENT, &e)),
    }
}

/// The manifest with this id, which must be what the id says.
pub(super) fn read_manifest(register_dir: &Path, id: Digest) -> Result<Manifest, SnapshotError> {
    let bytes = std::fs::read(manifest_path(register_dir, id)).map_err(|e| read_error("a manifest", &e))?;
    if Digest::of_bytes(Manifest::LABEL, &bytes) != id {
        return Err(SnapshotError::Damaged("a manifest is not what its name says"));
    }
    Manifest::from_canonical(&bytes).map_err(|_| SnapshotError::Damaged("a manifest is not canonical"))
}

/// Whether two deliveries are of the same kind from the same sender, so that both cannot hold for the
/// same days.
pub(super) fn same_series(a: &Description, b: &Description) -> bool {
    let kind = |d: &Description| (d.register.clone(), d.layout);
    kind(a) == kind(b) && (a.layout.is_whole() || a.sender == b.sender)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::RegisterId;
    use crate::registers::delivery::Layout;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn kuhr(from: &str, to: &str) -> Taken {
        Taken {
            digest: Digest::of_bytes("kpr/test", from.as_bytes()),
            description: Description {
                register: RegisterId::new("KPR").unwrap(),
                sender: "Helfo".into(),
                period: Period::new(day(from), day(to)).unwrap(),
                created: day(to),
                layout: Layout::Kuhr,
            },
            replaced_by: None,
        }
    }

    #[test]
    fn coverage_joins_years_but_not_over_a_gap() {
        let mut manifest = Manifest::default();
        assert_eq!(manifest.coverage("kuhr_contact"), None);
        manifest.deliveries = vec![kuhr("2024-01-01", "2024-12-31"), kuhr("2023-01-01", "2023-12-31")];
        let both = Period::new(day("2023-01-01"), day("2024-12-31")).unwrap();
        assert_eq!(manifest.coverage("kuhr_contact"), Some(both));
        assert_eq!(manifest.coverage("iplos_service"), None);
        manifest.deliveries.push(kuhr("2020-01-01", "2020-12-31"));
        assert_eq!(manifest.coverage("kuhr_diagnosis"), Some(both));
        manifest.deliveries[0].replaced_by = Some(Digest::of_bytes("kpr/test", b"x"));
        assert_eq!(manifest.coverage("kuhr_takst").map(|p| p.to()), Some(day("2023-12-31")));
    }

    #[test]
    fn the_id_of_a_manifest_is_fixed() {
        let mut manifest =
            Manifest { deliveries: vec![kuhr("2024-01-01", "2024-12-31")], ..Manifest::default() };
        manifest.municipalities.insert("0301".into());
        let bytes = manifest.canonical().unwrap();
        assert_eq!(Manifest::from_canonical(&bytes).unwrap(), manifest);
        assert_eq!(
            manifest.digest().unwrap().to_string(),
            "cd00ab0d20c533cdf91471f2caae38085f9078cbabfbd74dfaebdf42b1b4516a"
        );
    }

    #[test]
    fn a_damaged_register_is_not_opened() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Snapshot::open_current(dir.path()).unwrap_err();
        assert_eq!(open(), SnapshotError::Empty);
        std::fs::write(dir.path().join(CURRENT), "x").unwrap();
        assert_eq!(open(), SnapshotError::Damaged("CURRENT does not name a snapshot"));

        let part = Part {
            file: Digest::of_bytes("kpr/test", b"part"),
            delivery: Digest::of_bytes("kpr/test", b"delivery"),
            bytes: 4,
            rows: 7,
            first: None,
            last: None,
        };
        let mut manifest = Manifest::default();
        manifest.datasets.insert("residence".into(), vec![part.clone()]);
        let (bytes, id) = (manifest.canonical().unwrap(), manifest.digest().unwrap());
        std::fs::write(dir.path().join(CURRENT), format!("{id}\n")).unwrap();
        assert!(matches!(open(), SnapshotError::Read { what: "a manifest", .. }));
        std::fs::create_dir(dir.path().join(SNAPSHOTS)).unwrap();
        std::fs::create_dir(dir.path().join(PARTS)).unwrap();
        std::fs::write(manifest_path(dir.path(), id), b"{}").unwrap();
        assert_eq!(open(), SnapshotError::Damaged("a manifest is not what its name says"));
        std::fs::write(manifest_path(dir.path(), id), bytes).unwrap();
        assert!(matches!(open(), SnapshotError::Read { what: "a part", .. }));
        std::fs::write(part_path(dir.path(), part.file), b"abc").unwrap();
        assert!(matches!(open(), SnapshotError::Damaged(_)));
        std::fs::write(part_path(dir.path(), part.file), b"abcd").unwrap();
        let snapshot = Snapshot::open_current(dir.path()).unwrap();
        assert_eq!((snapshot.id(), snapshot.rows("residence")), (id, 7));
        assert_eq!(snapshot.parts("residence").len(), 1);
        assert!(snapshot.parts("population").is_empty());
    }
}
