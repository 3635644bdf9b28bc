//! A delivery of the partner's layout: `delivery.toml`, EPISODE.csv, NPR_IDE.csv.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::faults::{FaultKind, Faults};
use super::load::LoadError;
use super::source::day;
use crate::config;
use crate::domain::canonical::Digest;
use crate::domain::ids::RegisterId;
use crate::domain::period::Period;

pub(super) const DESCRIPTION: &str = "delivery.toml";
pub(super) const EPISODES: &str = "EPISODE.csv";
pub(super) const IDENTITIES: &str = "NPR_IDE.csv";
const EPISODE_HEADER: &str =
    "episode_lnr;npr_lnr;omsorgsniva;innmatehast;inndato;utdato;fagomrade;sektor;hovedtilstand;kommuneNr";
const IDENTITY_HEADER: &str = "npr_lnr;fnr";

/// The longest line there can be, in bytes.
const LONGEST: u64 = 1024;

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Layout {
    Npr,
}

/// What `delivery.toml` says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Description {
    pub(super) register: RegisterId,
    #[serde(rename = "sender")]
    _sender: String,
    pub(super) period: Period,
    #[serde(rename = "created")]
    _created: NaiveDate,
    #[serde(rename = "layout")]
    _layout: Layout,
}

/// A delivery on disk, its bytes known by digest.
pub(super) struct Delivery {
    folder: PathBuf,
    pub(super) description: Description,
    pub(super) digest: Digest,
}

/// One episode, checked. The number is kept as it was delivered: the source is the partner's own.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Episode {
    pub(super) serial: i64,
    pub(super) number: Option<String>,
    /// omsorgsniva, innmatehast, fagomrade, sektor, hovedtilstand, kommunenr.
    pub(super) codes: [Option<String>; 6],
    /// inndato, utdato.
    pub(super) dates: [Option<NaiveDate>; 2],
}

/// It holds an identity number and health data, so it shows neither.
impl fmt::Debug for Episode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Episode(redacted)")
    }
}

fn unreadable(file: &'static str) -> impl Fn(std::io::Error) -> LoadError {
    move |error| LoadError::Read { file, kind: error.kind() }
}

