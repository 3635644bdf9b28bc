//! The least loss by which every primary cell of a small table can be kept from being computed, by search.
//!
//! If a primary cell is a sum of published cells, at least one of these must be withheld in any pattern that
//! protects it. So the search takes the shortest such sum and tries each of its cells in turn, the earlier ones
//! then staying published; what costs as much as the best pattern so far is not followed.

/// The prime of the arithmetic.
const Q: u64 = 2_147_483_647;
/// How many steps a search may take.
const STEPS: usize = 20_000;

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

struct Search<'a> {
    problem: &'a Problem,
    cost: &'a [f64],
    withheld: Vec<bool>,
    stays: Vec<bool>,
    best: f64,
    steps: usize,
}

/// The least total cost of withheld cells, primary ones included; none if the search was given up.
pub fn least(problem: &Problem, cost: &[f64]) -> Option<f64> {
    let mut search = Search {
        problem,
        cost,
        withheld: problem.primary.clone(),
        stays: problem.counts.iter().map(|c| *c == 0).collect(),
        best: f64::INFINITY,
        steps: 0,
    };
    let start = cost.iter().zip(&problem.primary).filter(|(_, p)| **p).map(|(c, _)| c).sum();
    search.descend(start);
    (search.steps < STEPS).then_some(search.best)
}

impl Search<'_> {
    fn descend(&mut self, cost: f64) {
        self.steps += 1;
        if cost >= self.best || self.steps >= STEPS {
            return;
        }
        let Some(sum) = self.exposing() else {
            self.best = cost;
            return;
        };
        let mut choices: Vec<usize> = sum.into_iter().filter(|&c| !self.stays[c]).collect();
        choices.sort_by(|&a, &b| self.cost[a].total_cmp(&self.cost[b]));
        for &choice in &choices {
            self.withheld[choice] = true;
            self.descend(cost + self.cost[choice]);
            self.withheld[choice] = false;
            self.stays[choice] = true;
        }
        for choice in choices {
            self.stays[choice] = false;
        }
    }

    /// The published cells of which a primary one is a combination, the fewest that are found.
    fn exposing(&self) -> Option<Vec<usize>> {
        let width = self.problem.alive.len();
        // Each row: its pivot, the sums over inner cells, and which cells it is made of.
        let mut rows: Vec<(usize, Vec<u64>)> = Vec::new();
        let published: Vec<usize> = (0..self.withheld.len()).filter(|&c| !self.withheld[c]).collect();
        let row = |cell: usize, tag: Option<usize>| {
            let mut row = vec![0; width + published.len()];
            let unknown = |i: &&usize| self.problem.alive[**i];
            self.problem.sums[cell].iter().filter(unknown).for_each(|&i| row[i] = 1);
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
        (0..self.withheld.len())
            .filter(|&c| self.problem.primary[c])
            .map(|c| reduce(&rows, row(c, None)))
            .filter(|row| row[..width].iter().all(|&x| x == 0))
            .map(|row| {
                published.iter().zip(&row[width..]).filter(|(_, x)| **x != 0).map(|(c, _)| *c).collect()
            })
            .min_by_key(|sum: &Vec<usize>| sum.iter().filter(|&&c| !self.stays[c]).count())
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
