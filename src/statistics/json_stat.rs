//! JSON-stat 2.0 (<https://json-stat.org/full/>): a dense dataset, row-major, with the figures as the last
//! dimension.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Number, Value as Json};

use super::figures::{Kind, Value, decimal, figures};
use super::report::Report;
use crate::domain::codelist::CodeList;
use crate::domain::ids::RunId;
use crate::domain::period::Period;
use crate::domain::table::ResultTable;

/// The dimension of the figures. No outcome or dimension can have this name.
const MEASURE: &str = "measure";

#[derive(Serialize)]
struct Dataset<'a> {
    version: &'static str,
    class: &'static str,
    label: &'a str,
    source: &'static str,
    note: [&'a str; 2],
    id: Vec<&'a str>,
    size: Vec<usize>,
    role: Role<'a>,
    dimension: BTreeMap<&'a str, Dimension<'a>>,
    value: Vec<Json>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    status: BTreeMap<usize, &'static str>,
    extension: Extension<'a>,
}

#[derive(Serialize)]
struct Role<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    geo: Vec<&'a str>,
    metric: [&'static str; 1],
}

#[derive(Serialize)]
struct Dimension<'a> {
    label: &'a str,
    category: Category<'a>,
}

#[derive(Serialize)]
struct Category<'a> {
    index: Vec<&'a str>,
    label: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    child: BTreeMap<&'a str, Vec<&'a str>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    unit: BTreeMap<&'a str, Unit>,
}

#[derive(Serialize)]
struct Unit {
    label: &'static str,
    decimals: u32,
}

#[derive(Serialize)]
struct Extension<'a> {
    run: &'a RunId,
    period: Period,
    report: Report<'a>,
}

pub(super) fn write(table: &ResultTable) -> Option<Vec<u8>> {
    let shape = &table.shape;
    let figures = figures(table);
    let variables = || shape.dimensions.iter().map(|d| d.variable.as_str());
    let mut dimension: BTreeMap<&str, Dimension<'_>> = shape
        .dimensions
        .iter()
        .map(|d| (d.variable.as_str(), Dimension { label: &d.label, category: category(&d.codes) }))
        .collect();
    let unit = |kind| match kind {
        Kind::Share => Unit { label: "percent", decimals: 1 },
        Kind::Persons | Kind::Noisy => Unit { label: "persons", decimals: 0 },
        Kind::Statistic(decimals) => Unit { label: "value", decimals },
    };
    let measure = Category {
        index: figures.iter().map(|f| f.code.as_str()).collect(),
        label: figures.iter().map(|f| (f.code.as_str(), f.label.as_str())).collect(),
        child: BTreeMap::new(),
        unit: figures.iter().map(|f| (f.code.as_str(), unit(f.kind))).collect(),
    };
    dimension.insert(MEASURE, Dimension { label: "Measure", category: measure });

    let cells = (0..shape.cells()).flat_map(|cell| figures.iter().map(move |f| f.values.get(cell).copied()));
    let values = cells.collect::<Option<Vec<Value>>>()?;
    let symbols = values.iter().enumerate().filter_map(|(at, v)| Some((at, v.status()?)));
    let dataset = Dataset {
        version: "2.0",
        class: "dataset",
        label: &shape.title,
        source: "KPR query gateway",
        note: [&table.report.rule_text, "Status ':' is confidential, '.' is not applicable."],
        id: variables().chain([MEASURE]).collect(),
        size: shape.dimensions.iter().map(|d| d.codes.len()).chain([figures.len()]).collect(),
        role: Role { geo: variables().filter(|v| *v == "municipality").collect(), metric: [MEASURE] },
        dimension,
        status: symbols.collect(),
        value: values.iter().map(|v| number(*v)).collect::<Option<_>>()?,
        extension: Extension { run: &table.run, period: shape.period, report: Report::from(&table.report) },
    };
    serde_json::to_vec(&dataset).ok()
}

fn category(codes: &CodeList) -> Category<'_> {
    let code = |at: usize| codes.codes().get(at).map_or("", |c| c.code.as_str());
    let mut child: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (at, own) in codes.codes().iter().enumerate() {
        if let Some(parent) = codes.parent(at) {
            child.entry(code(parent)).or_default().push(&own.code);
        }
    }
    Category {
        index: codes.codes().iter().map(|c| c.code.as_str()).collect(),
        label: codes.codes().iter().map(|c| (c.code.as_str(), c.label.as_str())).collect(),
        child,
        unit: BTreeMap::new(),
    }
}

