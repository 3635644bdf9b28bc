//! How the patterns of small random tables compare with the best there are.

use std::collections::HashMap;
use std::fmt::Write as _;

use comfy_table::{CellAlignment, Table};
use kpr::disclosure::PatternKey;
use kpr::disclosure::file::{Ask, Columns, FileTable, Hierarchy};
use kpr::disclosure::primary::Rules;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;

use super::optimum::{Problem, least};

/// The leaves of each dimension, and of those with groups how many leaves are in each.
const SHAPES: [(&str, &[&[usize]]); 7] = [
    ("4 x 4", &[&[4], &[4]]),
    ("(2+3) x 3", &[&[2, 3], &[3]]),
    ("2 x 3 x 3", &[&[2], &[3], &[3]]),
    ("(2+2) x 2 x 2", &[&[2, 2], &[2], &[2]]),
    ("(2+2) x (2+2) x 2", &[&[2, 2], &[2, 2], &[2]]),
    ("2 x 2 x 2 x 2", &[&[2], &[2], &[2], &[2]]),
    ("2 x 2 x 2 x 2 x 2", &[&[2], &[2], &[2], &[2], &[2]]),
];

/// Protects random tables of each shape and compares with the optimum, in cells and in persons withheld.
pub fn study(tables: u64) -> Table {
    let mut rows = Table::new();
    rows.set_header(["shape", "tables", "withheld", "fewest", "ratio", "persons", "least", "ratio"]);
    for (name, shape) in SHAPES {
        let (mut sums, mut solved) = ([0.0; 6], 0.0);
        for seed in 0..tables {
            let Some([cells, fewest, mass, least]) = compare(shape, seed) else { continue };
            let terms = [cells, fewest, cells / fewest, mass, least, mass / least];
            sums.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
            solved += 1.0;
        }
        let mean = |i: usize, digits: usize| format!("{:.digits$}", sums[i] / solved);
        let figures = [mean(0, 1), mean(1, 1), mean(2, 3), mean(3, 1), mean(4, 1), mean(5, 3)];
        rows.add_row([name.to_owned(), solved.to_string()].into_iter().chain(figures));
    }
    for column in rows.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    rows
}

/// Cells withheld, the fewest possible, persons in them, the fewest possible; none if nothing is small, or the
/// search was given up.
fn compare(shape: &[&[usize]], seed: u64) -> Option<[f64; 4]> {
    let rng = &mut ChaCha20Rng::seed_from_u64(seed);
    let (cells, hierarchies) = random(shape, rng);
    let columns = Columns { count: "n".to_owned(), ..Columns::default() };
    let table = FileTable::read(cells.as_bytes(), &columns, hierarchies).unwrap();
    // The optimum knows nothing of who is alone in a cell.
    let rules = Rules { singletons: false, ..Rules::persons(5) };
    let primary = table.primary(&rules).unwrap();
    if !primary.contains(&true) {
        return None;
    }
    let ask = Ask { rules: &rules, min_range: 0, published: &[] };
    let withheld = table.protect(ask, &PatternKey::new([1; 32].into()), &mut |_| {}).unwrap().withheld;
    let problem = problem(&table, &primary);
    let counts: Vec<f64> = problem.counts.iter().map(|c| *c as f64).collect();
    let fewest = least(&problem, &vec![1.0; counts.len()])?;
    let least = least(&problem, &counts)?;
    let number = withheld.iter().filter(|w| **w).count() as f64;
    Some([number, fewest, table.mass(&withheld) as f64, least])
}

/// Random cells of a shape as a file, and its hierarchies.
fn random(shape: &[&[usize]], rng: &mut ChaCha20Rng) -> (String, Vec<(String, Hierarchy)>) {
    let mut lines = vec![String::new()];
    let mut hierarchies: Vec<(String, Hierarchy)> = Vec::new();
    for (d, groups) in shape.iter().enumerate() {
        let leaves: usize = groups.iter().sum();
        lines = lines.iter().flat_map(|l| (0..leaves).map(move |leaf| format!("{l}{leaf},"))).collect();
        if groups.len() > 1 {
            let mut text = String::new();
            let parents = groups.iter().enumerate().flat_map(|(g, &n)| std::iter::repeat_n(g, n));
            for (leaf, group) in parents.enumerate() {
                writeln!(text, "{leaf},g{group}").unwrap();
            }
            hierarchies.push((format!("d{d}"), Hierarchy::Lines(Box::new(std::io::Cursor::new(text)))));
        }
    }
    let mut text: String = (0..shape.len()).map(|d| format!("d{d},")).collect::<String>() + "n\n";
    for line in lines {
        let count = match rng.next_u64() % 10 {
            0 => 0,
            1 => 1 + rng.next_u64() % 4,
            _ => 5 + rng.next_u64() % 60,
        };
        writeln!(text, "{line}{count}").unwrap();
    }
    (text, hierarchies)
}

/// The table as sums over inner cells, from what is written of it.
fn problem(table: &FileTable, primary: &[bool]) -> Problem {
    let mut out = Vec::new();
    table.write(&vec![false; table.cells()], &mut out).unwrap();
    let mut reader = csv::Reader::from_reader(out.as_slice());
    let counts: Vec<u64> =
        reader.records().map(|r| r.unwrap().iter().rev().nth(1).unwrap().parse().unwrap()).collect();
    let inner: HashMap<usize, usize> = table.inner_cells(0).into_iter().zip(0..).collect();
    let mut alive = vec![false; inner.len()];
    inner.iter().for_each(|(cell, place)| alive[*place] = counts[*cell] > 0);
    let sums = (0..table.cells()).map(|c| table.inner_cells(c).iter().map(|i| inner[i]).collect()).collect();
    Problem { counts, sums, alive, primary: primary.to_vec() }
}
