//! The atoms on which a judgement works: the common refinement of what is asked for and of what earlier
//! releases have left after [`super::peel`].
//!
//! Persons who are in the same part of every live family and in the same part of the proposal form an
//! atom. Every cell in question is a union of atoms, and sums need no finer division. Withheld cells of few, also of
//! families that are no longer live, may divide an atom further: in each piece somebody stays, whatever else changes.
//! An atom that many can leave (twice k-1, so that it has k persons or more) stands for as many as are needed in other
//! populations with the same counts ([`super::moves`]); the others are light.
#![allow(clippy::indexing_slicing, reason = "persons, parts and atoms are numbered by this module")]

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasherDefault;

use rand::Rng;
use roaring::RoaringBitmap;

use super::echelon::Row;
use super::family::Family;
use super::membership::{AsItIs, Membership};
use super::numbering::Numbering;

/// Stands for a person who is not the first of an atom.
const NOT_FIRST: u32 = u32::MAX;

/// The atoms, and what is judged as vectors over them. Atoms that are not light come first, those
/// in few vectors before those in many: that order is the one in which they are eliminated.
#[derive(Debug)]
pub(super) struct Refined {
    /// How many persons each atom has.
    pub(super) weights: Vec<u32>,
    /// By how many persons each atom can become smaller while somebody stays in each of its pieces.
    pub(super) spare: Vec<u32>,
    /// The first atom that is not taken to give and take what it must: of the others, `enough` persons can leave.
    pub(super) light_from: u32,
    /// What is known from earlier releases.
    pub(super) earlier: Vec<Row>,
    /// Which of these have all their persons in atoms.
    pub(super) whole: Vec<bool>,
    /// The cells of the proposal.
    pub(super) cells: Vec<Row>,
}

/// How far earlier releases are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// The persons of the proposal, and those who are in no earlier cells but such as these are in.
    Asked,
    /// Those of the families that share persons with it, or with one that does, and so on.
    Connected,
}

