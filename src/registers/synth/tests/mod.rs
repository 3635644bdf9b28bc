//! Tests over written deliveries.

mod identity;
mod messy;
mod rates;

use std::path::{Path, PathBuf};

use super::{SynthError, SynthOptions, SynthSummary, write};

/// Deliveries in a folder of their own.
struct Written {
    folder: tempfile::TempDir,
    summary: SynthSummary,
}

impl Written {
    fn new(options: impl FnOnce(&mut SynthOptions), persons: u32, seed: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut chosen = SynthOptions::new(persons, seed, folder.path());
        chosen.years = vec![2024];
        options(&mut chosen);
        let summary = write(&chosen, |_| {}).unwrap();
        Self { folder, summary }
    }

    fn bytes(&self, file: &str) -> Vec<u8> {
        std::fs::read(self.folder.path().join(file)).unwrap()
    }

    /// The lines of a clean file, each a row of fields.
    fn rows(&self, file: &str) -> Vec<Vec<String>> {
        let text = String::from_utf8(self.bytes(file)).unwrap();
        let fields = text.lines().next().unwrap().split(';').count();
        let rows: Vec<Vec<String>> =
            text.lines().skip(1).map(|line| line.split(';').map(str::to_owned).collect()).collect();
        assert!(rows.iter().all(|row| row.len() == fields), "{file}");
        rows
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for delivery in std::fs::read_dir(folder).unwrap() {
        for file in std::fs::read_dir(delivery.unwrap().path()).unwrap() {
            found.push(file.unwrap().path());
        }
    }
    found.sort();
    found
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    let messy = |options: &mut SynthOptions| {
        options.messy = true;
        options.years = vec![2024, 2025];
    };
    let [one, same, other] =
        [(messy, 7), (messy, 7), (messy, 8)].map(|(o, seed)| Written::new(o, 2_500, seed));
    assert_eq!(one.summary, same.summary);
    let all = files(one.folder.path());
    // Folkeregisteret has 4 files with its manifest; each year has 5 of KUHR, 4 of IPLOS, 3 of NPR.
    assert_eq!(all.len(), 4 + 2 * (5 + 4 + 3));
    for path in all {
        let name = path.strip_prefix(one.folder.path()).unwrap().to_str().unwrap();
        assert_eq!(one.bytes(name), same.bytes(name), "{name}");
        if !name.ends_with(".toml") {
            assert_ne!(one.bytes(name), other.bytes(name), "{name}");
        }
    }
}

#[test]
fn faults_change_nothing_else() {
    let clean = Written::new(|_| {}, 2_000, 3);
    let messy = Written::new(|options| options.messy = true, 2_000, 3);
    for file in ["folkeregisteret/person.csv", "folkeregisteret/bosted.csv"] {
        assert_eq!(clean.bytes(file), messy.bytes(file));
    }
    assert!(clean.summary.faults.is_empty());
    let clean = clean.bytes("kuhr-2024/ENKELTREGNING.csv");
    let messy = messy.bytes("kuhr-2024/ENKELTREGNING.csv");
    let kept: std::collections::HashSet<&[u8]> = messy.split(|b| *b == b'\n').collect();
    let lines: Vec<_> = clean.split(|b| *b == b'\n').collect();
    let same = lines.iter().filter(|line| kept.contains(*line)).count() as f64 / lines.len() as f64;
    assert!((0.993..0.999).contains(&same), "{same}");
}

#[test]
fn counties_restrict_where_people_live() {
    let written = Written::new(|options| options.counties = vec!["31".into(), "03".into()], 1_500, 5);
    for (file, column) in [
        ("folkeregisteret/bosted.csv", 1),
        ("kuhr-2024/ENKELTREGNING.csv", 6),
        ("iplos-2024/TJENESTE.csv", 1),
        ("npr-2024/EPISODE.csv", 9),
    ] {
        let rows = written.rows(file);
        let codes: std::collections::BTreeSet<_> = rows.iter().map(|row| row[column].as_str()).collect();
        assert!(codes.len() > 5, "{file}");
        assert!(
            codes.iter().all(|c| c.is_empty() || c.starts_with("31") || *c == "0301"),
            "{file} {codes:?}"
        );
    }
}

#[test]
fn options_out_of_range_are_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let refused = |change: &dyn Fn(&mut SynthOptions)| {
        let mut options = SynthOptions::new(10, 1, &out);
        change(&mut options);
        write(&options, |_| {}).unwrap_err()
    };
    assert!(matches!(refused(&|o| o.persons = 0), SynthError::Persons));
    assert!(matches!(refused(&|o| o.persons = 8_000_001), SynthError::Persons));
    assert!(matches!(refused(&|o| o.years = vec![]), SynthError::Years));
    assert!(matches!(refused(&|o| o.years = vec![2016, 2024]), SynthError::Years));
    assert!(matches!(refused(&|o| o.discharge_rate = 0.6), SynthError::DischargeRate));
    assert!(matches!(refused(&|o| o.discharge_rate = f64::NAN), SynthError::DischargeRate));
    assert!(matches!(refused(&|o| o.counties = vec!["30".into()]), SynthError::County { .. }));
    assert!(!out.exists());
    std::fs::create_dir(&out).unwrap();
    std::fs::write(out.join("something"), "").unwrap();
    let full = refused(&|_| {});
    assert!(matches!(full, SynthError::NotEmpty(_)), "{full}");
    assert_eq!(std::fs::read_dir(&out).unwrap().count(), 1);
}

#[test]
fn a_single_person_and_every_year_can_be_written() {
    let written = Written::new(|options| options.years = vec![2017, 2038], 1, 1);
    assert_eq!(written.rows("folkeregisteret/person.csv").len(), 1);
    assert_eq!(written.summary.files.len(), 3 + 2 * (4 + 3 + 2));
}

#[test]
fn summary_and_manifest_tell_what_was_written() {
    let written = Written::new(|_| {}, 1_000, 2);
    for file in &written.summary.files {
        let bytes = written.bytes(&file.path);
        assert_eq!(bytes.len() as u64, file.bytes, "{}", file.path);
        assert_eq!(written.rows(&file.path).len() as u64, file.lines, "{}", file.path);
    }
    assert_eq!(written.summary.contacts, written.rows("kuhr-2024/ENKELTREGNING.csv").len() as u64);
    for delivery in ["folkeregisteret", "kuhr-2024", "iplos-2024"] {
        let opened =
            crate::registers::delivery::Delivery::open(&written.folder.path().join(delivery), &|_| {});
        assert_eq!(opened.unwrap().description().period.to().to_string(), "2024-12-31");
    }
    let npr: toml::Table =
        String::from_utf8(written.bytes("npr-2024/delivery.toml")).unwrap().parse().unwrap();
    assert_eq!(npr["register"].as_str(), Some("NPR"));
    assert_eq!(npr["period"]["from"].as_str(), Some("2024-01-01"));
}
