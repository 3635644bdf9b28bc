//! `kpr query`.

/// Arguments of `kpr query`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs `kpr query`.
///
/// # Errors
/// Says what went wrong.
pub async fn run(_args: Args) -> anyhow::Result<()> {
    anyhow::bail!("not built yet")
}
