//! A part of one file in memory: lines made by hand, since formatting each field would cost more than
//! drawing it.

use super::calendar::Day;
use super::faults::{Fault, FaultCounts};

/// Lines of one file that are not yet written. Fields are added in order; [`Sheet::end`] closes a line.
#[derive(Default)]
pub(super) struct Sheet {
    pub(super) bytes: Vec<u8>,
    pub(super) lines: u64,
    pub(super) faults: FaultCounts,
    start: usize,
}

impl Sheet {
    /// A field of text.
    pub(super) fn text(&mut self, text: impl AsRef<[u8]>) -> &mut Self {
        self.bytes.extend_from_slice(text.as_ref());
        self.bytes.push(b';');
        self
    }

    /// An empty field.
    pub(super) fn empty(&mut self) -> &mut Self {
        self.bytes.push(b';');
        self
    }

    /// A whole number.
    pub(super) fn number(&mut self, number: impl Into<u64>) -> &mut Self {
        self.digits(number.into());
        self.empty()
    }

    /// A date.
    pub(super) fn day(&mut self, day: Day) -> &mut Self {
        let (year, month, of_month) = day.parts();
        self.date(year, month, of_month)
    }

    /// A date by its parts, which need not exist.
    pub(super) fn date(&mut self, year: i32, month: i32, day: i32) -> &mut Self {
        let (year, month, day) = (year.unsigned_abs(), month.unsigned_abs(), day.unsigned_abs());
        self.two(year / 100);
        self.two(year);
        self.bytes.push(b'-');
        self.two(month);
        self.bytes.push(b'-');
        self.two(day);
        self.empty()
    }

    /// A date, or an empty field.
    pub(super) fn day_or_empty(&mut self, day: Option<Day>) -> &mut Self {
        match day {
            Some(day) => self.day(day),
            None => self.empty(),
        }
    }

    /// A time of day from minutes after midnight.
    pub(super) fn time(&mut self, minutes: u32) -> &mut Self {
        self.two(minutes / 60);
        self.bytes.push(b':');
        self.two(minutes % 60);
        self.empty()
    }

    /// Kroner with two decimals, from øre.
    pub(super) fn kroner(&mut self, ore: u32) -> &mut Self {
        self.digits(u64::from(ore / 100));
        self.bytes.push(b'.');
        self.two(ore);
        self.empty()
    }

    /// A number with one decimal, from tenths.
    pub(super) fn tenths(&mut self, tenths: u32) -> &mut Self {
        self.digits(u64::from(tenths / 10));
        self.bytes.extend([b'.', b'0' + (tenths % 10) as u8]);
        self.empty()
    }

    /// The six digits of a city district: its municipality's four and its own two.
    pub(super) fn district(&mut self, municipality: &str, district: u32) -> &mut Self {
        self.bytes.extend_from_slice(municipality.as_bytes());
        self.two(district);
        self.empty()
    }

    /// Closes the line. A duplicate is written twice, a truncated line cut in its middle or before its
    /// last field; any fault is counted.
    pub(super) fn end(&mut self, fault: Option<Fault>) {
        if let Some(last) = self.bytes.last_mut() {
            *last = b'\n';
        }
        self.lines += 1;
        match fault {
            Some(Fault::TruncatedLine) => {
                let line = self.bytes.get(self.start..).unwrap_or_default();
                let before_last = line.iter().rposition(|b| *b == b';').unwrap_or_default();
                let keep = before_last.min(line.len() / 2);
                self.bytes.truncate(self.start + keep);
                self.bytes.push(b'\n');
            }
            Some(Fault::DuplicateLine) => {
                self.bytes.extend_from_within(self.start..);
                self.lines += 1;
            }
            _ => {}
        }
        if let Some(fault) = fault {
            self.faults.add(fault);
        }
        self.start = self.bytes.len();
    }

    fn digits(&mut self, mut number: u64) {
        let mut text = [0; 20];
        let mut length = 0;
        for place in text.iter_mut().rev() {
            *place = b'0' + (number % 10) as u8;
            number /= 10;
            length += 1;
            if number == 0 {
                break;
            }
        }
        self.bytes.extend(text.iter().skip(20 - length));
    }

    fn two(&mut self, number: u32) {
        self.bytes.extend([b'0' + (number / 10 % 10) as u8, b'0' + (number % 10) as u8]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_fields_and_faults() {
        let mut sheet = Sheet::default();
        sheet.number(0_u32).number(9_876_543_210_u64).day(Day::of(2024, 2, 9)).time(605).end(None);
        sheet.kroner(17_905).tenths(35).day_or_empty(None).text("B").end(Some(Fault::DuplicateLine));
        sheet.number(123_u32).text("2ad").number(1_u32).end(Some(Fault::TruncatedLine));
        sheet.number(1_u32).text("a-long-last-field").end(Some(Fault::TruncatedLine));
        assert_eq!(
            String::from_utf8(sheet.bytes).unwrap(),
            "0;9876543210;2024-02-09;10:05\n179.05;3.5;;B\n179.05;3.5;;B\n123;2\n1\n"
        );
        assert_eq!(sheet.lines, 5);
        assert_eq!(sheet.faults.iter().map(|(_, n)| n).sum::<u64>(), 3);
    }
}
