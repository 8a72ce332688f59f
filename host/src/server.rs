//! What listens: the doors' common part, their limits and their graceful stop. What is served is asked of a `Catalog`;
//! nothing here knows pipelines, the registry or an engine.

mod http;
mod listener;
mod workers;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use std::{fmt, io};

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{self, JoinHandle};

use crate::infer::{Deadline, ErrorCode, InferError, InferRequest, InferResponse, Trace};
use crate::telemetry::Metrics;
use crate::tensor::Signature;
use listener::{ConnectionLimits, Listener};
use workers::Workers;

/// What doors ask of the application: which models are served now. Called on async threads, so it never waits.
pub trait Catalog: Send + Sync + 'static {
    /// Whether everything that should be served is.
    fn is_ready(&self) -> bool;

    /// The served model of this name; without a version, the one that the application prefers. What is returned stays
    /// usable for the request even when another takes its place.
    ///
    /// # Errors
    /// Says whether name, version, or its form is at fault.
    fn find(&self, name: &str, version: Option<&str>) -> Result<Arc<dyn Served>, FindError>;
}

/// One served model or pipeline in one version.
pub trait Served: Send + Sync {
    fn metadata(&self) -> &ModelMetadata;

    fn is_ready(&self) -> bool;

    /// The longest that a request may take, waiting for a worker included. A client may ask for less.
    fn timeout(&self) -> Duration;

    /// Answers a request that was checked against the signature. Runs on a worker thread, and heeds the deadline.
    fn infer(&self, request: InferRequest) -> (Result<InferResponse, InferError>, Trace);
}

/// What clients are told of a served model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelMetadata {
    pub name: String,
    /// The full version of this one.
    pub version: String,
    /// Every version of this name that is served, full.
    pub versions: Vec<String>,
    /// `onnx_onnxv1`, `inferwit_pipeline`.
    pub platform: String,
    pub signature: Signature,
}

/// Why nothing served has this name and version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FindError {
    #[error("unknown model")]
    UnknownModel,
    #[error("model is not served in this version")]
    UnknownVersion,
    #[error("version is neither a semantic version nor the beginning of one")]
    MalformedVersion,
}

/// An answer as JSON of the Open Inference Protocol, as the REST door sends it.
///
/// # Errors
/// `InvalidInput` where an output has no JSON form.
pub fn response_json(response: &InferResponse) -> Result<Vec<u8>, InferError> {
    http::response_json(response)
}

/// Where a server listens, and what it allows.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    pub http: SocketAddr,
    pub metrics: Option<SocketAddr>,
    /// Threads that requests are answered on.
    pub workers: usize,
    /// Requests that may wait for a worker; what comes on top is refused at once.
    pub queue_requests: usize,
    /// How long a stop waits for requests that were begun.
    pub drain: Duration,
    pub limits: ServerLimits,
}

/// What one client, or all of them together, may cost.
#[derive(Clone, Copy, Debug)]
pub struct ServerLimits {
    /// One request's body.
    pub body_bytes: usize,
    /// All bodies that are held at one time.
    pub bodies_bytes: usize,
    pub header_bytes: usize,
    pub connections: usize,
    /// The longest that a request may take; also, before that, how long its body may take to arrive.
    pub request_timeout: Duration,
    /// From the first byte of a request's head to its last.
    pub header_timeout: Duration,
    /// Between two requests of a connection, and between two bytes that a client takes of an answer.
    pub idle_timeout: Duration,
}

#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error("listen on {address}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("start worker threads")]
    Threads(#[source] io::Error),
}

/// Where every server begins.
pub struct Server;

impl Server {
    /// Listens and serves until it is stopped. Needs a tokio runtime.
    ///
    /// # Errors
    /// If an address is taken, or there are no more threads.
    pub async fn start(
        settings: ServerSettings,
        catalog: Arc<dyn Catalog>,
        metrics: Arc<Metrics>,
    ) -> Result<Running, ServerError> {
        let limits = settings.limits;
        let http = bind(settings.http).await?;
        let metrics_listener = match settings.metrics {
            Some(address) => Some(bind(address).await?),
            None => None,
        };
        let shared = Shared::new(&settings, catalog, Arc::clone(&metrics)).map_err(ServerError::Threads)?;
        let (stop, stopped) = watch::channel(Stop::No);
        let metrics_address = metrics_listener.as_ref().map(|(_, address)| *address);
        let mut tasks = Vec::new();
        tasks.push(tokio::spawn(
            Listener {
                socket: http.0,
                router: http::router(Arc::clone(&shared)),
                limits: ConnectionLimits::of(&limits),
                open: Some(metrics.connections.clone()),
                stop: stopped.clone(),
            }
            .serve(),
        ));
        if let Some((socket, _)) = metrics_listener {
            let limits = ConnectionLimits::of(&ServerLimits { connections: METRICS_CONNECTIONS_MAX, ..limits });
            let router = http::metrics_router(metrics);
            tasks.push(tokio::spawn(Listener { socket, router, limits, open: None, stop: stopped }.serve()));
        }
        Ok(Running { http: http.1, metrics: metrics_address, shared, stop, tasks, drain: settings.drain })
    }
}

