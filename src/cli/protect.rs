//! `kpr protect`: disclosure control for a table in a file.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::ValueEnum;
use indicatif::ProgressBar;
use kpr::app::system::SystemEntropy;
use kpr::config::read_secret;
use kpr::disclosure::PatternKey;
use kpr::disclosure::file::{Ask, Columns, FileTable, Hierarchy, Stage};
use kpr::disclosure::primary::{Rules, SumRule, Zeros};
use kpr::domain::clock::Entropy;

/// Arguments of `kpr protect`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The inner cells as CSV: a column a dimension, and a count column. A combination that is left out
    /// counts nobody; one whose count is . is impossible
    cells: PathBuf,
    /// The column that counts persons
    #[arg(long)]
    count: String,
    /// A hierarchy: a file of child,parent lines, or another column of the cells. A child with two parents
    /// lies in two hierarchies
    #[arg(long, value_name = "DIMENSION=FILE|COLUMN", value_parser = named)]
    hierarchy: Vec<(String, String)>,
    /// The least number of persons in a published cell
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    min_persons: u64,
    /// Withhold empty cells as well: that nobody is there must not be known
    #[arg(long)]
    protect_zeros: bool,
    /// Publish the sum of this column instead of the count
    #[arg(long)]
    sum: Option<String>,
    /// A sum is withheld if so many contributors give more than so many percent of it, such as 1:85
    #[arg(long, value_name = "N:K", requires_all = ["sum", "contributors"])]
    dominance: Vec<SumRule>,
    /// The column that says who contributes a line: then there is a line a contributor and cell, and a
    /// contributor in several cells counts once in their total
    #[arg(long)]
    contributors: Option<String>,
    /// A table that was protected earlier: what it published stays published
    #[arg(long)]
    frozen: Option<PathBuf>,
    /// The least range of a small count, k if left out: the greatest and the least that nobody can rule out differ
    /// by so much. 0 protects against exact recovery only, and so is a sum
    #[arg(long, conflicts_with = "sum", value_parser = clap::value_parser!(u64).range(..=MOST_RANGE))]
    min_range: Option<u64>,
    /// Print for each withheld cell what nobody can narrow down further: other tables that agree with all that
    /// is published count from low to high in it. Whoever reads it knows the true counts closely: for stewards only
    #[arg(long, conflicts_with = "sum")]
    audit: bool,
    /// How the table is protected
    #[arg(long, value_enum, default_value_t = Method::Suppress)]
    method: Method,
    /// A file of 32 secret bytes, mode 0600, that decide between equally good patterns. The same table and key give the
    /// same pattern. Without it they are drawn anew, and the same table can give another pattern: publish only
    /// one of them, since two tell more than either
    #[arg(long)]
    key: Option<PathBuf>,
    /// The file to write: every cell of every margin, with value and status
    #[arg(long)]
    out: PathBuf,
}

/// The widest range that can be asked for.
const MOST_RANGE: u64 = 1_000_000;

/// How a table is protected.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Method {
    /// Withhold small cells, and others so that they cannot be computed
    Suppress,
}

/// Runs `kpr protect`.
///
/// # Errors
/// Says what is wrong with the files.
pub fn run(args: Args) -> anyhow::Result<()> {
    let table = read(&args)?;
    let rules = Rules {
        zeros: if args.protect_zeros { Zeros::Protected } else { Zeros::Published },
        sums: args.dominance,
        ..Rules::persons(args.min_persons)
    };
    let published = match &args.frozen {
        Some(path) => table.published_in(open(path)?)?,
        None => vec![false; table.cells()],
    };
    let key = key(args.key.as_deref())?;
    let none = if args.sum.is_some() { 0 } else { args.min_persons };
    let min_range = args.min_range.unwrap_or(none);
    anyhow::ensure!(min_range > 0 || !args.audit, "--audit prints ranges, and --min-range 0 protects none");
    let ask = Ask { rules: &rules, min_range, published: &published };
    let bar = ProgressBar::new_spinner().with_message(format!("protecting {} cells", table.cells()));
    bar.enable_steady_tick(Duration::from_millis(200));
    let chosen = match args.method {
        Method::Suppress => table.protect(ask, &key, &mut |stage| bar.set_message(message(stage))),
    };
    bar.finish_and_clear();
    let protected = chosen?;
    let out = File::create(&args.out).with_context(|| format!("cannot write {}", args.out.display()))?;
    table.write(&protected.withheld, BufWriter::new(out))?;
    if args.audit {
        table.write_ranges(&protected.ranges, std::io::stdout().lock())?;
    }
    let count = protected.withheld.iter().filter(|w| **w).count();
    eprintln!("{count} of {} cells are withheld: {}", table.cells(), args.out.display());
    Ok(())
}

/// What a steward is told while it lasts.
fn message(stage: Stage) -> String {
    match stage {
        Stage::Ranges { done, of } => {
            format!("giving small counts their range: {} %", 100 * done / of.max(1))
        }
        Stage::Pattern => "choosing the cells to withhold".to_owned(),
        Stage::Inspection => "looking for leaks".to_owned(),
    }
}

fn read(args: &Args) -> anyhow::Result<FileTable> {
    let columns =
        Columns { count: args.count.clone(), sum: args.sum.clone(), contributors: args.contributors.clone() };
    let mut header = csv::Reader::from_reader(open(&args.cells)?);
    let header = header.headers().with_context(|| format!("cannot read {}", args.cells.display()))?.clone();
    let mut hierarchies = Vec::new();
    for (dimension, source) in &args.hierarchy {
        let hierarchy = if header.iter().any(|column| column.trim() == source) {
            Hierarchy::Column(source.clone())
        } else {
            Hierarchy::Lines(Box::new(open(Path::new(source))?))
        };
        hierarchies.push((dimension.clone(), hierarchy));
    }
    FileTable::read(open(&args.cells)?, &columns, hierarchies)
        .with_context(|| format!("cannot protect {}", args.cells.display()))
}

/// The secret that decides between equals.
fn key(path: Option<&Path>) -> anyhow::Result<PatternKey> {
    let Some(path) = path else {
        eprintln!("No --key: the pattern's secret is drawn anew. Publish only one pattern of a table.");
        let mut bytes = zeroize::Zeroizing::new([0; 32]);
        SystemEntropy.fill(bytes.as_mut_slice())?;
        return Ok(PatternKey::new(bytes));
    };
    Ok(PatternKey::new(read_secret(path)?))
}

fn open(path: &Path) -> anyhow::Result<File> {
    File::open(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Parses `dimension=source`.
fn named(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((dimension, source)) if !dimension.is_empty() && !source.is_empty() => {
            Ok((dimension.to_owned(), source.to_owned()))
        }
        _ => Err("a hierarchy is given as dimension=file or dimension=column".to_owned()),
    }
}
