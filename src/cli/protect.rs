//! `kpr protect`: disclosure control for a table in a file.

mod method;

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use indicatif::ProgressBar;
use kpr::app::system::SystemEntropy;
use kpr::config::read_secret;
use kpr::disclosure::PatternKey;
use kpr::disclosure::file::{Ask, Columns, FileTable, Hierarchy, ProtectedTable, RecordSecret, Stage};
use kpr::disclosure::primary::{Rules, SumRule, Zeros};
use kpr::domain::clock::Entropy;
use method::{Method, NoiseArgs};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use zeroize::Zeroizing;

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
    /// The least number of persons in a published cell: 5 if not given
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    min_persons: Option<u64>,
    /// Withhold empty cells as well: that nobody is there must not be known
    #[arg(long)]
    protect_zeros: bool,
    /// Publish the sum of this column instead of the count
    #[arg(long)]
    sum: Option<String>,
    /// A sum is withheld if so many contributors give more than so many percent of it, such as 1:85
    #[arg(long, value_name = "N:K", requires_all = ["sum", "contributors"])]
    dominance: Vec<SumRule>,
    /// A sum is withheld if the second largest contributor can estimate the largest one to within so many percent
    #[arg(long, value_name = "P", requires_all = ["sum", "contributors"],
        value_parser = clap::value_parser!(u8).range(1..100))]
    p_percent: Option<u8>,
    /// The column that says which unit has reported a line
    #[arg(long, requires_all = ["min_units", "contributors"])]
    units: Option<String>,
    /// The least number of reporting units behind a published cell
    #[arg(long, requires = "units", value_parser = clap::value_parser!(u64).range(1..))]
    min_units: Option<u64>,
    /// The column that says who contributes a line: then there is a line a contributor and cell, and a
    /// contributor in several cells counts once in their total
    #[arg(long)]
    contributors: Option<String>,
    /// A table that was protected earlier: what it published stays published
    #[arg(long)]
    frozen: Option<PathBuf>,
    /// The least range of a small count, k if left out: the greatest and the least that nobody can rule out differ
    /// by so much. 0 protects against exact recovery only, by those who know no more than the table; a sum is
    /// protected against exact recovery, by its contributors too
    #[arg(long, conflicts_with = "sum", value_parser = clap::value_parser!(u64).range(..=MOST_RANGE))]
    min_range: Option<u64>,
    /// Print for each withheld cell what nobody can narrow down further: other tables that agree with all that
    /// is published count from low to high in it. Whoever reads it knows the true counts closely: for stewards only
    #[arg(long, conflicts_with = "sum")]
    audit: bool,
    /// How the table is protected
    #[arg(long, value_enum, default_value_t = Method::Suppress)]
    method: Method,
    #[command(flatten)]
    noise: NoiseArgs,
    /// A file of 32 secret bytes, mode 0600. With suppress and fold they decide between equally good patterns: the
    /// same table and key give the same pattern; without it they are drawn anew, and the same table can give another
    /// pattern: publish only one of them, since two tell more than either. With cellkey the noise is made from them:
    /// keep them for as long as tables of these persons are published
    #[arg(long)]
    key: Option<PathBuf>,
    /// The file to write: every cell of every margin, with value and status
    #[arg(long)]
    out: PathBuf,
}

/// The widest range that can be asked for.
const MOST_RANGE: u64 = 1_000_000;

/// Runs `kpr protect`.
///
/// # Errors
/// Says what is wrong with the options or the files.
pub fn run(args: Args) -> anyhow::Result<()> {
    method::check(&args)?;
    let table = read(&args)?;
    let rules = Rules {
        zeros: if args.protect_zeros { Zeros::Protected } else { Zeros::Published },
        min_units: args.min_units.unwrap_or(0),
        sums: args.dominance.iter().copied().chain(args.p_percent.map(SumRule::percent)).collect(),
        singletons: args.min_range != Some(0),
        ..Rules::persons(args.min_persons.unwrap_or(LEAST_PERSONS))
    };
    let bar = ProgressBar::new_spinner().with_message(format!("protecting {} cells", table.cells()));
    bar.enable_steady_tick(Duration::from_millis(200));
    let told = match args.method {
        Method::Suppress => suppress(&args, &table, &rules, &bar),
        Method::Fold => fold(&args, &table, &rules, &bar),
        Method::Cellkey => perturb(&args, &table),
        Method::Noise => noise(&args, &table),
    };
    bar.finish_and_clear();
    // What was asked to be printed goes to standard output.
    eprintln!("{}: {}", told?, args.out.display());
    Ok(())
}

