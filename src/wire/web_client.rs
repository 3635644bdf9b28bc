//! A plain HTTPS client, as a statistics consumer has one: no certificate, one request.

use std::path::Path;

use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::recorder::Recorded;
use super::tls::{self, TlsError};
use crate::config::Peer;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebAnswer {
    /// The status code.
    pub status: StatusCode,
    /// The media type.
    pub media_type: String,
    /// The body.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// The authority's certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The connection.
    #[error("the server cannot be reached: {0}")]
    Connection(#[from] std::io::Error),
    /// The exchange.
    #[error("the server's answer cannot be read: {0}")]
    Exchange(String),
}

/// The most bytes of an answer.
const MOST: usize = 256 << 20;

/// Gets a path over HTTPS, trusting servers certified by `authority` only.
///
/// # Errors
/// [`WebError`].
pub async fn get(server: &Peer, authority: &Path, path: &str) -> Result<WebAnswer, WebError> {
    let failed = |e: &dyn std::fmt::Display| WebError::Exchange(e.to_string());
    let name = ServerName::try_from(server.name.clone()).map_err(|e| failed(&e))?;
    let connector = TlsConnector::from(tls::web_client_config(authority)?);
    let stream = connector.connect(name, TcpStream::connect(server.address).await?).await?;
    let stream = TokioIo::new(Recorded::new(stream, "web-client"));
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(stream).await.map_err(|e| failed(&e))?;
    let driver = tokio::spawn(connection);
    let request = Request::get(path)
        .header(header::HOST, &server.name)
        .body(Empty::<Bytes>::new())
        .map_err(|e| failed(&e))?;
    let response = sender.send_request(request).await.map_err(|e| failed(&e))?;
    let status = response.status();
    let media_type = response.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
    let media_type = media_type.unwrap_or_default().to_owned();
    let body = Limited::new(response.into_body(), MOST).collect().await.map_err(|e| failed(&e))?;
    driver.abort();
    Ok(WebAnswer { status, media_type, body: body.to_bytes().to_vec() })
}
