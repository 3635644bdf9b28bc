//! The identity number: fødselsnummer or D-number, checked on construction, never shown.
//!
//! Eleven digits `DDMMYY III KK`. A D-number has 40 added to the day; synthetic persons have the month
//! shifted. The first check sum (weights 3 7 6 1 8 9 4 5 2 1) leaves a remainder of 0 by the rule before
//! 2032 and 0-3 by the rule from 2032; the second (weights 5 4 3 2 7 6 5 4 3 2 1) leaves 0 by both. Source:
//! the Tax Administration's documentation of Folkeregisteret, "Nytt fødselsnummer fra 2032". Numbers of
//! both rules live side by side, so both are read. Neither sex nor century is taken from a number.

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// How many digits an identity number has.
pub(super) const DIGITS: usize = 11;

const FIRST_WEIGHTS: [u32; DIGITS] = [3, 7, 6, 1, 8, 9, 4, 5, 2, 1, 0];
const SECOND_WEIGHTS: [u32; DIGITS] = [5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1];
/// The remainders of the first check sum that the rule from 2032 allows; before, only 0.
const FIRST_REMAINDERS: std::ops::RangeInclusive<u32> = 0..=3;

/// Whether a number was given to a resident or to someone with a shorter tie to the country.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A fødselsnummer.
    Fnr,
    /// A D-number: 40 is added to the day.
    DNumber,
}

/// Who gives out numbers with this month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Series {
    /// Folkeregisteret: the month as it is.
    Population,
    /// Synthetic persons of the Tax Administration's Tenor: month + 80.
    Tenor,
    /// Synthetic persons of Norsk helsenett: month + 65.
    Nhn,
    /// Synthetic persons of NAV's Dolly, and the help numbers of hospitals: month + 40.
    NavOrHelp,
}

/// Why text is not an identity number. It never repeats the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAnFnr {
    /// Not exactly eleven ASCII digits.
    #[error("an identity number is eleven digits")]
    Digits,
    /// Day and month are no date of any year that the two digits can stand for.
    #[error(
        "the first six digits of an identity number are a date, with the shifts of D-numbers and synthetic persons"
    )]
    Date,
    /// A check digit is wrong by the rule before 2032 and by the rule from 2032.
    #[error("the check digits of the identity number are wrong")]
    CheckDigits,
}

/// An identity number. Eleven digits packed into an integer, erased from memory on drop. It cannot be
/// printed, serialised or copied:
///
/// ```compile_fail,E0277
/// let number = kpr::identity::Fnr::parse(b"30908299996").unwrap();
/// println!("{number}");
/// ```
/// ```compile_fail,E0277
/// let number = kpr::identity::Fnr::parse(b"30908299996").unwrap();
/// serde_json::to_string(&number).unwrap();
/// ```
/// ```compile_fail,E0599
/// let number = kpr::identity::Fnr::parse(b"30908299996").unwrap();
/// let copy = number.clone();
/// ```
/// ```compile_fail,E0624
/// fn show(number: &kpr::identity::Fnr) {
///     number.to_wire();
/// }
/// ```
/// ```compile_fail,E0423
/// let number = kpr::identity::Fnr(30908299996);
/// ```
#[derive(PartialEq, Eq, Hash, Zeroize, ZeroizeOnDrop)]
pub struct Fnr(u64);

