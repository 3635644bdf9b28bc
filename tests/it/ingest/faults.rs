//! Lines that are not in order, and deliveries that are refused for them.

use std::fs;
use std::sync::atomic::Ordering;

use kpr::registers::fault::FaultKind;
use kpr::registers::ingest::{IngestError, IngestReport};
use kpr::registers::quality::{Contradictions, QualityReport};

use super::{Fails, Place, contact, describe, tree};

fn faults(quality: &QualityReport, file: &str) -> Vec<(u64, FaultKind)> {
    let file = quality.files.iter().find(|f| f.file == file).unwrap();
    assert_eq!(file.bad() + file.unknown_person, file.faults.counts().values().sum::<u64>());
    file.faults.listed().iter().map(|fault| (fault.line, fault.kind)).collect()
}

async fn take(place: &Place, delivery: &std::path::Path) -> Box<QualityReport> {
    match place.ingest(delivery).await.unwrap() {
        IngestReport::Taken { quality, .. } => quality,
        IngestReport::AlreadyTaken { .. } => panic!("already taken"),
    }
}

#[tokio::test]
async fn each_kind_of_bad_line_is_told_by_file_and_line() {
    use FaultKind::*;
    let mut place = Place::new();
    place.limits.max_bad_share = 1.0;
    let good = contact(1, "1", "2024-01-01");
    let rest = "10:30;2;1980;0301;030105;1;3;;160.00;210.50";
    let cases: Vec<(String, Option<FaultKind>)> = vec![
        (good.clone(), None),
        (good.clone(), Some(Duplicate)),
        (contact(1, "2", "2024-05-05"), Some(Duplicate)),
        (good[..good.len() - 20].to_owned(), Some(FieldCount)),
        (format!("{good};"), Some(FieldCount)),
        (String::new(), Some(FieldCount)),
        (format!("2;1;2024-02-30;{rest}"), Some(Date)),
        (format!("3;1;20240201;{rest}"), Some(Date)),
        (format!("4;1;2023-12-31;{rest}"), Some(DateOutside)),
        (format!("5;1;2094-01-01;{rest}"), Some(DateOutside)),
        (format!("6;1;;{rest}"), Some(Missing)),
        (format!(";1;2024-01-01;{rest}"), Some(Missing)),
        (format!("12345678901;1;2024-01-01;{rest}"), Some(Number)),
        (format!("7;02813299997;2024-01-01;{rest}"), Some(Number)),
        ("8;1;2024-01-01;24:30;2;1980;0301;;1;3;;;".into(), Some(Time)),
        ("9;1;2024-01-01;;3;1980;0301;;1;3;;;".into(), Some(Code)),
        ("10;1;2024-01-01;;2;2025;0301;;1;3;;;".into(), Some(DateOutside)),
        ("11;1;2024-01-01;;2;1980;301;;1;3;;;".into(), Some(Code)),
        ("12;1;2024-01-01;;2;1980;0301;;15;3;;;".into(), Some(Code)),
        ("13;1;2024-01-01;;2;1980;0301;;1;7;;;".into(), Some(Code)),
        ("14;1;2024-01-01;;2;1980;0301;;1;3;;-1;".into(), Some(Number)),
        ("15;1;2024-01-01;;2;1980;0301;;;3;;;".into(), Some(Missing)),
        (contact(16, "77", "2024-01-01"), Some(UnknownPerson)),
        (format!("17;1;2024-01-01;{rest}{}", "9".repeat(2000)), Some(TooLong)),
        (contact(18, "1", "2024-01-01"), None),
    ];
    let contacts: Vec<&str> = cases.iter().map(|(line, _)| line.as_str()).collect();
    let diagnoses: [(&str, Option<FaultKind>); 10] = [
        ("1;P76;ICPC-2;1;1", None),
        ("1;P76;ICPC-2;1;1", Some(Duplicate)),
        ("18;P76;ICPC-9;1;1", Some(Code)),
        ("18;C76;ICPC-2;1;1", Some(Code)),
        ("18;P7;ICPC-2;1;1", Some(Code)),
        ("18;P76;ICPC-2;2;1", Some(Code)),
        ("18;P76;ICPC-2;1;x", Some(Number)),
        ("99;P76;ICPC-2;1;1", Some(UnknownContact)),
        ("2;P76;ICPC-2;1;1", Some(RejectedContact)),
        ("18;;ICPC-2;1;1", Some(Missing)),
    ];
    let takster: [(&str, Option<FaultKind>); 4] = [
        ("1;2ad;1", None),
        ("1;2ad;0", Some(Number)),
        ("1;2 ad;1", Some(Code)),
        ("17;2ad;1", Some(UnknownContact)),
    ];
    let delivery = place.kuhr(
        "messy",
        &describe("KPR", "kuhr", 2024, "2025-02-01"),
        &contacts,
        &diagnoses.map(|(line, _)| line),
        &takster.map(|(line, _)| line),
        &["1;p1", "2;p2", "3;x", "4"],
    );
    let quality = take(&place, &delivery).await;
    let expected = |kinds: Vec<Option<FaultKind>>| -> Vec<(u64, FaultKind)> {
        (2..).zip(kinds).filter_map(|(line, kind)| Some((line, kind?))).collect()
    };
    assert_eq!(faults(&quality, "ENKELTREGNING.csv"), expected(cases.iter().map(|c| c.1).collect()));
    assert_eq!(faults(&quality, "DIAGNOSE.csv"), expected(diagnoses.iter().map(|c| c.1).collect()));
    assert_eq!(faults(&quality, "TAKST.csv"), expected(takster.iter().map(|c| c.1).collect()));
    assert_eq!(faults(&quality, "KPR_IDE.csv"), [(4, IdentityNumber), (5, FieldCount)]);
    assert_eq!(place.rows("kuhr_contact").len(), 3, "two good ones and one of an unknown person");
    assert_eq!(quality.files[1].unknown_person, 1);

    let report = serde_json::to_string(&quality).unwrap();
    for content in ["02813299997", "12345678901", "P76", "2ad", "210.50", "20240201"] {
        assert!(!report.contains(content), "{content} is in the report");
    }
}

