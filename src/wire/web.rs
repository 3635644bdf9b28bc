//! One exchange with a token issuer over HTTP: HTTPS, or plain HTTP to this machine itself.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::uri::Scheme;
use http::{Request, Response, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;

use super::tls::{self, TlsError};

/// The most time an exchange may take.
const MOST_TIME: Duration = Duration::from_secs(5);
/// The most bytes of an answer.
const MOST_BYTES: usize = 256 << 10;

/// Why an address of an issuer cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadAddress {
    /// It is no address.
    #[error("{0:?} is not an address: https://host/path, or http:// and a loopback address")]
    Address(String),
    /// It does not say whom to trust.
    #[error("{0:?} takes an authority that its server's certificate must be from")]
    NoAuthority(String),
    /// The authority.
    #[error(transparent)]
    Authority(#[from] TlsError),
}

/// Why an exchange came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebFault {
    /// No answer in time.
    #[error("no answer within {} s", MOST_TIME.as_secs())]
    Time,
    /// The connection or the answer.
    #[error("{0}")]
    Exchange(String),
}

/// An address of an issuer.
#[derive(Clone)]
pub struct Address {
    uri: Uri,
    host: String,
    port: u16,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
}

impl Address {
    /// Checks an address. `authority` is what an HTTPS server's certificate must be from.
    ///
    /// # Errors
    /// [`BadAddress`].
    pub fn new(address: &str, authority: Option<&Path>) -> Result<Self, BadAddress> {
        let wrong = || BadAddress::Address(address.to_owned());
        let uri: Uri = address.parse().map_err(|_| wrong())?;
        let host = uri.host().ok_or_else(wrong)?.to_owned();
        let secure = uri.scheme() == Some(&Scheme::HTTPS);
        if !secure && (uri.scheme() != Some(&Scheme::HTTP) || !matches!(host.as_str(), "127.0.0.1" | "[::1]"))
        {
            return Err(wrong());
        }
        let tls = if secure {
            let authority = authority.ok_or_else(|| BadAddress::NoAuthority(address.to_owned()))?;
            let name = ServerName::try_from(host.clone()).map_err(|_| wrong())?;
            Some((tls::web_client_config(authority)?, name))
        } else {
            None
        };
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        Ok(Self { uri, host, port, tls })
    }

    /// The address as it was written.
    #[must_use]
    pub fn text(&self) -> String {
        self.uri.to_string()
    }

    /// Sends a request to this address; its URI and host are set here. Follows nothing.
    ///
    /// # Errors
    /// [`WebFault`].
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Bytes>, WebFault> {
        tokio::time::timeout(MOST_TIME, self.exchange(request)).await.map_err(|_| WebFault::Time)?
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Response<Bytes>, WebFault> {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        let tcp = TcpStream::connect((host, self.port)).await.map_err(fault)?;
        match &self.tls {
            None => self.over(tcp, request).await,
            Some((config, name)) => {
                let connector = TlsConnector::from(Arc::clone(config));
                self.over(connector.connect(name.clone(), tcp).await.map_err(fault)?, request).await
            }
        }
    }

    async fn over<S>(&self, stream: S, mut request: Request<Full<Bytes>>) -> Result<Response<Bytes>, WebFault>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() = path.parse().map_err(fault)?;
        let host = format!("{}:{}", self.host, self.port).parse().map_err(fault)?;
        request.headers_mut().insert(header::HOST, host);
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(fault)?;
        let exchange = async {
            let (parts, body) = sender.send_request(request).await.map_err(fault)?.into_parts();
            let body = Limited::new(body, MOST_BYTES).collect().await.map_err(fault)?.to_bytes();
            Ok(Response::from_parts(parts, body))
        };
        // The connection lives as long as the exchange, and not a moment longer.
        tokio::select! {
            answer = exchange => answer,
            _ = connection => Err(fault("the connection was closed")),
        }
    }
}

fn fault(error: impl std::fmt::Display) -> WebFault {
    WebFault::Exchange(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_with_an_authority_and_loopback_are_addresses() {
        for wrong in ["", "issuer", "http://issuer.example/jwks", "http://localhost/jwks", "ftp://127.0.0.1/"]
        {
            assert!(matches!(Address::new(wrong, None), Err(BadAddress::Address(_))), "{wrong}");
        }
        assert!(matches!(Address::new("https://issuer.example", None), Err(BadAddress::NoAuthority(_))));
        assert_eq!(Address::new("http://127.0.0.1:1/jwks", None).map(|a| a.port).ok(), Some(1));
    }
}
