//! The numbers that the synthetic registers are fitted to, with their sources, and the shapes that
//! spread them over ages, which are invented and only plausible.

/// KUHR contacts an inhabitant and year, all services: 44,795,592 contacts in 2015 over 5.2 million
/// inhabitants (Helsedirektoratet).
pub const CONTACTS: f64 = 8.6;
/// GP consultations an inhabitant and year: 16,884,831 in 2023 (Statistics Norway).
pub const GP_CONSULTATIONS: f64 = 3.0;
/// The share of inhabitants with at least one GP consultation in a year (2023, Statistics Norway).
pub const GP_SHARE: f64 = 0.72;
/// The share of GP consultations with a psychiatric diagnosis, ICPC-2 chapter P (2023).
pub const PSYCHIATRIC_SHARE: f64 = 0.122;
/// The share of GP consultations for an airway infection (2023).
pub const AIRWAY_SHARE: f64 = 0.086;
/// Emergency service contacts an inhabitant and year (2023).
pub const EMERGENCY_CONTACTS: f64 = 0.23;
/// The share of inhabitants in contact with the emergency service in a year (2023).
pub const EMERGENCY_SHARE: f64 = 0.16;
/// The share of inhabitants with care services in a year: 399,263 in 2024 (IPLOS).
pub const CARE_SHARE: f64 = 399_263.0 / 5_500_000.0;
/// The share with health care at home: 269,518 in 2022 (IPLOS).
pub const HOME_HEALTH_SHARE: f64 = 269_518.0 / 5_500_000.0;
/// The share of inhabitants with somatic specialist care: 2,109,501 in 2023 (NPR).
pub const SOMATIC_SHARE: f64 = 2_109_501.0 / 5_500_000.0;
/// The share with a somatic inpatient stay: 518,593 in 2023 (NPR).
pub const INPATIENT_SHARE: f64 = 518_593.0 / 5_500_000.0;
/// NPR episodes an inhabitant and year: 6 million at national size.
pub const EPISODES: f64 = 1.1;
/// The share of inhabitants discharged from psychiatric inpatient care in a year. Invented, of the
/// size that NPR's yearly figures have.
pub const DISCHARGED_SHARE: f64 = 0.006;

/// Contacts with the GP's office that are not consultations, an inhabitant and year. Invented, as is
/// their split below; with consultations, emergency contacts and [`SERVICES`] they sum to
/// [`CONTACTS`].
pub(super) const GP_OTHER: f64 = 3.0;
/// `kontakttypeId` of those contacts, by weight.
pub(super) const GP_OTHER_KINDS: [(f64, u8); 6] =
    [(2.35, 2), (0.4, 6), (0.1, 5), (0.1, 1), (0.04, 4), (0.01, 0)];
/// `kontakttypeId` of emergency contacts, by weight.
pub(super) const EMERGENCY_KINDS: [(f64, u8); 3] = [(0.72, 3), (0.22, 2), (0.06, 4)];

/// Other services: `tjenestetype`, contacts an inhabitant and year, contacts a user and year.
pub(super) const SERVICES: [(u8, f64, f64); 12] = [
    (3, 1.45, 16.0),
    (4, 0.15, 10.0),
    (5, 0.4, 6.0),
    (6, 0.17, 2.0),
    (7, 0.06, 6.0),
    (8, 0.03, 1.5),
    (9, 0.03, 2.0),
    (10, 0.05, 12.0),
    (11, 0.003, 10.0),
    (12, 0.01, 4.0),
    (13, 0.005, 2.0),
    (14, 0.012, 1.5),
];

/// The share of persons who never use the services that KUHR pays, fitted so that 84 % have some
/// contact in a year (4,371,991 persons in 2015).
pub(super) const NEVER: f64 = 0.07;
/// How much persons of the same age and sex differ in their use of the GP: 32 classes of equal size,
/// a log-normal with sigma 1, fitted so that [`GP_SHARE`] holds.
pub(super) const FRAILTY: [f64; 32] = [
    0.07, 0.12, 0.15, 0.18, 0.21, 0.24, 0.27, 0.3, 0.34, 0.37, 0.4, 0.44, 0.48, 0.51, 0.56, 0.6, 0.65, 0.71,
    0.76, 0.83, 0.9, 0.98, 1.07, 1.17, 1.29, 1.44, 1.62, 1.84, 2.15, 2.59, 3.35, 5.4,
];
/// The same for the emergency service and for [`SERVICES`], more unequal, fitted so that
/// [`EMERGENCY_SHARE`] holds.
pub(super) const EMERGENCY_FRAILTY: [f64; 32] = [
    0.02, 0.04, 0.06, 0.07, 0.09, 0.11, 0.13, 0.15, 0.17, 0.19, 0.22, 0.25, 0.28, 0.31, 0.35, 0.39, 0.43,
    0.48, 0.54, 0.61, 0.68, 0.77, 0.87, 0.99, 1.13, 1.31, 1.55, 1.86, 2.3, 2.99, 4.29, 8.38,
];
/// Adult women's and men's use of the GP against the mean of both.
pub(super) const GP_BY_SEX: [f64; 2] = [0.82, 1.18];

