//! The ways in which tables are asked for again, each with a small group that a sum would give away.

#![allow(clippy::single_range_in_vec_init, reason = "a table of one region is one range of persons")]

use super::attacker::Attacker;
use super::world::{Person, Query, Sight, draws, groups, primary, submit};
use crate::disclosure::ledger::{
    Judgement, KnowledgeSet, MOST_RELEASES, Membership, MembershipBuilder, Proposal, Refused, Release, judge,
};
use crate::domain::ids::PersonNo;

const LEAST: u32 = 5;

fn people(groups: &[(usize, Person)]) -> Vec<Person> {
    groups.iter().flat_map(|(many, person)| std::iter::repeat_n(person.clone(), *many)).collect()
}

const fn with(diagnoses: u32, years: u32) -> Person {
    Person { of: [0, 0, 0], diagnoses, years }
}

fn ask(diagnoses: u32, years: u32) -> Query {
    Query { diagnoses, years, only: None, by: vec![] }
}

/// Asks one after the other, each judged with all before it; whether each was released at all, and what
/// the attacker can count in the end.
fn series(people: &[Person], queries: &[Query]) -> (Vec<bool>, usize) {
    let (mut attacker, mut releases) = (Attacker::default(), Vec::new());
    let mut answers = Vec::new();
    for query in queries {
        let known: Vec<usize> = (0..releases.len()).collect();
        let release = submit(query.run(people), LEAST, (&releases, &known), Sight::All, &mut attacker);
        answers.push(release.is_some());
        releases.extend(release);
    }
    (answers, attacker.small_groups(people.len(), LEAST as usize).len())
}

#[test]
fn a_subset_smaller_by_three_is_refused() {
    // 47 with a contact in both years, 3 in the first only.
    let people = people(&[(27, with(1, 3)), (3, with(1, 1))]);
    assert_eq!(series(&people, &[ask(1, 1), ask(1, 2)]), (vec![true, false], 0));
    assert_eq!(series(&people, &[ask(1, 2), ask(1, 1)]), (vec![true, false], 0));
}

#[test]
fn a_subset_smaller_by_enough_is_released() {
    let people = people(&[(20, with(1, 3)), (5, with(1, 1))]);
    assert_eq!(series(&people, &[ask(1, 1), ask(1, 2)]), (vec![true, true], 0));
}

#[test]
fn a_complement_by_another_variable_is_refused() {
    let mut people = people(&[(30, with(1, 1))]);
    for person in &mut people[..28] {
        person.of[0] = 1;
    }
    let mut women = ask(1, 1);
    women.only = Some((0, 1));
    assert_eq!(series(&people, &[ask(1, 1), women]), (vec![true, false], 0));
}

#[test]
fn a_code_list_changed_by_one_code() {
    // The third code adds 2 persons who have none of the others, and 10 who have.
    let people = people(&[(20, with(1, 1)), (15, with(2, 1)), (10, with(6, 1)), (2, with(4, 1))]);
    assert_eq!(series(&people, &[ask(3, 1), ask(7, 1)]), (vec![true, false], 0));
    // The code alone counts 12, which with the other two tables leaves only differences of enough persons.
    assert_eq!(series(&people, &[ask(3, 1), ask(4, 1)]), (vec![true, true], 0));
    assert_eq!(series(&people, &[ask(3, 1), ask(4, 1), ask(7, 1)]).1, 0);
}

#[test]
fn rolling_periods_do_not_leave_a_small_month() {
    // Years stand for months: windows of two, moved by one. Those of the first month only are 3.
    let people = people(&[(3, with(1, 1)), (12, with(1, 2)), (12, with(1, 4)), (6, with(1, 8))]);
    let windows = [ask(1, 3), ask(1, 6), ask(1, 12), ask(1, 2), ask(1, 4), ask(1, 15)];
    let (answers, exposed) = series(&people, &windows);
    assert_eq!(exposed, 0);
    assert_eq!(answers[..3], [true, true, true]);
    assert!(answers.contains(&false), "the second month alone would leave the 3 of the first");
}

/// A table by region over persons numbered from 0: how many in each region.
fn table(regions: &[std::ops::Range<u32>]) -> Membership {
    let mut builder = MembershipBuilder::new(regions.len() + 1);
    for (cell, persons) in (1..).zip(regions) {
        for person in persons.clone() {
            builder.add(PersonNo(person), &[0, cell]).unwrap();
        }
    }
    builder.build().unwrap()
}

/// Judges a table whose small cells are withheld.
fn judged(membership: &Membership, sets: &[&[&Release]]) -> Judgement {
    let withheld = primary(membership, LEAST);
    let sets: Vec<KnowledgeSet<'_>> = sets.iter().map(|set| set.iter().copied().collect()).collect();
    let proposal = Proposal { membership, withheld: &withheld, least: LEAST };
    judge(proposal, &sets, &mut draws()).unwrap()
}

