//! Synthetic registers: deliveries in the real formats (`docs/deliveries.md`), fitted to the numbers
//! in `calibration`, with identity numbers of month + 80 only.
//!
//! ```text
//!   seed ──> Streams ──> Population.person(index) ──> Delivery.person ──> Sheet ──> file
//!              one stream a person      the same life        lines of one   a chunk
//!              and purpose              in every delivery    delivery       of persons
//! ```
//!
//! Nothing is kept between persons: each is made again for each delivery, in an order of the delivery's
//! own, so that memory does not grow with the population and no two deliveries can be laid side by side.

mod calendar;
pub mod calibration;
mod cohort;
mod delivery;
mod diagnosis;
mod discharge;
mod draw;
mod faults;
mod folkeregisteret;
mod geography;
mod iplos;
mod kuhr;
mod npr;
mod number;
mod options;
mod permutation;
mod person;
mod sheet;
mod tariff;
#[cfg(test)]
mod tests;
mod writer;

use std::path::Path;

pub use faults::Fault;
pub use options::{MAX_PERSONS, SynthError, SynthOptions, YEARS};
pub use writer::{FileSummary, Progress};

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SynthSummary {
    /// Persons in the population register.
    pub persons: u32,
    /// KUHR contacts, duplicates included.
    pub contacts: u64,
    /// NPR episodes, duplicates included.
    pub episodes: u64,
    /// IPLOS services, duplicates included.
    pub services: u64,
    /// Every content and identity file, in the order written.
    pub files: Vec<FileSummary>,
    /// Faults by file, those that occur.
    pub faults: Vec<FaultCount>,
}

/// How many lines of a file have a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultCount {
    /// Relative to the out folder.
    pub path: String,
    /// The fault.
    pub fault: Fault,
    /// Lines; for a duplicate the second of the two.
    pub lines: u64,
}

impl SynthSummary {
    /// Lines with this fault in all files.
    #[must_use]
    pub fn faults_of(&self, fault: Fault) -> u64 {
        self.faults.iter().filter(|count| count.fault == fault).map(|count| count.lines).sum()
    }

    fn new(persons: u32, files: Vec<FileSummary>) -> Self {
        let lines = |name: &str| {
            files.iter().filter(|file| file.path.ends_with(name)).map(|file| file.lines).sum::<u64>()
        };
        let faults = files
            .iter()
            .flat_map(|file| file.faults.iter().map(|(fault, lines)| (file.path.clone(), fault, lines)))
            .filter(|(_, _, lines)| *lines > 0)
            .map(|(path, fault, lines)| FaultCount { path, fault, lines })
            .collect();
        Self {
            persons,
            contacts: lines("/ENKELTREGNING.csv"),
            episodes: lines("/EPISODE.csv"),
            services: lines("/TJENESTE.csv"),
            faults,
            files,
        }
    }
}

/// Writes Folkeregisteret and, for each year, KUHR, IPLOS and NPR into the out folder. `progress` is
/// told of every chunk of persons.
///
/// # Errors
/// [`SynthError`]: options out of range, an unknown county, an out folder that is not empty, a file that
/// cannot be written. A delivery without its `delivery.toml` was not written whole.
pub fn write(
    options: &SynthOptions,
    mut progress: impl FnMut(Progress<'_>),
) -> Result<SynthSummary, SynthError> {
    let SynthOptions { persons, out, .. } = options;
    let (population, years) = population(options)?;
    prepare(out)?;
    let discharges = discharge::Discharges::new(options.discharge_rate);
    let progress: &mut dyn FnMut(Progress<'_>) = &mut progress;
    let freg = folkeregisteret::Folkeregisteret::new(&population, *persons);
    let mut files = writer::write(&freg, *persons, out, progress)?;
    for year in years {
        let kuhr = kuhr::Kuhr::new(&population, &discharges, *persons, year);
        files.extend(writer::write(&kuhr, *persons, out, progress)?);
        let iplos = iplos::Iplos::new(&population, *persons, year);
        files.extend(writer::write(&iplos, *persons, out, progress)?);
        let npr = npr::Npr::new(&population, &discharges, *persons, year);
        files.extend(writer::write(&npr, *persons, out, progress)?);
    }
    Ok(SynthSummary::new(*persons, files))
}

/// Checks the options, and makes the population and the years in order.
fn population(options: &SynthOptions) -> Result<(person::Population, Vec<i32>), SynthError> {
    if !(1..=MAX_PERSONS).contains(&options.persons) {
        return Err(SynthError::Persons);
    }
    let mut years = options.years.clone();
    years.sort_unstable();
    years.dedup();
    let (Some(first), Some(last)) = (years.first().copied(), years.last().copied()) else {
        return Err(SynthError::Years);
    };
    if !(YEARS.contains(&first) && YEARS.contains(&last)) {
        return Err(SynthError::Years);
    }
    if !(0.0..=0.5).contains(&options.discharge_rate) {
        return Err(SynthError::DischargeRate);
    }
    let streams = draw::Streams::new(options.seed);
    let population = person::Population {
        regions: geography::Regions::new(&options.counties, &streams)?,
        cohorts: cohort::Cohorts::new(options.persons, first, last, streams.keys("births")),
        streams,
        years: (first, last),
        messy: options.messy,
    };
    Ok((population, years))
}

/// Makes the out folder, or makes sure that it is empty.
fn prepare(out: &Path) -> Result<(), SynthError> {
    let failed = |source| SynthError::Write { path: out.to_owned(), source };
    std::fs::create_dir_all(out).map_err(failed)?;
    match std::fs::read_dir(out).map_err(failed)?.next() {
        None => Ok(()),
        Some(_) => Err(SynthError::NotEmpty(out.to_owned())),
    }
}
