//! Municipalities and counties: real codes, invented sizes and habits.

use super::calibration::{FOLLOWED_30, MUNICIPALITY_SIGMA};
use super::draw::{Draw, Purpose, Streams, Weighted};
use super::options::SynthError;

const REGIONS: &str = include_str!("../../../policies/codelists/region.csv");
/// The county of persons without a known residence.
const UNKNOWN_COUNTY: &str = "99";
/// Municipalities with city districts, and how many.
const DISTRICTS: [(&str, u32); 4] = [("0301", 15), ("1103", 9), ("4601", 8), ("5001", 4)];

/// One municipality.
#[derive(Debug)]
pub(super) struct Municipality {
    /// Four digits.
    pub(super) code: &'static str,
    county: &'static str,
    size: f64,
    /// The chance of a GP consultation within 30 days of a psychiatric discharge.
    pub(super) followed_30: f64,
    districts: u32,
}

impl Municipality {
    /// The city district of a person, as a number from 1; none where there are no districts.
    pub(super) fn district(&self, person: u32) -> Option<u32> {
        (self.districts > 0).then(|| 1 + person.wrapping_mul(2_654_435_761) % self.districts.max(1))
    }
}

/// The municipalities persons live in.
pub(super) struct Regions {
    municipalities: Vec<Municipality>,
    all: Weighted<u16>,
    within: Vec<(&'static str, Weighted<u16>)>,
}

impl Regions {
    /// The municipalities of these counties, or all of them.
    ///
    /// # Errors
    /// [`SynthError::County`] for a county that is not in the code list.
    pub(super) fn new(counties: &[String], streams: &Streams) -> Result<Self, SynthError> {
        let rows = || REGIONS.lines().skip(1).filter_map(row);
        let known = || rows().filter(|(code, _, parent)| *parent == "Total" && *code != UNKNOWN_COUNTY);
        for county in counties {
            if !known().any(|(code, _, _)| code == county) {
                let accepted: Vec<_> = known().map(|(code, label, _)| format!("{code} {label}")).collect();
                return Err(SynthError::County { county: county.clone(), accepted: accepted.join(", ") });
            }
        }
        let municipalities: Vec<_> = rows()
            .filter(|(_, _, parent)| known().any(|(county, _, _)| county == *parent))
            .filter(|(_, _, parent)| counties.is_empty() || counties.iter().any(|c| c == parent))
            .map(|(code, _, county)| municipality(code, county, streams))
            .collect();
        let weighted = |county: Option<&str>| {
            Weighted::new(
                (0..)
                    .zip(&municipalities)
                    .filter(|(_, m)| county.is_none_or(|c| c == m.county))
                    .map(|(index, m)| (m.size, index)),
            )
        };
        let within = known().map(|(county, _, _)| (county, weighted(Some(county)))).collect();
        Ok(Self { all: weighted(None), within, municipalities })
    }

    /// The municipality at an index.
    pub(super) fn get(&self, index: u16) -> Option<&Municipality> {
        self.municipalities.get(usize::from(index))
    }

    /// A municipality to live in, by size.
    pub(super) fn home(&self, draw: &mut Draw) -> u16 {
        self.all.pick(draw)
    }

    /// A municipality to move to: most stay within the county.
    pub(super) fn destination(&self, from: u16, draw: &mut Draw) -> u16 {
        let county = self.get(from).map(|m| m.county);
        if draw.chance(0.7)
            && let Some((_, near)) = self.within.iter().find(|(code, _)| Some(*code) == county)
        {
            return near.pick(draw);
        }
        self.all.pick(draw)
    }

    /// Another municipality than this one, where there is one.
    pub(super) fn other(&self, than: u16) -> u16 {
        let count = self.municipalities.len().max(1);
        ((usize::from(than) + 1) % count) as u16
    }
}

/// A line of the code list: code, label, parent. None for the root.
fn row(line: &'static str) -> Option<(&'static str, &'static str, &'static str)> {
    let mut fields = line.split(',');
    let (code, label, parent) = (fields.next()?, fields.next()?, fields.next()?);
    (!parent.is_empty()).then_some((code, label, parent))
}

fn municipality(code: &'static str, county: &'static str, streams: &Streams) -> Municipality {
    let mut draw = streams.of(Purpose::Municipality, code.parse().unwrap_or_default());
    let (low, high) = FOLLOWED_30;
    Municipality {
        code,
        county,
        size: (MUNICIPALITY_SIGMA * draw.normal()).exp(),
        followed_30: low + (high - low) * draw.share(),
        districts: DISTRICTS.iter().find(|(of, _)| *of == code).map_or(0, |(_, count)| *count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_country_has_357_municipalities_and_an_unknown_county_is_named() {
        let streams = Streams::new(1);
        assert_eq!(Regions::new(&[], &streams).unwrap().municipalities.len(), 357);
        let some = Regions::new(&["31".to_owned()], &streams).unwrap();
        assert_eq!(some.municipalities.len(), 12);
        assert!(some.municipalities.iter().all(|m| m.code.starts_with("31")));
        let refused = Regions::new(&["30".to_owned()], &streams).err().unwrap().to_string();
        assert!(refused.starts_with("there is no county 30;") && refused.contains("31 Østfold"), "{refused}");
        assert!(Regions::new(&["99".to_owned()], &streams).is_err());
    }
}
