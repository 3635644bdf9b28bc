//! What each party saw, checked on what it left behind.

use std::collections::HashSet;
use std::path::Path;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{ContentArrangement, Table};
use kpr::app::stage::Stage;
use kpr::domain::ids::RunId;

/// Looks for every identity number of the population in what the gateway, the logs and the released
/// files hold, and shows what each party saw.
pub fn show(stage: &Stage, run: &RunId) -> anyhow::Result<()> {
    let numbers = identity_numbers(&stage.path("deliveries/folkeregisteret/identitet.csv"))?;
    println!("\nWhat each party saw in run {run}");
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["party", "saw", "never saw", "identity numbers in its files"]);
    let rows = [
        (
            "identity service",
            "the order, the linkage codes of the rows, its own vault",
            "health variables, the query's answer",
            "identity",
        ),
        (
            "gateway",
            "rows by linkage code, then by person number; the answer",
            "identity numbers, keys",
            "gateway",
        ),
        (
            "NPR's register node",
            "the order, its own patients, one linkage key",
            "KPR's data, counts, the answer",
            "npr",
        ),
        ("researcher and public", "the protected table", "everything else", "released"),
        ("logs of all three", "runs, orders, phases", "data", "logs"),
    ];
    for (party, saw, never, folder) in rows {
        let found = count(&stage.path(folder), &numbers)?;
        let found = match (folder, found) {
            ("npr", n) => format!("{n}: its own register"),
            ("identity", 0) => "0: the vault is encrypted".to_owned(),
            (_, n) => n.to_string(),
        };
        table.add_row([party, saw, never, &found]);
    }
    println!("{table}");
    println!("({} numbers of the population were looked for, as text)", numbers.len());
    Ok(())
}

fn identity_numbers(path: &Path) -> anyhow::Result<HashSet<Vec<u8>>> {
    let bytes = std::fs::read(path)?;
    let fields = bytes.split(|b| *b == b'\n').skip(1).filter_map(|line| line.split(|b| *b == b';').nth(1));
    Ok(fields.map(<[u8]>::to_vec).collect())
}

/// How many different numbers occur in the files of a folder.
fn count(folder: &Path, numbers: &HashSet<Vec<u8>>) -> anyhow::Result<usize> {
    let mut found = HashSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = std::fs::read(&path)?;
            for window in bytes.windows(11).filter(|w| w.first().is_some_and(u8::is_ascii_digit)) {
                if let Some(number) = numbers.get(window) {
                    found.insert(number.clone());
                }
            }
        }
    }
    Ok(found.len())
}
