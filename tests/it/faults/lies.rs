//! The lies: answers that break a rule of their order, and the code that the run ends with.

use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeBinaryArray, StringArray};
use kpr::domain::order::LinkageOrder;
use kpr::partner::RowsPart;

use super::liar::{batch, codes, columns, days, end, rows};

/// An answer to an order that breaks a rule.
pub struct Lie {
    pub what: &'static str,
    pub parts: fn(&LinkageOrder) -> Vec<RowsPart>,
    pub code: &'static str,
}

const fn lie(what: &'static str, parts: fn(&LinkageOrder) -> Vec<RowsPart>, code: &'static str) -> Lie {
    Lie { what, parts, code }
}

fn text(value: &str) -> ArrayRef {
    Arc::new(StringArray::from(vec![value]))
}

fn one(arrow: Vec<u8>) -> Vec<RowsPart> {
    vec![batch(0, arrow), end(1, 1)]
}

/// The date variable of the order, which is its only column.
const DATE: &str = "utdato";

pub const LIES: [Lie; 17] = [
    lie(
        "a column that was not asked for",
        |o| one(columns(vec![("code", codes(1)), (DATE, days(o, 1)), ("hovedtilstand", text("F32"))])),
        "linkage.columns",
    ),
    lie("a column too few", |_| one(columns(vec![("code", codes(1))])), "linkage.columns"),
    lie(
        "columns in another order",
        |o| one(columns(vec![(DATE, days(o, 1)), ("code", codes(1))])),
        "linkage.columns",
    ),
    lie(
        "a column of another type",
        |_| one(columns(vec![("code", codes(1)), (DATE, text("2024-03-05"))])),
        "linkage.columns",
    ),
    lie(
        "identity numbers where the codes should be",
        |o| one(columns(vec![("code", text("02813299997")), (DATE, days(o, 1))])),
        "linkage.columns",
    ),
    lie(
        "a row without a code",
        |o| {
            let none =
                FixedSizeBinaryArray::try_from_sparse_iter_with_size([None::<[u8; 16]>].into_iter(), 16);
            one(columns(vec![("code", Arc::new(none.unwrap())), (DATE, days(o, 1))]))
        },
        "linkage.missing",
    ),
    lie(
        "a day outside the period",
        |o| {
            let mut order = o.clone();
            order.period = o.approval.approval.valid;
            one(rows(&order, 1))
        },
        "linkage.outside_period",
    ),
    lie("bytes that are no Arrow stream", |_| one(vec![0xff; 100]), "linkage.encoding"),
    lie("two batches in one", |o| one([rows(o, 1), rows(o, 1)].concat()), "linkage.encoding"),
    lie("no rows in a batch", |o| vec![batch(0, rows(o, 0)), end(1, 0)], "linkage.batch_rows"),
    lie("too many rows in a batch", |o| one(rows(o, 65_537)), "linkage.batch_rows"),
    lie("too many bytes in a batch", |_| one(vec![0; (3 << 20) + 1]), "linkage.batch_bytes"),
    lie("a message too large to be read", |_| one(vec![0; 5 << 20]), "linkage.dropped"),
    lie(
        "the same batch twice",
        |o| vec![batch(0, rows(o, 2)), batch(0, rows(o, 2)), end(2, 4)],
        "linkage.batch_number",
    ),
    lie(
        "a batch left out",
        |o| vec![batch(0, rows(o, 2)), batch(2, rows(o, 2)), end(3, 4)],
        "linkage.batch_number",
    ),
    lie("a summary of more than was sent", |o| vec![batch(0, rows(o, 2)), end(1, 3)], "linkage.summary"),
    lie("no summary", |o| vec![batch(0, rows(o, 2))], "linkage.dropped"),
];