#[tokio::test]
async fn latin_1_and_a_cut_file_cost_their_lines_only() {
    let mut place = Place::new();
    place.limits.max_bad_share = 0.6;
    let lines: Vec<String> = (1..=5).map(|n| contact(n, "1", "2024-01-01")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let delivery = place.kuhr("d", &describe("KPR", "kuhr", 2024, "2025-02-01"), &lines, &[], &[], &["1;p1"]);
    let path = delivery.join("ENKELTREGNING.csv");
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(8).position(|w| w == b"3;1;2024").unwrap();
    bytes[at + 2] = 0xE5;
    // The last amount loses its last digit and its line end: still a number, but not the one sent.
    bytes.truncate(bytes.len() - 2);
    fs::write(&path, bytes).unwrap();
    let quality = take(&place, &delivery).await;
    let expected = [(4, FaultKind::Encoding), (6, FaultKind::Unended)];
    assert_eq!(faults(&quality, "ENKELTREGNING.csv"), expected);
    assert_eq!(place.rows("kuhr_contact").len(), 3);
}

#[tokio::test]
async fn contradictions_are_counted_and_kept() {
    let place = Place::new();
    let lines = [
        "1;1;2024-01-01;;1;1980;0301;;1;3;;;",
        "2;1;2024-02-01;;2;1980;0301;;1;3;;;",
        "3;1;2024-03-01;;1;;4601;;1;3;;;",
        "4;2;2024-01-01;;1;1980;0301;;1;3;;;",
        "5;2;2024-01-01;;;1981;;;1;3;;;",
        "6;;2024-01-01;;2;1990;0301;;1;3;;;",
        "7;;2024-01-01;;1;1991;4601;;1;3;;;",
    ];
    let delivery =
        place.kuhr("d", &describe("KPR", "kuhr", 2024, "2025-02-01"), &lines, &[], &[], &["1;p1", "2;p2"]);
    let quality = take(&place, &delivery).await;
    assert_eq!(quality.files[1].contradictions, Contradictions { sex: 1, birth_year: 1, municipality: 1 });
    assert_eq!(quality.files[1].accepted, 7);
}

#[tokio::test]
async fn beyond_the_limit_nothing_is_taken() {
    let place = Place::new();
    let year = |name: &str, year: i32, bad: usize, serials: &[&str]| {
        let date = |n: usize| if n < bad { "2024-02-30".into() } else { format!("{year}-03-01") };
        let lines: Vec<String> = (0..100).map(|n| contact(n as u64 + 1, "1", &date(n))).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        place.kuhr(name, &describe("KPR", "kuhr", year, "2025-02-01"), &lines, &[], &[], serials)
    };
    place.ingest(&year("good", 2023, 2, &["1;p1"])).await.unwrap();
    let before = tree(&place.register());

    for (name, bad, serials, file) in [
        ("lines", 3, &["1;p1"][..], "ENKELTREGNING.csv"),
        ("identities", 0, &["1;p1", "2;x"], "KPR_IDE.csv"),
        ("wrong_identity_file", 0, &["2;p1"], "ENKELTREGNING.csv"),
    ] {
        let error = place.ingest(&year(name, 2024, bad, serials)).await.unwrap_err();
        assert!(error.to_string().contains(file), "{error}");
        let IngestError::Refused(quality) = error else { panic!("refused for another reason") };
        assert_eq!(quality.refused_for, [file]);
        assert_eq!(tree(&place.register()), before, "{name}");
    }
    assert_eq!(place.identity.commits.load(Ordering::SeqCst), 1);
    assert_eq!(place.identity.rollbacks.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn an_error_on_the_way_leaves_the_register_as_it_was() {
    let mut place = Place::new();
    let year = |place: &Place, year: i32| {
        let line = contact(1, "1", &format!("{year}-01-01"));
        let text = describe("KPR", "kuhr", year, "2025-02-01");
        place.kuhr(&format!("kuhr-{year}"), &text, &[&line], &[], &[], &["1;p1"])
    };
    let (first, second) = (year(&place, 2023), year(&place, 2024));
    place.ingest(&first).await.unwrap();
    let before = tree(&place.register());
    for fails in [Fails::AtResolve, Fails::AtCommit] {
        place.identity.fails = fails;
        assert!(matches!(place.ingest(&second).await, Err(IngestError::Intake(_))));
        assert_eq!(tree(&place.register()), before, "{fails:?}");
    }
    place.identity.fails = Fails::Never;

    // The last step but one fails: the report cannot be written, after the parts and the manifest.
    let reports = place.register().join("reports");
    let aside = place.register().join("aside");
    fs::rename(&reports, &aside).unwrap();
    fs::write(&reports, "in the way").unwrap();
    assert!(matches!(place.ingest(&second).await, Err(IngestError::Io { .. })));
    fs::remove_file(&reports).unwrap();
    fs::rename(&aside, &reports).unwrap();
    assert_eq!(tree(&place.register()), before);

    let lock = fs::File::open(place.register().join("LOCK")).unwrap();
    lock.lock().unwrap();
    assert!(matches!(place.ingest(&second).await, Err(IngestError::Locked)));
    lock.unlock().unwrap();
    place.ingest(&second).await.unwrap();
    assert_eq!(place.rows("kuhr_contact").len(), 2);
}
