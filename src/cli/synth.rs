//! `kpr synth`.

/// Arguments of `kpr synth`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs `kpr synth`.
///
/// # Errors
/// Says what went wrong.
pub async fn run(_args: Args) -> anyhow::Result<()> {
    anyhow::bail!("not built yet")
}
