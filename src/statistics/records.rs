//! Released microdata: CSV, one line a record, and the recipient's report.

use serde::Serialize;

use super::Format;
use super::render::RenderError;
use crate::disclosure::Receivable;
use crate::domain::ids::{RuleId, RunId};
use crate::domain::indirect::IndirectTerms;
use crate::domain::microdata::{Column, MicrodataReport, MicrodataTable, Values};

/// What stands for a value that is unknown, as Statistics Norway writes it.
const UNKNOWN: &str = "..";

/// Writes released microdata in a format. The same microdata and format give the same bytes.
///
/// Only what has been released, and whose conditions the recipient has accepted, can be written:
///
/// ```compile_fail,E0308
/// use kpr::statistics::{Format, render_microdata};
/// fn leak(records: &kpr::domain::microdata::MicrodataTable) {
///     let _ = render_microdata(records, Format::Csv);
/// }
/// ```
///
/// ```compile_fail,E0308
/// use kpr::{disclosure::Released, domain::microdata::MicrodataTable, statistics::{Format, render_microdata}};
/// fn skip(records: &Released<MicrodataTable>) {
///     let _ = render_microdata(records, Format::Csv);
/// }
/// ```
///
/// ```
/// use kpr::{disclosure::Receivable, statistics::{Format, render_microdata}};
/// fn receive(records: &Receivable) {
///     let _ = render_microdata(records, Format::Csv);
/// }
/// ```
///
/// # Errors
/// [`RenderError`], for a format that is for tables only, or when a writer fails.
pub fn render_microdata(records: &Receivable, format: Format) -> Result<Vec<u8>, RenderError> {
    write(records.records(), format)
}

fn write(table: &MicrodataTable, format: Format) -> Result<Vec<u8>, RenderError> {
    let written = match format {
        Format::Csv => csv(table),
        Format::Report => report(table),
        Format::JsonStat | Format::Arrow | Format::Parquet => return Err(RenderError::TablesOnly(format)),
    };
    written.ok_or(RenderError::Writer(format))
}

/// The serial number, then each variable.
fn csv(table: &MicrodataTable) -> Option<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let names = table.columns.iter().map(|column| column.variable.as_str());
    writer.write_record(["serial"].into_iter().chain(names)).ok()?;
    for (row, serial) in table.serials.iter().enumerate() {
        writer.write_field(serial.to_string()).ok()?;
        for column in &table.columns {
            writer.write_field(value(column, row)?).ok()?;
        }
        writer.write_record(None::<&[u8]>).ok()?;
    }
    writer.into_inner().ok()
}

fn value(column: &Column, row: usize) -> Option<String> {
    let Some(value) = column.values.value(row) else { return Some(UNKNOWN.to_owned()) };
    match &column.values {
        Values::Codes { list, .. } => Some(list.codes().get(usize::try_from(value).ok()?)?.code.clone()),
        Values::Numbers(_) => Some(value.to_string()),
    }
}

#[derive(Serialize)]
struct File<'a> {
    title: &'a str,
    run: &'a RunId,
    rule: &'a RuleId,
    rule_text: &'a str,
    min_persons: u32,
    records: u64,
    suppressed: u64,
    generalised: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    terms: Option<&'a IndirectTerms>,
}

fn report(table: &MicrodataTable) -> Option<Vec<u8>> {
    let MicrodataReport { rule, rule_text, min_persons, rows, suppressed, generalised, terms } =
        &table.report;
    let file = File {
        title: &table.title,
        run: &table.run,
        rule,
        rule_text,
        min_persons: *min_persons,
        records: *rows,
        suppressed: *suppressed,
        generalised,
        terms: terms.as_ref(),
    };
    let mut bytes = serde_json::to_vec_pretty(&file).ok()?;
    bytes.push(b'\n');
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::codelist::{Code, CodeList};
    use crate::domain::ids::{CodeListId, VariableId};
    use crate::domain::microdata::{Role, SerialNumber};

    fn table() -> MicrodataTable {
        let code = |code: &str, parent| Code { code: code.to_owned(), label: code.to_owned(), parent };
        let codes = vec![code("Total", None), code("31", Some(0)), code("3103", Some(1))];
        let list = CodeList::new(CodeListId::new("region").unwrap(), "Region".to_owned(), codes).unwrap();
        let column = |name: &str, role, values| Column {
            variable: VariableId::new(name).unwrap(),
            label: name.to_owned(),
            role,
            values,
        };
        MicrodataTable {
            run: RunId::new(format!("r-{}", "ab".repeat(16))).unwrap(),
            title: "Records".to_owned(),
            serials: [1, 2].map(|byte| SerialNumber::new(&[byte; 20]).unwrap()).to_vec(),
            columns: vec![
                column(
                    "municipality",
                    Role::QuasiIdentifier { level: 1, highest: 2 },
                    Values::Codes { list, codes: vec![Some(1), None] },
                ),
                column("gp_30", Role::Sensitive, Values::Numbers(vec![Some(0), Some(1)])),
            ],
            report: MicrodataReport {
                rule: RuleId::new("records-5").unwrap(),
                rule_text: "At least 5.".to_owned(),
                min_persons: 5,
                rows: 2,
                suppressed: 1,
                generalised: vec!["Municipality: coarser by 1 of 2 levels".to_owned()],
                terms: None,
            },
        }
    }

    #[test]
    fn records_as_csv() {
        let text = String::from_utf8(write(&table(), Format::Csv).unwrap()).unwrap();
        let expected =
            format!("serial,municipality,gp_30\n{},31,0\n{},..,1\n", "ab".repeat(20), "ac".repeat(20));
        assert_eq!(text, expected);
    }

    #[test]
    fn the_report_as_json() {
        let report: serde_json::Value =
            serde_json::from_slice(&write(&table(), Format::Report).unwrap()).unwrap();
        assert_eq!((&report["records"], &report["suppressed"]), (&2.into(), &1.into()));
        assert_eq!(report["generalised"][0], "Municipality: coarser by 1 of 2 levels");
        assert_eq!(report.as_object().unwrap().len(), 8);
    }

    #[test]
    fn formats_of_tables_are_refused_by_name() {
        for format in [Format::JsonStat, Format::Arrow, Format::Parquet] {
            let error = write(&table(), format).unwrap_err().to_string();
            assert_eq!(
                error,
                format!("microdata are written as csv, and their report as report; not as {format}")
            );
        }
    }
}
