//! A dimension of a file: the codes of a column, and the groups that a hierarchy puts above them.
#![allow(clippy::indexing_slicing, reason = "nodes are indices this module has made itself")]

use std::collections::{HashMap, HashSet};
use std::io::Read;

use super::error::FileError;
use crate::disclosure::tree::Tree;
use crate::domain::codelist::{Code, CodeList};
use crate::domain::ids::CodeListId;

/// A child and its parent, and the line they stand on.
pub(super) type Edge = (String, String, u64);

/// The codes of a dimension, the total first, and their tree.
#[derive(Debug)]
pub(super) struct Dimension {
    pub(super) name: String,
    pub(super) codes: Vec<String>,
    pub(super) tree: Tree,
    parents: Vec<Vec<usize>>,
    positions: HashMap<String, usize>,
}

impl Dimension {
    /// The dimension of a column with these codes, under these hierarchies.
    pub(super) fn new(name: &str, leaves: &[String], edges: &[Edge]) -> Result<Self, FileError> {
        let mut parents: HashMap<&str, Vec<&str>> = HashMap::new();
        let groups: Vec<&str> = edges.iter().map(|(_, parent, _)| parent.as_str()).collect();
        let known: HashSet<&str> = groups.iter().copied().chain(leaves.iter().map(String::as_str)).collect();
        for (child, parent, line) in edges {
            if !known.contains(child.as_str()) {
                return Err(FileError::NoSuchChild { dimension: name.to_owned(), line: *line });
            }
            let above = parents.entry(child).or_default();
            if parent != CodeList::TOTAL && !above.contains(&parent.as_str()) {
                above.push(parent);
            }
        }
        // Every code after those above it: a code's depth is one more than its deepest parent's.
        let mut depth: HashMap<&str, usize> = HashMap::new();
        let mut codes: Vec<&str> = Vec::new();
        let mut seen = HashSet::from([CodeList::TOTAL]);
        for code in groups.iter().copied().chain(leaves.iter().map(String::as_str)) {
            if seen.insert(code) {
                deepen(code, &parents, &mut depth, 0).ok_or_else(|| FileError::Circle(name.to_owned()))?;
                codes.push(code);
            }
        }
        codes.sort_by_key(|code| depth[code]);
        codes.insert(0, CodeList::TOTAL);
        let positions = positions(codes.iter().copied());
        let above = |code: &&str| match parents.get(*code) {
            Some(above) if !above.is_empty() => above.iter().map(|p| positions[*p]).collect(),
            _ if *code == CodeList::TOTAL => Vec::new(),
            _ => vec![0],
        };
        let parents: Vec<Vec<usize>> = codes.iter().map(above).collect();
        let tree = Tree::new(parents.clone());
        let codes = codes.into_iter().map(ToOwned::to_owned).collect();
        Ok(Self { name: name.to_owned(), codes, tree, parents, positions })
    }

    /// The dimension of a code list.
    pub(super) fn of_list(name: &str, list: &CodeList) -> Self {
        let codes: Vec<String> = list.codes().iter().map(|code| code.code.clone()).collect();
        let parents = (0..list.len()).map(|node| list.parent(node).into_iter().collect()).collect();
        let positions = positions(codes.iter().map(String::as_str));
        Self { name: name.to_owned(), tree: Tree::of(list), codes, parents, positions }
    }

    /// Its codes as a code list under this id.
    ///
    /// # Errors
    /// [`FileError::SeveralHierarchies`] if a code has two parents.
    pub(super) fn list(&self, id: CodeListId) -> Result<CodeList, FileError> {
        let several = || FileError::SeveralHierarchies(self.name.clone());
        let code = |(code, parents): (&String, &Vec<usize>)| {
            let parent = match parents[..] {
                [] => None,
                [parent] => Some(u32::try_from(parent).map_err(|_| several())?),
                _ => return Err(several()),
            };
            Ok(Code { code: code.clone(), label: code.clone(), parent })
        };
        let codes = self.codes.iter().zip(&self.parents).map(code).collect::<Result<_, FileError>>()?;
        Ok(CodeList::new(id, self.name.clone(), codes)?)
    }

    /// The place of a code.
    pub(super) fn position(&self, code: &str) -> Option<usize> {
        self.positions.get(code).copied()
    }
}

/// The place of each code.
fn positions<'a>(codes: impl Iterator<Item = &'a str>) -> HashMap<String, usize> {
    codes.enumerate().map(|(place, code)| (code.to_owned(), place)).collect()
}

/// Works out how deep a code lies; none if it lies below itself.
fn deepen<'a>(
    code: &'a str,
    parents: &HashMap<&'a str, Vec<&'a str>>,
    depth: &mut HashMap<&'a str, usize>,
    steps: usize,
) -> Option<usize> {
    if let Some(known) = depth.get(code) {
        return Some(*known);
    }
    if steps > parents.len() {
        return None;
    }
    let mut deepest = 0;
    for parent in parents.get(code).into_iter().flatten() {
        deepest = deepest.max(deepen(parent, parents, depth, steps + 1)?);
    }
    depth.insert(code, deepest + 1);
    Some(deepest + 1)
}

/// Reads the `child,parent` lines of a hierarchy.
pub(super) fn edges(dimension: &str, source: impl Read) -> Result<Vec<Edge>, FileError> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(source);
    let mut edges = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|e| FileError::Csv("the hierarchy", e))?;
        let line = record.position().map_or(0, csv::Position::line);
        match record.iter().map(str::trim).collect::<Vec<_>>()[..] {
            ["child", "parent"] if edges.is_empty() => {}
            [child, parent] if !child.is_empty() && !parent.is_empty() && child != parent => {
                edges.push((child.to_owned(), parent.to_owned(), line));
            }
            _ => return Err(FileError::NotAHierarchy { dimension: dimension.to_owned(), line }),
        }
    }
    Ok(edges)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(codes: &[&str]) -> Vec<String> {
        codes.iter().map(|c| (*c).to_owned()).collect()
    }

    #[test]
    fn a_child_with_two_parents_lies_in_two_hierarchies() {
        let edges =
            edges("place", "child,parent\na,north\nb,north\nb,coast\nc,coast\nnorth,Total\n".as_bytes());
        let place = Dimension::new("place", &leaves(&["a", "b", "c", "d"]), &edges.unwrap()).unwrap();
        assert_eq!(place.codes, ["Total", "north", "coast", "d", "a", "b", "c"]);
        let below = |code| -> Vec<&str> {
            let node = place.position(code).unwrap();
            place.tree.leaves_below(node).iter().map(|&leaf| place.codes[leaf].as_str()).collect()
        };
        assert_eq!(below("north"), ["a", "b"]);
        assert_eq!(below("coast"), ["b", "c"]);
        assert_eq!(below("Total"), ["d", "a", "b", "c"]);
    }

    #[test]
    fn a_child_that_nobody_knows_and_a_circle_are_refused() {
        let of =
            |text: &str| Dimension::new("place", &leaves(&["a"]), &edges("place", text.as_bytes()).unwrap());
        assert!(matches!(of("a,north\nx,north\n"), Err(FileError::NoSuchChild { line: 2, .. })));
        assert!(matches!(of("a,north\nnorth,south\nsouth,north\n"), Err(FileError::Circle(_))));
        assert!(matches!(edges("place", "a\n".as_bytes()), Err(FileError::NotAHierarchy { line: 1, .. })));
    }
}
