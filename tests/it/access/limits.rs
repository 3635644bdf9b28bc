//! What one call may take: time, bytes, and a place among the calls at once; and how calls end on
//! shutdown.

use std::sync::Arc;
use std::time::Duration;

use axum::routing::post;
use http::Request;
use kpr::authorise::{Caller, Role};
use kpr::config::CallLimit;
use kpr::wire::access::GATEWAY;
use kpr::wire::serve::{Door, Limits, MESSAGE_BYTES};
use kpr::wire::shares::Shares;
use kpr::wire::status::PeerRefusal;
use kpr::wire::watched::Watched;
use kpr::wire::{standard, tls};
use tokio::time::{Instant, timeout};
use tonic::Code;
use tonic::body::Body;
use tonic::service::Routes;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::setup::{Pki, behind, call, channel, grpc};

const CHECK: &str = "/kpr.v1.Queries/Check";

async fn standard_routes() -> Routes {
    standard::add(Routes::default(), &["kpr.v1.Queries"]).await.unwrap().0
}

/// A service that never answers.
fn slow() -> Routes {
    let never = || async { std::future::pending::<http::Response<Body>>().await };
    Routes::from(axum::Router::new().route(CHECK, post(never)))
}

#[tokio::test]
async fn a_call_ends_at_the_deadline_its_client_sets() {
    let pki = Pki::new();
    let server = grpc(&pki.server(), slow(), GATEWAY, Limits::default()).await;
    let channel = channel(&server, &pki.client(Role::Researcher));
    let began = Instant::now();
    let status = call(&channel, CHECK, Some(Duration::from_millis(300))).await.unwrap_err();
    assert!(matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled), "{status:?}");
    assert!((Duration::from_millis(250)..Duration::from_secs(5)).contains(&began.elapsed()));
}

#[tokio::test]
async fn a_stream_ends_at_its_deadline_too() {
    let pki = Pki::new();
    let server = grpc(&pki.server(), standard_routes().await, GATEWAY, Limits::default()).await;
    let mut client = HealthClient::new(channel(&server, &pki.client(Role::Consumer)));
    let mut request = tonic::Request::new(HealthCheckRequest { service: "kpr.v1.Queries".to_owned() });
    // The header alone, so that it is the server that keeps the time.
    request.metadata_mut().insert("grpc-timeout", "300m".parse().unwrap());
    let mut states = client.watch(request).await.unwrap().into_inner();
    assert!(states.message().await.unwrap().is_some());
    let end = timeout(Duration::from_secs(5), states.message()).await.unwrap().unwrap_err();
    assert_eq!(end.code(), Code::DeadlineExceeded);
    assert_eq!(PeerRefusal::from(end).code, "access.deadline");
}

#[tokio::test]
async fn a_message_too_large_is_refused() {
    let pki = Pki::new();
    let server = grpc(&pki.server(), standard_routes().await, GATEWAY, Limits::default()).await;
    let mut client = HealthClient::new(channel(&server, &pki.client(Role::Consumer)));
    let service = "a".repeat(MESSAGE_BYTES + 1);
    let status = client.check(HealthCheckRequest { service }).await.unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange, "{status:?}");
    // The connection still serves others.
    let service = "kpr.v1.Queries".to_owned();
    assert!(client.check(HealthCheckRequest { service }).await.is_ok());
}

#[tokio::test]
async fn a_call_too_many_is_refused_and_a_place_becomes_free_again() {
    let pki = Pki::new();
    let limits = Limits { calls: 1, ..Limits::default() };
    let server = grpc(&pki.server(), standard_routes().await, GATEWAY, limits).await;
    let mut client = HealthClient::new(channel(&server, &pki.client(Role::Consumer)));
    let request = || HealthCheckRequest { service: "kpr.v1.Queries".to_owned() };
    let mut held = client.watch(request()).await.unwrap().into_inner();
    assert!(held.message().await.unwrap().is_some());

    let status = client.check(request()).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(PeerRefusal::from(status).code, "access.calls");

    drop(held);
    let freed = async { while client.check(request()).await.is_err() {} };
    timeout(Duration::from_secs(5), freed).await.unwrap();
}

