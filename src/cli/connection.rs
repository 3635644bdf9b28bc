//! The flags with which a caller reaches the gateway, and the files a caller writes.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use kpr::config::{Peer, TlsFiles};
use kpr::wire::gateway_client::GatewayClient;
use serde::de::DeserializeOwned;

/// Where the gateway is, and the certificate to show it.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Connection")]
pub struct Connection {
    /// The gateway's address, for example 127.0.0.1:7443
    #[arg(long)]
    gateway: SocketAddr,
    #[command(flatten)]
    shown: Shown,
}

/// What a caller shows to a server, and expects of it.
#[derive(Debug, clap::Args)]
pub struct Shown {
    /// The DNS name that the server's certificate must carry
    #[arg(long)]
    name: String,
    /// Your certificate, PEM; it says who you are and in which role
    #[arg(long)]
    certificate: PathBuf,
    /// Your private key, PEM, file mode 0600
    #[arg(long)]
    key: PathBuf,
    /// The authority that the server's certificate must be from, PEM
    #[arg(long)]
    authority: PathBuf,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// Says why the gateway cannot be reached.
    pub async fn connect(&self) -> anyhow::Result<GatewayClient> {
        Ok(GatewayClient::connect(&self.shown.peer(self.gateway), &self.shown.files()).await?)
    }
}

impl Shown {
    /// The server at an address.
    pub fn peer(&self, address: SocketAddr) -> Peer {
        Peer { address, name: self.name.clone() }
    }

    /// The TLS files.
    pub fn files(&self) -> TlsFiles {
        TlsFiles {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            authority: self.authority.clone(),
        }
    }
}

/// Reads a query or an approval: YAML, or TOML if the file is called so.
///
/// # Errors
/// Says what in the file is not as it must be, and where.
pub fn read<T: DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let named = || format!("{} is not as it must be", path.display());
    if path.extension().is_some_and(|ending| ending == "toml") {
        toml::from_str(&text).with_context(named)
    } else {
        serde_saphyr::from_str(&text).with_context(named)
    }
}

/// Writes a result to a file, or to the standard output.
///
/// # Errors
/// Says why it cannot be written.
pub fn write(out: Option<&Path>, bytes: &[u8]) -> anyhow::Result<()> {
    match out {
        Some(path) => std::fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display())),
        None => std::io::stdout().lock().write_all(bytes).context("cannot write to the standard output"),
    }
}
