//! Noisy tables: what they cost, that they add up, that their intervals hold.

use std::num::NonZeroU32;

use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;

use super::*;
use crate::domain::codelist::{Code, CodeList};
use crate::domain::ids::{CodeListId, VariableId};
use crate::domain::period::Period;
use crate::domain::table::{Dimension, Measure};

fn persons(cells: u32) -> Contribution {
    Contribution::of_persons(NonZeroU32::new(cells).unwrap())
}

fn list(name: &str, parents: &[Option<u32>]) -> CodeList {
    let code =
        |(n, &parent): (usize, &Option<u32>)| Code { code: format!("c{n}"), label: String::new(), parent };
    let codes = parents.iter().enumerate().map(code).collect();
    CodeList::new(CodeListId::new(name).unwrap(), name.to_owned(), codes).unwrap()
}

fn shape(lists: Vec<CodeList>, measures: u32) -> TableShape {
    let variable = |name: &str| VariableId::new(name).unwrap();
    TableShape {
        title: "A table".to_owned(),
        dimensions: lists
            .into_iter()
            .map(|codes| Dimension {
                variable: variable(codes.id().as_str()),
                label: String::new(),
                codes,
                impossible: Vec::new(),
            })
            .collect(),
        measures: (0..measures)
            .map(|m| Measure {
                code: variable(&format!("m{m}")),
                label: String::new(),
                nested_in: (0..m).collect(),
                statistic: None,
            })
            .collect(),
        period: Period::new("2024-01-01".parse().unwrap(), "2024-12-31".parse().unwrap()).unwrap(),
    }
}

/// Two counties, one with two municipalities and one without; two sexes.
fn small(measures: u32) -> TableShape {
    let place = list("place", &[None, Some(0), Some(1), Some(1), Some(0)]);
    shape(vec![place, list("sex", &[None, Some(0), Some(0)])], measures)
}

fn additive(shape: &TableShape, inner: impl Fn(usize) -> i64) -> Vec<i64> {
    let cells = inner_cells(shape);
    let measures = shape.measures.len();
    let mut values: Vec<i64> =
        (0..shape.cells() * measures).map(|at| if cells[at / measures] { inner(at) } else { 0 }).collect();
    add_up(shape, &mut values);
    values
}

fn adds_up(shape: &TableShape, values: &[i64]) -> bool {
    let again = additive(shape, |at| values[at]);
    again == values
}

/// By hand: the lists have 3 and 2 depths, so 6 levels. One person in one cell is in one cell of each.
#[test]
fn sensitivities_by_hand() {
    let of = |contribution, margins, measures| sensitivity(&small(measures), contribution, margins).unwrap();
    let one = of(persons(1), Margins::Own, 1);
    assert_eq!((one.l1(), one.l2_squared()), (6, 6));
    let three = of(persons(1), Margins::Own, 3);
    assert_eq!((three.l1(), three.l2_squared()), (18, 18));
    let inner = of(persons(1), Margins::Added, 3);
    assert_eq!((inner.l1(), inner.l2_squared()), (3, 3));
    // Three cells a person: cells by level are 1·1, 1·2, 2·1, 2·2, 2·1, 2·2 (inner).
    let many = of(persons(3), Margins::Own, 1);
    assert_eq!((many.l1(), many.l2_squared()), (1 + 2 + 2 + 3 + 2 + 3, 13));
    // Two cells by three events: 6 in every level, squared 36, but 2·9 at the deepest.
    let count = |n| NonZeroU32::new(n).unwrap();
    let events = of(Contribution::of_events(count(2), count(3)), Margins::Own, 1);
    assert_eq!((events.l1(), events.l2_squared()), (36, 5 * 36 + 18));
    assert_eq!(sensitivity(&small(1), persons(2), Margins::Added), Err(PrivacyError::Margins));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]
    /// One person, at any inner cells, never changes the cells that get noise by more than is accounted for.
    #[test]
    fn one_person_changes_no_more(cells in prop::collection::btree_set(0usize..6, 1..4), measures in 1u32..3) {
        let shape = small(measures);
        let inner: Vec<usize> = (0..shape.cells()).filter(|&c| inner_cells(&shape)[c]).collect();
        let m = measures as usize;
        let change = additive(&shape, |at| i64::from(cells.iter().any(|&c| inner[c] == at / m)));
        let norms = |of: &[i64]| (of.iter().sum::<i64>() as u128, of.iter().map(|x| x * x).sum::<i64>() as u128);
        let count = NonZeroU32::new(cells.len() as u32).unwrap();
        let events = Contribution::of_events(count, NonZeroU32::MIN);
        let bound = sensitivity(&shape, events, Margins::Own).unwrap();
        let (l1, l2) = norms(&change);
        prop_assert!(l1 <= bound.l1() && l2 <= bound.l2_squared());
        let once: Vec<i64> = change.iter().map(|x| x.signum()).collect();
        let bound = sensitivity(&shape, persons(cells.len() as u32), Margins::Own).unwrap();
        let (l1, l2) = norms(&once);
        prop_assert!(l1 <= bound.l1() && l2 <= bound.l2_squared());
    }
}