/// Brings the proposal and the families over common atoms, as far as they reach. `few` are the persons of withheld cells of
/// few.
pub(super) fn refine(
    families: &[Family<'_>],
    proposal: &Membership,
    reach: Reach,
    few: &[&[u32]],
    enough: u32,
    rng: &mut impl Rng,
) -> Refined {
    let (families, reached) = match reach {
        Reach::Asked => (families.iter().collect(), around(families, proposal)),
        Reach::Connected => connected(families, proposal),
    };
    let persons = Numbering::new(&reached);
    let placed: Vec<Placed> = families.iter().map(|family| Placed::of(family, &persons)).collect();

    // A sum of random numbers, one for each part a person is in, tells signatures apart.
    let mut signature = vec![0_u64; persons.persons()];
    let mut marks: Vec<u64> = proposal.parts.iter().map(|_| rng.next_u64()).collect();
    for (person, part) in proposal.placed() {
        signature[persons.of(person)] = marks[part as usize];
    }
    for (family, placed) in families.iter().zip(&placed) {
        marks = (0..family.parts()).map(|_| rng.next_u64()).collect();
        for &(person, part) in &placed.reached {
            let sum = &mut signature[person as usize];
            *sum = sum.wrapping_add(marks[part as usize]);
        }
    }
    let mut numbers: HashMap<u64, u32, BuildHasherDefault<AsItIs>> = HashMap::default();
    let mut weights: Vec<u32> = Vec::new();
    let mut number = |signature| {
        let next = u32::try_from(weights.len()).unwrap_or(u32::MAX);
        let atom = *numbers.entry(signature).or_insert(next);
        match weights.get_mut(atom as usize) {
            Some(weight) => {
                *weight += 1;
                NOT_FIRST
            }
            None => {
                weights.push(1);
                atom
            }
        }
    };
    // An atom is where its first person is.
    let first_of: Vec<u32> = signature.iter().copied().map(&mut number).collect();
    let atom_of = |person: u32| numbers[&signature[persons.of(person)]];
    let of_few = |few: &[u32]| -> Vec<(u32, u32)> {
        few.iter().filter(|&&p| reached.contains(p)).map(|&p| (p, atom_of(p))).collect()
    };
    let spare = spare(&weights, few.iter().map(|few| of_few(few)), rng);
    let within = |placed: &mut dyn Iterator<Item = (u32, u32)>, parts: usize| {
        let mut within: Vec<Vec<u32>> = vec![Vec::new(); parts];
        for (person, part) in placed {
            let atom = first_of[person as usize];
            if atom != NOT_FIRST {
                within[part as usize].push(atom);
            }
        }
        within
    };
    let asked = proposal.placed().filter_map(|(person, part)| Some((persons.find(person)?, part)));
    let atoms = within(&mut asked.into_iter(), proposal.parts.len());
    let one =
        |parts: &Vec<u32>| parts.iter().flat_map(|&p| atoms[p as usize].iter().map(|&a| (a, 1))).collect();
    let mut cells: Vec<Row> = proposal.parts_of_cells().iter().map(one).collect();
    let (mut earlier, mut whole): (Vec<Row>, Vec<bool>) = (Vec::new(), Vec::new());
    for (family, placed) in families.iter().zip(placed) {
        let atoms = within(&mut placed.reached.into_iter(), family.parts());
        for vector in family.space.vectors() {
            let over_atoms = |&(p, v): &(u32, u64)| atoms[p as usize].iter().map(move |&atom| (atom, v));
            let row: Row = vector.iter().flat_map(over_atoms).collect();
            if !row.is_empty() {
                earlier.push(row);
                whole.push(vector.iter().all(|(part, _)| !placed.cut[*part as usize]));
            }
        }
    }
    let rows = earlier.iter_mut().chain(&mut cells).collect();
    let (weights, spare, light_from) = order(&weights, &spare, enough, rows);
    Refined { weights, spare, light_from, earlier, whole, cells }
}

/// The persons in question in the live parts of a family.
struct Placed {
    /// By their numbers, with the part each is in.
    reached: Vec<(u32, u32)>,
    /// The parts that have other persons too.
    cut: Vec<bool>,
}

impl Placed {
    fn of(family: &Family<'_>, persons: &Numbering) -> Self {
        let mut cut = vec![false; family.parts()];
        let find = |(person, part): (u32, u32)| {
            let number = persons.find(person);
            cut[part as usize] |= number.is_none();
            Some((number?, part))
        };
        let reached = family.live().filter_map(find).collect();
        Self { reached, cut }
    }
}

/// The persons of the proposal, and those who are in no combination of earlier cells that has none of these persons.
fn around(families: &[Family<'_>], proposal: &Membership) -> RoaringBitmap {
    const AROUND: u8 = 1;
    const BEYOND: u8 = 2;
    let asked = Numbering::new(&proposal.population.persons);
    let last = families.iter().filter_map(|family| family.persons().max()).max();
    let mut found = vec![0_u8; last.map_or(0, |last| last as usize + 1)];
    for family in families {
        let mut touched = vec![false; family.parts()];
        for (_, part) in family.live().filter(|(person, _)| asked.find(*person).is_some()) {
            touched[part as usize] = true;
        }
        let beyond = family.space.beyond(&touched);
        for (person, part) in family.live() {
            found[person as usize] |= if beyond[part as usize] { BEYOND } else { AROUND };
        }
    }
    let around = (0..).zip(&found).filter(|(_, found)| **found == AROUND).map(|(person, _)| person);
    around.chain(&proposal.population.persons).collect()
}

/// The families that share persons with the proposal, or with one that does, and so on; and all these
/// persons.
fn connected<'f, 'a>(
    families: &'f [Family<'a>],
    proposal: &Membership,
) -> (Vec<&'f Family<'a>>, RoaringBitmap) {
    let mut reached = proposal.population.persons.clone();
    let mut outside: Vec<(&Family<'a>, RoaringBitmap)> = families
        .iter()
        .filter_map(|family| {
            let live = RoaringBitmap::from_sorted_iter(family.live().map(|(person, _)| person));
            Some((family, live.ok()?)).filter(|(_, live)| !live.is_empty())
        })
        .collect();
    let mut inside = Vec::new();
    loop {
        let before = inside.len();
        outside.retain(|(family, live)| {
            let touched = !live.is_disjoint(&reached);
            if touched {
                reached |= live;
                inside.push(*family);
            }
            !touched
        });
        if inside.len() == before {
            return (inside, reached);
        }
    }
}

/// By how many persons each atom can become smaller while somebody stays in each of its pieces: the persons of it that
/// are in the same withheld cells of few, and those that are in none.
fn spare(weights: &[u32], few: impl Iterator<Item = Vec<(u32, u32)>>, rng: &mut impl Rng) -> Vec<u32> {
    let mut in_few: HashMap<(u32, u32), u64> = HashMap::new();
    for cell in few {
        let mark = rng.next_u64();
        for placed in cell {
            let sum = in_few.entry(placed).or_default();
            *sum = sum.wrapping_add(mark);
        }
    }
    let (mut pieces, mut others) = (vec![0_u32; weights.len()], weights.to_vec());
    let mut seen = HashSet::new();
    for ((_, atom), sum) in in_few {
        others[atom as usize] -= 1;
        pieces[atom as usize] += u32::from(seen.insert((atom, sum)));
    }
    let all = weights.iter().zip(pieces.iter().zip(&others));
    all.map(|(weight, (pieces, others))| weight - pieces - u32::from(*others > 0)).collect()
}

/// Numbers the atoms anew in the order of elimination. Gives what the atoms have and can spare in that order, and the
/// first light atom.
fn order(weights: &[u32], spare: &[u32], enough: u32, rows: Vec<&mut Row>) -> (Vec<u32>, Vec<u32>, u32) {
    let mut uses = vec![0_u32; weights.len()];
    for row in &rows {
        for &(atom, _) in row.iter() {
            uses[atom as usize] += 1;
        }
    }
    let mut order: Vec<u32> = (0..).take(weights.len()).collect();
    order.sort_by_key(|&atom| (spare[atom as usize] < enough, uses[atom as usize], atom));
    let mut place = vec![0; weights.len()];
    for (to, &from) in (0..).zip(&order) {
        place[from as usize] = to;
    }
    for row in rows {
        for entry in row.iter_mut() {
            entry.0 = place[entry.0 as usize];
        }
        row.sort_unstable();
    }
    let in_order = |of: &[u32]| -> Vec<u32> { order.iter().map(|&atom| of[atom as usize]).collect() };
    let (weights, spare) = (in_order(weights), in_order(spare));
    let light_from = spare.partition_point(|&spare| spare >= enough);
    (weights, spare, u32::try_from(light_from).unwrap_or(u32::MAX))
}
