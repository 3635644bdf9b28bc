//! Servers with the access tables but no services behind them, certificates, and a client that can call
//! any method.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use http::uri::PathAndQuery;
use hyper_util::rt::TokioIo;
use kpr::app::system::SystemClock;
use kpr::authorise::Role;
use kpr::config::{Peer, TlsFiles};
use kpr::domain::clock::Clock;
use kpr::domain::ids::OrganisationId;
use kpr::wire::access::Table;
use kpr::wire::client;
use kpr::wire::pki::{Authority, CertificateRequest, RevocationList, Validity};
use kpr::wire::serve::{self, Door, Limits};
use kpr::wire::tls;
use kpr::wire::watched::Watched;
use prost::Message;
use prost_types::FileDescriptorSet;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

/// The DNS name of every test server.
pub const SERVER: &str = "server.kpr.test";

/// An authority in a folder, with certificates issued on demand.
pub struct Pki {
    pub folder: tempfile::TempDir,
    pub authority: Authority,
    pub now: DateTime<Utc>,
}

impl Pki {
    pub fn new() -> Self {
        let now = SystemClock.now();
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new(Validity::days(now, 2)).unwrap();
        authority.write(folder.path()).unwrap();
        Self { folder, authority, now }
    }

    pub fn ca(&self) -> PathBuf {
        self.folder.path().join(Authority::CERTIFICATE)
    }

    /// Signs the revocation list, with these certificates beside what was revoked before.
    pub fn revoke(&self, certificates: &[&Path], validity: Validity) -> PathBuf {
        let path = self.folder.path().join(Authority::REVOKED);
        let mut list = RevocationList::read(self.folder.path()).unwrap_or_default();
        for certificate in certificates {
            list.revoke(&self.authority, certificate, self.now).unwrap();
        }
        list.write(&self.authority, self.folder.path(), validity).unwrap();
        path
    }

    pub fn issue(&self, file: &str, role: Role, dns: &[&str], validity: Validity) -> TlsFiles {
        let request = CertificateRequest {
            organisation: OrganisationId::new("NTRNO-310000019").unwrap(),
            role,
            name: "NPR".to_owned(),
            dns: dns.iter().map(|&name| name.to_owned()).collect(),
            validity,
        };
        self.authority.issue(&request).unwrap().write(&self.folder.path().join(file), &self.ca()).unwrap()
    }

    pub fn server(&self) -> TlsFiles {
        self.issue("server", Role::Gateway, &[SERVER], Validity::days(self.now, 1))
    }

    pub fn client(&self, role: Role) -> TlsFiles {
        self.issue(role.as_str(), role, &[], Validity::days(self.now, 1))
    }

    pub fn expired(&self, role: Role) -> TlsFiles {
        let validity = Validity { from: self.now - TimeDelta::days(2), to: self.now - TimeDelta::hours(1) };
        self.issue(&format!("expired-{role}"), role, &[], validity)
    }

    pub fn not_yet(&self, role: Role) -> TlsFiles {
        let validity = Validity { from: self.now + TimeDelta::hours(1), to: self.now + TimeDelta::days(1) };
        self.issue(&format!("not-yet-{role}"), role, &[], validity)
    }
}

/// A server on a free port of this machine.
pub struct Server {
    pub address: SocketAddr,
    pub stop: CancellationToken,
    pub done: JoinHandle<()>,
}

/// A server behind a door that the test has made.
pub async fn behind(door: Door, routes: Routes) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let done = tokio::spawn(serve::grpc(listener, door, routes, stop.clone()));
    Server { address, stop, done }
}

pub async fn grpc(files: &TlsFiles, routes: Routes, table: Table, limits: Limits) -> Server {
    let tls = Watched::open(files, tls::server_config).unwrap();
    behind(Door::new(tls, table, limits), routes).await
}

pub async fn https(files: &TlsFiles, router: axum::Router, limits: Limits) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let config = Watched::open(files, tls::https_config).unwrap();
    let done = tokio::spawn(serve::https(listener, config, router, limits, stop.clone()));
    Server { address, stop, done }
}

pub fn channel(server: &Server, files: &TlsFiles) -> Channel {
    let peer = Peer { address: server.address, name: SERVER.to_owned() };
    client::connect_lazy(&peer, files).unwrap()
}

/// A channel with any TLS configuration, also one that the library's own client never has.
pub fn channel_with(server: &Server, config: ClientConfig) -> Channel {
    let connector = TlsConnector::from(Arc::new(config));
    let address = server.address;
    let connect = tower::service_fn(move |_: http::Uri| {
        let connector = connector.clone();
        async move {
            let tcp = TcpStream::connect(address).await?;
            let name = SERVER.to_owned().try_into().unwrap();
            Ok::<_, std::io::Error>(TokioIo::new(connector.connect(name, tcp).await?))
        }
    });
    Endpoint::from_static("http://server.kpr.test").connect_with_connector_lazy(connect)
}

/// A call of `path` with an empty message, and what comes back: nothing or a status.
pub async fn call(channel: &Channel, path: &str, timeout: Option<Duration>) -> Result<(), Status> {
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.map_err(|e| Status::from_error(Box::new(e)))?;
    let mut request = Request::new(tokio_stream::once(()));
    if let Some(timeout) = timeout {
        request.set_timeout(timeout);
    }
    let path: PathAndQuery = path.parse().unwrap();
    let codec: ProstCodec<(), ()> = ProstCodec::default();
    let mut answers = client.streaming(request, path, codec).await?.into_inner();
    while answers.message().await?.is_some() {}
    Ok(())
}

/// Every method of every service of the project, `/package.Service/Method`.
pub fn described() -> Vec<String> {
    let set = FileDescriptorSet::decode(kpr::wire::DESCRIPTORS).unwrap();
    let mut methods = Vec::new();
    for file in &set.file {
        for service in &file.service {
            for method in &service.method {
                methods.push(format!("/{}.{}/{}", file.package(), service.name(), method.name()));
            }
        }
    }
    methods
}

/// A root store with one authority.
pub fn roots(authority: &Path) -> tokio_rustls::rustls::RootCertStore {
    use rustls_pki_types::pem::PemObject;
    let mut store = tokio_rustls::rustls::RootCertStore::empty();
    store.add(rustls_pki_types::CertificateDer::from_pem_file(authority).unwrap()).unwrap();
    store
}
