//! Taking a delivery in, whole or not at all.
//!
//! ```text
//!   check files ─> resolve identities ─> read, sort, write parts ─> judge ─> commit identities ─> publish
//!                  (kept only at commit)  (in the staging folder)                                 (one rename)
//! ```

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::delivery::{Delivery, DeliveryError, Description, Layout};
use super::fault::Faults;
use super::field::day;
use super::folder::Folder;
use super::intake::{IdentityFile, IdentityIntake, IntakeError, Resolved};
use super::objections::Objections;
use super::part::Written;
use super::progress::{Progress, Step};
use super::quality::{FileQuality, QualityReport};
use super::reading::{Job, Made};
use super::snapshot::{Manifest, Part, SnapshotError, Taken, same_series};
use super::{folkeregisteret, iplos, kuhr, objections, prom, returns};
use crate::domain::canonical::{CanonicalError, Digest};
use crate::domain::clock::Clock;
use crate::domain::period::Period;

/// Why a delivery is not taken in. The register is as it was.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The delivery itself is not in order.
    #[error(transparent)]
    Delivery(#[from] DeliveryError),
    /// The register cannot be read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The identity service did not do its part.
    #[error(transparent)]
    Intake(#[from] IntakeError),
    /// Too many bad lines; the report says which.
    #[error("refused: the share of bad lines is beyond the limit in {}", .0.refused_for.join(", "))]
    Refused(Box<QualityReport>),
    /// Nothing has been taken in yet.
    #[error("the register is empty")]
    Empty,
    /// Another ingest is at work in the same register.
    #[error("another ingest is at work in this register; try again when it is done")]
    Locked,
    /// A delivery of the same sender covers some of the same days, but not the same period.
    #[error("a delivery of the same sender already covers {} to {}: a correction must cover the same period", .0.from(), .0.to())]
    Overlap(Period),
    /// The delivery that it would replace was made later.
    #[error("a delivery for this period that was made later is already taken in")]
    Outdated,
    /// It was taken in before, and corrected since.
    #[error("this delivery was taken in before and has been replaced by a correction")]
    Corrected,
    /// A delivery of objections that does not hold them all.
    #[error(
        "{0} objections that the register holds are not in the delivery, or ended on another day there: it must hold every \
         objection ever made, and one that is withdrawn has its last day"
    )]
    Forgotten(u64),
    /// A file has more lines than can be numbered.
    #[error("{0} has more than 4,294,967,294 lines: split the delivery")]
    TooManyLines(&'static str),
    /// The limit is not a share.
    #[error("the share of bad lines must lie between 0 and 1")]
    Share,
    /// A file of the register cannot be read or written.
    #[error("{what} cannot be read or written: {kind}")]
    Io {
        /// Which.
        what: &'static str,
        /// The system's word.
        kind: io::ErrorKind,
    },
    /// A Parquet file cannot be written.
    #[error("a Parquet file cannot be written")]
    Parquet,
    /// A report or manifest cannot be written.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
    /// A thread of the ingest ended without an answer.
    #[error("the ingest stopped without an answer")]
    Stopped,
}

impl IngestError {
    pub(super) fn io(what: &'static str, error: &io::Error) -> Self {
        Self::Io { what, kind: error.kind() }
    }
}

/// The folders that an ingest reads and writes.
#[derive(Debug, Clone, Copy)]
pub struct Folders<'a> {
    /// The delivery.
    pub delivery: &'a Path,
    /// The register.
    pub register: &'a Path,
    /// Where what goes back to senders is written, if it is to be.
    pub returns: Option<&'a Path>,
}

/// What an ingest tolerates.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The share of bad lines in one file, from 0 to 1, beyond which the delivery is refused.
    pub max_bad_share: f64,
}

impl Default for Limits {
    /// Two percent.
    fn default() -> Self {
        Self { max_bad_share: 0.02 }
    }
}