/// Two passes for each dimension against the normal equations of the whole table.
#[test]
fn the_fit_is_that_of_the_normal_equations() {
    let shape = small(1);
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let measured: Vec<f64> = (0..shape.cells()).map(|_| rng.random_range(-50.0..50.0)).collect();
    let inner: Vec<usize> = (0..shape.cells()).filter(|&c| inner_cells(&shape)[c]).collect();
    let columns: Vec<Vec<f64>> = inner
        .iter()
        .map(|&c| additive(&shape, |at| i64::from(at == c)).iter().map(|&x| x as f64).collect())
        .collect();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    let n = inner.len();
    // [AᵀA | Aᵀy | I], solved by Gauss and Jordan.
    let mut rows: Vec<Vec<f64>> = (0..n)
        .map(|i| {
            let mut row: Vec<f64> = columns.iter().map(|c| dot(&columns[i], c)).collect();
            row.push(dot(&columns[i], &measured));
            row.extend((0..n).map(|j| f64::from(u8::from(i == j))));
            row
        })
        .collect();
    for i in 0..n {
        let pivot: Vec<f64> = rows[i].iter().map(|x| x / rows[i][i]).collect();
        for (r, row) in rows.iter_mut().enumerate() {
            let factor = row[i];
            if r == i {
                row.clone_from(&pivot);
            } else {
                row.iter_mut().zip(&pivot).for_each(|(x, p)| *x -= factor * p);
            }
        }
    }
    let mut fitted = measured.clone();
    fit(&shape, &mut fitted);
    let variances = variances(&shape);
    for cell in 0..shape.cells() {
        let weights: Vec<f64> = columns.iter().map(|c| c[cell]).collect();
        let expected: f64 = (0..n).map(|i| weights[i] * rows[i][n]).sum();
        assert!((fitted[cell] - expected).abs() < 1e-9, "{cell}");
        let variance: f64 = (0..n).map(|i| weights[i] * dot(&rows[i][n + 1..], &weights)).sum();
        assert!((variances[cell] - variance).abs() < 1e-9 && variance < 1.0, "{cell}");
    }
}

#[test]
fn tables_add_up_and_intervals_hold() {
    // 30 groups of 3 by 2 sexes and 2 measures: 180 inner cells for each measure.
    let mut parents = vec![None];
    for group in 0..30 {
        parents.push(Some(0));
        parents.extend([Some(4 * group + 1); 3]);
    }
    let shape = shape(vec![list("place", &parents), list("sex", &[None, Some(0), Some(0)])], 2);
    // Every second cell is empty.
    let truth = additive(&shape, |at| if at % 4 < 2 { 0 } else { 5 + (at % 90) as i64 });
    let counts: Vec<u64> = truth.iter().map(|&x| x as u64).collect();
    for (mechanism, margins) in [
        (Mechanism::Gaussian, Margins::Own),
        (Mechanism::Gaussian, Margins::Added),
        (Mechanism::Gaussian, Margins::Fitted),
        (Mechanism::Laplace, Margins::Added),
    ] {
        let noisy = noisy_table(&shape, &counts, persons(1), mechanism, margins, Share::of("0.5")).unwrap();
        let unit = 10i64.pow(noisy.decimals);
        let values: Vec<i64> = noisy.values.iter().map(|n| n.value).collect();
        assert_eq!(adds_up(&shape, &values), margins != Margins::Own);
        assert_eq!(noisy.cost.to_string(), "0.5");
        let held = |at: usize| (values[at] - truth[at] * unit).unsigned_abs() <= noisy.values[at].half_width;
        let inner = inner_cells(&shape);
        let (hold, of) = (0..values.len())
            .filter(|&at| inner[at / 2])
            .fold((0, 0), |(hold, of), at| (hold + u32::from(held(at)), of + 1));
        // Independent for `Own` and `Added`: 95 % of 360; under 300 with probability below 1e-11.
        assert_eq!(of, 360);
        assert!(hold > 300, "{mechanism:?} {margins:?} {hold}");
        // Empty cells have noise like all others.
        assert!((0..values.len()).filter(|&at| counts[at] == 0 && values[at] != 0).count() > 60);
    }
}

#[test]
fn what_cannot_be_kept_is_refused() {
    let shape = small(1);
    let ask = |counts: &[u64], mechanism, margins| {
        noisy_table(&shape, counts, persons(1), mechanism, margins, Share::of("1")).unwrap_err()
    };
    assert_eq!(ask(&[0; 15], Mechanism::Laplace, Margins::Fitted), PrivacyError::Margins);
    assert_eq!(ask(&[0; 14], Mechanism::Laplace, Margins::Own), PrivacyError::NotATable);
    assert_eq!(ask(&[u64::MAX; 15], Mechanism::Laplace, Margins::Own), PrivacyError::NotATable);
}

/// Cells that nobody can be in have no noise, and margins are the sums of the others.
#[test]
fn what_is_impossible_gets_no_noise() {
    let mut shape = small(2);
    // The second municipality; the county is still possible.
    shape.dimensions[0].impossible = vec![3];
    let inner = inner_cells(&shape);
    assert_eq!(inner.iter().filter(|inner| **inner).count(), 4);
    let counts: Vec<u64> = additive(&shape, |_| 50).iter().map(|&n| n as u64).collect();
    for margins in [Margins::Own, Margins::Added] {
        let share = Share::of("0.001");
        let noisy = noisy_table(&shape, &counts, persons(1), Mechanism::Gaussian, margins, share).unwrap();
        let values: Vec<i64> = noisy.values.iter().map(|n| n.value).collect();
        for (cell, values) in values.chunks(2).enumerate() {
            assert_eq!(shape.is_impossible(cell), values == [0, 0], "{margins:?} {cell}");
        }
        if margins == Margins::Added {
            assert!(adds_up(&shape, &values));
            // The county has the noise of one municipality only.
            let width = |positions| noisy.values[2 * shape.cell(positions)].half_width;
            assert_eq!(width(&[1, 1]), width(&[2, 1]));
        }
    }
    let share = Share::of("0.001");
    let fitted = noisy_table(&shape, &counts, persons(1), Mechanism::Gaussian, Margins::Fitted, share);
    assert_eq!(fitted.unwrap_err(), PrivacyError::Margins);
}
