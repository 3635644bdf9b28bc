//! Rates of what was written against the numbers they are fitted to.

use std::collections::{HashMap, HashSet};

use chrono::NaiveDate;

use super::super::calibration as to;
use super::Written;

#[track_caller]
fn near(what: &str, value: f64, target: f64, tolerance: f64) {
    assert!((value - target).abs() <= tolerance, "{what}: {value:.4}, not {target:.4} +/- {tolerance:.4}");
}

fn persons<'a>(rows: &[&'a Vec<String>], column: usize) -> f64 {
    rows.iter().map(|row| row[column].as_str()).collect::<HashSet<&'a str>>().len() as f64
}

#[test]
fn rates_are_those_of_the_calibration() {
    let written = Written::new(|_| {}, 20_000, 1);
    let middle = "2024-07-01";
    let inhabitants = written
        .rows("folkeregisteret/bosted.csv")
        .iter()
        .filter(|row| row[2].as_str() <= middle && (row[3].is_empty() || row[3].as_str() >= middle))
        .count() as f64;
    assert!((18_900.0..20_000.0).contains(&inhabitants), "{inhabitants}");

    let contacts = written.rows("kuhr-2024/ENKELTREGNING.csv");
    near("contacts", contacts.len() as f64 / inhabitants, to::CONTACTS, 0.35);
    near("persons in KUHR", persons(&contacts.iter().collect::<Vec<_>>(), 1) / inhabitants, 0.84, 0.02);
    let of = |service: &str, kind: Option<&str>| -> Vec<_> {
        contacts.iter().filter(|row| row[8] == service && kind.is_none_or(|kind| row[9] == kind)).collect()
    };
    let gp = of("1", Some("3"));
    near("consultations", gp.len() as f64 / inhabitants, to::GP_CONSULTATIONS, 0.12);
    near("persons with one", persons(&gp, 1) / inhabitants, to::GP_SHARE, 0.015);
    let emergency = of("2", None);
    near("emergency", emergency.len() as f64 / inhabitants, to::EMERGENCY_CONTACTS, 0.02);
    near("persons with one", persons(&emergency, 1) / inhabitants, to::EMERGENCY_SHARE, 0.01);

    let visits: HashSet<&str> = gp.iter().map(|row| row[0].as_str()).collect();
    let diagnoses = written.rows("kuhr-2024/DIAGNOSE.csv");
    let main: Vec<_> = diagnoses.iter().filter(|d| d[3] == "1" && visits.contains(d[0].as_str())).collect();
    assert_eq!(main.len(), visits.len());
    let share =
        |of: &dyn Fn(&str) -> bool| main.iter().filter(|d| of(&d[1])).count() as f64 / main.len() as f64;
    near("psychiatric", share(&|code| code.starts_with('P')), to::PSYCHIATRIC_SHARE, 0.007);
    let airway = |code: &str| code.starts_with("R7") || ["R80", "R81", "R83"].contains(&code);
    near("airway", share(&airway), to::AIRWAY_SHARE, 0.005);

    let care = written.rows("iplos-2024/TJENESTE.csv");
    let care: Vec<_> = care.iter().collect();
    let recipients = persons(&care, 0) / inhabitants;
    near("care", recipients, to::CARE_SHARE, 0.006);
    near("services a recipient", care.len() as f64 / persons(&care, 0), 771.0 / 349.0, 0.25);
    let home: Vec<_> = care.iter().copied().filter(|row| row[2] == "15").collect();
    near("home health", persons(&home, 0) / inhabitants, to::HOME_HEALTH_SHARE, 0.005);
    assert!(
        care.iter().all(|row| row[4].is_empty() || (row[3] <= row[4] && row[4].as_str() >= "2024-01-01"))
    );
    assert!(care.iter().all(|row| row[3].as_str() >= "1980" && row[3].as_str() <= "2024-12-31"));

    let episodes = written.rows("npr-2024/EPISODE.csv");
    near("episodes", episodes.len() as f64 / inhabitants, to::EPISODES, 0.05);
    let where_ = |of: &dyn Fn(&Vec<String>) -> bool| -> f64 {
        persons(&episodes.iter().filter(|row| of(row)).collect::<Vec<_>>(), 1) / inhabitants
    };
    near("somatic", where_(&|row| row[7] == "Somatikk"), to::SOMATIC_SHARE, 0.015);
    near("inpatient", where_(&|row| row[7] == "Somatikk" && row[2] == "1"), to::INPATIENT_SHARE, 0.008);
    near("discharged", where_(&|row| row[7] != "Somatikk" && row[2] == "1"), to::DISCHARGED_SHARE, 0.0015);
    assert!(episodes.iter().all(|row| row[4] <= row[5] && row[5].starts_with("2024-")));
}

