//! `kpr serve`.

/// Arguments of `kpr serve`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs `kpr serve`.
///
/// # Errors
/// Says what went wrong.
pub async fn run(_args: Args) -> anyhow::Result<()> {
    anyhow::bail!("not built yet")
}
