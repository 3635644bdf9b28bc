//! `kpr ingest`.

/// Arguments of `kpr ingest`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs `kpr ingest`.
///
/// # Errors
/// Says what went wrong.
pub async fn run(_args: Args) -> anyhow::Result<()> {
    anyhow::bail!("not built yet")
}
