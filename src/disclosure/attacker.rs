//! Plays the attacker who holds one release: all published cells, the dimensions, and the fact that
//! every cell is a sum of inner cells. Shares no code with the engine: each published cell is a row over
//! the inner cells, and a withheld one is known if it lies in the span of these rows.

use super::lattice::Lattice;

/// A prime other than the engine's, small enough that products fit 64 bits.
const Q: u64 = 2_147_483_647;

fn power(mut base: u64, mut exponent: u64) -> u64 {
    let mut result = 1;
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = result * base % Q;
        }
        base = base * base % Q;
        exponent >>= 1;
    }
    result
}

/// Rows in echelon form, each with its pivot.
struct Echelon(Vec<(usize, Vec<u64>)>);

impl Echelon {
    fn reduce(&self, mut row: Vec<u64>) -> Vec<u64> {
        for (pivot, earlier) in &self.0 {
            let factor = row[*pivot];
            if factor != 0 {
                for (x, &e) in row.iter_mut().zip(earlier) {
                    *x = (*x + (Q - factor) * e) % Q;
                }
            }
        }
        row
    }

    fn insert(&mut self, row: Vec<u64>) {
        let mut row = self.reduce(row);
        if let Some(pivot) = row.iter().position(|&x| x != 0) {
            let scale = power(row[pivot], Q - 2);
            row.iter_mut().for_each(|x| *x = *x * scale % Q);
            self.0.push((pivot, row));
        }
    }
}

/// For each cell whether the attacker can compute it: a combination of cells that are neither withheld nor
/// absent, and of inner cells that are known beforehand (those that are impossible, for example, or the
/// attacker's own).
pub(super) fn computable(lattice: &Lattice, withheld: &[bool], beforehand: &[usize]) -> Vec<bool> {
    let inner: Vec<usize> = (0..lattice.cells())
        .filter(|&c| lattice.trees().iter().enumerate().all(|(d, t)| t.is_leaf(lattice.node(c, d))))
        .collect();
    let row = |cell: usize| -> Vec<u64> {
        let lies_in = |&i: &usize| {
            lattice
                .trees()
                .iter()
                .enumerate()
                .all(|(d, tree)| tree.leaves_below(lattice.node(cell, d)).contains(&lattice.node(i, d)))
        };
        inner.iter().map(|i| u64::from(lies_in(i))).collect()
    };
    let mut known = Echelon(Vec::new());
    for cell in (0..lattice.cells()).filter(|&c| !withheld[c]).chain(beforehand.iter().copied()) {
        known.insert(row(cell));
    }
    (0..lattice.cells()).map(|c| !withheld[c] || known.reduce(row(c)).iter().all(|&x| x == 0)).collect()
}
