//! Small populations, and queries over them.

use std::collections::BTreeSet;

use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

use super::attacker::Attacker;
use crate::disclosure::ledger::judge::judge_within;
use crate::disclosure::ledger::{Judgement, KnowledgeSet, Membership, MembershipBuilder, Proposal, Release};
use crate::domain::ids::PersonNo;

/// A person: one category in each of three variables, any of three diagnoses, any of four years.
#[derive(Debug, Clone)]
pub(in crate::disclosure::ledger) struct Person {
    pub(super) of: [u32; 3],
    pub(super) diagnoses: u32,
    pub(super) years: u32,
}

/// A query: who is counted, and by what. Variable 3 is the diagnosis, of which a person can have several.
#[derive(Debug, Clone)]
pub(in crate::disclosure::ledger) struct Query {
    /// Some diagnosis of these, in some year of these; no condition if 0.
    pub(super) diagnoses: u32,
    pub(super) years: u32,
    /// A category that the persons have in a variable.
    pub(super) only: Option<(usize, u32)>,
    pub(super) by: Vec<usize>,
}

pub(super) const CATEGORIES: u32 = 3;

pub(in crate::disclosure::ledger) fn person() -> impl Strategy<Value = Person> {
    ([0..2_u32, 0..3_u32, 0..3_u32], 0..8_u32, 0..16_u32).prop_map(|(of, diagnoses, years)| Person {
        of,
        diagnoses,
        years,
    })
}

pub(in crate::disclosure::ledger) fn query() -> impl Strategy<Value = Query> {
    let mask = |most: u32| prop_oneof![1 => Just(0), 2 => 1..most];
    let only = prop::option::of((0..3_usize, 0..CATEGORIES));
    (mask(8), mask(16), only, prop::collection::btree_set(0..4_usize, 0..3)).prop_map(
        |(diagnoses, years, only, by)| Query { diagnoses, years, only, by: by.into_iter().collect() },
    )
}

impl Query {
    fn counts(&self, person: &Person) -> bool {
        (self.diagnoses == 0 || self.diagnoses & person.diagnoses != 0)
            && (self.years == 0 || self.years & person.years != 0)
            && self.only.is_none_or(|(variable, category)| person.of[variable] == category)
    }

    /// The cells a person is in: in each dimension the total, node 0, and each category.
    fn cells(&self, person: &Person) -> Vec<u32> {
        let mut cells = vec![0];
        for &variable in &self.by {
            let mut nodes = vec![0];
            match person.of.get(variable) {
                Some(category) => nodes.push(category + 1),
                None => nodes.extend((0..3).filter(|d| person.diagnoses >> d & 1 == 1).map(|d| d + 1)),
            }
            cells = cells.iter().flat_map(|c| nodes.iter().map(move |n| c * (CATEGORIES + 1) + n)).collect();
        }
        cells
    }

    /// Who is in its cells.
    pub(in crate::disclosure::ledger) fn run(&self, people: &[Person]) -> Membership {
        let cells = (CATEGORIES as usize + 1).pow(self.by.len() as u32);
        let mut builder = MembershipBuilder::new(cells);
        for (number, person) in (0..).zip(people).filter(|(_, person)| self.counts(person)) {
            builder.add(PersonNo(number), &self.cells(person)).unwrap();
        }
        builder.build().unwrap()
    }
}

/// The persons of each cell.
pub(super) fn groups(membership: &Membership) -> Vec<BTreeSet<u32>> {
    let parts = membership.parts_of_cells();
    let of = |parts: &Vec<u32>| {
        membership.placed().filter(|(_, part)| parts.contains(part)).map(|(person, _)| person).collect()
    };
    parts.iter().map(of).collect()
}

/// The first pattern: small cells alone are withheld.
pub(in crate::disclosure::ledger) fn primary(membership: &Membership, least: u32) -> Vec<bool> {
    membership.counts().iter().map(|count| (1..u64::from(least)).contains(count)).collect()
}

/// The draws of a table.
pub(in crate::disclosure::ledger) fn draws() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(7)
}

/// What is looked at beside a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight {
    /// Nothing: each release is judged alone.
    None,
    /// What the persons around it tell.
    Around,
    /// That first, and then what all persons tell.
    All,
}

/// Judges and, if it may, releases; then tells the attacker what is published. `known` tells which of the
/// earlier releases are judged with it.
pub(super) fn submit(
    membership: Membership,
    least: u32,
    (earlier, known): (&[Release], &[usize]),
    sight: Sight,
    attacker: &mut Attacker,
) -> Option<Release> {
    let mut withheld = primary(&membership, least);
    let known = if sight == Sight::None { &[] } else { known };
    let set: KnowledgeSet<'_> = known.iter().map(|&at| &earlier[at]).collect();
    let most_vectors = if sight == Sight::All { usize::MAX } else { 0 };
    let proposal = Proposal { membership: &membership, withheld: &withheld, least };
    match judge_within(most_vectors, proposal, &[set], &mut draws()).unwrap() {
        Judgement::Release => {}
        Judgement::WithholdMore(cells) => {
            for cell in cells {
                withheld[cell] = true;
            }
        }
        Judgement::Refuse(_) => return None,
    }
    attacker.learn(&membership, &withheld);
    Some(Release::new(membership, withheld).unwrap())
}

impl Attacker {
    /// Takes in what a release publishes.
    pub(super) fn learn(&mut self, membership: &Membership, withheld: &[bool]) {
        for (group, &withheld) in groups(membership).into_iter().zip(withheld) {
            match withheld {
                false => self.groups.push(group),
                true if group.is_empty() => {}
                true => self.withheld.push(group),
            }
        }
    }
}
