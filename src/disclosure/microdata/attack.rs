//! Attackers who know the rule, this source code and everything released, and something of persons.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use zeroize::Zeroizing;

use super::fixtures::{even, extract, key, leaves, quasi, random, rule, run, sensitive};
use super::*;
use crate::domain::codelist::CodeList;
use crate::domain::microdata::SerialNumber;

fn made(extract: &Extract, rule: &MicrodataRule) -> Result<Checked, MicrodataError> {
    anonymise(run(), "Rows".to_owned(), extract, rule, &key())
}

/// Five variables of a few hundred persons, who live, age and earn in clusters; a diagnosis that goes
/// with age, and one rare one.
fn village(seed: u64, rows: usize, diversity: Option<Diversity>) -> Extract {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let lists = [
        even("place", &[3, 4]),
        even("age", &[4, 5]),
        even("sex", &[2]),
        even("trade", &[3, 3]),
        even("land", &[2, 6]),
    ];
    let mut columns: Vec<Vec<u32>> = vec![Vec::new(); lists.len()];
    let mut values = Vec::new();
    for _ in 0..rows {
        let cluster = (rng.next_u64() % 6) as usize;
        for (v, list) in lists.iter().enumerate() {
            let leaves = leaves(list);
            let spread = if rng.next_u64() % 8 == 0 { leaves.len() } else { 3.min(leaves.len()) };
            columns[v].push(leaves[(cluster * 2 + (rng.next_u64() as usize % spread)) % leaves.len()]);
        }
        values.push(Some(if rng.next_u64() % 20 == 0 {
            9
        } else {
            (cluster as i64 + (rng.next_u64() % 4) as i64) % 7
        }));
    }
    let names = ["place", "age", "sex", "trade", "land"];
    let quasi = names.iter().zip(lists).zip(columns).map(|((name, list), codes)| quasi(name, list, codes));
    extract(quasi.collect(), vec![sensitive(values, diversity)])
}

fn covers(list: &CodeList, code: u32, leaf: u32) -> bool {
    list.ancestry(leaf as usize).any(|above| above == code as usize)
}

