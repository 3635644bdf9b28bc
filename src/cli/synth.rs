//! `kpr synth`.

use std::path::PathBuf;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use kpr::registers::synth::{self, Progress, SynthOptions, SynthSummary, calibration};

/// Arguments of `kpr synth`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How many persons the population register holds
    #[arg(long)]
    persons: u32,
    /// The same seed and arguments give the same bytes
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The folder to write to; it must be empty or not exist
    #[arg(long)]
    out: PathBuf,
    /// Two-digit county codes to keep to, separated by commas; the whole country otherwise
    #[arg(long, value_delimiter = ',')]
    counties: Vec<String>,
    /// Add faults as real deliveries have them
    #[arg(long)]
    messy: bool,
    /// The years delivered, separated by commas
    #[arg(long, value_delimiter = ',', default_values_t = [2024, 2025])]
    years: Vec<i32>,
    /// The share of persons discharged from psychiatric inpatient care in a year
    #[arg(long, default_value_t = calibration::DISCHARGED_SHARE)]
    discharge_rate: f64,
}

/// Writes synthetic deliveries and prints what was written.
///
/// # Errors
/// Says which argument was refused and what would be accepted, or which file could not be written.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let options = SynthOptions {
        persons: args.persons,
        seed: args.seed,
        out: args.out,
        counties: args.counties,
        messy: args.messy,
        years: args.years,
        discharge_rate: args.discharge_rate,
    };
    let out = options.out.clone();
    let summary = tokio::task::spawn_blocking(move || write(&options))
        .await
        .context("the writing of synthetic deliveries was cut off")??;
    print(&summary);
    println!("written to {}", out.display());
    Ok(())
}

/// Writes the deliveries with a progress bar for each.
fn write(options: &SynthOptions) -> anyhow::Result<SynthSummary> {
    let bar = ProgressBar::new(u64::from(options.persons));
    bar.set_style(ProgressStyle::with_template(
        "{msg:16} [{wide_bar}] {human_pos}/{human_len} persons {eta}",
    )?);
    let mut delivery = String::new();
    let summary = synth::write(options, |progress: Progress<'_>| {
        if delivery != progress.delivery {
            progress.delivery.clone_into(&mut delivery);
            bar.reset();
            bar.set_message(delivery.clone());
        }
        bar.set_position(u64::from(progress.done));
    })?;
    bar.finish_and_clear();
    Ok(summary)
}

fn print(summary: &SynthSummary) {
    let SynthSummary { persons, contacts, episodes, services, files, faults } = summary;
    println!("{persons} persons, {contacts} contacts, {episodes} episodes, {services} care services");
    for file in files {
        println!("  {:32} {:>12} lines {:>14} bytes", file.path, file.lines, file.bytes);
    }
    if !faults.is_empty() {
        println!("faults put in:");
    }
    for count in faults {
        println!("  {:32} {:28} {:>8}", count.path, count.fault.as_str(), count.lines);
    }
}
