//! IPLOS: care services and function scores of one year.

use super::calendar::Day;
use super::calibration::{self, ByAge};
use super::delivery::{Delivery, Label, Serials, Used};
use super::draw::Purpose;
use super::faults::{self, Fault, Faults};
use super::person::{Person, Population};
use super::sheet::Sheet;
use crate::registers::delivery::Layout;

/// Health care at home, which everyone without another service has; with them, 67.5 % of recipients.
const HOME_HEALTH: u8 = 15;
/// A service: `tjeneste`, the share of recipients who have it, whether it is given in hours, whether it
/// ends within weeks.
const SERVICES: [(u8, f64, bool, bool); 19] = [
    (HOME_HEALTH, 0.585, true, false),
    (6, 116_346.0 / 399_263.0, false, false),
    (1, 100_177.0 / 399_263.0, true, false),
    (3, 4_530.0 / 399_263.0, true, false),
    (2, 0.06, true, false),
    (4, 0.07, true, false),
    (5, 0.1, false, false),
    (7, 0.02, true, false),
    (8, 0.01, true, false),
    (9, 0.08, true, false),
    (11, 0.03, true, false),
    (17, 0.01, true, false),
    (18, 0.02, false, true),
    (19, 0.03, false, true),
    (20, 0.03, false, true),
    (21, 0.085, false, false),
    (25, 0.02, false, true),
    (28, 0.08, false, false),
    (29, 0.15, false, false),
];
/// Care from the first of this many years back at the most.
const LONGEST: i32 = 8;

/// The delivery of one year.
pub(super) struct Iplos<'a> {
    population: &'a Population,
    year: i32,
    folder: String,
    serials: Serials,
    share: ByAge,
}

impl<'a> Iplos<'a> {
    pub(super) fn new(population: &'a Population, persons: u32, year: i32) -> Self {
        let folder = format!("iplos-{year}");
        let serials = Serials::new(&population.streams, &folder, persons, 1);
        let share = ByAge::new(calibration::CARE_SHAPE, calibration::CARE_SHARE);
        Self { population, year, folder, serials, share }
    }

    /// The first year of care without a break up to this one; none without care in this year.
    fn since(&self, person: &Person) -> Option<i32> {
        let cared = |year: &i32| person.care < self.share.at(person.age_in(*year));
        (self.year - LONGEST..=self.year).rev().take_while(cared).last()
    }
}

impl Delivery<3> for Iplos<'_> {
    fn label(&self) -> Label {
        Label {
            folder: self.folder.clone(),
            sender: "Kommunene (syntetisk)",
            layout: Layout::Iplos,
            years: (self.year, self.year),
        }
    }

    fn population(&self) -> &Population {
        self.population
    }

    fn person(&self, person: &Person, faults: &mut Faults, sheets: &mut [Sheet; 3]) {
        let (Some(since), Some((from, to))) = (self.since(person), person.present_in(self.year)) else {
            return;
        };
        let Some(home) = person.home(to).or(person.home(from)) else { return };
        let code = |home| self.population.regions.get(home).map_or("", |m| m.code);
        let [services, functions, identity] = sheets;
        let mut used = Used::default();
        let serial = used.serial(&self.serials, person, to);
        // Drawn alike in every year, so that a service that lasts is the same one in each delivery.
        let mut draw = self.population.streams.of(Purpose::Care, person.index);
        let drawn = SERVICES.map(|service| {
            (service, draw.chance(service.1), draw.between(0, 300), 5 + draw.below(200), draw.between(3, 60))
        });
        let none = drawn.iter().all(|(_, given, ..)| !given);
        for ((service, _, hours, short), given, start, amount, days) in drawn {
            let instead = none && service == HOME_HEALTH;
            if !given && !instead {
                continue;
            }
            let begun = Day::first_of(if short { self.year } else { since }).plus(start).max(person.birth);
            let begun = if begun > to { from } else { begun };
            let ended = if short { Some(begun.plus(days).min(to)) } else { None };
            let gone = (to < Day::last_of(self.year)).then_some(to);
            let fault = faults.next(faults::SERVICE);
            let home = if fault == Some(Fault::ConflictingMunicipality) {
                self.population.regions.other(home)
            } else {
                home
            };
            match fault {
                Some(Fault::MissingPerson) => services.empty(),
                _ => services.number(serial),
            };
            services.text(code(home)).number(service);
            match fault {
                Some(Fault::ImpossibleDate) => services.date(self.year, 2, 30),
                _ => services.day(begun),
            };
            services.day_or_empty(ended.or(gone));
            match hours {
                true => services.tenths(amount),
                false => services.empty(),
            };
            services.end(fault);
        }
        let mut draw = self.population.streams.of(Purpose::Function(self.year), person.index);
        for _ in 0..=draw.below(2) {
            let need = 1 + (person.care * 1e6) as i32 % 4;
            functions.number(serial).text(code(home));
            functions.day(from.plus(draw.between(0, to.since(from))));
            for _ in 0..20 {
                let score = match draw.below(16) {
                    0 => 9,
                    _ => (need + draw.between(-1, 1)).clamp(1, 5).unsigned_abs(),
                };
                functions.number(score);
            }
            functions.end(faults.next(faults::DETAIL));
        }
        used.write(&self.serials, person, faults, identity);
    }
}
