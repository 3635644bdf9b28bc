//! The attacker who holds one released CSV and the code lists, and nothing else.
//!
//! Withheld cells are unknowns; every sum over the children of a code is an equation; a share that is
//! published beside one of its counts gives the other. What elimination leaves alone in a row is known,
//! and so is the difference of two known counts of a cell.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use crate::oracle::Cells;

/// Counts below this and above zero must not be learnt.
pub const K: u64 = 5;

/// The measures, each counted in all those before it.
pub const MEASURES: [&str; 4] = ["persons", "gp_180", "gp_90", "gp_30"];
/// Where the oracle has them.
const ORACLE: [usize; 4] = [0, 3, 2, 1];

/// A released table as its CSV has it.
pub struct Released {
    dimensions: Vec<String>,
    rows: BTreeMap<Vec<String>, [Option<u64>; 4]>,
}

impl Released {
    /// The published count of persons at these codes.
    /// The published counts that another table of the same question shows as another number.
    pub fn differing(&self, other: &Self) -> Vec<(u64, u64)> {
        let pairs = self.rows.iter().filter_map(|(key, counts)| Some((counts, other.rows.get(key)?)));
        let counts = pairs.flat_map(|(a, b)| a.iter().copied().zip(b.iter().copied()));
        counts.filter_map(|(a, b)| a.zip(b)).filter(|(a, b)| a != b).collect()
    }

    pub fn persons(&self, codes: &[&str]) -> Option<u64> {
        let key: Vec<String> = codes.iter().map(|&code| code.to_owned()).collect();
        self.rows[&key][0]
    }
}

/// Reads a released CSV.
pub fn read(csv: &[u8]) -> Released {
    let mut reader = csv::Reader::from_reader(csv);
    let header: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let column =
        |name: &str| header.iter().position(|h| h == name).unwrap_or_else(|| panic!("no column {name}"));
    let dimensions: Vec<String> = header.iter().take_while(|h| *h != "persons").cloned().collect();
    let mut rows = BTreeMap::new();
    for record in reader.records() {
        let record = record.unwrap();
        let key = record.iter().take(dimensions.len()).map(str::to_owned).collect();
        let values = MEASURES.map(|measure| {
            let value = &record[column(measure)];
            let status = &record[column(&format!("{measure}_status"))];
            match (status, value) {
                ("", value) => Some(value.parse::<u64>().unwrap()),
                (":", "") => None,
                // Nobody can be there, and everyone knows that.
                (".", "") => Some(0),
                _ => panic!("a status other than empty, ':' or '.'"),
            }
        });
        for (m, measure) in MEASURES.iter().enumerate().skip(1) {
            let share = &record[column(&format!("{measure}_share"))];
            match (values[m], values[0]) {
                (Some(part), Some(whole)) if whole > 0 => {
                    let permille = (2000 * part + whole) / (2 * whole);
                    assert_eq!(share, format!("{}.{}", permille / 10, permille % 10));
                }
                _ => assert!(share.is_empty(), "a share is published beside a withheld count"),
            }
        }
        assert!(rows.insert(key, values).is_none(), "a cell occurs twice");
    }
    Released { dimensions, rows }
}

/// The children of each code of each dimension, from the code lists.
fn children(dimension: &str) -> HashMap<String, Vec<String>> {
    let of =
        |codes: &[&str]| HashMap::from([("Total".to_owned(), codes.iter().map(|&c| c.to_owned()).collect())]);
    match dimension {
        "sex" => of(&["1", "2"]),
        "age" => of(&["0-17", "18-44", "45-66", "67+"]),
        "municipality" => {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/codelists/region.csv");
            let mut below: HashMap<String, Vec<String>> = HashMap::new();
            for row in csv::Reader::from_path(path).unwrap().records() {
                let row = row.unwrap();
                below.entry(row[2].to_owned()).or_default().push(row[0].to_owned());
            }
            below
        }
        other => panic!("unknown dimension {other}"),
    }
}

const Q: u64 = 2_147_483_629;

fn inverse(a: u64) -> u64 {
    let (mut result, mut base, mut exponent) = (1, a, Q - 2);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = result * base % Q;
        }
        base = base * base % Q;
        exponent /= 2;
    }
    result
}

/// A sum of unknown cells with coefficients, by the number of the unknown.
type Sum = BTreeMap<usize, u64>;

/// `row` minus so many times `by` that nothing is left at `column`, where `by` has a one.
fn eliminate(row: &mut Sum, column: usize, by: &Sum) {
    let Some(factor) = row.get(&column).copied() else { return };
    for (&c, &x) in by {
        let entry = row.entry(c).or_insert(0);
        *entry = (*entry + (Q - factor) * x) % Q;
        if *entry == 0 {
            row.remove(&c);
        }
    }
}

/// The row times a number that makes its first entry one.
fn scaled(mut row: Sum) -> Sum {
    if let Some(lead) = row.values().next().copied() {
        let scale = inverse(lead);
        row.values_mut().for_each(|x| *x = *x * scale % Q);
    }
    row
}

