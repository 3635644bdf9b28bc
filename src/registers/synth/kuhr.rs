//! KUHR: contacts with the municipal health services of one year, their diagnoses and tariffs.

use super::calendar::{Day, days_in};
use super::calibration::{self, ByAge};
use super::delivery::{Delivery, Label, Serials, Used};
use super::diagnosis::Diagnoses;
use super::discharge::{Discharges, WINDOW};
use super::draw::{Draw, Purpose, Weighted};
use super::faults::{self, Fault, Faults};
use super::person::{Person, Population};
use super::sheet::Sheet;
use super::tariff;
use crate::registers::delivery::Layout;

/// The most contacts of a person in a year.
const MOST: u32 = 512;
const CONSULTATION: u8 = 3;
const SIMPLE: u8 = 2;
const GP: u8 = 1;
const EMERGENCY: u8 = 2;

/// The delivery of one year.
pub(super) struct Kuhr<'a> {
    population: &'a Population,
    discharges: &'a Discharges,
    year: i32,
    folder: String,
    serials: Serials,
    gp: ByAge,
    emergency: ByAge,
    gp_other: Weighted<u8>,
    emergency_kinds: Weighted<u8>,
    services: Weighted<u8>,
    users: f64,
    diagnoses: Diagnoses,
}

impl<'a> Kuhr<'a> {
    pub(super) fn new(
        population: &'a Population,
        discharges: &'a Discharges,
        persons: u32,
        year: i32,
    ) -> Self {
        let folder = format!("kuhr-{year}");
        let users = calibration::SERVICES.map(|(service, contacts, each)| (contacts / each, service));
        // Those who never come are made up for by the others.
        let others = 1.0 / (1.0 - calibration::NEVER);
        Self {
            population,
            discharges,
            year,
            serials: Serials::new(&population.streams, &folder, persons, MOST),
            folder,
            gp: ByAge::new(calibration::GP_SHAPE, others),
            emergency: ByAge::new(calibration::EMERGENCY_SHAPE, calibration::EMERGENCY_CONTACTS * others),
            gp_other: Weighted::new(calibration::GP_OTHER_KINDS),
            emergency_kinds: Weighted::new(calibration::EMERGENCY_KINDS),
            services: Weighted::new(users),
            users: users.iter().map(|(share, _)| share).sum::<f64>() * others,
            diagnoses: Diagnoses::new(),
        }
    }
}

/// A person's contacts while they are written.
struct Visits<'a> {
    delivery: &'a Kuhr<'a>,
    person: &'a Person,
    draw: Draw,
    faults: &'a mut Faults,
    sheets: &'a mut [Sheet; 4],
    used: Used,
    count: u32,
}

impl Delivery<4> for Kuhr<'_> {
    fn label(&self) -> Label {
        Label {
            folder: self.folder.clone(),
            sender: "Helfo (syntetisk)",
            layout: Layout::Kuhr,
            years: (self.year, self.year),
        }
    }

    fn population(&self) -> &Population {
        self.population
    }

    fn person(&self, person: &Person, faults: &mut Faults, sheets: &mut [Sheet; 4]) {
        if person.never {
            return;
        }
        let draw = self.population.streams.of(Purpose::Contacts(self.year), person.index);
        let mut visits =
            Visits { delivery: self, person, draw, faults, sheets, used: Used::default(), count: 0 };
        // A discharge late in the year before is followed in this one.
        let windows: Vec<_> = [self.year - 1, self.year]
            .into_iter()
            .flat_map(|year| self.discharges.of(self.population, person, year))
            .map(|stay| (stay.discharged, stay.discharged.plus(WINDOW)))
            .collect();
        if let Some(present) = person.present_in(self.year) {
            visits.routine(present, &windows);
            if !windows.is_empty() {
                visits.follow_up(present);
            }
        }
        let Visits { used, .. } = visits;
        let [_, _, _, identity] = sheets;
        used.write(&self.serials, person, faults, identity);
    }
}

