//! A request for inference and its answer, as every door and every step sees them. No HTTP, no gRPC, no JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::tensor::Tensor;

/// The value of an OIP parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum Parameter {
    Bool(bool),
    Int64(i64),
    Uint64(u64),
    Double(f64),
    String(String),
}

pub type Parameters = BTreeMap<String, Parameter>;

/// Identifies a request in logs and errors; made by the server, not by the client.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId {
    process: u32,
    number: u64,
}

impl RequestId {
    /// The next one of this process.
    pub fn next() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        Self { process: std::process::id(), number: NUMBER.fetch_add(1, Ordering::Relaxed) }
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:x}-{:x}", self.process, self.number)
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// When a request must be answered, and whether anybody still waits. Clones share the cancellation.
#[derive(Clone, Debug)]
pub struct Deadline {
    at: Option<Instant>,
    cancelled: Arc<AtomicBool>,
}

impl Deadline {
    /// Never due, but may be cancelled.
    pub fn never() -> Self {
        Self { at: None, cancelled: Arc::default() }
    }

    pub fn at(instant: Instant) -> Self {
        Self { at: Some(instant), cancelled: Arc::default() }
    }

    pub fn after(duration: Duration) -> Self {
        Self::at(Instant::now() + duration)
    }

    /// The earlier of this and `instant`; shares the cancellation.
    #[must_use]
    pub fn tightened(&self, instant: Instant) -> Self {
        let at = Some(self.at.map_or(instant, |at| at.min(instant)));
        Self { at, cancelled: Arc::clone(&self.cancelled) }
    }

    pub fn instant(&self) -> Option<Instant> {
        self.at
    }

    /// The client has gone: nothing more should be done for it.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
    }

    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    /// Zero once it is due or cancelled; `None` if it is never due.
    pub fn remaining(&self, now: Instant) -> Option<Duration> {
        if self.is_cancelled() {
            return Some(Duration::ZERO);
        }
        self.at.map(|at| at.saturating_duration_since(now))
    }

    pub fn is_over(&self, now: Instant) -> bool {
        self.remaining(now).is_some_and(|left| left.is_zero())
    }
}

/// What a client asks of a model or a pipeline.
#[derive(Clone, Debug)]
pub struct InferRequest {
    pub request_id: RequestId,
    /// The client's own id, echoed in the answer if it gave one.
    pub id: Option<String>,
    pub parameters: Parameters,
    pub inputs: Vec<(String, Tensor)>,
    /// The outputs that are wanted, in this order; empty: all.
    pub wanted: Vec<String>,
    /// Headers by lower-case name, in the order they came. Steps see only those granted to them.
    pub headers: Vec<(String, String)>,
    pub deadline: Deadline,
}

impl InferRequest {
    /// A request without parameters, headers or deadline that wants all outputs.
    pub fn new(inputs: Vec<(String, Tensor)>) -> Self {
        Self {
            request_id: RequestId::next(),
            id: None,
            parameters: Parameters::new(),
            inputs,
            wanted: Vec::new(),
            headers: Vec::new(),
            deadline: Deadline::never(),
        }
    }
}

/// A request without its inputs: what steps may look at while it is answered.
#[derive(Clone, Debug)]
pub struct RequestContext {
    pub request_id: RequestId,
    pub id: Option<String>,
    pub parameters: Parameters,
    pub wanted: Vec<String>,
    pub headers: Vec<(String, String)>,
    pub deadline: Deadline,
}

impl InferRequest {
    /// The inputs, and the rest.
    pub fn split(self) -> (Vec<(String, Tensor)>, RequestContext) {
        let Self { request_id, id, parameters, inputs, wanted, headers, deadline } = self;
        (inputs, RequestContext { request_id, id, parameters, wanted, headers, deadline })
    }
}

/// The answer.
#[derive(Clone, Debug, PartialEq)]
pub struct InferResponse {
    pub model_name: String,
    /// The full version.
    pub model_version: String,
    pub id: Option<String>,
    pub parameters: Parameters,
    pub outputs: Vec<(String, Tensor)>,
}

/// Where the time of one request went. All times in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    pub total_ns: u64,
    pub steps: Vec<StepTrace>,
}

/// One step's part of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepTrace {
    pub step: String,
    /// `plugin`, `model`, `rules` or `validate`.
    pub kind: &'static str,
    pub outcome: StepOutcome,
    /// Since the pipeline took the request.
    pub start_ns: u64,
    /// From the step's start to its end, waiting included.
    pub duration_ns: u64,
    /// Of that, waiting for an instance or a session.
    pub queue_ns: u64,
    /// Requests that ran together; 1 where nothing is batched.
    pub batch_size: u32,
    /// `warm` or `fresh`, for plugins.
    pub isolation: Option<&'static str>,
    /// Linear memory of the plugin's instance after the call.
    pub memory_bytes: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepOutcome {
    Done,
    /// Its `when` was false.
    Skipped,
    Failed,
}

/// Why a request failed, as clients are told: the codes are part of the wire contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    InvalidInput,
    Unprocessable,
    Rejected,
    NotFound,
    Forbidden,
    NotReady,
    TooLarge,
    Method,
    MediaType,
    SlowClient,
    Overloaded,
    Deadline,
    PluginFailed,
    PluginLimit,
    BackendFailed,
    Internal,
}

impl ErrorCode {
    /// As in the body of an error: `invalid_input`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidInput => "invalid_input",
            Self::Unprocessable => "unprocessable",
            Self::Rejected => "rejected",
            Self::NotFound => "not_found",
            Self::Forbidden => "forbidden",
            Self::NotReady => "not_ready",
            Self::TooLarge => "too_large",
            Self::Method => "method",
            Self::MediaType => "media_type",
            Self::SlowClient => "slow_client",
            Self::Overloaded => "overloaded",
            Self::Deadline => "deadline",
            Self::PluginFailed => "plugin_failed",
            Self::PluginLimit => "plugin_limit",
            Self::BackendFailed => "backend_failed",
            Self::Internal => "internal",
        }
    }

    /// Whether the client may read the whole message; else it gets a short text and the request's id.
    pub fn is_clients_fault(self) -> bool {
        !matches!(self, Self::PluginFailed | Self::PluginLimit | Self::BackendFailed | Self::Internal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancelled_request_has_no_time_left() {
        let now = Instant::now();
        let deadline = Deadline::never();
        let tighter = deadline.tightened(now + Duration::from_secs(5));
        assert_eq!(deadline.remaining(now), None);
        assert_eq!(tighter.remaining(now), Some(Duration::from_secs(5)));
        deadline.cancel();
        assert!(tighter.is_over(now) && deadline.is_over(now));
    }

    #[test]
    fn the_earlier_deadline_holds() {
        let now = Instant::now();
        let deadline = Deadline::at(now + Duration::from_secs(1)).tightened(now + Duration::from_secs(9));
        assert_eq!(deadline.remaining(now), Some(Duration::from_secs(1)));
        assert!(deadline.is_over(now + Duration::from_secs(1)));
    }
}
