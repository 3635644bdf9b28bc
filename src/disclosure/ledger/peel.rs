//! Which earlier cells can have a part in a light word at all.
//!
//! A light word is not zero on fewer than k persons. Take a part of a family of releases with k or more
//! persons (more than twice k-1 are asked for, see [`super::refine`]) who are not asked for now and are in no other part that is still live: on these persons the word
//! is what the family's vector is at that part, and since they are k or more, that is zero. (Persons in withheld
//! cells of few do not count as some of the k: these cells are known not to be empty, so that their persons cannot stand
//! for whatever the sums would have them be.) So the family's
//! vectors are cut down to those that are zero there, as long as one that is left out has whole numbers and one at that part: then
//! its persons also make up for whatever whole numbers the others change by (see [`super::divisible`]). Parts at which all of them are zero are no longer
//! live, their persons count for others, and so on until nothing more falls away. What is left is
//! small wherever many persons are in few releases, and nothing has been given up: every light word is a
//! combination of what is left.
#![allow(clippy::indexing_slicing, reason = "persons and parts are within the sizes taken from the families")]

use roaring::RoaringBitmap;

use super::family::Family;
use super::numbering::Numbering;

/// Marks persons who are asked for now, or are in a withheld cell of few, and so count for nobody.
const ASKED: u32 = 1 << 31;

/// In which live parts a person is.
#[derive(Clone, Default)]
struct In {
    /// How many they are; there are fewer families than [`ASKED`].
    live: u32,
    /// The exclusive or of their numbers: of one part alone, its number.
    mixed: u32,
}

/// Cuts the families down to what can have a part in a word of fewer than k persons together with
/// cells over `asked`. `few` are the persons of withheld cells of few; more than `enough` persons are enough.
pub(super) fn peel(families: &mut [Family<'_>], asked: &RoaringBitmap, few: &[&[u32]], enough: u32) {
    let mut all = asked.clone();
    for family in &*families {
        all |= family.persons();
    }
    let apart = asked.iter().chain(few.iter().copied().flatten().copied());
    let mut work = Work::new(families, &all, apart, enough);
    while let Some(family) = work.open.pop() {
        work.cut(&mut families[family], family);
    }
}

/// Who is in how many live parts. Parts of all families are numbered together.
struct Work {
    persons: Numbering,
    /// In which live parts each person is.
    of: Vec<In>,
    /// For each part how many persons who count are in no other live part.
    alone: Vec<u32>,
    /// The first part of each family, and the number of parts.
    first: Vec<u32>,
    /// Families with a part that may be cut.
    open: Vec<usize>,
    is_open: Vec<bool>,
    /// For each family who is in its parts, from when it is first cut until nothing of it is left.
    members: Vec<Option<Members>>,
    enough: u32,
}

/// Who is in the parts of a family, by their numbers, part by part.
struct Members {
    /// Where each part begins, and at last where all end.
    first: Vec<u32>,
    persons: Vec<u32>,
}

impl Members {
    fn new(family: &Family<'_>, persons: &Numbering) -> Self {
        let mut first = vec![0_u32; family.parts() + 1];
        for part in family.part_of() {
            first[part as usize] += 1;
        }
        let mut end = 0;
        for place in &mut first {
            end += *place;
            *place = end;
        }
        // Each place goes down to where its part begins.
        let mut members = vec![0; end as usize];
        for (person, part) in family.placed() {
            let place = &mut first[part as usize];
            *place -= 1;
            members[*place as usize] = u32::try_from(persons.of(person)).unwrap_or(u32::MAX);
        }
        Self { first, persons: members }
    }

    fn of(&self, part: u32) -> &[u32] {
        let at = part as usize;
        &self.persons[self.first[at] as usize..self.first[at + 1] as usize]
    }
}

impl Work {
    fn new(
        families: &[Family<'_>],
        all: &RoaringBitmap,
        apart: impl Iterator<Item = u32>,
        enough: u32,
    ) -> Self {
        let persons = Numbering::new(all);
        let mut first = vec![0_u32];
        for family in families {
            let parts = u32::try_from(family.parts()).unwrap_or(u32::MAX);
            first.push(first[first.len() - 1].saturating_add(parts));
        }
        let mut of = vec![In::default(); persons.persons()];
        for (family, first) in families.iter().zip(&first) {
            for (person, part) in family.live() {
                let of = &mut of[persons.of(person)];
                of.live += 1;
                of.mixed ^= first + part;
            }
        }
        for person in apart {
            of[persons.of(person)].live |= ASKED;
        }
        let mut work = Self {
            alone: vec![0; first[families.len()] as usize],
            is_open: vec![false; families.len()],
            open: Vec::new(),
            members: families.iter().map(|_| None).collect(),
            persons,
            of,
            first,
            enough,
        };
        for at in 0..work.of.len() {
            work.look_at(at);
        }
        work
    }

    /// Counts a person who is left in one live part.
    fn look_at(&mut self, at: usize) {
        let In { live: 1, mixed: part } = self.of[at] else { return };
        let alone = &mut self.alone[part as usize];
        *alone += 1;
        if *alone > self.enough {
            let family = self.first.partition_point(|&first| first <= part) - 1;
            if !std::mem::replace(&mut self.is_open[family], true) {
                self.open.push(family);
            }
        }
    }

    /// Cuts one family where it can be cut, and takes its persons out of the parts that are no longer live.
    fn cut(&mut self, family: &mut Family<'_>, number: usize) {
        self.is_open[number] = false;
        let first = self.first[number];
        let mut dead: Vec<u32> = Vec::new();
        let alone = &self.alone[first as usize..][..family.parts()];
        for (part, _) in (0..).zip(alone).filter(|(_, alone)| **alone > self.enough) {
            dead.extend(family.space.cut(part));
        }
        if dead.is_empty() {
            return;
        }
        let members = self.members[number].take().unwrap_or_else(|| Members::new(family, &self.persons));
        for part in dead {
            for &at in members.of(part) {
                let at = at as usize;
                self.of[at].live -= 1;
                self.of[at].mixed ^= first + part;
                self.look_at(at);
            }
        }
        if family.space.vectors().next().is_some() {
            self.members[number] = Some(members);
        }
    }
}
