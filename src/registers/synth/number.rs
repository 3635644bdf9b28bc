//! Identity numbers of synthetic persons: month + 80, so that no real number can occur. Made here,
//! never read: checking numbers is the identity service's work.

use super::calendar::Day;

/// An identity number as eleven ASCII digits.
pub(super) type Number = [u8; 11];

/// Numbers of one day and sex from the top end are kept for numbers that were later replaced.
pub(super) const RESERVED: u32 = 25;

/// Individual digits by the year of birth: those given in 1900-1999 and in 2000-2039.
const fn individual(year: i32) -> (u32, u32) {
    if year < 2000 { (0, 499) } else { (500, 999) }
}

/// The fnr of the person with this rank among those of the same day and sex (1 man, 2 woman). None
/// when the day has no number left.
pub(super) fn fnr(birth: Day, sex: u8, rank: u32) -> Option<Number> {
    let (low, high) = individual(birth.year());
    nth(birth, 0, (low..=high).filter(of(sex)), rank)
}

/// A number that was replaced later, counted from the other end so that it is nobody else's.
pub(super) fn former_fnr(birth: Day, sex: u8, rank: u32) -> Option<Number> {
    let (low, high) = individual(birth.year());
    nth(birth, 0, (low..=high).rev().filter(of(sex)), rank)
}

/// The D-number (day + 40) of the person with this rank.
pub(super) fn d_number(birth: Day, sex: u8, rank: u32) -> Option<Number> {
    let (low, high) = individual(birth.year());
    nth(birth, 40, (low..=high).filter(of(sex)), rank)
}

/// A number for the same person that is valid only by the rule from 2032: the first check digit's
/// remainder is 1, 2 or 3. Its last individual digit tells the other sex. None when no remainder
/// gives two single check digits.
pub(super) fn by_2032_rule(number: Number) -> Option<Number> {
    let mut digits = number.map(|ascii| u32::from(ascii.wrapping_sub(b'0')));
    let [.., last, _, _] = &mut digits;
    *last ^= 1;
    let [d1, d2, m1, m2, y1, y2, i1, i2, i3, _, _] = digits;
    let nine = [d1, d2, m1, m2, y1, y2, i1, i2, i3];
    (1..=3).find_map(|remainder| complete(nine, remainder))
}

/// The number with its last digit changed, which no rule accepts.
pub(super) fn spoilt(mut number: Number) -> Number {
    let [.., last] = &mut number;
    *last = if *last == b'9' { b'0' } else { *last + 1 };
    number
}

/// Odd last individual digits are men's, even ones women's.
fn of(sex: u8) -> impl Fn(&u32) -> bool {
    move |individual| (individual % 2 == 1) == (sex == 1)
}

fn nth(birth: Day, add: i32, individuals: impl Iterator<Item = u32>, rank: u32) -> Option<Number> {
    let (year, month, day) = birth.parts();
    let two = |n: i32| (n.unsigned_abs() / 10 % 10, n.unsigned_abs() % 10);
    let ((d1, d2), (m1, m2), (y1, y2)) = (two(day + add), two(month + 80), two(year));
    individuals
        .filter_map(|i| complete([d1, d2, m1, m2, y1, y2, i / 100, i / 10 % 10, i % 10], 0))
        .nth(rank as usize)
}

/// Adds the check digits: the first so that its weighted sum leaves `remainder`, the second so that
/// its own leaves 0. None when one of them would be ten.
fn complete([d1, d2, m1, m2, y1, y2, i1, i2, i3]: [u32; 9], remainder: u32) -> Option<Number> {
    let first = 3 * d1 + 7 * d2 + 6 * m1 + m2 + 8 * y1 + 9 * y2 + 4 * i1 + 5 * i2 + 2 * i3;
    let k1 = (remainder + 11 - first % 11) % 11;
    let second = 5 * d1 + 4 * d2 + 3 * m1 + 2 * m2 + 7 * y1 + 6 * y2 + 5 * i1 + 4 * i2 + 3 * i3 + 2 * k1;
    let k2 = (11 - second % 11) % 11;
    (k1 < 10 && k2 < 10).then(|| [d1, d2, m1, m2, y1, y2, i1, i2, i3, k1, k2].map(|digit| b'0' + digit as u8))
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::registers::synth::calendar::days_in;

    /// Persons of one day and sex for whom there are numbers, whatever the day.
    pub(crate) const ROOM: u32 = 160;

    /// Remainders of the two check sums, by their definition with the check digits' own weight 1.
    pub(crate) fn remainders(number: &[u8]) -> (u32, u32) {
        let sum = |weights: &[u32]| {
            number.iter().zip(weights).map(|(d, w)| u32::from(d - b'0') * w).sum::<u32>() % 11
        };
        (sum(&[3, 7, 6, 1, 8, 9, 4, 5, 2, 1]), sum(&[5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1]))
    }

    #[test]
    fn worked_numbers_by_the_rule_from_2032() {
        for number in [b"02013299997", b"30108299920", b"30108299939"] {
            let (first, second) = remainders(number);
            assert!((0..=3).contains(&first), "{first}");
            assert_eq!(second, 0);
        }
    }

    #[test]
    fn numbers_have_month_80_and_right_check_digits() {
        let birth = Day::of(1984, 2, 29);
        let man = fnr(birth, 1, 3).unwrap();
        assert!(man.starts_with(b"298284"));
        assert_eq!(man[8] % 2, 1);
        let woman = d_number(birth, 2, 3).unwrap();
        assert!(woman.starts_with(b"698284"));
        assert_eq!(woman[8] % 2, 0);
        for number in [man, woman, former_fnr(birth, 2, 0).unwrap()] {
            assert_eq!(remainders(&number), (0, 0));
            let new = by_2032_rule(number).unwrap();
            let (first, second) = remainders(&new);
            assert!((1..=3).contains(&first));
            assert_eq!(second, 0);
            assert_ne!(new[8] % 2, number[8] % 2);
            assert_ne!(remainders(&spoilt(number)).1, 0);
        }
    }

    #[test]
    fn every_day_has_room_for_the_largest_population() {
        let most = ROOM;
        for year in [1919, 1950, 1999, 2000, 2012, 2039] {
            for offset in 0..days_in(year) {
                let birth = Day::first_of(year).plus(offset);
                for sex in [1, 2] {
                    let mut seen = HashSet::new();
                    for rank in [0, 1, most - 2, most - 1] {
                        assert!(seen.insert(fnr(birth, sex, rank).unwrap()));
                    }
                    for rank in [0, RESERVED - 1] {
                        assert!(seen.insert(former_fnr(birth, sex, rank).unwrap()));
                    }
                    let last = fnr(birth, sex, most - 1).unwrap();
                    assert!(last < former_fnr(birth, sex, RESERVED - 1).unwrap(), "the ends meet");
                    assert!(d_number(birth, sex, most - 1).is_some());
                }
            }
        }
    }
}
