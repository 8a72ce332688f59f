//! A catalog of made-up models for the tests of the doors.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::{Catalog, FindError, ModelMetadata, Served, ServerLimits, ServerSettings, Shared};
use crate::infer::{
    ErrorCode, InferError, InferRequest, InferResponse, Parameter, PluginFailure, PluginFailureKind, Trace,
};
use crate::telemetry::Metrics;
use crate::tensor::{Datatype, Signature, TensorSpec};

type Answer = Box<dyn Fn(&InferRequest) -> Result<(), InferError> + Send + Sync>;

/// Gives back its inputs as its outputs, unless its `answer` says otherwise.
struct Echo {
    metadata: ModelMetadata,
    answer: Answer,
}

impl Served for Echo {
    fn metadata(&self) -> &ModelMetadata {
        &self.metadata
    }

    fn is_ready(&self) -> bool {
        self.metadata.name != "asleep"
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(20)
    }

    fn infer(&self, request: InferRequest) -> (Result<InferResponse, InferError>, Trace) {
        let outcome = (self.answer)(&request).map(|()| InferResponse {
            model_name: self.metadata.name.clone(),
            model_version: self.metadata.version.clone(),
            id: None,
            parameters: request.parameters,
            outputs: if request.wanted.is_empty() {
                request.inputs
            } else {
                let find = |name: &String| request.inputs.iter().find(|(input, _)| input == name).cloned();
                request.wanted.iter().filter_map(find).collect()
            },
        });
        (outcome, Trace::default())
    }
}

/// The catalog, and levers on what it serves.
pub(super) struct Fake {
    models: Vec<Arc<dyn Served>>,
    pub(super) is_ready: AtomicBool,
}

/// A request in the model `waits` began, or ended: `true` if it was cancelled.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    Began,
    Ended { cancelled: bool },
}

/// The levers of the model `waits`: each message lets one request go on.
pub(super) struct Gate {
    pub(super) events: Receiver<Event>,
    pub(super) let_go: Sender<()>,
}

impl Fake {
    pub(super) fn new() -> (Arc<Self>, Gate) {
        let (events_in, events) = mpsc::channel();
        let (let_go, gate) = mpsc::channel();
        let waits = waiting(events_in, gate);
        let model = |name: &str, specs: &[TensorSpec], answer: Answer| -> Arc<dyn Served> {
            let signature = Signature { inputs: specs.to_vec(), outputs: specs.to_vec() };
            let metadata = ModelMetadata {
                name: name.into(),
                version: "1.4.2".into(),
                versions: vec!["1.4.2".into()],
                platform: "inferwit_pipeline".into(),
                signature,
            };
            Arc::new(Echo { metadata, answer })
        };
        let x = [TensorSpec::new("x", Datatype::Fp32, &[-1, 2])];
        let photo = [TensorSpec::new("photo", Datatype::Bytes, &[1])];
        let optional = |spec: TensorSpec| TensorSpec { optional: true, ..spec };
        let every = Datatype::ALL.map(|datatype| {
            optional(TensorSpec { shape: None, ..TensorSpec::new(datatype.name().to_lowercase(), datatype, &[]) })
        });
        let echoes: fn(&InferRequest) -> Result<(), InferError> = |_| Ok(());
        let models = vec![
            model("echo", &x, Box::new(echoes)),
            model("photo", &photo, Box::new(echoes)),
            model("half", &[TensorSpec::new("x", Datatype::Fp16, &[2])], Box::new(echoes)),
            model("every", &every, Box::new(echoes)),
            model("asleep", &x, Box::new(echoes)),
            model("fails", &x, Box::new(fail)),
            model("waits", &x, waits),
        ];
        (Arc::new(Self { models, is_ready: AtomicBool::new(true) }), Gate { events, let_go })
    }
}

impl Catalog for Fake {
    fn is_ready(&self) -> bool {
        self.is_ready.load(Ordering::Relaxed)
    }

    fn find(&self, name: &str, version: Option<&str>) -> Result<Arc<dyn Served>, FindError> {
        let found = self.models.iter().find(|model| model.metadata().name == name).ok_or(FindError::UnknownModel)?;
        match version {
            None | Some("1" | "1.4" | "1.4.2") => Ok(Arc::clone(found)),
            Some(version) if version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') => {
                Err(FindError::UnknownVersion)
            }
            Some(_) => Err(FindError::MalformedVersion),
        }
    }
}

/// Fails with the code that the request's parameter `code` names.
fn fail(request: &InferRequest) -> Result<(), InferError> {
    let Some(Parameter::String(wanted)) = request.parameters.get("code") else { panic!("a test asked for a panic") };
    let codes = [
        ErrorCode::Unprocessable,
        ErrorCode::Rejected,
        ErrorCode::Deadline,
        ErrorCode::PluginFailed,
        ErrorCode::PluginLimit,
        ErrorCode::BackendFailed,
        ErrorCode::Internal,
    ];
    let code = codes.into_iter().find(|code| code.as_str() == wanted).expect("tests ask for these");
    let mut error = InferError::new(code, "step `decode`: secret").with_source("deeper secret");
    if code == ErrorCode::Rejected {
        error.findings = Some(r#"[{"code":"blurred"}]"#.into());
    }
    if code == ErrorCode::PluginFailed {
        let kind = PluginFailureKind::Trap;
        error.failure = Some(Box::new(PluginFailure { plugin: "image".into(), step: "decode".into(), kind }));
    }
    Err(error)
}

/// Waits until it is let go, or until its deadline.
fn waiting(events: Sender<Event>, gate: Receiver<()>) -> Answer {
    let gate = Mutex::new(gate);
    Box::new(move |request| {
        drop(events.send(Event::Began));
        let outcome = loop {
            if request.deadline.is_over(Instant::now()) {
                break Err(InferError::new(ErrorCode::Deadline, "waited too long"));
            }
            if gate.lock().unwrap().try_recv().is_ok() {
                break Ok(());
            }
            thread::yield_now();
        };
        drop(events.send(Event::Ended { cancelled: request.deadline.is_cancelled() }));
        outcome
    })
}

/// Settings with one worker and limits that no test reaches by accident.
pub(super) fn settings() -> ServerSettings {
    let long = Duration::from_secs(30);
    ServerSettings {
        http: ([127, 0, 0, 1], 0).into(),
        metrics: Some(([127, 0, 0, 1], 0).into()),
        workers: 1,
        queue_requests: 1,
        drain: long,
        limits: ServerLimits {
            body_bytes: 1 << 20,
            bodies_bytes: 1 << 22,
            header_bytes: 4096,
            connections: 8,
            request_timeout: long,
            header_timeout: long,
            idle_timeout: long,
        },
    }
}

pub(super) fn shared(settings: &ServerSettings, fake: Arc<Fake>) -> Arc<Shared> {
    Shared::new(settings, fake, Arc::new(Metrics::new())).unwrap()
}
