//! Does without cells: takes the tables that change one, and gives their targets their range anew.
#![allow(clippy::indexing_slicing, reason = "cells are indices of the lattice")]

use rand::Rng;
use rand::seq::SliceRandom;

use super::cover::{Cover, Difference};
use super::widener::Widener;

/// Takes away the tables that change a cell, and gives the targets that depend on them their range anew without it;
/// if that loses more than `heat` more, all is put back.
pub(super) fn exchange(
    cover: &mut Cover<'_>,
    widener: &mut Widener,
    cell: usize,
    heat: f32,
    rng: &mut impl Rng,
) {
    let before = cover.loss();
    let ids: Vec<usize> = cover.through(cell).iter().map(|(id, _)| *id).collect();
    let taken: Vec<(usize, Difference)> =
        ids.into_iter().filter_map(|id| Some((id, cover.take(id)?))).collect();
    cover.forbid(cell, true);
    let targets = &cover.ground.targets;
    let mut lost: Vec<usize> =
        taken.iter().flat_map(|(_, table)| table).map(|&(c, _)| c).filter(|&c| targets[c]).collect();
    lost.sort_unstable();
    lost.dedup();
    lost.retain(|&c| cover.lacking(c) > 0);
    lost.shuffle(rng);
    let mut added = Vec::new();
    let mut done = true;
    for target in lost {
        if cover.lacking(target) == 0 {
            continue;
        }
        let budget = (before - cover.loss()) as f32 + heat;
        match (budget > 0.0).then(|| widener.widen(cover, target, budget, rng)).flatten() {
            Some(ids) => added.extend(ids),
            None => {
                done = false;
                break;
            }
        }
    }
    cover.forbid(cell, false);
    if !done || cover.loss() > before + f64::from(heat) {
        for id in added {
            cover.take(id);
        }
        for (id, table) in taken {
            cover.put(id, table);
        }
    }
}

/// Takes away the tables that no target depends on.
pub(super) fn prune(cover: &mut Cover<'_>, rng: &mut impl Rng) {
    let mut ids: Vec<usize> = cover.tables().map(|(id, _)| id).collect();
    ids.shuffle(rng);
    for id in ids {
        let Some(table) = cover.take(id) else { continue };
        if table.iter().any(|&(c, _)| cover.ground.targets[c] && cover.lacking(c) > 0) {
            cover.put(id, table);
        }
    }
}
