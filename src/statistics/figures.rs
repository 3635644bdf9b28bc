//! What a released table says, figure by figure: counts, and for each outcome its share.

use crate::domain::query::Statistic;
use crate::domain::table::{CellValue, ResultTable};

/// One value of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value {
    /// A number of persons.
    Count(u64),
    /// A number with noise, or an end of its interval, in units of its last decimal.
    Noisy(i64, u32),
    /// A share, in tenths of a percent.
    Permille(u64),
    /// Withheld.
    Confidential,
    /// Of a cell that nobody can be in, or the share of nobody.
    NotApplicable,
}

impl Value {
    /// The symbol of a value that is no number, as Statistics Norway writes it.
    pub(super) const fn status(self) -> Option<&'static str> {
        match self {
            Self::Count(_) | Self::Noisy(..) | Self::Permille(_) => None,
            Self::Confidential => Some(":"),
            Self::NotApplicable => Some("."),
        }
    }
}

/// What a figure's values are, beside symbols.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// [`Value::Count`].
    Persons,
    /// [`Value::Permille`].
    Share,
    /// [`Value::Noisy`], a number of persons.
    Noisy,
    /// [`Value::Noisy`], a statistic of values with so many decimals.
    Statistic(u32),
}

/// A figure of every cell, in the order of the cells.
pub(super) struct Figure {
    /// The measure, or the measure and `_share`, `_low` or `_high`.
    pub(super) code: String,
    pub(super) label: String,
    pub(super) kind: Kind,
    pub(super) values: Vec<Value>,
}

/// The figures of a table: persons, then each outcome and its share; of numbers with noise each with the ends of its
/// 95 % interval, and no shares, whose noise has another law.
pub(super) fn figures(table: &ResultTable) -> Vec<Figure> {
    if table.report.noise.is_some() {
        return noisy(table);
    }
    let mut figures = Vec::new();
    for (index, measure) in table.shape.measures.iter().enumerate() {
        let cells = 0..table.shape.cells();
        let counts = cells.clone().map(|cell| count(table, cell, index)).collect();
        let code = measure.code.to_string();
        let label = measure.label.clone();
        figures.push(Figure {
            code: code.clone(),
            label: label.clone(),
            kind: Kind::Persons,
            values: counts,
        });
        if index > 0 {
            let shares = cells.map(|cell| share(table, cell, index)).collect();
            let (code, label) = (format!("{code}_share"), format!("{label}, percent of persons"));
            figures.push(Figure { code, label, kind: Kind::Share, values: shares });
        }
    }
    figures
}

fn noisy(table: &ResultTable) -> Vec<Figure> {
    let mut figures = Vec::new();
    for (index, measure) in table.shape.measures.iter().enumerate() {
        let decimals = measure.statistic.map_or(0, Statistic::decimals);
        for (suffix, label, end) in
            [("", "", 0), ("_low", ", low end of 95 %", 1), ("_high", ", high end of 95 %", 2)]
        {
            let value = |cell| match table.value(cell, index) {
                Some(CellValue::Noisy { value, .. }) if end == 0 => Value::Noisy(value, decimals),
                Some(CellValue::Noisy { low, .. }) if end == 1 => Value::Noisy(low, decimals),
                Some(CellValue::Noisy { high, .. }) => Value::Noisy(high, decimals),
                Some(CellValue::NotApplicable) => Value::NotApplicable,
                _ => Value::Confidential,
            };
            figures.push(Figure {
                code: format!("{}{suffix}", measure.code),
                label: format!("{}{label}", measure.label),
                kind: measure.statistic.map_or(Kind::Noisy, |_| Kind::Statistic(decimals)),
                values: (0..table.shape.cells()).map(value).collect(),
            });
        }
    }
    figures
}

/// A number in units of its last decimal, written out.
pub(super) fn decimal(units: i64, decimals: u32) -> String {
    let Some(unit) = 10_u64.checked_pow(decimals).filter(|_| decimals > 0) else { return units.to_string() };
    let (sign, units) = (if units < 0 { "-" } else { "" }, units.unsigned_abs());
    format!("{sign}{}.{:0width$}", units / unit, units % unit, width = decimals as usize)
}

/// A count. One that is missing is taken as withheld.
fn count(table: &ResultTable, cell: usize, measure: usize) -> Value {
    match table.value(cell, measure) {
        Some(CellValue::Count(persons)) => Value::Count(persons),
        Some(CellValue::NotApplicable) => Value::NotApplicable,
        Some(CellValue::Noisy { .. } | CellValue::Withheld) | None => Value::Confidential,
    }
}

fn share(table: &ResultTable, cell: usize, measure: usize) -> Value {
    match (count(table, cell, 0), count(table, cell, measure)) {
        (Value::Count(0), Value::Count(_)) | (Value::NotApplicable, _) => Value::NotApplicable,
        (Value::Count(_), Value::Count(_)) => {
            table.share_permille(cell, measure).map_or(Value::Confidential, Value::Permille)
        }
        _ => Value::Confidential,
    }
}

/// The codes of a cell, one in each dimension.
pub(super) fn codes(table: &ResultTable, cell: usize) -> impl Iterator<Item = &str> {
    let positions = table.shape.positions(cell);
    table
        .shape
        .dimensions
        .iter()
        .zip(positions)
        .map(|(dimension, at)| dimension.codes.codes().get(at).map_or("", |code| code.code.as_str()))
}
