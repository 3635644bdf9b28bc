//! Cell-key noise in a query's table, and one who asks again, in other words and other tables.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::disclosure::protect::tests::shape_of;
use crate::domain::ids::PersonNo;
use crate::domain::method::Tenths;
use crate::domain::record_key::RecordKey;
use crate::linkage::Tally;

const NOISE: Cellkey = Cellkey { min_persons: 5, bound: 10, variance: Tenths::new(40) };

/// Persons with a place, an age and whether they have the outcome.
type Persons = Vec<(u32, usize, usize, bool)>;

/// The table of these persons by place, or by place and age, with two measures.
fn values(persons: &Persons, by_age: bool) -> Vec<(i64, i64, i64)> {
    let shape = if by_age { shape_of(&[4, 3], 2) } else { shape_of(&[4], 2) };
    let leaf = |place: usize, age: usize| {
        if by_age { shape.cell(&[place + 1, age + 1]) } else { shape.cell(&[place + 1]) }
    };
    let placed: Vec<Placed> = persons
        .iter()
        .map(|&(person, place, age, outcome)| Placed {
            person: PersonNo(person),
            leaf: leaf(place, age) as u32,
            measures: 1 | u16::from(outcome) << 1,
        })
        .collect();
    let mut counts = vec![0; shape.cells() * 2];
    for placed in &placed {
        counts[placed.leaf as usize * 2] += 1;
        counts[placed.leaf as usize * 2 + 1] += u64::from(placed.measures >> 1);
    }
    shape.add_up(2, &mut counts, |a, b| a + b);
    let tally = Tally { matched: 0, unknown: 0, several_numbers: 0, invalid_rows: 0 };
    let counted = Counted { counts, persons: placed, values: Vec::new(), tally, record_keys: None };
    let numbers = perturbed(&shape, &counted, &keys(persons), NOISE).unwrap();
    let number = |value: CellValue| match value {
        CellValue::Noisy { value, low, high } => (value, low, high),
        other => panic!("{other:?}"),
    };
    numbers.into_iter().map(number).collect()
}

/// A key for each person that depends on nothing else.
fn keys(persons: &Persons) -> RecordKeyMap {
    let mix = |person: u32| {
        let mixed = (u64::from(person) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
    };
    RecordKeyMap::new(persons.iter().map(|p| (PersonNo(p.0), RecordKey(mix(p.0)))).collect()).unwrap()
}

fn persons() -> impl Strategy<Value = Persons> {
    prop::collection::btree_map(0u32..100_000, (0usize..4, 0usize..3, any::<bool>()), 0..160).prop_map(
        |map| map.into_iter().map(|(person, (place, age, has))| (person, place, age, has)).collect(),
    )
}

proptest! {
    /// Asked in another order, with another dimension, or twice: the same cell has the same number, so an average of
    /// answers is one answer. No number is 1 to k-1, and nobody is shown as nobody.
    #[test]
    fn the_same_persons_have_the_same_number_in_every_table(persons in persons()) {
        let (small, large) = (values(&persons, false), values(&persons, true));
        let reversed: Persons = persons.iter().copied().rev().collect();
        prop_assert_eq!(&values(&reversed, true), &large);
        for place in 0..5 {
            for measure in 0..2 {
                // The total over ages stands first in each place.
                prop_assert_eq!(small[place * 2 + measure], large[place * 4 * 2 + measure]);
            }
        }
        let inner = |place: usize, age: usize| {
            persons.iter().filter(|p| (p.1, p.2) == (place, age)).count() as i64
        };
        for place in 0..4 {
            for age in 0..3 {
                let (value, low, high) = large[((place + 1) * 4 + age + 1) * 2];
                let truth = inner(place, age);
                prop_assert!(value == 0 || value >= 5);
                prop_assert!((value - truth).abs() <= 10 && low <= value && value <= high);
                prop_assert!(truth > 0 || value == 0);
            }
        }
    }
}

#[test]
fn one_person_more_gives_noise_of_its_own() {
    let group: Persons = (0..60).map(|person| (person, 0, 0, false)).collect();
    let noises: BTreeSet<i64> = (100..160)
        .map(|other| {
            let mut larger = group.clone();
            larger.push((other, 0, 0, false));
            values(&larger, false)[0].0 - 61
        })
        .collect();
    assert!(noises.len() > 5, "{noises:?}");
}

#[test]
fn a_person_without_a_key_ends_the_run() {
    let shape = shape_of(&[4], 2);
    let placed = vec![Placed { person: PersonNo(7), leaf: 1, measures: 1 }];
    let stranger = keys(&vec![(8, 0, 0, false)]);
    assert_eq!(cell_keys(&shape, &placed, &stranger).unwrap_err(), DisclosureError::RecordKey);
}

#[test]
fn a_cell_that_nobody_can_be_in_has_no_number() {
    let mut shape = shape_of(&[4], 2);
    shape.dimensions[0].impossible = vec![3];
    let placed = vec![Placed { person: PersonNo(7), leaf: 1, measures: 1 }];
    let mut counts = vec![0; shape.cells() * 2];
    (counts[0], counts[2]) = (1, 1);
    let tally = Tally { matched: 0, unknown: 0, several_numbers: 0, invalid_rows: 0 };
    let counted = Counted { counts, persons: placed, values: Vec::new(), tally, record_keys: None };
    let values = perturbed(&shape, &counted, &keys(&vec![(7, 0, 0, false)]), NOISE).unwrap();
    for (at, value) in values.into_iter().enumerate() {
        assert_eq!(value == CellValue::NotApplicable, at / 2 == 3, "{at}");
    }
}
