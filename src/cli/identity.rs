//! `kpr identity`.

/// Arguments of `kpr identity`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs `kpr identity`.
///
/// # Errors
/// Says what went wrong.
pub async fn run(_args: Args) -> anyhow::Result<()> {
    anyhow::bail!("not built yet")
}
