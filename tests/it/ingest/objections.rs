//! Objections to the registration of health data (2-2): what is left out, what is kept, and that none is forgotten.

use std::path::PathBuf;

use kpr::domain::ids::{DatasetId, RegisterId};
use kpr::plan::{Catalogue, VariableRole};
use kpr::registers::ingest::{IngestError, IngestReport};
use kpr::registers::quality::{Objected, QualityReport};
use kpr::registers::snapshot::Snapshot;

use super::{Place, SERIAL, describe, tree};

const HEADER: &str = "kpr_lnr;fra;til";

fn objections(place: &Place, name: &str, created: &str, lines: &[&str], serials: &[&str]) -> PathBuf {
    let files: [(&str, &str, &[&str]); 2] =
        [("RESERVASJON.csv", HEADER, lines), ("KPR_IDE.csv", SERIAL, serials)];
    place.write(name, &describe("KPR", "reservasjon", 2024, created), &files)
}

/// A contact of each type of service of person 1, dated in one month each, with a diagnosis and a takst.
fn services(place: &Place, name: &str, created: &str, person: &str) -> PathBuf {
    let contacts: Vec<String> =
        (1..=12).map(|s| format!("{s};1;2024-{s:02}-10;10:00;2;1980;0301;;{s};3;F7;160.00;210.50")).collect();
    let diagnoses: Vec<String> = (1..=12).map(|s| format!("{s};P76;ICPC-2;1;1")).collect();
    let takster: Vec<String> = (1..=12).map(|s| format!("{s};2ad;1")).collect();
    fn lines(all: &[String]) -> Vec<&str> {
        all.iter().map(String::as_str).collect()
    }
    place.kuhr(
        name,
        &describe("KPR", "kuhr", 2024, created),
        &lines(&contacts),
        &lines(&diagnoses),
        &lines(&takster),
        &[&format!("1;{person}")],
    )
}

async fn take(place: &Place, delivery: PathBuf) -> Box<QualityReport> {
    match place.ingest(&delivery).await.unwrap() {
        IngestReport::Taken { quality, .. } => quality,
        IngestReport::AlreadyTaken { .. } => panic!("already taken"),
    }
}

/// The serial numbers of the contacts that have rows in a dataset of details, and how many contacts have an exemption.
fn kept(place: &Place) -> (Vec<u32>, Vec<u32>, usize) {
    let of = |dataset| place.rows(dataset).iter().map(|row| row[2].parse().unwrap()).collect();
    let exempt = place.rows("kuhr_contact").iter().filter(|row| row[10] == "F7").count();
    (of("kuhr_diagnosis"), of("kuhr_takst"), exempt)
}

#[tokio::test]
async fn the_health_content_of_who_objects_is_left_out_and_the_administrative_part_kept() {
    let place = Place::new();
    take(&place, objections(&place, "o1", "2025-01-15", &["7;2025-01-10;"], &["7;p1"])).await;
    let quality = take(&place, services(&place, "kuhr", "2025-02-01", "p1")).await;

    let others = vec![1, 2, 3, 4, 5, 10, 11, 12];
    assert_eq!(kept(&place), (others.clone(), others, 8));
    let contacts = place.rows("kuhr_contact");
    assert_eq!(contacts.len(), 12, "the administrative part stays");
    let dentist = contacts.iter().find(|row| row[8] == "6").unwrap();
    let row = ["1", "2024-06-10", "600", "6", "2", "1980", "0301", "", "6", "3", "", "16000", "21050"];
    assert_eq!(dentist, &row.map(str::to_owned));

    let of = |file: &str| quality.files.iter().find(|f| f.file == file).unwrap();
    assert_eq!(of("ENKELTREGNING.csv").objected, Objected { left_out: 0, reduced: 4 });
    for file in ["DIAGNOSE.csv", "TAKST.csv"] {
        let file = of(file);
        assert_eq!((file.objected, file.accepted, file.bad()), (Objected { left_out: 4, reduced: 0 }, 8, 0));
    }

    // Somebody else's objection leaves this person's content alone.
    let place = Place::new();
    take(&place, objections(&place, "o1", "2025-01-15", &["7;2025-01-10;"], &["7;p2"])).await;
    take(&place, services(&place, "kuhr", "2025-02-01", "p1")).await;
    assert_eq!(kept(&place).2, 12);
}