/// Scrapers are few, and their port is not a way around the other's limit.
const METRICS_CONNECTIONS_MAX: usize = 32;

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServerError> {
    let listen = |source| ServerError::Listen { address, source };
    let socket = TcpListener::bind(address).await.map_err(listen)?;
    let local = socket.local_addr().map_err(listen)?;
    Ok((socket, local))
}

/// What listeners are told; each implies those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stop {
    No,
    /// Accept no more, end what was begun.
    Drain,
    /// Close what is still open.
    Now,
}

/// A server that listens. Dropping it stops it at once; `stop` does it gracefully.
pub struct Running {
    http: SocketAddr,
    metrics: Option<SocketAddr>,
    shared: Arc<Shared>,
    stop: watch::Sender<Stop>,
    tasks: Vec<JoinHandle<()>>,
    drain: Duration,
}

impl Running {
    /// The address of the REST door, with the port that the system chose where the settings say 0.
    pub fn http(&self) -> SocketAddr {
        self.http
    }

    pub fn metrics(&self) -> Option<SocketAddr> {
        self.metrics
    }

    /// Readiness goes down, no more connections are taken, requests that were begun are answered while the drain time
    /// lasts; then all is closed and the threads are joined.
    pub async fn stop(mut self) {
        self.shared.is_draining.store(true, Ordering::Release);
        self.stop.send_replace(Stop::Drain);
        let tasks = std::mem::take(&mut self.tasks);
        let all_ended = async {
            for task in tasks {
                // A listener's panic is in the log already.
                drop(task.await);
            }
        };
        tokio::pin!(all_ended);
        if tokio::time::timeout(self.drain, &mut all_ended).await.is_err() {
            tracing::warn!(drain_ms = self.drain.as_millis(), "requests were still running when the drain time ended");
            self.stop.send_replace(Stop::Now);
            all_ended.await;
        }
        let shared = Arc::clone(&self.shared);
        let stuck = task::spawn_blocking(move || shared.workers.stop(THREADS_END_MAX)).await.unwrap_or(0);
        if stuck > 0 {
            tracing::error!(stuck, "worker threads did not end; their requests do not heed their deadline");
        }
    }
}

/// How long worker threads may take to notice that nobody waits for them.
const THREADS_END_MAX: Duration = Duration::from_secs(2);

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.is_draining.store(true, Ordering::Release);
        self.stop.send_replace(Stop::Now);
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Running(http {}, metrics {:?})", self.http, self.metrics)
    }
}

/// What the doors share.
struct Shared {
    catalog: Arc<dyn Catalog>,
    workers: Workers,
    metrics: Arc<Metrics>,
    limits: ServerLimits,
    is_draining: AtomicBool,
    bodies_bytes: AtomicUsize,
}

impl Shared {
    fn new(settings: &ServerSettings, catalog: Arc<dyn Catalog>, metrics: Arc<Metrics>) -> io::Result<Arc<Self>> {
        let workers = Workers::start(settings.workers, settings.queue_requests, Arc::clone(&metrics))?;
        Ok(Arc::new(Self {
            catalog,
            workers,
            metrics,
            limits: settings.limits,
            is_draining: AtomicBool::new(false),
            bodies_bytes: AtomicUsize::new(0),
        }))
    }

    fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Acquire)
    }

    /// Runs `work` on a worker thread and waits for it until the deadline. Dropping the future cancels the deadline.
    async fn on_worker<T: Send + 'static>(
        &self,
        deadline: &Deadline,
        work: impl FnOnce(Duration) -> Result<T, InferError> + Send + 'static,
    ) -> Result<T, InferError> {
        if self.is_draining() {
            return Err(InferError::new(ErrorCode::Overloaded, "the server is stopping"));
        }
        let pending = self
            .workers
            .submit(deadline, work)
            .map_err(|_full| InferError::new(ErrorCode::Overloaded, "too many requests wait; try again later"))?;
        let done = match deadline.instant() {
            None => pending.await,
            Some(due) => match tokio::time::timeout_at((due + DEADLINE_GRACE).into(), pending).await {
                Ok(done) => done,
                Err(_) => return Err(out_of_time()),
            },
        };
        done.unwrap_or_else(|_| Err(InferError::new(ErrorCode::Internal, "the worker dropped the request")))
    }
}

/// A worker that heeds the deadline says better than its door what took the time; it gets this long to say it.
const DEADLINE_GRACE: Duration = Duration::from_millis(20);

fn out_of_time() -> InferError {
    InferError::new(ErrorCode::Deadline, "the request was out of time")
}

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;
