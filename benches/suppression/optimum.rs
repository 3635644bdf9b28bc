//! The least loss by which every primary cell of a small table can be kept from being computed, by integer
//! programming.
//!
//! If a primary cell is a combination of published cells, any pattern that protects it withholds one of these. A
//! least-cost pattern that withholds one of each combination found so far loses no more than any pattern that
//! protects; as soon as it protects itself, it is the optimum (an implicit hitting set).

use std::collections::BTreeSet;
use std::time::Duration;

use microlp::{ComparisonOp, OptimizationDirection, Problem as Program, SolutionStatus, SolveOutcome};

/// The prime of the arithmetic.
const Q: u64 = 2_147_483_647;
/// How often a least-cost pattern is sought for a table, and how long at a time.
const ROUNDS: usize = 200;
const PATIENCE: Duration = Duration::from_secs(2);

/// A table: which inner cells each cell is the sum of.
pub struct Problem {
    /// The count of each cell.
    pub counts: Vec<u64>,
    /// The inner cells in each cell.
    pub sums: Vec<Vec<usize>>,
    /// For each inner cell whether somebody is in it; empty ones are known, since zeros are published.
    pub alive: Vec<bool>,
    /// Cells that must not be computable.
    pub primary: Vec<bool>,
}

/// The least total cost of withheld cells, primary ones included; none if the search was given up.
pub fn least(problem: &Problem, cost: &[f64]) -> Option<f64> {
    let own: f64 = cost.iter().zip(&problem.primary).filter(|(_, p)| **p).map(|(c, _)| c).sum();
    let mut combinations: BTreeSet<Vec<usize>> = BTreeSet::new();
    for _ in 0..ROUNDS {
        let chosen = hitting(&combinations, cost)?;
        let loss: f64 = chosen.iter().map(|&c| cost[c]).sum();
        let mut withheld = problem.primary.clone();
        chosen.into_iter().for_each(|c| withheld[c] = true);
        if problem.exposing(&withheld).is_empty() {
            return Some(own + loss);
        }
        // Withholding more and more of what is found gives combinations that have little in common.
        loop {
            let found = problem.exposing(&withheld);
            if found.is_empty() {
                break;
            }
            for combination in found {
                combination.iter().for_each(|&c| withheld[c] = true);
                combinations.insert(combination);
            }
        }
    }
    None
}

/// Cells of least cost of which every combination has one; none if that takes too long.
fn hitting(combinations: &BTreeSet<Vec<usize>>, cost: &[f64]) -> Option<Vec<usize>> {
    let cells: BTreeSet<usize> = combinations.iter().flatten().copied().collect();
    if cells.is_empty() {
        return Some(Vec::new());
    }
    let mut program = Program::new(OptimizationDirection::Minimize);
    program.set_time_limit(PATIENCE);
    let variables: Vec<_> = cost
        .iter()
        .enumerate()
        .map(|(c, &cost)| cells.contains(&c).then(|| program.add_binary_var(cost)))
        .collect();
    for combination in combinations {
        let terms: Vec<_> = combination.iter().filter_map(|&c| Some((variables[c]?, 1.0))).collect();
        program.add_constraint(&terms, ComparisonOp::Ge, 1.0);
    }
    let SolveOutcome::Solution(solution) = program.solve().ok()? else { return None };
    if solution.status() != SolutionStatus::Optimal {
        return None;
    }
    Some(cells.into_iter().filter(|&c| variables[c].is_some_and(|v| solution[v] > 0.5)).collect())
}

impl Problem {
    /// For each primary cell that is a combination of published ones: those of them that are not empty.
    fn exposing(&self, withheld: &[bool]) -> Vec<Vec<usize>> {
        let width = self.alive.len();
        // Each row: its pivot, the sums over inner cells, and which cells it is made of.
        let mut rows: Vec<(usize, Vec<u64>)> = Vec::new();
        let mut published: Vec<usize> =
            (0..withheld.len()).filter(|&c| !withheld[c] && self.counts[c] > 0).collect();
        // Of what says the same, combinations of small sums have fewer cells.
        published.sort_by_key(|&c| self.sums[c].len());
        let row = |cell: usize, tag: Option<usize>| {
            let mut row = vec![0; width + published.len()];
            let unknown = |i: &&usize| self.alive[**i];
            self.sums[cell].iter().filter(unknown).for_each(|&i| row[i] = 1);
            if let Some(tag) = tag {
                row[width + tag] = 1;
            }
            row
        };
        for (tag, &cell) in published.iter().enumerate() {
            let row = reduce(&rows, row(cell, Some(tag)));
            if let Some(pivot) = row[..width].iter().position(|&x| x != 0) {
                let scale = power(row[pivot], Q - 2);
                rows.push((pivot, row.into_iter().map(|x| x * scale % Q).collect()));
            }
        }
        (0..withheld.len())
            .filter(|&c| self.primary[c])
            .map(|c| reduce(&rows, row(c, None)))
            .filter(|row| row[..width].iter().all(|&x| x == 0))
            .map(|row| {
                published.iter().zip(&row[width..]).filter(|(_, x)| **x != 0).map(|(c, _)| *c).collect()
            })
            .collect()
    }
}

fn reduce(rows: &[(usize, Vec<u64>)], mut row: Vec<u64>) -> Vec<u64> {
    for (pivot, earlier) in rows {
        let factor = row[*pivot];
        if factor != 0 {
            row.iter_mut().zip(earlier).for_each(|(x, &e)| *x = (*x + (Q - factor) * e) % Q);
        }
    }
    row
}

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
