//! Cell suppression: what is withheld at which size and cost, and how far that is from the optimum.
//!
//! `cargo bench --bench suppression -- --file cells.csv --count freq --region kommune --parent fylke
//! --sizes 5,10,20,357` protects the table of the first regions of the file, and prints a line a size: cells
//! withheld, persons in them, seconds on one core, peak memory of the process so far. Zeros are published and
//! at least five persons are in a published cell; a second line gives every small count a range of five, and is also
//! against persons who are alone in a cell and know it. `--chart` draws cost against size. Without `--file` it prints
//! only how the patterns of small random tables compare with the best there are.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark stops at the first fault")]

mod chart;
mod optimum;
mod utility;

use std::path::{Path, PathBuf};
use std::time::Instant;

use chart::Cost;
use clap::Parser;
use kpr::disclosure::PatternKey;
use kpr::disclosure::file::{Ask, Columns, FileTable, Hierarchy};
use kpr::disclosure::primary::Rules;

#[derive(Debug, Parser)]
struct Args {
    /// Inner cells as CSV
    #[arg(long)]
    file: Option<PathBuf>,
    /// The column that counts
    #[arg(long, default_value = "freq")]
    count: String,
    /// The column of regions
    #[arg(long, default_value = "kommune")]
    region: String,
    /// The column of what lies right above them
    #[arg(long, default_value = "fylke")]
    parent: String,
    /// Put the regions under so many parents instead, in turn
    #[arg(long)]
    parents: Option<usize>,
    /// How many regions; everything if left out
    #[arg(long, value_delimiter = ',')]
    sizes: Vec<usize>,
    /// Draw cost against size as SVG
    #[arg(long)]
    chart: Option<PathBuf>,
    /// How many random tables of each shape are compared with the optimum
    #[arg(long, default_value_t = 40)]
    tables: u64,
    /// The byte that all of the pattern's secret is made of
    #[arg(long, default_value_t = 1)]
    key: u8,
    /// What `cargo bench` adds
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let args = Args::parse();
    if let Some(file) = &args.file {
        let sizes = if args.sizes.is_empty() { vec![usize::MAX] } else { args.sizes.clone() };
        let costs: Vec<Cost> = sizes.into_iter().flat_map(|size| measure(file, size, &args)).collect();
        if let Some(path) = &args.chart {
            chart::draw(&costs, path).unwrap();
        }
    }
    if args.tables > 0 {
        println!("{}", utility::study(args.tables));
    }
}

/// Protects the table of the first regions: against exact recovery by outsiders, and with ranges, against those who
/// are alone in a cell too.
fn measure(file: &Path, size: usize, args: &Args) -> [Cost; 2] {
    let cells = first_regions(file, size, args);
    let columns = Columns { count: args.count.clone(), ..Columns::default() };
    let hierarchy = vec![(args.region.clone(), Hierarchy::Column(args.parent.clone()))];
    let table = FileTable::read(cells.as_slice(), &columns, hierarchy).unwrap();
    [0, 5].map(|min_range| {
        let rules = Rules { singletons: min_range > 0, ..Rules::persons(5) };
        protect(&table, &rules, min_range, args.key)
    })
}

/// Protects a table and prints what it cost.
fn protect(table: &FileTable, rules: &Rules, min_range: u64, key: u8) -> Cost {
    let primary = table.primary(rules).unwrap();
    let start = Instant::now();
    let ask = Ask { rules, min_range, published: &[] };
    let protected = table.protect(ask, &PatternKey::new([key; 32].into()), &mut |_| {}).unwrap();
    let withheld = protected.withheld;
    let seconds = start.elapsed().as_secs_f64();
    let count = |cells: &[bool]| cells.iter().filter(|c| **c).count();
    println!(
        "{} cells, ranges of {min_range}, {} small: {} withheld, {} persons in them, {seconds:.1} s, {} MB",
        table.cells(),
        count(&primary),
        count(&withheld),
        table.mass(&withheld),
        peak_memory() / 1024,
    );
    Cost { cells: table.cells(), seconds, withheld: count(&withheld), ranges: min_range > 0 }
}

/// The lines of the file's first regions, put under other parents where that is asked for.
fn first_regions(file: &Path, size: usize, args: &Args) -> Vec<u8> {
    let mut reader = csv::Reader::from_path(file).unwrap();
    let header = reader.headers().unwrap().clone();
    let column = header.iter().position(|name| name == args.region).unwrap();
    let above = header.iter().position(|name| name == args.parent).unwrap();
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(&header).unwrap();
    let mut regions: Vec<String> = Vec::new();
    for record in reader.records().map(Result::unwrap) {
        let known = regions.iter().position(|r| *r == record[column]);
        if known.is_some() || regions.len() < size {
            let place = known.unwrap_or_else(|| {
                regions.push(record[column].to_owned());
                regions.len() - 1
            });
            let parent = args.parents.map(|parents| format!("P{}", place % parents));
            let field = |(i, text)| if i == above { parent.as_deref().unwrap_or(text) } else { text };
            writer.write_record(record.iter().enumerate().map(field)).unwrap();
        }
    }
    writer.into_inner().unwrap()
}

/// The peak resident memory of this process in kB, as Linux tells it.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0");
    line.trim().trim_end_matches(" kB").trim().parse().unwrap_or(0)
}
