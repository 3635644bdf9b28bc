//! Every method, every role, every bad certificate.

use std::error::Error;

use kpr::authorise::Role;
use kpr::config::TlsFiles;
use kpr::wire::access::{GATEWAY, IDENTITY, Table, WITNESS};
use kpr::wire::serve::Limits;
use kpr::wire::tls;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::crypto::ring;
use tonic::Code;
use tonic::service::Routes;
use tonic::transport::Channel;

use super::setup::{Pki, Server, call, channel, channel_with, described, grpc, roots};

async fn server(pki: &Pki, table: Table) -> Server {
    grpc(&pki.server(), Routes::default(), table, Limits::default()).await
}

/// All servers, with the methods of the descriptors that each has a row for.
async fn servers(pki: &Pki) -> Vec<(Server, Table)> {
    let files = pki.server();
    let mut servers = Vec::new();
    for table in [GATEWAY, IDENTITY, WITNESS] {
        servers.push((grpc(&files, Routes::default(), table, Limits::default()).await, table));
    }
    servers
}

#[test]
fn every_method_has_a_row_and_every_row_a_method() {
    let described = described();
    assert!(described.len() >= 18, "the descriptors are read");
    let rows: Vec<&str> = GATEWAY.iter().chain(IDENTITY).chain(WITNESS).map(|row| row.path).collect();
    for method in &described {
        assert_eq!(rows.iter().filter(|row| *row == method).count(), 1, "{method} must have one row");
    }
    for row in rows.iter().filter(|row| row.starts_with("/kpr.")) {
        assert!(described.iter().any(|method| method == row), "{row} is no method");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_reaches_the_methods_of_its_rows_and_no_other() {
    let pki = Pki::new();
    let servers = servers(&pki).await;
    for role in Role::ALL {
        let files = pki.client(role);
        for (server, table) in &servers {
            let channel = channel(server, &files);
            for method in described() {
                let status = call(&channel, &method, None).await.unwrap_err();
                let row = table.iter().find(|row| row.path == method);
                match row {
                    // Nothing stands behind the table here, so what passes it is not found there.
                    Some(row) if row.roles.contains(&role) => {
                        assert_eq!((status.code(), status.message()), (Code::Unimplemented, ""), "{method}");
                    }
                    Some(_) => {
                        assert_eq!(status.code(), Code::PermissionDenied, "{role} {method}");
                        assert!(status.message().starts_with("access.role: "), "{role} {method}");
                    }
                    None => {
                        assert_eq!(status.code(), Code::Unimplemented, "{role} {method}");
                        assert!(status.message().starts_with("access.method: "), "{role} {method}");
                    }
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_method_is_refused_to_every_role() {
    let pki = Pki::new();
    let server = server(&pki, GATEWAY).await;
    for role in Role::ALL {
        let channel = channel(&server, &pki.client(role));
        for path in ["/kpr.v1.Queries/Everything", "/", "/kpr.v1.Queries", "/kpr.v1.Queries/Check/"] {
            let status = call(&channel, path, None).await.unwrap_err();
            assert!(status.message().starts_with("access.method: "), "{role} {path}");
        }
    }
}

/// Every method of all servers fails in the handshake.
async fn nothing_is_reached(servers: &[(Server, Table)], who: &str, connect: impl Fn(&Server) -> Channel) {
    for (server, _) in servers {
        for method in described() {
            let status = call(&connect(server), &method, None).await.unwrap_err();
            // A status with a cause was made by the client: no server has answered.
            assert!(status.source().is_some(), "{who} {method}: {status:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_certificate_nothing_is_reached() {
    let pki = Pki::new();
    let roots = roots(&pki.ca());
    nothing_is_reached(&servers(&pki).await, "nobody", |server| {
        let mut config = ClientConfig::builder_with_provider(ring::default_provider().into())
            .with_protocol_versions(&[&tokio_rustls::rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        channel_with(server, config)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn outside_its_validity_no_certificate_reaches_anything() {
    let pki = Pki::new();
    let servers = servers(&pki).await;
    for files in [pki.expired(Role::Researcher), pki.expired(Role::Gateway), pki.not_yet(Role::Partner)] {
        nothing_is_reached(&servers, "expired", |server| channel(server, &files)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_another_authority_reaches_nothing() {
    let (pki, other) = (Pki::new(), Pki::new());
    // The client trusts the server's authority, so that it is the server that must refuse.
    let files = TlsFiles { authority: pki.ca(), ..other.client(Role::Gateway) };
    nothing_is_reached(&servers(&pki).await, "foreign", |server| channel(server, &files)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_does_not_talk_to_a_server_of_another_authority() {
    let (pki, other) = (Pki::new(), Pki::new());
    let server = server(&other, GATEWAY).await;
    let status = call(&channel(&server, &pki.client(Role::Partner)), "/kpr.v1.Queries/Check", None).await;
    assert_eq!(status.unwrap_err().code(), Code::Unavailable);
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let pki = Pki::new();
    let files = pki.server();
    std::fs::set_permissions(&files.key, std::fs::Permissions::from_mode(0o644)).unwrap();
    for error in [tls::server_config(&files).unwrap_err(), tls::https_config(&files).unwrap_err()] {
        assert!(error.to_string().contains("0600"), "{error}");
    }
    assert!(tls::client_config(&files).unwrap_err().to_string().contains("0600"));
}
