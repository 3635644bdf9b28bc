//! Days as plain numbers, so that millions of dates cost no more than additions.

use chrono::{Datelike, NaiveDate};

/// A day, counted from 1 January 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Day(i32);

impl Day {
    /// The day of a calendar date. Days past the month's end run on into the next month.
    pub(super) const fn of(year: i32, month: i32, day: i32) -> Self {
        // The year begins in March here, so that the leap day is its last.
        let y = if month <= 2 { year - 1 } else { year };
        let era = y.div_euclid(400);
        let year_of_era = y - era * 400;
        let month_from_march = (month + 9) % 12;
        let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        Self(era * 146_097 + day_of_era - 719_468)
    }

    /// 1 January.
    pub(super) const fn first_of(year: i32) -> Self {
        Self::of(year, 1, 1)
    }

    /// 31 December.
    pub(super) const fn last_of(year: i32) -> Self {
        Self::of(year, 12, 31)
    }

    /// Year, month and day of the month.
    pub(super) const fn parts(self) -> (i32, i32, i32) {
        let z = self.0 + 719_468;
        let era = z.div_euclid(146_097);
        let day_of_era = z - era * 146_097;
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
        (year, month, day)
    }

    /// The year it is in.
    pub(super) const fn year(self) -> i32 {
        self.parts().0
    }

    /// So many days later, or earlier when negative.
    pub(super) const fn plus(self, days: i32) -> Self {
        Self(self.0 + days)
    }

    /// Days from `earlier` to this day.
    pub(super) const fn since(self, earlier: Self) -> i32 {
        self.0 - earlier.0
    }

    /// The day of the week: 0 is Sunday, 6 Saturday.
    pub(super) const fn weekday(self) -> i32 {
        (self.0 + 4).rem_euclid(7)
    }
}

impl From<NaiveDate> for Day {
    fn from(date: NaiveDate) -> Self {
        Self(date.num_days_from_ce() - 719_163)
    }
}

/// How many days a year has.
pub(super) const fn days_in(year: i32) -> i32 {
    Day::first_of(year + 1).since(Day::first_of(year))
}

#[cfg(test)]
mod tests {
    use chrono::{Datelike, NaiveDate};

    use super::Day;

    #[test]
    fn agrees_with_the_calendar_on_every_day() {
        let mut date = NaiveDate::from_ymd_opt(1899, 12, 31).unwrap();
        while date.year() < 2045 {
            let day = Day::from(date);
            let (month, of_month) = (date.month() as i32, date.day() as i32);
            assert_eq!(day.parts(), (date.year(), month, of_month));
            assert_eq!(Day::of(date.year(), month, of_month), day);
            assert_eq!(day.weekday(), date.weekday().num_days_from_sunday() as i32);
            date = date.succ_opt().unwrap();
        }
    }
}
