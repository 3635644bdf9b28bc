//! Cell-key noise against one who asks again, in other words and other tables.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;

use super::{Desk, line};

/// Persons with a place and a sex each.
fn persons(number: usize) -> Vec<(String, usize, &'static str)> {
    let rng = &mut ChaCha20Rng::seed_from_u64(1);
    (0..number)
        .map(|n| (format!("id-{n}"), rng.random_range(0..6), if rng.random_bool(0.5) { "m" } else { "f" }))
        .collect()
}

const OPTIONS: &str = "--count n --contributors id --method cellkey --key key";

#[test]
fn asking_again_in_other_words_gives_the_same_noise() {
    let desk = Desk::new();
    desk.key("key", 3);
    let mut all = persons(160);
    let place = |p: usize| all.iter().filter(|(_, at, _)| *at == p).count() as i64;
    let truth: Vec<i64> = (0..6).map(place).collect();
    let rng = &mut ChaCha20Rng::seed_from_u64(2);
    let mut answers: Vec<BTreeSet<String>> = vec![BTreeSet::new(); 7];
    for turn in 0..20 {
        all.shuffle(rng);
        // Other names for columns and codes, other orders, with and without another dimension.
        let by_sex = turn % 2 == 1;
        let mut cells =
            if by_sex { format!("sex,id,place{turn},n\n") } else { format!("id,place{turn},n\n") };
        for (id, at, sex) in &all {
            let sex = if by_sex { format!("{sex},") } else { String::new() };
            cells += &format!("{sex}{id},t{turn}-{at},1\n");
        }
        desk.write("cells.csv", &cells);
        let lines = desk.protect("cells.csv", OPTIONS).unwrap();
        let value = |code: &str| {
            let codes = if by_sex { vec!["Total", code] } else { vec![code] };
            line(&lines, &codes).rest[0].clone()
        };
        answers[6].insert(value("Total"));
        for (at, answers) in answers.iter_mut().take(6).enumerate() {
            answers.insert(value(&format!("t{turn}-{at}")));
        }
    }
    // Twenty answers average to the first of them.
    assert!(answers.iter().all(|values| values.len() == 1), "{answers:?}");
    let noise: Vec<i64> =
        answers.iter().zip(&truth).map(|(a, t)| a.first().unwrap().parse::<i64>().unwrap() - t).collect();
    assert!(noise.iter().any(|n| *n != 0) && noise.iter().all(|n| n.abs() <= 10), "{noise:?}");
}

#[test]
fn no_small_value_is_shown_and_one_person_more_changes_the_noise() {
    let desk = Desk::new();
    desk.key("key", 5);
    let mut differences = BTreeSet::new();
    let mut cells = "id,group,n\n".to_owned();
    // Groups of 0 to 39 persons, each beside one with another person more.
    let mut next = 0;
    for size in 0..40 {
        for twin in ["a", "b"] {
            cells += &format!("nobody,{twin}{size},0\n");
            let shared = (0..size).map(|n| format!("g{size}-{n}"));
            for id in shared.chain((twin == "b").then(|| format!("one-{size}"))) {
                cells += &format!("{id},{twin}{size},1\n");
                next += 1;
            }
        }
    }
    desk.write("cells.csv", &cells);
    let lines =
        desk.protect("cells.csv", &format!("{OPTIONS} --min-persons 4 --noise-bound 6 --noise-variance 3.5"));
    let lines = lines.unwrap();
    for size in 0..40_i64 {
        let value = |twin: &str| line(&lines, &[&format!("{twin}{size}")]).rest[0].parse::<i64>().unwrap();
        for (value, count) in [(value("a"), size), (value("b"), size + 1)] {
            assert!(value == 0 || value >= 4, "{value}");
            assert!((value - count).abs() <= 6);
        }
        if size > 10 {
            differences.insert(value("b") - value("a"));
        }
    }
    assert_eq!(line(&lines, &["a0"]).rest, ["0", ""]);
    // Who subtracts the twins does not learn that one person is between them.
    assert!(differences.len() > 4, "{differences:?}");
    assert!(next > 1000);
}

#[test]
fn another_key_gives_other_noise_and_a_readable_one_is_refused() {
    let desk = Desk::new();
    let cells = persons(600).iter().map(|(id, at, _)| format!("{id},{at},1\n")).collect::<String>();
    desk.write("cells.csv", &format!("id,place,n\n{cells}"));
    desk.key("key", 1);
    let first = desk.protect("cells.csv", OPTIONS).unwrap();
    desk.key("key", 2);
    assert_ne!(desk.protect("cells.csv", OPTIONS).unwrap(), first);
    std::fs::set_permissions(desk.path("key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    desk.refused("cells.csv", OPTIONS, "set its mode to 0600");
}
