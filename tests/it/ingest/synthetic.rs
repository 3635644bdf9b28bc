//! Synthetic deliveries: what is written there is what is read here.

use kpr::registers::ingest::IngestReport;
use kpr::registers::snapshot::Snapshot;
use kpr::registers::synth::{self, Fault, SynthOptions};

use super::Place;

/// Takes in everything but NPR; gives back the lines and the bad lines of all content files.
async fn take_in(messy: bool) -> (Place, u64, u64, synth::SynthSummary) {
    let place = Place::new();
    let out = place.delivery("deliveries");
    let options = SynthOptions {
        counties: vec!["03".into()],
        messy,
        years: vec![2024],
        ..SynthOptions::new(1500, 11, &out)
    };
    let summary = synth::write(&options, |_| {}).unwrap();
    let (mut lines, mut bad) = (0, 0);
    for name in ["folkeregisteret", "kuhr-2024", "iplos-2024"] {
        let IngestReport::Taken { quality, .. } = place.ingest(&out.join(name)).await.unwrap() else {
            panic!("{name} is not taken in")
        };
        for file in quality.files.iter().skip(1) {
            lines += file.lines;
            bad += file.bad();
            assert_eq!(file.unknown_person, 0, "{}", file.file);
            if !messy {
                assert_eq!(file.bad(), 0, "{}: {:?}", file.file, file.faults);
            }
        }
    }
    (place, lines, bad, summary)
}

#[tokio::test]
async fn clean_deliveries_have_no_bad_line() {
    let (place, _, bad, summary) = take_in(false).await;
    let snapshot = Snapshot::open_current(&place.register()).unwrap();
    assert_eq!(bad, 0);
    assert_eq!(snapshot.rows("population"), 1500);
    assert_eq!(snapshot.rows("kuhr_contact"), summary.contacts);
    assert_eq!(snapshot.rows("iplos_service"), summary.services);
    assert_eq!(snapshot.municipalities().iter().map(String::as_str).collect::<Vec<_>>(), ["0301"]);
}

#[tokio::test]
async fn messy_deliveries_lose_the_lines_that_are_spoilt() {
    let (_, lines, bad, summary) = take_in(true).await;
    let kinds = [Fault::DuplicateLine, Fault::ImpossibleDate, Fault::WrongEncoding, Fault::TruncatedLine];
    let spoilt: u64 = summary
        .faults
        .iter()
        .filter(|count| !count.path.starts_with("npr") && kinds.contains(&count.fault))
        .map(|count| count.lines)
        .sum();
    // Details of a contact whose own line is spoilt are lost with it.
    assert!(spoilt > 0 && bad >= spoilt, "{bad} of {lines} lines are bad, {spoilt} are spoilt");
    assert!(bad * 100 < lines * 2);
}
