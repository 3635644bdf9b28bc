//! Several releases to one recipient: what the rows tell when they are laid side by side.
//!
//! The serial numbers of one project are the same in all its releases, so they join; and releases of
//! two projects of one organisation are taken to join as well, by whatever else they share. Each person then
//! has one row with the columns of all releases, and "not in that release" tells as much as a value does.
//! The joined rows must be k-anonymous over every variable that is a quasi-identifier in any of them, as
//! released in each.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::diversity;
use super::rule::Diversity;
use crate::domain::ids::VariableId;
use crate::domain::microdata::{Role, Values};

/// What the recipient holds of the persons of a new extract, one entry a row: classes of rows that it can
/// tell apart already, and sensitive variables released earlier that must stay diverse.
#[derive(Default)]
pub struct Prior {
    classes: Vec<u32>,
    sensitive: Vec<(Values, Diversity)>,
}

impl Prior {
    /// Nothing was released to the recipient yet.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    pub(super) fn lengths(&self) -> impl Iterator<Item = usize> {
        let classes = Some(self.classes.len()).filter(|&length| length > 0);
        classes.into_iter().chain(self.sensitive.iter().map(|(values, _)| values.len()))
    }

    pub(super) fn classes(&self) -> &[u32] {
        &self.classes
    }

    pub(super) fn sensitive(&self) -> &[(Values, Diversity)] {
        &self.sensitive
    }
}

/// A released column as it is held for later: with the diversity it was asked to have.
pub struct HeldColumn {
    /// The variable.
    pub variable: VariableId,
    /// What it was to an attacker in its release.
    pub role: Role,
    /// Its released values, one for each person of the release.
    pub values: Values,
    /// The diversity asked for, of a sensitive variable.
    pub diversity: Option<Diversity>,
}

/// A release, by person inside the gateway (never by serial number: projects have different ones).
pub struct Held {
    /// The persons, one a row.
    pub persons: Vec<u32>,
    /// The columns.
    pub columns: Vec<HeldColumn>,
}

/// Releases that cannot be joined, or whose persons stand out beside a new one however it is generalised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JointError {
    /// A column has another number of rows than its release has persons, or a person has two rows.
    #[error("a release held for later is not a row a person")]
    NotARelease,
    /// Fewer than k persons of a joint class are in the new release, or are left out of it; or those left
    /// out are not as diverse as their release had to be.
    #[error("too few persons, or too like ones, differ from an earlier release to the same recipient")]
    TooFewDiffer,
}

/// Persons by what a recipient can tell apart of them in several releases.
pub struct JointClasses {
    class_of: BTreeMap<u32, u32>,
    sizes: Vec<u64>,
}

/// It holds who is like whom, so it shows nobody.
impl fmt::Debug for JointClasses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JointClasses(redacted)")
    }
}

impl JointClasses {
    /// The classes of all persons of these releases over the variables in `quasi` and every
    /// quasi-identifier of theirs.
    ///
    /// # Errors
    /// [`JointError::NotARelease`].
    pub fn of(releases: &[Held], quasi: &BTreeSet<VariableId>) -> Result<Self, JointError> {
        let own = releases.iter().flat_map(|held| &held.columns);
        let own = own.filter(|c| matches!(c.role, Role::QuasiIdentifier { .. })).map(|c| &c.variable);
        let quasi: BTreeSet<&VariableId> = own.chain(quasi).collect();
        let everyone: BTreeSet<u32> = releases.iter().flat_map(|held| held.persons.iter().copied()).collect();
        let mut class_of: BTreeMap<u32, u32> = everyone.into_iter().map(|person| (person, 0)).collect();
        for held in releases {
            let rows: BTreeMap<u32, usize> = held.persons.iter().copied().zip(0..).collect();
            let ragged = held.columns.iter().any(|c| c.values.len() != held.persons.len());
            if ragged || rows.len() != held.persons.len() {
                return Err(JointError::NotARelease);
            }
            let columns: Vec<&Values> =
                held.columns.iter().filter(|c| quasi.contains(&c.variable)).map(|c| &c.values).collect();
            let mut names = BTreeMap::new();
            for (person, class) in &mut class_of {
                let told: Option<Vec<Option<i64>>> =
                    rows.get(person).map(|&row| columns.iter().map(|values| values.value(row)).collect());
                let next = u32::try_from(names.len()).unwrap_or(u32::MAX);
                *class = *names.entry((*class, told)).or_insert(next);
            }
        }
        let mut sizes = vec![0; class_of.values().max().map_or(0, |&most| most as usize + 1)];
        for class in class_of.values() {
            if let Some(size) = sizes.get_mut(*class as usize) {
                *size += 1;
            }
        }
        Ok(Self { class_of, sizes })
    }

