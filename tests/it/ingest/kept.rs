//! What is kept of deliveries that are in order.

use std::fs;

use kpr::registers::ingest::{IngestError, IngestReport};
use kpr::registers::snapshot::{Snapshot, SnapshotError};
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::{Place, SERIAL, batches, contact, describe, tree};

const PERSON: &str = "lnr;kjonn;fodselsdato;doedsdato;utvandringsdato";
const RESIDENCE: &str = "lnr;kommuneNr;fra;til";
const IDENTITY: &str = "lnr;identifikator;type;gyldigFra;gyldigTil";

fn row(cells: &str) -> Vec<String> {
    cells.split(',').map(str::to_owned).collect()
}

#[tokio::test]
async fn a_kuhr_delivery_becomes_three_sorted_datasets() {
    let place = Place::new();
    let contacts = [
        contact(901, "11", "2024-03-02").as_str(),
        "902;12;2024-01-05;;;;;;14;0;;;",
        "903;;2024-02-01;00:00;1;2001;5501;;2;3;F7;0;12,5",
        contact(904, "11", "2024-02-29").as_str(),
    ]
    .map(str::to_owned);
    let contacts: Vec<&str> = contacts.iter().map(String::as_str).collect();
    let delivery = place.kuhr(
        "kuhr-2024",
        &describe("KPR", "kuhr", 2024, "2025-02-01"),
        &contacts,
        &["901;P76;ICPC-2;1;1", "901;F329;ICD-10;0;2", "903;A97;ICPC-2;1;1"],
        &["901;2ad;1", "904;615;2", "904;2ad;1"],
        &["12;p3", "11;p7"],
    );
    let IngestReport::Taken { snapshot, replaces, quality } = place.ingest(&delivery).await.unwrap() else {
        panic!("not taken")
    };
    assert!(replaces.is_empty());
    assert_eq!(
        place.rows("kuhr_contact"),
        [
            row("3,2024-01-05,,902,,,,,14,0,,,"),
            row("7,2024-02-29,630,904,2,1980,0301,030105,1,3,,16000,21050"),
            row("7,2024-03-02,630,901,2,1980,0301,030105,1,3,,16000,21050"),
            row(",2024-02-01,0,903,1,2001,5501,,2,3,F7,0,1250"),
        ]
    );
    assert_eq!(
        place.rows("kuhr_diagnosis"),
        [
            row("7,2024-03-02,901,P76,ICPC-2,true,1"),
            row("7,2024-03-02,901,F329,ICD-10,false,2"),
            row(",2024-02-01,903,A97,ICPC-2,true,1"),
        ]
    );
    assert_eq!(
        place.rows("kuhr_takst"),
        [row("7,2024-02-29,904,2ad,1"), row("7,2024-02-29,904,615,2"), row("7,2024-03-02,901,2ad,1")]
    );

    let opened = Snapshot::open_current(&place.register()).unwrap();
    assert_eq!(opened.id(), snapshot);
    assert_eq!(opened.rows("kuhr_contact"), 4);
    assert_eq!(opened.coverage("kuhr_takst").map(|p| p.to().to_string()), Some("2024-12-31".into()));
    let file = quality.files.iter().find(|f| f.file == "ENKELTREGNING.csv").unwrap();
    assert_eq!((file.lines, file.accepted, file.with_person, file.without_person), (4, 4, 3, 1));
    assert_eq!((quality.persons, quality.serial_numbers), (2, 2));

    let report = place.register().join("reports").join(format!("{}.json", quality.delivery));
    let report: serde_json::Value = serde_json::from_slice(&fs::read(report).unwrap()).unwrap();
    assert_eq!(report["description"]["sender"], "Helsedirektoratet");
    assert_eq!(report["files"][1]["accepted"], 4);
    assert!(!place.register().join("staging").exists());
}

