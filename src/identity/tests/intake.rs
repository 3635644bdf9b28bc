use proptest::prelude::*;
use tempfile::tempdir;

use super::*;

fn faults(answers: &Answers) -> Vec<(u64, FaultKind)> {
    answers.faults.iter().map(|fault| (fault.line, fault.kind)).collect()
}

#[tokio::test]
async fn unknown_numbers_become_dense_persons_and_stay_so() {
    let dir = tempdir().unwrap();
    let service = open(dir.path(), &[1]).await.unwrap();
    let lines = serial_lines(&numbers(0..5));
    let (first, totals) = resolve(&service, Layout::Serial, &lines, true).await;
    assert_eq!(persons(&first), [(1, 0), (2, 1), (3, 2), (4, 3), (5, 4)]);
    assert_eq!(totals, Totals { lines: 5, persons: 5 });
    assert_eq!(resolve(&service, Layout::Serial, &lines, true).await, (first, totals));
    drop(service);
    let service = open(dir.path(), &[1]).await.unwrap();
    let again = resolve(&service, Layout::Serial, &serial_lines(&numbers(3..7)), true).await.0;
    assert_eq!(persons(&again), [(1, 3), (2, 4), (3, 5), (4, 6)]);
}

#[tokio::test]
async fn a_dropped_stream_leaves_nothing_and_its_persons_are_given_again() {
    let dir = tempdir().unwrap();
    let service = open(dir.path(), &[1]).await.unwrap();
    resolve(&service, Layout::Serial, &serial_lines(&numbers(0..2)), true).await;
    resolve(&service, Layout::Serial, &serial_lines(&numbers(2..6)), false).await;
    let mut broken_off = service.begin_intake(Layout::Serial).unwrap();
    broken_off.push(format!("kpr_lnr;fnr\n1;{}\n", number(8)).as_bytes()).unwrap();
    drop(broken_off);
    let (answers, _) = resolve(&service, Layout::Serial, &serial_lines(&numbers(9..11)), true).await;
    assert_eq!(persons(&answers), [(1, 2), (2, 3)]);
}

#[tokio::test]
async fn one_file_is_read_at_a_time() {
    let dir = tempdir().unwrap();
    let service = open(dir.path(), &[1]).await.unwrap();
    let first = service.begin_intake(Layout::Serial).unwrap();
    assert!(matches!(service.begin_intake(Layout::Population), Err(IdentityError::Busy)));
    drop(first);
    assert!(service.begin_intake(Layout::Population).is_ok());
}

#[tokio::test]
async fn bad_lines_are_told_by_line_and_kind_only() {
    let dir = tempdir().unwrap();
    let service = open(dir.path(), &[1]).await.unwrap();
    let [a, b] = [number(0), number(1)];
    let lines = [
        format!("1;{a}"),
        "2;12345678901".into(),
        format!("3;{a};x"),
        format!("1;{a}"),
        format!("1;{b}"),
        "4;".into(),
        format!("5;{b}"),
        format!("6;{a}"),
    ];
    let (answers, totals) = resolve(&service, Layout::Serial, &lines, true).await;
    assert_eq!(persons(&answers), [(1, 0), (5, 1), (6, 0)]);
    assert_eq!(totals, Totals { lines: 8, persons: 2 });
    use FaultKind::{Conflict, Duplicate, Malformed, NotANumber};
    assert_eq!(
        faults(&answers),
        [(3, NotANumber), (4, Malformed), (5, Duplicate), (6, Conflict), (7, NotANumber)]
    );
}

#[tokio::test]
async fn a_file_without_its_header_is_refused_whole() {
    let dir = tempdir().unwrap();
    let service = open(dir.path(), &[1]).await.unwrap();
    for text in ["", "lnr;fnr\n", "1;30908299996\n", "kpr_lnr;fnr;x\n"] {
        let mut intake = service.begin_intake(Layout::Serial).unwrap();
        let outcome = intake.push(text.as_bytes()).and_then(|_| intake.finish().map(drop));
        let error = outcome.unwrap_err();
        assert!(matches!(error, IdentityError::Header(Layout::Serial)), "{error}");
        assert!(!error.to_string().contains("30908299996"));
    }
}

