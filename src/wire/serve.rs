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
use rustls_pki_types::CertificateDer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes;
use tower::ServiceExt;

use super::access::{self, Row, Stewards, Table};
use super::deadline::{self, Bounded, Held};
use super::https::too_slow;
use super::peer::PeerError;
use super::recorder::Recorded;
use super::shares::{Shares, Wait};
use super::tls::{self, ServerTls};
use super::token::Tokens;
use super::turned_away::TurnedAway;
use super::watched::Watched;
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
    /// How often the certificate of an open connection is checked between calls; one that is no longer accepted ends it.
    pub check: Duration,
    /// The time that calls in progress have to end on shutdown.
    pub drain: Duration,
    /// The most time until an HTTPS request is answered.
    pub response: Duration,
    /// The most time an HTTPS connection lasts; what it is in the midst of then has the time to drain.
    pub life: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            calls: 256,
            calls_per_connection: 64,
            handshake: Duration::from_secs(10),
            keepalive: Duration::from_secs(20),
            check: Duration::from_secs(5),
            drain: Duration::from_secs(10),
            response: Duration::from_secs(30),
            life: Duration::from_secs(600),
        }
    }
}

/// The most bytes of the headers of one request.
const HEADER_BYTES: u32 = 16 << 10;
/// Flow control windows: enough to keep a stream of row batches moving.
const STREAM_WINDOW: u32 = 2 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;

type Stream = Recorded<TlsStream<TcpStream>>;

/// What stands between connections and services. Clones share the places for calls.
#[derive(Debug, Clone)]
pub struct Door {
    /// The server's certificate, and how callers show theirs.
    pub tls: Watched<ServerTls>,
    /// Who may call what.
    pub table: Table,
    /// Who is a steward. Only a server that nothing is decided at, a witness, has no list of them: there the role is enough.
    pub stewards: Option<Arc<Stewards>>,
    /// How much the server takes on.
    pub limits: Limits,
    /// How much one caller may take of that.
    pub shares: Arc<Shares>,
    /// Where calls that are turned away are counted.
    pub turned_away: Arc<TurnedAway>,
    tokens: Option<Arc<Tokens>>,
    calls: Arc<Semaphore>,
}

impl Door {
    /// A door with the default shares.
    #[must_use]
    pub fn new(tls: Watched<ServerTls>, table: Table, limits: Limits) -> Self {
        let calls = Arc::new(Semaphore::new(limits.calls));
        let (shares, turned_away) = (Arc::default(), Arc::default());
        Self { tls, table, stewards: None, limits, shares, turned_away, tokens: None, calls }
    }

    /// A second door beside this one, for callers with tokens. `tls` asks nobody for a certificate; a call without a
    /// token is refused, and no certificate takes its place.
    #[must_use]
    pub fn with_tokens(&self, tls: Watched<ServerTls>, tokens: Arc<Tokens>) -> Self {
        Self { tls, tokens: Some(tokens), ..self.clone() }
    }
}

