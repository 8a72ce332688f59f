//! A request for inference and its answer, as every door and every step sees them. No HTTP, no gRPC, no JSON.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::tensor::{Signature, Tensor, TensorError};

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

    /// Whether this is a request that `signature` can answer: inputs and wanted outputs are known, given once, and fit.
    ///
    /// # Errors
    /// `InvalidInput`, naming the first tensor at fault.
    pub fn check(&self, signature: &Signature) -> Result<(), InferError> {
        for (index, (name, tensor)) in self.inputs.iter().enumerate() {
            let Some(spec) = signature.inputs.iter().find(|spec| spec.name == *name) else {
                return Err(InferError::invalid(format!("unknown input `{}`", shortened(name))));
            };
            if self.inputs[..index].iter().any(|(earlier, _)| earlier == name) {
                return Err(InferError::invalid(format!("input `{name}` is given twice")));
            }
            spec.check(tensor)?;
        }
        let missing = |name: &str| !self.inputs.iter().any(|(given, _)| given == name);
        if let Some(spec) = signature.inputs.iter().find(|spec| !spec.optional && missing(&spec.name)) {
            return Err(InferError::invalid(format!("input `{}` is missing", spec.name)));
        }
        for (index, name) in self.wanted.iter().enumerate() {
            if !signature.outputs.iter().any(|spec| spec.name == *name) {
                return Err(InferError::invalid(format!("unknown output `{}`", shortened(name))));
            }
            if self.wanted[..index].contains(name) {
                return Err(InferError::invalid(format!("output `{name}` is asked for twice")));
            }
        }
        Ok(())
    }
}

/// A name that a client made up, short enough for a message.
fn shortened(name: &str) -> Cow<'_, str> {
    const CHARACTERS_MAX: usize = 128;
    match name.char_indices().nth(CHARACTERS_MAX) {
        Some((end, _)) => Cow::Owned(format!("{}..", &name[..end])),
        None => Cow::Borrowed(name),
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
    /// Of a rules step.
    pub rules: Option<Box<RuleTrace>>,
}

/// What the rules of one run did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleTrace {
    /// `name@version`.
    pub rule_set: Arc<str>,
    pub rule_ids: Arc<[Arc<str>]>,
    /// How often each rule fired, or how many of its matches hold: place among the ids, count.
    pub fired: Vec<(u32, u64)>,
    /// The run should have been recorded, and could not be.
    pub is_record_lost: bool,
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

/// Why a request got no answer: what its client may read, and what only the log does.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct InferError {
    pub code: ErrorCode,
    /// The client reads it where `code.is_clients_fault()`; else it is for the log alone.
    pub message: String,
    /// For the log alone.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
    /// What a blocking validation found, as JSON text.
    pub findings: Option<String>,
    /// Which plugin failed, where one did.
    pub failure: Option<Box<PluginFailure>>,
}

impl InferError {
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), source: None, findings: None, failure: None }
    }

    /// The client's mistake, in words for the client.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidInput, message)
    }

    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}

/// A tensor that a client sent and that cannot be one.
impl From<TensorError> for InferError {
    fn from(error: TensorError) -> Self {
        Self::invalid(error.to_string())
    }
}

/// Which plugin failed, and in which way: the labels of the metric that counts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginFailure {
    pub plugin: String,
    pub step: String,
    pub kind: PluginFailureKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PluginFailureKind {
    /// It trapped, or returned what the contract does not allow.
    Trap,
    /// It ran longer than its own deadline.
    Deadline,
    /// It asked for more memory, handles or bytes than it may have.
    Limit,
    /// It said itself that it failed.
    Failed,
}

impl PluginFailureKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::Deadline => "deadline",
            Self::Limit => "limit",
            Self::Failed => "failed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::{Datatype, TensorSpec};

    #[test]
    fn a_request_is_checked_against_the_signature() {
        let signature = Signature {
            inputs: vec![
                TensorSpec::new("x", Datatype::Fp32, &[-1]),
                TensorSpec { optional: true, ..TensorSpec::new("y", Datatype::Bool, &[1]) },
            ],
            outputs: vec![TensorSpec::new("z", Datatype::Fp32, &[-1])],
        };
        let zeros = |name: &str, datatype| (name.to_owned(), Tensor::zeros(datatype, &[1]).unwrap());
        let check = |inputs: Vec<(String, Tensor)>, wanted: &[&str]| {
            let wanted = wanted.iter().map(|&name| name.to_owned()).collect();
            let request = InferRequest { wanted, ..InferRequest::new(inputs) };
            request.check(&signature).map_err(|error| error.message)
        };
        let x = zeros("x", Datatype::Fp32);
        assert_eq!(check(vec![x.clone()], &["z"]), Ok(()));
        assert_eq!(check(vec![], &[]), Err("input `x` is missing".into()));
        assert_eq!(check(vec![x.clone(), x.clone()], &[]), Err("input `x` is given twice".into()));
        assert_eq!(check(vec![zeros("w", Datatype::Fp32)], &[]), Err("unknown input `w`".into()));
        assert_eq!(check(vec![zeros("x", Datatype::Int8)], &[]), Err("tensor `x` is INT8, must be FP32".into()));
        assert_eq!(check(vec![x.clone()], &["z", "z"]), Err("output `z` is asked for twice".into()));
        assert_eq!(check(vec![x], &["x"]), Err("unknown output `x`".into()));
    }

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
