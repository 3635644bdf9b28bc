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
    let persons = Numbering::new(&all);
    let mut live_parts = vec![0_u16; persons.persons()];
    for family in &*families {
        for (person, _) in family.live() {
            let count = &mut live_parts[persons.of(person)];
            // A person in so many releases stays where it is, which is the safe side.
            *count = count.saturating_add(1).min(ASKED - 1);
        }
    }
    for person in asked {
        live_parts[persons.of(person)] |= ASKED;
    }
    let mut open: Vec<bool> = families.iter().map(|f| f.space.vectors().next().is_some()).collect();
    let mut falling = true;
    while std::mem::take(&mut falling) {
        for (family, open) in families.iter_mut().zip(&mut open).filter(|(_, open)| **open) {
            if fall(family, &persons, &mut live_parts, least) {
                falling = true;
                *open = family.space.vectors().next().is_some();
            }
        }
    }
}

/// Cuts one family; whether anything fell away.
fn fall(family: &mut Family<'_>, persons: &Numbering, live_parts: &mut [u16], least: u32) -> bool {
    let mut alone = vec![0_u32; family.parts()];
    for (person, part) in family.placed() {
        alone[part as usize] += u32::from(live_parts[persons.of(person)] == 1);
    }
    let mut dead = vec![false; family.parts()];
    let mut any = false;
    for (part, _) in (0..).zip(&alone).filter(|(_, persons)| **persons >= least) {
        // The last live part of these persons is this one, unless it has just fallen.
        for part in family.space.cut(part) {
            dead[part as usize] = true;
            any = true;
        }
    }
    if any {
        for (person, part) in family.placed() {
            let count = &mut live_parts[persons.of(person)];
            if dead[part as usize] && *count & !ASKED < ASKED - 1 {
                *count -= 1;
            }
        }
    }
    any
}
