//! Accepts connections and keeps each within its limits: how many, how slow, how long idle. Knows no route.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use prometheus_client::metrics::gauge::Gauge;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tower::ServiceExt;

use super::{ServerLimits, Stop};
use crate::infer::{ErrorCode, RequestId};

/// A socket and what is served on it.
pub(super) struct Listener {
    pub(super) socket: TcpListener,
    pub(super) router: Router,
    pub(super) limits: ConnectionLimits,
    /// Counts open connections.
    pub(super) open: Option<Gauge>,
    pub(super) stop: watch::Receiver<Stop>,
}

#[derive(Clone, Copy)]
pub(super) struct ConnectionLimits {
    pub(super) connections: usize,
    header_bytes: usize,
    header_timeout: Duration,
    idle_timeout: Duration,
}

impl ConnectionLimits {
    pub(super) fn of(limits: &ServerLimits) -> Self {
        Self {
            connections: limits.connections,
            header_bytes: limits.header_bytes,
            header_timeout: limits.header_timeout,
            idle_timeout: limits.idle_timeout,
        }
    }
}

/// Connections beyond the limit that are told so at one time; those on top are only closed.
const REFUSALS_MAX: usize = 64;
/// How long a client that is refused may take to hear it.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);
/// After an error of `accept` that is not the client's, such as no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// A head longer than the limit is still read up to this much more, so that the answer can be ours, with a body.
const HEADER_BYTES_SLACK: usize = 16 * 1024;

impl Listener {
    /// Serves until it is told to stop and every connection has ended.
    pub(super) async fn serve(mut self) {
        let places = Arc::new(Semaphore::new(self.limits.connections));
        let refusals = Arc::new(Semaphore::new(REFUSALS_MAX));
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = self.socket.accept() => accepted,
                Some(_ended) = connections.join_next() => continue,
                () = told(&mut self.stop, Stop::Drain) => break,
            };
            match accepted {
                Ok((stream, _peer)) => {
                    if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
                        let (router, limits) = (self.router.clone(), self.limits);
                        let (stop, open) = (self.stop.clone(), Counted::new(self.open.clone()));
                        connections.spawn(async move {
                            let _held = (place, open);
                            serve_connection(stream, router, limits, stop).await;
                        });
                    } else if let Ok(place) = Arc::clone(&refusals).try_acquire_owned() {
                        connections.spawn(async move {
                            let _held = place;
                            refuse(stream, ErrorCode::Overloaded, "too many connections").await;
                        });
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(self.socket);
        loop {
            tokio::select! {
                ended = connections.join_next() => if ended.is_none() { return },
                () = told(&mut self.stop, Stop::Now) => break,
            }
        }
        connections.shutdown().await;
    }
}

/// Waits until the server was told to stop so, or more so. A server that is gone told everything.
async fn told(stop: &mut watch::Receiver<Stop>, least: Stop) {
    drop(stop.wait_for(|stop| *stop >= least).await);
}

/// One connection, from its first byte to its last.
async fn serve_connection(
    stream: TcpStream,
    router: Router,
    limits: ConnectionLimits,
    mut stop: watch::Receiver<Stop>,
) {
    // Without it, small answers wait for the client's acknowledgement; a socket that refuses it still works.
    drop(stream.set_nodelay(true));
    let progress = Arc::new(Progress::new());
    let io = TokioIo::new(Watched { stream, progress: Arc::clone(&progress) });
    let service = service_fn(|request: hyper::Request<Incoming>| {
        progress.set(Phase::Answering);
        let (router, progress) = (router.clone(), Arc::clone(&progress));
        async move {
            let response = router.oneshot(request).await;
            progress.set(Phase::Idle);
            response.map_err(|never: Infallible| never)
        }
    });
    let mut connection = http1::Builder::new()
        .header_read_timeout(None)
        .max_header_size(limits.header_bytes + HEADER_BYTES_SLACK)
        .serve_connection(io, service);
    let check_every = limits.header_timeout.min(limits.idle_timeout) / 4;
    let mut is_stopping = false;
    loop {
        tokio::select! {
            // An error here is a client that went away or does not speak HTTP: nobody is left to tell.
            _ended = &mut connection => return,
            () = told(&mut stop, Stop::Drain), if !is_stopping => {
                is_stopping = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
            () = sleep(check_every) => match progress.phase_and_age() {
                (Phase::Idle, age) if age >= limits.idle_timeout => return,
                (Phase::Head, age) if age >= limits.header_timeout => {
                    break;
                }
                _ => {}
            },
        }
    }
    let stream = connection.into_parts().io.into_inner().stream;
    refuse(stream, ErrorCode::SlowClient, "the request's head took too long").await;
}

/// Answers without a request and closes. What the client still sends is read for a moment: closing over unread bytes
/// would reset the connection and take the answer with it.
async fn refuse(mut stream: TcpStream, code: ErrorCode, message: &str) {
    let answer = super::http::refusal(code, message, RequestId::next());
    let told = async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await?;
        let mut unread = [0; 1024];
        while stream.read(&mut unread).await? > 0 {}
        io::Result::Ok(())
    };
    drop(timeout(REFUSAL_TIMEOUT, told).await);
}

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing is asked, or an answer is on its way to the client.
    Idle,
    /// A part of a request's head is there.
    Head,
    /// The request has its own time limits.
    Answering,
}

/// The phase of a connection and since when it is in it or last got on. Written and read by one task alone.
struct Progress {
    base: Instant,
    phase: AtomicU8,
    since_ms: AtomicU64,
}

impl Progress {
    fn new() -> Self {
        Self { base: Instant::now(), phase: AtomicU8::new(Phase::Idle as u8), since_ms: AtomicU64::new(0) }
    }

    fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            phase if phase == Phase::Idle as u8 => Phase::Idle,
            phase if phase == Phase::Head as u8 => Phase::Head,
            _ => Phase::Answering,
        }
    }

    fn set(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
        let since_ms = u64::try_from(self.base.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.since_ms.store(since_ms, Ordering::Relaxed);
    }

    fn phase_and_age(&self) -> (Phase, Duration) {
        let since = Duration::from_millis(self.since_ms.load(Ordering::Relaxed));
        (self.phase(), self.base.elapsed().saturating_sub(since))
    }
}

/// A stream that notes when bytes move.
struct Watched {
    stream: TcpStream,
    progress: Arc<Progress>,
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before && self.progress.phase() == Phase::Idle {
            self.progress.set(Phase::Head);
        }
        outcome
    }
}

impl Watched {
    fn wrote(&self, outcome: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if matches!(outcome, Poll::Ready(Ok(1..))) && self.progress.phase() != Phase::Answering {
            self.progress.set(Phase::Idle);
        }
        outcome
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.wrote(outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.wrote(outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Counts one connection while it is open.
struct Counted(Option<Gauge>);

impl Counted {
    fn new(gauge: Option<Gauge>) -> Self {
        if let Some(gauge) = &gauge {
            gauge.inc();
        }
        Self(gauge)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(gauge) = &self.0 {
            gauge.dec();
        }
    }
}