fn released(membership: Membership, withheld: &[usize]) -> Release {
    let marks = (0..membership.cells()).map(|cell| withheld.contains(&cell)).collect();
    Release::new(membership, marks).unwrap()
}

#[test]
fn a_new_data_version_with_few_changes() {
    // Two persons have been added to the second region since; 30 to the third.
    let before = released(table(&[0..20, 100..130, 200..230]), &[]);
    let now = table(&[0..20, 100..132, 200..260]);
    // The region and, as the others are published, one more number must stay away.
    let Judgement::WithholdMore(cells) = judged(&now, &[&[&before]]) else {
        panic!("it gives 2 persons away")
    };
    assert_eq!(cells.len(), 2, "{cells:?}");
    assert!(cells.contains(&2) && (cells.contains(&0) || cells.contains(&3)));
}

#[test]
fn one_table_protected_three_times_over() {
    // The small cell 1 needs one of 2, 3 and 4 beside it. Whichever was taken first, the same table again
    // with another must not give both away.
    let persons = || table(&[0..2, 100..108, 200..209, 300..310]);
    let (mut releases, mut attacker) = (Vec::new(), Attacker::default());
    for other in [2, 3, 4] {
        let withheld: Vec<bool> = (0..5).map(|cell| cell == 1 || cell == other).collect();
        let membership = persons();
        let set = releases.iter().collect();
        let proposal = Proposal { membership: &membership, withheld: &withheld, least: LEAST };
        let judgement = judge(proposal, &[set], &mut draws()).unwrap();
        let withheld: Vec<bool> = match judgement {
            Judgement::Release => withheld,
            Judgement::WithholdMore(more) => (0..5).map(|c| withheld[c] || more.contains(&c)).collect(),
            Judgement::Refuse(_) => panic!("the first pattern again would do"),
        };
        assert!(withheld[1] && withheld[2], "what was withheld stays so");
        attacker
            .groups
            .extend(groups(&membership).into_iter().zip(&withheld).filter(|(_, w)| !**w).map(|(g, _)| g));
        releases.push(Release::new(membership, withheld).unwrap());
    }
    assert!(attacker.small_groups(310, 3).is_empty());
}

#[test]
fn a_publication_is_judged_against_every_knowledge_set() {
    let one = released(table(&[0..20, 100..130]), &[]);
    let other = released(table(&[0..17]), &[]);
    let publication = table(&[0..23, 100..130]);
    // Beside the second set alone it tells of 6 more persons, beside the first of 3.
    assert_eq!(judged(&publication, &[&[&other]]), Judgement::Release);
    assert_ne!(judged(&publication, &[&[&one]]), Judgement::Release);
    let both = judged(&publication, &[&[&other], &[&one]]);
    assert_eq!(both, judged(&publication, &[&[&one], &[&other]]));
    assert_ne!(both, Judgement::Release);
}

#[test]
fn the_projects_of_an_organisation_know_together_what_none_knows_alone() {
    // Two tables of two projects leave a third the difference of 3 only together.
    let all = released(table(&[0..30]), &[]);
    let first = released(table(&[0..15]), &[]);
    let rest = table(&[15..27]);
    assert_eq!(judged(&rest, &[&[&all]]), Judgement::Release);
    assert_eq!(judged(&rest, &[&[&first]]), Judgement::Release);
    assert_eq!(judged(&rest, &[&[&all, &first]]), Judgement::Refuse(Refused::NotBesideEarlier));
}

#[test]
fn two_that_pass_alone_do_not_pass_together() {
    let (one, other) = (table(&[0..20]), table(&[0..23]));
    assert_eq!(judged(&one, &[&[]]), Judgement::Release);
    assert_eq!(judged(&other, &[&[]]), Judgement::Release);
    let one = released(one, &[]);
    assert_eq!(judged(&other, &[&[&one]]), Judgement::Refuse(Refused::NotBesideEarlier));
}

#[test]
fn categories_that_overlap_are_not_taken_for_sums() {
    // Diagnoses: 10 with the first only, 10 with the second only, 3 with both. The categories sum to 26, the
    // total is 23: together they give the 3 with both.
    let mut builder = MembershipBuilder::new(3);
    for person in 0..23 {
        let cells: &[u32] = match person {
            0..10 => &[0, 1],
            10..20 => &[0, 2],
            _ => &[0, 1, 2],
        };
        builder.add(PersonNo(person), cells).unwrap();
    }
    let membership = builder.build().unwrap();
    let Judgement::WithholdMore(cells) = judged(&membership, &[&[]]) else { panic!("it gives 3 away") };
    assert_eq!(cells.len(), 1);
}

