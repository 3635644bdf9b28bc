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
            assert!(
                status.is_empty() || (status == ":" && value.is_empty()),
                "a status other than empty or ':'"
            );
            value.parse::<u64>().ok()
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

/// What the attacker knows of one measure: a published cell, or one that elimination gives.
fn known(released: &Released, withheld: &dyn Fn(&Vec<String>) -> bool) -> BTreeMap<Vec<String>, bool> {
    let lists: Vec<HashMap<String, Vec<String>>> = released.dimensions.iter().map(|d| children(d)).collect();
    let unknown: BTreeMap<&Vec<String>, usize> =
        released.rows.keys().filter(|k| withheld(k)).enumerate().map(|(i, k)| (k, i)).collect();
    let mut rows: Vec<BTreeMap<usize, u64>> = Vec::new();
    for key in released.rows.keys() {
        for (d, list) in lists.iter().enumerate() {
            let Some(below) = list.get(&key[d]) else { continue };
            let cells = below.iter().map(|code| {
                let mut child = key.clone();
                child[d].clone_from(code);
                child
            });
            let mut row: BTreeMap<usize, u64> =
                cells.filter_map(|child| unknown.get(&child).map(|&i| (i, 1))).collect();
            if let Some(&i) = unknown.get(key) {
                row.insert(i, Q - 1);
            }
            if !row.is_empty() {
                rows.push(row);
            }
        }
    }

    // Gauss-Jordan on sparse rows.
    let mut pivots: Vec<(usize, BTreeMap<usize, u64>)> = Vec::new();
    let eliminate = |row: &mut BTreeMap<usize, u64>, column: usize, by: &BTreeMap<usize, u64>| {
        if let Some(&factor) = row.get(&column) {
            for (&c, &x) in by {
                let entry = row.entry(c).or_insert(0);
                *entry = (*entry + (Q - factor) * x) % Q;
                if *entry == 0 {
                    row.remove(&c);
                }
            }
        }
    };
    for mut row in rows {
        for (column, pivot) in &pivots {
            eliminate(&mut row, *column, pivot);
        }
        let Some((&column, &lead)) = row.iter().next() else { continue };
        let scale = inverse(lead);
        row.values_mut().for_each(|x| *x = *x * scale % Q);
        for (_, pivot) in &mut pivots {
            eliminate(pivot, column, &row);
        }
        pivots.push((column, row));
    }
    let mut alone = vec![false; unknown.len()];
    for (_, row) in &pivots {
        if let (1, Some((&c, _))) = (row.len(), row.iter().next()) {
            alone[c] = true;
        }
    }
    released.rows.keys().map(|k| (k.clone(), unknown.get(k).is_none_or(|&i| alone[i]))).collect()
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
}

/// Compares every published cell with the oracle, attacks the withheld ones and asks of each whether
/// it had to be withheld. `minimal` also tries every single withheld cell, which takes long.
pub fn attack(released: &Released, truth: &Cells, minimal: bool) -> Report {
    let true_of = |key: &Vec<String>, m: usize| {
        let key: [String; 3] = key.clone().try_into().unwrap();
        truth.get(&key).map_or(0, |counts| counts[ORACLE[m]])
    };
    for key in truth.keys() {
        assert!(released.rows.contains_key(&key.to_vec()), "the table lacks a cell of the oracle");
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
                assert!(count > 0, "an empty cell is withheld");
            }
            report.small += usize::from((1..K).contains(&count));
            report.large += usize::from(count >= K);
            report.large_published += usize::from(count >= K && value.is_some());
        }
    }
    let withheld = |m: usize| move |key: &Vec<String>| released.rows[key][m].is_none();
    let base: Vec<_> = (0..4).map(|m| known(released, &withheld(m))).collect();
    let leaks = |base: &[BTreeMap<Vec<String>, bool>]| {
        released
            .rows
            .keys()
            .flat_map(|key| (0..4).flat_map(move |m| (0..=m).map(move |wider| (key, m, wider))))
            .filter(|(key, m, wider)| {
                let learnt =
                    if m == wider { true_of(key, *m) } else { true_of(key, *wider) - true_of(key, *m) };
                (1..K).contains(&learnt) && base[*m][*key] && base[*wider][*key]
            })
            .count()
    };
    assert_eq!(leaks(&base), 0, "a count of 1 to {} can be computed", K - 1);
    if minimal {
        for m in 0..4 {
            for key in released.rows.keys().filter(|k| released.rows[*k][m].is_none()) {
                let mut with = base.clone();
                with[m] = known(released, &|k: &Vec<String>| released.rows[k][m].is_none() && k != key);
                assert!(leaks(&with) > 0, "cell {key:?}, {} is withheld without need", MEASURES[m]);
            }
        }
    }
    report
}

#[test]
fn the_attacker_sees_through_a_lone_withheld_cell() {
    let csv = "sex,persons,persons_status,gp_30,gp_30_status,gp_30_share,gp_30_share_status,gp_90,gp_90_status,\
               gp_90_share,gp_90_share_status,gp_180,gp_180_status,gp_180_share,gp_180_share_status\n\
               Total,30,,10,,33.3,,10,,33.3,,10,,33.3,\n\
               1,27,,5,,18.5,,5,,18.5,,5,,18.5,\n\
               2,,:,5,,,:,5,,,:,5,,,:\n";
    let table = read(csv.as_bytes());
    let known = known(&table, &|key| table.rows[key][0].is_none());
    assert!(known[&vec!["2".to_owned()]]);
}
