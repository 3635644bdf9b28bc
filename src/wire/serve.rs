//! The servers: one accept loop for gRPC with client certificates and for anonymous HTTPS.
//!
//! Handshakes run beside the accept loop, each with its own time limit, so that a slow or silent
//! client holds up nobody. On shutdown calls in progress have a drain time, then they are cut.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rustls_pki_types::CertificateDer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::{Code, Status};
use tower::ServiceExt;

use super::access::{self, Table};
use super::deadline::{self, Bounded};
use super::peer::{self, PeerError};
use super::recorder::Recorded;
use crate::authorise::Caller;
use crate::domain::refusal::Refusal;

/// The most bytes of one gRPC message, to be set on each service for what it decodes.
pub const MESSAGE_BYTES: usize = 4 << 20;

/// How much a server takes on.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The most connections at once, handshakes included; more are closed at once.
    pub connections: usize,
    /// The most gRPC calls at once, over all connections; more are refused.
    pub calls: usize,
    /// The most gRPC calls at once on one connection.
    pub calls_per_connection: u32,
    /// The most time a TLS handshake may take.
    pub handshake: Duration,
    /// How often an idle connection is pinged, and how long the answer may take.
    pub keepalive: Duration,
    /// The time that calls in progress have to end on shutdown.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            calls: 256,
            calls_per_connection: 64,
            handshake: Duration::from_secs(10),
            keepalive: Duration::from_secs(20),
            drain: Duration::from_secs(10),
        }
    }
}

/// The most bytes of the headers of one request.
const HEADER_BYTES: u32 = 16 << 10;
/// Flow control windows: enough to keep a stream of row batches moving.
const STREAM_WINDOW: u32 = 2 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;

type Stream = Recorded<TlsStream<TcpStream>>;

/// Serves gRPC until `stop` is cancelled and the calls in progress have ended or been cut. Each call
/// must pass `table`; the caller's identity is then in the request's extensions.
pub async fn grpc(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    routes: Routes,
    table: Table,
    limits: Limits,
    stop: CancellationToken,
) {
    let guard = Guard {
        table,
        router: routes.prepare().into_axum_router(),
        calls: Arc::new(Semaphore::new(limits.calls)),
        stop: stop.clone(),
    };
    accept(listener, tls, limits, stop.clone(), move |stream, certificate| {
        let guard = guard.clone();
        let caller: Arc<Result<Caller, PeerError>> =
            Arc::new(certificate.ok_or(PeerError::None).and_then(|der| peer::caller(&der)));
        let stop = stop.clone();
        async move {
            let service = service_fn(move |request| {
                let (guard, caller) = (guard.clone(), Arc::clone(&caller));
                async move { Ok::<_, Infallible>(guard.call(request, &caller).await) }
            });
            let mut builder = auto::Builder::new(TokioExecutor::new()).http2_only();
            builder
                .http2()
                .timer(TokioTimer::new())
                .keep_alive_interval(limits.keepalive)
                .keep_alive_timeout(limits.keepalive)
                .max_concurrent_streams(limits.calls_per_connection)
                .max_header_list_size(HEADER_BYTES)
                .initial_stream_window_size(STREAM_WINDOW)
                .initial_connection_window_size(CONNECTION_WINDOW);
            let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = stop.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if ended.is_err() {
                tracing::debug!("a connection ended with an error");
            }
        }
    })
    .await;
}

/// Serves HTTPS to anyone until `stop` is cancelled.
pub async fn https(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    router: axum::Router,
    limits: Limits,
    stop: CancellationToken,
) {
    accept(listener, tls, limits, stop.clone(), move |stream, _| {
        let (router, stop) = (router.clone(), stop.clone());
        async move {
            let service = TowerToHyperService::new(router);
            let mut builder = auto::Builder::new(TokioExecutor::new()).http1_only();
            builder
                .http1()
                .timer(TokioTimer::new())
                .header_read_timeout(limits.handshake)
                .max_buf_size(HEADER_BYTES as usize);
            let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = stop.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if ended.is_err() {
                tracing::debug!("an HTTPS connection ended with an error");
            }
        }
    })
    .await;
}

/// Accepts connections, makes the handshake and runs `serve` on each, until `stop`.
async fn accept<F, R>(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    limits: Limits,
    stop: CancellationToken,
    serve: F,
) where
    F: Fn(Stream, Option<CertificateDer<'static>>) -> R + Clone + Send + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let acceptor = TlsAcceptor::from(tls);
    let slots = Arc::new(Semaphore::new(limits.connections));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let Ok((tcp, _)) = accepted else {
            // Out of file descriptors, most likely: wait for one to become free.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
            tracing::warn!("a connection was closed: too many are open");
            continue;
        };
        let (acceptor, serve) = (acceptor.clone(), serve.clone());
        connections.spawn(async move {
            let _slot = slot;
            if tcp.set_nodelay(true).is_err() {
                return;
            }
            match tokio::time::timeout(limits.handshake, acceptor.accept(tcp)).await {
                Ok(Ok(stream)) => {
                    let certificate = stream
                        .get_ref()
                        .1
                        .peer_certificates()
                        .and_then(|chain| chain.first())
                        .map(|leaf| leaf.clone().into_owned());
                    serve(Recorded::new(stream, "server"), certificate).await;
                }
                Ok(Err(error)) => {
                    tracing::info!(reason = %super::status::innermost(&error), "a TLS handshake failed");
                }
                Err(_) => tracing::info!("a TLS handshake took too long"),
            }
        });
    }
    drop(listener);
    let drained =
        tokio::time::timeout(limits.drain, async { while connections.join_next().await.is_some() {} });
    if drained.await.is_err() {
        tracing::warn!(connections = connections.len(), "connections were cut on shutdown");
        connections.shutdown().await;
    }
}

/// What every call passes before it reaches its service.
#[derive(Clone)]
struct Guard {
    table: Table,
    router: axum::Router,
    calls: Arc<Semaphore>,
    stop: CancellationToken,
}

impl Guard {
    async fn call(
        &self,
        mut request: Request<Incoming>,
        caller: &Result<Caller, PeerError>,
    ) -> Response<Body> {
        let caller = match caller {
            Ok(caller) => caller,
            Err(error) => {
                let refusal = Refusal::from(*error);
                return Status::new(Code::Unauthenticated, refusal.to_string()).into_http();
            }
        };
        let row = match access::admit(self.table, request.uri().path(), caller.role()) {
            Ok(row) => row,
            Err(status) => return status.into_http(),
        };
        let Ok(held) = Arc::clone(&self.calls).try_acquire_owned() else {
            return Status::resource_exhausted("access.calls: too many calls at once, try again later")
                .into_http();
        };
        let allowed = deadline::asked(request.headers()).unwrap_or(row.deadline).min(row.deadline);
        let until = Instant::now() + allowed;
        request.extensions_mut().insert(caller.clone());
        let answer = self.router.clone().oneshot(request.map(Body::new));
        match tokio::time::timeout_at(until, answer).await {
            Ok(Ok(response)) => {
                let end = self.end(until, row.standing);
                response.map(|body| Body::new(Bounded::new(body, end, held)))
            }
            Ok(Err(never)) => match never {},
            Err(_) => deadline::exceeded().into_http(),
        }
    }

    /// When a response is ended for its service, and how.
    fn end(&self, until: Instant, standing: bool) -> BoxFuture<'static, Status> {
        let stop = self.stop.clone();
        async move {
            tokio::select! {
                () = tokio::time::sleep_until(until) => deadline::exceeded(),
                () = stop.cancelled(), if standing => deadline::shutting_down(),
            }
        }
        .boxed()
    }
}
