//! Fields of a line: numbers, codes, dates, straight from bytes.

use chrono::{Datelike, NaiveDate};

use super::fault::FaultKind;

/// A short code, padded with zero bytes; all zero where there is none.
pub(super) type Text<const N: usize> = [u8; N];

/// The fields of a line, which must be exactly `N`.
pub(super) fn split<const N: usize>(line: &[u8]) -> Result<[&[u8]; N], FaultKind> {
    let mut fields = line.split(|b| *b == b';');
    let mut all: [&[u8]; N] = [&[]; N];
    for field in &mut all {
        *field = fields.next().ok_or(FaultKind::FieldCount)?;
    }
    if fields.next().is_some() { Err(FaultKind::FieldCount) } else { Ok(all) }
}

/// A field that may be empty.
pub(super) fn maybe<'a, T>(
    field: &'a [u8],
    read: impl FnOnce(&'a [u8]) -> Result<T, FaultKind>,
) -> Result<Option<T>, FaultKind> {
    if field.is_empty() { Ok(None) } else { read(field).map(Some) }
}

/// A whole number of at most ten digits.
pub(super) fn whole(field: &[u8]) -> Result<u64, FaultKind> {
    match field.len() {
        0 => Err(FaultKind::Missing),
        1..=10 => field.iter().try_fold(0, |n, b| {
            if b.is_ascii_digit() { Ok(n * 10 + u64::from(b - b'0')) } else { Err(FaultKind::Number) }
        }),
        _ => Err(FaultKind::Number),
    }
}

/// A whole number from `least` to `most`; `outside` is the fault of any other.
pub(super) fn within<T: TryFrom<u64>>(
    field: &[u8],
    least: u64,
    most: u64,
    outside: FaultKind,
) -> Result<T, FaultKind> {
    let n = match whole(field) {
        Err(FaultKind::Number) => Err(outside),
        other => other,
    }?;
    if n < least || n > most {
        return Err(outside);
    }
    T::try_from(n).map_err(|_| outside)
}

/// A number with at most two decimals, in hundredths, at most `most` of them.
pub(super) fn hundredths(field: &[u8], most: u32) -> Result<u32, FaultKind> {
    let mut parts = field.splitn(2, |b| *b == b'.' || *b == b',');
    let units = whole(parts.next().unwrap_or_default())?;
    let decimals = match parts.next() {
        None => 0,
        Some([tenths]) => whole(&[*tenths, b'0'])?,
        Some(two @ [_, _]) => whole(two)?,
        Some(_) => return Err(FaultKind::Number),
    };
    u32::try_from(units * 100 + decimals).ok().filter(|n| *n <= most).ok_or(FaultKind::Number)
}

/// A code of letters, digits, `.` and `-`, at most `N` bytes long.
pub(super) fn code<const N: usize>(field: &[u8]) -> Result<Text<N>, FaultKind> {
    if field.is_empty() {
        return Err(FaultKind::Missing);
    }
    let mut text = [0; N];
    let fits = field.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'));
    match text.get_mut(..field.len()) {
        Some(room) if fits => room.copy_from_slice(field),
        _ => return Err(FaultKind::Code),
    }
    Ok(text)
}

/// A code of exactly `N` digits, not all zero.
pub(super) fn digits<const N: usize>(field: &[u8]) -> Result<Text<N>, FaultKind> {
    if field.is_empty() {
        return Err(FaultKind::Missing);
    }
    let text: Text<N> = field.try_into().map_err(|_| FaultKind::Code)?;
    let fits = text.iter().all(u8::is_ascii_digit) && text.iter().any(|b| *b != b'0');
    if fits { Ok(text) } else { Err(FaultKind::Code) }
}

/// A text's bytes without the padding.
pub(super) fn trimmed(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|b| *b == 0).unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

/// A date `YYYY-MM-DD`, as days since 1970-01-01.
pub(super) fn date(field: &[u8]) -> Result<i32, FaultKind> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = field else {
        return Err(if field.is_empty() { FaultKind::Missing } else { FaultKind::Date });
    };
    let number = |bytes: &[&u8]| {
        bytes.iter().try_fold(0_u32, |n, b| {
            if b.is_ascii_digit() { Ok(n * 10 + u32::from(**b - b'0')) } else { Err(FaultKind::Date) }
        })
    };
    let year = i32::try_from(number(&[y1, y2, y3, y4])?).map_err(|_| FaultKind::Date)?;
    let date =
        NaiveDate::from_ymd_opt(year, number(&[m1, m2])?, number(&[d1, d2])?).ok_or(FaultKind::Date)?;
    Ok(days(date))
}

