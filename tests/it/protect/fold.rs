//! Folding and suppression against one who knows the code lists and solves for the cells of the file.

use std::collections::BTreeMap;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;

use super::{Desk, Line, line};

/// A prime; products of two numbers below it fit 64 bits.
const Q: u64 = 2_147_483_629;
const PLACES: usize = 6;
const SEXES: [&str; 2] = ["m", "f"];
const AGES: [&str; 2] = ["0-66", "67+"];

/// The inner cells below a code of the first dimension as the file has it; three lie in each county.
fn places(code: &str) -> Vec<usize> {
    match code.split_at(1) {
        ("T", _) => (0..PLACES).collect(),
        ("c", county) => (0..PLACES).filter(|p| p / 3 == county.parse::<usize>().unwrap()).collect(),
        (_, place) => vec![place.parse().unwrap()],
    }
}

/// Which leaves a code of the output stands for: those of its name, or those of a parent that are not shown.
fn leaves(dimension: usize, code: &str, shown: &[String]) -> Vec<usize> {
    let below = |code: &str| match dimension {
        0 => places(code),
        1 => (0..2).filter(|&s| code == "Total" || SEXES[s] == code).collect(),
        _ => (0..2).filter(|&a| code == "Total" || AGES[a] == code).collect(),
    };
    let Some(parent) = code.strip_suffix("-ovrig") else { return below(code) };
    let is_below =
        |c: &&String| **c != parent && !c.ends_with("-ovrig") && below(parent).len() > below(c).len();
    let apart: Vec<usize> = shown.iter().filter(is_below).flat_map(|c| below(c)).collect();
    below(parent).into_iter().filter(|leaf| !apart.contains(leaf)).collect()
}

/// A sum of inner cells as a row.
fn row(of: [&[usize]; 3]) -> Vec<u64> {
    let mut row = vec![0; PLACES * 4];
    for &place in of[0] {
        for &sex in of[1] {
            for &age in of[2] {
                row[place * 4 + sex * 2 + age] = 1;
            }
        }
    }
    row
}

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

/// What the attacker knows, in echelon form.
#[derive(Default)]
struct Known(Vec<(usize, Vec<u64>)>);

impl Known {
    fn reduced(&self, mut row: Vec<u64>) -> Vec<u64> {
        for (pivot, known) in &self.0 {
            let factor = row[*pivot];
            row.iter_mut().zip(known).for_each(|(x, k)| *x = (*x + (Q - factor) * k) % Q);
        }
        row
    }

    fn learn(&mut self, row: Vec<u64>) {
        let mut row = self.reduced(row);
        if let Some(pivot) = row.iter().position(|x| *x != 0) {
            let scale = inverse(row[pivot]);
            row.iter_mut().for_each(|x| *x = *x * scale % Q);
            self.0.push((pivot, row));
        }
    }

    fn knows(&self, row: Vec<u64>) -> bool {
        self.reduced(row).iter().all(|x| *x == 0)
    }
}

/// Everything that follows from the lines, with everything in an empty cell known to be empty.
fn attacker(lines: &[Line], truth: &[u64]) -> Known {
    let shown: Vec<Vec<String>> =
        (0..3).map(|d| lines.iter().map(|line| line.codes[d].clone()).collect()).collect();
    let mut known = Known::default();
    for line in lines {
        let of: Vec<Vec<usize>> = (0..3).map(|d| leaves(d, &line.codes[d], &shown[d])).collect();
        let row = row([&of[0], &of[1], &of[2]]);
        let Some(value) = line.value() else { continue };
        let count: u64 = row.iter().zip(truth).map(|(r, t)| r * t).sum();
        assert!((value - count as f64).abs() < 0.1, "{:?} is {count}", line.codes);
        assert!(!(1..5).contains(&count), "a small count is published");
        if count == 0 {
            for (inner, _) in row.iter().enumerate().filter(|(_, r)| **r == 1) {
                known.learn((0..row.len()).map(|i| u64::from(i == inner)).collect());
            }
        }
        known.learn(row);
    }
    known
}

/// The least and the most that these inner cells can have together, where no line is negative and none withheld is empty.
fn bounds(of: &[u64], lines: &[Line]) -> (f64, f64) {
    use microlp::{ComparisonOp, OptimizationDirection, Problem, SolveOutcome};
    let shown: Vec<Vec<String>> =
        (0..3).map(|d| lines.iter().map(|line| line.codes[d].clone()).collect()).collect();
    let ends = [OptimizationDirection::Minimize, OptimizationDirection::Maximize].map(|direction| {
        let mut problem = Problem::new(direction);
        let cells: Vec<_> = of.iter().map(|&x| problem.add_var(x as f64, (0.0, f64::INFINITY))).collect();
        for line in lines {
            let of: Vec<Vec<usize>> = (0..3).map(|d| leaves(d, &line.codes[d], &shown[d])).collect();
            let row = row([&of[0], &of[1], &of[2]]);
            let row: Vec<_> =
                cells.iter().zip(row).filter(|(_, x)| *x == 1).map(|(&cell, _)| (cell, 1.0)).collect();
            match line.value() {
                Some(value) => problem.add_constraint(&row, ComparisonOp::Eq, value),
                None => problem.add_constraint(&row, ComparisonOp::Ge, 1.0),
            }
        }
        match problem.solve() {
            Ok(SolveOutcome::Solution(solution)) => solution.objective(),
            other => panic!("the file fits all lines: {other:?}"),
        }
    });
    (ends[0], ends[1])
}