/// A number, or null where there is a status.
#[allow(clippy::cast_precision_loss, reason = "a share is at most 1000 tenths of a percent")]
fn number(value: Value) -> Option<Json> {
    match value {
        Value::Count(persons) => Some(Json::from(persons)),
        Value::Noisy(number, 0) => Some(Json::from(number)),
        Value::Noisy(units, decimals) => {
            decimal(units, decimals).parse().ok().and_then(Number::from_f64).map(Json::Number)
        }
        Value::Permille(tenths) => Number::from_f64(tenths as f64 / 10.0).map(Json::Number),
        Value::Confidential | Value::NotApplicable => Some(Json::Null),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::domain::table::CellValue;

    use super::super::testing::{impossible_table, noisy_table, table};
    use super::*;

    fn written() -> Json {
        serde_json::from_slice(&write(&table()).unwrap()).unwrap()
    }

    #[test]
    fn the_table_as_json_stat() {
        let dataset = written();
        assert_eq!(dataset["version"], "2.0");
        assert_eq!(dataset["class"], "dataset");
        assert_eq!(dataset["label"], "GP follow-up");
        assert_eq!(dataset["id"], json!(["sex", "municipality", "measure"]));
        assert_eq!(dataset["size"], json!([3, 3, 3]));
        assert_eq!(dataset["role"], json!({"geo": ["municipality"], "metric": ["measure"]}));
        assert_eq!(
            dataset["dimension"]["sex"],
            json!({"label": "Sex", "category": {
                "index": ["Total", "1", "2"],
                "label": {"Total": "Both", "1": "Men", "2": "Women"},
                "child": {"Total": ["1", "2"]},
            }})
        );
        assert_eq!(
            dataset["dimension"]["measure"]["category"]["index"],
            json!(["persons", "gp_30", "gp_30_share"])
        );
        assert_eq!(
            dataset["value"],
            json!([
                40, 13, 32.5, 25, 13, 52.0, 15, 0, 0.0, 17, null, null, 17, null, null, 0, 0, null, 23, null,
                null, null, null, null, null, 0, null
            ])
        );
        assert_eq!(dataset["extension"]["report"]["withheld"], 6);
    }

    #[test]
    fn every_null_has_its_status_and_nothing_else_has_one() {
        let dataset = written();
        let values = dataset["value"].as_array().unwrap();
        let size: u64 = dataset["size"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).product();
        assert_eq!(values.len() as u64, size);
        let status = dataset["status"].as_object().unwrap();
        for (at, value) in values.iter().enumerate() {
            assert_eq!(value.is_null(), status.contains_key(&at.to_string()), "{at}");
        }
        // The share of a cell without persons; everything else is withheld.
        assert_eq!(status["17"], ".");
        assert_eq!(status.values().filter(|s| *s == ":").count(), status.len() - 1);
    }

    #[test]
    fn numbers_with_noise_are_figures_of_their_own() {
        let dataset: Json = serde_json::from_slice(&write(&noisy_table()).unwrap()).unwrap();
        let measure = &dataset["dimension"]["measure"]["category"];
        assert_eq!(
            measure["index"],
            json!(["persons", "persons_low", "persons_high", "gp_30", "gp_30_low", "gp_30_high"])
        );
        assert_eq!(dataset["value"].as_array().unwrap()[..6], [-2, -9, 5, -1, -8, 6].map(Json::from));
        assert!(dataset.get("status").is_none());
        let noise =
            json!({"mechanism": "gaussian", "rho": "0.01", "left_before": "0.05", "left_after": "0.04"});
        assert_eq!(dataset["extension"]["report"]["noise"], noise);
    }

    #[test]
    fn cells_that_nobody_can_be_in_have_the_status_not_applicable() {
        let mut noisy = noisy_table();
        noisy.shape.dimensions[0].impossible = vec![1];
        noisy.values[6..12].fill(CellValue::NotApplicable);
        for (table, men) in [(impossible_table(), 9..18), (noisy, 18..36)] {
            let dataset: Json = serde_json::from_slice(&write(&table).unwrap()).unwrap();
            for at in men.clone() {
                assert!(dataset["value"][at].is_null());
                assert_eq!(dataset["status"][at.to_string()], ".");
            }
            let others = dataset["status"].as_object().unwrap().iter();
            let mut others = others.filter(|(at, _)| !men.contains(&at.parse().unwrap()));
            assert!(others.all(|(_, status)| status == ":"));
        }
    }
}
