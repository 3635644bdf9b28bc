//! `kpr statistics`.

/// Arguments of `kpr statistics`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs `kpr statistics`.
///
/// # Errors
/// Says what went wrong.
pub async fn run(_args: Args) -> anyhow::Result<()> {
    anyhow::bail!("not built yet")
}
