//! One delivery: what its folder and files are called, and a person's lines in them.

use super::calendar::Day;
use super::draw::{Purpose, Streams};
use super::faults::{Fault, Faults, IDENTITY};
use super::permutation::Permutation;
use super::person::{Person, Population};
use super::sheet::Sheet;
use crate::registers::delivery::{FileLayout, Layout};

/// The labels of a delivery, as `delivery.toml` has them.
#[derive(Debug, Clone)]
pub(super) struct Label {
    /// The folder's name, which also names the delivery's keys.
    pub(super) folder: String,
    pub(super) sender: &'static str,
    pub(super) layout: Layout,
    /// The first and last year.
    pub(super) years: (i32, i32),
}

impl Label {
    /// The text of `delivery.toml`. A delivery is made on 1 February after its last year.
    pub(super) fn manifest(&self) -> String {
        let Self { sender, layout, years: (first, last), .. } = self;
        let (register, layout, next) = (layout.register(), layout.as_str(), last + 1);
        format!(
            "register = \"{register}\"\nsender = \"{sender}\"\nlayout = \"{layout}\"\n\
             created = \"{next}-02-01\"\n\n[period]\nfrom = \"{first}-01-01\"\nto = \"{last}-12-31\"\n"
        )
    }
}

/// Makes the lines of one delivery, person by person.
pub(super) trait Delivery<const FILES: usize>: Sync {
    /// What it is.
    fn label(&self) -> Label;

    /// Its content files, in the order of the sheets; the identity file comes after them.
    fn content(&self) -> Vec<FileLayout> {
        self.label().layout.content().iter().map(|(file, _)| *file).collect()
    }

    /// The persons it is about.
    fn population(&self) -> &Population;

    /// Adds a person's lines.
    fn person(&self, person: &Person, faults: &mut Faults, sheets: &mut [Sheet; FILES]);

    /// Where this delivery's faults come from.
    fn faults(&self, person: u32) -> Faults {
        let population = self.population();
        let Label { layout, years: (first, _), .. } = self.label();
        let number = (layout as u16) << 8 | (first % 256) as u16;
        Faults::new(population.messy.then(|| population.streams.of(Purpose::Faults(number), person)))
    }
}

/// The most numbers a person can have, rounded up to a power of two.
const NUMBERS: u64 = 4;

/// Serial numbers of persons, and of one kind of record, in one delivery.
pub(super) struct Serials {
    persons: Permutation,
    records: Permutation,
    each: u64,
}

impl Serials {
    /// Serial numbers for so many persons with at most `each` records.
    pub(super) fn new(streams: &Streams, folder: &str, persons: u32, each: u32) -> Self {
        let (persons, each) = (u64::from(persons), u64::from(each));
        Self {
            persons: Permutation::new(streams.keys(&format!("{folder}/person")), persons * NUMBERS),
            records: Permutation::new(streams.keys(&format!("{folder}/record")), persons * each),
            each,
        }
    }

    /// The serial number of a person's number.
    pub(super) fn person(&self, person: u32, slot: usize) -> u64 {
        1 + self.persons.apply(u64::from(person) * NUMBERS + slot as u64)
    }

    /// The serial number of a person's record. None when the person has had as many as there are.
    pub(super) fn record(&self, person: u32, record: u32) -> Option<u64> {
        let record = u64::from(record);
        (record < self.each).then(|| 1 + self.records.apply(u64::from(person) * self.each + record))
    }
}

/// Which of a person's numbers a delivery has used.
#[derive(Debug, Default)]
pub(super) struct Used([bool; NUMBERS as usize]);

impl Used {
    /// The serial number for the number of the day.
    pub(super) fn serial(&mut self, serials: &Serials, person: &Person, day: Day) -> u64 {
        let slot = person.slot(day);
        if let Some(used) = self.0.get_mut(slot) {
            *used = true;
        }
        serials.person(person.index, slot)
    }

    /// The lines of the identity file: each number that was used.
    pub(super) fn write(&self, serials: &Serials, person: &Person, faults: &mut Faults, sheet: &mut Sheet) {
        for (slot, held) in person.numbers.iter().enumerate() {
            if self.0.get(slot).copied().unwrap_or_default() {
                let fault = faults.next(IDENTITY);
                let number = match fault {
                    Some(Fault::InvalidNumber) => super::number::spoilt(held.number),
                    _ => held.number,
                };
                let fault = fault.or(held.new_rule.then_some(Fault::NumberBy2032Rule));
                sheet.number(serials.person(person.index, slot)).text(number).end(fault);
            }
        }
    }
}
