//! Whether the alternative tables are possible, and how far the withheld cells lie apart in them.
#![allow(clippy::indexing_slicing, reason = "cells are checked against the release")]

use std::collections::{HashMap, HashSet};

use super::{Range, Release, Stopped};

/// Checks every alternative table, and that they give every small count its range.
pub(super) fn check(
    release: &Release<'_>,
    alternatives: &[Vec<(usize, i64)>],
) -> Result<Vec<Option<Range>>, Stopped> {
    let own = |cell: usize| {
        let count = release.counts[cell];
        release.withheld[cell].then_some(Range { low: count, high: count })
    };
    let mut ranges: Vec<Option<Range>> = (0..release.counts.len()).map(own).collect();
    for alternative in alternatives {
        for (cell, count) in counts(release, alternative).ok_or(Stopped::FalseTable)? {
            if let Some(range) = &mut ranges[cell] {
                *range = Range { low: range.low.min(count), high: range.high.max(count) };
            }
        }
    }
    let is_narrow = |cell: usize| {
        let width = ranges[cell].map_or(0, |range| range.high - range.low);
        release.is_small(cell) && width < release.min_range
    };
    if (0..ranges.len()).any(is_narrow) { Err(Stopped::TooNarrow) } else { Ok(ranges) }
}

/// What an alternative table counts in the cells that it changes. None if an attacker can rule it out: it changes
/// what is shown, takes away more persons than there are, or empties a withheld cell where empty ones are shown.
fn counts(release: &Release<'_>, alternative: &[(usize, i64)]) -> Option<Vec<(usize, u64)>> {
    let mut changes: HashMap<usize, i64> = HashMap::new();
    let mut seen = HashSet::with_capacity(alternative.len());
    for &(part, by) in alternative {
        let counted = release.parts.get(part)?;
        counted.persons.checked_add_signed(by)?;
        if !seen.insert(part) {
            return None;
        }
        for &cell in &counted.cells {
            let change = changes.entry(cell).or_insert(0);
            *change = change.checked_add(by)?;
        }
    }
    let changed = changes.into_iter().filter(|(_, by)| *by != 0);
    changed
        .map(|(cell, by)| {
            let count = release.counts[cell].checked_add_signed(by)?;
            (release.withheld[cell] && count >= release.least(cell)).then_some((cell, count))
        })
        .collect()
}