/// Sigma of the log-normal municipality sizes. Invented: no municipality has its real size.
pub(super) const MUNICIPALITY_SIGMA: f64 = 1.1;
/// The share of psychiatric discharges followed by a GP consultation within 30 days lies between
/// these, by municipality. Invented.
pub(super) const FOLLOWED_30: (f64, f64) = (0.30, 0.66);
/// Of those not yet seen, the share seen from day 31 to 90, and from day 91 to 180. Invented.
pub(super) const FOLLOWED_LATER: (f64, f64) = (0.42, 0.36);

/// Persons by age at the start of the first year, in per cent: the last age of each group and its
/// share, rounded from the shape of Norway's population.
pub(super) const AGES: [(u8, f64); 21] = [
    (4, 5.0),
    (9, 5.5),
    (14, 5.9),
    (19, 6.0),
    (24, 6.0),
    (29, 6.3),
    (34, 7.0),
    (39, 6.9),
    (44, 6.6),
    (49, 6.3),
    (54, 6.8),
    (59, 6.6),
    (64, 5.9),
    (69, 5.3),
    (74, 4.7),
    (79, 4.2),
    (84, 2.6),
    (89, 1.4),
    (94, 0.65),
    (99, 0.18),
    (104, 0.02),
];
/// The highest age at the start.
pub(super) const MAX_AGE: i32 = 104;

/// How a rate varies with age: the last age of each group and its weight.
pub(super) type Shape = [(u8, f64)];

pub(super) const GP_SHAPE: &Shape =
    &[(5, 0.8), (15, 0.5), (29, 0.8), (49, 0.95), (66, 1.15), (79, 1.4), (120, 1.5)];
pub(super) const EMERGENCY_SHAPE: &Shape =
    &[(5, 1.7), (15, 0.8), (29, 1.3), (66, 0.85), (79, 0.8), (120, 1.4)];
pub(super) const CARE_SHAPE: &Shape = &[(17, 1.2), (49, 3.0), (66, 4.5), (79, 12.0), (89, 38.0), (120, 70.0)];
pub(super) const SOMATIC_SHAPE: &Shape = &[(17, 0.7), (39, 0.8), (66, 1.0), (79, 1.5), (120, 1.7)];
pub(super) const DISCHARGE_SHAPE: &Shape = &[(11, 0.1), (17, 0.8), (44, 1.4), (66, 1.1), (120, 0.7)];
pub(super) const MENTAL_SHAPE: &Shape = &[(5, 0.3), (17, 1.6), (29, 1.8), (66, 0.9), (120, 0.4)];

/// Yearly chance of death at an age (Gompertz; doubles about every eight years).
pub(super) fn death_rate(age: i32) -> f64 {
    (3e-5 * (0.092 * f64::from(age)).exp()).min(0.6)
}

/// The value of a shape at an age.
pub(super) fn at(shape: &Shape, age: i32) -> f64 {
    shape.iter().find(|(last, _)| age <= i32::from(*last)).or(shape.last()).map_or(0.0, |(_, weight)| *weight)
}

/// How persons are spread over single years of age, 0 to [`MAX_AGE`]; sums to 1.
pub(super) fn age_weights() -> Vec<f64> {
    let total: f64 = AGES.iter().map(|(_, share)| share).sum();
    let mut weights = Vec::new();
    for (last, share) in AGES {
        let ages = usize::from(last) + 1 - weights.len();
        weights.extend(std::iter::repeat_n(share / total / ages as f64, ages));
    }
    weights
}

/// A rate by the age reached in a year, the shape scaled so that its mean over the population of the
/// first year is the target.
#[derive(Debug, Clone)]
pub(super) struct ByAge(Vec<f64>);

impl ByAge {
    pub(super) fn new(shape: &Shape, target: f64) -> Self {
        let mean: f64 = (1..).zip(age_weights()).map(|(age, weight)| weight * at(shape, age)).sum();
        Self((0..=120).map(|age| at(shape, age) * target / mean).collect())
    }

    /// The rate at an age.
    pub(super) fn at(&self, age: i32) -> f64 {
        usize::try_from(age).ok().and_then(|age| self.0.get(age)).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contacts_sum_to_their_total() {
        let services: f64 = SERVICES.iter().map(|(_, contacts, _)| contacts).sum();
        let sum = GP_CONSULTATIONS + GP_OTHER + EMERGENCY_CONTACTS + services;
        assert!((sum - CONTACTS).abs() < 0.01, "{sum}");
        let kinds: f64 = GP_OTHER_KINDS.iter().map(|(weight, _)| weight).sum();
        assert!((kinds - GP_OTHER).abs() < 1e-9);
    }

    #[test]
    fn classes_have_mean_one_and_ages_sum_to_one() {
        for classes in [FRAILTY, EMERGENCY_FRAILTY] {
            assert!((classes.iter().sum::<f64>() / 32.0 - 1.0).abs() < 0.01);
        }
        assert_eq!(age_weights().len() as i32, MAX_AGE + 1);
        assert!((age_weights().iter().sum::<f64>() - 1.0).abs() < 1e-9);
        let rate = ByAge::new(CARE_SHAPE, CARE_SHARE);
        assert!((0..=120).all(|age| (0.0..=1.0).contains(&rate.at(age))));
    }
}
