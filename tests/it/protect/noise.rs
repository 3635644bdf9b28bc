//! Differential privacy by the binary: intervals, bounds on what a person changes, margins.

use std::collections::BTreeSet;

use super::{Desk, Line, line};

fn ends(line: &Line) -> (f64, f64) {
    (line.rest[2].parse().unwrap(), line.rest[3].parse().unwrap())
}

/// 40 places by two sexes.
fn cells() -> String {
    let mut cells = "place,sex,n\n".to_owned();
    for place in 0..40 {
        cells += &format!("p{place},m,{}\np{place},f,{}\n", place % 4 * 7, place % 3);
    }
    cells
}

fn truth(line: &Line) -> f64 {
    let of = |place: u32, sex: &str| f64::from(if sex == "m" { place % 4 * 7 } else { place % 3 });
    let places = match line.codes[0].strip_prefix('p') {
        Some(place) => vec![place.parse().unwrap()],
        None => (0..40).collect::<Vec<u32>>(),
    };
    let sexes = if line.codes[1] == "Total" { vec!["m", "f"] } else { vec![line.codes[1].as_str()] };
    places.iter().flat_map(|&p| sexes.iter().map(move |s| of(p, s))).sum()
}

#[test]
fn every_cell_has_noise_and_an_interval_that_holds() {
    let desk = Desk::new();
    desk.write("cells.csv", &cells());
    for options in [
        "--mechanism gaussian",
        "--mechanism laplace",
        "--mechanism gaussian --consistent-margins",
        "--mechanism laplace --consistent-margins",
    ] {
        let options = format!("--count n --method noise --rho 0.1 --cells-a-person 1 {options}");
        let lines = desk.protect("cells.csv", &options).unwrap();
        assert_eq!(lines.len(), 41 * 3);
        let held = lines.iter().filter(|l| (ends(l).0..=ends(l).1).contains(&truth(l))).count();
        // 95 % of 123; margins depend on cells where they are consistent.
        assert!(held > 95, "{options}: {held}");
        assert!(lines.iter().all(|l| l.rest[1].is_empty() && ends(l).0 < ends(l).1), "{options}");
        let empty = lines.iter().filter(|l| truth(l) == 0.0);
        assert!(empty.filter(|l| l.value() != Some(0.0)).count() > 3, "empty cells have noise");
        let again = desk.protect("cells.csv", &options).unwrap();
        assert_ne!(again, lines, "noise is drawn anew");
        let sum = |codes: &[&str]| line(&lines, codes).value().unwrap();
        let men: f64 =
            lines.iter().filter(|l| l.codes[0] != "Total" && l.codes[1] == "m").filter_map(Line::value).sum();
        let adds_up = (sum(&["Total", "m"]) - men).abs() < 1e-6;
        assert_eq!(adds_up, options.contains("consistent"), "{options}");
    }
}

/// With hardly any noise it shows how much one person can change.
#[test]
fn a_person_in_many_cells_counts_in_as_many_as_stated() {
    let desk = Desk::new();
    let mut cells = "id,place,n\n".to_owned();
    for place in 0..200 {
        cells += &format!("everywhere,p{place},1\n");
    }
    desk.write("cells.csv", &cells);
    let mut kept = BTreeSet::new();
    for most in [1, 3] {
        let options =
            format!("--count n --contributors id --method noise --rho 1000 --cells-a-person {most}");
        let lines = desk.protect("cells.csv", &options).unwrap();
        let inner: f64 = lines.iter().filter(|l| l.codes[0] != "Total").filter_map(Line::value).sum();
        assert!((inner - f64::from(most)).abs() < 0.5, "{inner}");
        assert_eq!(line(&lines, &["Total"]).value(), Some(1.0), "a person counts once in a margin");
        kept.extend(lines.iter().filter(|l| l.value() == Some(1.0)).map(|l| l.codes[0].clone()));
    }
    assert!(kept.len() > 2, "the cells are drawn: {kept:?}");
    let three = "--count n --contributors id --method noise --rho 1 --cells-a-person 3 --consistent-margins";
    desk.refused("cells.csv", three, "consistent margins need one cell a person");
}

#[test]
fn impossible_combinations_stay_impossible() {
    let desk = Desk::new();
    desk.write("cells.csv", "icd,sex,n\npregnancy,m,.\npregnancy,f,30\nflu,m,90\nflu,f,80\n");
    let options = "--count n --method noise --rho 0.5 --cells-a-person 1";
    let lines = desk.protect("cells.csv", options).unwrap();
    assert_eq!(line(&lines, &["pregnancy", "m"]).rest, ["", ".", "", ""]);
    desk.refused("cells.csv", &format!("{options} --consistent-margins"), "count them as 0");
}