impl Visits<'_> {
    /// Contacts at the rates of the person's age, sex and frailty.
    fn routine(&mut self, (from, to): (Day, Day), windows: &[(Day, Day)]) {
        let (kuhr, year) = (self.delivery, self.delivery.year);
        let age = self.person.age_in(year);
        let days = to.since(from);
        let exposure = f64::from(days + 1) / f64::from(days_in(year));
        let class = |classes: &[f64; 32]| classes.get(self.person.frailty).copied().unwrap_or(1.0);
        let (frailty, unequal) = (class(&calibration::FRAILTY), class(&calibration::EMERGENCY_FRAILTY));
        let [men, women] = calibration::GP_BY_SEX;
        let by_sex = match self.person.sex {
            _ if age < 16 => 1.0,
            1 => men,
            _ => women,
        };
        let gp = kuhr.gp.at(age) * by_sex * frailty * exposure;
        for _ in 0..self.draw.poisson(calibration::GP_CONSULTATIONS * gp) {
            let day = office_day(from.plus(self.draw.between(0, days)), to);
            // After a discharge consultations come from `follow_up` alone.
            let after = windows.iter().any(|(first, last)| (*first..=*last).contains(&day));
            self.contact(day, GP, if after { SIMPLE } else { CONSULTATION }, false);
        }
        for _ in 0..self.draw.poisson(calibration::GP_OTHER * gp) {
            let day = office_day(from.plus(self.draw.between(0, days)), to);
            let kind = kuhr.gp_other.pick(&mut self.draw);
            self.contact(day, GP, kind, false);
        }
        for _ in 0..self.draw.poisson(kuhr.emergency.at(age) * unequal * exposure) {
            let day = from.plus(self.draw.between(0, days));
            let kind = kuhr.emergency_kinds.pick(&mut self.draw);
            self.contact(day, EMERGENCY, kind, false);
        }
        for _ in 0..self.draw.poisson(kuhr.users * unequal * exposure) {
            let service = kuhr.services.pick(&mut self.draw);
            let each = calibration::SERVICES.iter().find(|(of, ..)| *of == service).map_or(1.0, |s| s.2);
            for _ in 0..=self.draw.poisson(each - 1.0) {
                let day = office_day(from.plus(self.draw.between(0, days)), to);
                self.contact(day, service, if service == 9 { 1 } else { CONSULTATION }, false);
            }
        }
    }

    /// Consultations that follow a discharge of this year or the one before.
    fn follow_up(&mut self, (from, to): (Day, Day)) {
        let Kuhr { population, discharges, year, .. } = self.delivery;
        for of in [year - 1, *year] {
            for day in discharges.followed(population, self.person, of) {
                if (from..=to).contains(&day) {
                    self.contact(day, GP, CONSULTATION, true);
                }
            }
        }
    }

    fn contact(&mut self, day: Day, service: u8, kind: u8, follow_up: bool) {
        let (kuhr, person, draw) = (self.delivery, self.person, &mut self.draw);
        let Some(record) = kuhr.serials.record(person.index, self.count) else { return };
        self.count += 1;
        let [contacts, diagnoses, tariffs, _] = &mut *self.sheets;
        let serial = self.used.serial(&kuhr.serials, person, day);
        let fault = self.faults.next(faults::CONTACT);
        let age = person.age_in(kuhr.year);
        let late = service == EMERGENCY && draw.below(10) < 6;
        let minutes = match service {
            EMERGENCY if late => (16 * 60 + draw.below(16 * 60)) % (24 * 60),
            _ => 8 * 60 + draw.below(8 * 60),
        };
        let bill = tariff::bill(service, kind, late, age, person.frailty, draw);

        contacts.number(record);
        match fault {
            Some(Fault::MissingPerson) => contacts.empty(),
            _ => contacts.number(serial),
        };
        match fault {
            Some(Fault::ImpossibleDate) if self.faults.first_form() => contacts.date(kuhr.year, 2, 30),
            Some(Fault::ImpossibleDate) => contacts.day(day.plus(2 * 366)),
            _ => contacts.day(day),
        };
        contacts.time(minutes).number(match fault {
            Some(Fault::ConflictingSex) => 3 - person.sex,
            _ => person.sex,
        });
        contacts.number(person.birth.year().unsigned_abs());
        let home = match (fault, person.home(day)) {
            (Some(Fault::ConflictingMunicipality), home) => {
                Some(kuhr.population.regions.other(home.unwrap_or_default()))
            }
            (_, home) => home,
        };
        let home = home.and_then(|home| kuhr.population.regions.get(home));
        let district = home.and_then(|home| Some((home, home.district(person.index)?)));
        contacts.text(home.map_or("", |home| home.code));
        match (fault, district) {
            (Some(Fault::WrongEncoding), _) => contacts.text(b"Gr\xfcnerl\xf8kka"),
            (_, Some((home, district))) => contacts.district(home.code, district),
            _ => contacts.empty(),
        };
        contacts
            .number(service)
            .number(kind)
            .text(bill.exemption)
            .kroner(bill.paid)
            .kroner(bill.refund)
            .end(fault);

        let main = match follow_up && draw.below(10) < 7 {
            true => Diagnoses::psychiatric(draw),
            false => kuhr.diagnoses.pick(service, person.sex, draw),
        };
        let more = service <= EMERGENCY && draw.below(5) == 0;
        let second = more.then(|| kuhr.diagnoses.pick(service, person.sex, draw));
        for (place, (code, table)) in (1_u32..).zip([Some(main), second].into_iter().flatten()) {
            diagnoses.number(record).text(code).text(table).text(if place == 1 { "1" } else { "0" });
            diagnoses.number(place).end(self.faults.next(faults::DETAIL));
        }
        for (code, times) in bill.tariffs.into_iter().flatten() {
            tariffs.number(record).text(code).number(times).end(self.faults.next(faults::DETAIL));
        }
    }
}

/// The next working day of the week, or the last before `end`.
fn office_day(day: Day, end: Day) -> Day {
    let later = match day.weekday() {
        0 => day.plus(1),
        6 => day.plus(2),
        _ => day,
    };
    if later <= end { later } else { day }
}
