//! `kpr backup`: a copy of the gateway's database while the gateway runs.

use std::path::PathBuf;

use kpr::config::GatewayConfig;
use kpr::store::Store;

/// Arguments of `kpr backup`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The gateway's configuration file
    #[arg(long)]
    config: PathBuf,
    /// The file to write, which must not exist
    #[arg(long)]
    to: PathBuf,
}

/// Runs `kpr backup`.
///
/// # Errors
/// Says what went wrong.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let config = GatewayConfig::load(&args.config)?;
    Store::back_up(&config.store, &args.to).await?;
    println!("{}", args.to.display());
    Ok(())
}
