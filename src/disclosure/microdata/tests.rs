//! Random small extracts against plain checks and exhaustive search.

use std::collections::HashMap;

use proptest::prelude::*;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha20Rng;

use super::choice::bottom;
use super::classes::Frame;
use super::fixtures::{even, extract, key, leaves, quasi, random, rule, run, sensitive, serial};
use super::search::Search;
use super::*;
use crate::domain::canonical::Canonical;
use crate::domain::codelist::CodeList;
use crate::domain::microdata::SerialNumber;

fn made(extract: &Extract, rule: &MicrodataRule) -> Result<Checked, MicrodataError> {
    anonymise(run(), "Rows".to_owned(), extract, rule, &key())
}

/// Released rows by their quasi-identifiers.
fn classes(table: &MicrodataTable) -> HashMap<Vec<Option<i64>>, Vec<usize>> {
    let mut classes: HashMap<Vec<Option<i64>>, Vec<usize>> = HashMap::new();
    for row in 0..table.serials.len() {
        let quasi = table.columns.iter().filter(|c| matches!(c.role, Role::QuasiIdentifier { .. }));
        classes.entry(quasi.map(|c| c.values.value(row)).collect()).or_default().push(row);
    }
    classes
}

fn shuffled(extract: &Extract, seed: u64) -> Extract {
    let mut order: Vec<usize> = (0..extract.rows()).collect();
    order.shuffle(&mut ChaCha20Rng::seed_from_u64(seed));
    let quasi = extract.quasi.iter().map(|q| QuasiIdentifier {
        weight: q.weight,
        ..quasi(q.variable.as_str(), q.list.clone(), order.iter().map(|&row| q.codes[row]).collect())
    });
    let attributes = extract.attributes.iter().map(|a| Attribute {
        variable: a.variable.clone(),
        label: a.label.clone(),
        values: a.values.reordered(&order),
        kind: match &a.kind {
            Kind::Sensitive(asked) => Kind::Sensitive(asked.clone()),
            Kind::Other => Kind::Other,
        },
    });
    Extract {
        serials: order.iter().map(|&row| extract.serials[row].clone()).collect(),
        quasi: quasi.collect(),
        attributes: attributes.collect(),
    }
}

/// How a code looks at each level, worked out from the definition: the depth of a level's cut.
fn generalised(list: &CodeList, leaf: u32, level: usize) -> u32 {
    let depth = |code: usize| list.ancestry(code).count() - 1;
    let deepest = (0..list.len()).map(depth).max().unwrap();
    list.ancestry(leaf as usize).find(|&code| depth(code) <= deepest - level).unwrap() as u32
}

fn highest(list: &CodeList) -> usize {
    (0..list.len()).map(|code| list.ancestry(code).count() - 1).max().unwrap()
}

