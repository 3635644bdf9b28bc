//! The flags with which a steward signs.

use std::path::PathBuf;

use kpr::domain::ids::StewardId;

/// Who signs.
#[derive(Debug, clap::Args)]
pub struct Steward {
    /// Your steward id
    #[arg(long, value_parser = |text: &str| StewardId::new(text))]
    pub steward: StewardId,
    /// Your signing key, as `kpr pki steward-key` writes it
    #[arg(long)]
    pub signing_key: PathBuf,
}