#[test]
fn population_is_plausible() {
    let written = Written::new(|options| options.years = vec![2024, 2025], 20_000, 2);
    let persons = written.rows("folkeregisteret/person.csv");
    let homes = written.rows("folkeregisteret/bosted.csv");
    let count = |column: usize| persons.iter().filter(|row| !row[column].is_empty()).count() as f64;
    near("deaths a year", count(3) / 2.0 / 20_000.0, 0.0085, 0.002);
    assert!(count(4) > 150.0);
    assert!(persons.iter().all(|row| row[3].is_empty() || row[4].is_empty()));
    let mut of = HashMap::<&str, Vec<&Vec<String>>>::new();
    for row in &homes {
        of.entry(&row[0]).or_default().push(row);
    }
    let mut moved = 0;
    for row in &persons {
        let Some(stays) = of.get(row[0].as_str()) else { continue };
        moved += usize::from(stays.len() > 1);
        assert!(stays[0][2] >= row[2]);
        for pair in stays.windows(2) {
            let day = |text: &str| text.parse::<NaiveDate>().unwrap();
            assert_eq!(day(&pair[0][3]).succ_opt().unwrap(), day(&pair[1][2]));
            assert_ne!(pair[0][1], pair[1][1]);
        }
        let end = stays.last().unwrap()[3].as_str();
        assert_eq!(end.is_empty(), row[3].is_empty() && row[4].is_empty());
        assert!(row[3].is_empty() || end == row[3]);
    }
    assert!((5_000..14_000).contains(&moved), "{moved}");
    let nowhere = 20_000 - of.len();
    assert!((50..400).contains(&nowhere), "{nowhere}");
    let mut sizes = HashMap::<&str, usize>::new();
    for row in &homes {
        *sizes.entry(&row[1]).or_default() += 1;
    }
    let mut sizes: Vec<_> = sizes.into_values().collect();
    sizes.sort_unstable();
    assert!(sizes[sizes.len() - 1] > 5 * sizes[sizes.len() / 2], "sizes are skewed");
}

#[test]
fn follow_up_after_discharge_varies_by_municipality() {
    let written = Written::new(
        |options| {
            options.counties = vec!["31".into()];
            options.years = vec![2024, 2025];
            options.discharge_rate = 0.3;
        },
        20_000,
        3,
    );
    let number = |file: &str| -> HashMap<String, String> {
        written.rows(file).into_iter().map(|row| (row[0].clone(), row[1].clone())).collect()
    };
    let person: HashMap<_, _> = written
        .rows("folkeregisteret/identitet.csv")
        .into_iter()
        .map(|row| (row[1].clone(), row[0].clone()))
        .collect();
    let day = |text: &str| text.parse::<NaiveDate>().unwrap();
    let mut visits = HashMap::<String, Vec<NaiveDate>>::new();
    let mut known = HashSet::new();
    for year in [2024, 2025] {
        let numbers = number(&format!("kuhr-{year}/KPR_IDE.csv"));
        for row in written.rows(&format!("kuhr-{year}/ENKELTREGNING.csv")) {
            let person = &person[&numbers[&row[1]]];
            known.insert(person.clone());
            if row[8] == "1" && row[9] == "3" {
                visits.entry(person.clone()).or_default().push(day(&row[2]));
            }
        }
    }
    let numbers = number("npr-2024/NPR_IDE.csv");
    let mut first = HashMap::<String, (NaiveDate, String)>::new();
    for row in written.rows("npr-2024/EPISODE.csv") {
        if row[2] == "1" && ["310", "320"].contains(&row[6].as_str()) {
            let entry = (day(&row[5]), row[9].clone());
            let kept = first.entry(person[&numbers[&row[1]]].clone()).or_insert(entry.clone());
            *kept = entry.min(kept.clone());
        }
    }
    near("discharged", first.len() as f64 / 20_000.0, 0.3, 0.02);
    let strangers = first.keys().filter(|person| !known.contains(*person)).count();
    assert!(strangers > 100, "{strangers}");
    let share = |of: &str, days: i64| {
        let those: Vec<_> = first.iter().filter(|(_, (_, home))| home.starts_with(of)).collect();
        let seen = those.iter().filter(|(person, (index, _))| {
            let within = |visit: &NaiveDate| (0..=days).contains(&(*visit - *index).num_days());
            visits.get(*person).is_some_and(|visits| visits.iter().any(within))
        });
        (seen.count() as f64 / those.len() as f64, those.len())
    };
    let [month, quarter, half] = [30, 90, 180].map(|days| share("31", days).0);
    assert!((0.3..0.66).contains(&month) && month + 0.1 < quarter && quarter + 0.05 < half && half < 0.93);
    let homes: HashSet<&str> =
        first.values().map(|(_, home)| home.as_str()).filter(|h| !h.is_empty()).collect();
    let shares: Vec<f64> =
        homes.iter().map(|home| share(home, 30)).filter(|(_, n)| *n >= 100).map(|(share, _)| share).collect();
    let (low, high) = shares.iter().fold((1.0_f64, 0.0_f64), |(low, high), s| (low.min(*s), high.max(*s)));
    assert!(shares.len() >= 5 && high - low > 0.12, "{low} {high}");
}
