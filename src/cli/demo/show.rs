//! The released table and its report on the terminal.

use std::collections::HashMap;
use std::path::Path;

use anyhow::Context;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};

const OUTCOMES: [(&str, &str); 3] =
    [("gp_30", "within 30 days"), ("gp_90", "within 90 days"), ("gp_180", "within 180 days")];

/// Shows two cuts of the released CSV: by municipality, and by sex and age group in the county.
pub fn table(csv: &Path) -> anyhow::Result<()> {
    let mut reader = csv::Reader::from_path(csv)?;
    let rows: Vec<HashMap<String, String>> = reader.deserialize().collect::<Result<_, _>>()?;
    let labels = regions();
    let region = |row: &HashMap<String, String>| {
        let code = field(row, "municipality");
        labels.get(code).cloned().unwrap_or_else(|| code.to_owned())
    };
    let total = |row: &HashMap<String, String>, column: &str| field(row, column) == "Total";

    println!("\nDischarged patients and GP consultations, by municipality (both sexes, all ages)");
    let municipalities = rows.iter().filter(|r| total(r, "sex") && total(r, "age"));
    print(municipalities.map(|row| (region(row), row)));

    println!("\nThe same by sex and age group (the whole county)");
    let sex = |row: &HashMap<String, String>| match field(row, "sex") {
        "1" => "men",
        "2" => "women",
        _ => "both sexes",
    };
    let age = |row: &HashMap<String, String>| match field(row, "age") {
        "Total" => "all ages".to_owned(),
        group => group.to_owned(),
    };
    print(
        rows.iter()
            .filter(|r| total(r, "municipality"))
            .map(|row| (format!("{}, {}", sex(row), age(row)), row)),
    );
    println!("\n  :  confidential: withheld, because it is small or would give a small number away");
    Ok(())
}

fn print<'a>(rows: impl Iterator<Item = (String, &'a HashMap<String, String>)>) {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    let outcomes = OUTCOMES.iter().map(|(_, label)| (*label).to_owned());
    table.set_header([String::new(), "discharged".to_owned()].into_iter().chain(outcomes));
    for (label, row) in rows {
        let mut cells = vec![label, count(row, "persons")];
        for (outcome, _) in OUTCOMES {
            let share = field(row, &format!("{outcome}_share"));
            let share = if share.is_empty() { String::new() } else { format!("  {share} %") };
            cells.push(format!("{}{share}", count(row, outcome)));
        }
        table.add_row(cells);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    println!("{table}");
}

fn field<'a>(row: &'a HashMap<String, String>, column: &str) -> &'a str {
    row.get(column).map_or("", String::as_str)
}

fn count(row: &HashMap<String, String>, measure: &str) -> String {
    match field(row, &format!("{measure}_status")) {
        "" => field(row, measure).to_owned(),
        status => status.to_owned(),
    }
}

/// The label of each region code.
fn regions() -> HashMap<String, String> {
    let list = include_str!("../../../policies/codelists/region.csv");
    let mut reader = csv::Reader::from_reader(list.as_bytes());
    reader
        .records()
        .filter_map(Result::ok)
        .filter_map(|r| Some((r.get(0)?.to_owned(), format!("{} {}", r.get(0)?, r.get(1)?))))
        .collect()
}

/// Shows what the recipient is told about the protection.
pub fn report(json: &Path) -> anyhow::Result<()> {
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(json)?)?;
    let text = |key: &str| report.get(key).and_then(|v| v.as_str()).context("the report lacks its rule");
    let number = |key: &str| report.get(key).and_then(serde_json::Value::as_u64).unwrap_or_default();
    println!("\nRule {}: {}", text("rule")?, text("rule_text")?);
    println!("{} of the table's {} counts are withheld.", number("withheld"), number("cells"));
    let linkage = |key: &str| match report.pointer(&format!("/linkage/{key}")) {
        Some(serde_json::Value::Number(n)) => n.to_string(),
        _ => ":".to_owned(),
    };
    println!(
        "Linkage: {} persons matched, {} numbers unknown, {} persons under several numbers, {} rows without \
         an identity number.",
        linkage("matched"),
        linkage("unknown"),
        linkage("several_numbers"),
        linkage("invalid_rows")
    );
    Ok(())
}
