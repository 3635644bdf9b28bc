//! Writes deliveries: persons in chunks, made by several threads and written in order, with a bounded
//! number of chunks in memory.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::mpsc::sync_channel;

use super::delivery::Delivery;
use super::faults::FaultCounts;
use super::options::SynthError;
use super::permutation::Permutation;
use super::sheet::Sheet;
use crate::registers::delivery::DESCRIPTION;

/// Persons made at a time.
const CHUNK: u32 = 1024;
/// Finished chunks a thread may be ahead of the writer.
const AHEAD: usize = 2;

/// How far the writing has come.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// The delivery's folder.
    pub delivery: &'a str,
    /// Persons written.
    pub done: u32,
    /// Persons there are.
    pub persons: u32,
}

/// One file that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSummary {
    /// Relative to the out folder, for example `kuhr-2024/DIAGNOSE.csv`.
    pub path: String,
    /// Lines, the header not counted.
    pub lines: u64,
    /// Bytes.
    pub bytes: u64,
    pub(super) faults: FaultCounts,
}

/// Writes one delivery into a folder of its own, and its manifest last.
pub(super) fn write<const FILES: usize, D: Delivery<FILES>>(
    delivery: &D,
    persons: u32,
    out: &Path,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Vec<FileSummary>, SynthError> {
    let label = delivery.label();
    let folder = out.join(&label.folder);
    std::fs::create_dir(&folder).map_err(|source| SynthError::Write { path: folder.clone(), source })?;
    let mut files = Vec::with_capacity(FILES);
    let (identity, _) = label.layout.identity();
    for layout in delivery.content().into_iter().chain([identity]) {
        let mut file = Open::new(&folder, &label.folder, layout.name)?;
        file.write(layout.header.as_bytes())?;
        file.write(b"\n")?;
        files.push(file);
    }
    progress(Progress { delivery: &label.folder, done: 0, persons });
    let keys = delivery.population().streams.keys(&format!("{}/order", label.folder));
    let order = Permutation::new(keys, u64::from(persons));
    let chunks = persons.div_ceil(CHUNK);
    let threads = std::thread::available_parallelism().map_or(2, |n| n.get().clamp(2, 8));
    // The threads end when the receiving ends are gone, on success and on failure.
    std::thread::scope(|scope| {
        let mut lanes = Vec::with_capacity(threads);
        for lane in 0..threads {
            let (send, receive) = sync_channel(AHEAD);
            lanes.push(receive);
            let order = &order;
            scope.spawn(move || {
                for chunk in (0..chunks).skip(lane).step_by(threads) {
                    let places = chunk * CHUNK..((chunk + 1) * CHUNK).min(persons);
                    if send.send(sheets(delivery, order, places)).is_err() {
                        return;
                    }
                }
            });
        }
        for (chunk, receive) in (0..chunks).zip(lanes.iter().cycle()) {
            let sheets: [Sheet; FILES] = receive.recv().map_err(|_| SynthError::Worker)?;
            for (sheet, file) in sheets.into_iter().zip(&mut files) {
                file.add(sheet)?;
            }
            progress(Progress { delivery: &label.folder, done: ((chunk + 1) * CHUNK).min(persons), persons });
        }
        Ok(())
    })?;
    let mut manifest = Open::new(&folder, &label.folder, DESCRIPTION)?;
    manifest.write(label.manifest().as_bytes())?;
    Ok(files.into_iter().map(|file| file.summary).collect())
}

fn sheets<const FILES: usize, D: Delivery<FILES>>(
    delivery: &D,
    order: &Permutation,
    places: std::ops::Range<u32>,
) -> [Sheet; FILES] {
    let mut sheets = std::array::from_fn(|_| Sheet::default());
    for place in places {
        let index = order.apply(u64::from(place)) as u32;
        if let Some(person) = delivery.population().person(index) {
            delivery.person(&person, &mut delivery.faults(index), &mut sheets);
        }
    }
    sheets
}

/// A file being written.
struct Open {
    file: File,
    path: std::path::PathBuf,
    summary: FileSummary,
}

impl Open {
    fn new(folder: &Path, delivery: &str, name: &str) -> Result<Self, SynthError> {
        let path = folder.join(name);
        let file =
            File::create_new(&path).map_err(|source| SynthError::Write { path: path.clone(), source })?;
        let summary = FileSummary {
            path: format!("{delivery}/{name}"),
            lines: 0,
            bytes: 0,
            faults: FaultCounts::default(),
        };
        Ok(Self { file, path, summary })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), SynthError> {
        self.summary.bytes += bytes.len() as u64;
        self.file.write_all(bytes).map_err(|source| SynthError::Write { path: self.path.clone(), source })
    }

    fn add(&mut self, sheet: Sheet) -> Result<(), SynthError> {
        self.summary.lines += sheet.lines;
        self.summary.faults.add_all(sheet.faults);
        self.write(&sheet.bytes)
    }
}