#[tokio::test]
async fn the_order_is_declared_in_the_file() {
    let place = Place::new();
    let lines: Vec<String> =
        (0..3000_u64).map(|n| contact(n + 1, &(n * 7919 % 500).to_string(), "2024-05-06")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let serials: Vec<String> = (0..500).map(|n| format!("{n};p{}", 499 - n)).collect();
    let serials: Vec<&str> = serials.iter().map(String::as_str).collect();
    let delivery = place.kuhr("d", &describe("KPR", "kuhr", 2024, "2025-02-01"), &lines, &[], &[], &serials);
    place.ingest(&delivery).await.unwrap();

    let snapshot = Snapshot::open_current(&place.register()).unwrap();
    assert!(snapshot.parts("kuhr_diagnosis").is_empty());
    let [part] = snapshot.parts("kuhr_contact") else { panic!("one part is expected") };
    let reader = SerializedFileReader::new(fs::File::open(part).unwrap()).unwrap();
    let group = reader.metadata().row_group(0);
    let order: Vec<(i32, bool, bool)> = group
        .sorting_columns()
        .unwrap()
        .iter()
        .map(|column| (column.column_idx, column.descending, column.nulls_first))
        .collect();
    assert_eq!(order, [(0, false, false), (1, false, false)]);
    let schema = batches(part)[0].schema();
    assert_eq!((schema.field(0).name().as_str(), schema.field(1).name().as_str()), ("person_no", "dato"));
    assert!(group.column(0).statistics().is_some_and(|s| s.min_bytes_opt().is_some()));
    let persons: Vec<u32> = place.rows("kuhr_contact").iter().map(|row| row[0].parse().unwrap()).collect();
    assert!(persons.is_sorted());
    assert_eq!(persons.len(), 3000);
}

#[tokio::test]
async fn the_population_is_replaced_whole_and_names_its_municipalities() {
    let place = Place::new();
    let write = |name: &str, year, created: &str, residences: &[&str]| {
        let files: [(&str, &str, &[&str]); 3] = [
            ("person.csv", PERSON, &["5;1;1950-06-01;2024-05-05;", "6;2;2001-12-31;;2023-01-01"]),
            ("bosted.csv", RESIDENCE, residences),
            (
                "identitet.csv",
                IDENTITY,
                &["6;p0;FNR;2001-12-31;", "5;p1;DNR;1990-01-01;1991-01-01", "5;p1;FNR;1991-01-01;"],
            ),
        ];
        place.write(name, &describe("FREG", "folkeregisteret", year, created), &files)
    };
    let first = ["5;0301;1950-06-01;2000-01-01", "5;4601;2000-01-01;", "6;5501;2001-12-31;2023-01-01"];
    place.ingest(&write("freg-2023", 2023, "2024-06-01", &first)).await.unwrap();
    assert_eq!(
        place.rows("population"),
        [row("0,2,2001-12-31,,2023-01-01"), row("1,1,1950-06-01,2024-05-05,")]
    );
    assert_eq!(
        place.rows("residence"),
        [row("0,5501,2001-12-31,2023-01-01"), row("1,0301,1950-06-01,2000-01-01"), row("1,4601,2000-01-01,"),]
    );
    let municipalities = |snapshot: &Snapshot| snapshot.municipalities().iter().cloned().collect::<Vec<_>>();
    let before = Snapshot::open_current(&place.register()).unwrap();
    assert_eq!(municipalities(&before), ["0301", "4601", "5501"]);

    let second = ["5;0301;1950-06-01;2000-01-01", "5;4601;1999-01-01;"];
    let IngestReport::Taken { replaces, quality, .. } =
        place.ingest(&write("freg-2024", 2024, "2025-01-10", &second)).await.unwrap()
    else {
        panic!("not taken")
    };
    assert_eq!(replaces, before.deliveries().map(|d| d.digest).collect::<Vec<_>>());
    let residences = quality.files.iter().find(|f| f.file == "bosted.csv").unwrap();
    assert_eq!(residences.contradictions.municipality, 1, "two residences at the same time");
    let after = Snapshot::open_current(&place.register()).unwrap();
    assert_eq!(municipalities(&after), ["0301", "4601"]);
    assert_eq!((after.rows("population"), after.rows("residence")), (2, 2));
    assert_eq!(municipalities(&Snapshot::open(&place.register(), before.id()).unwrap()).len(), 3);
}

#[tokio::test]
async fn care_services_are_counted_by_municipality() {
    let mut place = Place::new();
    place.limits.max_bad_share = 0.5;
    let function = |lnr: &str, score: &str| format!("{lnr};0301;2024-04-01;{}", [score; 20].join(";"));
    let functions = [function("1", "5"), function("1", "5"), function("2", "9")];
    let functions: Vec<&str> = functions.iter().map(String::as_str).collect();
    let header = format!(
        "kpr_lnr;kommuneNr;dato;{}",
        (1..=20).map(|n| format!("f{n:02}")).collect::<Vec<_>>().join(";")
    );
    let services = [
        "1;0301;15;2019-05-01;2024-02-01;7,25",
        "1;0301;21;2024-02-01;;",
        ";5501;6;2024-07-01;2030-01-01;168",
        "2;5501;10;2024-07-01;;",
    ];
    let files: [(&str, &str, &[&str]); 3] = [
        ("TJENESTE.csv", "kpr_lnr;kommuneNr;tjeneste;fra;til;timer", &services),
        ("FUNKSJON.csv", &header, &functions),
        ("KPR_IDE.csv", SERIAL, &["1;p1", "2;p0"]),
    ];
    let delivery = place.write("iplos", &describe("KPR", "iplos", 2024, "2025-02-01"), &files);
    let IngestReport::Taken { quality, .. } = place.ingest(&delivery).await.unwrap() else {
        panic!("not taken")
    };
    assert_eq!(
        place.rows("iplos_service"),
        [
            row("1,2019-05-01,2024-02-01,15,0301,7.25"),
            row("1,2024-02-01,,21,0301,"),
            row(",2024-07-01,2030-01-01,6,5501,168.0"),
        ]
    );
    let rows = place.rows("iplos_function");
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0][..4], ["0", "2024-04-01", "0301", "9"]);
    assert_eq!(rows[1].len(), 23);
    let report = serde_json::to_value(&quality.files).unwrap();
    assert_eq!(report[1]["municipalities"]["0301"], serde_json::json!({"lines": 2, "bad": 0}));
    assert_eq!(report[1]["municipalities"]["5501"], serde_json::json!({"lines": 2, "bad": 1}));
    assert_eq!(report[2]["municipalities"]["0301"], serde_json::json!({"lines": 3, "bad": 1}));
}

