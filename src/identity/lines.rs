//! Lines out of chunks of bytes, and the fields of a line, with what can be wrong with them.

use zeroize::Zeroizing;

use super::fnr::{Fnr, Kind, NotAnFnr};

/// No line of an identity file is longer; what is, is not kept in memory.
const LONGEST_LINE: usize = 512;

/// How an identity file is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Folkeregisteret's `lnr;identifikator;type;gyldigFra;gyldigTil`, several lines a person.
    Population,
    /// `kpr_lnr;fnr` or `npr_lnr;fnr`.
    Serial,
}

impl Layout {
    /// The header lines it may have.
    #[must_use]
    pub const fn headers(self) -> &'static [&'static str] {
        match self {
            Self::Population => &["lnr;identifikator;type;gyldigFra;gyldigTil"],
            Self::Serial => &["kpr_lnr;fnr", "npr_lnr;fnr"],
        }
    }
}

/// What is wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// Not as many fields as the header has, or a field that is not what it should be.
    Malformed,
    /// Not an identity number: wrong length, date or check digit.
    NotANumber,
    /// The line speaks of another person than what is known: its serial number or its identity number is
    /// already someone else's.
    Conflict,
    /// The line says what an earlier one has said.
    Duplicate,
    /// Not valid UTF-8.
    Encoding,
}

/// A line that could not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// The line number in the file; the header is line 1.
    pub line: u64,
    /// What is wrong.
    pub kind: FaultKind,
}

/// What a line says.
pub(super) struct Entry {
    pub(super) serial: u64,
    pub(super) number: Fnr,
    /// The first day the number was the person's, in days after 1970-01-01.
    pub(super) valid_from: Option<i32>,
}

impl Layout {
    /// Reads a line that is not the header.
    pub(super) fn read(self, line: &[u8]) -> Result<Entry, FaultKind> {
        let text = std::str::from_utf8(line).map_err(|_| FaultKind::Encoding)?;
        let mut fields = text.split(';');
        let mut next = || fields.next().ok_or(FaultKind::Malformed);
        let (serial, number) = (next()?, next()?);
        let (kind, from, to) = match self {
            Self::Serial => (None, "", ""),
            Self::Population => (Some(next()?), next()?, next()?),
        };
        if fields.next().is_some() {
            return Err(FaultKind::Malformed);
        }
        let serial = read_serial(serial).ok_or(FaultKind::Malformed)?;
        let number = Fnr::parse(number.as_bytes()).map_err(|_: NotAnFnr| FaultKind::NotANumber)?;
        let stated = match kind {
            None => number.kind(),
            Some("FNR") => Kind::Fnr,
            Some("DNR") => Kind::DNumber,
            Some(_) => return Err(FaultKind::Malformed),
        };
        if stated != number.kind() {
            return Err(FaultKind::Malformed);
        }
        let (valid_from, valid_to) = (read_day(from)?, read_day(to)?);
        if valid_from.zip(valid_to).is_some_and(|(from, to)| to < from) {
            return Err(FaultKind::Malformed);
        }
        Ok(Entry { serial, number, valid_from })
    }
}

