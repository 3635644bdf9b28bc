//! From counted persons to records: the extract, its anonymisation, and what a recipient can count in it.

use std::collections::{BTreeMap, HashMap};

use super::{
    Attribute, BadMicrodataRule, Checked, Diversity, Extract, Kind, MicrodataError, MicrodataRule,
    QuasiIdentifier, anonymise, granted::granted,
};
use crate::authorise::IndirectGrant;
use crate::disclosure::ledger::{Membership, MembershipBuilder, MembershipError, NotSealed};
use crate::disclosure::pattern::PatternKey;
use crate::domain::ids::{PersonNo, ProjectId, RunId};
use crate::domain::microdata::{BadSerialNumber, MicrodataTable, Role, SerialNumber, Values};
use crate::domain::table::TableShape;
use crate::execute::Placed;

/// Why counted persons do not become records.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordsError {
    /// They cannot be made k-anonymous, or the result failed its check.
    #[error(transparent)]
    Microdata(#[from] MicrodataError),
    /// The rule asks for something that is no diversity.
    #[error(transparent)]
    Rule(#[from] BadMicrodataRule),
    /// No serial number could be made.
    #[error(transparent)]
    Serial(#[from] BadSerialNumber),
    /// A person twice, or one whom the identity service does not know.
    #[error(transparent)]
    Membership(#[from] MembershipError),
    /// No serial number could be made.
    #[error(transparent)]
    Sealed(#[from] NotSealed),
    /// A released record is of nobody, or has a value that is not a code.
    #[error("a record is not one of the persons counted")]
    OtherRecord,
}

/// Records that have passed their check, with what one who holds them can count.
pub(in crate::disclosure) struct Records {
    pub(in crate::disclosure) anonymised: Checked,
    /// Who is in which class, for each measure: everyone, and those with each outcome.
    pub(in crate::disclosure) told: Membership,
    /// Who is in which class.
    pub(in crate::disclosure) classes: Membership,
}

/// A project's serial numbers: the person's number under AES-256-SIV, bound to the project. Whoever holds the
/// gateway's secret can undo it and comes to the gateway's own number, which tells nothing without the vault.
fn serials(
    project: &ProjectId,
    persons: &[Placed],
    key: &PatternKey,
) -> Result<Vec<SerialNumber>, RecordsError> {
    let key = key.serial_key();
    let serial = |placed: &Placed| {
        Ok(SerialNumber::new(&key.seal(project.as_str(), &placed.person.0.to_be_bytes())?)?)
    };
    persons.iter().map(serial).collect()
}

/// The person that a serial number of a project stands for; `None` for one that was not made for this project. Whether the
/// person is in any released records is not said.
#[must_use]
pub fn serial_person(project: &ProjectId, serial: &SerialNumber, key: &PatternKey) -> Option<PersonNo> {
    let opened = key.serial_key().open(project.as_str(), serial.as_bytes()).ok()?;
    Some(PersonNo(u32::from_be_bytes(opened.try_into().ok()?)))
}

/// The true rows: dimensions are quasi-identifiers, outcomes are sensitive.
fn extract(
    shape: &TableShape,
    persons: &[Placed],
    serials: Vec<SerialNumber>,
    diversity: Option<Diversity>,
) -> Result<Extract, RecordsError> {
    let mut columns: Vec<Vec<u32>> = vec![Vec::with_capacity(persons.len()); shape.dimensions.len()];
    for placed in persons {
        let positions = shape.positions(placed.leaf as usize);
        for (column, position) in columns.iter_mut().zip(positions) {
            column.push(u32::try_from(position).map_err(|_| RecordsError::OtherRecord)?);
        }
    }
    let quasi = shape.dimensions.iter().zip(columns).map(|(dimension, codes)| QuasiIdentifier {
        variable: dimension.variable.clone(),
        label: dimension.label.clone(),
        list: dimension.codes.clone(),
        codes,
        weight: 1,
    });
    // The first measure is everyone.
    let outcomes = shape.measures.iter().enumerate().skip(1).map(|(bit, measure)| Attribute {
        variable: measure.code.clone(),
        label: measure.label.clone(),
        values: Values::Numbers(persons.iter().map(|p| Some(i64::from(p.measures >> bit & 1))).collect()),
        kind: Kind::Sensitive(diversity.clone()),
    });
    Ok(Extract { quasi: quasi.collect(), attributes: outcomes.collect(), serials })
}

/// Anonymises the persons counted for a table of this shape by a rule.
pub(in crate::disclosure) fn records(
    run: RunId,
    project: &ProjectId,
    shape: &TableShape,
    persons: &[Placed],
    rule: &MicrodataRule,
    key: &PatternKey,
) -> Result<Records, RecordsError> {
    let serials = serials(project, persons, key)?;
    let of: HashMap<SerialNumber, Placed> = serials.iter().cloned().zip(persons.iter().copied()).collect();
    let extract = extract(shape, persons, serials, rule.diversity()?)?;
    let anonymised = anonymise(run, shape.title.clone(), &extract, rule, key)?;
    let (told, classes) = memberships(&anonymised.table, &of, shape.measures.len())?;
    Ok(Records { anonymised, told, classes })
}

/// Gives the persons counted for a table of this shape as an approval grants them, and who they are: nothing can be
/// judged beside them, so it is not kept which class each is in.
pub(in crate::disclosure) fn granted_records(
    run: RunId,
    project: &ProjectId,
    shape: &TableShape,
    persons: &[Placed],
    grant: &IndirectGrant,
    key: &PatternKey,
) -> Result<(Checked, Membership), RecordsError> {
    let extract = extract(shape, persons, serials(project, persons, key)?, None)?;
    let checked = granted(run, shape.title.clone(), &extract, grant)?;
    let mut everybody = MembershipBuilder::new(1);
    for placed in persons {
        everybody.add(placed.person, &[0])?;
    }
    Ok((checked, everybody.build()?))
}

/// Who is in the classes of released records: with a cell for each class and measure, and with one for each class.
fn memberships(
    table: &MicrodataTable,
    of: &HashMap<SerialNumber, Placed>,
    measures: usize,
) -> Result<(Membership, Membership), RecordsError> {
    let is_quasi = |role: &Role| matches!(role, Role::QuasiIdentifier { .. });
    let quasi: Vec<&Values> = table.columns.iter().filter(|c| is_quasi(&c.role)).map(|c| &c.values).collect();
    let rows = table.serials.iter().enumerate().map(|(row, serial)| {
        let placed = of.get(serial).ok_or(RecordsError::OtherRecord)?;
        Ok((quasi.iter().map(|values| values.value(row)).collect::<Vec<_>>(), placed))
    });
    let rows: Vec<(Vec<Option<i64>>, &Placed)> = rows.collect::<Result<_, RecordsError>>()?;
    // Numbered by what they tell, not by the order of the rows.
    let mut numbers: BTreeMap<&[Option<i64>], u32> =
        rows.iter().map(|(told, _)| (told.as_slice(), 0)).collect();
    for (number, class) in numbers.values_mut().zip(0..) {
        *number = class;
    }
    let mut told = MembershipBuilder::new(numbers.len() * measures);
    let mut classes = MembershipBuilder::new(numbers.len());
    let width = u32::try_from(measures).map_err(|_| RecordsError::OtherRecord)?;
    // In the order of persons, so that the same records have the same membership whatever their serial numbers.
    let mut sorted: Vec<(&Placed, u32)> = Vec::with_capacity(rows.len());
    for (values, placed) in &rows {
        let class = numbers.get(values.as_slice()).copied().ok_or(RecordsError::OtherRecord)?;
        sorted.push((placed, class));
    }
    sorted.sort_unstable_by_key(|(placed, _)| placed.person);
    for (placed, class) in sorted {
        let counted = (0..width).filter(|measure| placed.measures >> measure & 1 == 1);
        let cells: Vec<u32> = counted.map(|measure| class * width + measure).collect();
        told.add(placed.person, &cells)?;
        classes.add(placed.person, &[class])?;
    }
    Ok((told.build()?, classes.build()?))
}
