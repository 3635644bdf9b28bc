//! Who is in the cells of a table with margins.
#![allow(clippy::indexing_slicing, reason = "positions come from the shape itself")]

use std::collections::HashMap;

use super::membership::{Membership, MembershipBuilder, MembershipError};
use crate::domain::table::TableShape;
use crate::execute::Placed;

/// The membership of a table's counts, numbered as [`TableShape`] numbers them, measures innermost. Each person
/// is in a leaf cell and all cells above it, in each of them for every measure the person counts in.
pub(in crate::disclosure) fn of_table(
    shape: &TableShape,
    persons: &[Placed],
) -> Result<Membership, MembershipError> {
    let measures = shape.measures.len();
    let mut builder = MembershipBuilder::new(shape.cells() * measures);
    let mut cells_of: HashMap<(u32, u16), Vec<u32>> = HashMap::new();
    // In the order of persons, so that the same table has the same membership whoever counted it.
    let mut persons: Vec<&Placed> = persons.iter().collect();
    persons.sort_unstable_by_key(|placed| placed.person);
    for placed in persons {
        let cells = match cells_of.get(&(placed.leaf, placed.measures)) {
            Some(cells) => cells,
            None => {
                let cells =
                    counted_in(shape, placed.leaf as usize, placed.measures).ok_or(MembershipError::Cells)?;
                cells_of.entry((placed.leaf, placed.measures)).or_insert(cells)
            }
        };
        builder.add(placed.person, cells)?;
    }
    builder.build()
}

/// The counts that a person of a leaf cell takes part in, ascending.
fn counted_in(shape: &TableShape, leaf: usize, counts: u16) -> Option<Vec<u32>> {
    let measures = shape.measures.len();
    let mut cells = vec![0];
    for (dimension, position) in shape.dimensions.iter().zip(shape.positions(leaf)) {
        let above: Vec<usize> =
            std::iter::successors(Some(position), |&p| dimension.codes.parent(p)).collect();
        cells = cells.iter().flat_map(|c| above.iter().map(move |p| c * dimension.codes.len() + p)).collect();
    }
    cells.sort_unstable();
    let in_cell = (0..measures).filter(|m| counts >> m & 1 == 1);
    cells
        .iter()
        .flat_map(|cell| in_cell.clone().map(move |m| u32::try_from(cell * measures + m).ok()))
        .collect()
}
