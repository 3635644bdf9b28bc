//! What goes back to a sender (3-3): checked line by line against a plain reading of the files it sent.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::Path;

use chrono::{Datelike, NaiveDate};
use kpr::registers::ingest::{IngestError, IngestReport};
use kpr::registers::returns::{HEADER, REPORT};
use kpr::registers::synth::{self, SynthOptions};

use super::{Place, SERIAL, contact, describe, tree};

/// Line, key, outcome, fault.
type Row = (u64, String, String, String);

fn returned(folder: &Path, file: &str) -> BTreeSet<Row> {
    let text = fs::read_to_string(folder.join(file)).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some(HEADER));
    let mut rows = BTreeSet::new();
    for line in lines {
        let fields: Vec<&str> = line.split(';').collect();
        let [number, key, outcome, fault, _, _] = fields[..] else { panic!("six fields") };
        rows.insert((number.parse().unwrap(), key.to_owned(), outcome.to_owned(), fault.to_owned()));
    }
    rows
}

/// The lines of a file, numbered, without the header.
fn sent(delivery: &Path, file: &str) -> Vec<(u64, Vec<u8>)> {
    let bytes = fs::read(delivery.join(file)).unwrap();
    let lines = bytes.split(|b| *b == b'\n').map(<[u8]>::to_vec);
    let mut all: Vec<_> = (1..).zip(lines).skip(1).collect();
    assert!(all.pop().is_some_and(|(_, last)| last.is_empty()), "the last line is ended");
    all
}

/// What is wrong with a line of ENKELTREGNING, as somebody sees who reads it with no more than the description.
fn wrong(line: &[u8]) -> Option<&'static str> {
    let Ok(text) = std::str::from_utf8(line) else { return Some("encoding") };
    let fields: Vec<&str> = text.split(';').collect();
    if fields.len() != 13 {
        return Some("field_count");
    }
    match NaiveDate::parse_from_str(fields[2], "%Y-%m-%d") {
        Err(_) => Some("date"),
        Ok(date) if date.year() != 2024 => Some("date_outside"),
        Ok(_) => None,
    }
}

fn key(line: &[u8]) -> String {
    String::from_utf8_lossy(line.split(|b| *b == b';').next().unwrap()).into_owned()
}

#[tokio::test]
async fn the_return_of_a_messy_delivery_is_what_a_plain_reading_finds() {
    let place = Place::new();
    let out = place.delivery("deliveries");
    let options = SynthOptions { messy: true, years: vec![2024], ..SynthOptions::new(4000, 23, &out) };
    synth::write(&options, |_| {}).unwrap();
    let delivery = out.join("kuhr-2024");
    let IngestReport::Taken { quality, .. } = place.ingest(&delivery).await.unwrap() else {
        panic!("not taken")
    };
    let folder = place.returns().join(quality.delivery.to_string());

    let mut expected = BTreeSet::new();
    // Whether each contact has an accepted line.
    let mut contacts: HashMap<String, bool> = HashMap::new();
    for (number, line) in sent(&delivery, "ENKELTREGNING.csv") {
        let accepted = contacts.entry(key(&line)).or_default();
        let fault = wrong(&line).or(accepted.then_some("duplicate"));
        match fault {
            Some(fault) => {
                expected.insert((number, key(&line), "refused".to_owned(), fault.to_owned()));
            }
            None => *accepted = true,
        }
    }
    let kinds: BTreeSet<&str> = expected.iter().map(|row| row.3.as_str()).collect();
    assert!(
        ["date", "date_outside", "duplicate", "encoding", "field_count"].iter().all(|k| kinds.contains(k))
    );
    assert_eq!(returned(&folder, "ENKELTREGNING.csv"), expected);

    for (file, fields) in [("DIAGNOSE.csv", 5), ("TAKST.csv", 3)] {
        let (mut expected, mut seen) = (BTreeSet::new(), BTreeSet::new());
        for (number, line) in sent(&delivery, file) {
            let fault = if line.split(|b| *b == b';').count() != fields {
                "field_count"
            } else if !contacts[&key(&line)] {
                "rejected_contact"
            } else if !seen.insert(line.clone()) {
                "duplicate"
            } else {
                continue;
            };
            expected.insert((number, key(&line), "refused".to_owned(), fault.to_owned()));
        }
        assert!(!expected.is_empty());
        assert_eq!(returned(&folder, file), expected, "{file}");
    }

    // The report counts what the files list, and no identity number or serial number of a person is in any of it.
    let report: serde_json::Value = serde_json::from_slice(&fs::read(folder.join(REPORT)).unwrap()).unwrap();
    for file in report["files"].as_array().unwrap() {
        let listed = fs::read_to_string(folder.join(file["file"].as_str().unwrap())).unwrap();
        let counts: BTreeMap<String, u64> = serde_json::from_value(file["faults"].clone()).unwrap();
        assert_eq!(counts.values().sum::<u64>(), listed.lines().count() as u64 - 1);
        assert_eq!(file["listed"], listed.lines().count() - 1);
    }
    let all: Vec<u8> = tree(&folder).into_values().flatten().collect();
    let text = String::from_utf8(all).unwrap();
    let longest = text.split(|c: char| !c.is_ascii_hexdigit()).filter(|run| run.len() != 64);
    assert!(longest.flat_map(|run| run.split(|c: char| !c.is_ascii_digit())).all(|run| run.len() < 11));
    assert!(!place.returns().read_dir().unwrap().any(|e| e.unwrap().path().extension().is_some()));
}

