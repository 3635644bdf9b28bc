//! Strict reading of the catalogue's files.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::catalogue::{
    Catalogue, CatalogueDimension, Dataset, Register, RegisterSource, Values, Variable, VariableKind,
    VariableRole,
};
use super::grouping::{Grouping, GroupingError};
use super::impossible::Impossible;
use crate::domain::canonical::Digest;
use crate::domain::codelist::{Code, CodeList, CodeListError};
use crate::domain::ids::{BadName, CodeListId, DatasetId, RegisterId, VariableId};
use crate::domain::section::{Section, Sections};

/// Why the catalogue is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// A folder or file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The folder or file.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// A register file is not what is expected.
    #[error("{path} is not a valid register description: {reason}")]
    Register {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        reason: String,
    },
    /// A code list file is not what is expected.
    #[error("{path} is not a valid code list: {reason}")]
    List {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        reason: String,
    },
    /// The codes of a file do not form a list.
    #[error(transparent)]
    CodeList(#[from] CodeListError),
    /// A dimension cannot be grouped by a code list.
    #[error(transparent)]
    Grouping(#[from] GroupingError),
    /// There is not exactly one population register.
    #[error("exactly one register must have source = \"population\"; {0} have")]
    Population(usize),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RegisterFile {
    register: RegisterId,
    label: String,
    paragraph: String,
    section: Section,
    source: RegisterSource,
    dataset: Vec<DatasetEntry>,
    #[serde(default)]
    dimension: Vec<DimensionEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DatasetEntry {
    id: DatasetId,
    label: String,
    variable: Vec<VariableEntry>,
    #[serde(default)]
    impossible: Vec<Impossible>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VariableEntry {
    id: VariableId,
    label: String,
    kind: VariableKind,
    role: VariableRole,
    codes: Option<Vec<CodeEntry>>,
    code_list: Option<CodeListId>,
    #[serde(default)]
    open: bool,
    bounds: Option<BoundsEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BoundsEntry {
    low: i64,
    high: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CodeEntry {
    code: String,
    label: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DimensionEntry {
    variable: VariableId,
    label: String,
    code_list: Vec<CodeListEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CodeListEntry {
    id: CodeListId,
    label: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CodeLine {
    code: String,
    label: String,
    parent: String,
}

/// The files of a folder with this extension, by name, with their bytes.
fn files(folder: &Path, extension: &str) -> Result<Vec<(PathBuf, Vec<u8>)>, CatalogueError> {
    let fault = |source| CatalogueError::Read { path: folder.to_owned(), source };
    let mut paths = std::fs::read_dir(folder)
        .map_err(fault)?
        .map(|entry| entry.map(|e| e.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(fault)?;
    paths.retain(|path| path.extension().is_some_and(|e| e == extension));
    paths.sort();
    paths
        .into_iter()
        .map(|path| match std::fs::read(&path) {
            Ok(bytes) => Ok((path, bytes)),
            Err(source) => Err(CatalogueError::Read { path, source }),
        })
        .collect()
}

/// A digest over names and contents, each framed by its length.
fn digest(groups: [&[(PathBuf, Vec<u8>)]; 2]) -> Digest {
    let mut framed = Vec::new();
    for group in groups {
        for (path, bytes) in group {
            let name = path.file_name().unwrap_or_default().as_encoded_bytes();
            for part in [name, bytes.as_slice()] {
                framed.extend_from_slice(&(part.len() as u64).to_be_bytes());
                framed.extend_from_slice(part);
            }
        }
    }
    Digest::of_bytes("kpr/catalogue/v1", &framed)
}

pub(super) fn catalogue(policies: &Path) -> Result<Catalogue, CatalogueError> {
    let register_files = files(&policies.join("registers"), "toml")?;
    let list_files = files(&policies.join("codelists"), "csv")?;
    let digest = digest([&register_files, &list_files]);

    let mut entries = Vec::new();
    for (path, bytes) in register_files {
        let fault = |reason| CatalogueError::Register { path: path.clone(), reason };
        let text = String::from_utf8(bytes).map_err(|_| fault("it is not UTF-8".to_owned()))?;
        let entry: RegisterFile = toml::from_str(&text).map_err(|e| fault(e.to_string()))?;
        entries.push((path, entry));
    }
    let labels: HashMap<CodeListId, String> = entries
        .iter()
        .flat_map(|(_, e)| &e.dimension)
        .flat_map(|d| d.code_list.iter().map(|l| (l.id.clone(), l.label.clone())))
        .collect();
    let mut code_lists = HashMap::new();
    for (path, bytes) in list_files {
        let list = code_list(&path, &bytes, &labels)?;
        code_lists.insert(list.id().clone(), list);
    }

    let mut registers = BTreeMap::new();
    let mut dimensions = Vec::new();
    for (path, entry) in entries {
        let fault = |reason| CatalogueError::Register { path: path.clone(), reason };
        if !entry.dimension.is_empty() && entry.source != RegisterSource::Population {
            return Err(fault("only the population register has dimensions".to_owned()));
        }
        for dimension in &entry.dimension {
            dimensions.push(self::dimension(dimension, &code_lists).map_err(|e| e.at(&path))?);
        }
        let register = register(entry, &code_lists, &labels.keys().collect()).map_err(fault)?;
        let id = register.id.clone();
        if registers.insert(id.clone(), register).is_some() {
            return Err(fault(format!("register {id} is described twice")));
        }
    }
    let population = {
        let mut found = registers.values().filter(|r| r.source == RegisterSource::Population);
        match (found.next(), found.count()) {
            (Some(register), 0) => register.id.clone(),
            (first, more) => return Err(CatalogueError::Population(usize::from(first.is_some()) + more)),
        }
    };
    let sections = Sections::new(population, registers.values().map(|r| (r.id.clone(), r.section)).collect());
    Ok(Catalogue { registers, sections, dimensions, code_lists, digest })
}

/// Reads `code,label,parent` lines; a list is named by its file.
fn code_list(
    path: &Path,
    bytes: &[u8],
    labels: &HashMap<CodeListId, String>,
) -> Result<CodeList, CatalogueError> {
    let fault = |reason: String| CatalogueError::List { path: path.to_owned(), reason };
    let name = path.file_stem().and_then(|n| n.to_str()).unwrap_or_default();
    let id = CodeListId::new(name).map_err(|e: BadName| fault(e.to_string()))?;
    let mut positions: HashMap<String, u32> = HashMap::new();
    let mut codes = Vec::new();
    for line in csv::Reader::from_reader(bytes).deserialize::<CodeLine>() {
        let line = line.map_err(|e| fault(e.to_string()))?;
        if line.code.is_empty() || line.label.is_empty() {
            return Err(fault("every line has a code and a label".to_owned()));
        }
        let parent = if line.parent.is_empty() {
            None
        } else {
            let found = positions.get(&line.parent).copied();
            let missing = || fault(format!("the parent of code {} does not stand above it", line.code));
            Some(found.ok_or_else(missing)?)
        };
        positions.entry(line.code.clone()).or_insert(u32::try_from(codes.len()).unwrap_or(u32::MAX));
        codes.push(Code { code: line.code, label: line.label, parent });
    }
    if codes.first().is_none_or(|root| root.code != CodeList::TOTAL) {
        return Err(fault(format!("the first code must be {}", CodeList::TOTAL)));
    }
    let label = labels.get(&id).map_or(name, String::as_str).to_owned();
    Ok(CodeList::new(id, label, codes)?)
}

enum DimensionFault {
    Missing(CodeListId),
    Grouping(GroupingError),
}

impl DimensionFault {
    fn at(self, path: &Path) -> CatalogueError {
        match self {
            Self::Missing(list) => CatalogueError::Register {
                path: path.to_owned(),
                reason: format!("there is no code list {list} under codelists/"),
            },
            Self::Grouping(e) => e.into(),
        }
    }
}

fn dimension(
    entry: &DimensionEntry,
    code_lists: &HashMap<CodeListId, CodeList>,
) -> Result<CatalogueDimension, DimensionFault> {
    for named in &entry.code_list {
        let list = code_lists.get(&named.id).ok_or_else(|| DimensionFault::Missing(named.id.clone()))?;
        // A list that does not fit its variable must stop the start, not the first query.
        Grouping::check(&entry.variable, list).map_err(DimensionFault::Grouping)?;
    }
    Ok(CatalogueDimension {
        variable: entry.variable.clone(),
        label: entry.label.clone(),
        code_lists: entry.code_list.iter().map(|l| l.id.clone()).collect(),
    })
}

fn register(
    entry: RegisterFile,
    code_lists: &HashMap<CodeListId, CodeList>,
    of_dimensions: &HashSet<&CodeListId>,
) -> Result<Register, String> {
    let mut seen = HashSet::new();
    let mut datasets = Vec::new();
    for dataset in entry.dataset {
        if !seen.insert(dataset.id.clone()) {
            return Err(format!("dataset {} is described twice", dataset.id));
        }
        // Elsewhere it would have no effect: cohorts come from partners.
        if !dataset.impossible.is_empty() && entry.source != RegisterSource::Partner {
            return Err("only datasets of a partner say what is impossible".to_owned());
        }
        datasets.push(self::dataset(dataset, code_lists, of_dimensions)?);
    }
    Ok(Register {
        id: entry.register,
        label: entry.label,
        paragraph: entry.paragraph,
        section: entry.section,
        source: entry.source,
        datasets,
    })
}

fn dataset(
    entry: DatasetEntry,
    code_lists: &HashMap<CodeListId, CodeList>,
    of_dimensions: &HashSet<&CodeListId>,
) -> Result<Dataset, String> {
    let mut seen = HashSet::new();
    let mut variables = Vec::new();
    for variable in entry.variable {
        let id = variable.id.clone();
        if !seen.insert(id.clone()) {
            return Err(format!("variable {id} of dataset {} is described twice", entry.id));
        }
        let values = values(&variable, code_lists)
            .map_err(|reason| format!("variable {id} of dataset {}: {reason}", entry.id))?;
        let bounds =
            bounds(&variable).map_err(|reason| format!("variable {id} of dataset {}: {reason}", entry.id))?;
        let VariableEntry { id, label, kind, role, .. } = variable;
        variables.push(Variable { id, label, kind, role, values, bounds });
    }
    for statement in &entry.impossible {
        let fault = |reason| format!("what is impossible in dataset {}: {reason}", entry.id);
        statement.check(&variables, code_lists, of_dimensions).map_err(fault)?;
    }
    Ok(Dataset { id: entry.id, label: entry.label, variables, impossible: entry.impossible })
}

/// The farthest from zero that a bound may lie: sums of such values stay whole numbers of 64 bits.
const MOST_BOUND: i64 = 1 << 40;

fn bounds(entry: &VariableEntry) -> Result<Option<(i64, i64)>, String> {
    match (&entry.bounds, entry.kind) {
        (None, _) => Ok(None),
        (Some(BoundsEntry { low, high }), VariableKind::Integer)
            if -MOST_BOUND <= *low && low < high && *high <= MOST_BOUND =>
        {
            Ok(Some((*low, *high)))
        }
        _ => Err("bounds are for whole numbers, low less than high, both within 2^40 of zero".to_owned()),
    }
}

fn values(
    entry: &VariableEntry,
    code_lists: &HashMap<CodeListId, CodeList>,
) -> Result<Option<Values>, String> {
    match (entry.kind, &entry.codes, &entry.code_list, entry.open) {
        (VariableKind::Code, Some(codes), None, false) => {
            let codes: Vec<_> = codes.iter().map(|c| (c.code.clone(), c.label.clone())).collect();
            let distinct: HashSet<_> = codes.iter().map(|(code, _)| code).collect();
            if codes.is_empty() || distinct.len() < codes.len() {
                return Err("its codes must be given, each once".to_owned());
            }
            Ok(Some(Values::Listed(codes)))
        }
        (VariableKind::Code, None, Some(id), false) => {
            let list =
                code_lists.get(id).ok_or_else(|| format!("there is no code list {id} under codelists/"))?;
            let leaves = list.codes().iter().zip(list.leaves()).filter(|(_, leaf)| *leaf);
            Ok(Some(Values::Listed(leaves.map(|(c, _)| (c.code.clone(), c.label.clone())).collect())))
        }
        (VariableKind::Code, None, None, true) => Ok(Some(Values::Open)),
        (VariableKind::Code, ..) => {
            Err("a code takes exactly one of codes, code_list and open = true".to_owned())
        }
        (_, None, None, false) => Ok(None),
        _ => Err("only a code has codes".to_owned()),
    }
}