    /// The size of the smallest class; `None` if nobody is in any release.
    #[must_use]
    pub fn smallest(&self) -> Option<u64> {
        self.sizes.iter().copied().min()
    }

    /// The class of a person, if the person is in any of the releases.
    #[must_use]
    pub fn class(&self, person: u32) -> Option<u32> {
        self.class_of.get(&person).copied()
    }
}

/// What a new extract on `persons`, one a row, must respect: that every joint class it is part of, and
/// every one it leaves behind, keeps `least` persons. `releases` are all earlier ones to the recipient;
/// `quasi` the new extract's quasi-identifiers; `exact` its other variables, of which one that was a
/// quasi-identifier earlier is known as it is.
///
/// # Errors
/// [`JointError`]. Whether too few differ does not depend on how the extract is generalised.
pub fn prior(
    releases: &[Held],
    persons: &[u32],
    quasi: &BTreeSet<VariableId>,
    exact: &[(VariableId, &Values)],
    least: u32,
) -> Result<Prior, JointError> {
    let joint = JointClasses::of(releases, quasi)?;
    let earlier = releases.iter().flat_map(|held| &held.columns);
    let earlier: BTreeSet<&VariableId> =
        earlier.filter(|c| matches!(c.role, Role::QuasiIdentifier { .. })).map(|c| &c.variable).collect();
    let known: Vec<&Values> =
        exact.iter().filter(|(variable, _)| earlier.contains(variable)).map(|(_, values)| *values).collect();
    let mut left = joint.sizes.clone();
    let mut told = Vec::with_capacity(persons.len());
    for (row, &person) in persons.iter().enumerate() {
        let class = joint.class(person);
        if let Some(left) = class.and_then(|class| left.get_mut(class as usize)) {
            *left = left.checked_sub(1).ok_or(JointError::NotARelease)?;
        }
        told.push((class, known.iter().map(|values| values.value(row)).collect::<Vec<_>>()));
    }
    let mut sizes: BTreeMap<_, u64> = BTreeMap::new();
    for told in &told {
        *sizes.entry(told).or_default() += 1;
    }
    if left.iter().chain(sizes.values()).any(|n| (1..u64::from(least)).contains(n)) {
        return Err(JointError::TooFewDiffer);
    }
    // Numbered by what they tell, not by the order of the rows.
    let numbers: BTreeMap<_, u32> = sizes.keys().copied().zip(0..).collect();
    let classes = told.iter().filter_map(|told| numbers.get(told).copied()).collect();
    // Those who are left behind are told apart from now on, so they must be diverse by themselves.
    let present: BTreeSet<u32> = persons.iter().copied().collect();
    for held in releases {
        let rows = held.persons.iter().zip(0_u32..).filter(|(person, _)| !present.contains(person));
        let mut behind: Vec<(u64, u32)> =
            rows.filter_map(|(&person, row)| joint.class(person).map(|c| (u64::from(c), row))).collect();
        behind.sort_unstable();
        let mut asked = held.columns.iter().filter_map(|c| c.diversity.as_ref().map(|d| (&c.values, d)));
        if !asked.all(|(values, asked)| diversity::holds(&behind, values, asked)) {
            return Err(JointError::TooFewDiffer);
        }
    }
    let sensitive = releases.iter().flat_map(|held| {
        let rows: BTreeMap<u32, usize> = held.persons.iter().copied().zip(0..).collect();
        // A person who is not in that release has no value in it: a row past its end.
        let order: Vec<usize> =
            persons.iter().map(|person| rows.get(person).copied().unwrap_or(usize::MAX)).collect();
        let columns = held.columns.iter().filter_map(|c| c.diversity.as_ref().map(|d| (&c.values, d)));
        columns.map(|(values, d)| (values.reordered(&order), d.clone())).collect::<Vec<_>>()
    });
    Ok(Prior { classes, sensitive: sensitive.collect() })
}
