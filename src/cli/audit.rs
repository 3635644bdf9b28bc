//! `kpr audit`.

/// Arguments of `kpr audit`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs `kpr audit`.
///
/// # Errors
/// Says what went wrong.
pub async fn run(_args: Args) -> anyhow::Result<()> {
    anyhow::bail!("not built yet")
}
