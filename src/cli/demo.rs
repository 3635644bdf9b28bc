//! `kpr demo`.

/// Arguments of `kpr demo`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs `kpr demo`.
///
/// # Errors
/// Says what went wrong.
pub async fn run(_args: Args) -> anyhow::Result<()> {
    anyhow::bail!("not built yet")
}
