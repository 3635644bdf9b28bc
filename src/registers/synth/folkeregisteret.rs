//! Folkeregisteret: persons, homes, numbers.

use super::delivery::{Delivery, Label, Serials};
use super::faults::{Fault, Faults};
use super::person::{Person, Population};
use super::sheet::Sheet;
use crate::registers::delivery::Layout;

/// The delivery of the population register.
pub(super) struct Folkeregisteret<'a> {
    population: &'a Population,
    serials: Serials,
}

const FOLDER: &str = "folkeregisteret";

impl<'a> Folkeregisteret<'a> {
    pub(super) fn new(population: &'a Population, persons: u32) -> Self {
        Self { population, serials: Serials::new(&population.streams, FOLDER, persons, 1) }
    }
}

impl Delivery<3> for Folkeregisteret<'_> {
    fn label(&self) -> Label {
        Label {
            folder: FOLDER.to_owned(),
            sender: "Skatteetaten (syntetisk)",
            layout: Layout::Folkeregisteret,
            years: self.population.years,
        }
    }

    fn population(&self) -> &Population {
        self.population
    }

    fn person(&self, person: &Person, _: &mut Faults, [persons, homes, numbers]: &mut [Sheet; 3]) {
        let serial = self.serials.person(person.index, 0);
        persons
            .number(serial)
            .number(person.sex)
            .day(person.birth)
            .day_or_empty(person.death)
            .day_or_empty(person.emigrated)
            .end(None);
        for stay in &person.stays {
            let code = self.population.regions.get(stay.municipality).map_or("", |m| m.code);
            homes.number(serial).text(code).day(stay.from).day_or_empty(stay.to).end(None);
        }
        for held in &person.numbers {
            numbers
                .number(serial)
                .text(held.number)
                .text(if held.d_number { "DNR" } else { "FNR" })
                .day(held.from)
                .day_or_empty(held.to)
                .end(held.new_rule.then_some(Fault::NumberBy2032Rule));
        }
    }
}