/// Nothing that the catalogue calls sensitive is there of a covered contact; a variable that is added later and not left out fails here.
#[tokio::test]
async fn no_variable_that_the_catalogue_calls_sensitive_is_left_of_a_covered_contact() {
    let place = Place::new();
    take(&place, objections(&place, "o1", "2025-01-15", &["7;2025-01-10;"], &["7;p1"])).await;
    take(&place, services(&place, "kuhr", "2025-02-01", "p1")).await;
    let catalogue = Catalogue::load(std::path::Path::new("policies")).unwrap();
    let snapshot = Snapshot::open_current(&place.register()).unwrap();
    let mut looked_at = 0;
    for dataset in ["kuhr_contact", "kuhr_diagnosis", "kuhr_takst"] {
        let sensitive: Vec<String> = catalogue
            .dataset(&RegisterId::new("KPR").unwrap(), &DatasetId::new(dataset).unwrap())
            .unwrap()
            .variables
            .iter()
            .filter(|variable| variable.role == VariableRole::Sensitive)
            .map(|variable| variable.id.to_string())
            .collect();
        assert!(!sensitive.is_empty(), "{dataset}");
        for batch in snapshot.parts(dataset).iter().flat_map(|part| super::batches(part)) {
            let number = batch.column_by_name("contact_no").unwrap();
            for row in 0..batch.num_rows() {
                let contact = arrow::util::display::array_value_to_string(number, row).unwrap();
                if !["6", "7", "8", "9"].contains(&contact.as_str()) {
                    continue;
                }
                for name in &sensitive {
                    assert!(batch.column_by_name(name).unwrap().is_null(row), "{dataset}.{name}");
                    looked_at += 1;
                }
            }
        }
    }
    assert!(looked_at >= 4);
}

#[tokio::test]
async fn an_objection_is_on_and_off_at_once_and_does_not_reach_back() {
    let place = Place::new();
    take(&place, services(&place, "first", "2025-02-01", "p1")).await;
    assert_eq!(kept(&place).2, 12);
    // What is registered stays until the period is corrected.
    take(&place, objections(&place, "on", "2025-02-10", &["7;2025-02-10;"], &["7;p1"])).await;
    assert_eq!(kept(&place).2, 12);
    take(&place, services(&place, "second", "2025-02-11", "p1")).await;
    assert_eq!(kept(&place).2, 8);
    // Ended: the days of the objection itself stay out, the others come with the next delivery.
    take(
        &place,
        objections(
            &place,
            "off",
            "2025-02-20",
            &["1;2024-09-01;2024-09-30", "7;2025-02-10;2025-02-19"],
            &["1;p1", "7;p1"],
        ),
    )
    .await;
    take(&place, services(&place, "third", "2025-02-21", "p1")).await;
    assert_eq!(kept(&place).2, 11);
    assert!(!kept(&place).0.contains(&9), "the contact of September was under an objection then");
    let history = place.rows("objection");
    let rows = [["1", "2024-09-01", "2024-09-30"], ["1", "2025-02-10", "2025-02-19"]];
    assert_eq!(history, rows.map(|row| row.map(str::to_owned).to_vec()));
}

#[tokio::test]
async fn a_list_with_a_fault_or_without_an_earlier_objection_is_refused_whole() {
    let place = Place::new();
    let both = ["1;2024-02-01;2024-03-01", "2;2024-05-01;"];
    let serials = ["1;p1", "2;p2"];
    take(&place, objections(&place, "o1", "2025-01-15", &both, &serials)).await;
    let before = tree(&place.register());
    for (name, lines, serials) in [
        ("lost", &both[..1], &serials[..]),
        ("reopened", &["1;2024-02-01;", both[1]], &serials),
        ("other_day", &["1;2024-02-01;2024-02-15", both[1]], &serials),
        ("empty", &[], &[]),
    ] {
        let error = place.ingest(&objections(&place, name, "2025-01-20", lines, serials)).await.unwrap_err();
        assert!(matches!(error, IngestError::Forgotten(1 | 2)), "{name}: {error}");
        assert_eq!(tree(&place.register()), before, "{name}");
    }
    for (name, line, serial) in [
        ("number", "3;2024-06-01;", "3;x"),
        ("unknown", "4;2024-06-01;", "3;p3"),
        ("future", "3;2026-06-01;", "3;p3"),
        ("backward", "3;2024-06-01;2024-05-01", "3;p3"),
    ] {
        let lines = [both[0], both[1], line];
        let serials = [serials[0], serials[1], serial];
        let error =
            place.ingest(&objections(&place, name, "2025-01-20", &lines, &serials)).await.unwrap_err();
        assert!(matches!(error, IngestError::Refused(_)), "{name}: {error}");
        assert_eq!(tree(&place.register()), before, "{name}");
    }
    let ended = [both[0], "2;2024-05-01;2025-01-18"];
    take(&place, objections(&place, "o2", "2025-01-20", &ended, &serials)).await;
}
