//! NPR: episodes of specialist care that ended in one year.

use super::calendar::Day;
use super::calibration::{self, ByAge};
use super::delivery::{Delivery, Label, Serials, Used};
use super::diagnosis::{ADULT, CHILD, Clinic, SOMATIC, SUBSTANCE};
use super::discharge::Discharges;
use super::draw::{Draw, Purpose};
use super::faults::{self, Fault, Faults};
use super::person::{Person, Population};
use super::sheet::Sheet;
use crate::registers::delivery::{FileLayout, Layout};

/// The content file. The register node reads it; the gateway never does.
const EPISODES: FileLayout = FileLayout {
    name: "EPISODE.csv",
    header: "episode_lnr;npr_lnr;omsorgsniva;innmatehast;inndato;utdato;fagomrade;sektor;hovedtilstand;\
             kommuneNr",
};
/// The most episodes of a person in a year.
const MOST: u32 = 64;
/// Outpatient episodes of a somatic patient beyond the first; stays of an inpatient beyond the first.
/// Fitted so that all episodes come to [`calibration::EPISODES`].
const MORE_OUTPATIENT: f64 = 0.87;
const MORE_STAYS: f64 = 0.4;
/// The share in outpatient mental health care or treatment for substance use, and their episodes
/// beyond the first. Invented.
const MENTAL_SHARE: f64 = 0.035;
const MORE_MENTAL: f64 = 6.1;
/// Of adults in mental health care, those in treatment for substance use.
const SUBSTANCE_USE: f64 = 0.2;
/// Days in a somatic ward, equally likely.
const LENGTHS: [i32; 10] = [1, 1, 1, 2, 2, 3, 4, 5, 8, 14];

/// `omsorgsniva`.
const INPATIENT: u8 = 1;
const DAY_TREATMENT: u8 = 2;
const OUTPATIENT: u8 = 3;
const RADIATION: u8 = 8;

/// The delivery of one year.
pub(super) struct Npr<'a> {
    population: &'a Population,
    discharges: &'a Discharges,
    year: i32,
    folder: String,
    serials: Serials,
    somatic: ByAge,
    mental: ByAge,
}

impl<'a> Npr<'a> {
    pub(super) fn new(
        population: &'a Population,
        discharges: &'a Discharges,
        persons: u32,
        year: i32,
    ) -> Self {
        let folder = format!("npr-{year}");
        Self {
            population,
            discharges,
            year,
            serials: Serials::new(&population.streams, &folder, persons, MOST),
            folder,
            somatic: ByAge::new(calibration::SOMATIC_SHAPE, calibration::SOMATIC_SHARE),
            mental: ByAge::new(calibration::MENTAL_SHAPE, MENTAL_SHARE),
        }
    }
}

/// One episode, before its person is added.
struct Episode {
    level: u8,
    urgency: u8,
    from: Day,
    to: Day,
    clinic: Clinic,
}

impl Delivery<2> for Npr<'_> {
    fn label(&self) -> Label {
        Label {
            folder: self.folder.clone(),
            sender: "Sykehusene (syntetisk)",
            layout: Layout::Npr,
            years: (self.year, self.year),
        }
    }

    fn content(&self) -> Vec<FileLayout> {
        vec![EPISODES]
    }

    fn population(&self) -> &Population {
        self.population
    }

    fn person(&self, person: &Person, faults: &mut Faults, sheets: &mut [Sheet; 2]) {
        let Some((from, to)) = person.present_in(self.year) else { return };
        let mut draw = self.population.streams.of(Purpose::Specialist(self.year), person.index);
        let mut episodes = self.psychiatric_stays(person, &mut draw);
        self.others(person, (from, to), &mut draw, &mut episodes);
        let mut used = Used::default();
        let [lines, identity] = sheets;
        for (episode, count) in episodes.iter().zip(0..) {
            let Some(record) = self.serials.record(person.index, count) else { break };
            let serial = used.serial(&self.serials, person, episode.to);
            self.write(episode, (record, serial), person, &mut draw, faults, lines);
        }
        used.write(&self.serials, person, faults, identity);
    }
}

