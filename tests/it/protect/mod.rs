//! `kpr protect` by its binary, each method with an attacker who holds what it writes.

mod cellkey;
mod fold;
mod noise;
mod ranges;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::world::program;

/// A folder with files to protect.
pub struct Desk(TempDir);

/// One line of what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// A code a dimension.
    pub codes: Vec<String>,
    /// The value, the status, and what else there is.
    pub rest: Vec<String>,
}

impl Line {
    /// The value, if it is published.
    pub fn value(&self) -> Option<f64> {
        (!self.rest[0].is_empty()).then(|| self.rest[0].parse().unwrap())
    }
}

impl Desk {
    pub fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// A key file of this byte.
    pub fn key(&self, name: &str, byte: u8) {
        std::fs::write(self.path(name), [byte; 32]).unwrap();
        std::fs::set_permissions(self.path(name), std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Runs `kpr protect cells --out out.csv` with these options, in the folder. What it says on failure.
    pub fn protect(&self, cells: &str, options: &str) -> Result<Vec<Line>, String> {
        let done = Command::new(program())
            .current_dir(self.0.path())
            .args(["protect", cells, "--out", "out.csv"])
            .args(options.split_whitespace())
            .output()
            .unwrap();
        if !done.status.success() {
            return Err(String::from_utf8(done.stderr).unwrap());
        }
        let mut reader = csv::Reader::from_path(self.path("out.csv")).unwrap();
        let value = reader.headers().unwrap().iter().position(|h| h == "value").unwrap();
        let lines = reader.records().map(|record| {
            let fields: Vec<String> = record.unwrap().iter().map(ToOwned::to_owned).collect();
            let (codes, rest) = fields.split_at(value);
            Line { codes: codes.to_vec(), rest: rest.to_vec() }
        });
        Ok(lines.collect())
    }

    /// Why these options are refused.
    pub fn refused(&self, cells: &str, options: &str, because: &str) {
        let said = self.protect(cells, options).unwrap_err();
        assert!(said.contains(because), "{options}: {said}");
    }
}

/// The line with these codes.
pub fn line<'a>(lines: &'a [Line], codes: &[&str]) -> &'a Line {
    lines.iter().find(|line| line.codes == codes).unwrap_or_else(|| panic!("no cell {codes:?}"))
}

#[test]
fn options_that_make_no_sense_are_refused_in_words() {
    let desk = Desk::new();
    desk.write("cells.csv", "place,n\na,30\nb,9\n");
    desk.key("key", 1);
    let refused =
        |options: &str, because: &str| desk.refused("cells.csv", &format!("--count n {options}"), because);
    refused("--method noise", "--method noise needs --rho");
    refused("--method noise --rho 0.1", "--method noise needs --cells-a-person");
    let noise = "--method noise --rho 0.1 --cells-a-person 1";
    refused(&format!("{noise} --min-persons 5"), "every person is protected alike");
    refused(&format!("{noise} --protect-zeros"), "empty cells have noise");
    refused(&format!("{noise} --key key"), "drawn anew each time");
    refused(&format!("{noise} --frozen cells.csv"), "take the noise off");
    refused(&format!("{noise} --sum n"), "only suppress protects sums");
    refused(&format!("{noise} --noise-bound 8"), "it belongs to cellkey");
    refused("--method noise --rho 0 --cells-a-person 1", "too small");
    refused("--method noise --rho 0.1 --cells-a-person 3", "name the column with --contributors");
    refused("--rho 0.1", "--rho does not go with --method suppress: it belongs to noise");
    refused("--method fold --consistent-margins", "it belongs to noise");
    refused("--method fold --frozen cells.csv", "take «øvrig» apart");
    refused("--method cellkey --key key", "--method cellkey needs --contributors");
    refused("--method cellkey --contributors place", "--method cellkey needs --key");
    refused("--method cellkey --contributors place --key key --protect-zeros", "stays zero");
    refused("--method cellkey --contributors place --key key --noise-variance 2.25", "at most one decimal");
    refused("--method none", "invalid value");
    assert!(!desk.path("out.csv").exists());
}