impl Delivery {
    /// Reads the description and takes the digest of every byte.
    pub(super) fn open(folder: &Path) -> Result<Self, LoadError> {
        let description = config::read(&folder.join(DESCRIPTION))?;
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 1 << 18];
        for file in [DESCRIPTION, IDENTITIES, EPISODES] {
            let failed = unreadable(file);
            let mut open = File::open(folder.join(file)).map_err(&failed)?;
            hash.update(open.metadata().map_err(&failed)?.len().to_be_bytes());
            loop {
                let n = open.read(&mut buffer).map_err(&failed)?;
                if n == 0 {
                    break;
                }
                hash.update(buffer.get(..n).unwrap_or_default());
            }
        }
        let digest = Digest::of_bytes("kpr/partner-delivery/v1", &hash.finalize());
        Ok(Self { folder: folder.to_owned(), description, digest })
    }

    fn lines(&self, file: &'static str, header: &'static str) -> Result<Lines, LoadError> {
        let opened = File::open(self.folder.join(file)).map_err(unreadable(file))?;
        let mut reader = BufReader::with_capacity(1 << 18, opened);
        let mut head = Vec::new();
        reader.by_ref().take(LONGEST).read_until(b'\n', &mut head).map_err(unreadable(file))?;
        if head.strip_suffix(b"\n") != Some(header.as_bytes()) {
            return Err(LoadError::Header { file, header });
        }
        Ok(Lines { file, reader, line: Vec::new(), number: 1 })
    }

    /// The number of each serial number, as delivered, and how many lines there are.
    pub(super) fn identities(&self, faults: &mut Faults) -> Result<(Identities, u64), LoadError> {
        let mut lines = self.lines(IDENTITIES, IDENTITY_HEADER)?;
        let mut numbers: Identities = HashMap::new();
        while let Some((line, text)) = lines.next()? {
            let read = text.and_then(|text| {
                let (serial, number) = text.split_once(';').ok_or(FaultKind::FieldCount)?;
                if number.contains(';') {
                    return Err(FaultKind::FieldCount);
                }
                Ok((self::serial(serial).ok_or(FaultKind::Serial)?, number))
            });
            let added = read.and_then(|(serial, number)| match numbers.get_mut(&serial) {
                None => {
                    numbers.insert(serial, Some(Zeroizing::new(number.into())));
                    Ok(())
                }
                Some(Some(known)) if known.as_ref() == number => Err(FaultKind::Duplicate),
                Some(known) => {
                    *known = None;
                    Err(FaultKind::Conflict)
                }
            });
            if let Err(kind) = added {
                faults.add(IDENTITIES, line, kind);
            }
        }
        Ok((numbers, lines.number - 1))
    }

    /// Hands every good episode to `each`, in chunks of `chunk`; answers how many lines there are.
    pub(super) fn episodes(
        &self,
        numbers: &Identities,
        faults: &mut Faults,
        chunk: usize,
        each: &mut dyn FnMut(Vec<Episode>) -> Result<(), LoadError>,
    ) -> Result<u64, LoadError> {
        let mut lines = self.lines(EPISODES, EPISODE_HEADER)?;
        let mut seen: HashSet<i64> = HashSet::new();
        let mut gathered = Vec::with_capacity(chunk);
        while let Some((line, text)) = lines.next()? {
            let read = text.and_then(|text| episode(text, numbers, self.description.period));
            match read {
                Ok(episode) if seen.insert(episode.serial) => gathered.push(episode),
                Ok(_) => faults.add(EPISODES, line, FaultKind::Duplicate),
                Err(kind) => faults.add(EPISODES, line, kind),
            }
            if gathered.len() == chunk {
                each(std::mem::replace(&mut gathered, Vec::with_capacity(chunk)))?;
            }
        }
        if !gathered.is_empty() {
            each(gathered)?;
        }
        Ok(lines.number - 1)
    }
}

/// Numbers by serial number; none where two lines differ.
pub(super) type Identities = HashMap<i64, Option<Zeroizing<Box<str>>>>;

/// The number of a line, and its text without its end or what makes it unfit to be read.
type Line<'a> = (u64, Result<&'a str, FaultKind>);

struct Lines {
    file: &'static str,
    reader: BufReader<File>,
    line: Vec<u8>,
    number: u64,
}

impl Lines {
    /// The next line.
    fn next(&mut self) -> Result<Option<Line<'_>>, LoadError> {
        self.line.clear();
        let failed = unreadable(self.file);
        self.reader.by_ref().take(LONGEST).read_until(b'\n', &mut self.line).map_err(&failed)?;
        if self.line.is_empty() {
            return Ok(None);
        }
        self.number += 1;
        if self.line.pop_if(|last| *last == b'\n').is_some() {
            let text = std::str::from_utf8(&self.line).map_err(|_| FaultKind::Encoding);
            return Ok(Some((self.number, text)));
        }
        if (self.line.len() as u64) < LONGEST {
            return Ok(Some((self.number, Err(FaultKind::FieldCount))));
        }
        loop {
            let buffer = self.reader.fill_buf().map_err(&failed)?;
            let end = buffer.iter().position(|b| *b == b'\n');
            let n = end.map_or(buffer.len(), |at| at + 1);
            self.reader.consume(n);
            if end.is_some() || n == 0 {
                return Ok(Some((self.number, Err(FaultKind::TooLong))));
            }
        }
    }
}