impl Fnr {
    /// Reads an identity number from its eleven ASCII digits, without any other character.
    ///
    /// # Errors
    /// [`NotAnFnr`]: which rule it breaks.
    pub fn parse(text: &[u8]) -> Result<Self, NotAnFnr> {
        let digits: &[u8; DIGITS] = text.try_into().map_err(|_| NotAnFnr::Digits)?;
        let (mut packed, mut first, mut second) = (0, 0, 0);
        for ((&byte, first_weight), second_weight) in digits.iter().zip(FIRST_WEIGHTS).zip(SECOND_WEIGHTS) {
            if !byte.is_ascii_digit() {
                return Err(NotAnFnr::Digits);
            }
            let digit = u32::from(byte - b'0');
            packed = packed * 10 + u64::from(digit);
            first += first_weight * digit;
            second += second_weight * digit;
        }
        let number = Self(packed);
        if !number.has_plausible_date() {
            return Err(NotAnFnr::Date);
        }
        if !FIRST_REMAINDERS.contains(&(first % 11)) || second % 11 != 0 {
            return Err(NotAnFnr::CheckDigits);
        }
        Ok(number)
    }

    /// Fødselsnummer or D-number.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        if self.day_field() > 40 { Kind::DNumber } else { Kind::Fnr }
    }

    /// Who gave it out: the population register, or a maker of synthetic persons.
    #[must_use]
    pub const fn series(&self) -> Series {
        match self.month_field() {
            81.. => Series::Tenor,
            66.. => Series::Nhn,
            41.. => Series::NavOrHelp,
            _ => Series::Population,
        }
    }

    /// The digits, for the one message that names a person to a steward.
    pub(crate) fn to_wire(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.digits().to_vec())
    }

    /// The digits, for encryption only.
    pub(super) fn digits(&self) -> Zeroizing<[u8; DIGITS]> {
        let mut digits = Zeroizing::new([b'0'; DIGITS]);
        let mut rest = self.0;
        for digit in digits.iter_mut().rev() {
            // The remainder of a division by ten fits a byte.
            *digit += (rest % 10) as u8;
            rest /= 10;
        }
        digits
    }

    const fn day_field(&self) -> u64 {
        self.0 / 1_000_000_000
    }

    const fn month_field(&self) -> u64 {
        self.0 / 10_000_000 % 100
    }

    /// Whether day and month are a date in some century: the year's two digits do not tell which, so
    /// 29 February is taken where any century has it.
    const fn has_plausible_date(&self) -> bool {
        let day = match self.kind() {
            Kind::Fnr => self.day_field(),
            Kind::DNumber => self.day_field() - 40,
        };
        let shift = match self.series() {
            Series::Population => 0,
            Series::Tenor => 80,
            Series::Nhn => 65,
            Series::NavOrHelp => 40,
        };
        let days = match self.month_field() - shift {
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            4 | 6 | 9 | 11 => 30,
            2 if (self.0 / 100_000 % 100).is_multiple_of(4) => 29,
            2 => 28,
            _ => 0,
        };
        1 <= day && day <= days
    }
}