#[test]
fn no_small_count_of_the_file_follows_from_the_folded_table() {
    let (mut folded, mut published, mut ranged) = (0, 0, 0);
    for seed in 0..30 {
        let rng = &mut ChaCha20Rng::seed_from_u64(seed);
        let desk = Desk::new();
        let truth: Vec<u64> = (0..PLACES * 4)
            .map(|_| match rng.random_range(0..10) {
                0..4 => 0,
                4..7 => rng.random_range(1..5),
                7..9 => rng.random_range(5..40),
                _ => rng.random_range(40..400),
            })
            .collect();
        let mut cells = "place,sex,age,n\n".to_owned();
        for (at, count) in truth.iter().enumerate() {
            cells += &format!("p{},{},{},{count}\n", at / 4, SEXES[at / 2 % 2], AGES[at % 2]);
        }
        desk.write("cells.csv", &cells);
        desk.write("places.csv", &(0..PLACES).map(|p| format!("p{p},c{}\n", p / 3)).collect::<String>());
        desk.key("key", seed as u8);
        // Every other file is protected against exact recovery only, which most of them have room for.
        let min_range = if seed % 2 == 0 { 0 } else { 5 };
        let options = &format!(
            "--count n --method fold --hierarchy place=places.csv --key key --min-range {min_range}"
        );
        let lines = match desk.protect("cells.csv", options) {
            Ok(lines) => lines,
            Err(said) => {
                assert!(said.contains("use --method suppress"), "{said}");
                continue;
            }
        };
        let total: u64 = truth.iter().sum();
        assert_eq!(line(&lines, &["Total", "Total", "Total"]).rest, [total.to_string(), String::new()]);
        let known = attacker(&lines, &truth);
        for place in (0..PLACES).map(|p| format!("p{p}")).chain(["c0", "c1", "Total"].map(str::to_owned)) {
            for sex in SEXES.into_iter().chain(["Total"]) {
                for age in AGES.into_iter().chain(["Total"]) {
                    let row = row([&places(&place), &leaves(1, sex, &[]), &leaves(2, age, &[])]);
                    let count: u64 = row.iter().zip(&truth).map(|(r, t)| r * t).sum();
                    assert!(
                        !(1..5).contains(&count) || !known.knows(row),
                        "seed {seed}: {count} in {place} {sex} {age} is known"
                    );
                }
            }
        }
        let shown: Vec<Vec<String>> =
            (0..3).map(|d| lines.iter().map(|line| line.codes[d].clone()).collect()).collect();
        for line in lines.iter().filter(|line| min_range > 0 && line.value().is_none()) {
            let of: Vec<Vec<usize>> = (0..3).map(|d| leaves(d, &line.codes[d], &shown[d])).collect();
            let row = row([&of[0], &of[1], &of[2]]);
            let count: u64 = row.iter().zip(&truth).map(|(r, t)| r * t).sum();
            if (1..5).contains(&count) {
                let (least, most) = bounds(&row, &lines);
                assert!(most - least > 4.99, "seed {seed}: {:?} is {least} to {most}", line.codes);
                ranged += 1;
            }
        }
        folded += usize::from(lines.iter().any(|l| l.codes[0].ends_with("-ovrig")));
        published += lines.iter().filter(|l| l.value().is_some()).count();
        if seed == 0 {
            assert_eq!(
                desk.protect("cells.csv", options).unwrap(),
                lines,
                "the same table and key, another release"
            );
        }
    }
    assert!(folded >= 3 && published > 300 && ranged >= 10, "{folded} {published} {ranged}");
}

#[test]
fn small_categories_go_into_ovrig_and_totals_stay() {
    let desk = Desk::new();
    desk.write("cells.csv", "icd,n\nA,400\nB,300\nC,3\nD,12\nE,2\nF,250\n");
    desk.key("key", 7);
    let lines = desk.protect("cells.csv", "--count n --method fold --key key").unwrap();
    let values: BTreeMap<&str, &str> =
        lines.iter().map(|l| (l.codes[0].as_str(), l.rest[0].as_str())).collect();
    assert_eq!(values["Total"], "967");
    assert!(!values.contains_key("C") && !values.contains_key("E"));
    let rest: u64 = values["Total-ovrig"].parse().unwrap();
    let shown: u64 =
        ["A", "B", "D", "F"].iter().filter_map(|c| values.get(c)).map(|v| v.parse::<u64>().unwrap()).sum();
    assert_eq!(rest + shown, 967);
    assert!(rest >= 7 && lines.iter().all(|l| l.rest[1].is_empty()));
}
