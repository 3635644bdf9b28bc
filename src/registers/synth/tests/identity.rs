//! Identity numbers and serial numbers.

use std::collections::{HashMap, HashSet};

use super::super::number::tests::remainders;
use super::{Written, files};

#[test]
fn numbers_have_month_80_and_are_nobody_elses() {
    let written = Written::new(|options| options.messy = true, 20_000, 4);
    let rows = written.rows("folkeregisteret/identitet.csv");
    let mut seen = HashSet::new();
    let (mut new_rule, mut d_numbers) = (0, 0);
    for row in &rows {
        let number = row[1].as_bytes();
        assert_eq!(number.len(), 11);
        let month: u32 = row[1][2..4].parse().unwrap();
        assert!((81..=92).contains(&month));
        let day: u32 = row[1][..2].parse().unwrap();
        match row[2].as_str() {
            "DNR" => assert!((41..=71).contains(&day)),
            "FNR" => assert!((1..=31).contains(&day)),
            other => panic!("{other}"),
        }
        d_numbers += u64::from(row[2] == "DNR");
        let (first, second) = remainders(number);
        assert!(first <= 3 && second == 0);
        new_rule += u64::from(first != 0);
        assert!(seen.insert(&row[1]), "a number belongs to two persons");
        assert!(row[4].is_empty() || row[3] <= row[4]);
    }
    assert!(d_numbers > 400, "{d_numbers}");
    assert!((30..110).contains(&new_rule), "{new_rule}");
    let mut numbers_of = HashMap::<&str, Vec<&Vec<String>>>::new();
    for row in &rows {
        numbers_of.entry(&row[0]).or_default().push(row);
    }
    assert_eq!(numbers_of.len(), 20_000);
    let changed = |from: &str, to: &str| {
        numbers_of.values().filter(|rows| rows.len() == 2 && rows[0][2] == from && rows[1][2] == to).count()
    };
    assert!(changed("DNR", "FNR") > 200 && changed("FNR", "FNR") > 30);
}

#[test]
fn content_holds_no_identity_number_and_no_eleven_digits() {
    let written = Written::new(|options| options.messy = true, 3_000, 4);
    for path in files(written.folder.path()) {
        let name = path.file_name().unwrap().to_str().unwrap();
        if ["identitet.csv", "KPR_IDE.csv", "NPR_IDE.csv"].contains(&name) {
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        let longest = bytes.split(|b| !b.is_ascii_digit()).map(<[u8]>::len).max().unwrap();
        assert!(longest <= 10, "{name}");
    }
}

#[test]
fn registers_keep_the_number_of_the_day() {
    let written = Written::new(|options| options.years = vec![2024, 2025], 20_000, 6);
    let valid: HashMap<String, (String, String)> = written
        .rows("folkeregisteret/identitet.csv")
        .into_iter()
        .map(|row| (row[1].clone(), (row[3].clone(), row[4].clone())))
        .collect();
    for (content, identity, person, date) in [
        ("kuhr-2024/ENKELTREGNING.csv", "kuhr-2024/KPR_IDE.csv", 1, 2),
        ("kuhr-2025/ENKELTREGNING.csv", "kuhr-2025/KPR_IDE.csv", 1, 2),
        ("npr-2024/EPISODE.csv", "npr-2024/NPR_IDE.csv", 1, 5),
        ("iplos-2024/FUNKSJON.csv", "iplos-2024/KPR_IDE.csv", 0, 2),
    ] {
        let numbers: HashMap<String, String> =
            written.rows(identity).into_iter().map(|row| (row[0].clone(), row[1].clone())).collect();
        let mut used = HashSet::new();
        for row in written.rows(content) {
            let (from, to) = &valid[&numbers[&row[person]]];
            if !content.starts_with("iplos") {
                assert!(*from <= row[date] && (to.is_empty() || row[date] <= *to), "{content}");
            }
            used.insert(row[person].clone());
        }
        assert!(used.iter().all(|serial| numbers.contains_key(serial)));
        if content.starts_with("kuhr") || content.starts_with("npr") {
            assert_eq!(used.len(), numbers.len(), "{identity} has a line that nothing uses");
        }
    }
}

#[test]
fn serial_numbers_say_nothing_about_numbers_or_other_deliveries() {
    let written = Written::new(|_| {}, 5_000, 9);
    let lines = |file| -> Vec<(u64, String)> {
        written.rows(file).into_iter().map(|row| (row[0].parse().unwrap(), row[1].clone())).collect()
    };
    let (kuhr, npr) = (lines("kuhr-2024/KPR_IDE.csv"), lines("npr-2024/NPR_IDE.csv"));
    let rising = |pairs: &mut dyn Iterator<Item = (u64, u64)>| {
        let pairs: Vec<_> = pairs.collect();
        let up = pairs.windows(2).filter(|w| (w[0].0 < w[1].0) == (w[0].1 < w[1].1)).count();
        up as f64 / pairs.len() as f64
    };
    let with_number = rising(&mut kuhr.iter().map(|(serial, fnr)| (*serial, fnr.parse().unwrap())));
    assert!((0.46..0.54).contains(&with_number), "{with_number}");
    let place: HashMap<_, _> = npr.iter().zip(0_u64..).map(|((_, fnr), place)| (fnr, place)).collect();
    let by_place = kuhr.iter().zip(0_u64..).filter_map(|((_, fnr), at)| Some((at, *place.get(fnr)?)));
    let with_place = rising(&mut by_place.into_iter());
    assert!((0.46..0.54).contains(&with_place), "{with_place}");
    let serials: HashSet<_> =
        written.rows("kuhr-2024/ENKELTREGNING.csv").into_iter().map(|r| r[0].clone()).collect();
    assert_eq!(serials.len() as u64, written.summary.contacts);
}