#[tokio::test]
async fn all_numbers_of_a_person_lead_to_one_person() {
    let dir = tempdir().unwrap();
    let service = open(dir.path(), &[1]).await.unwrap();
    let [dnr, fnr, new, other] = [number(0), number(1), number(2), number(3)];
    // A D-number known from an earlier delivery, before the population told whose it was.
    resolve(&service, Layout::Serial, &[format!("1;{other}"), format!("2;{dnr}")], true).await;
    // The fnr comes first in the file, and the lines of the person are not together.
    let lines = [
        format!("70;{fnr};FNR;2020-01-01;"),
        format!("71;{new};FNR;2021-01-01;"),
        format!("70;{dnr};FNR;2010-01-01;2019-12-31"),
    ];
    let (answers, totals) = resolve(&service, Layout::Population, &lines, true).await;
    assert_eq!(persons(&answers), [(70, 1), (71, 2)]);
    assert_eq!((faults(&answers), totals), (vec![], Totals { lines: 3, persons: 2 }));
    let all = serial_lines(&[dnr, fnr, new, other]);
    let (answers, totals) = resolve(&service, Layout::Serial, &all, true).await;
    assert_eq!(persons(&answers), [(1, 1), (2, 1), (3, 2), (4, 0)]);
    assert_eq!(totals.persons, 3);
}

#[tokio::test]
async fn numbers_of_two_known_persons_are_not_brought_together() {
    let dir = tempdir().unwrap();
    let service = open(dir.path(), &[1]).await.unwrap();
    resolve(&service, Layout::Serial, &serial_lines(&numbers(0..2)), true).await;
    let line = |serial: u64, n: usize| format!("{serial};{};FNR;;", number(n));
    let lines = [line(7, 2), line(7, 0), line(7, 1), line(8, 0), line(8, 3), line(9, 3), line(8, 3)];
    let first = resolve(&service, Layout::Population, &lines, true).await;
    assert_eq!(persons(&first.0), [(7, 0), (8, 2)]);
    use FaultKind::{Conflict, Duplicate};
    assert_eq!(faults(&first.0), [(4, Conflict), (5, Conflict), (7, Conflict), (8, Duplicate)]);
    assert_eq!(resolve(&service, Layout::Population, &lines, true).await, first);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever came before: the same file again gives the same answers, each serial number is answered
    /// once, persons are dense, and no identifier changes its person.
    #[test]
    fn the_same_file_again_changes_nothing(
        files in proptest::collection::vec(
            (any::<bool>(), proptest::collection::vec((1..8u64, 0..10usize), 0..14)), 1..4),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let pool = numbers(0..10);
        let outcome: Result<(), TestCaseError> = runtime.block_on(async {
            let dir = tempdir().unwrap();
            let service = open(dir.path(), &[1]).await.unwrap();
            let mut known: Vec<Option<u32>> = vec![None; pool.len()];
            for (population, lines) in files {
                let layout = if population { Layout::Population } else { Layout::Serial };
                let tail = if population { ";FNR;;" } else { "" };
                let lines: Vec<String> =
                    lines.iter().map(|&(serial, n)| format!("{serial};{}{tail}", pool[n])).collect();
                let uncommitted = resolve(&service, layout, &lines, false).await;
                let first = resolve(&service, layout, &lines, true).await;
                prop_assert_eq!(&uncommitted, &first);
                prop_assert_eq!(&resolve(&service, layout, &lines, true).await, &first);
                let serials: std::collections::BTreeSet<u64> = first.0.persons.iter().map(|p| p.0).collect();
                prop_assert_eq!(serials.len(), first.0.persons.len());
                if population {
                    let persons: std::collections::BTreeSet<_> = first.0.persons.iter().map(|p| p.1).collect();
                    prop_assert_eq!(persons.len(), first.0.persons.len());
                }
                let rows = service.vault.index();
                let mut cipher = service.vault.cipher();
                for (before, number) in known.iter_mut().zip(&pool) {
                    let sealed = cipher.seal(&Fnr::parse(number.as_bytes()).unwrap());
                    let person = rows.find(&sealed).and_then(|place| rows.person_at(place)).map(|p| p.0);
                    prop_assert!(before.is_none() || *before == person);
                    *before = person;
                }
                let given: std::collections::BTreeSet<u32> = known.iter().flatten().copied().collect();
                prop_assert!(given.iter().copied().eq(0..given.len() as u32));
            }
            Ok(())
        });
        outcome?;
    }
}