/// The rows that may be a person's, to one who knows these variables of the person exactly.
fn candidates(extract: &Extract, table: &MicrodataTable, person: usize, known: &[usize]) -> Vec<usize> {
    (0..table.serials.len())
        .filter(|&row| {
            known.iter().all(|&v| {
                let code = table.columns[v].values.value(row);
                code.is_none_or(|code| {
                    covers(&extract.quasi[v].list, code as u32, extract.quasi[v].codes[person])
                })
            })
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    /// A neighbour who knows five attributes, or any of them, is left with k rows and no diagnosis.
    #[test]
    fn a_neighbour_finds_neither_row_nor_diagnosis(
        seed in any::<u64>(), rows in 60_usize..200, permille in prop::sample::select(vec![0_u32, 30, 150]),
    ) {
        let l = 3;
        let extract = village(seed, rows, Some(Diversity::new(l, [].into()).unwrap()));
        let rule = rule(5, permille);
        let Ok(Checked { table, .. }) = made(&extract, &rule) else { return Ok(()) };
        let row_of: HashMap<&SerialNumber, usize> = table.serials.iter().zip(0..).collect();
        let subsets: [&[usize]; 5] = [&[0, 1, 2, 3, 4], &[0, 1, 2], &[1], &[3, 4], &[0, 4]];
        for person in 0..rows {
            for known in subsets {
                let found = candidates(&extract, &table, person, known);
                prop_assert!(found.contains(&row_of[&extract.serials[person]]));
                prop_assert!(found.len() >= 5);
                // Nor does it help to know that the person's row was suppressed, or that it was not.
                for suppressed in [true, false] {
                    let is = |row: &&usize| table.columns[0].values.value(**row).is_none() == suppressed;
                    let values: Vec<i64> = found.iter().filter(is).filter_map(|&row| table.columns[5].values.value(row)).collect();
                    prop_assert!(values.is_empty() || values.len() >= 5);
                    for value in 0..10 {
                        prop_assert!(values.iter().filter(|v| **v == value).count() * l as usize <= values.len());
                    }
                }
            }
        }
    }
}

/// Without protection the neighbour does find persons: the attack is a real one.
#[test]
fn the_neighbour_finds_rows_that_are_not_protected() {
    let extract = village(1, 150, None);
    let table = made(&extract, &rule(3, 0)).unwrap().table;
    let mut open = table.clone();
    let number: HashMap<&SerialNumber, usize> = extract.serials.iter().zip(0..).collect();
    for v in 0..5 {
        let codes = table.serials.iter().map(|serial| Some(extract.quasi[v].codes[number[serial]]));
        open.columns[v].values =
            Values::Codes { list: extract.quasi[v].list.clone(), codes: codes.collect() };
    }
    let alone = (0..150).filter(|&p| candidates(&extract, &open, p, &[0, 1, 2, 3, 4]).len() == 1).count();
    assert!(alone > 75, "{alone}");
}

/// Wong 2007. Three persons in one place and six in another; two of the nine have the diagnosis. Had both
/// been in the small place, it would not be diverse, and the places would have been left out: a publisher
/// who generalises only in need gives them away by doing it.
#[test]
fn that_the_data_were_generalised_tells_at_most_a_factor_of_four() {
    let places = || quasi("place", even("place", &[2]), [vec![1; 3], vec![2; 6]].concat());
    let asked = || Diversity::new(2, [0].into()).unwrap();
    let pairs: Vec<(usize, usize)> = (0..9).flat_map(|a| (a + 1..9).map(move |b| (a, b))).collect();
    let keys = 96_u8;
    let generalised = |&(a, b): &(usize, usize)| -> f64 {
        let values = (0..9).map(|row| Some(i64::from(row == a || row == b)));
        let extract = extract(vec![places()], vec![sensitive(values.collect(), Some(asked()))]);
        let often = (0..keys).filter(|&n| {
            let made = anonymise(
                run(),
                String::new(),
                &extract,
                &rule(3, 0),
                &PatternKey::new(Zeroizing::new([n; 32])),
            );
            let made = made.unwrap();
            assert_eq!(made.risk.steps > 0, made.table.columns[0].values.value(0) == Some(0));
            made.risk.steps > 0
        });
        often.count() as f64 / f64::from(keys)
    };
    let chance: Vec<f64> = pairs.iter().map(generalised).collect();
    let in_need = |&(a, b): &(usize, usize)| f64::from(u8::from(a < 3 && b < 3));
    // The odds that person 0 has the diagnosis, by how likely each pair is to be generalised.
    let odds = |chance: &dyn Fn(usize) -> f64| -> f64 {
        let (mut has, mut has_not) = (0.0, 0.0);
        for (n, pair) in pairs.iter().enumerate() {
            if pair.0 == 0 { has += chance(n) } else { has_not += chance(n) }
        }
        has / has_not
    };
    let before = odds(&|_| 1.0);
    let naive = odds(&|n| in_need(&pairs[n]));
    let here = odds(&|n| chance[n]);
    assert!((before - 2.0 / 7.0).abs() < 1e-9 && naive > 6.9 * before, "{naive}");
    // Generalised always where it is needed, else with a quarter of all keys: 24 of 96, standard deviation 4.2.
    let coin = chance.iter().copied().fold(1.0, f64::min);
    assert!((0.1..0.4).contains(&coin), "{coin}");
    for (pair, chance) in pairs.iter().zip(&chance) {
        assert!((chance - if in_need(pair) > 0.0 { 1.0 } else { coin }).abs() < 1e-9);
    }
    assert!(here / before <= 1.0 / coin, "{here}");
}

/// Each release is 4-anonymous by itself; joined by serial number, a person stands alone. That is why an organisation
/// receives microdata once.
#[test]
fn releases_made_without_regard_to_each_other_betray_persons() {
    let alone = |seed| {
        let mut joined: BTreeMap<SerialNumber, Vec<Option<i64>>> = BTreeMap::new();
        for keep in [[0, 2], [1, 3]] {
            let mut extract = village(seed, 150, None);
            let mut at = 0..;
            extract.quasi.retain(|_| keep.contains(&at.next().unwrap()));
            let table = made(&extract, &rule(4, 50)).unwrap().table;
            let quasi = table.columns.iter().filter(|c| matches!(c.role, Role::QuasiIdentifier { .. }));
            let quasi: Vec<&Values> = quasi.map(|c| &c.values).collect();
            for (row, serial) in table.serials.iter().enumerate() {
                joined
                    .entry(serial.clone())
                    .or_default()
                    .extend(quasi.iter().map(|values| values.value(row)));
            }
        }
        let mut classes: HashMap<&Vec<Option<i64>>, usize> = HashMap::new();
        joined.values().for_each(|told| *classes.entry(told).or_default() += 1);
        classes.values().any(|&persons| persons == 1)
    };
    assert!((0..5).all(alone));
}

/// The random extracts of the other tests, under the neighbour's eyes.
#[test]
fn no_person_of_a_random_extract_stands_out() {
    for seed in 0..300 {
        let (extract, rule) = random(seed);
        let Ok(Checked { table, .. }) = made(&extract, &rule) else { continue };
        let known: Vec<usize> = (0..extract.quasi.len()).collect();
        for person in 0..extract.rows() {
            assert!(candidates(&extract, &table, person, &known).len() >= rule.min_persons() as usize);
        }
    }
}