#[tokio::test]
async fn the_same_delivery_twice_changes_nothing_and_a_correction_replaces() {
    let place = Place::new();
    let year = |name: &str, created: &str, day: &str| {
        let line = contact(1, "1", day);
        place.kuhr(name, &describe("KPR", "kuhr", 2024, created), &[&line], &[], &[], &["1;p1"])
    };
    assert_eq!(Snapshot::open_current(&place.register()).unwrap_err(), SnapshotError::Empty);
    let first = year("first", "2025-02-01", "2024-01-01");
    place.ingest(&first).await.unwrap();
    let before = tree(&place.register());
    let commits = || place.identity.commits.load(std::sync::atomic::Ordering::SeqCst);
    let IngestReport::AlreadyTaken { snapshot, .. } = place.ingest(&first).await.unwrap() else {
        panic!("taken twice")
    };
    assert_eq!(snapshot, Snapshot::open_current(&place.register()).unwrap().id());
    assert_eq!(tree(&place.register()), before);
    assert_eq!(commits(), 1, "the identity service is not asked again");

    place.ingest(&year("correction", "2025-03-01", "2024-01-02")).await.unwrap();
    assert_eq!(place.rows("kuhr_contact").len(), 1);
    assert_eq!(place.rows("kuhr_contact")[0][1], "2024-01-02");
    assert!(matches!(place.ingest(&first).await, Err(IngestError::Corrected)));
    let outdated = place.ingest(&year("late", "2025-02-15", "2024-01-03")).await;
    assert!(matches!(outdated, Err(IngestError::Outdated)));

    let line = contact(1, "1", "2024-01-04");
    let half = describe("KPR", "kuhr", 2024, "2025-04-01").replace("2024-12-31", "2024-06-30");
    let half = place.kuhr("half", &half, &[&line], &[], &[], &["1;p1"]);
    assert!(matches!(place.ingest(&half).await, Err(IngestError::Overlap(_))));
    let next = describe("KPR", "kuhr", 2023, "2024-04-01");
    let line = contact(1, "1", "2023-01-04");
    place.ingest(&place.kuhr("2023", &next, &[&line], &[], &[], &["1;p9"])).await.unwrap();
    let snapshot = Snapshot::open_current(&place.register()).unwrap();
    assert_eq!(snapshot.parts("kuhr_contact").len(), 2);
    assert_eq!(snapshot.coverage("kuhr_contact").map(|p| p.from().to_string()), Some("2023-01-01".into()));
}