/// The least loss over every node of the lattice, by trying them all.
fn exhaustive(extract: &Extract, rule: &MicrodataRule) -> Option<u128> {
    let k = rule.min_persons() as usize;
    let mut nodes = vec![Vec::new()];
    for q in &extract.quasi {
        nodes = nodes
            .into_iter()
            .flat_map(|node| (0..=highest(&q.list)).map(move |level| [node.clone(), vec![level]].concat()))
            .collect();
    }
    let cost = |list: &CodeList, code: u32| {
        let below = |above: usize| {
            leaves(list).iter().filter(|&&l| list.ancestry(l as usize).any(|c| c == above)).count()
        };
        let all = below(0) as u128;
        if all < 2 { 0 } else { (below(code as usize) as u128 - 1) * 1_000_000 / (all - 1) }
    };
    let losses = nodes.iter().filter_map(|node| {
        let mut rows: HashMap<Vec<u32>, usize> = HashMap::new();
        for row in 0..extract.rows() {
            let codes =
                extract.quasi.iter().zip(node).map(|(q, &level)| generalised(&q.list, q.codes[row], level));
            *rows.entry(codes.collect()).or_default() += 1;
        }
        let small: usize = rows.values().filter(|n| **n < k).sum();
        let large = rows.values().copied().filter(|n| *n >= k).min();
        let extra = if (1..k).contains(&small) { Some(large?) } else { None };
        let suppressed = (small + extra.unwrap_or(0)) as u128;
        if suppressed > u128::from(rule.suppressed_limit(extract.rows())) {
            return None;
        }
        let whole: u128 = extract.quasi.iter().map(|q| u128::from(q.weight) * 1_000_000).sum();
        let of = |codes: &[u32]| -> u128 {
            let each = extract.quasi.iter().zip(codes);
            each.map(|(q, &code)| u128::from(q.weight) * cost(&q.list, code)).sum()
        };
        let kept = rows.iter().filter(|(_, n)| **n >= k).map(|(codes, n)| *n as u128 * of(codes));
        // Any of the smallest may go; this is the least that the node can lose.
        let most = extra.map(|n| rows.iter().filter(|(_, m)| **m == n).map(|(c, _)| n as u128 * of(c)).max());
        Some((kept.sum::<u128>() - most.flatten().unwrap_or(0) + suppressed * whole, extra.is_some()))
    });
    let losses: Vec<(u128, bool)> = losses.collect();
    losses.into_iter().map(|(loss, _)| loss).min()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    /// k and l hold in the released rows, by a plain count; and refusals are those that must be.
    #[test]
    fn every_class_is_large_and_diverse(seed in any::<u64>()) {
        let (extract, rule) = random(seed);
        let Kind::Sensitive(asked) = &extract.attributes[0].kind else { unreachable!() };
        let in_all = |value: i64| {
            let all = (0..extract.rows()).filter_map(|row| extract.attributes[0].values.value(row));
            (all.clone().filter(|v| *v == value).count(), all.count())
        };
        match made(&extract, &rule) {
            Ok(made) => {
                let column = &made.table.columns[extract.quasi.len()].values;
                for class in classes(&made.table).values() {
                    prop_assert!(class.len() >= rule.min_persons() as usize);
                    let Some(asked) = asked else { continue };
                    let known: Vec<i64> = class.iter().filter_map(|&row| column.value(row)).collect();
                    for value in (0..6).filter(|v| !asked.is_harmless(*v)) {
                        let n = known.iter().filter(|v| **v == value).count();
                        prop_assert!(n * asked.l() as usize <= known.len());
                    }
                }
                prop_assert_eq!(made.risk.classes, classes(&made.table).len() as u64);
                prop_assert_eq!(made.risk.sizes.iter().map(|s| s.rows).sum::<u64>(), extract.rows() as u64);
            }
            // Only because all rows together are not diverse.
            Err(MicrodataError::NotDiverse) => {
                let asked = asked.as_ref().unwrap();
                let too_common = |value: i64| {
                    let (n, all) = in_all(value);
                    n * asked.l() as usize > all
                };
                prop_assert!((0..6).any(|v| !asked.is_harmless(v) && too_common(v)));
            }
            Err(other) => prop_assert!(false, "{other}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// No node of the lattice loses less.
    #[test]
    fn the_choice_is_optimal(seed in any::<u64>()) {
        let (extract, rule) = random(seed);
        let (frame, keys) = Frame::of(&extract).unwrap();
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let mut search = Search::new(&frame, bottom(&keys), &mut rng).unwrap();
        let limit = rule.suppressed_limit(extract.rows());
        let found = search.best(rule.min_persons(), limit, &vec![0; frame.trees.len()]);
        prop_assert_eq!(found.map(|c| c.loss), exhaustive(&extract, &rule));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, failure_persistence: None, ..ProptestConfig::default() })]

    /// Rows in another order are the same release, to the byte.
    #[test]
    fn the_order_of_input_has_no_part(seed in any::<u64>()) {
        let (extract, rule) = random(seed);
        let (first, second) = (made(&extract, &rule), made(&shuffled(&extract, !seed), &rule));
        match (first, second) {
            (Ok(first), Ok(second)) => {
                prop_assert_eq!(first.table.canonical(), second.table.canonical());
                prop_assert_eq!(first.risk, second.risk);
            }
            (first, second) => prop_assert_eq!(first.err(), second.err()),
        }
    }

    /// The levels and the suppressed rows do not depend on sensitive values, the number of steps aside.
    #[test]
    fn sensitive_values_choose_only_among_steps(seed in any::<u64>()) {
        let (mut extract, rule) = random(seed);
        let mut seen: HashMap<u32, Vec<u8>> = HashMap::new();
        for draw in 0..6_i64 {
            let values = (0..extract.rows() as i64).map(|row| Some((row * (draw + 1) + row / 3 * draw) % 4));
            extract.attributes = vec![sensitive(values.collect(), Some(Diversity::new(2, [].into()).unwrap()))];
            let Ok(made) = made(&extract, &rule) else { continue };
            let quasi: Vec<_> = made.table.columns.into_iter().take(extract.quasi.len()).collect();
            let quasi = serde_json::to_vec(&quasi).unwrap();
            let before = seen.entry(made.risk.steps).or_insert_with(|| quasi.clone());
            prop_assert!(*before == quasi);
        }
    }
}

/// 400 rows over a place of two levels and an age of two.
fn sample() -> Extract {
    let (place, age) = (even("place", &[3, 4]), even("age", &[4, 5]));
    let (p, a) = (leaves(&place), leaves(&age));
    let codes = |of: &[u32], step: usize| (0..400).map(|n| of[n * n * step / 7 % of.len()]).collect();
    let quasi = vec![quasi("place", place.clone(), codes(&p, 3)), quasi("age", age.clone(), codes(&a, 5))];
    let values = (0..400).map(|n| Some(n % 6)).collect();
    extract(quasi, vec![sensitive(values, None)])
}

#[test]
fn the_order_of_release_tells_nothing_of_the_order_of_persons() {
    let extract = sample();
    let table = made(&extract, &rule(5, 20)).unwrap().table;
    let number: HashMap<&SerialNumber, usize> = extract.serials.iter().zip(0..).collect();
    let persons: Vec<usize> = table.serials.iter().map(|serial| number[serial]).collect();
    let rising = persons.windows(2).filter(|pair| pair[0] < pair[1]).count();
    // A random order of 400 rises 199.5 times, with a standard deviation of 5.8.
    assert!((170..230).contains(&rising), "{rising}");
    let fixed = persons.iter().zip(0..).filter(|(person, at)| **person == *at).count();
    assert!(fixed < 8, "{fixed}");
    assert!(table.serials.is_sorted());
    // The order stays where the rows do, and does not follow their values.
    let mut other = extract;
    other.attributes = vec![sensitive((0..400).map(|n| Some(n % 5)).collect(), None)];
    assert!(made(&other, &rule(5, 20)).unwrap().table.serials == table.serials);
}

#[test]
fn what_is_no_extract_is_refused() {
    let refused = |change: fn(&mut Extract)| {
        let mut extract = sample();
        change(&mut extract);
        assert_eq!(made(&extract, &rule(5, 20)).err(), Some(MicrodataError::NotAnExtract));
    };
    refused(|e| e.serials[0] = e.serials[1].clone());
    refused(|e| e.quasi[0].codes[0] = 0);
    refused(|e| e.quasi[0].codes[0] = 1000);
    refused(|e| e.quasi[0].weight = 0);
    refused(|e| e.quasi[0].codes.truncate(399));
    refused(|e| e.attributes[0].variable = e.quasi[0].variable.clone());
    refused(|e| e.attributes[0].values = Values::Numbers(vec![None; 399]));
    refused(|e| e.serials[7] = SerialNumber::new(&[7; 16]).unwrap());
}

#[test]
fn too_wide_a_key_is_refused_whatever_the_rows() {
    let list = even("wide", &[200, 200]);
    let quasi = (0..5).map(|v| quasi(&format!("q{v}"), list.clone(), vec![leaves(&list)[0]; 9])).collect();
    let extract = extract(quasi, vec![]);
    assert_eq!(made(&extract, &rule(5, 0)).err(), Some(MicrodataError::TooWide));
}

#[test]
fn too_few_rows_are_refused() {
    let list = even("place", &[2]);
    let few = extract(vec![quasi("place", list, vec![1, 1, 2, 2])], vec![]);
    assert_eq!(made(&few, &rule(5, 1000)).err(), Some(MicrodataError::TooFew));
}

/// The released codes of a quasi-identifier.
fn at(table: &mut MicrodataTable, v: usize) -> &mut Vec<Option<u32>> {
    match &mut table.columns[v].values {
        Values::Codes { codes, .. } => codes,
        Values::Numbers(_) => unreachable!(),
    }
}

/// The gate finds each thing that could go wrong, without help of the code that chooses.
#[test]
fn the_gate_finds_every_fault() {
    let mut extract = sample();
    let diversity = Diversity::new(3, [].into()).unwrap();
    extract.attributes = vec![sensitive((0..400).map(|n| Some(n % 6)).collect(), Some(diversity))];
    let rule = rule(5, 100);
    let fault = |change: fn(&mut MicrodataTable)| {
        let mut table = made(&extract, &rule).unwrap().table;
        change(&mut table);
        verify::verify(&extract, &table, &rule)
    };
    assert_eq!(fault(|_| ()), Ok(()));
    assert_eq!(fault(|t| t.serials.swap(0, 1)), Err(Fault::Columns));
    assert_eq!(fault(|t| t.serials[0] = serial(9_999)), Err(Fault::Rows));
    assert_eq!(fault(|t| t.serials[0] = t.serials[1].clone()), Err(Fault::Rows));
    assert_eq!(fault(|t| drop(t.serials.pop())), Err(Fault::Rows));
    assert_eq!(fault(|t| drop(t.columns.pop())), Err(Fault::Columns));
    assert_eq!(fault(|t| t.columns[2].role = Role::Other), Err(Fault::Columns));
    assert_eq!(fault(|t| at(t, 0)[0] = None), Err(Fault::Suppression));
    assert_eq!(fault(|t| (0..2).for_each(|v| at(t, v)[0] = None)), Err(Fault::TooFew));
    assert_eq!(fault(|t| (0..2).for_each(|v| at(t, v).fill(None))), Err(Fault::Suppression));
    assert!(fault(|t| at(t, 0)[0] = Some(1)).is_err());
    assert_eq!(fault(|t| t.report.suppressed += 5), Err(Fault::Report));
    assert_eq!(fault(|t| t.report.min_persons = 4), Err(Fault::Report));
}

/// The true codes, released as they are, have small classes and uniform ones: the gate says so.
#[test]
fn the_gate_counts_for_itself() {
    let mut extract = sample();
    let table = made(&extract, &rule(5, 100)).unwrap().table;
    let strict = rule(200, 100);
    let mut claimed = table.clone();
    claimed.report.min_persons = 200;
    assert_eq!(verify::verify(&extract, &claimed, &strict), Err(Fault::TooFew));
    extract.attributes = vec![sensitive(
        (0..400).map(|n| Some(n % 6)).collect(),
        Some(Diversity::new(50, [].into()).unwrap()),
    )];
    assert_eq!(verify::verify(&extract, &table, &rule(5, 100)), Err(Fault::NotDiverse));
}
