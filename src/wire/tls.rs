//! TLS of every connection: TLS 1.3 only, ring, certificates in both directions on gRPC.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::peer::{self, PeerError};
use crate::authorise::Caller;
use crate::config::TlsFiles;

/// Why TLS cannot be set up. Names the file, never what is in it.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// A key file can be read by others than its owner.
    #[error("{0} holds a private key but others than its owner can read it: set its mode to 0600")]
    OpenKey(PathBuf),
    /// A certificate file holds no certificate.
    #[error("{0} holds no PEM certificate")]
    NoCertificate(PathBuf),
    /// A key file holds no private key.
    #[error("{0} holds no PEM private key")]
    NoKey(PathBuf),
    /// The authority's certificate cannot be used.
    #[error("{0} holds no certificate that can stand for an authority")]
    Authority(PathBuf),
    /// The certificate names no caller.
    #[error("{certificate} names no caller: {reason}")]
    NoCaller {
        /// The certificate file.
        certificate: PathBuf,
        /// What is wrong with it.
        reason: PeerError,
    },
    /// Certificate and key do not belong together, or are of a kind that TLS 1.3 does not take.
    #[error("{certificate} and {key} cannot be used for TLS 1.3: {reason}")]
    Unusable {
        /// The certificate file.
        certificate: PathBuf,
        /// The key file.
        key: PathBuf,
        /// What the TLS library says.
        reason: String,
    },
}

/// The protocol of gRPC, for ALPN.
const H2: &[u8] = b"h2";
/// The protocol of the anonymous HTTPS side, for ALPN.
const HTTP1: &[u8] = b"http/1.1";

/// What a gRPC server needs: its own certificate, and a client certificate from `authority` required.
/// Sessions are never resumed, so that every connection shows a certificate that is valid at that time.
///
/// # Errors
/// [`TlsError`].
pub fn server_config(files: &TlsFiles) -> Result<Arc<ServerConfig>, TlsError> {
    let unusable = |e: String| unusable(files, e);
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(authority(&files.authority)?), provider())
            .build()
            .map_err(|_| TlsError::Authority(files.authority.clone()))?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(|e| unusable(e.to_string()))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain(&files.certificate)?, private_key(&files.key)?)
        .map_err(|e| unusable(e.to_string()))?;
    config.alpn_protocols = vec![H2.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// What the anonymous HTTPS side needs: the server's certificate, and nothing of the client.
///
/// # Errors
/// [`TlsError`].
pub fn https_config(files: &TlsFiles) -> Result<Arc<ServerConfig>, TlsError> {
    let unusable = |e: String| unusable(files, e);
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(|e| unusable(e.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain(&files.certificate)?, private_key(&files.key)?)
        .map_err(|e| unusable(e.to_string()))?;
    config.alpn_protocols = vec![HTTP1.to_vec()];
    Ok(Arc::new(config))
}

/// What a gRPC client needs: the authority that the server must be certified by, and its own
/// certificate to show.
///
/// # Errors
/// [`TlsError`].
pub fn client_config(files: &TlsFiles) -> Result<Arc<ClientConfig>, TlsError> {
    let unusable = |e: String| unusable(files, e);
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(|e| unusable(e.to_string()))?
        .with_root_certificates(authority(&files.authority)?)
        .with_client_auth_cert(chain(&files.certificate)?, private_key(&files.key)?)
        .map_err(|e| unusable(e.to_string()))?;
    config.alpn_protocols = vec![H2.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// What a client of the anonymous HTTPS side needs: the authority that the server must be certified by.
///
/// # Errors
/// [`TlsError`].
pub fn web_client_config(authority_file: &Path) -> Result<Arc<ClientConfig>, TlsError> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(|_| TlsError::Authority(authority_file.to_owned()))?
        .with_root_certificates(authority(authority_file)?)
        .with_no_client_auth();
    config.alpn_protocols = vec![HTTP1.to_vec()];
    Ok(Arc::new(config))
}

/// Whom this party's own certificate names: what others will take its calls to come from.
///
/// # Errors
/// [`TlsError`], also where the certificate names no caller.
pub fn own_caller(files: &TlsFiles) -> Result<Caller, TlsError> {
    let path = &files.certificate;
    let leaf = chain(path)?.into_iter().next().ok_or_else(|| TlsError::NoCertificate(path.to_owned()))?;
    peer::caller(&leaf).map_err(|reason| TlsError::NoCaller { certificate: path.to_owned(), reason })
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn unusable(files: &TlsFiles, reason: String) -> TlsError {
    TlsError::Unusable { certificate: files.certificate.clone(), key: files.key.clone(), reason }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let none = || TlsError::NoCertificate(path.to_owned());
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(&read(path)?).collect::<Result<_, _>>().map_err(|_| none())?;
    if chain.is_empty() { Err(none()) } else { Ok(chain) }
}

fn authority(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in chain(path)? {
        store.add(certificate).map_err(|_| TlsError::Authority(path.to_owned()))?;
    }
    Ok(store)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let mode = std::fs::metadata(path)
        .map_err(|source| TlsError::Read { path: path.to_owned(), source })?
        .permissions()
        .mode();
    if mode & 0o077 != 0 {
        return Err(TlsError::OpenKey(path.to_owned()));
    }
    let pem = zeroize::Zeroizing::new(read(path)?);
    PrivateKeyDer::from_pem_slice(&pem).map_err(|_| TlsError::NoKey(path.to_owned()))
}
