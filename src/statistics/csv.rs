//! CSV: one line a cell, one column a dimension, then each figure and its status.

use super::figures::{Value, codes, decimal, figures};
use crate::domain::table::ResultTable;

pub(super) fn write(table: &ResultTable) -> Option<Vec<u8>> {
    let figures = figures(table);
    let mut writer = csv::Writer::from_writer(Vec::new());
    let dimensions = table.shape.dimensions.iter().map(|d| d.variable.as_str().to_owned());
    let named = figures.iter().flat_map(|f| [f.code.clone(), format!("{}_status", f.code)]);
    writer.write_record(dimensions.chain(named)).ok()?;
    for cell in 0..table.shape.cells() {
        for code in codes(table, cell) {
            writer.write_field(code).ok()?;
        }
        for figure in &figures {
            let value = *figure.values.get(cell)?;
            writer.write_field(number(value)).ok()?;
            writer.write_field(value.status().unwrap_or_default()).ok()?;
        }
        writer.write_record(None::<&[u8]>).ok()?;
    }
    writer.into_inner().ok()
}

fn number(value: Value) -> String {
    match value {
        Value::Count(persons) => persons.to_string(),
        Value::Noisy(units, decimals) => decimal(units, decimals),
        Value::Permille(tenths) => format!("{}.{}", tenths / 10, tenths % 10),
        Value::Confidential | Value::NotApplicable => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::figures::decimal;
    use super::super::testing::{impossible_table, noisy_table, table};
    use crate::domain::canonical::Canonical;
    use crate::domain::query::Statistic;
    use crate::domain::table::ResultTable;

    #[test]
    fn the_table_as_csv() {
        let text = String::from_utf8(super::write(&table()).unwrap()).unwrap();
        let expected = "\
sex,municipality,persons,persons_status,gp_30,gp_30_status,gp_30_share,gp_30_share_status
Total,Total,40,,13,,32.5,
Total,0301,25,,13,,52.0,
Total,\"11,\"\"03\",15,,0,,0.0,
1,Total,17,,,:,,:
1,0301,17,,,:,,:
1,\"11,\"\"03\",0,,0,,,.
2,Total,23,,,:,,:
2,0301,,:,,:,,:
2,\"11,\"\"03\",,:,0,,,:
";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_mean_is_written_with_its_decimals() {
        let mut table = noisy_table();
        table.shape.measures[1].statistic = Some(Statistic::Mean);
        let text = String::from_utf8(super::write(&table).unwrap()).unwrap();
        assert_eq!(text.lines().nth(1).unwrap(), "Total,Total,-2,,-9,,5,,-0.001,,-0.008,,0.006,");
        assert_eq!([(8500, 3), (-12, 0), (1, 3)].map(|(n, d)| decimal(n, d)), ["8.500", "-12", "0.001"]);
    }

    #[test]
    fn numbers_with_noise_stand_between_the_ends_of_their_intervals() {
        let table = noisy_table();
        let text = String::from_utf8(super::write(&table).unwrap()).unwrap();
        let mut lines = text.lines();
        assert_eq!(
            lines.next().unwrap(),
            "sex,municipality,persons,persons_status,persons_low,persons_low_status,persons_high,persons_high_status,\
             gp_30,gp_30_status,gp_30_low,gp_30_low_status,gp_30_high,gp_30_high_status"
        );
        assert_eq!(lines.next().unwrap(), "Total,Total,-2,,-9,,5,,-1,,-8,,6,");
        assert_eq!(ResultTable::from_canonical(&table.canonical().unwrap()).unwrap(), table);
    }

    #[test]
    fn of_a_cell_that_nobody_can_be_in_nothing_is_applicable() {
        let table = impossible_table();
        let text = String::from_utf8(super::write(&table).unwrap()).unwrap();
        let men: Vec<&str> = text.lines().filter(|line| line.starts_with("1,")).collect();
        assert_eq!(men[..2], ["1,Total,,.,,.,,.", "1,0301,,.,,.,,."]);
        assert!(!text.lines().any(|line| line.starts_with("2,") && line.contains('.')));
        let encoded = table.canonical().unwrap();
        assert_eq!(ResultTable::from_canonical(&encoded).unwrap(), table);
        // A table without such cells is encoded as before there were any.
        let plain = super::super::testing::table().canonical().unwrap();
        assert!(!String::from_utf8(plain).unwrap().contains("impossible"));
    }
}
