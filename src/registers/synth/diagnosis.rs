//! Diagnosis codes: ICPC-2 by chapter for the municipal services, ICD-10 for hospitals. The codes are
//! real, the selection small.

use super::calibration::{AIRWAY_SHARE, PSYCHIATRIC_SHARE};
use super::draw::{Draw, Weighted};

/// A group of ICPC-2 codes and the share of consultations with one of them.
struct Group {
    share: f64,
    /// 0 for anyone, 1 men, 2 women.
    sex: u8,
    codes: &'static [&'static str],
}

const PSYCHIATRIC: Group = Group {
    share: PSYCHIATRIC_SHARE,
    sex: 0,
    codes: &[
        "P01", "P02", "P03", "P06", "P15", "P16", "P19", "P24", "P70", "P72", "P73", "P74", "P76", "P79",
        "P80", "P81", "P82",
    ],
};
const AIRWAY: Group = Group {
    share: AIRWAY_SHARE,
    sex: 0,
    codes: &["R72", "R74", "R75", "R76", "R77", "R78", "R80", "R81", "R83"],
};
const URINARY: Group = Group { share: 0.026, sex: 0, codes: &["U01", "U02", "U71", "U95", "U99"] };

/// Shares other than of [`PSYCHIATRIC`] and [`AIRWAY`] are invented.
const GROUPS: [Group; 18] = [
    PSYCHIATRIC,
    AIRWAY,
    Group { share: 0.042, sex: 0, codes: &["R02", "R05", "R21", "R95", "R96", "R97"] },
    Group { share: 0.09, sex: 0, codes: &["A01", "A03", "A04", "A28", "A45", "A77", "A85", "A97", "A98"] },
    Group { share: 0.012, sex: 0, codes: &["B02", "B80", "B81", "B82"] },
    Group { share: 0.07, sex: 0, codes: &["D01", "D02", "D11", "D12", "D73", "D84", "D87", "D93"] },
    Group { share: 0.02, sex: 0, codes: &["F70", "F72", "F92", "F93"] },
    Group { share: 0.028, sex: 0, codes: &["H01", "H70", "H71", "H72", "H81", "H86"] },
    Group { share: 0.12, sex: 0, codes: &["K22", "K74", "K76", "K77", "K78", "K85", "K86", "K87", "K90"] },
    Group {
        share: 0.175,
        sex: 0,
        codes: &["L01", "L02", "L03", "L08", "L15", "L83", "L84", "L86", "L88", "L89", "L90", "L92"],
    },
    Group { share: 0.038, sex: 0, codes: &["N01", "N17", "N87", "N88", "N89", "N95"] },
    Group { share: 0.06, sex: 0, codes: &["S06", "S18", "S74", "S76", "S87", "S88", "S91", "S96"] },
    Group { share: 0.065, sex: 0, codes: &["T82", "T83", "T85", "T86", "T89", "T90", "T93"] },
    URINARY,
    Group { share: 0.012, sex: 2, codes: &["W11", "W12", "W78", "W90"] },
    Group { share: 0.013, sex: 2, codes: &["X05", "X11", "X72", "X76", "X84"] },
    Group { share: 0.009, sex: 1, codes: &["Y06", "Y75", "Y77", "Y85"] },
    Group { share: 0.012, sex: 0, codes: &["Z01", "Z05", "Z12", "Z15", "Z25"] },
];

/// What therapists treat.
const BODY: &[&str] = &["L01", "L02", "L03", "L08", "L15", "L83", "L84", "L86", "L90", "L92"];
/// Teeth, ICD-DA-3.
const TEETH: &[&str] = &["K021", "K040", "K045", "K051", "K053", "K072", "K081"];

/// A code and the table it is from.
pub(super) type Code = (&'static str, &'static str);

/// Draws diagnoses of municipal services.
pub(super) struct Diagnoses {
    groups: Weighted<u8>,
}