/// What became of a delivery that was not refused.
#[derive(Debug)]
pub enum IngestReport {
    /// It was taken in.
    Taken {
        /// The new snapshot.
        snapshot: Digest,
        /// The earlier deliveries whose data it replaces.
        replaces: Vec<Digest>,
        /// What it was like.
        quality: Box<QualityReport>,
    },
    /// It was taken in before; nothing has changed.
    AlreadyTaken {
        /// The delivery.
        delivery: Digest,
        /// The current snapshot, which holds it.
        snapshot: Digest,
    },
}

/// Takes a delivery into a register. What goes back to its sender is written whether it is taken in or refused for its
/// faults, before it is taken in.
///
/// # Errors
/// [`IngestError`]; the register is as it was.
pub async fn ingest(
    folders: Folders<'_>,
    intake: &dyn IdentityIntake,
    limits: Limits,
    clock: &dyn Clock,
    progress: Arc<dyn Progress>,
) -> Result<IngestReport, IngestError> {
    if !(0.0..=1.0).contains(&limits.max_bad_share) {
        return Err(IngestError::Share);
    }
    let (from, into, told) = (folders.delivery.to_owned(), folders.register.to_owned(), progress.clone());
    let (folder, delivery) = blocking(move || {
        let folder = Folder::hold(&into)?;
        told.begin(Step::Checking, 0);
        Ok((folder, Delivery::open(&from, &|bytes| told.advance(bytes))?))
    })
    .await?;
    let digest = delivery.digest();
    let replaces = match place(folder.current(), &delivery)? {
        Place::Held(snapshot) => return Ok(IngestReport::AlreadyTaken { delivery: digest, snapshot }),
        Place::New { replaces } => replaces,
    };

    progress.begin(Step::Resolving, 0);
    let (file, layout) = delivery.description().layout.identity();
    let path = delivery.path(file);
    let Resolved { persons, faults, lines, distinct, pending } =
        intake.resolve(IdentityFile { delivery: digest, layout, path: &path }).await?;
    let faults: Faults = faults.into_iter().collect();
    let bad: u64 = faults.counts().values().sum();
    let identity = FileQuality {
        lines,
        accepted: lines.saturating_sub(bad),
        with_person: lines.saturating_sub(bad),
        faults,
        ..FileQuality::new(file.name)
    };
    let mut quality = QualityReport {
        delivery: digest,
        description: delivery.description().clone(),
        examined: clock.now(),
        max_bad_share: limits.max_bad_share.min(delivery.description().layout.tolerates()),
        refused_for: Vec::new(),
        persons: distinct,
        serial_numbers: persons.len() as u64,
        files: vec![identity],
    };

    progress.begin(Step::Reading, delivery.bytes());
    let told = progress.clone();
    let staging = folder.stage()?;
    let held = folder.current().map(|(_, manifest)| manifest.clone()).unwrap_or_default();
    let (register, today) = (folders.register.to_owned(), clock.now().date_naive());
    let (delivery, staging, made, objections) = blocking(move || {
        let objections = Objections::of(&register, &held, today)?;
        let job = Job {
            delivery: &delivery,
            staging: staging.path(),
            persons: &persons,
            progress: told.as_ref(),
            erased: &held.erased,
            objections: &objections,
        };
        let made = read(&job)?;
        Ok((delivery, staging, made, objections))
    })
    .await?;
    let mut manifest = successor(folder.current(), &quality.description, digest, &replaces);
    let parts = enter(&mut manifest, &mut quality, made);
    quality.judge();
    if let Some(returns) = folders.returns.map(Path::to_owned) {
        quality = blocking(move || returns::write(&delivery, &quality, &returns).map(|()| quality)).await?;
    }
    if !quality.refused_for.is_empty() {
        return Err(IngestError::Refused(Box::new(quality)));
    }
    let parts = if quality.description.layout == Layout::Reservasjon {
        blocking(move || objections.all_in(&parts).map(|()| parts)).await?
    } else {
        parts
    };

    progress.begin(Step::Committing, 0);
    pending.commit().await?;
    progress.begin(Step::Publishing, 0);
    let report = serde_json::to_vec_pretty(&quality)
        .map_err(|_| CanonicalError::NotEncodable("data-quality report"))?;
    let snapshot = blocking(move || folder.publish(&staging, &parts, &manifest, digest, &report)).await?;
    Ok(IngestReport::Taken { snapshot, replaces, quality: Box::new(quality) })
}

