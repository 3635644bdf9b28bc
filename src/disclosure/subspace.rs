//! Small dense subspaces over the field: echelon forms that remember how they were made, null spaces.
#![allow(clippy::indexing_slicing, reason = "pivots and columns are indices this module has made itself")]

use super::field::{add_scaled, inv, mul, neg};

/// The span of the vectors inserted so far, in echelon form. Each row remembers which combination of
/// the *kept* vectors (those that were independent when inserted) it is.
#[derive(Debug, Clone, Default)]
pub(super) struct Span {
    rows: Vec<Row>,
    kept: usize,
}

#[derive(Debug, Clone)]
struct Row {
    pivot: usize,
    vector: Vec<u64>,
    made_of: Vec<u64>,
}

impl Row {
    /// Clears the pivot of `vector` by taking away this row; tells how often.
    fn take_from(&self, vector: &mut [u64]) -> u64 {
        let factor = vector[self.pivot];
        add_scaled(vector, &self.vector, neg(factor));
        factor
    }
}

impl Span {
    /// Inserts a vector; true if it was independent of those before, and so was kept.
    pub(super) fn insert(&mut self, mut vector: Vec<u64>) -> bool {
        // Most vectors turn out to depend on those before: how they are made is worked out for the others.
        let factors: Vec<u64> = self.rows.iter().map(|row| row.take_from(&mut vector)).collect();
        let Some(pivot) = vector.iter().position(|&x| x != 0) else { return false };
        // The remainder is the new vector minus what was taken away from it.
        let mut made_of = vec![0; self.kept];
        for (row, factor) in self.rows.iter().zip(factors) {
            add_scaled(&mut made_of, &row.made_of, neg(factor));
        }
        made_of.push(1);
        self.kept += 1;
        let scale = inv(vector[pivot]);
        for entry in vector.iter_mut().chain(made_of.iter_mut()) {
            *entry = mul(*entry, scale);
        }
        self.rows.push(Row { pivot, vector, made_of });
        true
    }

    /// Takes from `vector` what lies in the span and returns the coefficients, one a kept vector. What
    /// is left is zero exactly if the vector lies in the span.
    pub(super) fn reduce(&self, vector: &mut [u64]) -> Vec<u64> {
        let mut coefficients = vec![0; self.kept];
        for row in &self.rows {
            add_scaled(&mut coefficients, &row.made_of, row.take_from(vector));
        }
        coefficients
    }

    /// A basis of the span.
    pub(super) fn basis(&self) -> impl Iterator<Item = &[u64]> {
        self.rows.iter().map(|row| row.vector.as_slice())
    }

    /// Its dimension.
    pub(super) fn dimension(&self) -> usize {
        self.rows.len()
    }
}

/// A basis of the vectors `x` of length `n` with `row . x = 0` for every row.
pub(super) fn null_space(rows: impl IntoIterator<Item = Vec<u64>>, n: usize) -> Vec<Vec<u64>> {
    // Reduced echelon form: each pivot column has a one in its own row and zeros elsewhere.
    let mut reduced: Vec<(usize, Vec<u64>)> = Vec::new();
    for mut row in rows {
        for (pivot, earlier) in &reduced {
            let factor = row[*pivot];
            add_scaled(&mut row, earlier, neg(factor));
        }
        let Some(pivot) = row.iter().position(|&x| x != 0) else { continue };
        let scale = inv(row[pivot]);
        for entry in &mut row {
            *entry = mul(*entry, scale);
        }
        for (_, earlier) in &mut reduced {
            let factor = earlier[pivot];
            add_scaled(earlier, &row, neg(factor));
        }
        reduced.push((pivot, row));
        if reduced.len() == n {
            return Vec::new();
        }
    }
    let mut is_pivot = vec![false; n];
    for (pivot, _) in &reduced {
        is_pivot[*pivot] = true;
    }
    (0..n)
        .filter(|&free| !is_pivot[free])
        .map(|free| {
            let mut vector = vec![0; n];
            vector[free] = 1;
            for (pivot, row) in &reduced {
                vector[*pivot] = neg(row[free]);
            }
            vector
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disclosure::field::{P, add};
    use proptest::prelude::*;

    fn dot(a: &[u64], b: &[u64]) -> u64 {
        a.iter().zip(b).fold(0, |sum, (&x, &y)| add(sum, mul(x, y)))
    }

    proptest! {
        #[test]
        fn the_null_space_is_all_that_vanishes(rows in prop::collection::vec(prop::collection::vec(0u64..3, 6), 0..8)) {
            let basis = null_space(rows.clone(), 6);
            let mut span = Span::default();
            for row in &rows { span.insert(row.clone()); }
            prop_assert_eq!(basis.len() + span.dimension(), 6);
            for vector in &basis {
                for row in &rows { prop_assert_eq!(dot(vector, row), 0); }
            }
        }

        #[test]
        fn coefficients_rebuild_the_vector(rows in prop::collection::vec(prop::collection::vec(0u64..P, 4), 1..6)) {
            let mut span = Span::default();
            let kept: Vec<_> = rows.iter().filter(|row| span.insert((*row).clone())).collect();
            for row in &rows {
                let mut rest = row.clone();
                let coefficients = span.reduce(&mut rest);
                prop_assert!(rest.iter().all(|&x| x == 0));
                let mut rebuilt = vec![0; 4];
                for (vector, &c) in kept.iter().zip(&coefficients) { add_scaled(&mut rebuilt, vector, c); }
                prop_assert_eq!(&rebuilt, row);
            }
        }
    }
}
