//! TLS of every connection: TLS 1.3 only, ring, certificates in both directions on gRPC.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, UnixTime};
use tokio_rustls::rustls::client::{Resumption, WebPkiServerVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::server::{
    NoServerSessionStorage, VerifierBuilderError, WantsServerCert, WebPkiClientVerifier,
};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, ConfigBuilder, RootCertStore, ServerConfig, WantsVerifier,
};

use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use super::peer::{self, Listed, PeerError};
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
    /// A revocation list cannot be read.
    #[error("{0} holds no revocation list")]
    NoList(PathBuf),
    /// Authority and revocation lists cannot be used.
    #[error("the certificates of {0} cannot be checked: {1}")]
    Verifier(PathBuf, VerifierBuilderError),
    /// The table of organisations with enterprise certificates.
    #[error("tls.enterprise.organisations: {0}")]
    Enterprise(&'static str),
    /// A certificate that has been replaced names another caller.
    #[error("{0} now names another caller: that takes a restart")]
    OtherCaller(PathBuf),
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

/// What a server needs of TLS, and how it knows who calls.
#[derive(Debug, Clone)]
pub struct ServerTls {
    pub(super) config: Arc<ServerConfig>,
    callers: Callers,
}

/// How a server knows who calls from the certificate that the handshake has accepted.
#[derive(Debug, Clone)]
enum Callers {
    /// No certificate is asked for.
    Anonymous,
    /// Only our own authority's certificates are accepted.
    Own(Arc<dyn ClientCertVerifier>),
    /// Others are accepted too: which authority a certificate is from decides how it is read.
    OwnAndEnterprise {
        any: Arc<dyn ClientCertVerifier>,
        own: Arc<dyn ClientCertVerifier>,
        listed: Arc<Listed>,
    },
}

impl ServerTls {
    /// The caller that the certificate chain of a finished handshake names. The chain is verified once more, by what
    /// counts now: a certificate may have expired or been revoked since the handshake.
    ///
    /// # Errors
    /// [`PeerError`].
    pub(super) fn caller(&self, chain: &[CertificateDer<'_>]) -> Result<Caller, PeerError> {
        let (leaf, rest) = chain.split_first().ok_or(PeerError::None)?;
        let accepted =
            |by: &dyn ClientCertVerifier| by.verify_client_cert(leaf, rest, UnixTime::now()).is_ok();
        match &self.callers {
            Callers::Anonymous => Err(PeerError::None),
            Callers::Own(own) if accepted(&**own) => peer::caller(leaf),
            // What an enterprise authority writes into a subject must never be read as a role of ours, so
            // our own authority is asked first, and alone.
            Callers::OwnAndEnterprise { own, .. } if accepted(&**own) => peer::caller(leaf),
            Callers::OwnAndEnterprise { any, listed, .. } if accepted(&**any) => listed.caller(leaf),
            Callers::Own(_) | Callers::OwnAndEnterprise { .. } => Err(PeerError::NoLonger),
        }
    }
}

/// What a gRPC server needs: its own certificate, and a client certificate from one of the authorities required.
/// Sessions are never resumed, so that every connection shows a certificate that is valid at that time.
///
/// # Errors
/// [`TlsError`].
pub fn server_config(files: &TlsFiles) -> Result<ServerTls, TlsError> {
    let revoked = revocation_lists(&files.revocation)?;
    let own = authority(&files.authority)?;
    let verifier = |roots| client_verifier(roots, &revoked, &files.authority);
    let (any, callers) = match &files.enterprise {
        None => {
            let own = verifier(own)?;
            (Arc::clone(&own), Callers::Own(own))
        }
        Some(enterprise) => {
            let listed = Listed::new(&enterprise.organisations).map_err(TlsError::Enterprise)?;
            let mut roots = own.clone();
            roots.extend(authority(&enterprise.authority)?.roots);
            let (any, own) = (verifier(roots)?, verifier(own)?);
            let callers = Callers::OwnAndEnterprise { any: Arc::clone(&any), own, listed: Arc::new(listed) };
            (any, callers)
        }
    };
    let builder = server_builder(files)?.with_client_cert_verifier(any);
    Ok(ServerTls { config: shown(builder, files, H2)?, callers })
}

/// What the anonymous HTTPS side needs: the server's certificate, and nothing of the client.
///
/// # Errors
/// [`TlsError`].
pub fn https_config(files: &TlsFiles) -> Result<ServerTls, TlsError> {
    let config = shown(server_builder(files)?.with_no_client_auth(), files, HTTP1)?;
    Ok(ServerTls { config, callers: Callers::Anonymous })
}

/// What a gRPC server needs whose callers show tokens: its own certificate, and nothing of the client.
///
/// # Errors
/// [`TlsError`].
pub fn token_config(files: &TlsFiles) -> Result<ServerTls, TlsError> {
    let config = shown(server_builder(files)?.with_no_client_auth(), files, H2)?;
    Ok(ServerTls { config, callers: Callers::Anonymous })
}

/// What a gRPC client needs: the authority that the server must be certified by, and its own
/// certificate to show.
///
/// # Errors
/// [`TlsError`].
pub fn client_config(files: &TlsFiles) -> Result<Arc<ClientConfig>, TlsError> {
    let unusable = |e: String| unusable(files, e);
    let mut config = client_builder()
        .map_err(|e| unusable(e.to_string()))?
        .with_webpki_verifier(server_verifier(&files.authority, &files.revocation)?)
        .with_client_auth_cert(chain(&files.certificate)?, private_key(&files.key)?)
        .map_err(|e| unusable(e.to_string()))?;
    config.alpn_protocols = vec![H2.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// What a gRPC client needs that shows tokens and no certificate.
///
/// # Errors
/// [`TlsError`].
pub fn token_client_config(authority: &Path, revoked: &[PathBuf]) -> Result<Arc<ClientConfig>, TlsError> {
    let mut config = client_builder()
        .map_err(|_| TlsError::Authority(authority.to_owned()))?
        .with_webpki_verifier(server_verifier(authority, revoked)?)
        .with_no_client_auth();
    config.alpn_protocols = vec![H2.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// What a client of the anonymous HTTPS side needs: the authority that the server must be certified by.
///
/// # Errors
/// [`TlsError`].
pub fn web_client_config(authority_file: &Path) -> Result<Arc<ClientConfig>, TlsError> {
    let mut config = client_builder()
        .map_err(|_| TlsError::Authority(authority_file.to_owned()))?
        .with_root_certificates(authority(authority_file)?)
        .with_no_client_auth();
    config.alpn_protocols = vec![HTTP1.to_vec()];
    Ok(Arc::new(config))
}

/// Whether a handshake has failed because a revocation list is too old to be trusted.
pub(super) fn list_has_expired(error: &std::io::Error) -> bool {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<tokio_rustls::rustls::Error>());
    matches!(
        cause,
        Some(tokio_rustls::rustls::Error::InvalidCertificate(
            CertificateError::ExpiredRevocationList | CertificateError::ExpiredRevocationListContext { .. }
        ))
    )
}

type Certified = ConfigBuilder<ServerConfig, WantsServerCert>;

fn server_builder(files: &TlsFiles) -> Result<ConfigBuilder<ServerConfig, WantsVerifier>, TlsError> {
    ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(|e| unusable(files, e.to_string()))
}

fn shown(builder: Certified, files: &TlsFiles, protocol: &[u8]) -> Result<Arc<ServerConfig>, TlsError> {
    let mut config = builder
        .with_single_cert(chain(&files.certificate)?, private_key(&files.key)?)
        .map_err(|e| unusable(files, e.to_string()))?;
    config.alpn_protocols = vec![protocol.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

type ClientBuilder = ConfigBuilder<ClientConfig, WantsVerifier>;

fn client_builder() -> Result<ClientBuilder, tokio_rustls::rustls::Error> {
    ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[&TLS13])
}

fn server_verifier(
    authority_file: &Path,
    revoked: &[PathBuf],
) -> Result<Arc<WebPkiServerVerifier>, TlsError> {
    let roots = Arc::new(authority(authority_file)?);
    let mut verifier = WebPkiServerVerifier::builder_with_provider(roots, provider());
    let revoked = revocation_lists(revoked)?;
    if !revoked.is_empty() {
        verifier = verifier.with_crls(revoked).enforce_revocation_expiration();
    }
    verifier.build().map_err(|e| TlsError::Verifier(authority_file.to_owned(), e))
}

fn client_verifier(
    roots: RootCertStore,
    revoked: &[CertificateRevocationListDer<'static>],
    authority: &Path,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let mut verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
    if !revoked.is_empty() {
        verifier = verifier.with_crls(revoked.iter().cloned()).enforce_revocation_expiration();
    }
    verifier.build().map_err(|e| TlsError::Verifier(authority.to_owned(), e))
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

pub(super) fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let none = || TlsError::NoCertificate(path.to_owned());
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(&read(path)?).collect::<Result<_, _>>().map_err(|_| none())?;
    if chain.is_empty() { Err(none()) } else { Ok(chain) }
}

/// The revocation lists of files, each PEM with one or more, or DER with one.
fn revocation_lists(paths: &[PathBuf]) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    let mut lists = Vec::new();
    for path in paths {
        let none = || TlsError::NoList(path.clone());
        let bytes = read(path)?;
        if CertificateRevocationList::from_der(&bytes).is_ok_and(|(rest, _)| rest.is_empty()) {
            lists.push(bytes.into());
            continue;
        }
        let before = lists.len();
        for list in CertificateRevocationListDer::pem_slice_iter(&bytes) {
            lists.push(list.map_err(|_| none())?);
        }
        if lists.len() == before {
            return Err(none());
        }
    }
    Ok(lists)
}

fn authority(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in chain(path)? {
        store.add(certificate).map_err(|_| TlsError::Authority(path.to_owned()))?;
    }
    Ok(store)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(&read_private(path)?).map_err(|_| TlsError::NoKey(path.to_owned()))
}

/// The text of a file with a private key, which only its owner may read.
pub(super) fn read_private(path: &Path) -> Result<zeroize::Zeroizing<Vec<u8>>, TlsError> {
    let mode = std::fs::metadata(path)
        .map_err(|source| TlsError::Read { path: path.to_owned(), source })?
        .permissions()
        .mode();
    if mode & 0o077 != 0 {
        return Err(TlsError::OpenKey(path.to_owned()));
    }
    read(path).map(zeroize::Zeroizing::new)
}