/// Runs work that blocks where it blocks no one.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, IngestError> + Send + 'static,
) -> Result<T, IngestError> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(IngestError::Stopped))
}

/// Where a delivery stands among those taken in before.
enum Place {
    /// It is held by this snapshot.
    Held(Digest),
    /// It is new, and takes the place of these.
    New { replaces: Vec<Digest> },
}

fn place(current: Option<(Digest, &Manifest)>, delivery: &Delivery) -> Result<Place, IngestError> {
    let mut replaces = Vec::new();
    let Some((snapshot, manifest)) = current else { return Ok(Place::New { replaces }) };
    if let Some(taken) = manifest.deliveries.iter().find(|taken| taken.digest == delivery.digest()) {
        return if taken.replaced_by.is_none() {
            Ok(Place::Held(snapshot))
        } else {
            Err(IngestError::Corrected)
        };
    }
    let new = delivery.description();
    for taken in manifest.held().filter(|taken| same_series(&taken.description, new)) {
        let old = &taken.description;
        let apart = old.period.to() < new.period.from() || new.period.to() < old.period.from();
        if new.layout.is_whole() || old.period == new.period {
            if new.created < old.created {
                return Err(IngestError::Outdated);
            }
            replaces.push(taken.digest);
        } else if !apart {
            return Err(IngestError::Overlap(old.period));
        }
    }
    Ok(Place::New { replaces })
}

/// Reads and writes the content files.
fn read(job: &Job<'_>) -> Result<Vec<Made>, IngestError> {
    match job.delivery.description().layout {
        Layout::Folkeregisteret => folkeregisteret::take_in(job),
        Layout::Kuhr => kuhr::take_in(job),
        Layout::Iplos => iplos::take_in(job),
        Layout::Prom => prom::take_in(job),
        Layout::Reservasjon => objections::take_in(job),
        Layout::Npr => Ok(Vec::new()),
    }
}

/// The manifest after the current one, with the new delivery and without what it replaces.
fn successor(
    current: Option<(Digest, &Manifest)>,
    description: &Description,
    digest: Digest,
    replaces: &[Digest],
) -> Manifest {
    let mut manifest = current.map(|(_, manifest)| manifest.clone()).unwrap_or_default();
    manifest.previous = current.map(|(id, _)| id);
    for taken in manifest.deliveries.iter_mut().filter(|taken| replaces.contains(&taken.digest)) {
        taken.replaced_by = Some(digest);
    }
    manifest.deliveries.push(Taken { digest, description: description.clone(), replaced_by: None });
    manifest.datasets.retain(|_, parts| {
        parts.retain(|part| !replaces.contains(&part.delivery));
        !parts.is_empty()
    });
    manifest
}

/// Enters what was made into manifest and report.
fn enter(manifest: &mut Manifest, quality: &mut QualityReport, made: Vec<Made>) -> Vec<Written> {
    let mut written = Vec::new();
    for Made { dataset, part, quality: file, municipalities } in made {
        if dataset == "residence" {
            manifest.municipalities = municipalities.into_iter().collect();
        }
        if let Some(part) = part {
            manifest.datasets.entry(dataset.to_owned()).or_default().push(Part {
                file: part.digest,
                delivery: quality.delivery,
                bytes: part.bytes,
                rows: part.rows,
                first: day(part.first),
                last: day(part.last),
            });
            written.push(part);
        }
        quality.files.push(file);
    }
    written
}
