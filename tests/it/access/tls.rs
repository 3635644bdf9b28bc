//! TLS itself: only 1.3, and handshakes that take too long.

use std::sync::Arc;
use std::time::Duration;

use kpr::authorise::Role;
use kpr::wire::access::GATEWAY;
use kpr::wire::serve::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, SupportedProtocolVersion};
use tonic::Code;
use tonic::service::Routes;

use super::setup::{Pki, SERVER, Server, call, channel, grpc, https, roots};

fn anonymous(pki: &Pki, version: &'static SupportedProtocolVersion) -> TlsConnector {
    let config = ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots(&pki.ca()))
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

async fn handshake(
    server: &Server,
    connector: &TlsConnector,
) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(server.address).await.unwrap();
    connector.connect(SERVER.to_owned().try_into().unwrap(), tcp).await
}

#[tokio::test]
async fn tls_1_2_is_refused_on_both_sides_of_the_gateway() {
    let pki = Pki::new();
    let files = pki.server();
    let grpc = grpc(&files, Routes::default(), GATEWAY, Limits::default()).await;
    let https = https(&files, axum::Router::new(), Limits::default()).await;
    for server in [&grpc, &https] {
        let error = handshake(server, &anonymous(&pki, &TLS12)).await.unwrap_err().to_string();
        assert!(error.contains("ProtocolVersion"), "{error}");
    }
    assert!(handshake(&https, &anonymous(&pki, &TLS13)).await.is_ok());
}

#[tokio::test]
async fn the_anonymous_side_answers_without_a_client_certificate() {
    let pki = Pki::new();
    let router = axum::Router::new().route("/tables", axum::routing::get(|| async { "here" }));
    let server = https(&pki.server(), router, Limits::default()).await;
    let mut stream = handshake(&server, &anonymous(&pki, &TLS13)).await.unwrap();
    let request = format!("GET /tables HTTP/1.1\r\nHost: {SERVER}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.ends_with("here"), "{answer}");
}

async fn get(server: &Server, pki: &Pki, path: &str) -> String {
    let mut stream = handshake(server, &anonymous(pki, &TLS13)).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {SERVER}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn the_anonymous_side_gives_up_an_answer_that_takes_too_long() {
    let pki = Pki::new();
    let never = || async { std::future::pending::<&'static str>().await };
    let router = axum::Router::new().route("/tables", axum::routing::get(never));
    let limits = Limits { response: Duration::from_millis(300), ..Limits::default() };
    let server = https(&pki.server(), router, limits).await;
    let answer = timeout(Duration::from_secs(5), get(&server, &pki, "/tables")).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("statistics.time"), "{answer}");
}

#[tokio::test]
async fn a_client_of_the_anonymous_side_that_does_not_read_is_cut() {
    let pki = Pki::new();
    let router = axum::Router::new().route("/tables", axum::routing::get(|| async { vec![0_u8; 64 << 20] }));
    let limits = Limits {
        life: Duration::from_millis(300),
        drain: Duration::from_millis(300),
        connections: 1,
        ..Limits::default()
    };
    let server = https(&pki.server(), router, limits).await;
    let mut lazy = handshake(&server, &anonymous(&pki, &TLS13)).await.unwrap();
    lazy.write_all(format!("GET /tables HTTP/1.1\r\nHost: {SERVER}\r\n\r\n").as_bytes()).await.unwrap();
    // The only place for a connection becomes free again.
    let again = async {
        loop {
            let tcp = TcpStream::connect(server.address).await.unwrap();
            let name = SERVER.to_owned().try_into().unwrap();
            match anonymous(&pki, &TLS13).connect(name, tcp).await {
                Ok(_) => return,
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    };
    timeout(Duration::from_secs(10), again).await.unwrap();
}

#[tokio::test]
async fn a_silent_client_is_cut_and_holds_up_nobody() {
    let pki = Pki::new();
    let limits = Limits { handshake: Duration::from_millis(600), ..Limits::default() };
    let server = grpc(&pki.server(), Routes::default(), GATEWAY, limits).await;
    let began = Instant::now();
    let mut silent = TcpStream::connect(server.address).await.unwrap();

    let others = channel(&server, &pki.client(Role::Partner));
    let status = call(&others, "/kpr.v1.Linkage/Decline", None).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    assert!(began.elapsed() < limits.handshake, "the silent client held up another");

    let cut = timeout(Duration::from_secs(5), silent.read(&mut [0; 1])).await.unwrap();
    assert_eq!(cut.unwrap_or(0), 0);
    assert!(began.elapsed() >= limits.handshake);
}

#[tokio::test]
async fn one_connection_too_many_is_closed_at_once() {
    let pki = Pki::new();
    let limits = Limits { connections: 1, ..Limits::default() };
    let server = grpc(&pki.server(), Routes::default(), GATEWAY, limits).await;
    let held = TcpStream::connect(server.address).await.unwrap();
    // The first has its slot once the second is turned away.
    let mut second = TcpStream::connect(server.address).await.unwrap();
    let closed = timeout(Duration::from_secs(5), second.read(&mut [0; 1])).await.unwrap();
    assert_eq!(closed.unwrap_or(0), 0);
    drop(held);
}
