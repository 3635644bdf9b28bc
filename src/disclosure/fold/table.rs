//! Folding one dimension of a table.
#![allow(
    clippy::indexing_slicing,
    reason = "nodes and cells are indices of the table's shape, which is checked"
)]

use super::group::{Draw, Fate, FoldRule, fate};
use crate::disclosure::pattern::PatternKey;
use crate::domain::canonical::Digest;
use crate::domain::codelist::{Code, CodeList, CodeListError};
use crate::domain::table::{Dimension, TableShape};

/// Why a table cannot be folded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FoldError {
    /// The counts do not fit the shape, or it has no such dimension or no measure.
    #[error("the counts do not fit the table's shape")]
    NotATable,
    /// A category's persons are not the sum of those below it. Where one person can fall in several
    /// categories, «øvrig» has fewer persons than its categories together, and only the data tell how many.
    #[error("the persons of this dimension do not add up, so that it cannot be folded")]
    NotAdditive,
    /// The code list has a code that «øvrig» would get.
    #[error(transparent)]
    Codes(#[from] CodeListError),
}

/// A table in which one dimension has been folded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folded {
    /// Its shape: as before, with another code list in the folded dimension.
    pub shape: TableShape,
    /// Its counts, numbered as [`TableShape`] numbers them.
    pub counts: Vec<u64>,
    /// How many codes of the list are no longer shown.
    pub codes_folded: usize,
    /// For each code of the list before the one in which its persons are now.
    pub places: Vec<usize>,
}

/// Where the counts of a code of the folded list come from.
enum Source {
    /// A code that is shown.
    Node(usize),
    /// The «øvrig» of these.
    Sum(Vec<usize>),
}

/// Folds one dimension by its margin: the persons of the first measure over all other dimensions.
///
/// Codes that nobody can have are in no group that is folded: everyone knows that they add nothing to one.
///
/// The same margin is folded the same way in every table, whatever it is crossed with: two ways of
/// folding the same counts would give them away together.
///
/// # Errors
/// [`FoldError`].
pub fn fold(
    shape: &TableShape,
    counts: &[u64],
    dimension: usize,
    rule: FoldRule,
    key: &PatternKey,
) -> Result<Folded, FoldError> {
    let measures = shape.measures.len();
    let list = &shape.dimensions.get(dimension).ok_or(FoldError::NotATable)?.codes;
    if measures == 0 || counts.len() != shape.cells() * measures {
        return Err(FoldError::NotATable);
    }
    // One block of counts for each code, within each combination of the dimensions before.
    let block =
        shape.dimensions.iter().skip(dimension + 1).map(|d| d.codes.len()).product::<usize>() * measures;
    let children = children(list);
    for run in counts.chunks_exact(block * list.len()) {
        for (node, below) in children.iter().enumerate().filter(|(_, below)| !below.is_empty()) {
            for at in 0..block {
                let sum: u64 = below.iter().map(|&child| run[child * block + at]).sum();
                if sum != run[node * block + at] {
                    return Err(FoldError::NotAdditive);
                }
            }
        }
    }
    let margin: Vec<u64> = (0..list.len()).map(|node| counts[node * block]).collect();

    let variable = shape.dimensions[dimension].variable.as_str();
    let is_impossible = |node: usize| shape.dimensions[dimension].is_impossible(node);
    let mut plan = Plan {
        list,
        children: &children,
        impossible: (0..list.len()).map(is_impossible).collect(),
        codes: Vec::new(),
        sources: Vec::new(),
    };
    plan.lay(0, None, &|group| {
        let counts: Vec<u64> = group.iter().map(|&node| margin[node]).collect();
        let named = group.iter().map(|&node| list.codes()[node].code.as_str());
        fate(&counts, &draw(variable, named, &counts, key), rule)
    });
    let Plan { codes, sources, .. } = plan;
    let shown = sources.iter().filter(|s| matches!(s, Source::Node(_))).count();
    let mut folded = Vec::with_capacity(counts.len() / list.len() * codes.len());
    for run in counts.chunks_exact(block * list.len()) {
        let of = |node: usize| &run[node * block..][..block];
        for source in &sources {
            match source {
                Source::Node(node) => folded.extend_from_slice(of(*node)),
                Source::Sum(nodes) => {
                    folded.extend((0..block).map(|at| nodes.iter().map(|&n| of(n)[at]).sum::<u64>()));
                }
            }
        }
    }
    let places = places(list, &sources);
    let codes_folded = list.len() - shown;
    let impossible =
        sources.iter().zip(0_u32..).filter(|(s, _)| matches!(s, Source::Node(node) if is_impossible(*node)));
    let impossible = impossible.map(|(_, place)| place).collect();
    let codes = CodeList::new(list.id().clone(), list.label().to_owned(), codes)?;
    let mut shape = shape.clone();
    shape.dimensions[dimension] = Dimension { codes, impossible, ..shape.dimensions[dimension].clone() };
    Ok(Folded { shape, counts: folded, codes_folded, places })
}

