//! Random deliveries, good and bad lines mixed, against a reader that is as plain as can be.

use std::collections::HashMap;

use chrono::NaiveDate;
use kpr::registers::ingest::Limits;
use proptest::prelude::*;

use super::{Place, describe};

/// One of these texts.
fn one(texts: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::select(texts).prop_map(str::to_owned)
}

fn contact() -> impl Strategy<Value = String> {
    let dates = &["2024-01-01", "2024-02-29", "2024-02-30", "2024-12-31", "2025-01-01", "2024-1-1", "", "x"];
    let fields = (
        one(&["1", "2", "3", "4", "5", "6", "7", "9999999999", "10000000000", "a", ""]),
        one(&["1", "2", "3", "4", "", "12", "x"]),
        one(dates),
        one(&["", "00:00", "23:59", "24:00", "9:00"]),
        one(&["1", "2", "", "0"]),
        one(&["1980", "2024", "", "1849", "2025"]),
        one(&["0301", "5501", "", "030", "03011"]),
        one(&["1", "14", "0", "15", "2"]),
        one(&["0", "6", "7", "3"]),
        one(&["", "0", "160.50", "12,5", "1.234", "k"]),
    );
    let end = prop::sample::select(&["", "", "", "", "", ";", "\u{e5}"][..]);
    (fields, end).prop_map(|((lnr, kpr, date, time, sex, year, kommune, service, kind, fee), end)| {
        format!("{lnr};{kpr};{date};{time};{sex};{year};{kommune};;{service};{kind};;{fee};{end}")
    })
}

fn takst() -> impl Strategy<Value = String> {
    (
        one(&["1", "2", "3", "4", "5", "6", "7", "8"]),
        one(&["2ad", "615", "", "b d"]),
        one(&["1", "2", "0", "x"]),
    )
        .prop_map(|(lnr, code, count)| format!("{lnr};{code};{count}"))
}

fn number(text: &str, least: u64, most: u64) -> Option<u64> {
    let plain = text.len() <= 10 && text.chars().all(|c| c.is_ascii_digit());
    text.parse().ok().filter(|n| plain && (least..=most).contains(n))
}

/// Empty, or what `read` makes of it; nothing at all if it can make nothing of it.
fn optional(text: &str, read: impl Fn(&str) -> Option<String>) -> Option<String> {
    if text.is_empty() { Some(String::new()) } else { read(text) }
}

/// The cells of an accepted contact line, as the Parquet file should hold them.
fn cells(line: &str) -> Option<Vec<String>> {
    let fields: Vec<&str> = line.split(';').collect();
    let [lnr, kpr, date, time, sex, year, kommune, _, service, kind, _, fee, ""] = fields[..] else {
        return None;
    };
    let person = optional(kpr, |kpr| {
        number(kpr, 0, u64::MAX).map(|n| if n <= 3 { (40 - n).to_string() } else { String::new() })
    })?;
    let day = NaiveDate::parse_from_str(date, "%Y-%m-%d").ok()?;
    if day.to_string() != date || !date.starts_with("2024") {
        return None;
    }
    let time = optional(time, |time| {
        let (hours, minutes) = time.split_once(':')?;
        (time.len() == 5 && hours.len() == 2).then_some(())?;
        Some((number(hours, 0, 23)? * 60 + number(minutes, 0, 59)?).to_string())
    })?;
    let sex = optional(sex, |sex| number(sex, 1, 2).map(|n| n.to_string()))?;
    let year = optional(year, |year| number(year, 1850, 2024).map(|n| n.to_string()))?;
    let kommune = optional(kommune, |k| (k.len() == 4).then(|| k.to_owned()))?;
    let fee = optional(fee, |fee| {
        let fee = fee.replace(',', ".");
        let (kroner, decimals) = fee.split_once('.').unwrap_or((&fee, "0"));
        let fits = decimals.len() <= 2 && kroner.parse::<u64>().is_ok();
        fits.then(|| format!("{:.0}", fee.parse::<f64>().unwrap() * 100.0))
    })?;
    let service = number(service, 1, 14)?.to_string();
    let kind = number(kind, 0, 6)?.to_string();
    let lnr = number(lnr, 0, u64::MAX)?.to_string();
    let cells = [person, date.into(), time, lnr, sex, year, kommune, String::new(), service, kind];
    Some(cells.into_iter().chain([String::new(), fee, String::new()]).collect())
}

/// Persons first, by number, those without last; then by date; then as text.
fn order(row: &[String]) -> (u64, String, Vec<String>) {
    (row[0].parse().unwrap_or(u64::MAX), row[1].clone(), row.to_vec())
}

fn lines(all: &[String]) -> Vec<&str> {
    all.iter().map(String::as_str).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_kept_is_what_a_plain_reader_keeps(
        contacts in prop::collection::vec(contact(), 0..60),
        takster in prop::collection::vec(takst(), 0..30),
    ) {
        let mut place = Place::new();
        place.limits = Limits { max_bad_share: 1.0 };
        let delivery = place.kuhr(
            "d",
            &describe("KPR", "kuhr", 2024, "2025-02-01"),
            &lines(&contacts),
            &[],
            &lines(&takster),
            &["1;p39", "2;p38", "3;p37"],
        );
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(place.ingest(&delivery)).unwrap();

        let mut kept: HashMap<String, Vec<String>> = HashMap::new();
        for row in contacts.iter().filter_map(|line| cells(line)) {
            kept.entry(row[3].clone()).or_insert(row);
        }
        let mut expected: Vec<Vec<String>> = kept.values().cloned().collect();
        expected.sort_by_key(|row| order(row));
        let rows = place.rows("kuhr_contact");
        let keys: Vec<_> = rows.iter().map(|row| order(row)).map(|(person, date, _)| (person, date)).collect();
        prop_assert!(keys.is_sorted());
        let mut sorted = rows;
        sorted.sort_by_key(|row| order(row));
        prop_assert_eq!(sorted, expected);

        let mut expected: Vec<Vec<String>> = takster
            .iter()
            .filter_map(|line| {
                let fields: Vec<&str> = line.split(';').collect();
                let contact = kept.get(fields[0])?;
                let fits = ["2ad", "615"].contains(&fields[1]) && ["1", "2"].contains(&fields[2]);
                let cells = [&contact[0], &contact[1], fields[0], fields[1], fields[2]];
                fits.then(|| cells.map(str::to_owned).to_vec())
            })
            .collect();
        expected.sort_by_key(|row| order(row));
        expected.dedup();
        let mut rows = place.rows("kuhr_takst");
        rows.sort_by_key(|row| order(row));
        prop_assert_eq!(rows, expected);
    }
}
