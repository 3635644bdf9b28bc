//! `kpr ingest` against an identity service in memory: what is taken in, what is refused, what is left
//! after faults and kills.

mod faults;
mod kept;
mod killed;
mod objections;
mod prom;
mod reference;
mod returned;
mod synthetic;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arrow::array::RecordBatch;
use arrow::util::display::array_value_to_string;
use chrono::{TimeZone, Utc};
use futures::future::BoxFuture;
use kpr::domain::clock::FixedClock;
use kpr::domain::ids::PersonNo;
use kpr::registers::ingest::{Folders, IngestError, IngestReport, Limits, ingest};
use kpr::registers::intake::{
    IdentityFault, IdentityFaultKind, IdentityFile, IdentityIntake, IdentityLayout, IntakeError,
    PendingIdentity, Resolved, SerialMap,
};
use kpr::registers::progress::{Progress, Silent};
use kpr::registers::snapshot::Snapshot;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

pub const CONTACT: &str = "enkeltregning_lnr;kpr_lnr;dato;klokkeslett;kjonn;fodselsar;kommuneNr;bydel;\
    tjenestetype;kontakttypeId;fritakskode;egenandelPasient;refusjonUtbetaltBelop";
pub const DIAGNOSIS: &str = "enkeltregning_lnr;diagnoseKode;diagnosetabell;erHoveddiagnose;kodeNr";
pub const TAKST: &str = "enkeltregning_lnr;takstKode;antall";
pub const SERIAL: &str = "kpr_lnr;fnr";

/// Where an identity service in memory fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fails {
    #[default]
    Never,
    AtResolve,
    AtCommit,
}

/// An identity service in memory. The number `p7` is that of person 7; `x` is no number; eleven digits
/// are those of a new person for each serial number.
#[derive(Default)]
pub struct Identity {
    pub fails: Fails,
    pub commits: Arc<AtomicU32>,
    pub rollbacks: Arc<AtomicU32>,
}

struct Pending {
    fails: bool,
    done: bool,
    commits: Arc<AtomicU32>,
    rollbacks: Arc<AtomicU32>,
}

impl IdentityIntake for Identity {
    fn resolve<'a>(&'a self, file: IdentityFile<'a>) -> BoxFuture<'a, Result<Resolved, IntakeError>> {
        Box::pin(async move {
            let text = fs::read_to_string(file.path).map_err(|e| IntakeError::Read(e.kind()))?;
            let fields = if file.layout == IdentityLayout::Population { 5 } else { 2 };
            let (mut persons, mut faults, mut lines) = (SerialMap::default(), Vec::new(), 0);
            for (index, line) in text.lines().enumerate().skip(1) {
                lines += 1;
                let mut fault = |kind| faults.push(IdentityFault { line: index as u64 + 1, kind });
                let parts: Vec<&str> = line.split(';').collect();
                if parts.len() != fields {
                    fault(IdentityFaultKind::Malformed);
                } else if let Some(no) = parts[1].strip_prefix('p') {
                    persons.insert(parts[0].parse().unwrap(), PersonNo(no.parse().unwrap()));
                } else if parts[1].len() == 11 {
                    let serial = parts[0].parse().unwrap();
                    let new = PersonNo(u32::try_from(persons.len()).unwrap());
                    let person = persons.get(serial).unwrap_or(new);
                    persons.insert(serial, person);
                } else {
                    fault(IdentityFaultKind::NotANumber);
                }
            }
            if self.fails == Fails::AtResolve {
                return Err(IntakeError::Unavailable("connection lost".into()));
            }
            let pending = Pending {
                fails: self.fails == Fails::AtCommit,
                done: false,
                commits: self.commits.clone(),
                rollbacks: self.rollbacks.clone(),
            };
            let distinct = persons.len() as u64;
            Ok(Resolved { persons, faults, lines, distinct, pending: Box::new(pending) })
        })
    }
}

impl PendingIdentity for Pending {
    fn commit(mut self: Box<Self>) -> BoxFuture<'static, Result<(), IntakeError>> {
        Box::pin(async move {
            if self.fails {
                return Err(IntakeError::Unavailable("connection lost".into()));
            }
            self.done = true;
            self.commits.fetch_add(1, Ordering::SeqCst);
            Ok(())
        })
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.rollbacks.fetch_add(u32::from(!self.done), Ordering::SeqCst);
    }
}

