//! The registers at national size, made once and kept.

use std::path::Path;
use std::time::Instant;

use kpr::app::stage::{Process, Stage, StageOptions};
use kpr::app::system::{SystemClock, SystemEntropy};
use kpr::registers::synth::{self, SynthOptions};

use super::Fallible;

const SEED: u64 = 1;
/// What the question needs. The year after the discharges is there for the follow-up.
const DELIVERIES: [&str; 4] = ["folkeregisteret", "kuhr-2024", "kuhr-2025", "npr-2024"];
/// What outlives an installation: the vault and its secret, and the data of both registers, as folder and
/// beginning of a name.
const KEPT: [(&str, &str); 4] = [
    ("identity", "root.secret"),
    ("identity", "vault.sqlite"),
    ("gateway", "register"),
    ("npr", "register.sqlite"),
];

/// An installation over registers of so many persons: those of an earlier run if there are any.
pub(super) async fn prepare(folder: &Path, persons: u32) -> Fallible<Stage> {
    let (place, earlier) = (folder.join("stage"), folder.join("earlier"));
    let (complete, deliveries) = (folder.join("complete"), folder.join("deliveries"));
    let options = StageOptions { order_seconds: Some(600), ..StageOptions::default() };
    let build = || {
        let program = Path::new(env!("CARGO_BIN_EXE_kpr"));
        Stage::build(&place, program, &options, &SystemClock, &SystemEntropy)
    };
    if std::fs::read_to_string(&complete).is_ok_and(|of| of == persons.to_string()) {
        if !earlier.exists() {
            std::fs::rename(&place, &earlier)?;
        } else if place.exists() {
            std::fs::remove_dir_all(&place)?;
        }
        let stage = build()?;
        keep(&earlier, &stage)?;
        std::fs::remove_dir_all(&earlier)?;
        return Ok(stage);
    }
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    std::fs::create_dir_all(folder)?;
    let start = Instant::now();
    let written = synth::write(&SynthOptions::new(persons, SEED, &deliveries), |_| {})?;
    println!(
        "deliveries: {} persons, {} contacts, {} episodes in {:.0} s",
        written.persons,
        written.contacts,
        written.episodes,
        start.elapsed().as_secs_f64()
    );
    let stage = build()?;
    let identity = stage.start(Process::Identity).await?;
    for delivery in DELIVERIES {
        let start = Instant::now();
        stage.deliver(&deliveries.join(delivery)).await?;
        println!("{delivery}: taken in {:.0} s", start.elapsed().as_secs_f64());
    }
    identity.stop().await;
    std::fs::write(&complete, persons.to_string())?;
    Ok(stage)
}

/// Moves what is kept from an earlier installation to this one.
fn keep(earlier: &Path, stage: &Stage) -> Fallible<()> {
    for (part, name) in KEPT {
        let starts = |entry: &std::fs::DirEntry| entry.file_name().to_string_lossy().starts_with(name);
        for old in std::fs::read_dir(stage.path(part))?.collect::<Result<Vec<_>, _>>()? {
            if starts(&old) {
                std::fs::remove_file(old.path())?;
            }
        }
        for entry in std::fs::read_dir(earlier.join(part))?.collect::<Result<Vec<_>, _>>()? {
            if starts(&entry) {
                std::fs::rename(entry.path(), stage.path(part).join(entry.file_name()))?;
            }
        }
    }
    Ok(())
}
