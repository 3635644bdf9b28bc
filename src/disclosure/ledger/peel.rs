//! Which earlier cells can have a part in a light word at all.
//!
//! A light word is not zero on fewer than k persons. Take a part of a family of releases with k or more
//! persons who are not asked for now and are in no other part that is still live: on these persons the word
//! is what the family's vector is at that part, and since they are k or more, that is zero. So the family's
//! vectors are cut down to those that are zero there. Parts at which all of them are zero are no longer
//! live, their persons count for others, and so on until nothing more falls away. What is left is
//! small wherever many persons are in few releases, and nothing has been given up: every light word is a
//! combination of what is left.
#![allow(clippy::indexing_slicing, reason = "persons and parts are within the sizes taken from the families")]

use roaring::RoaringBitmap;

use super::family::Family;
use super::numbering::Numbering;

/// Marks persons who are asked for now and so count for nobody.
const ASKED: u16 = 1 << 15;

/// Cuts the families down to what can have a part in a word of fewer than `least` persons together with
/// cells over `asked`.
pub(super) fn peel(families: &mut [Family<'_>], asked: &RoaringBitmap, least: u32) {
    let mut all = asked.clone();
    for family in &*families {
        all |= family.persons();
    }
    let mut work = Work::new(families, &all, asked, least);
    while let Some(family) = work.open.pop() {
        work.cut(&mut families[family], family);
    }
}

/// Who is in how many live parts. Parts of all families are numbered together.
struct Work {
    persons: Numbering,
    /// How many live parts each person is in; there are fewer families than [`ASKED`].
    live: Vec<u16>,
    /// The exclusive or of their numbers: of one part alone, its number.
    mixed: Vec<u32>,
    /// For each part how many persons who count are in no other live part.
    alone: Vec<u32>,
    /// The first part of each family, and the number of parts.
    first: Vec<u32>,
    /// Families with a part that may be cut.
    open: Vec<usize>,
    is_open: Vec<bool>,
    least: u32,
}

impl Work {
    fn new(families: &[Family<'_>], all: &RoaringBitmap, asked: &RoaringBitmap, least: u32) -> Self {
        let persons = Numbering::new(all);
        let mut first = vec![0_u32];
        for family in families {
            let parts = u32::try_from(family.parts()).unwrap_or(u32::MAX);
            first.push(first[first.len() - 1].saturating_add(parts));
        }
        let (mut live, mut mixed) = (vec![0_u16; persons.persons()], vec![0_u32; persons.persons()]);
        for (family, first) in families.iter().zip(&first) {
            for (person, part) in family.live() {
                let at = persons.of(person);
                live[at] += 1;
                mixed[at] ^= first + part;
            }
        }
        for person in asked {
            live[persons.of(person)] |= ASKED;
        }
        let mut work = Self {
            alone: vec![0; first[families.len()] as usize],
            is_open: vec![false; families.len()],
            open: Vec::new(),
            persons,
            live,
            mixed,
            first,
            least,
        };
        for at in 0..work.live.len() {
            work.look_at(at);
        }
        work
    }

    /// Counts a person who is left in one live part.
    fn look_at(&mut self, at: usize) {
        if self.live[at] != 1 {
            return;
        }
        let part = self.mixed[at];
        let alone = &mut self.alone[part as usize];
        *alone += 1;
        if *alone >= self.least {
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
        let mut dead = vec![false; family.parts()];
        let mut any = false;
        let alone = &self.alone[first as usize..][..family.parts()];
        for (part, _) in (0..).zip(alone).filter(|(_, alone)| **alone >= self.least) {
            for part in family.space.cut(part) {
                dead[part as usize] = true;
                any = true;
            }
        }
        if !any {
            return;
        }
        for (person, part) in family.placed().filter(|(_, part)| dead[*part as usize]) {
            let at = self.persons.of(person);
            self.live[at] -= 1;
            self.mixed[at] ^= first + part;
            self.look_at(at);
        }
    }
}