#[tokio::test]
async fn a_refused_delivery_goes_back_too_and_the_register_is_as_it_was() {
    let place = Place::new();
    let lines = [contact(1, "1", "2024-01-01"), contact(2, "1", "2024-02-30"), "3;1;2024-01-01".to_owned()];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let delivery =
        place.kuhr("d", &describe("KPR", "kuhr", 2024, "2025-02-01"), &lines, &[], &[], &["1;p1", "2;x"]);
    let IngestError::Refused(quality) = place.ingest(&delivery).await.unwrap_err() else { panic!("taken") };
    let folder = place.returns().join(quality.delivery.to_string());
    let row = |line: u64, key: &str, fault: &str| (line, key.into(), "refused".into(), fault.into());
    assert_eq!(
        returned(&folder, "ENKELTREGNING.csv"),
        BTreeSet::from([row(3, "2", "date"), row(4, "3", "field_count")])
    );
    assert_eq!(returned(&folder, "KPR_IDE.csv"), BTreeSet::from([row(3, "", "identity_number")]));
    let report = fs::read_to_string(folder.join(REPORT)).unwrap();
    assert!(report.contains("refused_for") && report.contains("ENKELTREGNING.csv"));
    assert!(!place.register().join("CURRENT").exists());
}

#[tokio::test]
async fn other_forms_come_back_as_the_register_has_them_and_unknown_persons_by_the_senders_key() {
    let mut place = Place::new();
    place.limits.max_bad_share = 1.0;
    let lines = ["8;1;2024-01-01;10:00;2;1980;0301;;1;3;;12,5;100.00", &contact(9, "77", "2024-01-01")];
    let delivery = place.kuhr("d", &describe("KPR", "kuhr", 2024, "2025-02-01"), &lines, &[], &[], &["1;p1"]);
    let IngestReport::Taken { quality, .. } = place.ingest(&delivery).await.unwrap() else {
        panic!("not taken")
    };
    let folder = place.returns().join(quality.delivery.to_string());
    let text = fs::read_to_string(folder.join("ENKELTREGNING.csv")).unwrap();
    let rows = "2;8;normalised;;egenandelPasient;12.50\n3;9;kept_without_person;unknown_person;;\n";
    assert_eq!(text, format!("{HEADER}\n{rows}"));
}

/// The attacker is the sender: it knows every line it sent, repetitions and faults among them, and sees what comes back.
#[tokio::test]
async fn a_return_does_not_tell_who_objects() {
    let of = async |objects: bool| {
        let place = Place::new();
        let person = if objects { "1;p1" } else { "1;p2" };
        let files: [(&str, &str, &[&str]); 2] =
            [("RESERVASJON.csv", "kpr_lnr;fra;til", &["1;2025-01-10;"]), ("KPR_IDE.csv", SERIAL, &[person])];
        let objections = place.write("o", &describe("KPR", "reservasjon", 2024, "2025-01-15"), &files);
        place.ingest(&objections).await.unwrap();
        fs::remove_dir_all(place.returns()).unwrap();
        let dentist = "1;1;2024-06-10;10:00;2;1980;0301;;6;3;F7;160,5;210.50";
        let others: Vec<String> = (2..200).map(|n| contact(n, "3", "2024-01-01")).collect();
        let contacts: Vec<&str> =
            [dentist, dentist].into_iter().chain(others.iter().map(String::as_str)).collect();
        let many: Vec<String> = (2..200).map(|n| format!("{n};P76;ICPC-2;1;1")).collect();
        let own = ["1;P76;ICPC-2;1;1", "1;P76;ICPC-2;1;1", "1;P7;ICPC-2;1;2"];
        let diagnoses: Vec<&str> = own.into_iter().chain(many.iter().map(String::as_str)).collect();
        let serials = ["1;p1", "3;p3"];
        let text = describe("KPR", "kuhr", 2024, "2025-02-01");
        let delivery = place.kuhr("d", &text, &contacts, &diagnoses, &[], &serials);
        let IngestReport::Taken { quality, .. } = place.ingest(&delivery).await.unwrap() else {
            panic!("not taken")
        };
        assert_eq!(quality.files.iter().map(|f| f.objected.left_out).sum::<u64>(), u64::from(objects));
        tree(&place.returns())
    };
    let (with, without) = (of(true).await, of(false).await);
    assert_eq!(with.len(), 5);
    assert_eq!(with, without);
}