impl Diagnoses {
    pub(super) fn new() -> Self {
        Self { groups: Weighted::new((0..).zip(&GROUPS).map(|(index, group)| (group.share, index))) }
    }

    /// A diagnosis for a person of this sex at this service (`tjenestetype`).
    pub(super) fn pick(&self, service: u8, sex: u8, draw: &mut Draw) -> Code {
        match service {
            1 | 2 => {
                let group = GROUPS.get(usize::from(self.groups.pick(draw))).unwrap_or(&URINARY);
                let group = if group.sex == 0 || group.sex == sex { group } else { &URINARY };
                let table = if draw.below(33) == 0 { "ICPC-2B" } else { "ICPC-2" };
                (draw.one_of(group.codes), table)
            }
            6..=8 => (draw.one_of(TEETH), "ICD-DA-3"),
            9 => ("A98", "ICPC-2"),
            10 => (draw.one_of(&["F800", "F801", "R470", "R490"]), "ICD-10"),
            12 => (draw.one_of(&["H84", "H86"]), "ICPC-2"),
            13 => (draw.one_of(&["F91", "F95"]), "ICPC-2"),
            14 => ("A97", "ICPC-2"),
            _ => (draw.one_of(BODY), "ICPC-2"),
        }
    }

    /// A psychiatric diagnosis at the GP.
    pub(super) fn psychiatric(draw: &mut Draw) -> Code {
        (draw.one_of(PSYCHIATRIC.codes), "ICPC-2")
    }
}

/// A clinic: `fagomrade`, `sektor`, and the ICD-10 codes of its patients.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clinic {
    pub(super) field: &'static str,
    pub(super) sector: &'static str,
    pub(super) codes: &'static [&'static str],
}

/// Child and adolescent psychiatry.
pub(super) const CHILD: Clinic = Clinic {
    field: "310",
    sector: "BUP",
    codes: &["F321", "F412", "F419", "F431", "F500", "F840", "F900", "F913", "F938"],
};
/// Adult psychiatry.
pub(super) const ADULT: Clinic = Clinic {
    field: "320",
    sector: "VOP",
    codes: &["F200", "F209", "F259", "F311", "F314", "F321", "F322", "F332", "F411", "F431", "F432", "F603"],
};
/// Substance use.
pub(super) const SUBSTANCE: Clinic =
    Clinic { field: "360", sector: "TSB", codes: &["F102", "F112", "F122", "F132", "F152", "F192"] };
/// Hospitals by specialty.
pub(super) const SOMATIC: [Clinic; 8] = [
    somatic("010", &["K359", "K409", "K573", "K802", "K566"]),
    somatic("050", &["N200", "N390", "N40", "C61", "C679"]),
    somatic("060", &["S525", "S720", "S824", "M161", "M171", "M751", "M511"]),
    somatic("100", &["E109", "E119", "J189", "A419", "N390", "D509"]),
    somatic("140", &["I200", "I214", "I251", "I480", "I500", "R074"]),
    somatic("160", &["J441", "J459", "J189", "G473"]),
    somatic("180", &["M059", "M069", "M45", "M315"]),
    somatic("240", &["G20", "G35", "G409", "G439", "I639"]),
];

const fn somatic(field: &'static str, codes: &'static [&'static str]) -> Clinic {
    Clinic { field, sector: "Somatikk", codes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_sum_to_one_and_codes_have_their_form() {
        assert!((GROUPS.iter().map(|g| g.share).sum::<f64>() - 1.0).abs() < 1e-9);
        for code in GROUPS.iter().flat_map(|g| g.codes) {
            let bytes = code.as_bytes();
            assert!(bytes.len() == 3 && bytes[0].is_ascii_uppercase());
            assert!(bytes[1..].iter().all(u8::is_ascii_digit));
        }
        for clinic in SOMATIC.iter().chain([&CHILD, &ADULT, &SUBSTANCE]) {
            assert!(clinic.codes.iter().all(|code| (3..=4).contains(&code.len())));
        }
    }
}