/// A serial number of a delivery: one to ten digits, so that no identity number passes for one.
fn read_serial(text: &str) -> Option<u64> {
    let plain = (1..=10).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

/// A day `YYYY-MM-DD`, or nothing.
fn read_day(text: &str) -> Result<Option<i32>, FaultKind> {
    if text.is_empty() {
        return Ok(None);
    }
    let day = chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").map_err(|_| FaultKind::Malformed)?;
    Ok(Some(day.to_epoch_days()))
}

/// Cuts chunks into lines. The unfinished line between two chunks is erased on drop.
#[derive(Default)]
pub(super) struct Lines {
    rest: Zeroizing<Vec<u8>>,
    too_long: bool,
}

impl Lines {
    /// Hands each finished line to `take`, without its end; `None` for one that is too long.
    pub(super) fn push<E>(
        &mut self,
        chunk: &[u8],
        mut take: impl FnMut(Option<&[u8]>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut pieces = chunk.split(|&byte| byte == b'\n');
        let unfinished = pieces.next_back().unwrap_or_default();
        for piece in pieces {
            if self.rest.is_empty() && !self.too_long && piece.len() <= LONGEST_LINE {
                take(Some(without_return(piece)))?;
            } else {
                self.keep(piece);
                take((!self.too_long).then(|| without_return(&self.rest)))?;
                self.rest.clear();
                self.too_long = false;
            }
        }
        self.keep(unfinished);
        Ok(())
    }

    /// Hands the last line to `take` if the file does not end with an end of line.
    pub(super) fn finish<E>(self, take: impl FnOnce(Option<&[u8]>) -> Result<(), E>) -> Result<(), E> {
        if self.too_long {
            take(None)
        } else if self.rest.is_empty() {
            Ok(())
        } else {
            take(Some(without_return(&self.rest)))
        }
    }

    fn keep(&mut self, piece: &[u8]) {
        if self.too_long || self.rest.len() + piece.len() > LONGEST_LINE {
            self.too_long = true;
        } else {
            if self.rest.capacity() < LONGEST_LINE {
                // All the room at once: growing would leave copies behind.
                self.rest = Zeroizing::new(Vec::with_capacity(LONGEST_LINE));
            }
            self.rest.extend_from_slice(piece);
        }
    }
}

fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(chunks: &[&[u8]]) -> Vec<Option<Vec<u8>>> {
        let mut got = Vec::new();
        let mut reader = Lines::default();
        let mut take = |line: Option<&[u8]>| -> Result<(), ()> {
            got.push(line.map(<[u8]>::to_vec));
            Ok(())
        };
        for chunk in chunks {
            reader.push(chunk, &mut take).unwrap();
        }
        reader.finish(&mut take).unwrap();
        got
    }

    #[test]
    fn a_line_that_is_too_long_is_one_fault() {
        let long = [b'1'; LONGEST_LINE];
        let got = lines(&[b"a\n1", &long, b"2\nb\n", &long, b"\n"]);
        let expected = [Some(b"a".to_vec()), None, Some(b"b".to_vec()), Some(long.to_vec())];
        assert_eq!(got, expected);
        assert_eq!(lines(&[&long, b"1"]), [None]);
    }

    proptest! {
        #[test]
        fn lines_do_not_depend_on_chunks(text in "[ab\n\r]{0,40}", cuts in proptest::collection::vec(0..40usize, 0..5)) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|w| &bytes[w[0]..w[1]]).collect();
            let whole: Vec<_> = text.lines().map(|line| Some(line.as_bytes().to_vec())).collect();
            // `str::lines` keeps a lone return at the very end; a file cut off there loses nothing by it.
            if !text.ends_with('\r') {
                prop_assert_eq!(lines(&chunks), whole);
            }
        }
    }

    #[test]
    fn fields_are_checked() {
        let population =
            |text: &str| Layout::Population.read(text.as_bytes()).map(|e| (e.serial, e.valid_from));
        assert_eq!(population("12;30908299996;FNR;1970-01-02;"), Ok((12, Some(1))));
        assert_eq!(population("12;30908299996;FNR;;"), Ok((12, None)));
        for text in [
            "12;30908299996;FNR;1970-01-02",
            "12;30908299996;FNR;1970-01-02;;",
            "12;30908299996;DNR;;",
            "12;30908299996;fnr;;",
            "12;30908299996;FNR;1970-02-30;",
            "12;30908299996;FNR;1970-01-02;1970-01-01",
            ";30908299996;FNR;;",
            "-1;30908299996;FNR;;",
            "12345678901;30908299996;FNR;;",
            "",
        ] {
            assert_eq!(population(text), Err(FaultKind::Malformed), "{text}");
        }
        let serial = |text: &[u8]| Layout::Serial.read(text).map(|e| e.serial);
        assert_eq!(serial(b"12;30908299996"), Ok(12));
        assert_eq!(serial(b"12;30908299997"), Err(FaultKind::NotANumber));
        assert_eq!(serial(b"12;"), Err(FaultKind::NotANumber));
        assert_eq!(serial(b"12;\xff0908299996"), Err(FaultKind::Encoding));
    }
}
