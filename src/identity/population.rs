//! Folkeregisteret's identity file: several lines a person, in any order, so that it is answered at its end.

use std::collections::HashMap;

use super::error::IdentityError;
use super::intake::{Answers, Identifier, Seen, Staged};
use super::lines::{Entry, Fault, FaultKind};

/// A line that reads well.
struct Record {
    /// Which person of the file, in the order in which they appear.
    group: u32,
    identifier: Identifier,
    line: u64,
}

/// The lines of the file so far.
#[derive(Default)]
pub(super) struct Population {
    groups: HashMap<u64, u32>,
    serials: Vec<u64>,
    records: Vec<Record>,
}

impl Population {
    pub(super) fn line(
        &mut self,
        line: u64,
        entry: &Entry,
        staged: &mut Staged,
    ) -> Result<(), IdentityError> {
        let fresh = u32::try_from(self.serials.len()).map_err(|_| IdentityError::TooManyPersons)?;
        let group = *self.groups.entry(entry.serial).or_insert(fresh);
        if group == fresh {
            self.serials.push(entry.serial);
        }
        self.records.push(Record { group, identifier: staged.identifier(entry)?, line });
        Ok(())
    }

    /// Brings the lines of each person together and answers them. An identifier belongs to the first person
    /// of the file that names it; a person of the vault, to the first that reaches it. Gives the number of
    /// persons answered with.
    pub(super) fn finish(mut self, staged: &mut Staged, answers: &mut Answers) -> Result<u64, IdentityError> {
        // Stable: the lines of one person stay in the order of the file.
        self.records.sort_by_key(|record| record.group);
        let mut claims: HashMap<Identifier, u32> = HashMap::with_capacity(self.records.len());
        let mut taken = Seen::default();
        let before = answers.persons.len();
        for records in self.records.chunk_by(|a, b| a.group == b.group) {
            let mut fault = |record: &Record, kind| answers.faults.push(Fault { line: record.line, kind });
            let mut own: Vec<&Record> = Vec::with_capacity(records.len());
            for record in records {
                match claims.get(&record.identifier) {
                    Some(&group) if group == record.group => fault(record, FaultKind::Duplicate),
                    Some(_) => fault(record, FaultKind::Conflict),
                    None if staged.person(record.identifier).is_some_and(|p| taken.contains(p)) => {
                        fault(record, FaultKind::Conflict);
                    }
                    None => {
                        claims.insert(record.identifier, record.group);
                        own.push(record);
                    }
                }
            }
            let Some(first) = own.first() else { continue };
            let person = match own.iter().find_map(|record| staged.person(record.identifier)) {
                Some(known) => known,
                None => staged.new_person()?,
            };
            for record in &own {
                match staged.person(record.identifier) {
                    None => staged.give(record.identifier, person),
                    Some(known) if known == person => {}
                    Some(_) => fault(record, FaultKind::Conflict),
                }
            }
            taken.insert(person);
            answers.persons.extend(self.serial(first.group).map(|serial| (serial, person)));
        }
        answers.faults.sort_by_key(|fault| fault.line);
        Ok((answers.persons.len() - before) as u64)
    }

    fn serial(&self, group: u32) -> Option<u64> {
        self.serials.get(group as usize).copied()
    }
}
