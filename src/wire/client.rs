//! Connections to other parties: TLS 1.3, our certificate shown, theirs checked against the name we
//! expect.

use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use super::recorder::Recorded;
use super::status::innermost;
use super::tls::{self, TlsError};
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
        address: std::net::SocketAddr,
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
    endpoint.connect_with_connector(connector).await.map_err(|error| ConnectError::Unreachable {
        name: peer.name.clone(),
        address: peer.address,
        reason: innermost(&error),
    })
}

/// A channel to a party that connects on the first call.
///
/// # Errors
/// [`ConnectError::Tls`], [`ConnectError::Name`].
pub fn connect_lazy(peer: &Peer, files: &TlsFiles) -> Result<Channel, ConnectError> {
    let (endpoint, connector) = parts(peer, files)?;
    Ok(endpoint.connect_with_connector_lazy(connector))
}

/// What tonic asks of a connector.
type Connected = TokioIo<Recorded<tokio_rustls::client::TlsStream<TcpStream>>>;
type Connecting = futures::future::BoxFuture<'static, std::io::Result<Connected>>;

fn parts(
    peer: &Peer,
    files: &TlsFiles,
) -> Result<
    (
        Endpoint,
        impl tower::Service<Uri, Response = Connected, Error = std::io::Error, Future = Connecting>
        + Send
        + 'static,
    ),
    ConnectError,
> {
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
    let connector = TlsConnector::from(Arc::clone(&tls::client_config(files)?));
    let address = peer.address;
    let label = format!("client-of-{}", peer.name);
    let connector = service_fn(move |_: Uri| -> Connecting {
        let (connector, name, label) = (connector.clone(), name.clone(), label.clone());
        Box::pin(async move {
            let tcp = TcpStream::connect(address).await?;
            tcp.set_nodelay(true)?;
            let stream = connector.connect(name, tcp).await?;
            Ok(TokioIo::new(Recorded::new(stream, &label)))
        })
    });
    Ok((endpoint, connector))
}