/// All equations between withheld cells of all measures, solved as far as they go.
struct Attacker {
    unknown: BTreeMap<(Vec<String>, usize), usize>,
    pivots: Vec<(usize, Sum)>,
}

impl Attacker {
    /// `empty` tells of a cell whether nobody is in it who is counted by a measure but not by the next
    /// narrower one. The attacker is taken to know that.
    fn new(released: &Released, empty: &dyn Fn(&Vec<String>, usize) -> bool) -> Self {
        let lists: Vec<HashMap<String, Vec<String>>> =
            released.dimensions.iter().map(|d| children(d)).collect();
        let cells = released
            .rows
            .iter()
            .flat_map(|(key, values)| (0..4).filter(|&m| values[m].is_none()).map(move |m| (key.clone(), m)));
        let unknown = cells.enumerate().map(|(i, cell)| (cell, i)).collect();
        let mut attacker = Self { unknown, pivots: Vec::new() };
        for key in released.rows.keys() {
            for m in 0..4 {
                for (d, list) in lists.iter().enumerate() {
                    let Some(below) = list.get(&key[d]) else { continue };
                    let mut row: Sum = BTreeMap::new();
                    for code in below {
                        let mut child = key.clone();
                        child[d].clone_from(code);
                        attacker.put(&mut row, child, m, 1);
                    }
                    attacker.put(&mut row, key.clone(), m, Q - 1);
                    attacker.learn(row);
                }
                if m > 0 && empty(key, m) {
                    attacker.learn(attacker.difference(key, m - 1, m));
                }
            }
        }
        attacker
    }

    fn put(&self, row: &mut Sum, key: Vec<String>, measure: usize, factor: u64) {
        if let Some(&i) = self.unknown.get(&(key, measure)) {
            row.insert(i, factor);
        }
    }

    /// The unknown part of the count of `wider` less that of `narrower`; of one cell if they are the same.
    fn difference(&self, key: &[String], wider: usize, narrower: usize) -> Sum {
        let mut row = BTreeMap::new();
        self.put(&mut row, key.to_vec(), wider, 1);
        if wider != narrower {
            self.put(&mut row, key.to_vec(), narrower, Q - 1);
        }
        row
    }

    fn learn(&mut self, row: Sum) {
        let row = scaled(self.left(row));
        let Some(&column) = row.keys().next() else { return };
        for (_, pivot) in &mut self.pivots {
            eliminate(pivot, column, &row);
        }
        self.pivots.push((column, row));
    }

    /// What is unknown of a sum once all equations are used. Nothing left: the attacker knows it.
    fn left(&self, mut row: Sum) -> Sum {
        for (column, pivot) in &self.pivots {
            eliminate(&mut row, *column, pivot);
        }
        row
    }
}

/// The same equations for whole numbers of persons: between withheld counts, none of them zero, each measure counts
/// no more than the wider ones.
struct Bounds {
    equations: Vec<(BTreeMap<usize, f64>, f64)>,
    /// Cells by number, the first at least one more than the second.
    above: Vec<(Sum, f64)>,
    unknowns: usize,
}

impl Bounds {
    /// `empty` as for [`Attacker::new`].
    fn new(attacker: &Attacker, released: &Released, empty: &dyn Fn(&Vec<String>, usize) -> bool) -> Self {
        let lists: Vec<HashMap<String, Vec<String>>> =
            released.dimensions.iter().map(|d| children(d)).collect();
        let mut bounds = Self { equations: Vec::new(), above: Vec::new(), unknowns: attacker.unknown.len() };
        for (key, values) in &released.rows {
            for m in 0..4 {
                for (d, list) in lists.iter().enumerate() {
                    let Some(below) = list.get(&key[d]) else { continue };
                    let (mut row, mut known) = (BTreeMap::new(), 0.0);
                    let mut add = |key: &Vec<String>, sign: f64| match released.rows.get(key).map(|v| v[m]) {
                        Some(Some(count)) => known -= sign * count as f64,
                        Some(None) => drop(row.insert(attacker.unknown[&(key.clone(), m)], sign)),
                        // Not every code of the list is in the table.
                        None => {}
                    };
                    add(key, -1.0);
                    for code in below {
                        let mut child = key.clone();
                        child[d].clone_from(code);
                        add(&child, 1.0);
                    }
                    if !row.is_empty() {
                        bounds.equations.push((row, known));
                    }
                }
                let (Some(wider), narrow) = (m.checked_sub(1), values[m]) else { continue };
                let mut row = BTreeMap::new();
                attacker.put(&mut row, key.clone(), wider, 1);
                attacker.put(&mut row, key.clone(), m, Q - 1);
                let least = if empty(key, m) { 0.0 } else { 1.0 };
                let known = narrow.unwrap_or(0) as f64 - values[wider].unwrap_or(0) as f64;
                if !row.is_empty() {
                    bounds.above.push((row, least + known));
                }
            }
        }
        bounds
    }