impl Npr<'_> {
    fn psychiatric_stays(&self, person: &Person, draw: &mut Draw) -> Vec<Episode> {
        let clinic = if person.age_in(self.year) < 18 { CHILD } else { ADULT };
        self.discharges
            .of(self.population, person, self.year)
            .into_iter()
            .map(|stay| Episode {
                level: INPATIENT,
                urgency: if draw.chance(0.7) { 1 } else { 4 },
                from: stay.admitted,
                to: stay.discharged,
                clinic,
            })
            .collect()
    }

    fn others(&self, person: &Person, (from, to): (Day, Day), draw: &mut Draw, episodes: &mut Vec<Episode>) {
        let (age, days) = (person.age_in(self.year), to.since(from));
        let exposure = f64::from(days + 1) / 365.0;
        let outpatient = |draw: &mut Draw, clinic| {
            let level = match draw.below(100) {
                0 => RADIATION,
                1..=6 => DAY_TREATMENT,
                _ => OUTPATIENT,
            };
            let day = from.plus(draw.between(0, days));
            Episode { level, urgency: 4, from: day, to: day, clinic }
        };
        if draw.chance(self.somatic.at(age) * exposure) {
            let clinic = SOMATIC.get(draw.below(SOMATIC.len() as u32) as usize).copied().unwrap_or(ADULT);
            for _ in 0..=draw.poisson(MORE_OUTPATIENT) {
                episodes.push(outpatient(draw, clinic));
            }
            if draw.chance(calibration::INPATIENT_SHARE / calibration::SOMATIC_SHARE) {
                for _ in 0..=draw.poisson(MORE_STAYS) {
                    let out = from.plus(draw.between(0, days));
                    let urgency = match draw.below(20) {
                        0..=11 => 1,
                        12 => 2,
                        13 => 3,
                        _ => 4,
                    };
                    let admitted = out.plus(-draw.one_of(&LENGTHS)).max(person.birth);
                    episodes.push(Episode { level: INPATIENT, urgency, from: admitted, to: out, clinic });
                }
            }
        }
        if draw.chance(self.mental.at(age) * exposure) {
            let clinic = match age {
                ..18 => CHILD,
                _ if draw.chance(SUBSTANCE_USE) => SUBSTANCE,
                _ => ADULT,
            };
            for _ in 0..=draw.poisson(MORE_MENTAL) {
                let day = from.plus(draw.between(0, days));
                episodes.push(Episode { level: OUTPATIENT, urgency: 4, from: day, to: day, clinic });
            }
        }
    }

    fn write(
        &self,
        episode: &Episode,
        (record, serial): (u64, u64),
        person: &Person,
        draw: &mut Draw,
        faults: &mut Faults,
        lines: &mut Sheet,
    ) {
        let fault = faults.next(faults::EPISODE);
        lines.number(record);
        match fault {
            Some(Fault::MissingPerson) => lines.empty(),
            _ => lines.number(serial),
        };
        lines.number(episode.level).number(episode.urgency).day(episode.from);
        match fault {
            Some(Fault::ImpossibleDate) if faults.first_form() => lines.date(self.year, 2, 30),
            Some(Fault::ImpossibleDate) => lines.day(episode.to.plus(2 * 366)),
            _ => lines.day(episode.to),
        };
        lines.text(episode.clinic.field);
        match fault {
            Some(Fault::WrongEncoding) => lines.text(b"Sykehuset \xd8st"),
            _ => lines.text(episode.clinic.sector),
        };
        lines.text(draw.one_of(episode.clinic.codes));
        let home = person.home(episode.to);
        let home = match fault {
            Some(Fault::ConflictingMunicipality) => {
                Some(self.population.regions.other(home.unwrap_or_default()))
            }
            _ => home,
        };
        lines
            .text(home.and_then(|home| self.population.regions.get(home)).map_or("", |home| home.code))
            .end(fault);
    }
}