/// Serves gRPC until `stop` is cancelled and the calls in progress have ended or been cut. Each call
/// must pass `door`; the caller's identity is then in the request's extensions.
pub async fn grpc(listener: TcpListener, door: Door, routes: Routes, stop: CancellationToken) {
    let (tls, limits) = (door.tls.clone(), door.limits);
    let longest = door.table.iter().map(|row| row.deadline).max().unwrap_or(limits.drain);
    let guard = Guard { door, router: routes.prepare().into_axum_router() };
    accept(listener, tls, limits, stop.clone(), move |stream, chain| {
        let guard = guard.clone();
        let shown = Shown { chain, over: stop.child_token() };
        let watched = guard.clone().watch(shown.clone());
        async move {
            let service = service_fn(move |request| {
                let (guard, shown) = (guard.clone(), shown.clone());
                async move { Ok::<_, Infallible>(guard.call(request, &shown).await) }
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
                () = watched => {
                    connection.as_mut().graceful_shutdown();
                    // A client that takes no answers is cut in the end.
                    tokio::time::timeout(longest, connection).await.unwrap_or(Ok(()))
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
    tls: Watched<ServerTls>,
    router: axum::Router,
    limits: Limits,
    stop: CancellationToken,
) {
    accept(listener, tls, limits, stop.clone(), move |stream, _| {
        let (router, stop) = (router.clone(), stop.clone());
        async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let answer = router.clone().oneshot(request.map(axum::body::Body::new));
                async move {
                    let answer = tokio::time::timeout(limits.response, answer).await;
                    answer.unwrap_or_else(|_| Ok(too_slow()))
                }
            });
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
                // A client that does not read its answer is cut in the end.
                () = tokio::time::sleep(limits.life) => {
                    connection.as_mut().graceful_shutdown();
                    tokio::time::timeout(limits.drain, connection).await.unwrap_or(Ok(()))
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
    tls: Watched<ServerTls>,
    limits: Limits,
    stop: CancellationToken,
    serve: F,
) where
    F: Fn(Stream, Arc<[CertificateDer<'static>]>) -> R + Clone + Send + 'static,
    R: Future<Output = ()> + Send + 'static,
{
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
        let (tls, serve) = (tls.clone(), serve.clone());
        connections.spawn(async move {
            let _slot = slot;
            if tcp.set_nodelay(true).is_err() {
                return;
            }
            let acceptor = TlsAcceptor::from(tls.now().config);
            match tokio::time::timeout(limits.handshake, acceptor.accept(tcp)).await {
                Ok(Ok(stream)) => {
                    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
                    let chain = chain.iter().cloned().map(CertificateDer::into_owned).collect();
                    serve(Recorded::new(stream, "server"), chain).await;
                }
                Ok(Err(error)) if tls::list_has_expired(&error) => {
                    tracing::error!(
                        "a revocation list has expired: everybody is refused until a newer one is there"
                    );
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

/// What a connection has shown.
#[derive(Clone)]
struct Shown {
    /// The client's certificate chain; empty for none.
    chain: Arc<[CertificateDer<'static>]>,
    /// Ends the connection after the calls in progress.
    over: CancellationToken,
}

/// What every call passes before it reaches its service.
#[derive(Clone)]
struct Guard {
    door: Door,
    router: axum::Router,
}

impl Guard {
    async fn call(&self, request: Request<Incoming>, shown: &Shown) -> Response<Body> {
        let path = request.uri().path();
        let caller = match &self.door.tokens {
            // At each call anew: who has been revoked does not go on over a connection that was made before.
            None => self.named(shown).map_err(|e| Status::unauthenticated(Refusal::from(e).to_string())),
            Some(tokens) => tokens.caller(request.headers(), path).await.map_err(Status::from),
        };
        let caller = match caller {
            Ok(caller) => caller,
            Err(status) => return self.turn_away(None, path, status),
        };
        match self.admit(&caller, path) {
            Ok((row, held)) => self.answer(request, caller, row, held, &shown.over).await,
            Err(status) => self.turn_away(Some(&caller), path, status),
        }
    }

    /// Whom the certificate names, as it counts now. A connection with one that does not is over: who has a new one shows it
    /// on another.
    fn named(&self, shown: &Shown) -> Result<Caller, PeerError> {
        let named = self.door.tls.now().caller(&shown.chain);
        if named == Err(PeerError::NoLonger) {
            shown.over.cancel();
        }
        named
    }

    /// Looks at the certificate of a connection now and then, until it is over.
    async fn watch(self, shown: Shown) {
        while !shown.over.is_cancelled() {
            tokio::select! {
                () = shown.over.cancelled() => {}
                () = tokio::time::sleep(self.door.limits.check) => drop(self.named(&shown)),
            }
        }
    }

    /// The row of the method and a place for the call, if the caller may have both.
    #[allow(clippy::result_large_err, reason = "tonic's statuses are large")]
    fn admit(&self, caller: &Caller, path: &str) -> Result<(Row, Held), Status> {
        let place = self.door.shares.enter(caller, Instant::now()).map_err(wait)?;
        let row = access::admit(self.door.table, path, caller.role())?;
        self.door.stewards.as_ref().map_or(Ok(()), |stewards| stewards.admit(caller))?;
        let slot = Arc::clone(&self.door.calls).try_acquire_owned().map_err(|_| {
            Status::resource_exhausted("access.calls: too many calls at once, try again later")
        })?;
        Ok((*row, (slot, place)))
    }

    fn turn_away(&self, caller: Option<&Caller>, path: &str, status: Status) -> Response<Body> {
        let row = self.door.table.iter().find(|row| row.path == path);
        let code = status.message().split_once(": ").map_or("access", |(code, _)| code);
        self.door.turned_away.add(caller, row.map_or("*", |row| row.path), code);
        status.into_http()
    }

    async fn answer(
        &self,
        mut request: Request<Incoming>,
        caller: Caller,
        row: Row,
        held: Held,
        over: &CancellationToken,
    ) -> Response<Body> {
        let allowed = deadline::asked(request.headers()).unwrap_or(row.deadline).min(row.deadline);
        let until = Instant::now() + allowed;
        request.extensions_mut().insert(caller);
        let answer = self.router.clone().oneshot(request.map(Body::new));
        match tokio::time::timeout_at(until, answer).await {
            Ok(Ok(response)) => {
                let end = end(until, row.standing, over.clone());
                response.map(|body| Body::new(Bounded::new(body, end, held)))
            }
            Ok(Err(never)) => match never {},
            Err(_) => deadline::exceeded().into_http(),
        }
    }
}

/// When a response is ended for its service, and how: a standing one also when its connection is over.
fn end(until: Instant, standing: bool, over: CancellationToken) -> BoxFuture<'static, Status> {
    async move {
        tokio::select! {
            () = tokio::time::sleep_until(until) => deadline::exceeded(),
            () = over.cancelled(), if standing => deadline::shutting_down(),
        }
    }
    .boxed()
}

/// A caller has to wait: for how long is in the hint, and in the header `retry-after`.
fn wait(wait: Wait) -> Status {
    let (code, hint, seconds) = match wait {
        Wait::For(time) => ("access.rate", "calls come too fast", time.as_secs() + 1),
        Wait::UntilOneEnds => ("access.at_once", "too many calls of this caller are in progress", 1),
        Wait::Crowd => ("access.callers", "too many callers at once", 10),
    };
    let mut status = Status::resource_exhausted(format!("{code}: {hint}, try again in {seconds} s"));
    status.metadata_mut().insert("retry-after", seconds.into());
    status
}
