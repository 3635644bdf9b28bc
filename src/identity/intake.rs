//! The intake of an identity file: its lines are answered with person numbers, and what they teach is kept
//! only on commit.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use super::error::IdentityError;
use super::index::{Index, Row};
use super::lines::{Entry, Fault, FaultKind, Layout, Lines};
use super::population::Population;
use super::siv::{Sealed, Siv};
use super::vault::{NewRow, Vault};
use crate::domain::ids::PersonNo;

/// Answers to lines read so far.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// Serial numbers and their persons, each serial number once.
    pub persons: Vec<(u64, PersonNo)>,
    /// Lines that could not be used.
    pub faults: Vec<Fault>,
}

/// What a whole file came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    /// Lines, without the header.
    pub lines: u64,
    /// Distinct persons answered with.
    pub persons: u64,
}

/// An identifier in this stream: a place in the index, or a number in the order of the new ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Identifier {
    Known(usize),
    New(u32),
}

/// What this stream has learnt, on top of what is committed.
pub(super) struct Staged {
    index: Arc<Index>,
    cipher: Siv,
    /// The new identifiers and their numbers.
    numbers: HashMap<Sealed, u32>,
    /// For each new identifier: its person, once it has one, and since when.
    new: Vec<(Option<PersonNo>, Option<i32>)>,
    next_person: u32,
}

impl Staged {
    /// Which identifier a line has.
    pub(super) fn identifier(&mut self, entry: &Entry) -> Result<Identifier, IdentityError> {
        let sealed = self.cipher.seal(&entry.number);
        if let Some(place) = self.index.find(&sealed) {
            return Ok(Identifier::Known(place));
        }
        let fresh = u32::try_from(self.new.len()).map_err(|_| IdentityError::TooManyPersons)?;
        let number = *self.numbers.entry(sealed).or_insert(fresh);
        if number == fresh {
            self.new.push((None, entry.valid_from));
        }
        Ok(Identifier::New(number))
    }

    /// The person of an identifier, if it has one.
    pub(super) fn person(&self, identifier: Identifier) -> Option<PersonNo> {
        match identifier {
            Identifier::Known(place) => self.index.person_at(place),
            Identifier::New(number) => self.new.get(number as usize).and_then(|(person, _)| *person),
        }
    }

    /// Gives a new identifier its person.
    pub(super) fn give(&mut self, identifier: Identifier, person: PersonNo) {
        if let Identifier::New(number) = identifier
            && let Some((given, _)) = self.new.get_mut(number as usize)
        {
            *given = Some(person);
        }
    }

    /// A person nobody has been yet.
    pub(super) fn new_person(&mut self) -> Result<PersonNo, IdentityError> {
        let person = PersonNo(self.next_person);
        if person.is_unknown() {
            return Err(IdentityError::TooManyPersons);
        }
        self.next_person += 1;
        Ok(person)
    }

    /// The rows to add. An identifier that only unusable lines named has no person and is forgotten.
    fn rows(self) -> Vec<NewRow> {
        let Self { numbers, new, .. } = self;
        numbers
            .into_iter()
            .filter_map(|(sealed, number)| {
                let (person, valid_from) = *new.get(number as usize)?;
                Some(NewRow { row: Row { sealed, person: person? }, valid_from })
            })
            .collect()
    }
}

/// The state of a file with one identifier a line: a serial number is answered when it is first seen.
#[derive(Default)]
struct Serials {
    persons: HashMap<u64, PersonNo>,
    distinct: Seen,
}

impl Serials {
    fn line(
        &mut self,
        entry: &Entry,
        staged: &mut Staged,
    ) -> Result<Result<PersonNo, FaultKind>, IdentityError> {
        let identifier = staged.identifier(entry)?;
        let known = staged.person(identifier);
        if let Some(&answered) = self.persons.get(&entry.serial) {
            let kind = if known == Some(answered) { FaultKind::Duplicate } else { FaultKind::Conflict };
            return Ok(Err(kind));
        }
        let person = match known {
            Some(person) => person,
            None => staged.new_person()?,
        };
        staged.give(identifier, person);
        self.persons.insert(entry.serial, person);
        self.distinct.insert(person);
        Ok(Ok(person))
    }
}

/// A set of persons, a bit each.
#[derive(Default)]
pub(super) struct Seen {
    bits: Vec<u64>,
    count: u64,
}

impl Seen {
    /// Adds a person; whether it was not in the set.
    pub(super) fn insert(&mut self, person: PersonNo) -> bool {
        let (place, bit) = ((person.0 / 64) as usize, 1 << (person.0 % 64));
        if self.bits.len() <= place {
            self.bits.resize(place + 1, 0);
        }
        let fresh = self.bits.get_mut(place).is_some_and(|word| {
            let fresh = *word & bit == 0;
            *word |= bit;
            fresh
        });
        self.count += u64::from(fresh);
        fresh
    }

