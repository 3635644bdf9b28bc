//! `kpr pki`.

/// Arguments of `kpr pki`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs `kpr pki`.
///
/// # Errors
/// Says what went wrong.
pub async fn run(_args: Args) -> anyhow::Result<()> {
    anyhow::bail!("not built yet")
}
