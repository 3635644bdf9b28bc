//! Plays the attacker who holds one release: all published cells, the dimensions, and the fact that
//! cells add up. Shares no code with the engine: withheld cells are unknowns, every sum over children
//! is an equation, and a cell is known if elimination leaves it alone in a row.

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

/// For each cell whether the attacker can compute it: published, or a combination of published ones.
pub(super) fn computable(lattice: &Lattice, withheld: &[bool]) -> Vec<bool> {
    let unknown: Vec<usize> = (0..lattice.cells()).filter(|&c| withheld[c]).collect();
    let column = |cell: usize| unknown.binary_search(&cell).ok();
    let mut rows: Vec<Vec<u64>> = Vec::new();
    for cell in 0..lattice.cells() {
        for (d, tree) in lattice.trees().iter().enumerate() {
            let node = lattice.node(cell, d);
            if tree.is_leaf(node) {
                continue;
            }
            let mut row = vec![0; unknown.len()];
            if let Some(c) = column(cell) {
                row[c] = Q - 1;
            }
            for &child in tree.children(node) {
                if let Some(c) = column(cell - node * lattice.stride(d) + child * lattice.stride(d)) {
                    row[c] = 1;
                }
            }
            if row.iter().any(|&x| x != 0) {
                rows.push(row);
            }
        }
    }
    // Gauss-Jordan: what is left in a row of its own is known.
    let mut done = 0;
    for c in 0..unknown.len() {
        let Some(found) = (done..rows.len()).find(|&r| rows[r][c] != 0) else { continue };
        rows.swap(done, found);
        let scale = power(rows[done][c], Q - 2);
        let pivot: Vec<u64> = rows[done].iter().map(|x| x * scale % Q).collect();
        for (r, row) in rows.iter_mut().enumerate() {
            let factor = row[c];
            if r == done {
                row.clone_from(&pivot);
            } else if factor != 0 {
                for (x, &p) in row.iter_mut().zip(&pivot) {
                    *x = (*x + (Q - factor) * p) % Q;
                }
            }
        }
        done += 1;
    }
    let mut known: Vec<bool> = withheld.iter().map(|w| !w).collect();
    for row in rows.iter().take(done) {
        let mut entries = row.iter().enumerate().filter(|(_, x)| **x != 0);
        if let (Some((c, _)), None) = (entries.next(), entries.next()) {
            known[unknown[c]] = true;
        }
    }
    known
}
