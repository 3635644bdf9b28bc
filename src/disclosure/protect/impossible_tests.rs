//! Cells that nobody can be in, and an attacker who knows that.

use proptest::prelude::*;

use super::tests::shape_of;
use super::*;
use crate::disclosure::attacker::computable;
use crate::domain::ids::{PersonNo, RuleId};
use crate::execute::Placed;
use crate::linkage::Tally;

fn key() -> PatternKey {
    PatternKey::new([7; 32].into())
}

fn rule() -> Rule {
    Rule::new(RuleId::new("r").unwrap(), 5).unwrap()
}

/// Five places and three ages, of which nobody can have the last.
fn shape() -> TableShape {
    let mut shape = shape_of(&[5, 3], 2);
    shape.dimensions[1].impossible = vec![3];
    shape
}

/// The counts of both measures in every cell: of each place and possible age those without the outcome and with it.
fn counts(shape: &TableShape, inner: &[(u64, u64)]) -> Vec<u64> {
    let mut counts = vec![0; shape.cells() * 2];
    for (at, (without, with)) in inner.iter().enumerate() {
        let cell = shape.cell(&[at / 2 + 1, at % 2 + 1]);
        counts[2 * cell] = without + with;
        counts[2 * cell + 1] = *with;
    }
    shape.add_up(2, &mut counts, |a, b| a + b);
    counts
}

fn counted(counts: Vec<u64>, persons: Vec<Placed>, values: Vec<Vec<(u32, i64)>>) -> Counted {
    let tally = Tally { matched: 0, unknown: 0, several_numbers: 0, invalid_rows: 0 };
    Counted { counts, persons, values, tally, record_keys: None }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// The attacker takes the cells that nobody can be in for known, of both measures and of their difference, also
    /// where that everyone has an outcome is protected, and finds nothing of 1 to k-1. None of these cells is withheld.
    #[test]
    fn knowing_what_is_impossible_tells_nothing_more(
        inner in prop::collection::vec((prop_oneof![Just(0u64), 1u64..5, 5u64..40], 0u64..9), 10), groups in any::<bool>(),
    ) {
        let (shape, rule) = (shape(), if groups { rule().with_group_disclosure() } else { rule() });
        let counts = counts(&shape, &inner);
        let Ok((withheld, _)) = protect_counts(&shape, &counts, false, &rule, &key()) else { return Ok(()) };
        for cell in (0..shape.cells()).filter(|&cell| shape.is_impossible(cell)) {
            prop_assert!(!withheld[2 * cell] && !withheld[2 * cell + 1]);
        }
        let nested = Nested::of(&shape, &counts).unwrap();
        let nodes = nested.counts.len() / shape.cells();
        // What is not in the release is unknown like what is withheld.
        let hidden: Vec<bool> = (0..nested.counts.len())
            .map(|at| match nested.measure(at) {
                Some(measure) => withheld[2 * (at / nodes) + measure],
                None => true,
            })
            .collect();
        let known: Vec<usize> =
            nested.lattice.inner().into_iter().filter(|at| shape.is_impossible(at / nodes)).collect();
        prop_assert_eq!(known.len(), 10);
        for (at, known) in computable(&nested.lattice, &hidden, &known).into_iter().enumerate() {
            prop_assert!(!(known && (1..5).contains(&nested.counts[at])), "{counts:?} {withheld:?}");
        }
    }
}

#[test]
fn one_who_is_counted_where_nobody_can_be_stops_the_release() {
    let shape = shape();
    let inner = [(20, 10); 10];
    let right = counts(&shape, &inner);
    assert_eq!(nobody_impossible(&shape, &counted(right.clone(), Vec::new(), Vec::new())), Ok(()));
    let mut wrong = vec![0; right.len()];
    wrong[2 * shape.cell(&[2, 3])] = 1;
    shape.add_up(2, &mut wrong, |a, b| a + b);
    let wrong: Vec<u64> = right.iter().zip(&wrong).map(|(a, b)| a + b).collect();
    assert_eq!(
        protect_counts(&shape, &wrong, false, &rule(), &key()).err(),
        Some(DisclosureError::Impossible)
    );
    let leaf = shape.cell(&[2, 3]) as u32;
    let placed = Placed { person: PersonNo(1), leaf, measures: 1 };
    for counted in [
        counted(wrong, Vec::new(), Vec::new()),
        counted(right.clone(), vec![placed], Vec::new()),
        counted(right, Vec::new(), vec![vec![(leaf, 7)]]),
    ] {
        assert_eq!(nobody_impossible(&shape, &counted), Err(DisclosureError::Impossible));
    }
}

/// Folding takes no code that nobody can have into a group: everyone would know that the others are all of it.
#[test]
fn a_group_is_folded_as_if_it_had_only_codes_that_somebody_can_have() {
    let mut wide = shape_of(&[6], 1);
    wide.dimensions[0].impossible = vec![3, 6];
    let counts = [3_u64, 4, 0, 200, 100, 0];
    let all = |shape: &TableShape, counts: &[u64]| {
        let total = counts.iter().sum();
        let fold_rule = FoldRule::new(&rule(), false);
        fold(shape, &[&[total], counts].concat(), 0, fold_rule, &key()).unwrap()
    };
    let folded = all(&wide, &counts);
    let codes: Vec<&str> = folded.shape.dimensions[0].codes.codes().iter().map(|c| c.code.as_str()).collect();
    let places: Vec<&str> = folded.places.iter().map(|&place| codes[place]).collect();
    assert_eq!((places[3], places[6]), ("3", "6"));
    let impossible: Vec<&str> =
        folded.shape.dimensions[0].impossible.iter().map(|&at| codes[at as usize]).collect();
    assert_eq!(impossible, ["3", "6"]);
    // Two small categories are of 1 to 4 persons together with no more than these: a third must be folded with them.
    let rest = codes.iter().position(|code| *code == "Total-ovrig").unwrap();
    let members = places[1..].iter().filter(|place| **place == "Total-ovrig").count();
    assert!(members >= 2 && folded.counts[rest] >= 5, "{places:?} {:?}", folded.counts);
    assert!(!folded.shape.is_impossible(rest));
}
