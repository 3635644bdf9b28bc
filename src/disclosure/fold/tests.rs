//! Folded tables, and an attacker who holds one.

use std::collections::BTreeSet;

use proptest::prelude::*;
use zeroize::Zeroizing;

use super::*;
use crate::domain::ids::{CodeListId, RuleId, VariableId};
use crate::domain::period::Period;
use crate::domain::rule::Rule;
use crate::domain::table::{Dimension, Measure};

fn key(byte: u8) -> PatternKey {
    PatternKey::new(Zeroizing::new([byte; 32]))
}

fn rule(k: u32) -> FoldRule {
    FoldRule::new(&Rule::new(RuleId::new("r").unwrap(), k).unwrap(), false)
}

/// A list of groups of so many leaves, or a flat one.
fn list(id: &str, groups: &[usize], flat: bool) -> CodeList {
    let code = |code: String, parent: Option<u32>| Code { label: format!("Label {code}"), code, parent };
    let mut codes = vec![code("Total".to_owned(), None)];
    for (group, &leaves) in groups.iter().enumerate() {
        let mut parent = 0;
        if !flat {
            parent = codes.len() as u32;
            codes.push(code(format!("g{group}"), Some(0)));
        }
        codes.extend((0..leaves).map(|leaf| code(format!("l{group}-{leaf}"), Some(parent))));
    }
    CodeList::new(CodeListId::new(id).unwrap(), id.to_owned(), codes).unwrap()
}

fn shape(lists: Vec<CodeList>, measures: u32) -> TableShape {
    let variable = |name: &str| VariableId::new(name).unwrap();
    TableShape {
        title: "A table".to_owned(),
        dimensions: lists
            .into_iter()
            .map(|codes| Dimension {
                variable: variable(codes.id().as_str()),
                label: codes.label().to_owned(),
                codes,
                impossible: Vec::new(),
            })
            .collect(),
        measures: (0..measures)
            .map(|m| Measure {
                code: variable(&format!("m{m}")),
                label: m.to_string(),
                nested_in: (0..m).collect(),
                statistic: None,
            })
            .collect(),
        period: Period::new("2024-01-01".parse().unwrap(), "2024-12-31".parse().unwrap()).unwrap(),
    }
}

/// All counts of a table from its inner cells' counts, taken in turn.
fn filled(shape: &TableShape, inner: &[u64]) -> Vec<u64> {
    let measures = shape.measures.len();
    let leaf: Vec<Vec<bool>> = shape.dimensions.iter().map(|d| d.codes.leaves()).collect();
    let mut counts = vec![0; shape.cells() * measures];
    let mut next = inner.iter().copied().cycle();
    for cell in 0..shape.cells() {
        let positions = shape.positions(cell);
        if !positions.iter().zip(&leaf).all(|(&p, leaf)| leaf[p]) {
            continue;
        }
        let mut above = vec![vec![]];
        for (dimension, &position) in shape.dimensions.iter().zip(&positions) {
            above = above
                .into_iter()
                .flat_map(|path: Vec<usize>| {
                    dimension.codes.ancestry(position).map(move |p| [path.clone(), vec![p]].concat())
                })
                .collect();
        }
        for measure in 0..measures {
            let count = next.next().unwrap() / (measure as u64 + 1);
            for positions in &above {
                counts[shape.cell(positions) * measures + measure] += count;
            }
        }
    }
    counts
}

fn margin(shape: &TableShape, counts: &[u64], code: &str) -> Option<u64> {
    let node = shape.dimensions[0].codes.position(code)?;
    let mut positions = vec![0; shape.dimensions.len()];
    positions[0] = node;
    Some(counts[shape.cell(&positions) * shape.measures.len()])
}

