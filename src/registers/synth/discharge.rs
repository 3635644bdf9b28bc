//! Discharges from psychiatric inpatient care, and the GP consultations that follow or do not: NPR and
//! KUHR each tell one half of it.

use super::calendar::Day;
use super::calibration::{self, ByAge, DISCHARGE_SHAPE};
use super::draw::Purpose;
use super::person::{Person, Population};

/// The days after a discharge in which consultations come from here alone.
pub(super) const WINDOW: i32 = 180;
/// The chance of a readmission within the year.
const READMITTED: f64 = 0.2;
/// Days in hospital, equally likely.
const LENGTHS: [i32; 12] = [1, 2, 3, 4, 6, 8, 11, 14, 20, 28, 42, 70];

/// One stay that ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Discharge {
    pub(super) admitted: Day,
    pub(super) discharged: Day,
}

/// How often persons are discharged, by age.
pub(super) struct Discharges {
    rate: ByAge,
}

impl Discharges {
    /// Scaled so that this share of persons is discharged in a year.
    pub(super) fn new(rate: f64) -> Self {
        Self { rate: ByAge::new(DISCHARGE_SHAPE, rate) }
    }

    /// A person's discharges in a year, the earliest first.
    pub(super) fn of(&self, population: &Population, person: &Person, year: i32) -> Vec<Discharge> {
        let mut stays = Vec::new();
        let Some((from, to)) = person.present_in(year) else { return stays };
        let mut draw = population.streams.of(Purpose::Discharges(year), person.index);
        if !draw.chance(self.rate.at(person.age_in(year)).min(0.95)) {
            return stays;
        }
        let mut discharged = from.plus(draw.between(0, to.since(from)));
        let mut earliest = person.birth;
        loop {
            let admitted = discharged.plus(-draw.one_of(&LENGTHS)).max(earliest);
            stays.push(Discharge { admitted, discharged });
            earliest = discharged;
            discharged = discharged.plus(draw.between(25, 150));
            if discharged > to || !draw.chance(READMITTED) {
                return stays;
            }
        }
    }

    /// The days of GP consultations that follow a year's discharges: at most one for each, within 30,
    /// 90 or 180 days at chances that differ by municipality.
    pub(super) fn followed(&self, population: &Population, person: &Person, year: i32) -> Vec<Day> {
        let stays = self.of(population, person, year);
        if stays.is_empty() {
            return Vec::new();
        }
        let mut draw = population.streams.of(Purpose::FollowUp(year), person.index);
        let (to_90, to_180) = calibration::FOLLOWED_LATER;
        let mut days = Vec::new();
        for stay in stays {
            let home = person.home(stay.discharged).and_then(|home| population.regions.get(home));
            let within_30 = home.map_or(calibration::FOLLOWED_30.0, |home| home.followed_30);
            let after = if draw.chance(within_30) {
                draw.between(0, 30)
            } else if draw.chance(to_90) {
                draw.between(31, 90)
            } else if draw.chance(to_180) {
                draw.between(91, WINDOW)
            } else {
                continue;
            };
            days.push(stay.discharged.plus(after));
        }
        days
    }
}