/// A serial number: 1-10 digits.
fn serial(text: &str) -> Option<i64> {
    let digits = (1..=10).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

fn code(text: &str) -> Result<Option<String>, FaultKind> {
    let fits = text.len() <= 10 && text.chars().all(|c| c.is_alphanumeric() || c == '.');
    if fits { Ok((!text.is_empty()).then(|| text.to_owned())) } else { Err(FaultKind::Code) }
}

fn date(text: &str) -> Result<Option<NaiveDate>, FaultKind> {
    match text.len() {
        0 => Ok(None),
        10 => day(text).map(Some).ok_or(FaultKind::Date),
        _ => Err(FaultKind::Date),
    }
}

fn episode(line: &str, numbers: &Identities, period: Period) -> Result<Episode, FaultKind> {
    let mut fields = line.split(';');
    let mut next = || fields.next().ok_or(FaultKind::FieldCount);
    let (episode, person, level, urgency) = (next()?, next()?, next()?, next()?);
    let (from, to) = (next()?, next()?);
    let (field, sector, condition, municipality) = (next()?, next()?, next()?, next()?);
    if fields.next().is_some() {
        return Err(FaultKind::FieldCount);
    }
    let serial = serial(episode).ok_or(FaultKind::Serial)?;
    // An episode without a person stays in the source; there is no one to link it with.
    let person = if person.is_empty() { None } else { Some(self::serial(person).ok_or(FaultKind::Serial)?) };
    let (admission, discharge) = (date(from)?, date(to)?);
    if admission.zip(discharge).is_some_and(|(admission, discharge)| discharge < admission) {
        return Err(FaultKind::Date);
    }
    // A delivery has the episodes that ended in its period.
    if discharge.is_some_and(|discharge| !period.contains(discharge)) {
        return Err(FaultKind::Period);
    }
    let level = code(level)?.ok_or(FaultKind::Code)?;
    let number = person.and_then(|person| numbers.get(&person)?.as_ref()).map(|number| number.to_string());
    let codes =
        [Some(level), code(urgency)?, code(field)?, code(sector)?, code(condition)?, code(municipality)?];
    Ok(Episode { serial, number, codes, dates: [admission, discharge] })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Episode, FaultKind> {
        let known = HashMap::from([(7, Some(Zeroizing::new("02813299997".into())))]);
        let period = Period::new(day("2024-01-01").unwrap(), day("2024-12-31").unwrap()).unwrap();
        episode(line, &known, period)
    }

    #[test]
    fn an_episode_takes_its_persons_number() {
        let episode = read("1;7;1;4;2024-01-02;2024-02-29;320;VOP;F20.0;0301").unwrap();
        assert_eq!((episode.serial, episode.number.as_deref()), (1, Some("02813299997")));
        assert_eq!(episode.dates[1], day("2024-02-29"));
        assert_eq!(read("1;8;1;4;2024-01-02;;320;VOP;;").unwrap().number, None);
        assert_eq!(read("1;;1;4;2024-01-02;;320;VOP;;").unwrap().number, None);
    }

    #[test]
    fn bad_lines_are_told_apart() {
        for (line, kind) in [
            ("1;7;1;4;2024-01-02;2024-01-03;320;VOP;F20.0", FaultKind::FieldCount),
            ("1;7;1;4;2024-01-02;2024-01-03;320;VOP;F20.0;0301;", FaultKind::FieldCount),
            ("x;7;1;4;2024-01-02;2024-01-03;320;VOP;F20.0;0301", FaultKind::Serial),
            ("12345678901;7;1;4;2024-01-02;2024-01-03;320;VOP;F20.0;0301", FaultKind::Serial),
            ("1;7;1;4;2024-01-02;2024-02-30;320;VOP;F20.0;0301", FaultKind::Date),
            ("1;7;1;4;2024-01-02;2024-1-30;320;VOP;F20.0;0301", FaultKind::Date),
            ("1;7;1;4;2024-01-02;2024-01-01;320;VOP;F20.0;0301", FaultKind::Date),
            ("1;7;1;4;2024-01-02;2025-01-01;320;VOP;F20.0;0301", FaultKind::Period),
            ("1;7;1;4;2023-01-02;2023-12-31;320;VOP;F20.0;0301", FaultKind::Period),
            ("1;7;;4;2024-01-02;2024-01-03;320;VOP;F20.0;0301", FaultKind::Code),
            ("1;7;1;4;2024-01-02;2024-01-03;02813299997;VOP;F20.0;0301", FaultKind::Code),
        ] {
            assert_eq!(read(line), Err(kind), "{line}");
        }
    }
}