    /// The least and the most that a sum of unknowns can be, by linear programming.
    fn of(&self, sum: &Sum) -> (f64, f64) {
        use microlp::{ComparisonOp, OptimizationDirection, Problem, SolveOutcome};
        let signed = |x: u64| if x > Q / 2 { -((Q - x) as f64) } else { x as f64 };
        let ends = [OptimizationDirection::Minimize, OptimizationDirection::Maximize].map(|direction| {
            let mut problem = Problem::new(direction);
            let least = (1.0, f64::INFINITY);
            let variables: Vec<_> = (0..self.unknowns)
                .map(|i| problem.add_var(sum.get(&i).map_or(0.0, |&x| signed(x)), least))
                .collect();
            for (row, known) in &self.equations {
                let row: Vec<_> = row.iter().map(|(&i, &x)| (variables[i], x)).collect();
                problem.add_constraint(&row, ComparisonOp::Eq, *known);
            }
            for (row, least) in &self.above {
                let row: Vec<_> = row.iter().map(|(&i, &x)| (variables[i], signed(x))).collect();
                problem.add_constraint(&row, ComparisonOp::Ge, *least);
            }
            match problem.solve() {
                Ok(SolveOutcome::Solution(solution)) => solution.objective(),
                Ok(SolveOutcome::Interrupted(_)) => unreachable!("no limit is set"),
                Err(microlp::Error::Unbounded) => f64::INFINITY,
                Err(error) => panic!("the true table fits all equations: {error}"),
            }
        });
        (ends[0], ends[1])
    }
}

/// What became of a table under attack.
#[derive(Debug, Default)]
pub struct Report {
    /// Cells that hold 5 persons or more, over all measures.
    pub large: usize,
    /// Of them, those published.
    pub large_published: usize,
    /// Cells that hold 1-4.
    pub small: usize,
    /// Withheld cells.
    pub withheld: usize,
    /// The persons in them.
    pub persons_withheld: u64,
}

/// Compares every published cell with the oracle, attacks the withheld ones and asks of each whether it
/// had to be withheld.
pub fn attack(released: &Released, truth: &Cells) -> Report {
    let true_of = |key: &Vec<String>, m: usize| {
        let key: [String; 3] = key.clone().try_into().unwrap();
        truth.get(&key).map_or(0, |counts| counts[ORACLE[m]])
    };
    for key in truth.keys() {
        assert!(released.rows.contains_key(key.as_slice()), "the table lacks a cell of the oracle");
    }
    let mut report = Report::default();
    for (key, values) in &released.rows {
        for (m, value) in values.iter().enumerate() {
            let count = true_of(key, m);
            if let Some(value) = value {
                assert_eq!(*value, count, "cell {key:?}, {}", MEASURES[m]);
                assert!(!(1..K).contains(value), "a small cell is published");
            } else {
                report.withheld += 1;
                report.persons_withheld += count;
                assert!(count > 0, "an empty cell is withheld");
            }
            report.small += usize::from((1..K).contains(&count));
            report.large += usize::from(count >= K);
            report.large_published += usize::from(count >= K && value.is_some());
        }
    }
    let attacker = Attacker::new(released, &|key, m| true_of(key, m - 1) == true_of(key, m));
    let bounds = Bounds::new(&attacker, released, &|key, m| true_of(key, m - 1) == true_of(key, m));
    // Everything small that must not be learnt: counts, and differences of two measures of a cell.
    let mut secrets = Vec::new();
    for key in released.rows.keys() {
        for (m, narrow) in MEASURES.iter().enumerate() {
            for (wider, wide) in MEASURES.iter().enumerate().take(m + 1) {
                let count = if m == wider { true_of(key, m) } else { true_of(key, wider) - true_of(key, m) };
                if (1..K).contains(&count) {
                    let left = attacker.left(attacker.difference(key, wider, m));
                    assert!(!left.is_empty(), "{key:?}: {wide} less {narrow} is known");
                    secrets.push((key, wider, m));
                }
            }
        }
    }
    // A linear program each: some of them, spread over the table.
    for (key, wider, narrower) in secrets.iter().step_by(secrets.len().div_ceil(PROGRAMS)) {
        let (low, high) = bounds.of(&attacker.difference(key, *wider, *narrower));
        assert!(high - low > K as f64 - 0.5, "{key:?}: {wider} less {narrower} is {low} to {high}");
    }
    report
}

/// How many small numbers of a table are bounded by linear programs.
const PROGRAMS: usize = 30;

#[test]
fn the_attacker_sees_through_a_lone_withheld_cell() {
    let csv = "sex,persons,persons_status,gp_30,gp_30_status,gp_30_share,gp_30_share_status,gp_90,gp_90_status,\
               gp_90_share,gp_90_share_status,gp_180,gp_180_status,gp_180_share,gp_180_share_status\n\
               Total,30,,10,,33.3,,10,,33.3,,10,,33.3,\n\
               1,27,,5,,18.5,,5,,18.5,,5,,18.5,\n\
               2,,:,5,,,:,5,,,:,5,,,:\n";
    let table = read(csv.as_bytes());
    let attacker = Attacker::new(&table, &|_, _| false);
    assert!(attacker.left(attacker.difference(&["2".to_owned()], 0, 0)).is_empty());
}
