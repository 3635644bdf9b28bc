//! Patient-reported outcomes and experiences (3-4) as a delivery.

use std::path::Path;

use kpr::domain::ids::{DatasetId, RegisterId};
use kpr::plan::Catalogue;
use kpr::registers::fault::FaultKind;
use kpr::registers::ingest::IngestReport;
use kpr::registers::quality::Objected;
use kpr::registers::snapshot::Snapshot;

use super::{Place, SERIAL, batches, describe};

const HEADER: &str = "svar_lnr;kpr_lnr;dato;type;skjema;sporsmal;verdi;tjenestetype;kommuneNr";

#[tokio::test]
async fn answers_are_taken_in_with_their_faults_told_and_objections_heard() {
    let mut place = Place::new();
    place.limits.max_bad_share = 1.0;
    let objections: [(&str, &str, &[&str]); 2] =
        [("RESERVASJON.csv", "kpr_lnr;fra;til", &["1;2025-01-10;"]), ("KPR_IDE.csv", SERIAL, &["1;p4"])];
    place
        .ingest(&place.write("o", &describe("KPR", "reservasjon", 2024, "2025-01-15"), &objections))
        .await
        .unwrap();
    let lines: [(&str, Option<FaultKind>); 12] = [
        ("901;1;2024-03-01;PROM;EQ5D5L;mobility;2;1;0301", None),
        ("901;1;2024-03-01;PROM;EQ5D5L;vas;85;1;0301", None),
        ("901;1;2024-03-01;PROM;EQ5D5L;vas;85;1;0301", Some(FaultKind::Duplicate)),
        ("902;2;2024-02-01;PREM;FASTLEGE;q1;5;1;", None),
        ("903;;2024-02-01;PREM;FASTLEGE;q1;5;1;5501", None),
        // Of a dentist: person 4 objects, person 7 does not.
        ("904;2;2024-02-01;PROM;OHIP14;q1;3;6;0301", None),
        ("905;1;2024-02-01;PROM;OHIP14;q1;3;6;0301", None),
        ("906;1;2024-02-01;PRUM;OHIP14;q1;3;6;0301", Some(FaultKind::Code)),
        ("907;1;2024-02-01;PROM;OHIP14;q1;1001;6;0301", Some(FaultKind::Number)),
        ("908;1;2024-02-01;PROM;;q1;1;1;0301", Some(FaultKind::Missing)),
        ("909;1;2023-02-01;PROM;OHIP14;q1;1;1;0301", Some(FaultKind::DateOutside)),
        ("910;1;2024-02-01;PROM;OHIP14;q1;1;15;0301", Some(FaultKind::Code)),
    ];
    let sent: Vec<&str> = lines.iter().map(|(line, _)| *line).collect();
    let files: [(&str, &str, &[&str]); 2] =
        [("SVAR.csv", HEADER, &sent), ("KPR_IDE.csv", SERIAL, &["1;p7", "2;p4"])];
    let delivery = place.write("prom", &describe("KPR", "prom", 2024, "2025-02-01"), &files);
    let IngestReport::Taken { quality, .. } = place.ingest(&delivery).await.unwrap() else {
        panic!("not taken")
    };
    let row = |cells: &str| cells.split(',').map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(
        place.rows("prom_answer"),
        [
            row("4,2024-02-01,902,PREM,FASTLEGE,q1,5,1,"),
            row("7,2024-02-01,905,PROM,OHIP14,q1,3,6,0301"),
            row("7,2024-03-01,901,PROM,EQ5D5L,mobility,2,1,0301"),
            row("7,2024-03-01,901,PROM,EQ5D5L,vas,85,1,0301"),
            row(",2024-02-01,903,PREM,FASTLEGE,q1,5,1,5501"),
        ]
    );
    let file = quality.files.iter().find(|f| f.file == "SVAR.csv").unwrap();
    let expected: Vec<_> = (2..).zip(lines).filter_map(|(line, (_, kind))| Some((line, kind?))).collect();
    assert_eq!(file.faults.listed().iter().map(|f| (f.line, f.kind)).collect::<Vec<_>>(), expected);
    assert_eq!(file.objected, Objected { left_out: 1, reduced: 0 });

    // What the catalogue offers is there, under the same names.
    let catalogue = Catalogue::load(Path::new("policies")).unwrap();
    let dataset =
        catalogue.dataset(&RegisterId::new("KPR").unwrap(), &DatasetId::new("prom_answer").unwrap()).unwrap();
    let snapshot = Snapshot::open_current(&place.register()).unwrap();
    let schema = batches(&snapshot.parts("prom_answer")[0])[0].schema();
    for variable in &dataset.variables {
        assert!(schema.index_of(variable.id.as_str()).is_ok(), "{}", variable.id);
    }
}
