//! Connections to other parties: TLS 1.3, our certificate shown, theirs checked against the name we
//! expect.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http::Uri;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tonic::transport::{Channel, Endpoint};

use super::recorder::Recorded;
use super::status::innermost;
use super::tls::{self, TlsError};
use super::token_client::{Line, TokenSource};
use super::watched::Watched;
use crate::config::{Peer, TlsFiles};
use crate::domain::refusal::{Refusal, RefusalKind};

/// Why another party cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Our own TLS files.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The name that the other party's certificate must carry is not a DNS name.
    #[error("{0:?} is not a DNS name that a certificate could carry")]
    Name(String),
    /// The other party did not answer, or did not show the certificate expected.
    #[error("cannot connect to {name} at {address}: {reason}")]
    Unreachable {
        /// The name expected.
        name: String,
        /// The address.
        address: SocketAddr,
        /// The innermost cause.
        reason: String,
    },
}

impl From<ConnectError> for Refusal {
    fn from(error: ConnectError) -> Self {
        Self::new(RefusalKind::Unavailable, "peer.connection", error.to_string())
    }
}

/// The most time for a connection to come up, handshake included.
const CONNECT: Duration = Duration::from_secs(10);
/// How often an idle connection is pinged, and how long the answer may take.
const KEEPALIVE: Duration = Duration::from_secs(20);
/// Flow control windows, as the servers have them.
const STREAM_WINDOW: u32 = 2 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;

/// Connects to a party now. A connection that breaks later is made again on the next call.
///
/// A server that does not accept our certificate says so only after the handshake (TLS 1.3), so that
/// refusal comes with the first call.
///
/// # Errors
/// [`ConnectError`].
pub async fn connect(peer: &Peer, files: &TlsFiles) -> Result<Channel, ConnectError> {
    let (endpoint, connector) = parts(peer, files)?;
    up(peer, endpoint, connector).await
}

/// A channel to a party that connects on the first call.
///
/// # Errors
/// [`ConnectError::Tls`], [`ConnectError::Name`].
pub fn connect_lazy(peer: &Peer, files: &TlsFiles) -> Result<Channel, ConnectError> {
    let (endpoint, connector) = parts(peer, files)?;
    Ok(endpoint.connect_with_connector_lazy(connector))
}

/// Connects to a party with tokens instead of a certificate. The party's own certificate must be from `authority` and
/// on none of the lists `revoked`.
///
/// # Errors
/// [`ConnectError`].
pub async fn connect_with_tokens(
    peer: &Peer,
    authority: &Path,
    revoked: &[PathBuf],
    tokens: Arc<TokenSource>,
) -> Result<Line, ConnectError> {
    let config = tls::token_client_config(authority, revoked)?;
    let (endpoint, connector) = dial(peer, Arc::new(move || Arc::clone(&config)))?;
    let channel = up(peer, endpoint, connector).await?;
    Ok(Line::with_tokens(channel, tokens, format!("https://{}:{}", peer.name, peer.address.port())))
}

async fn up(peer: &Peer, endpoint: Endpoint, connector: Dial) -> Result<Channel, ConnectError> {
    endpoint.connect_with_connector(connector).await.map_err(|error| ConnectError::Unreachable {
        name: peer.name.clone(),
        address: peer.address,
        reason: innermost(&error),
    })
}

fn parts(peer: &Peer, files: &TlsFiles) -> Result<(Endpoint, Dial), ConnectError> {
    let tls = Watched::open(files, tls::client_config)?;
    dial(peer, Arc::new(move || tls.now()))
}

fn dial(
    peer: &Peer,
    tls: Arc<dyn Fn() -> Arc<ClientConfig> + Send + Sync>,
) -> Result<(Endpoint, Dial), ConnectError> {
    let bad_name = || ConnectError::Name(peer.name.clone());
    let name = ServerName::try_from(peer.name.clone()).map_err(|_| bad_name())?;
    // The endpoint's scheme is http because TLS is made here and not by tonic; the origin, which the
    // server sees, is https.
    let authority = format!("{}:{}", peer.name, peer.address.port());
    let origin: Uri = format!("https://{authority}").parse().map_err(|_| bad_name())?;
    let endpoint = Endpoint::from_shared(format!("http://{authority}"))
        .map_err(|_| bad_name())?
        .origin(origin)
        .connect_timeout(CONNECT)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    Ok((endpoint, Dial { tls, name, address: peer.address }))
}

/// Makes connections to one party, each with the TLS files as they are then.
#[derive(Clone)]
struct Dial {
    tls: Arc<dyn Fn() -> Arc<ClientConfig> + Send + Sync>,
    name: ServerName<'static>,
    address: SocketAddr,
}

impl tower::Service<Uri> for Dial {
    type Response = TokioIo<Recorded<TlsStream<TcpStream>>>;
    type Error = std::io::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let dial = self.clone();
        Box::pin(async move {
            let label = format!("client-of-{}", dial.name.to_str());
            let tcp = TcpStream::connect(dial.address).await?;
            tcp.set_nodelay(true)?;
            let tls = TlsConnector::from((dial.tls)());
            let stream = tls.connect(dial.name, tcp).await?;
            Ok(TokioIo::new(Recorded::new(stream, &label)))
        })
    }
}
