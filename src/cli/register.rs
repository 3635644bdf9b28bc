//! `kpr register`.

/// Arguments of `kpr register`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs `kpr register`.
///
/// # Errors
/// Says what went wrong.
pub async fn run(_args: Args) -> anyhow::Result<()> {
    anyhow::bail!("not built yet")
}