/// A date from `first` to `last`, as days since 1970-01-01.
pub(super) fn date_within(field: &[u8], first: i32, last: i32) -> Result<i32, FaultKind> {
    let day = date(field)?;
    if first <= day && day <= last { Ok(day) } else { Err(FaultKind::DateOutside) }
}

/// A time `HH:MM`, as minutes since midnight.
pub(super) fn time(field: &[u8]) -> Result<u16, FaultKind> {
    let [h1, h2, b':', m1, m2] = field else {
        return Err(FaultKind::Time);
    };
    let hours: u16 = within(&[*h1, *h2], 0, 23, FaultKind::Time)?;
    let minutes: u16 = within(&[*m1, *m2], 0, 59, FaultKind::Time)?;
    Ok(hours * 60 + minutes)
}

/// A date as days since 1970-01-01.
pub(super) fn days(date: NaiveDate) -> i32 {
    date.num_days_from_ce() - NaiveDate::default().num_days_from_ce()
}

/// Days since 1970-01-01 as a date.
pub(super) fn day(days: i32) -> Option<NaiveDate> {
    NaiveDate::from_num_days_from_ce_opt(days.checked_add(NaiveDate::default().num_days_from_ce())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_exactly_its_fields() {
        assert_eq!(split::<3>(b"a;;c"), Ok([b"a".as_slice(), b"", b"c"]));
        assert_eq!(split::<3>(b"a;b"), Err(FaultKind::FieldCount));
        assert_eq!(split::<3>(b"a;b;c;"), Err(FaultKind::FieldCount));
        assert_eq!(split::<2>(b""), Err(FaultKind::FieldCount));
    }

    #[test]
    fn numbers() {
        assert_eq!(whole(b"9999999999"), Ok(9_999_999_999));
        assert_eq!(whole(b"02813299997"), Err(FaultKind::Number));
        assert_eq!(whole(b""), Err(FaultKind::Missing));
        assert_eq!(whole(b"-1"), Err(FaultKind::Number));
        assert_eq!(within::<u8>(b"14", 1, 14, FaultKind::Code), Ok(14));
        assert_eq!(within::<u8>(b"15", 1, 14, FaultKind::Code), Err(FaultKind::Code));
        assert_eq!(within::<u8>(b"x", 1, 14, FaultKind::Code), Err(FaultKind::Code));
        assert_eq!(within::<u8>(b"", 1, 14, FaultKind::Code), Err(FaultKind::Missing));
        assert_eq!(hundredths(b"160", 1_000_000), Ok(16_000));
        assert_eq!(hundredths(b"160.5", 1_000_000), Ok(16_050));
        assert_eq!(hundredths(b"160,55", 1_000_000), Ok(16_055));
        for wrong in [&b"160.555"[..], b"1e3", b"-5", b"160.", b"1.2.3", b"10000.01"] {
            assert_eq!(hundredths(wrong, 1_000_000), Err(FaultKind::Number));
        }
    }

    #[test]
    fn codes() {
        assert_eq!(code::<8>(b"2ad").map(|c| trimmed(&c).to_vec()), Ok(b"2ad".to_vec()));
        assert_eq!(code::<2>(b"2ad"), Err(FaultKind::Code));
        assert_eq!(code::<8>("å".as_bytes()), Err(FaultKind::Code));
        assert_eq!(code::<8>(b"a b"), Err(FaultKind::Code));
        assert_eq!(digits::<4>(b"0301"), Ok(*b"0301"));
        for wrong in [&b"301"[..], b"03011", b"0000", b"030A"] {
            assert_eq!(digits::<4>(wrong), Err(FaultKind::Code));
        }
    }

    #[test]
    fn dates_and_times() {
        assert_eq!(date(b"1970-01-01"), Ok(0));
        assert_eq!(date(b"2024-02-29"), Ok(19_782));
        assert_eq!(day(19_782), NaiveDate::from_ymd_opt(2024, 2, 29));
        for wrong in
            [&b"2023-02-29"[..], b"2024-13-01", b"2024-00-10", b"24-01-01", b"2024/01/01", b"2024-01-1x"]
        {
            assert_eq!(date(wrong), Err(FaultKind::Date));
        }
        assert_eq!(date_within(b"1970-01-02", 2, 9), Err(FaultKind::DateOutside));
        assert_eq!(time(b"23:59"), Ok(1439));
        for wrong in [&b"24:00"[..], b"12:60", b"1200", b"1:00", b""] {
            assert_eq!(time(wrong), Err(FaultKind::Time));
        }
    }
}
