//! What a linkage code costs a person: reading the identity number and deriving its code, beside the
//! bare AES-256-SIV call on the same eleven bytes, both in this run on one thread.
//!
//! `cargo bench --bench linkage_codes`

#![allow(clippy::unwrap_used, reason = "a benchmark stops at the first fault")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use aes_siv::KeyInit;
use aes_siv::siv::Aes256Siv;
use comfy_table::{CellAlignment, Table};
use kpr::domain::ids::{ProjectId, RunId};
use kpr::domain::order::KeyUse;
use kpr::identity::{Fnr, RootKey};

/// How many different numbers there are. All fit in the cache: it is the work that is timed.
const NUMBERS: usize = 10_000;
/// How many persons each measurement is over.
const PERSONS: usize = 1_000_000;
/// How many measurements; the fastest counts, since what disturbs it only slows it down.
const ROUNDS: usize = 5;

fn main() {
    let numbers = numbers();
    let key = RootKey::new(1, [7; 32].into()).linkage_key(
        KeyUse::Rows,
        &ProjectId::new("P-2026-0001").unwrap(),
        &RunId::new(format!("r-{}", "ab".repeat(16))).unwrap(),
    );
    let mut coder = key.coder();
    let mut bare = Aes256Siv::new(&[7; 64].into());

    let nothing: [&[u8]; 0] = [];
    let (bare, derived) = fastest(
        || {
            for number in numbers.iter().cycle().take(PERSONS) {
                let mut text = *number;
                black_box(bare.encrypt_inout_detached(nothing, text.as_mut_slice().into()).unwrap());
            }
        },
        || {
            for number in numbers.iter().cycle().take(PERSONS) {
                black_box(coder.code(&Fnr::parse(number).unwrap()));
            }
        },
    );

    let each = |time: Duration| time.as_nanos() as f64 / PERSONS as f64;
    let mut table = Table::new();
    table.set_header(["", "ns a person", "ratio"]);
    table.add_row(["bare AES-256-SIV".to_owned(), format!("{:.0}", each(bare)), "1.00".to_owned()]);
    let ratio = format!("{:.2}", each(derived) / each(bare));
    table.add_row(["identity number to linkage code".to_owned(), format!("{:.0}", each(derived)), ratio]);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    println!("{table}");
}

/// The fastest round of each, taken in turn so that both see the same machine.
fn fastest(mut first: impl FnMut(), mut second: impl FnMut()) -> (Duration, Duration) {
    let time = |work: &mut dyn FnMut()| {
        let start = Instant::now();
        work();
        start.elapsed()
    };
    let mut best = (Duration::MAX, Duration::MAX);
    for _ in 0..ROUNDS {
        best.0 = best.0.min(time(&mut first));
        best.1 = best.1.min(time(&mut second));
    }
    best
}

/// Synthetic numbers (month + 80) with good check digits.
fn numbers() -> Vec<[u8; 11]> {
    let numbers: Vec<[u8; 11]> = (0..=9_999_999)
        .filter_map(|rest| {
            let text: [u8; 11] = format!("0181{rest:07}").into_bytes().try_into().unwrap();
            Fnr::parse(&text).is_ok().then_some(text)
        })
        .take(NUMBERS)
        .collect();
    assert_eq!(numbers.len(), NUMBERS);
    numbers
}
