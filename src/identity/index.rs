//! The vault's rows in memory: sealed identifiers in order, each with its person. Nothing here is readable
//! without the vault key. 32 bytes an identifier.

use super::siv::Sealed;
use crate::domain::ids::PersonNo;

/// One identifier of the vault.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) sealed: Sealed,
    pub(super) person: PersonNo,
}

/// All identifiers that are committed. Looked up by the first two bytes, which are evenly spread, and a
/// binary search among the few that share them.
#[derive(Debug)]
pub(super) struct Index {
    rows: Vec<Row>,
    /// For each value of the first two bytes, how many rows come before it; then the number of rows.
    starts: Vec<usize>,
    next_person: u32,
}

impl Index {
    /// The index of these rows, in any order. Every identifier must occur once.
    pub(super) fn new(mut rows: Vec<Row>) -> Self {
        rows.sort_unstable_by_key(|row| row.sealed);
        let mut starts = Vec::with_capacity(usize::from(u16::MAX) + 2);
        let mut before = 0;
        for prefix in 0..=u16::MAX {
            before += rows.iter().skip(before).take_while(|row| prefix_of(&row.sealed) < prefix).count();
            starts.push(before);
        }
        starts.push(rows.len());
        let next_person = rows.iter().map(|row| row.person.0 + 1).max().unwrap_or(0);
        Self { rows, starts, next_person }
    }

    /// The index with these rows added.
    pub(super) fn with(&self, added: impl IntoIterator<Item = Row>) -> Self {
        let mut rows = Vec::with_capacity(self.rows.len());
        rows.extend_from_slice(&self.rows);
        rows.extend(added);
        Self::new(rows)
    }

    /// Where an identifier stands in [`Index::rows`].
    pub(super) fn find(&self, sealed: &Sealed) -> Option<usize> {
        let prefix = usize::from(prefix_of(sealed));
        let (&from, &to) = (self.starts.get(prefix)?, self.starts.get(prefix + 1)?);
        let place = self.rows.get(from..to)?.binary_search_by_key(sealed, |row| row.sealed).ok()?;
        Some(from + place)
    }

    /// The person of the identifier at a place that [`Index::find`] gave.
    pub(super) fn person_at(&self, place: usize) -> Option<PersonNo> {
        self.rows.get(place).map(|row| row.person)
    }

    /// All rows, in the order of their ciphertext, which tells nothing.
    pub(super) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The lowest person number that is not given.
    pub(super) const fn next_person(&self) -> u32 {
        self.next_person
    }
}

fn prefix_of(sealed: &Sealed) -> u16 {
    let [first, second, ..] = *sealed;
    u16::from_be_bytes([first, second])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(prefix: u16, rest: u8, person: u32) -> Row {
        let mut sealed = [rest; 27];
        sealed[..2].copy_from_slice(&prefix.to_be_bytes());
        Row { sealed, person: PersonNo(person) }
    }

    #[test]
    fn an_empty_index_knows_nobody() {
        let index = Index::new(vec![]);
        assert_eq!(index.find(&[0; 27]), None);
        assert_eq!(index.next_person(), 0);
    }

    proptest! {
        #[test]
        fn every_row_is_found_and_no_other(
            prefixes in proptest::collection::btree_set((any::<u16>(), any::<u8>()), 0..50),
            added in 0..50usize,
            other in (any::<u16>(), any::<u8>()),
        ) {
            let rows: Vec<Row> =
                prefixes.iter().rev().zip(0..).map(|(&(p, r), n)| row(p, r, n)).collect();
            let (first, second) = rows.split_at(rows.len().saturating_sub(added));
            let index = Index::new(first.to_vec()).with(second.iter().copied());
            for row in &rows {
                let place = index.find(&row.sealed).unwrap();
                prop_assert_eq!(index.person_at(place), Some(row.person));
            }
            prop_assert_eq!(index.next_person() as usize, rows.len());
            prop_assert_eq!(index.find(&row(other.0, other.1, 0).sealed).is_some(), prefixes.contains(&other));
        }
    }
}
