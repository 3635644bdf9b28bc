//! Norwegian working days: Monday to Friday, public holidays aside.
//!
//! Public holidays are those of the act on public holidays (helligdagsfredsloven, section 2: New Year's Day, Maundy
//! Thursday, Good Friday, Easter Sunday and Monday, Ascension Day, Whit Sunday and Monday, Christmas Day and the day
//! after) and of the act on 1 and 17 May. Christmas Eve and New Year's Eve are none, so they count as working days.

use chrono::{Datelike, Days, NaiveDate, Weekday};

/// Easter Sunday of a year of the Gregorian calendar, by the anonymous algorithm (Meeus, Jones, Butcher). Nothing for a
/// year that the calendar does not have.
#[must_use]
pub fn easter_sunday(year: i32) -> Option<NaiveDate> {
    let (golden, century, in_century) = (year.rem_euclid(19), year.div_euclid(100), year.rem_euclid(100));
    let skipped = century - century / 4 - (century - (century + 8) / 25 + 1) / 3;
    let epact = (19 * golden + skipped + 15).rem_euclid(30);
    let weekday = (32 + 2 * (century % 4) + 2 * (in_century / 4) - epact - in_century % 4).rem_euclid(7);
    let late = (golden + 11 * epact + 22 * weekday) / 451;
    let number = epact + weekday - 7 * late + 114;
    NaiveDate::from_ymd_opt(year, u32::try_from(number / 31).ok()?, u32::try_from(number % 31 + 1).ok()?)
}

/// The public holidays that lie a number of days after Easter Sunday.
const FROM_EASTER: [i64; 7] = [-3, -2, 0, 1, 39, 49, 50];
/// The public holidays of every year: month and day.
const EVERY_YEAR: [(u32, u32); 5] = [(1, 1), (5, 1), (5, 17), (12, 25), (12, 26)];

/// Whether a day is a public holiday.
#[must_use]
pub fn is_public_holiday(day: NaiveDate) -> bool {
    EVERY_YEAR.contains(&(day.month(), day.day()))
        || easter_sunday(day.year())
            .is_some_and(|easter| FROM_EASTER.contains(&day.signed_duration_since(easter).num_days()))
}

/// Whether a day is a working day.
#[must_use]
pub fn is_working_day(day: NaiveDate) -> bool {
    !matches!(day.weekday(), Weekday::Sat | Weekday::Sun) && !is_public_holiday(day)
}

/// The day on which a period of so many working days ends. The day it begins on does not count. Nothing beyond the end
/// of the calendar.
#[must_use]
pub fn after(begins: NaiveDate, working_days: u16) -> Option<NaiveDate> {
    let mut day = begins;
    let mut left = working_days;
    while left > 0 {
        day = day.checked_add_days(Days::new(1))?;
        left -= u16::from(is_working_day(day));
    }
    Some(day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn easter_falls_on_its_known_days() {
        // Years from tables: the last century's earliest and latest, and those of this gateway's life.
        for known in [
            "1818-03-22",
            "1943-04-25",
            "2000-04-23",
            "2008-03-23",
            "2019-04-21",
            "2024-03-31",
            "2025-04-20",
            "2026-04-05",
            "2027-03-28",
            "2028-04-16",
            "2029-04-01",
            "2030-04-21",
            "2038-04-25",
        ] {
            let known = day(known);
            assert_eq!(easter_sunday(known.year()), Some(known));
        }
    }

    #[test]
    fn the_public_holidays_of_2026_are_these() {
        let days = (0..365).map(|n| day("2026-01-01") + Days::new(n));
        let holidays: Vec<String> = days.filter(|d| is_public_holiday(*d)).map(|d| d.to_string()).collect();
        let expected = [
            "2026-01-01",
            "2026-04-02",
            "2026-04-03",
            "2026-04-05",
            "2026-04-06",
            "2026-05-01",
            "2026-05-14",
            "2026-05-17",
            "2026-05-24",
            "2026-05-25",
            "2026-12-25",
            "2026-12-26",
        ];
        assert_eq!(holidays, expected);
    }

    #[test]
    fn eves_and_easter_saturday_are_no_public_holidays() {
        for eve in ["2026-12-24", "2026-12-31", "2026-04-01"] {
            assert!(is_working_day(day(eve)), "{eve}");
        }
        assert!(!is_public_holiday(day("2026-04-04")) && !is_working_day(day("2026-04-04")));
    }

    #[test]
    fn periods_end_on_counted_days() {
        // By hand from a calendar: the Thursday before Easter week, over Easter; over May's holidays; over a new year.
        for (begins, working_days, ends) in [
            ("2026-03-26", 0, "2026-03-26"),
            ("2026-03-26", 1, "2026-03-27"),
            ("2026-03-27", 3, "2026-04-01"),
            ("2026-04-01", 1, "2026-04-07"),
            ("2026-04-30", 10, "2026-05-18"),
            ("2026-12-23", 3, "2026-12-29"),
            ("2026-12-30", 2, "2027-01-04"),
            // A Saturday, from which the first working day is Monday.
            ("2026-11-21", 1, "2026-11-23"),
            ("2026-11-20", 30, "2027-01-05"),
            ("2024-03-18", 30, "2024-05-03"),
        ] {
            assert_eq!(after(day(begins), working_days), Some(day(ends)), "{begins} + {working_days}");
        }
        assert_eq!(after(NaiveDate::MAX, 1), None);
    }

    proptest! {
        #[test]
        fn a_period_holds_as_many_working_days_as_it_says(offset in 0_u64..40_000, working_days in 0_u16..300) {
            let begins = day("1950-01-01") + Days::new(offset);
            let ends = after(begins, working_days).unwrap();
            let counted = begins.iter_days().skip(1).take_while(|d| *d <= ends).filter(|d| is_working_day(*d));
            prop_assert_eq!(counted.count(), usize::from(working_days));
            prop_assert!(working_days == 0 || is_working_day(ends));
        }
    }
}