/// For each code of a list where its persons are among the sources: in it, in the «øvrig» it is folded into, or in
/// the nearest code above it that is shown.
fn places(list: &CodeList, sources: &[Source]) -> Vec<usize> {
    let mut own = vec![None; list.len()];
    for (place, source) in sources.iter().enumerate() {
        match source {
            Source::Node(node) => own[*node] = Some(place),
            Source::Sum(nodes) => nodes.iter().for_each(|&node| own[node] = Some(place)),
        }
    }
    let mut places: Vec<usize> = Vec::with_capacity(list.len());
    for (node, own) in own.into_iter().enumerate() {
        // Parents come first, and the total is always shown.
        places.push(own.or_else(|| places.get(list.parent(node)?).copied()).unwrap_or(0));
    }
    places
}

/// The draw of a group: from the gateway's secret and what the group is, and from nothing else.
fn draw<'a>(
    variable: &'a str,
    codes: impl Iterator<Item = &'a str>,
    counts: &[u64],
    key: &PatternKey,
) -> Draw {
    let mut bytes = Vec::new();
    for text in std::iter::once(variable).chain(codes) {
        bytes.extend((text.len() as u64).to_be_bytes());
        bytes.extend(text.as_bytes());
    }
    bytes.extend(counts.iter().flat_map(|c| c.to_be_bytes()));
    Draw::new(counts, &mut key.draws(&Digest::of_bytes("kpr/fold-group/v1", &bytes)))
}

/// For each code the codes right below it.
fn children(list: &CodeList) -> Vec<Vec<usize>> {
    let mut children = vec![Vec::new(); list.len()];
    for node in 0..list.len() {
        if let Some(parent) = list.parent(node) {
            children[parent].push(node);
        }
    }
    children
}

/// The folded list as it grows, each code before those below it.
struct Plan<'a> {
    list: &'a CodeList,
    children: &'a [Vec<usize>],
    impossible: Vec<bool>,
    codes: Vec<Code>,
    sources: Vec<Source>,
}

impl Plan<'_> {
    /// Lays a code that is shown, and what is shown below it.
    fn lay(&mut self, node: usize, parent: Option<u32>, fate: &impl Fn(&[usize]) -> Fate) {
        let at = u32::try_from(self.codes.len()).unwrap_or(u32::MAX);
        self.codes.push(Code { parent, ..self.list.codes()[node].clone() });
        self.sources.push(Source::Node(node));
        let below = &self.children[node];
        let group: Vec<usize> = below.iter().copied().filter(|&child| !self.impossible[child]).collect();
        match if group.is_empty() { Fate::Shown } else { fate(&group) } {
            Fate::Shown => below.iter().for_each(|&child| self.lay(child, Some(at), fate)),
            Fate::All => {}
            Fate::Some(folded) => {
                let of = |wanted: bool| {
                    group.iter().zip(&folded).filter(move |(_, f)| **f == wanted).map(|(&child, _)| child)
                };
                let shown: Vec<usize> = of(false).collect();
                let is_shown = |child: &&usize| self.impossible[**child] || shown.contains(child);
                let shown: Vec<usize> = below.iter().filter(is_shown).copied().collect();
                shown.into_iter().for_each(|child| self.lay(child, Some(at), fate));
                let above = &self.list.codes()[node];
                let label =
                    if parent.is_none() { "Øvrig".to_owned() } else { format!("Øvrig {}", above.label) };
                self.codes.push(Code { code: format!("{}-ovrig", above.code), label, parent: Some(at) });
                self.sources.push(Source::Sum(of(true).collect()));
            }
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
