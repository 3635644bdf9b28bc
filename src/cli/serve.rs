//! `kpr serve`: the gateway.

use std::path::PathBuf;
use std::sync::Arc;

use kpr::app::system::{SystemClock, SystemEntropy};
use kpr::app::{gateway, shutdown};
use kpr::config::GatewayConfig;

/// Arguments of `kpr serve`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration file
    #[arg(long)]
    config: PathBuf,
}

/// Runs `kpr serve`.
///
/// # Errors
/// Says what went wrong.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let config = GatewayConfig::load(&args.config)?;
    kpr::telemetry::init(None)?;
    let ready = |at: gateway::Addresses| println!("listening on {} (gRPC) and {} (HTTPS)", at.grpc, at.https);
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
    gateway::run(&config, clock, entropy, shutdown::on_signal()?, ready).await?;
    Ok(())
}