fn table() -> impl Strategy<Value = (TableShape, Vec<u64>)> {
    let count = prop_oneof![2 => Just(0u64), 3 => 1u64..5, 4 => 5u64..40, 1 => 100u64..5000];
    (prop::collection::vec(1usize..6, 1..4), any::<bool>(), 1usize..4, 1u32..3).prop_flat_map(
        move |(groups, flat, others, measures)| {
            let shape = shape(vec![list("place", &groups, flat), list("sex", &[others], true)], measures);
            let cells = groups.iter().sum::<usize>() * others * measures as usize;
            (Just(shape), prop::collection::vec(count.clone(), cells))
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn totals_are_kept_and_nothing_small_is_shown((shape, inner) in table(), k in 3u32..8, byte in any::<u8>()) {
        let counts = filled(&shape, &inner);
        let folded = fold(&shape, &counts, 0, rule(k), &key(byte)).unwrap();
        prop_assert_eq!(folded.counts.len(), folded.shape.cells() * folded.shape.measures.len());
        prop_assert_eq!(&folded.counts[..shape.measures.len()], &counts[..shape.measures.len()]);
        // What is shown is what was there; the margins of the folded table still add up.
        let (before, after) = (&shape.dimensions[0].codes, &folded.shape.dimensions[0].codes);
        let rows = |list: &CodeList, counts: &[u64], node: usize| {
            let block = counts.len() / list.len();
            counts[node * block..][..block].to_vec()
        };
        for (node, code) in after.codes().iter().enumerate() {
            if let Some(old) = before.position(&code.code) {
                prop_assert_eq!(rows(after, &folded.counts, node), rows(before, &counts, old));
            }
        }
        for (node, below) in children(after).iter().enumerate().filter(|(_, below)| !below.is_empty()) {
            let mut sum = vec![0; rows(after, &folded.counts, node).len()];
            for &child in below {
                sum.iter_mut().zip(rows(after, &folded.counts, child)).for_each(|(s, c)| *s += c);
            }
            prop_assert_eq!(sum, rows(after, &folded.counts, node));
            let margins: Vec<u64> = below.iter().map(|&c| rows(after, &folded.counts, c)[0]).collect();
            prop_assert!(margins.iter().all(|&m| m == 0 || m >= u64::from(k)), "{margins:?}");
            // Zeros are shown only where nothing is folded.
            let has_rest = below.iter().any(|&c| after.codes()[c].code.ends_with("-ovrig"));
            prop_assert!(!has_rest || !margins.contains(&0), "{margins:?}");
        }
    }

    /// Whoever moves between two folded categories, keeping its other characteristics, leaves every
    /// count of the crossed folded table as it is, and some draw folds the new counts alike: so no crossing
    /// narrows what folding hides.
    #[test]
    fn a_crossed_table_tells_no_more_of_the_folded((shape, inner) in table(), k in 3u32..6, byte in any::<u8>()) {
        let counts = filled(&shape, &inner);
        let list = &shape.dimensions[0].codes;
        let at = |node: usize, other: usize| shape.cell(&[node, other]) * shape.measures.len();
        for (parent, group) in children(list).iter().enumerate().filter(|(_, group)| group.len() > 1) {
            let persons: Vec<u64> = group.iter().map(|&n| counts[at(n, 0)]).collect();
            let named = group.iter().map(|&n| list.codes()[n].code.as_str());
            let before = fate(&persons, &draw("place", named, &persons, &key(byte)), rule(k));
            let folded = match &before {
                Fate::Shown => continue,
                Fate::Some(folded) => folded.clone(),
                Fate::All => vec![true; group.len()],
            };
            prop_assert!(parent < list.len() && folded.iter().filter(|f| **f).count() > 1);
            let first: Vec<usize> = (0..group.len()).filter(|&i| folded[i]).collect();
            let order: Vec<usize> =
                first.iter().copied().chain((0..group.len()).filter(|&i| !folded[i])).collect();
            for pair in first.windows(2) {
                for (from, to) in [(pair[0], pair[1]), (pair[1], pair[0])] {
                    if persons[from] == 0 {
                        continue;
                    }
                    let mut world = persons.clone();
                    (world[from], world[to]) = (world[from] - 1, world[to] + 1);
                    if !world.iter().any(|n| (1..u64::from(k)).contains(n)) {
                        continue;
                    }
                    let alike = (0..=group.len())
                        .any(|extra| fate(&world, &Draw { order: order.clone(), extra }, rule(k)) == before);
                    prop_assert!(alike, "{persons:?} {world:?} {before:?}");
                }
            }
        }
    }
}

#[test]
fn the_same_margin_is_folded_alike_however_it_is_crossed() {
    let places = || list("place", &[3, 2, 4], false);
    let inner = [1, 2, 9, 30, 4, 200, 8, 3, 1];
    let alone = shape(vec![places()], 1);
    let counts = filled(&alone, &inner);
    let crossed = shape(vec![places(), list("sex", &[2], true)], 1);
    let halves: Vec<u64> = inner.iter().flat_map(|n| [n / 2, n - n / 2]).collect();
    let split = filled(&crossed, &halves);
    let mut ways = BTreeSet::new();
    for byte in 0..20 {
        let first = fold(&alone, &counts, 0, rule(5), &key(byte)).unwrap();
        let second = fold(&crossed, &split, 0, rule(5), &key(byte)).unwrap();
        assert_eq!(first.shape.dimensions[0], second.shape.dimensions[0]);
        let shown: Vec<String> =
            first.shape.dimensions[0].codes.codes().iter().map(|c| c.code.clone()).collect();
        ways.insert(shown);
    }
    assert!(ways.len() > 1, "another key folds another way");
}

#[test]
fn a_small_group_goes_with_all_below_it() {
    let shape = shape(vec![list("place", &[2, 2, 3, 1], false)], 1);
    // The groups have 3, 80, 905 and 400 persons; two places of the third have few.
    let counts = filled(&shape, &[1, 2, 40, 40, 3, 900, 2, 400]);
    let folded = fold(&shape, &counts, 0, rule(5), &key(3)).unwrap();
    let list = &folded.shape.dimensions[0].codes;
    assert!(list.position("g0").is_none() && list.position("l0-0").is_none());
    let rest = list.position("Total-ovrig").unwrap();
    assert_eq!((list.codes()[rest].label.as_str(), list.parent(rest)), ("Øvrig", Some(0)));
    assert!(list.leaves()[rest] && margin(&folded.shape, &folded.counts, "Total-ovrig").unwrap() >= 7);
    assert_eq!(margin(&folded.shape, &folded.counts, "Total"), Some(1388));
    assert_eq!(
        folded.codes_folded,
        shape.dimensions[0].codes.len() - list.len()
            + list.codes().iter().filter(|c| c.code.ends_with("-ovrig")).count()
    );
}

#[test]
fn what_does_not_add_up_is_refused() {
    let shape = shape(vec![list("place", &[2, 2], false)], 1);
    let mut counts = filled(&shape, &[10, 2, 30, 4]);
    assert_eq!(fold(&shape, &counts, 1, rule(5), &key(1)), Err(FoldError::NotATable));
    assert_eq!(fold(&shape, &counts[1..], 0, rule(5), &key(1)), Err(FoldError::NotATable));
    counts[0] += 1;
    assert_eq!(fold(&shape, &counts, 0, rule(5), &key(1)), Err(FoldError::NotAdditive));
}
