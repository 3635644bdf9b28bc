//! `kpr project`.

/// Arguments of `kpr project`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs `kpr project`.
///
/// # Errors
/// Says what went wrong.
pub async fn run(_args: Args) -> anyhow::Result<()> {
    anyhow::bail!("not built yet")
}
