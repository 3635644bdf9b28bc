//! Ranges: `kpr protect --min-range` and `--audit`.

use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::world::program;

/// Two counties of two municipalities by sex and age: small counts among large ones, and two empty cells.
const COUNTS: [[u64; 6]; 4] =
    [[3, 44, 51, 2, 38, 60], [17, 9, 0, 26, 12, 31], [4, 66, 23, 19, 7, 45], [28, 1, 14, 0, 33, 52]];

fn cells() -> String {
    let mut text = "municipality,county,sex,age,n\n".to_owned();
    for (municipality, counts) in COUNTS.iter().enumerate() {
        for (place, count) in counts.iter().enumerate() {
            let (sex, age) = (["m", "f"][place / 3], ["young", "mid", "old"][place % 3]);
            text += &format!("M{municipality},C{},{sex},{age},{count}\n", municipality / 2);
        }
    }
    text
}

fn protect(folder: &Path, more: &[&str]) -> Output {
    std::fs::write(folder.join("cells.csv"), cells()).unwrap();
    let fixed = ["protect", "cells.csv", "--count", "n", "--hierarchy", "municipality=county"];
    Command::new(program())
        .args(fixed)
        .args(["--out", "protected.csv"])
        .args(more)
        .current_dir(folder)
        .output()
        .unwrap()
}

/// The protected table: the value of each cell, none where it is withheld.
fn released(folder: &Path) -> HashMap<String, Option<u64>> {
    let text = std::fs::read_to_string(folder.join("protected.csv")).unwrap();
    let line = |line: &str| {
        let (codes, rest) = line.rsplit_once(',').map(|(l, _)| l).unwrap().rsplit_once(',').unwrap();
        (codes.to_owned(), rest.parse().ok())
    };
    text.lines().skip(1).map(line).collect()
}

/// The audited ranges.
fn audited(output: &Output) -> HashMap<String, (u64, u64)> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("municipality,sex,age,low,high"));
    let line = |line: &str| {
        let fields: Vec<&str> = line.split(',').collect();
        (fields[..3].join(","), (fields[3].parse().unwrap(), fields[4].parse().unwrap()))
    };
    lines.map(line).collect()
}

#[test]
fn small_counts_get_their_range_and_the_audit_prints_it() {
    let folder = TempDir::new().unwrap();
    let output = protect(folder.path(), &["--audit"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (released, audited) = (released(folder.path()), audited(&output));
    let withheld: Vec<&String> = released.iter().filter(|(_, v)| v.is_none()).map(|(c, _)| c).collect();
    assert_eq!(withheld.len(), audited.len());
    for (municipality, counts) in COUNTS.iter().enumerate() {
        for (place, &count) in counts.iter().enumerate() {
            let (sex, age) = (["m", "f"][place / 3], ["young", "mid", "old"][place % 3]);
            let code = format!("M{municipality},{sex},{age}");
            match released[&code] {
                Some(value) => assert!(value == count && !(1..5).contains(&count), "{code}"),
                None => {
                    let (low, high) = audited[&code];
                    assert!((1..=count).contains(&low) && high >= count, "{code}: {low} to {high}");
                    assert!(count >= 5 || high - low >= 5, "{code}: {low} to {high}");
                }
            }
        }
    }
}

#[test]
fn a_wider_range_can_be_asked_for_and_none() {
    let folder = TempDir::new().unwrap();
    let withheld = |more: &[&str]| {
        let output = protect(folder.path(), more);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        released(folder.path()).values().filter(|v| v.is_none()).count()
    };
    let none = withheld(&["--min-range", "0"]);
    let wider = protect(folder.path(), &["--min-range", "20", "--audit"]);
    let audited = audited(&wider);
    for code in ["M0,m,young", "M0,f,young", "M2,m,young", "M3,m,mid"] {
        let (low, high) = audited[code];
        assert!(high - low >= 20, "{code}: {low} to {high}");
    }
    assert!(none <= withheld(&[]));
    let refused = protect(folder.path(), &["--min-range", "0", "--audit"]);
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("--min-range 0"));
}

#[test]
fn the_same_table_and_key_give_the_same_file() {
    use std::os::unix::fs::PermissionsExt;
    let folder = TempDir::new().unwrap();
    let key = folder.path().join("key");
    std::fs::write(&key, [9; 32]).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let read = || {
        assert!(protect(folder.path(), &["--key", "key"]).status.success());
        std::fs::read(folder.path().join("protected.csv")).unwrap()
    };
    assert_eq!(read(), read());
}
