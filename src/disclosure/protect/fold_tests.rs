//! Folded tables of a query.

use proptest::prelude::*;

use super::tests::shape_of;
use super::*;
use crate::disclosure::attacker::computable;
use crate::disclosure::lattice::{Lattice, Tree};
use crate::domain::ids::{PersonNo, RuleId};
use crate::execute::Placed;
use crate::linkage::Tally;

/// Counts of every cell of two dimensions and two measures, from those of the inner cells.
fn filled(shape: &TableShape, inner: &[(u64, u64)]) -> Vec<u64> {
    let lattice = Lattice::new(shape.dimensions.iter().map(|d| Tree::of(&d.codes)).collect());
    let mut measures = [vec![0; lattice.cells()], vec![0; lattice.cells()]];
    for (cell, (count, outcome)) in lattice.inner().into_iter().zip(inner) {
        measures[0][cell] = count + outcome;
        measures[1][cell] = *outcome;
    }
    measures.iter_mut().for_each(|m| lattice.fill(m));
    (0..lattice.cells()).flat_map(|c| [measures[0][c], measures[1][c]]).collect()
}

/// A counted table of these persons, numbered from cell to cell.
fn counted(shape: &TableShape, inner: &[(u64, u64)]) -> Counted {
    let lattice = Lattice::new(shape.dimensions.iter().map(|d| Tree::of(&d.codes)).collect());
    let mut persons = Vec::new();
    for (leaf, (count, outcome)) in lattice.inner().into_iter().zip(inner) {
        for measures in (0..*count).map(|_| 1).chain((0..*outcome).map(|_| 3)) {
            let person = PersonNo(persons.len() as u32);
            persons.push(Placed { person, leaf: leaf as u32, measures });
        }
    }
    let tally = Tally { matched: 0, unknown: 0, several_numbers: 0, invalid_rows: 0 };
    Counted { counts: filled(shape, inner), persons, values: Vec::new(), tally, record_keys: None }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// Whoever solves for the counts of a folded table, of either measure or between them, finds none of 1 to k-1;
    /// that a category which is shown has k persons at least follows from its own number.
    #[test]
    fn nothing_small_follows_and_every_total_is_published(
        inner in prop::collection::vec((prop_oneof![Just(0u64), 1u64..5, 5u64..40], 0u64..9), 18), byte in any::<u8>(),
        min_range in prop::sample::select(vec![0, 5]),
    ) {
        let rule = Rule::new(RuleId::new("r").unwrap(), 5).unwrap().with_range(min_range);
        let key = PatternKey::new([byte; 32].into());
        let shape = shape_of(&[6, 3], 2);
        let (shape, Counted { counts, persons, .. }) = folded(shape.clone(), counted(&shape, &inner), &rule, &key).unwrap();
        // Who is in the cells has been folded like their counts.
        prop_assert_eq!(&ledger::of_table(&shape, &persons).unwrap().counts(), &counts);
        let Ok((withheld_counts, _)) = protect_counts(&shape, &counts, true, &rule, &key) else { return Ok(()) };
        let value = |at: usize| (!withheld_counts[at]).then_some(counts[at]);
        let lattice = Lattice::new(shape.dimensions.iter().map(|d| Tree::of(&d.codes)).collect());
        for measure in 0..2 {
            let of = |cell: usize| counts[2 * cell + measure];
            let withheld: Vec<bool> =
                (0..lattice.cells()).map(|c| withheld_counts[2 * c + measure]).collect();
            let empty: Vec<usize> = lattice.inner().into_iter().filter(|&c| of(c) == 0).collect();
            let known = computable(&lattice, &withheld, &empty);
            for cell in 0..lattice.cells() {
                prop_assert!(!(known[cell] && (1..5).contains(&of(cell))), "{counts:?} {withheld:?}");
                let total = shape.positions(cell).iter().filter(|p| **p > 0).count() < 2;
                prop_assert!(measure > 0 || !total || !withheld[cell] && (of(cell) == 0 || of(cell) >= 5));
            }
        }
        for cell in 0..lattice.cells() {
            if let (Some(all), Some(some)) = (value(2 * cell), value(2 * cell + 1)) {
                prop_assert!(!(1..5).contains(&(all - some)));
            }
        }
    }
}
