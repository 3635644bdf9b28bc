//! Every fault that was put in is found again, and no other.

use std::collections::HashMap;

use chrono::{Datelike, NaiveDate};

use super::super::Fault;
use super::super::number::tests::remainders;
use super::Written;

/// What is found in one file.
#[derive(Default)]
struct Found(HashMap<Fault, u64>);

impl Found {
    fn add(&mut self, fault: Fault) {
        *self.0.entry(fault).or_default() += 1;
    }
}

/// Faults that can be seen without other files. `person` and `dates` are columns; `year` the
/// delivery's.
fn scan(
    bytes: &[u8],
    person: Option<usize>,
    dates: &[(usize, bool)],
    year: i32,
) -> (Found, Vec<Vec<String>>) {
    let mut found = Found::default();
    let mut whole = Vec::new();
    let mut lines = bytes.split(|b| *b == b'\n');
    let fields = lines.next().unwrap().split(|b| *b == b';').count();
    let mut before: &[u8] = b"";
    for line in lines.filter(|line| !line.is_empty()) {
        if line == before {
            found.add(Fault::DuplicateLine);
            continue;
        }
        before = line;
        let Ok(text) = std::str::from_utf8(line) else {
            found.add(Fault::WrongEncoding);
            continue;
        };
        let row: Vec<String> = text.split(';').map(str::to_owned).collect();
        if row.len() < fields {
            found.add(Fault::TruncatedLine);
            continue;
        }
        if person.is_some_and(|column| row[column].is_empty()) {
            found.add(Fault::MissingPerson);
            continue;
        }
        let wrong = |(column, within): &(usize, bool)| {
            let date = row[*column].parse::<NaiveDate>();
            date.map_or(true, |date| *within && date.year() != year)
        };
        if dates.iter().any(wrong) {
            found.add(Fault::ImpossibleDate);
            continue;
        }
        whole.push(row);
    }
    (found, whole)
}

/// Faults in numbers.
fn scan_identity(rows: &[Vec<String>]) -> Found {
    let mut found = Found::default();
    for row in rows {
        match remainders(row[1].as_bytes()) {
            (0, 0) => {}
            (1..=3, 0) => found.add(Fault::NumberBy2032Rule),
            _ => found.add(Fault::InvalidNumber),
        }
    }
    found
}

#[test]
fn faults_are_counted_exactly() {
    let written = Written::new(
        |options| {
            options.messy = true;
            options.years = vec![2024, 2025];
        },
        12_000,
        11,
    );
    let (mut kinds, mut content, mut bad) = (std::collections::HashSet::new(), 0, 0);
    let person = persons(&written);
    for file in &written.summary.files {
        let bytes = written.bytes(&file.path);
        let year = file.path.split(['-', '/']).nth(1).and_then(|year| year.parse().ok()).unwrap_or(0);
        let name = file.path.rsplit('/').next().unwrap();
        let (mut found, rows) = match name {
            "ENKELTREGNING.csv" => scan(&bytes, Some(1), &[(2, true)], year),
            "EPISODE.csv" => scan(&bytes, Some(1), &[(5, true), (4, false)], year),
            "TJENESTE.csv" => scan(&bytes, Some(0), &[(3, false)], year),
            "KPR_IDE.csv" | "NPR_IDE.csv" => (scan_identity(&written.rows(&file.path)), Vec::new()),
            "identitet.csv" => {
                let mut found = scan_identity(&written.rows(&file.path));
                found.0.remove(&Fault::InvalidNumber);
                (found, Vec::new())
            }
            _ => scan(&bytes, None, &[], year),
        };
        let folder = file.path.split('/').next().unwrap();
        match name {
            "ENKELTREGNING.csv" => conflicts(&mut found, &rows, &person[folder], 1, 2, 6, Some(4)),
            "EPISODE.csv" => conflicts(&mut found, &rows, &person[folder], 1, 5, 9, None),
            _ => {}
        }
        for fault in Fault::ALL {
            if name == "TJENESTE.csv" && fault == Fault::ConflictingMunicipality {
                continue; // The home at the end of the year, which the line does not tell.
            }
            let told = written.summary.faults.iter().find(|c| c.path == file.path && c.fault == fault);
            let told = told.map_or(0, |count| count.lines);
            assert_eq!(found.0.get(&fault).copied().unwrap_or(0), told, "{} {}", file.path, fault.as_str());
            if told > 0 {
                kinds.insert(fault);
            }
        }
        if !name.contains("_IDE") && folder != "folkeregisteret" {
            content += file.lines;
            let of_file = written.summary.faults.iter().filter(|c| c.path == file.path);
            bad += of_file.map(|count| count.lines).sum::<u64>();
        }
    }
    assert_eq!(kinds.len(), Fault::ALL.len());
    let share = bad as f64 / content as f64;
    assert!((0.0045..0.0055).contains(&share), "{share}");
}

/// A person's sex and homes.
type Person = (String, Vec<(String, String, String)>);

/// The person behind each serial number, by delivery.
fn persons(written: &Written) -> HashMap<String, HashMap<String, Person>> {
    let sex: HashMap<String, String> = written
        .rows("folkeregisteret/person.csv")
        .into_iter()
        .map(|row| (row[0].clone(), row[1].clone()))
        .collect();
    let mut homes = HashMap::<String, Vec<(String, String, String)>>::new();
    for row in written.rows("folkeregisteret/bosted.csv") {
        homes.entry(row[0].clone()).or_default().push((row[1].clone(), row[2].clone(), row[3].clone()));
    }
    let owner: HashMap<String, String> = written
        .rows("folkeregisteret/identitet.csv")
        .into_iter()
        .map(|row| (row[1].clone(), row[0].clone()))
        .collect();
    let mut all = HashMap::new();
    for (folder, file) in [
        ("kuhr-2024", "KPR_IDE.csv"),
        ("kuhr-2025", "KPR_IDE.csv"),
        ("npr-2024", "NPR_IDE.csv"),
        ("npr-2025", "NPR_IDE.csv"),
    ] {
        let mut known = HashMap::new();
        for row in written.rows(&format!("{folder}/{file}")) {
            // A spoilt number has its last digit one too high.
            let last = row[1].as_bytes()[10] - b'0';
            let repaired = format!("{}{}", &row[1][..10], (last + 9) % 10);
            let lnr = owner.get(&row[1]).unwrap_or_else(|| &owner[&repaired]);
            let person = (sex[lnr].clone(), homes.get(lnr).cloned().unwrap_or_default());
            known.insert(row[0].clone(), person);
        }
        all.insert(folder.to_owned(), known);
    }
    all
}

fn conflicts(
    found: &mut Found,
    rows: &[Vec<String>],
    persons: &HashMap<String, Person>,
    serial: usize,
    date: usize,
    municipality: usize,
    sex: Option<usize>,
) {
    for row in rows {
        let (of, homes) = &persons[&row[serial]];
        if sex.is_some_and(|column| row[column] != *of) {
            found.add(Fault::ConflictingSex);
            continue;
        }
        let day = &row[date];
        let home = homes.iter().find(|(_, from, to)| from <= day && (to.is_empty() || day <= to));
        if home.map_or("", |(code, ..)| code) != row[municipality] {
            found.add(Fault::ConflictingMunicipality);
        }
    }
}