#[tokio::test]
async fn calls_that_come_too_fast_are_refused_with_the_time_to_wait() {
    let pki = Pki::new();
    let tls = Watched::open(&pki.server(), tls::server_config).unwrap();
    let mut door = Door::new(tls, GATEWAY, Limits::default());
    let limit = CallLimit { per_minute: 6, burst: 3, at_once: 2 };
    door.shares = Arc::new(Shares::new(&[("consumer".to_owned(), limit)].into()).unwrap());
    let turned_away = Arc::clone(&door.turned_away);
    let server = behind(door, standard_routes().await).await;
    let request = || HealthCheckRequest { service: "kpr.v1.Queries".to_owned() };

    // Two connections of one caller share what the caller may take.
    let files = pki.client(Role::Consumer);
    let mut clients = [0, 1].map(|_| HealthClient::new(channel(&server, &files)));
    for number in 0..3 {
        clients[number % 2].check(request()).await.unwrap();
    }
    let status = clients[1].check(request()).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    let seconds: u64 = status.metadata().get("retry-after").unwrap().to_str().unwrap().parse().unwrap();
    assert!((1..=10).contains(&seconds), "{seconds}");
    assert_eq!(PeerRefusal::from(status).code, "access.rate");
    // Another caller is not held up, and what was turned away is told.
    let mut other = HealthClient::new(channel(&server, &pki.client(Role::Researcher)));
    other.check(request()).await.unwrap();
    let told = turned_away.due(Instant::now());
    assert_eq!((told.len(), told[0].calls, told[0].code.as_str()), (1, 1, "access.rate"));
    assert_eq!(told[0].method, "/grpc.health.v1.Health/Check");
    assert_eq!(told[0].caller.as_ref().unwrap().role(), Role::Consumer);
}

#[tokio::test]
async fn one_caller_cannot_take_every_place() {
    let pki = Pki::new();
    let server = grpc(&pki.server(), standard_routes().await, GATEWAY, Limits::default()).await;
    let request = || HealthCheckRequest { service: "kpr.v1.Queries".to_owned() };
    let files = pki.client(Role::Consumer);
    let mut held = Vec::new();
    let refused = loop {
        assert!(held.len() < Limits::default().calls, "one caller has every place");
        let mut client = HealthClient::new(channel(&server, &files));
        match client.watch(request()).await {
            Ok(stream) => held.push((client, stream)),
            Err(status) => break status,
        }
    };
    assert_eq!(PeerRefusal::from(refused).code, "access.at_once");
    assert!(held.len() <= Limits::default().calls / 4);
    let mut other = HealthClient::new(channel(&server, &pki.client(Role::Researcher)));
    other.check(request()).await.unwrap();
}

#[tokio::test]
async fn a_service_sees_the_caller_that_the_certificate_names() {
    let pki = Pki::new();
    let seen = |request: Request<axum::body::Body>| async move {
        let caller = request.extensions().get::<Caller>().unwrap().clone();
        let text = format!("test.seen: {} {} {}", caller.organisation(), caller.role(), caller.name());
        tonic::Status::aborted(text).into_http::<Body>()
    };
    let routes = Routes::from(axum::Router::new().route(CHECK, post(seen)));
    let server = grpc(&pki.server(), routes, GATEWAY, Limits::default()).await;
    let channel = channel(&server, &pki.client(Role::Researcher));
    let status = call(&channel, CHECK, None).await.unwrap_err();
    assert_eq!(status.message(), "test.seen: NTRNO-310000019 researcher NPR");
}

#[tokio::test]
async fn on_shutdown_subscriptions_end_at_once_and_calls_have_a_drain_time() {
    let pki = Pki::new();
    let limits = Limits { drain: Duration::from_millis(800), ..Limits::default() };
    let routes = standard::add(slow(), &["kpr.v1.Queries"]).await.unwrap().0;
    let server = grpc(&pki.server(), routes, GATEWAY, limits).await;
    let researcher = channel(&server, &pki.client(Role::Researcher));
    let mut client = HealthClient::new(researcher.clone());
    let request = HealthCheckRequest { service: "kpr.v1.Queries".to_owned() };
    let mut states = client.watch(request).await.unwrap().into_inner();
    assert!(states.message().await.unwrap().is_some());
    let stuck = tokio::spawn(async move { call(&researcher, CHECK, None).await });
    tokio::time::sleep(Duration::from_millis(200)).await;

    server.stop.cancel();
    let began = Instant::now();
    let end = timeout(Duration::from_secs(5), states.message()).await.unwrap().unwrap_err();
    assert_eq!(PeerRefusal::from(end).code, "server.shutdown");
    assert!(began.elapsed() < limits.drain);
    timeout(Duration::from_secs(5), server.done).await.unwrap().unwrap();
    assert!(began.elapsed() >= limits.drain, "the call in progress had its time");
    assert!(stuck.await.unwrap().is_err());
    assert!(tokio::net::TcpStream::connect(server.address).await.is_err());
}
