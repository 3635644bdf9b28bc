//! What registers there are, which datasets and variables they have, and which codes these take.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::impossible::Impossible;
use super::load::{self, CatalogueError};
use crate::domain::canonical::Digest;
use crate::domain::codelist::CodeList;
use crate::domain::ids::{CodeListId, DatasetId, RegisterId, VariableId};
use crate::domain::section::{Section, Sections};

/// How the gateway comes by a register's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RegisterSource {
    /// The gateway holds them, by `person_no`.
    Own,
    /// The gateway holds them; they are the population that every person is looked up in.
    Population,
    /// A partner holds them and sends those of an order, with linkage codes.
    Partner,
}

/// What the values of a variable are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VariableKind {
    /// Codes; conditions can be set on them.
    Code,
    /// Dates.
    Date,
    /// Whole numbers.
    Integer,
}

/// What a variable tells of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VariableRole {
    /// Tells who the person is. No query can use it.
    Identifying,
    /// Tells who the person may be, together with others.
    Quasi,
    /// Health data.
    Sensitive,
    /// About the service rather than the person's health.
    Administrative,
}

/// Which codes a variable of kind [`VariableKind::Code`] takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Values {
    /// These codes, with their labels.
    Listed(Vec<(String, String)>),
    /// Codes of a classification that the catalogue does not list: 1-10 letters, digits, `.` or `-`.
    Open,
}

impl Values {
    /// The longest code of a classification that is not listed. Shorter than an identity number.
    pub const LONGEST_OPEN: usize = 10;

    /// Whether `code` is one of them.
    #[must_use]
    pub fn accept(&self, code: &str) -> bool {
        match self {
            Self::Listed(codes) => codes.iter().any(|(known, _)| known == code),
            Self::Open => {
                (1..=Self::LONGEST_OPEN).contains(&code.len())
                    && code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-')
            }
        }
    }
}

/// A variable of a dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its id, which is also the name of its column.
    pub id: VariableId,
    /// Its label.
    pub label: String,
    /// What its values are.
    pub kind: VariableKind,
    /// What it tells of a person.
    pub role: VariableRole,
    /// The codes it takes; none for dates and whole numbers.
    pub values: Option<Values>,
    /// Of a whole number that statistics can be made of: the least and the most that a value counts as.
    pub bounds: Option<(i64, i64)>,
}

/// A dataset of a register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    /// Its id.
    pub id: DatasetId,
    /// Its label.
    pub label: String,
    /// Its variables.
    pub variables: Vec<Variable>,
    /// What persons with certain rows cannot be.
    pub impossible: Vec<Impossible>,
}

impl Dataset {
    /// A variable.
    #[must_use]
    pub fn variable(&self, id: &VariableId) -> Option<&Variable> {
        self.variables.iter().find(|v| v.id == *id)
    }
}

/// A register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Register {
    /// Its id.
    pub id: RegisterId,
    /// Its label.
    pub label: String,
    /// The paragraph it stands under.
    pub paragraph: String,
    /// The section, which says what linkage asks.
    pub section: Section,
    /// How the gateway comes by its rows.
    pub source: RegisterSource,
    /// Its datasets.
    pub datasets: Vec<Dataset>,
}

/// What a table can be divided by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogueDimension {
    /// The variable: `sex`, `age` or `municipality`.
    pub variable: VariableId,
    /// Its label.
    pub label: String,
    /// The code lists it can be grouped by.
    pub code_lists: Vec<CodeListId>,
}

/// All registers, dimensions and code lists, as `policies/registers/*.toml` and
/// `policies/codelists/*.csv` state them.
#[derive(Debug, Clone)]
pub struct Catalogue {
    pub(super) registers: BTreeMap<RegisterId, Register>,
    pub(super) sections: Sections,
    pub(super) dimensions: Vec<CatalogueDimension>,
    pub(super) code_lists: HashMap<CodeListId, CodeList>,
    pub(super) digest: Digest,
}

impl Catalogue {
    /// Reads `registers/*.toml` and `codelists/*.csv` under `policies`.
    ///
    /// # Errors
    /// [`CatalogueError`]: any file that cannot be read or says something unknown or inconsistent.
    pub fn load(policies: &Path) -> Result<Self, CatalogueError> {
        load::catalogue(policies)
    }

    /// A register.
    #[must_use]
    pub fn register(&self, id: &RegisterId) -> Option<&Register> {
        self.registers.get(id)
    }

    /// The registers, by id.
    pub fn registers(&self) -> impl Iterator<Item = &Register> {
        self.registers.values()
    }

    /// The section of each register.
    #[must_use]
    pub const fn sections(&self) -> &Sections {
        &self.sections
    }

    /// A dataset of a register.
    #[must_use]
    pub fn dataset(&self, register: &RegisterId, dataset: &DatasetId) -> Option<&Dataset> {
        self.register(register)?.datasets.iter().find(|d| d.id == *dataset)
    }

    /// What a table can be divided by.
    #[must_use]
    pub fn dimensions(&self) -> &[CatalogueDimension] {
        &self.dimensions
    }

    /// A code list.
    #[must_use]
    pub fn code_list(&self, id: &CodeListId) -> Option<&CodeList> {
        self.code_lists.get(id)
    }

    /// The digest of the files it was read from.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }
}
