//! What is asked for, and why it may be refused.

use std::path::PathBuf;

use super::calibration;

/// The most persons: each day and sex then has an individual number for everyone born on it.
pub const MAX_PERSONS: u32 = 8_000_000;

/// The first and last year a delivery can be of: IPLOS in KPR begins in 2017, and the individual
/// digits in use here end in 2039.
pub const YEARS: std::ops::RangeInclusive<i32> = 2017..=2038;

/// What to write.
#[derive(Debug, Clone, PartialEq)]
pub struct SynthOptions {
    /// How many persons the population register holds, 1 to [`MAX_PERSONS`].
    pub persons: u32,
    /// The same seed and options give the same bytes.
    pub seed: u64,
    /// The folder to write to: absent, or empty.
    pub out: PathBuf,
    /// Two-digit county codes to keep to; empty for the whole country.
    pub counties: Vec<String>,
    /// Whether to add faults.
    pub messy: bool,
    /// The years delivered, within [`YEARS`].
    pub years: Vec<i32>,
    /// The share of persons with a discharge from psychiatric inpatient care in a year, 0 to 0.5.
    pub discharge_rate: f64,
}

impl SynthOptions {
    /// The whole country in 2024 and 2025, without faults, at the calibrated rates.
    #[must_use]
    pub fn new(persons: u32, seed: u64, out: impl Into<PathBuf>) -> Self {
        Self {
            persons,
            seed,
            out: out.into(),
            counties: Vec::new(),
            messy: false,
            years: vec![2024, 2025],
            discharge_rate: calibration::DISCHARGED_SHARE,
        }
    }
}

/// Why nothing, or not everything, was written.
#[derive(Debug, thiserror::Error)]
pub enum SynthError {
    /// The number of persons is outside what the identity numbers of a day have room for.
    #[error("the number of persons must be from 1 to {MAX_PERSONS}")]
    Persons,
    /// A year outside the registers' years, or none.
    #[error("give at least one year, each from {} to {}", YEARS.start(), YEARS.end())]
    Years,
    /// A rate outside its range.
    #[error("the discharge rate must be from 0 to 0.5")]
    DischargeRate,
    /// A county that the code list does not have.
    #[error("there is no county {county}; the accepted ones are {accepted}")]
    County {
        /// What was asked for.
        county: String,
        /// Codes and names.
        accepted: String,
    },
    /// The out folder has something in it.
    #[error("{0} is not empty: give a folder that is empty or does not exist")]
    NotEmpty(PathBuf),
    /// A folder or file cannot be read or written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The folder or file.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// A working thread ended early.
    #[error("a working thread ended before its part was done")]
    Worker,
}