    /// Whether a person is in the set.
    pub(super) fn contains(&self, person: PersonNo) -> bool {
        self.bits.get((person.0 / 64) as usize).is_some_and(|word| word & (1 << (person.0 % 64)) != 0)
    }
}

enum State {
    Serial(Serials),
    Population(Population),
}

/// An identity file being read. Dropped, nothing of it is kept. There is one at a time.
pub struct Intake {
    vault: Arc<Vault>,
    permit: OwnedSemaphorePermit,
    layout: Layout,
    lines: Lines,
    count: u64,
    staged: Staged,
    state: State,
}

impl Intake {
    pub(super) fn new(vault: Arc<Vault>, permit: OwnedSemaphorePermit, layout: Layout) -> Self {
        let index = vault.index();
        let staged = Staged {
            next_person: index.next_person(),
            index,
            cipher: vault.cipher(),
            numbers: HashMap::new(),
            new: Vec::new(),
        };
        let state = match layout {
            Layout::Serial => State::Serial(Serials::default()),
            Layout::Population => State::Population(Population::default()),
        };
        Self { vault, permit, layout, lines: Lines::default(), count: 0, staged, state }
    }

    /// Reads on, and answers what can be answered. About a microsecond a line: for large chunks, not to be
    /// called on a thread that serves others.
    ///
    /// # Errors
    /// [`IdentityError::Header`], [`IdentityError::TooManyPersons`]. The file is then refused whole.
    pub fn push(&mut self, chunk: &[u8]) -> Result<Answers, IdentityError> {
        let mut answers = Answers::default();
        let Self { layout, lines, count, staged, state, .. } = self;
        lines.push(chunk, |line| take_line(*layout, line, count, staged, state, &mut answers))?;
        Ok(answers)
    }

    /// Ends the file, and answers the rest.
    ///
    /// # Errors
    /// As [`Intake::push`].
    pub fn finish(self) -> Result<(Answers, Finished), IdentityError> {
        let Self { vault, permit, layout, lines, mut count, mut staged, mut state } = self;
        let mut answers = Answers::default();
        lines.finish(|line| take_line(layout, line, &mut count, &mut staged, &mut state, &mut answers))?;
        if count == 0 {
            return Err(IdentityError::Header(layout));
        }
        let persons = match state {
            State::Serial(serials) => serials.distinct.count,
            State::Population(population) => population.finish(&mut staged, &mut answers)?,
        };
        let totals = Totals { lines: count - 1, persons };
        Ok((answers, Finished { vault, permit, staged, totals }))
    }
}

/// Takes the next line: the header first. The outer error refuses the file, a fault only the line.
fn take_line(
    layout: Layout,
    line: Option<&[u8]>,
    count: &mut u64,
    staged: &mut Staged,
    state: &mut State,
    answers: &mut Answers,
) -> Result<(), IdentityError> {
    *count += 1;
    if *count == 1 {
        let known = layout.headers().iter().any(|header| line == Some(header.as_bytes()));
        return if known { Ok(()) } else { Err(IdentityError::Header(layout)) };
    }
    let mut fault = |kind| answers.faults.push(Fault { line: *count, kind });
    match line.ok_or(FaultKind::Malformed).and_then(|line| layout.read(line)) {
        Err(kind) => fault(kind),
        Ok(entry) => match state {
            State::Population(population) => population.line(*count, &entry, staged)?,
            State::Serial(serials) => match serials.line(&entry, staged)? {
                Ok(person) => answers.persons.push((entry.serial, person)),
                Err(kind) => fault(kind),
            },
        },
    }
    Ok(())
}

/// An identity file that has been read to its end. Dropped, nothing of it is kept.
pub struct Finished {
    vault: Arc<Vault>,
    permit: OwnedSemaphorePermit,
    staged: Staged,
    totals: Totals,
}

impl Finished {
    /// What the file came to.
    #[must_use]
    pub const fn totals(&self) -> Totals {
        self.totals
    }

    /// Keeps what the file taught, in one transaction. It runs to its end even if the caller goes away.
    ///
    /// # Errors
    /// [`IdentityError::Vault`]; nothing is kept then.
    pub async fn commit(self) -> Result<(), IdentityError> {
        let Self { vault, permit, staged, .. } = self;
        let work = tokio::spawn(async move {
            let kept = vault.add(staged.rows()).await;
            drop(permit);
            kept
        });
        Ok(work.await.map_err(|_| IdentityError::Stopped)??)
    }
}
