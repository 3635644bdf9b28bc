//! The flags with which a caller reaches the gateway, and the files a caller writes.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use kpr::app::system::{SystemClock, SystemEntropy};
use kpr::config::{Peer, TlsFiles, TokenClientConfig};
use kpr::wire::gateway_client::GatewayClient;
use kpr::wire::token_client::TokenSource;
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
    #[arg(long, required_unless_present = "token", requires = "key")]
    certificate: Option<PathBuf>,
    /// Your private key, PEM, file mode 0600
    #[arg(long)]
    key: Option<PathBuf>,
    /// Sign in with tokens instead of a certificate: a file that says where they are from
    #[arg(long, conflicts_with_all = ["certificate", "key"])]
    token: Option<PathBuf>,
    /// The authority that the server's certificate must be from, PEM
    #[arg(long)]
    authority: PathBuf,
    /// A revocation list that the server's certificate is looked up in, PEM or DER; can be given several times
    #[arg(long)]
    revocation: Vec<PathBuf>,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// Says why the gateway cannot be reached.
    pub async fn connect(&self) -> anyhow::Result<GatewayClient> {
        let (gateway, shown) = (self.shown.peer(self.gateway), &self.shown);
        let Some(token) = &shown.token else {
            return Ok(GatewayClient::connect(&gateway, &shown.files()?).await?);
        };
        let config = TokenClientConfig::load(token)?;
        let tokens = Arc::new(TokenSource::new(config, Arc::new(SystemClock), Arc::new(SystemEntropy))?);
        let (authority, revoked) = (&shown.authority, &shown.revocation);
        Ok(GatewayClient::connect_with_tokens(&gateway, authority, revoked, tokens).await?)
    }
}

impl Shown {
    /// The server at an address.
    pub fn peer(&self, address: SocketAddr) -> Peer {
        Peer { address, name: self.name.clone() }
    }

    /// The TLS files.
    ///
    /// # Errors
    /// Where a token is to be shown instead.
    pub fn files(&self) -> anyhow::Result<TlsFiles> {
        let (Some(certificate), Some(key)) = (&self.certificate, &self.key) else {
            anyhow::bail!("this server takes a certificate and no token");
        };
        let files = TlsFiles::new(certificate.clone(), key.clone(), self.authority.clone());
        Ok(TlsFiles { revocation: self.revocation.clone(), ..files })
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
