//! A small table for tests.

use crate::domain::codelist::{Code, CodeList};
use crate::domain::ids::{CodeListId, RuleId, RunId, VariableId};
use crate::domain::method::Mechanism;
use crate::domain::period::Period;
use crate::domain::table::{
    CellValue, Dimension, LinkageQuality, Measure, NoiseReport, PrivateNoise, RecipientReport, ResultTable,
    TableShape,
};

fn dimension(variable: &str, label: &str, codes: &[(&str, &str, Option<u32>)]) -> Dimension {
    let codes = codes.iter().map(|(code, label, parent)| Code {
        code: (*code).to_owned(),
        label: (*label).to_owned(),
        parent: *parent,
    });
    let id = CodeListId::new(variable).unwrap();
    Dimension {
        variable: VariableId::new(variable).unwrap(),
        label: label.to_owned(),
        codes: CodeList::new(id, label.to_owned(), codes.collect()).unwrap(),
        impossible: Vec::new(),
    }
}

fn measure(code: &str, label: &str, nested_in: Vec<u32>) -> Measure {
    Measure { code: VariableId::new(code).unwrap(), label: label.to_owned(), nested_in, statistic: None }
}

/// Two dimensions, one outcome, withheld counts of both measures, an empty cell, a code that CSV must
/// quote.
pub(super) fn table() -> ResultTable {
    let shape = TableShape {
        title: "GP follow-up".to_owned(),
        dimensions: vec![
            dimension(
                "sex",
                "Sex",
                &[("Total", "Both", None), ("1", "Men", Some(0)), ("2", "Women", Some(0))],
            ),
            dimension(
                "municipality",
                "Municipality",
                &[("Total", "All", None), ("0301", "Oslo", Some(0)), ("11,\"03", "Stavanger", Some(0))],
            ),
        ],
        measures: vec![measure("persons", "Persons", vec![]), measure("gp_30", "GP within 30 days", vec![0])],
        period: Period::new("2024-01-01".parse().unwrap(), "2024-12-31".parse().unwrap()).unwrap(),
    };
    let count = |n: Option<u64>| n.map_or(CellValue::Withheld, CellValue::Count);
    let values = [
        (Some(40), Some(13)),
        (Some(25), Some(13)),
        (Some(15), Some(0)),
        (Some(17), None),
        (Some(17), None),
        (Some(0), Some(0)),
        (Some(23), None),
        (None, None),
        (None, Some(0)),
    ];
    ResultTable {
        run: RunId::new(format!("r-{}", "ab".repeat(16))).unwrap(),
        shape,
        values: values.into_iter().flat_map(|(persons, gp)| [count(persons), count(gp)]).collect(),
        report: RecipientReport {
            rule: RuleId::new("tables-5").unwrap(),
            rule_text: "Counts of 1 to 4 persons are withheld.".to_owned(),
            min_persons: 5,
            cells: 18,
            withheld: 6,
            linkage: LinkageQuality {
                matched: CellValue::Count(40),
                unknown: CellValue::Withheld,
                several_numbers: CellValue::Count(0),
                invalid_rows: CellValue::Count(7),
            },
            noise: None,
        },
    }
}

/// The same where nobody can be a man.
pub(super) fn impossible_table() -> ResultTable {
    let mut table = table();
    table.shape.dimensions[0].impossible = vec![1];
    for (at, value) in table.values.iter_mut().enumerate() {
        if table.shape.is_impossible(at / 2) {
            *value = CellValue::NotApplicable;
        }
    }
    table
}

/// The same with noise in every number.
pub(super) fn noisy_table() -> ResultTable {
    let mut table = table();
    for (at, value) in table.values.iter_mut().enumerate() {
        let number = i64::try_from(at).unwrap() - 2;
        *value = CellValue::Noisy { value: number, low: number - 7, high: number + 7 };
    }
    table.report.min_persons = 0;
    table.report.noise = Some(NoiseReport::Private(PrivateNoise {
        mechanism: Mechanism::Gaussian,
        rho: "0.01".parse().unwrap(),
        left_before: "0.05".parse().unwrap(),
        left_after: "0.04".parse().unwrap(),
    }));
    table
}