/// Folders for deliveries and a register.
pub struct Place {
    path: PathBuf,
    _dir: Option<tempfile::TempDir>,
    pub identity: Identity,
    pub limits: Limits,
}

impl Place {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut place = Self::at(dir.path());
        place._dir = Some(dir);
        place
    }

    /// The folders of another process, which it does not remove.
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned(), _dir: None, identity: Identity::default(), limits: Limits::default() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn register(&self) -> PathBuf {
        self.path.join("register")
    }

    pub fn returns(&self) -> PathBuf {
        self.path.join("returns")
    }

    pub fn delivery(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a delivery: its description and the named files, each a header and lines.
    pub fn write(&self, name: &str, description: &str, files: &[(&str, &str, &[&str])]) -> PathBuf {
        let folder = self.delivery(name);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("delivery.toml"), description).unwrap();
        for (file, header, lines) in files {
            let mut text = format!("{header}\n");
            for line in *lines {
                text.push_str(line);
                text.push('\n');
            }
            fs::write(folder.join(file), text).unwrap();
        }
        folder
    }

    /// Writes a KUHR delivery of a year.
    pub fn kuhr(
        &self,
        name: &str,
        description: &str,
        contacts: &[&str],
        diagnoses: &[&str],
        takster: &[&str],
        serials: &[&str],
    ) -> PathBuf {
        let files: [(&str, &str, &[&str]); 4] = [
            ("ENKELTREGNING.csv", CONTACT, contacts),
            ("DIAGNOSE.csv", DIAGNOSIS, diagnoses),
            ("TAKST.csv", TAKST, takster),
            ("KPR_IDE.csv", SERIAL, serials),
        ];
        self.write(name, description, &files)
    }

    pub async fn ingest(&self, delivery: &Path) -> Result<IngestReport, IngestError> {
        self.ingest_with(delivery, Arc::new(Silent)).await
    }

    pub async fn ingest_with(
        &self,
        delivery: &Path,
        progress: Arc<dyn Progress>,
    ) -> Result<IngestReport, IngestError> {
        let clock = FixedClock(Utc.with_ymd_and_hms(2025, 3, 1, 12, 0, 0).unwrap());
        let (register, returns) = (self.register(), self.returns());
        let folders = Folders { delivery, register: &register, returns: Some(&returns) };
        ingest(folders, &self.identity, self.limits, &clock, progress).await
    }

    /// Every row of a dataset as text, in the order of the file.
    pub fn rows(&self, dataset: &str) -> Vec<Vec<String>> {
        let snapshot = Snapshot::open_current(&self.register()).unwrap();
        snapshot
            .parts(dataset)
            .iter()
            .flat_map(|part| batches(part))
            .flat_map(|batch| texts(&batch))
            .collect()
    }
}

pub fn batches(part: &Path) -> Vec<RecordBatch> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(fs::File::open(part).unwrap()).unwrap();
    reader.build().unwrap().map(Result::unwrap).collect()
}

fn texts(batch: &RecordBatch) -> Vec<Vec<String>> {
    let cell = |row: usize, column: usize| array_value_to_string(batch.column(column), row).unwrap();
    (0..batch.num_rows())
        .map(|row| (0..batch.num_columns()).map(|column| cell(row, column)).collect())
        .collect()
}

/// `delivery.toml` of a year.
pub fn describe(register: &str, layout: &str, year: i32, created: &str) -> String {
    format!(
        "register = \"{register}\"\nsender = \"Helsedirektoratet\"\ncreated = \"{created}\"\n\
         layout = \"{layout}\"\n[period]\nfrom = \"{year}-01-01\"\nto = \"{year}-12-31\"\n"
    )
}

/// Every file under a folder but the lock, with its bytes.
pub fn tree(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("LOCK") {
                files.insert(path.strip_prefix(folder).unwrap().to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    files
}

/// The line of a contact, its serial number and its person's given.
pub fn contact(contact: u64, person: &str, date: &str) -> String {
    format!("{contact};{person};{date};10:30;2;1980;0301;030105;1;3;;160.00;210.50")
}