/// The least number of persons in a published cell, where nothing else is asked for.
const LEAST_PERSONS: u64 = 5;

fn suppress(args: &Args, table: &FileTable, rules: &Rules, bar: &ProgressBar) -> anyhow::Result<String> {
    let published = match &args.frozen {
        Some(path) => table.published_in(open(path)?)?,
        None => vec![false; table.cells()],
    };
    let ask = Ask { rules, min_range: min_range(args, rules)?, published: &published };
    let key = key(args.key.as_deref())?;
    let protected = table.protect(ask, &key, &mut |stage| bar.set_message(message(stage)))?;
    write(args, table, &protected)
}

fn fold(args: &Args, table: &FileTable, rules: &Rules, bar: &ProgressBar) -> anyhow::Result<String> {
    let (min_range, key) = (min_range(args, rules)?, key(args.key.as_deref())?);
    let folded = table.fold(rules, min_range, &key, &mut |stage| bar.set_message(message(stage)))?;
    let written = write(args, &folded.table, &folded.protected)?;
    Ok(format!("{} codes are folded, and {written}", folded.codes_folded))
}

/// The range that small counts get.
fn min_range(args: &Args, rules: &Rules) -> anyhow::Result<u64> {
    // A sum has no range.
    let none = if args.sum.is_some() { 0 } else { rules.min_persons };
    let min_range = args.min_range.unwrap_or(none);
    anyhow::ensure!(min_range > 0 || !args.audit, "--audit prints ranges, and --min-range 0 protects none");
    Ok(min_range)
}

/// Writes a protected table, and prints its ranges if they are asked for.
fn write(args: &Args, table: &FileTable, protected: &ProtectedTable) -> anyhow::Result<String> {
    table.write(&protected.withheld, out(args)?)?;
    if args.audit {
        table.write_ranges(&protected.ranges, std::io::stdout().lock())?;
    }
    Ok(format!("{} of {} cells are withheld", count(&protected.withheld), table.cells()))
}

fn perturb(args: &Args, table: &FileTable) -> anyhow::Result<String> {
    let least = u32::try_from(args.min_persons.unwrap_or(LEAST_PERSONS)).unwrap_or(u32::MAX);
    let noise = args.noise.perturbation(least)?;
    let path = args.key.as_deref().context("--method cellkey needs --key")?;
    let values = table.perturbed(&noise, &RecordSecret::new(read_secret(path)?))?;
    table.write_perturbed(&values, out(args)?)?;
    let design = noise.design();
    Ok(format!(
        "{} cells have noise of at most {} with variance {}.{}",
        table.cells(),
        design.bound,
        design.variance_tenths / 10,
        design.variance_tenths % 10
    ))
}

fn noise(args: &Args, table: &FileTable) -> anyhow::Result<String> {
    eprintln!(
        "The codes of the file are taken to be public: it must name those too that nobody has, with a count of 0."
    );
    let asked = args.noise.asked()?;
    let mut seed = Zeroizing::new([0; 32]);
    SystemEntropy.fill(seed.as_mut_slice())?;
    let noisy = table.noisy(asked, &mut ChaCha20Rng::from_seed(*seed))?;
    table.write_noisy(&noisy, out(args)?)?;
    let epsilon = noisy.cost.epsilon_thousandths(DELTA_EXPONENT);
    Ok(format!(
        "{} cells have noise; spent is rho = {}, that is epsilon = {}.{:03} at delta = 10^-{DELTA_EXPONENT}",
        table.cells(),
        noisy.cost,
        epsilon / 1000,
        epsilon % 1000
    ))
}

/// The delta at which a privacy loss is also told as an epsilon.
const DELTA_EXPONENT: u32 = 6;

fn count(cells: &[bool]) -> usize {
    cells.iter().filter(|chosen| **chosen).count()
}

fn out(args: &Args) -> anyhow::Result<BufWriter<File>> {
    let file = File::create(&args.out).with_context(|| format!("cannot write {}", args.out.display()))?;
    Ok(BufWriter::new(file))
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
    let columns = Columns {
        count: args.count.clone(),
        sum: args.sum.clone(),
        contributors: args.contributors.clone(),
        units: args.units.clone(),
    };
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
        let mut bytes = Zeroizing::new([0; 32]);
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