/// One count of all these persons together.
fn count(of: &[std::ops::Range<u32>]) -> Membership {
    let mut builder = MembershipBuilder::new(1);
    for person in of.iter().cloned().flatten() {
        builder.add(PersonNo(person), &[0]).unwrap();
    }
    builder.build().unwrap()
}

/// Pairs of large groups leave 2d + b, or 6d + b, of a count: then b is known but for multiples of two, or six.
#[test]
fn what_is_left_when_dividing_tells_of_a_small_group() {
    let (d, b, g) = (0..20, 900..901, 910..914);
    let group = |n: u32| 100 * n..100 * n + 20;
    for pairs in [1, 3, 5] {
        let (first, second) = (|n: u32| group(n), |n: u32| group(n).start + 50..group(n).start + 70);
        let mut earlier = vec![released(count(&[b.clone(), g.clone()]), &[])];
        for n in 1..=pairs {
            earlier.push(released(count(&[first(n), second(n)]), &[]));
            earlier.push(released(count(&[d.clone(), second(n)]), &[]));
        }
        let earlier: Vec<&Release> = earlier.iter().collect();
        let mut asked: Vec<_> = (1..=pairs).map(first).collect();
        asked.extend([d.clone(), b.clone()]);
        assert!(matches!(judged(&count(&asked), &[&earlier]), Judgement::Refuse(_)), "{pairs} pairs");
        // Without the one person it is of use to nobody.
        asked.pop();
        assert_eq!(judged(&count(&asked), &[&earlier]), Judgement::Release);
    }
}

/// 2d + p + b tells nothing of b, since p makes up for it; once p is asked for, it does.
#[test]
fn what_made_up_for_a_small_group_is_not_told() {
    let [f, s, d, p, b] = [0..20, 100..120, 200..220, 300..320, 900..901];
    let whole = [f.clone(), s.clone(), d.clone(), p.clone(), b.clone()];
    let of = [vec![f.clone(), s.clone()], vec![d.clone(), s], vec![f, d, p.clone(), b.clone()]];
    // As three counts, which are rows of their own, and as one table, which is cut down by itself.
    let counts: Vec<Release> = of.iter().map(|of| released(count(of), &[])).collect();
    let table = MembershipBuilder::new(3);
    let table = whole.into_iter().flatten().fold(table, |mut table, person| {
        let within = |of: &Vec<std::ops::Range<u32>>| of.iter().any(|range| range.contains(&person));
        let cells: Vec<u32> = (0..).zip(&of).filter(|(_, of)| within(of)).map(|(cell, _)| cell).collect();
        table.add(PersonNo(person), &cells).unwrap();
        table
    });
    let table = table.build().unwrap();
    assert_eq!(judged(&table, &[&[]]), Judgement::Release);
    assert_eq!(judged(&count(&of[2]), &[&[&counts[0], &counts[1]]]), Judgement::Release);
    let table = [released(table, &[])];
    for earlier in [&counts[..], &table] {
        let earlier: Vec<&Release> = earlier.iter().collect();
        assert!(matches!(judged(&count(std::slice::from_ref(&p)), &[&earlier]), Judgement::Refuse(_)));
        // Half of them leave enough others.
        assert_eq!(judged(&count(&[300..310]), &[&earlier]), Judgement::Release);
    }
}

#[test]
fn the_limit_is_one_of_definitions() {
    let empty = MembershipBuilder::new(1).build().unwrap();
    let release = Release::new(empty.clone(), vec![false]).unwrap();
    let many: Vec<&Release> = std::iter::repeat_n(&release, MOST_RELEASES).collect();
    assert_eq!(judged(&empty, &[&many]), Judgement::Refuse(Refused::TooMuchKnown));
    assert_eq!(judged(&empty, &[&many[1..]]), Judgement::Release);
}

#[test]
fn nothing_is_released_beside_what_can_no_longer_be_evaluated() {
    let membership = table(&[0..20]);
    let withheld = primary(&membership, LEAST);
    let proposal = Proposal { membership: &membership, withheld: &withheld, least: LEAST };
    let set = KnowledgeSet::default().lacking_one();
    let judgement = judge(proposal, &[KnowledgeSet::default(), set], &mut draws()).unwrap();
    assert_eq!(judgement, Judgement::Refuse(Refused::EarlierGone));
}

#[test]
fn the_same_question_gets_the_same_answer() {
    let before = released(table(&[0..20, 100..130, 200..230]), &[]);
    let now = table(&[0..20, 100..132, 200..260]);
    assert_eq!(judged(&now, &[&[&before]]), judged(&now, &[&[&before]]));
}