impl fmt::Debug for Fnr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fnr(redacted)")
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A number with these first nine digits, the remainder that the first check sum is to leave, and
    /// both check digits; `None` where a check digit would be 10.
    pub(in crate::identity) fn with_check_digits(nine: &str, remainder: u32) -> Option<String> {
        let sum = |weights: &[u32], text: &str| -> u32 {
            weights.iter().zip(text.bytes()).map(|(w, b)| w * u32::from(b - b'0')).sum()
        };
        let first = (11 + remainder - sum(&FIRST_WEIGHTS[..9], nine) % 11) % 11;
        let ten = format!("{nine}{first}");
        let second = (11 - sum(&SECOND_WEIGHTS[..10], &ten) % 11) % 11;
        (first < 10 && second < 10).then(|| format!("{ten}{second}"))
    }

    /// Numbers of every kind and series by the rule before 2032.
    pub(in crate::identity) fn numbers() -> impl Strategy<Value = String> {
        (1..=28u32, 1..=12u32, 0..100u32, 0..1000u32, any::<bool>(), 0..4usize, 0..=3u32).prop_filter_map(
            "a check digit of 10",
            |(day, month, year, individual, d_number, series, remainder)| {
                let day = if d_number { day + 40 } else { day };
                let month = month + [0, 40, 65, 80][series];
                with_check_digits(&format!("{day:02}{month:02}{year:02}{individual:03}"), remainder)
            },
        )
    }

    fn parse(text: &str) -> Result<Fnr, NotAnFnr> {
        Fnr::parse(text.as_bytes())
    }

    #[test]
    fn worked_numbers_of_the_2032_rule_are_read() {
        // Two leave the remainder 0, which the older rule reads too; the third leaves 1.
        for text in ["02013299997", "30108299920", "30108299939"] {
            assert!(parse(text).is_ok(), "{text}");
        }
        // The same nine digits with each remainder the rule has a number for, and with the next one.
        for remainder in 0..=3 {
            assert!(parse(&with_check_digits("301082999", remainder).unwrap()).is_ok());
        }
        let fourth = with_check_digits("301082999", 4).unwrap();
        assert_eq!(parse(&fourth), Err(NotAnFnr::CheckDigits));
    }

    #[test]
    fn kinds_and_series_are_told_apart() {
        for (nine, kind, series) in [
            ("150373123", Kind::Fnr, Series::Population),
            ("550373123", Kind::DNumber, Series::Population),
            ("158373124", Kind::Fnr, Series::Tenor),
            ("558373124", Kind::DNumber, Series::Tenor),
            ("156873124", Kind::Fnr, Series::Nhn),
            ("154373124", Kind::Fnr, Series::NavOrHelp),
        ] {
            let number = parse(&(0..=3).find_map(|r| with_check_digits(nine, r)).unwrap()).unwrap();
            assert_eq!((number.kind(), number.series()), (kind, series), "{nine}");
        }
    }

    #[test]
    fn what_is_not_a_date_in_any_century_is_refused() {
        let date = |six: &str| {
            let text = (0..1000).find_map(|i| with_check_digits(&format!("{six}{i:03}"), 0)).unwrap();
            parse(&text).map(drop)
        };
        for six in ["290200", "290204", "290296", "310181", "710180", "010152", "017799", "019299", "410101"]
        {
            assert_eq!(date(six), Ok(()), "{six}");
        }
        for six in [
            "290201", "300204", "310404", "000101", "320101", "400101", "720101", "010001", "011301",
            "014001", "015301", "016501", "017801", "018001", "019301", "990101",
        ] {
            assert_eq!(date(six), Err(NotAnFnr::Date), "{six}");
        }
    }

    #[test]
    fn what_is_not_eleven_digits_is_refused() {
        for text in ["", "3010829992", "301082999200", "3010829992x", " 30108299920", "٣010829992"] {
            assert_eq!(parse(text), Err(NotAnFnr::Digits), "{text}");
        }
    }

    #[test]
    fn debug_and_errors_do_not_show_the_number() {
        let number = parse("30108299920").unwrap();
        assert_eq!(format!("{number:?}"), "Fnr(redacted)");
        for text in ["30108299921", "99108299920", "3010829992"] {
            let error = parse(text).unwrap_err();
            assert!(!format!("{error} {error:?}").contains(&text[..6]));
        }
    }

    proptest! {
        #[test]
        fn every_made_number_is_read_and_keeps_its_digits(text in numbers()) {
            let number = parse(&text).unwrap();
            prop_assert!(number.digits().as_slice() == text.as_bytes());
        }

        /// The second check sum has a weight that is not 0 for every digit and modulus 11 is prime, so a
        /// changed digit always changes its remainder: the rule of 2032 gives up none of that.
        #[test]
        fn every_single_changed_digit_is_noticed(text in numbers(), place in 0..DIGITS, step in 1..10u8) {
            let mut changed = text.into_bytes();
            changed[place] = b'0' + (changed[place] - b'0' + step) % 10;
            prop_assert!(Fnr::parse(&changed).is_err());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..16)) {
            if let Ok(number) = Fnr::parse(&bytes) {
                prop_assert!(number.digits().as_slice() == bytes.as_slice());
            }
        }
    }
}
