//! Random series of queries over small random populations.

use proptest::prelude::*;

use super::attacker::Attacker;
use super::world::{Person, Query, Sight, person, query, submit};

/// Asks one query after the other, and what the attacker then holds.
fn asked(people: &[Person], queries: &[Query], least: u32, sight: Sight) -> Attacker {
    let mut attacker = Attacker::default();
    let mut releases = Vec::new();
    for query in queries {
        let known: Vec<usize> = (0..releases.len()).collect();
        releases.extend(submit(query.run(people), least, (&releases, &known), sight, &mut attacker));
    }
    attacker
}

/// How many small groups the attacker can count in the end.
fn exposed(people: &[Person], queries: &[Query], least: u32, sight: Sight) -> usize {
    asked(people, queries, least, sight).small_groups(people.len(), least as usize).len()
}

/// As questions are judged, and as they are beside so much that the persons around them alone are looked at.
fn sight() -> impl Strategy<Value = Sight> {
    prop_oneof![Just(Sight::Around), Just(Sight::All)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
    #[test]
    fn the_attacker_counts_no_small_group(
        people in prop::collection::vec(person(), 10..26),
        queries in prop::collection::vec(query(), 1..8),
        least in 2..5_u32,
        sight in sight(),
    ) {
        prop_assert_eq!(exposed(&people, &queries, least, sight), 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]
    #[test]
    fn nor_in_larger_populations(
        people in prop::collection::vec(person(), 40..60),
        queries in prop::collection::vec(query(), 4..12),
        sight in sight(),
    ) {
        prop_assert_eq!(exposed(&people, &queries, 4, sight), 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]
    #[test]
    fn trying_all_whole_numbers_pins_no_small_group(
        people in prop::collection::vec(person(), 6..16),
        queries in prop::collection::vec(query(), 1..6),
        least in 2..6_u32,
        sight in sight(),
    ) {
        let attacker = asked(&people, &queries, least, sight);
        if let Some(pinned) = attacker.pinned_groups(people.len(), least as usize) {
            prop_assert!(pinned.is_empty(), "{:?}", pinned);
        }
    }
}

/// The same attacker breaks a ledger that judges each release alone: the tests above can fail.
#[test]
fn a_ledger_without_memory_gives_groups_away() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let strategy = (prop::collection::vec(person(), 20..26), prop::collection::vec(query(), 6..8));
    let broken = (0..40).filter(|_| {
        let (people, queries) = strategy.new_tree(&mut runner).unwrap().current();
        exposed(&people, &queries, 4, Sight::None) > 0
    });
    let broken = broken.count();
    assert!(broken > 10, "{broken} of 40 series");
}
